"""Read-only shapes for people and scripts, with their JSON as the contract has it."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from alertbot.domain.alerts import Action, Alert, Outcome, Reason, State
from alertbot.domain.coverage import Coverage
from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.formatting import format_amount, shown_severity
from alertbot.domain.rules import Budget, Rule, Severity
from alertbot.domain.silences import Silence
from alertbot.domain.stored_rules import RuleChange, StoredRule
from alertbot.domain.times import format_moment
from alertbot.domain.windows import Window


class Health(StrEnum):
    """How a source is."""

    OK = "ok"
    FAILING = "failing"
    BLIND = "blind"
    NEVER_READ = "never read"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What became of one act: per alert its outcome. `again` says that this very act was done before."""

    action: Action
    outcomes: tuple[tuple[Alert, Outcome], ...]
    again: bool = False

    @property
    def done(self) -> tuple[Alert, ...]:
        return tuple(alert for alert, outcome in self.outcomes if outcome is Outcome.DONE)


@dataclass(frozen=True, slots=True)
class SilencePreview:
    """What a silence mutes now: some of the open alerts, and the LLMs that its matchers and the rules mean.

    `problem` says why that cannot be told.
    """

    muted: Sequence[Alert]
    open_alerts: int
    llms: int = 0
    problem: str = ""

    @property
    def matches_nothing(self) -> bool:
        """Whether the silence matches nothing that was ever read: almost certainly a typing error."""
        return not self.muted and not self.llms and not self.problem

    @property
    def sentence(self) -> str:
        """What the silence mutes now."""
        if self.matches_nothing:
            return "This matches nothing that has been read so far: please check the names, upper and lower case, and the pattern."
        firing = sum(alert.state is State.FIRING for alert in self.muted)
        alerts = f"{firing or 'no'} firing {'alert' if firing == 1 else 'alerts'}"
        return f"Mutes {alerts} and {count_llms(self.llms)} now."


def count_llms(count: int) -> str:
    """A number of LLMs in words."""
    return f"{count:,} {'LLM' if count == 1 else 'LLMs'}"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source in the status report."""

    name: str
    state: Health
    last_reading_at: datetime | None
    configurations: int
    error: str = ""
    doubt: str = ""  # what is wrong with its evidence


@dataclass(frozen=True, slots=True)
class StatusReport:
    """How the bot and its sources are.

    `alive_at` is when a process that reads the sources was last known to run, None where none ever did. Without
    `is_running` what is said of the sources is as old as that.
    """

    version: str
    sources: tuple[SourceRow, ...]
    pending: int
    firing: int
    acknowledged: int
    waiting: int
    oldest_at: datetime | None
    alive_at: datetime | None
    is_running: bool
    silences: int = 0
    on_call: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert and the message it is in."""

    alert: Alert
    group: int | None
    channel: str | None
    message_ts: str | None


@dataclass(frozen=True, slots=True)
class StatRow:
    """Growth of one configuration's counters over (start, end]; None for a counter that is unknown."""

    source: str
    ai_llm: str
    name: str
    start: datetime
    end: datetime
    baseline_at: datetime
    metrics: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Stats:
    """Growth of every counter, a row an LLM. `coverage` says from when on it is counted, and what is not in it."""

    rows: tuple[StatRow, ...]
    window: Window
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule did or did not make an alert of one series at one evaluation, and why people did or did not hear of it."""

    rule: Rule
    finding: Finding
    at: datetime
    before: State
    after: State
    reason: str
    alert: int | None = None
    heard: str = ""


_CONDITION = {
    Verdict.TRUE: "condition met",
    Verdict.FALSE: "condition not met",
    Verdict.UNKNOWN: "condition unknown",
}


def explain_lines(found: Explanation) -> list[str]:
    """An explanation in sentences, one a line."""
    finding, rule = found.finding, found.rule
    name = finding.series.labels.get("name") or finding.series.key
    unit = rule.unit
    seen = format_amount(Fraction(finding.value), unit) if finding.value is not None else "unknown"
    lines = [f"{rule.name} on {name} ({finding.series.key}) at {format_moment(found.at)}"]
    lines.append(f"value: {seen} {rule.over}; {_CONDITION[finding.verdict]}" + _limit(found))
    if finding.baseline_at is not None:
        lines.append(f"counted since the reading of {format_moment(finding.baseline_at)}")
    if finding.note:
        lines.append(finding.note)
    lines += [
        f"{counter_reset.counter.value} fell from {counter_reset.last:,} to {counter_reset.seen:,} at {format_moment(counter_reset.at)}: {counter_reset.kind.value}"
        for counter_reset in finding.counter_resets
    ]
    number = f" A{found.alert}" if found.alert else ""
    became = "" if found.before is found.after else f"{found.before.value} → "
    lines.append(f"alert{number}: {became}{_standing(found)}")
    if found.heard:
        lines.append(found.heard)
    return lines


def _standing(found: Explanation) -> str:
    """How the alert stands, and why: `not firing, the condition is still not met`."""
    state = "not firing" if found.after is State.NONE else found.after.value
    reason = "the condition is still not met" if found.reason == Reason.STILL_FALSE.value else found.reason
    return f"{state}, {reason}" if found.before is found.after else f"{state}, because {reason}"


def _limit(found: Explanation) -> str:
    if found.finding.threshold is None:
        return ""
    rule, severity = found.rule, found.finding.severity
    level = f", {severity.value}" if severity is not None else ""
    is_forecast = isinstance(rule.condition, Budget) and rule.condition.forecast and severity is Severity.INFO
    ahead = "forecast of " if is_forecast else ""
    return f" ({ahead}{rule.comparison} {format_amount(found.finding.threshold, rule.unit)}{level})"


def explanation_json(found: Explanation) -> dict[str, Any]:
    finding = found.finding
    return {
        "rule": found.rule.name,
        "series": finding.series.key,
        "ai_llm": finding.series.labels.get("ai_llm"),
        "name": finding.series.labels.get("name"),
        "at": _time(found.at),
        "condition": finding.verdict.value,
        "value": _exact(None if finding.value is None else Fraction(finding.value)),
        "threshold": _exact(finding.threshold),
        "unit": found.rule.unit,
        "severity": finding.severity.value if finding.severity else None,
        "baseline_at": _time(finding.baseline_at),
        "gap_seconds": None if finding.gap is None else finding.gap.total_seconds(),
        "note": finding.note,
        "falls": [
            {
                "counter": counter_reset.counter.value,
                "kind": counter_reset.kind.value,
                "at": _time(counter_reset.at),
                "from": counter_reset.last,
                "to": counter_reset.seen,
            }
            for counter_reset in finding.counter_resets
        ],
        "before": found.before.value,
        "after": found.after.value,
        "reason": found.reason,
        "alert": None if found.alert is None else f"A{found.alert}",
        "heard": found.heard,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_moment(moment)


def _exact(amount: Fraction | None) -> int | float | None:
    """A JSON integer of any size where the amount is whole."""
    if amount is None:
        return None
    return amount.numerator if amount.denominator == 1 else float(amount)


def status_json(report: StatusReport) -> dict[str, Any]:
    return {
        "version": report.version,
        "alive_at": _time(report.alive_at),
        "sources": [
            {
                "name": row.name,
                "state": row.state.value,
                "last_reading_at": _time(row.last_reading_at),
                "configurations": row.configurations,
            }
            for row in report.sources
        ],
        "alerts": {"pending": report.pending, "firing": report.firing, "acknowledged": report.acknowledged},
        "outbox": {"waiting": report.waiting, "oldest_at": _time(report.oldest_at)},
        "silences": report.silences,
        "on_call": dict(report.on_call or {}),
    }


def alert_json(row: AlertRow) -> dict[str, Any]:
    alert = row.alert
    return {
        "id": f"A{alert.number}",
        "group": None if row.group is None else f"G{row.group}",
        "rule": alert.rule,
        "source": alert.labels.get("source"),
        "ai_llm": alert.labels.get("ai_llm"),
        "name": alert.labels.get("name"),
        "series": alert.series,
        "state": alert.state.value,
        "severity": shown_severity(alert).value,
        "peak_severity": alert.worst.value,
        "value": _exact(alert.value),
        "threshold": _exact(alert.threshold),
        "unit": alert.unit,
        "started_at": _time(alert.started_at or alert.pending_since),
        "resolved_at": _time(alert.resolved_at),
        "acknowledged_by": alert.acknowledged_by or None,
        "acknowledged_at": _time(alert.acknowledged_at),
        "taken_by": alert.taken_by or None,
        "taken_at": _time(alert.taken_at),
        "channel": row.channel,
        "message_ts": row.message_ts,
    }


CSV_COLUMNS = (
    "id",
    "severity",
    "peak_severity",
    "state",
    "rule",
    "source",
    "ai_llm",
    "name",
    "value",
    "threshold",
    "unit",
    "started_at",
    "resolved_at",
    "acknowledged_by",
)


def alerts_csv(alerts: Sequence[Alert]) -> str:
    """Alerts as CSV for a spreadsheet, a header first. Foreign text cannot become a formula there, nor an id a number.

    The byte order mark tells Excel that it is UTF-8.
    """
    sheet = io.StringIO()
    sheet.write("\ufeff")
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for alert in alerts:
        row = alert_json(AlertRow(alert, None, None, None))
        writer.writerow([_cell(row[column]) for column in CSV_COLUMNS])
    return sheet.getvalue()


def _cell(value: object) -> object:
    """A spreadsheet takes some texts for formulas or numbers, and keeps 15 digits of a number; an apostrophe makes it a text."""
    if value is None:
        return ""
    text = str(value)
    is_formula = isinstance(value, str) and text[:1] in {"=", "+", "-", "@", "\t", "\r"}
    is_rounded = bool(_LONG_NUMBER.fullmatch(text) or (isinstance(value, str) and _POWER_OF_TEN.fullmatch(text)))
    return f"'{text}" if is_formula or is_rounded else value


_LONG_NUMBER = re.compile(r"[0-9]{16,}")
_POWER_OF_TEN = re.compile(r"[0-9]+(?:\.[0-9]+)?[eE][0-9]+")


def stat_json(row: StatRow) -> dict[str, Any]:
    return {
        "source": row.source,
        "ai_llm": row.ai_llm,
        "name": row.name,
        "from": _time(row.start),
        "to": _time(row.end),
        "baseline_at": _time(row.baseline_at),
        **row.metrics,
    }


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule by name: `rule` where it holds, `stored` where it was made in Slack, and why it does not hold."""

    name: str
    rule: Rule | None
    stored: StoredRule | None = None
    why_not: str = ""

    @property
    def origin(self) -> str:
        """Where it comes from, in a word or two."""
        if self.stored is not None:
            return "Slack"
        return "built-in" if self.rule is not None and self.rule.builtin else "configuration"


def listed_rule_json(listed: ListedRule) -> dict[str, Any]:
    rule, stored = listed.rule, listed.stored
    found: dict[str, Any] = {
        "name": listed.name,
        "from": listed.origin.lower(),
        "holds": rule is not None and rule.enabled,
        "why_not": listed.why_not,
        "type": rule.kind if rule else None,
        "metrics": list(rule.metrics) if rule else [],
        "per": rule.per if rule else None,
        "description": rule.description if rule else "",
    }
    if stored is not None:
        found |= {"keys": dict(stored.keys), "made_by": stored.made_by, "made_at": _time(stored.made_at)}
        found |= {"changed_by": stored.changed_by, "changed_at": _time(stored.changed_at)}
    return found


def rule_change_json(change: RuleChange) -> dict[str, Any]:
    who = {"at": _time(change.at), "who": change.who, "deed": change.change_type.value}
    return {**who, "rule": change.rule, "keys": dict(change.keys)}


def silence_json(silence: Silence) -> dict[str, Any]:
    return {
        "id": silence.number,
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at": _time(silence.starts_at),
        "ends_at": _time(silence.ends_at),
        "author": silence.author,
        "comment": silence.comment,
        "problem": silence.problem or None,
    }
