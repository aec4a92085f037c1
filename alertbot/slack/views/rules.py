"""The list of rules: what each watches, where it comes from, and buttons for those created in Slack."""

from collections.abc import Collection, Sequence
from fractions import Fraction

from alertbot.domain.chart_data import comparison_of, in_words, thresholds_of
from alertbot.domain.formatting import format_amount
from alertbot.domain.reports import ListedRule
from alertbot.domain.rules import Absence, Rule, Severity, Spike
from alertbot.domain.stored_rules import StoredRule
from alertbot.domain.times import format_duration
from alertbot.slack.views.blocks import Block, action_row, button, plain_text, section
from alertbot.slack.views.responses import Response
from alertbot.slack.views.rule_form import counted
from alertbot.slack.views.text import SECTION_LIMIT, fit, literal, mention_user, slack_date

_MOST_CONFIGURED = 40
_MOST_STORED = 15  # two blocks each; a message has 50


def rules_response(
    listed: Sequence[ListedRule],
    *,
    muted: Collection[str] = (),
    may_edit: bool = False,
    fixed: Collection[str] = (),
) -> Response:
    """The rules of the configuration, then those created in Slack. `muted` are the names of muted rules.

    With `may_edit` there are buttons, except for the rules in `fixed`.
    """
    configured_rules = [entry.rule for entry in listed if entry.stored is None and entry.rule is not None]
    stored_rules = [(entry, entry.stored) for entry in listed if entry.stored is not None]
    lines = [f"{_mark(rule, muted)} {_rule_line(rule)}" for rule in configured_rules[:_MOST_CONFIGURED]]
    configured = fit(lines, SECTION_LIMIT - 30, hidden=len(configured_rules) - len(lines)) or "No rule is configured."
    blocks: list[Block] = [section(f"*In the configuration*\n{configured}" if stored_rules else configured)]
    shown = [_stored_rule_line(entry, stored, muted) for entry, stored in stored_rules[:_MOST_STORED]]
    if shown:
        blocks.append(section("*Created in Slack*"))
    for (entry, _), line in zip(stored_rules, shown, strict=False):
        blocks.append(section(line))
        if may_edit and entry.name not in fixed:
            blocks.append(action_row(*_buttons(entry.name)))
    if len(stored_rules) > len(shown):
        names = [literal(entry.name, 100) for entry, _ in stored_rules[_MOST_STORED:]]
        blocks.append(section(fit(["Also:", *names], SECTION_LIMIT)))
    if may_edit:
        blocks.append(action_row(button("rule_new", "New rule", "new")))
    return {"text": fit([configured, *shown], SECTION_LIMIT), "blocks": blocks}


def _buttons(name: str) -> list[Block]:
    sure = {
        "title": plain_text("Delete this rule?"),
        "text": plain_text("It is no longer evaluated, and its open alerts are resolved."),
        "confirm": plain_text("Delete"),
        "deny": plain_text("Keep"),
        "style": "danger",
    }
    return [button("rule_change", "Change", name), {**button("rule_delete", "Delete", name), "confirm": sure}]


def _mark(rule: Rule, muted: Collection[str]) -> str:
    if not rule.enabled:
        return ":no_entry_sign:"
    return ":mute:" if rule.name in muted else "•"


def _rule_line(rule: Rule) -> str:
    about = f". {literal(rule.description, 120)}" if rule.description else ""
    off = "" if rule.enabled else " (disabled)"
    where = " ".join(f"{name}={'|'.join(globs)}" for name, globs in rule.where.globs)
    only = f", only {literal(where, 150)}" if where and not rule.builtin else ""
    each = "for everything together" if rule.per == "all" else f"for each {counted(rule.per)}"
    return f"*{literal(rule.name, 80)}*{off}: {literal(_condition_text(rule), 200)}, {each}{only}{about}"


def _condition_text(rule: Rule) -> str:
    """The condition of a rule with its levels."""
    condition = rule.condition
    if isinstance(condition, Absence):
        return (
            f"no {counted(condition.metric) if condition.metric else 'reading'} in {format_duration(condition.window)}"
        )
    if isinstance(condition, Spike):
        levels = _levels(condition.levels.thresholds, "×")
        return f"{in_words(rule)} at least {levels} the baseline"
    unit = rule.unit if rule.unit in {"%", "×", "USD"} else ""
    comparison = comparison_of(rule).value.replace("_", " ")
    return f"{in_words(rule)} {comparison} {_levels(thresholds_of(rule), unit)}"


def _levels(thresholds: Sequence[tuple[Severity, Fraction]], unit: str) -> str:
    return ", ".join(f"{format_amount(number, unit)} ({severity})" for severity, number in thresholds)


def _stored_rule_line(entry: ListedRule, stored: StoredRule, muted: Collection[str]) -> str:
    by = f"created by {mention_user(stored.made_by)}, {slack_date(stored.made_at)}"
    if stored.changed_at != stored.made_at:
        by += f"; changed by {mention_user(stored.changed_by)}, {slack_date(stored.changed_at)}"
    if entry.rule is not None:
        return f"{_mark(entry.rule, muted)} {_rule_line(entry.rule)}\n      {by}"
    return f":warning: *{literal(entry.name, 80)}* is not used: {literal(entry.why_not, 300)}\n      {by}"
