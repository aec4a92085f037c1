"""An alert: a rule's memory for one series. How it begins, changes and ends, and what people do to it.

                       true, `for` is 0
        ┌───────────────────────────────────────────────┐
        │                                               ▼
     (none) ── true, `for` > 0 ──▶ pending ── true for ─▶ firing ──────── false, `keep_firing` is 0 ──▶ resolved
        ▲                            │       `for`      │  ▲                                               ▲
        └─────────── false ──────────┘       rise, fall │  │ true again                                    │
                                             in place ◀─┘  │                                               │
                                                           │                                               │
                                           firing ── false ─▶ firing, kept ── false for `keep_firing` ─────┘

Three more ways to the end: the rule was changed or removed, a budget's period ended, and what should not be absent was
deleted; a pending alert then is none.
An unknown finding moves nothing.
Between resolved and the next firing there is no way back: that is a new alert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.rules import Absence, Budget, Rule, Severity


class State(StrEnum):
    """Where an alert stands. `none` is a pending one that ended before it fired; a kept alert is firing."""

    NONE = "none"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"

    @property
    def is_open(self) -> bool:
        return self in {State.PENDING, State.FIRING}


class Reason(StrEnum):
    """Why an alert changed, or why it did not."""

    BECAME_TRUE = "the condition became true"
    WAITS = "true, waiting for its `for`"
    HELD = "true for the whole of its `for`"
    NOT_HELD = "false before its `for` was over"
    STILL_TRUE = "still true"
    STILL_FALSE = "still false"
    UNKNOWN = "the value is unknown"
    ROSE = "the severity rose"
    FELL = "the severity fell"
    STAYS = "no longer beyond the threshold, but not yet clear of it"
    KEPT = "false, but kept firing for its `keep_firing`"
    TRUE_AGAIN = "true again while it was kept firing"
    ENDED = "the condition ended"
    PERIOD_ENDED = "the budget's period ended"
    GONE = "gone"  # deleted, so nothing of it can be waited for
    ALREADY_NOTIFIED = "this level was already notified in this period"
    RULE_CHANGED = "rule changed"
    RULE_REMOVED = "rule removed"
    DESELECTED = "the rule no longer selects it"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `number` is 0 until the store gave it one; people see it as `A42`.

    `value`, held by `comparison` against `threshold`, is in `unit`, counted `over` such as "in 15 min"; `amount` is a budget's.
    `peak` and `peak_severity` are what it was at its worst. `spoken`, `spoken_at` and `period` are a budget's memory: the
    highest level that spoke in the period which ends at `period`, and the amount at which that level stood. `taken_by` and
    `taken_at` tell of an acknowledgement that a rise in severity has broken.
    """

    rule: str
    identity: str
    series: str
    labels: Mapping[str, str]
    kind: str
    state: State
    severity: Severity
    unit: str
    pending_since: datetime
    comparison: str = ""
    over: str = ""
    value: Fraction | None = None
    peak: Fraction | None = None
    peak_severity: Severity | None = None
    threshold: Fraction | None = None
    amount: Fraction | None = None
    started_at: datetime | None = None
    keeping_since: datetime | None = None
    resolved_at: datetime | None = None
    baseline_at: datetime | None = None
    note: str = ""
    period: datetime | None = None
    notified_severity: Severity | None = None
    notified_amount: Fraction | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    taken_by: str = ""
    taken_at: datetime | None = None
    snoozed_until: datetime | None = None
    assigned_to: str = ""
    is_gone: bool = False
    number: int = 0
    version: int = 0

    @property
    def worst(self) -> Severity:
        """How bad it was at its worst."""
        return self.peak_severity or self.severity


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert after an evaluation, how it stood before, and why. `is_change` tells a change of state or severity."""

    alert: Alert
    before: State
    reason: Reason
    at: datetime
    finding: Finding | None = None
    is_change: bool = field(default=True)

    @property
    def is_easing(self) -> bool:
        """Whether the alert ends or falls because of what its rule says. The end of a budget's period is no rule's doing."""
        ends = self.before.is_open and not self.alert.state.is_open and self.reason is not Reason.PERIOD_ENDED
        return ends or self.reason is Reason.FELL


def advance(rule: Rule, alert: Alert | None, finding: Finding, now: datetime) -> tuple[Transition, ...]:
    """What one finding makes of the alert of its series; empty where there is nothing to write.

    `alert` is the open one, or for a budget the last one of the period. Two transitions come where a budget's period
    ended and the new one is over a level at once.
    """
    if finding.verdict is Verdict.UNKNOWN:
        return ()
    return tuple(_worded(rule, transition) for transition in _move(rule, alert, finding, now))


def _worded(rule: Rule, transition: Transition) -> Transition:
    """With the rule's present words, so that a message never shows a threshold of today with a window of yesterday."""
    alert = transition.alert
    amount = rule.condition.amount if isinstance(rule.condition, Budget) else None
    if (alert.comparison, alert.over, alert.amount) == (rule.comparison, rule.over, amount):
        return transition
    return replace(transition, alert=replace(alert, comparison=rule.comparison, over=rule.over, amount=amount))


def _move(rule: Rule, alert: Alert | None, finding: Finding, now: datetime) -> tuple[Transition, ...]:
    if alert is not None and alert.period is not None and alert.period < now:
        ended = (close(alert, now, Reason.PERIOD_ENDED),) if alert.state.is_open else ()
        return ended + _begin(rule, None, finding, now)
    if alert is None or not alert.state.is_open:
        return _begin(rule, alert, finding, now)
    if alert.state is State.PENDING:
        return _wait(rule, alert, finding, now)
    return _go_on(rule, alert, finding, now)


def _begin(rule: Rule, last: Alert | None, finding: Finding, now: datetime) -> tuple[Transition, ...]:
    if finding.verdict is not Verdict.TRUE or finding.severity is None:
        return ()
    if last is not None and last.period == finding.period and _was_notified(rule, last, finding.severity):
        return ()
    alert = Alert(
        rule=rule.name,
        identity=rule.identity,
        series=finding.series.key,
        labels=labels_of(rule, finding),
        kind=rule.kind,
        state=State.PENDING,
        severity=finding.severity,
        unit=rule.unit,
        pending_since=now,
    )
    if last is not None and last.period == finding.period:
        alert = replace(alert, notified_severity=last.notified_severity, notified_amount=last.notified_amount)
    if rule.hold:
        return (Transition(_seen(alert, finding), State.NONE, Reason.WAITS, now, finding),)
    return (Transition(_fire(rule, alert, finding, now), State.NONE, Reason.BECAME_TRUE, now, finding),)


def _was_notified(rule: Rule, alert: Alert, severity: Severity) -> bool:
    """Whether a budget has said this in its period, or worse. A level is one of an amount: another amount is armed anew."""
    if alert.notified_severity is None or severity.rank > alert.notified_severity.rank:
        return False
    return _level_at(rule, alert.notified_severity) == alert.notified_amount


def _level_at(rule: Rule, severity: Severity | None) -> Fraction | None:
    """The amount at which a level of a budget stands; that of a forecast is the whole amount."""
    condition = rule.condition
    if severity is None or not isinstance(condition, Budget):
        return None
    if condition.forecast and severity is Severity.INFO:
        return condition.amount
    percent = dict(condition.levels.thresholds).get(severity)
    return None if percent is None else condition.amount * percent / 100


def labels_of(rule: Rule, finding: Finding) -> dict[str, str]:
    """What routes and silences see of an alert, but for its severity: the series' labels, the rule's, and its name."""
    builtin = {"builtin": "true"} if rule.builtin else {}
    return {**finding.series.labels, **rule.labels, **builtin, "rule": rule.name}


def labels_with_severity(alert: Alert) -> dict[str, str]:
    """All labels of an alert."""
    return {**alert.labels, "severity": alert.severity.value}


def _wait(rule: Rule, alert: Alert, finding: Finding, now: datetime) -> tuple[Transition, ...]:
    severity = finding.severity or alert.severity
    # An absence of growth lasts until growth is seen again, also when the window before has become empty.
    holds = finding.verdict is Verdict.TRUE or (finding.stays and isinstance(rule.condition, Absence))
    if not holds or _was_notified(rule, alert, severity):
        return (close(alert, now, Reason.NOT_HELD, finding),)
    if now - alert.pending_since >= rule.hold:
        return (Transition(_fire(rule, alert, finding, now), State.PENDING, Reason.HELD, now, finding),)
    waiting = _seen(replace(alert, severity=severity), finding)
    if waiting == alert:
        return ()
    is_change = waiting.severity is not alert.severity
    return (Transition(waiting, State.PENDING, Reason.WAITS, now, finding, is_change=is_change),)


def _go_on(rule: Rule, alert: Alert, finding: Finding, now: datetime) -> tuple[Transition, ...]:
    if finding.verdict is Verdict.TRUE or finding.stays:
        return _still(rule, alert, finding, now)
    if finding.is_gone:
        return (close(alert, now, Reason.GONE, finding),)
    if rule.keep_firing and alert.keeping_since is None:
        kept = _seen(_keeping(alert, now), finding)
        return (Transition(kept, State.FIRING, Reason.KEPT, now, finding),)
    if alert.keeping_since is not None and now - alert.keeping_since < rule.keep_firing:
        return _unchanged(alert, finding, Reason.KEPT, now)
    return (close(alert, now, Reason.ENDED, finding),)


def _keeping(alert: Alert, since: datetime | None) -> Alert:
    return alert if alert.keeping_since == since else replace(alert, keeping_since=since)


def _still(rule: Rule, before: Alert, finding: Finding, now: datetime) -> tuple[Transition, ...]:
    """A firing alert that goes on firing, at the severity that is true now."""
    alert = _keeping(before, None)
    severity = finding.severity or before.severity
    if severity is before.severity and alert is before:
        plain = Reason.STILL_TRUE if finding.verdict is Verdict.TRUE else Reason.STAYS
        return _unchanged(alert, finding, plain, now)
    if severity.rank > before.severity.rank:
        reason = Reason.ROSE
    elif severity.rank < before.severity.rank:
        reason = Reason.FELL
    else:
        reason = Reason.TRUE_AGAIN
    changed = _seen(replace(alert, severity=severity), finding)
    if reason is Reason.ROSE:
        changed = _risen(rule, changed)
    elif changed.notified_severity is not None:
        is_of_this_amount = _level_at(rule, changed.notified_severity) == changed.notified_amount
        if not is_of_this_amount:
            changed = replace(changed, notified_severity=severity, notified_amount=_level_at(rule, severity))
    return (Transition(changed, State.FIRING, reason, now, finding),)


def _risen(rule: Rule, alert: Alert) -> Alert:
    """The alert after its severity rose, which people hear; that breaks an acknowledgement, for it was of something less bad."""
    worst = max(alert.worst, alert.severity, key=lambda severity: severity.rank)
    alert = replace(alert, peak_severity=worst)
    if alert.acknowledged_at is not None:
        alert = replace(
            alert,
            taken_by=alert.acknowledged_by,
            taken_at=alert.acknowledged_at,
            acknowledged_by="",
            acknowledged_at=None,
        )
    is_budget_with_news = alert.notified_severity is not None and not _was_notified(rule, alert, alert.severity)
    if not is_budget_with_news:
        return alert
    return replace(alert, notified_severity=alert.severity, notified_amount=_level_at(rule, alert.severity))


def _unchanged(alert: Alert, finding: Finding, reason: Reason, now: datetime) -> tuple[Transition, ...]:
    seen = _seen(alert, finding)
    return () if seen == alert else (Transition(seen, alert.state, reason, now, finding, is_change=False),)


def _seen(alert: Alert, finding: Finding) -> Alert:
    """The alert with what was last seen of its series."""
    if finding.value is None:
        return alert
    value = Fraction(finding.value)
    worse = min if finding.less_is_worse else max
    return replace(
        alert,
        value=value,
        peak=value if alert.peak is None else worse(alert.peak, value),
        threshold=finding.threshold,
        baseline_at=finding.baseline_at,
        note=finding.note,
        period=finding.period,
    )


def _fire(rule: Rule, alert: Alert, finding: Finding, now: datetime) -> Alert:
    severity = finding.severity or alert.severity
    fired = replace(
        _seen(alert, finding), state=State.FIRING, started_at=now, severity=severity, peak_severity=severity
    )
    notified_severity = None if finding.period is None else severity
    return replace(fired, notified_severity=notified_severity, notified_amount=_level_at(rule, notified_severity))


def close(alert: Alert, now: datetime, reason: Reason, finding: Finding | None = None) -> Transition:
    """End an open alert: because of what was found, or of its rule (changed, removed, or no longer selecting it)."""
    after = State.NONE if alert.state is State.PENDING else State.RESOLVED
    ended = replace(alert, state=after, resolved_at=now, keeping_since=None, is_gone=reason is Reason.GONE)
    return Transition(ended, alert.state, reason, now, finding)


def advance_all(
    rule: Rule, mine: Mapping[str, Alert], findings: Sequence[Finding], *, source: str | None, now: datetime
) -> list[Transition]:
    """What the findings of a rule make of its alerts, `mine` by series: the open ones, and a budget's last of the period.

    `source` is the one that was judged, None for the sources themselves. What is there no more is closed.
    """
    changed: list[Transition] = []
    for finding in findings:
        alert = mine.get(finding.series.key)
        if alert is None and finding.severity is None:
            continue
        if alert is not None and not alert.state.is_open and not is_budget(rule):
            alert = None
        changed += advance(rule, alert, finding, now)
    judged = {finding.series.key for finding in findings}
    for key, alert in mine.items():
        looked_at = source is not None and alert.labels.get("source") in {None, source}
        if key not in judged and alert.state.is_open and looked_at:
            changed.append(close(alert, now, Reason.DESELECTED))
    return changed


def is_budget(rule: Rule) -> bool:
    """Whether alerts of the rule remember their period."""
    return isinstance(rule.condition, Budget)


class ActionType(StrEnum):
    """What a person can do to an alert."""

    ACKNOWLEDGE = "acknowledge"
    UNACKNOWLEDGE = "unacknowledge"
    SNOOZE = "snooze"
    ASSIGN = "assign"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Action:
    """What a person did: who, when, what. `key` is the same for every delivery of the same click or command.

    `has_fixed_end` says that they named the moment `until`, such as tomorrow at nine; else they named a length of time.
    """

    kind: ActionType
    who: str
    at: datetime
    key: str
    text: str = ""
    until: datetime | None = None
    has_fixed_end: bool = False


class Outcome(StrEnum):
    """What became of an act on one alert."""

    DONE = "done"
    ALREADY = "it was so already"
    TOO_LATE = "the alert had ended"


def act_on(alert: Alert, act: Action) -> tuple[Alert, Outcome]:
    """The alert after a person's act. What comes after the end changes nothing but may be remembered as a comment."""
    if not alert.state.is_open and act.kind is not ActionType.COMMENT:
        return alert, Outcome.TOO_LATE
    match act.kind:
        case ActionType.ACKNOWLEDGE:
            changed = replace(alert, acknowledged_by=act.who, acknowledged_at=act.at, taken_by="", taken_at=None)
            return (alert, Outcome.ALREADY) if alert.acknowledged_at is not None else (changed, Outcome.DONE)
        case ActionType.UNACKNOWLEDGE:
            changed = replace(alert, acknowledged_by="", acknowledged_at=None)
            return (alert, Outcome.ALREADY) if alert.acknowledged_at is None else (changed, Outcome.DONE)
        case ActionType.SNOOZE:
            changed = replace(alert, snoozed_until=act.until)
            return (alert, Outcome.ALREADY) if changed == alert else (changed, Outcome.DONE)
        case ActionType.ASSIGN:
            changed = replace(alert, assigned_to=act.text)
            return (alert, Outcome.ALREADY) if changed == alert else (changed, Outcome.DONE)
        case ActionType.COMMENT:
            return alert, Outcome.DONE
