"""Holds what came of a test against what it expects, and finds out why it is otherwise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from fractions import Fraction
from glob import escape

from alertbot.domain.alerts import Alert, State
from alertbot.domain.decisions import announced
from alertbot.domain.findings import Verdict
from alertbot.domain.formatting import format_amount
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.domain.reports import Explanation
from alertbot.domain.rules import Rule
from alertbot.domain.times import format_duration_short
from alertbot.errors import UsageError
from alertbot.flows.evaluate import EvaluationContext
from alertbot.queries.explain import explain
from alertbot.rule_tests.keys import Expectation, HeardNotification
from alertbot.rule_tests.reading import RuleTest
from alertbot.store import alerts, groups, outbox
from alertbot.store.alerts import Change
from alertbot.store.database import Database, Tx

_LIVE = [State.PENDING, State.FIRING]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was expected and did not come, or came and was not expected; `at` counts from the start."""

    at: timedelta
    about: str
    expected: str
    got: str
    why: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A test on its database, with what is watched there."""

    test: RuleTest
    context: EvaluationContext
    database: Database


def since_start(test: RuleTest, moment: datetime) -> timedelta:
    """How far into the test a moment is, in whole seconds: what ends "inclusive" is acted on a millisecond later."""
    return timedelta(seconds=(moment - test.start) // timedelta(seconds=1))


# --- states -----------------------------------------------------------------------------------------------------------


def compare_state(stage: Stage, expected: Expectation, now: datetime) -> Iterator[Difference]:
    """How an alert stands now, as far as the expectation names it."""
    series = stage.test.series_of(expected)
    with stage.database.reading() as tx:
        found = [
            alert
            for alert in alerts.listed(tx, states=_LIVE)
            if alert.rule == expected.alert and series in {None, alert.series}
        ]
    about = " ".join(filter(None, (expected.alert, expected.source, expected.llm, expected.series)))
    if len(found) > 1 and expected.state is not State.NONE:
        got = ", ".join(sorted(alert.series for alert in found))
        yield Difference(expected.at, about, _wanted(expected), f"{len(found)} alerts", f"say which: {got}")
        return
    alert = found[0] if found else None
    if not _fits(expected, alert):
        why = _why(stage, expected.alert, series or (alert.series if alert else None), now)
        yield Difference(expected.at, about, _wanted(expected), _standing(expected, alert), why)


def _fits(expected: Expectation, alert: Alert | None) -> bool:
    if alert is None:
        return expected.state is State.NONE
    return (
        expected.state in {None, alert.state}
        and expected.severity in {None, alert.severity}
        and (expected.value is None or expected.value.fits(alert.value))
        and (expected.threshold is None or expected.threshold.fits(alert.threshold))
        and (expected.note is None or expected.note in alert.note)
    )


def _wanted(expected: Expectation) -> str:
    parts = [part.value for part in (expected.state, expected.severity) if part is not None]
    parts += [f"value {expected.value.written}"] if expected.value is not None else []
    parts += [f"threshold {expected.threshold.written}"] if expected.threshold is not None else []
    parts += [f'note "{expected.note}"'] if expected.note is not None else []
    return ", ".join(parts)


def _standing(expected: Expectation, alert: Alert | None) -> str:
    """The same of the alert as it is."""
    if alert is None:
        return State.NONE.value
    parts = [alert.state.value]
    parts += [alert.severity.value] if expected.severity is not None else []
    parts += [f"value {_number(alert.value)}"] if expected.value is not None else []
    parts += [f"threshold {_number(alert.threshold)}"] if expected.threshold is not None else []
    parts += [f'note "{alert.note}"'] if expected.note is not None else []
    return ", ".join(parts)


def _number(value: Fraction | None) -> str:
    if value is None:
        return "unknown"
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"


def _why(stage: Stage, name: str, series: str | None, now: datetime) -> str:
    """What the rule sees of the series, and what last changed its alert."""
    rule = next(rule for rule in stage.context.rules if rule.name == name)
    told = []
    if not rule.enabled:
        told.append("the rule is not enabled")
    elif not rule.is_about_readings:
        told.append(_seen(stage, rule, series, now))
    if series is not None:
        with stage.database.reading() as tx:
            changes = alerts.changes_of(tx, name, series, until=now)
        told += [_changed(stage.test, changes[0])] if changes else []
    return "; ".join(told) or "it never fired until then"


def _seen(stage: Stage, rule: Rule, series: str | None, now: datetime) -> str:
    context = stage.context
    if rule.name in context.broken:
        return "the rule cannot be evaluated"
    pattern = None if series is None else escape(series)
    try:
        found = explain(
            stage.database, context.rules, context.intervals, name=rule.name, llm=pattern, at=now, prices=context.prices
        )
    except UsageError as error:  # not selected, or not read yet
        return str(error)
    return _sight(found[0], named=series is None)


def _sight(found: Explanation, *, named: bool) -> str:
    finding, rule = found.finding, found.rule
    about = f" on {finding.series.key}" if named else ""
    if finding.verdict is Verdict.UNKNOWN:
        return f"the value{about} is unknown: {finding.note}"
    told = [f"sees {format_amount(finding.value, rule.unit)} {rule.over}{about}"] if finding.value is not None else []
    if told and finding.threshold is not None and rule.kind != "absence":
        needs = "" if finding.verdict is Verdict.TRUE else "needs "
        told.append(f"{needs}{rule.comparison} {format_amount(finding.threshold, '%' if rule.unit == '%' else '')}")
    told += [finding.note] if finding.note else []
    told += [
        f"{counter_reset.counter.value} fell from {counter_reset.last:,} to {counter_reset.seen:,} ({counter_reset.kind.value})"
        for counter_reset in finding.counter_resets
    ]
    return ", ".join(told)


def _changed(test: RuleTest, change: Change) -> str:
    at = format_duration_short(since_start(test, change.at))
    return f"{change.after.value} since {at}: {change.reason}"


# --- what was heard ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Heard:
    """A notification with the alerts that it is about, as (rule, series)."""

    at: timedelta
    notification: Notification
    about: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        return _told(self.notification.kind, ping=self.notification.ping)

    @property
    def line(self) -> str:
        """What its thread says, for people."""
        line = self.notification.lines[0] if self.notification.lines else ""
        for place, who in enumerate(self.notification.people):
            line = line.replace(f"{{{place}}}", who)
        return line


def compare_heard(
    tx: Tx, test: RuleTest, notified_severity: Sequence[tuple[datetime, Notification]]
) -> Iterator[Difference]:
    """The notifications of the rules under test against those expected, in their order.

    Built-in rules count where the test names them, and what operators hear where it expects such a notification.
    """
    if test.keys.heard is None:
        return
    known = {
        alert.number: alert
        for alert in alerts.by_numbers(tx, {n for _, notification in notified_severity for n in notification.about})
    }
    tested = {rule.name for rule in test.ruleset.rules} | named_in(test)
    with_operator = any(expected.kind is NotificationKind.OPERATOR for expected in test.keys.heard)
    heard = []
    for moment, notification in notified_severity:
        about = frozenset((known[number].rule, known[number].series) for number in notification.about)
        if any(rule in tested for rule, _ in about) or (not about and with_operator):
            heard.append(_Heard(since_start(test, moment), notification, about))
    yield from _align(tx, test, test.keys.heard, heard)


def named_in(test: RuleTest) -> set[str]:
    """The rules that a test names."""
    entries = (*test.keys.expect, *(test.keys.heard or ()), *test.keys.acts)
    return {entry.alert for entry in entries if entry.alert is not None}


def report_broken(stage: Stage, name: str, now: datetime) -> Difference:
    """A rule that cannot be evaluated: whatever is expected of it would be found true or false for no reason."""
    with stage.database.reading() as tx:
        notified_severity = [
            line
            for _, notification in outbox.sent_notifications(tx)
            if notification.kind is NotificationKind.OPERATOR
            for line in notification.lines
        ]
    why = next((line for line in reversed(notified_severity) if name in line), "")
    return Difference(since_start(stage.test, now), name, "a rule that can be evaluated", "one that raises", why)


def _align(
    tx: Tx, test: RuleTest, wanted: Sequence[HeardNotification], heard: Sequence[_Heard]
) -> Iterator[Difference]:
    """In order by time and kind, so that one that is missing does not make all after it differ."""
    keys = [(one.at, one.kind) for one in wanted], [(one.at, one.notification.kind) for one in heard]
    for tag, first, last, start, end in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        pair_up = zip if tag == "equal" else _paired
        for expected, got in pair_up(wanted[first:last], heard[start:end]):
            if expected is None or got is None or not _is_meant(test, expected, got):
                yield _unlike(tx, test, expected, got)


def _paired(
    wanted: Sequence[HeardNotification], heard: Sequence[_Heard]
) -> Iterator[tuple[HeardNotification | None, _Heard | None]]:
    """What came in place of each that was expected: another kind then, or the same at another time; and what came besides."""
    rest = list(heard)
    for expected in wanted:
        got = next((one for one in rest if one.at == expected.at or one.notification.kind is expected.kind), None)
        if got is not None:
            rest.remove(got)
        yield expected, got
    yield from ((None, got) for got in rest)


def _is_meant(test: RuleTest, expected: HeardNotification, got: _Heard) -> bool:
    series = test.series_of(expected)
    if (expected.at, expected.kind) != (got.at, got.notification.kind):
        return False
    return expected.ping in {None, got.notification.ping} and (
        any(expected.alert in {None, rule} and series in {None, key} for rule, key in got.about)
        or (expected.alert is None and series is None)
    )


def _unlike(tx: Tx, test: RuleTest, expected: HeardNotification | None, got: _Heard | None) -> Difference:
    wanted, came = "nothing", "nothing"
    if expected is not None:
        about = " ".join(filter(None, (expected.alert, expected.source, expected.llm, expected.series)))
        wanted = _told(expected.kind, ping=expected.ping) + (f" about {about}" if about else "")
    if got is None:
        assert expected is not None, "one of the two is there"
        return Difference(expected.at, "heard", wanted, came, _silence(tx, test, expected))
    came = str(got)
    if expected is not None and expected.at != got.at:
        came += f" at {format_duration_short(got.at)}"
    if len(test.ruleset.rules) > 1 or (expected is not None and (expected.alert or expected.llm or expected.series)):
        came += f" about {', '.join(sorted(f'{rule} {series}' for rule, series in got.about)) or 'the bot itself'}"
    return Difference(expected.at if expected is not None else got.at, "heard", wanted, came, got.line)


def _told(kind: NotificationKind, *, ping: bool | None) -> str:
    return kind.value if ping is None else f"{kind.value}, {'pings' if ping else 'no ping'}"


def _silence(tx: Tx, test: RuleTest, expected: HeardNotification) -> str:
    """Why nothing was said at a moment: the last decision about a message of the rules under test."""
    until = test.start + expected.at + timedelta(seconds=1)
    series = test.series_of(expected)
    decided = [
        decision
        for alert in alerts.listed(tx, states=[*_LIVE, State.RESOLVED])
        if expected.alert in {None, alert.rule} and series in {None, alert.series}
        for decision in [groups.last_decision(tx, alert.number, until=until)]
        if decision is not None
    ]
    if not decided:
        return "no alert had fired until then"
    group, moment, why, kinds = max(decided, key=lambda decision: decision[1])
    return f"G{group} at {format_duration_short(since_start(test, moment))}: {announced(why, kinds)}"
