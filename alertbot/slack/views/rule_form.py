"""The form of a rule: the fields of each type, the result of a backtest, and a field for all other keys."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from alertbot.domain.backtest import BacktestResult, format_backtest, worst_of
from alertbot.domain.metrics import DIMENSIONS, MEANS, METRICS
from alertbot.domain.rules import Comparison, Period, Severity
from alertbot.domain.times import format_duration
from alertbot.slack.views.blocks import Block, action_row, button, option, plain_text, section, select
from alertbot.slack.views.text import MARKS, SECTION_LIMIT, fit, literal, slack_date

View = dict[str, Any]
ANY = "*"  # the choice that leaves the key out
MORE_LIMIT = 2900
_MOST_TRIED = 5
TYPES = (
    ("threshold", "Too many or too few in a time window"),
    ("rate", "Too many or too few per minute, hour or day"),
    ("ratio", "A share that is too large or too small"),
    ("spike", "Far more than usual"),
    ("budget", "A budget per hour, day, week or month"),
    ("burn", "A budget that is being used up too fast"),
    ("absence", "No activity, or no readings"),
)
_WORDS = {
    "spend_usd": "money spent (USD)",
    "latency_ms": "latency (ms)",
    "storage_latency_ms": "storage latency (ms)",
    "ai_llm": "LLM",
    "repo": "repository",
    "api_key": "API key",
}
_COMPARISONS = {
    Comparison.ABOVE: "more than",
    Comparison.AT_LEAST: "at least",
    Comparison.BELOW: "less than",
    Comparison.AT_MOST: "at most",
}


@dataclasses.dataclass(frozen=True, slots=True)
class RuleDraft:
    """A rule as filled in so far: its type, and the values of the fields by their names.

    `about` is the rule that is changed, and `version` its version; for a new rule they are empty.
    """

    type: str = "threshold"
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    about: str = ""
    version: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field of the form; with `choices` a menu, with `is_long` several lines. `initially` is its default."""

    name: str
    label: str
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    initially: str = ""
    optional: bool = False
    limit: int = 100
    is_long: bool = False


def counted(name: str) -> str:
    """A metric or a dimension in words."""
    return _WORDS.get(name, name.replace("_", " "))


_METRICS = tuple((name, counted(name)) for name in METRICS)
_SUMS = tuple((name, words) for name, words in _METRICS if name not in MEANS)
_METRIC = Field("metric", "Metric", choices=_SUMS, initially="policy_violations")
_COMPARISON = Field(
    "comparison",
    "Alert when it is",
    choices=tuple((str(name), text) for name, text in _COMPARISONS.items()),
    initially="above",
)
_WARNING = Field("warning", "Warning", "A number such as 5. One of the two levels is enough.", optional=True)
_CRITICAL = Field("critical", "Critical", "A number such as 20.", optional=True)
_SHARE = "A share such as 2% or 0.02."
_TIMES = (
    Field(
        "times_warning",
        "Warning at (times the baseline)",
        "A number such as 3. One of the two is enough.",
        optional=True,
    ),
    Field("times_critical", "Critical at (times the baseline)", "A number such as 10.", optional=True),
)
_WINDOW = Field("window", "Time window", "A duration such as 15m, 4h or 7d.", initially="15m")
_AMOUNT = Field("amount", "Budget", "A number in the metric's unit, such as 50000000 (tokens) or 100 (USD).")

FIELDS: Mapping[str, tuple[Field, ...]] = {
    "threshold": (
        Field("metric", "Metric", choices=_METRICS, initially="policy_violations"),
        _COMPARISON,
        _WARNING,
        _CRITICAL,
        _WINDOW,
    ),
    "rate": (
        _METRIC,
        _COMPARISON,
        _WARNING,
        _CRITICAL,
        Field(
            "per_unit", "Per", choices=(("minute", "minute"), ("hour", "hour"), ("day", "day")), initially="minute"
        ),
        Field("window", "Measured over", "A duration such as 15m.", initially="15m"),
    ),
    "ratio": (
        _METRIC,
        Field("of", "As a share of", choices=_SUMS, initially="api_calls"),
        _COMPARISON,
        Field("warning", "Warning", f"{_SHARE} One of the two levels is enough.", optional=True),
        Field("critical", "Critical", _SHARE, optional=True),
        _WINDOW,
        Field("min_of", "Only if the total is at least", "A number such as 50, so that 1 of 1 does not alert.", optional=True),
    ),
    "spike": (
        _METRIC,
        *_TIMES,
        Field("window", "Time window", "A duration such as 1h.", initially="1h"),
        Field("baseline", "Baseline: same length windows over the last", "A duration such as 24h.", initially="24h"),
        Field("at_least", "And at least", "A number such as 20. Less than this is never a spike.", optional=True),
    ),
    "budget": (
        _METRIC,
        _AMOUNT,
        Field("period", "Period", choices=tuple((str(period), str(period)) for period in Period), initially="day"),
        Field("percent_warning", "Warn at (% of budget)", "A number such as 80.", initially="80", optional=True),
        Field("percent_critical", "Critical at (% of budget)", "A number such as 100.", initially="100", optional=True),
        Field("timezone", "Time zone", "A time zone such as Europe/Madrid.", initially="UTC"),
    ),
    "burn": (
        _METRIC,
        _AMOUNT,
        Field("lasts", "Budget period", "A duration such as 30d.", initially="30d"),
        *_TIMES,
        Field("windows", "Time windows", "Durations such as 1h, 5m: the rate must be too high in all of them.", initially="1h, 5m"),
    ),
    "absence": (
        Field(
            "metric",
            "What is missing",
            choices=((ANY, "readings of the source"), *_SUMS),
            initially="api_calls",
        ),
        Field("window", "For how long", "A duration such as 15m.", initially="15m"),
        Field(
            "severity", "Severity", choices=tuple((str(level), str(level)) for level in Severity), initially="warning"
        ),
    ),
}  # fmt: skip
NAME = Field("name", "Name", "Short and unique, such as block-burst. Shown with its alerts.")
_DIMENSIONS = tuple(name for name in DIMENSIONS if name != "ai_llm")
COMMON = (
    Field(
        "per",
        "An alert for each",
        choices=(
            (ANY, "LLM (for storage metrics: source)"),
            *((name, counted(name)) for name in _DIMENSIONS),
            ("all", "all together: a single alert"),
        ),
        initially=ANY,
    ),
    Field(
        "where",
        "Only these",
        "Names, ids or patterns such as support-*, or other labels such as provider=OPENAI. Empty means all.",
        optional=True,
        limit=500,
    ),
    Field("for", "For", "A duration such as 5m; empty: fire at once.", optional=True),
    Field("keep_firing", "Keep firing for", "A duration such as 15m, to prevent flapping.", optional=True),
    Field("description", "What to do about it", "Shown with the alert.", optional=True, limit=1000, is_long=True),
)
MORE = Field(
    "more",
    "Other keys",
    "One per line, as in the configuration file, such as clear: 3. Rarely needed.",
    optional=True,
    limit=MORE_LIMIT,
    is_long=True,
)
FORECAST = ("forecast", "Also alert when the budget will run out before the period ends")
ENABLED = ("enabled", "Evaluate this rule")


def fields_of(kind: str) -> tuple[Field, ...]:
    """The fields of a type of rule, but for its name and its switches."""
    common = COMMON if kind != "absence" else tuple(field for field in COMMON if field.name != "for")
    return (*FIELDS[kind], *common, MORE)


def switches_of(kind: str) -> tuple[tuple[str, str], ...]:
    """What can be on or off."""
    return (FORECAST, ENABLED) if kind == "budget" else (ENABLED,)


def rule_form(
    draft: RuleDraft, *, metadata: str, backtest_result: BacktestResult | None = None, problems: Sequence[str] = ()
) -> View:
    """The form, with the `backtest_result` or the `problems` that prevent a backtest."""
    named = _field_block(NAME, draft) if not draft.about else _about(draft.about)
    kind = Field("type", "Condition", choices=TYPES, initially="threshold")
    *fields, more = (_field_block(field, draft) for field in fields_of(draft.type))
    return {
        "type": "modal",
        "callback_id": "rule",
        "private_metadata": metadata,
        "title": plain_text("Change rule" if draft.about else "New rule"),
        "submit": plain_text("Save"),
        "close": plain_text("Cancel"),
        "blocks": [
            named,
            _field_block(kind, RuleDraft(fields={"type": draft.type}), dispatches=True),
            *fields,
            _switches(draft),
            more,
            action_row(button("rule_try", "Try it"), block_id="try"),
            section(_tried(backtest_result, problems), block_id="tried"),
        ],
    }


def _about(name: str) -> Block:
    return section(f"*{literal(name, 200)}*", block_id="about")


def _tried(backtest_result: BacktestResult | None, problems: Sequence[str]) -> str:
    if problems:
        lines = [f":warning: {literal(problem, 400)}" for problem in problems]
        return fit(lines, SECTION_LIMIT)
    if backtest_result is None:
        return "_Try it_ shows how often the rule would have fired in the last 24 hours, or since the first reading. Nothing is sent."
    mark = ":warning:" if backtest_result.problem else ":mag:"
    first, *rest = (literal(line, 400) for line in format_backtest(backtest_result))
    lines = [f"{mark} *{first}*", *rest]
    worst = worst_of(backtest_result, most=_MOST_TRIED)
    lines += [
        f"{MARKS[alert.severity]} {literal(alert.name, 100)}: {format_duration(backtest_result.lasted(alert))} from {slack_date(alert.started_at)}"
        for alert in worst
    ]
    return fit(lines, SECTION_LIMIT, hidden=len(backtest_result.alerts) - len(worst))


def saved_rule_view(name: str, *, is_new: bool, notes: Sequence[str]) -> View:
    """Replaces the form after the rule was saved."""
    done = "was created" if is_new else "was changed"
    lines = [
        f":white_check_mark: *{literal(name, 200)}* {done}.",
        *(f":warning: {literal(note, 400)}" for note in notes),
    ]
    return {
        "type": "modal",
        "callback_id": "rule_saved",
        "title": plain_text("Saved"),
        "close": plain_text("Close"),
        "blocks": [section("\n".join(lines))],
    }


def _field_block(field: Field, draft: RuleDraft, *, dispatches: bool = False) -> Block:
    value = draft.fields.get(field.name, "")
    block: Block = {
        "type": "input",
        "block_id": field.name,
        "label": plain_text(field.label),
        "element": _menu(field, value) if field.choices else _text_field(field, value),
    }
    if dispatches:
        block["dispatch_action"] = True
    if field.optional:
        block["optional"] = True
    if field.hint:
        block["hint"] = plain_text(field.hint)
    return block


def _menu(field: Field, held: str) -> Block:
    return select(f"rule_{field.name}", [option(value, words) for value, words in field.choices], chosen=held)


def _text_field(field: Field, held: str) -> Block:
    element: Block = {"type": "plain_text_input", "action_id": f"rule_{field.name}", "max_length": field.limit}
    if field.is_long:
        element["multiline"] = True
    return {**element, "initial_value": held} if held else element


def _switches(draft: RuleDraft) -> Block:
    options = [option(value, words) for value, words in switches_of(draft.type)]
    on = [option for option in options if draft.fields.get(option["value"]) == "true"]
    return {
        "type": "input",
        "block_id": "switches",
        "optional": True,
        "label": plain_text("Enabled"),
        "element": {
            "type": "checkboxes",
            "action_id": "rule_switches",
            "options": options,
            **({"initial_options": on} if on else {}),
        },
    }
