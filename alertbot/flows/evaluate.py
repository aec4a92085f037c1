"""Flow 2: snapshots → findings → transitions → alerts and outbox, in one transaction a reading."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from alertbot.domain import operator_texts
from alertbot.domain.alerts import Alert, Reason, Transition, advance_all, close
from alertbot.domain.datasets import feed_name, feed_of
from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.history import History
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.domain.points import Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.routes import Route
from alertbot.domain.rules import SOURCE_BLIND, Absence, Rule, Selector, Severity
from alertbot.flows.load_history import (
    Histories,
    RuleErrorHandler,
    dataset_of,
    judged_at,
    load_history,
    states_of_feeds,
)
from alertbot.flows.notify import assign_to_groups, notify_groups
from alertbot.flows.operator_alerts import notify_operators
from alertbot.flows.rule_conflicts import NO_CONFLICT, RuleConflict, find_conflict, register_rules, report_conflict
from alertbot.flows.rulebook import Rulebook
from alertbot.store import alerts, outbox, rule_errors, silences, sources
from alertbot.store.database import Database, Tx
from alertbot.store.recent import Recent

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What is watched and who hears of it: the configuration, as far as evaluation needs it.

    `rules` holds the built-in ones too; `operator_channel` hears of a rule that raises. Those that people made are in `book`:
    `present` has them all, with the names of those that stand there but cannot be read. `process` is the name under which
    other processes on the same database see our rule file (empty: nobody else is there); `conflict` is how theirs differ.
    `recent` is what was read lately: without it everything is loaded again.
    """

    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]
    intervals: Mapping[str, timedelta]
    operator_channel: str
    prices: Prices = NOTHING_PRICED
    broken: set[str] = field(default_factory=set)  # rules that raised when they were last evaluated
    book: Rulebook | None = None
    unread: frozenset[str] = frozenset()
    process: str = ""
    conflict: RuleConflict = NO_CONFLICT
    recent: Recent = field(default_factory=Recent)

    def present(self, tx: Tx) -> "EvaluationContext":
        """With the rules that people made, as they are now. Asked for when it is our turn: nobody goes back to older ones."""
        if self.book is None:
            return self
        kept = self.book.kept(tx)
        return replace(self, rules=(*self.rules, *kept.rules), book=None, unread=frozenset(kept.unread))


def blind_rule(source: str, after: timedelta) -> Rule:
    """The built-in rule that a source which cannot be read for `after` is told as an alert."""
    return Rule(
        name=SOURCE_BLIND,
        condition=Absence(metric=None, window=after, severity=Severity.WARNING),
        per="source",
        where=Selector((("source", (_literal(source),)),)),
        description="The source cannot be read. The rules that need it are suspended until it answers.",
        builtin=True,
    )


def _literal(name: str) -> str:
    """A glob that means just this name."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def evaluate(
    database: Database,
    context: EvaluationContext,
    *,
    now: datetime,
    clock: Callable[[], datetime] | None = None,
    is_clock_right: Callable[[Tx], bool] = lambda _: True,
) -> int:
    """Evaluate every reading that none has seen yet, oldest first, then what depends on the clock alone.

    Returns the number of readings evaluated. Each reading is judged as of its own time, also after a restart. `clock` is
    asked for the present again once it is our turn: a look that had to wait must not undo what another replica saw later.
    Nothing is judged by a clock that `is_clock_right` says to be wrong.
    """
    evaluated = 0
    with database.reading() as tx:
        waiting = sources.pending_evaluation(tx, _feeds(context))
    for name in waiting:
        evaluated += _evaluate_next(database, context, name, now)
    with database.transaction() as tx:
        database.one_at_a_time(tx)
        if not is_clock_right(tx):
            return evaluated
        if clock is not None:
            now = clock()
        if context.book is not None:
            context.book.report_invalid(tx, operators=context.operator_channel, now=now)
        _report_invalid_silences(tx, operators=context.operator_channel, now=now)
        context = _in_force(tx, context, now)
        if context.process:
            report_conflict(tx, context.process, context.conflict, operators=context.operator_channel, now=now)
        judge(tx, context, [rule for rule in context.rules if rule.is_about_readings], feed=None, now=now)
        _close_orphans(tx, context, now)
        rule_errors.keep_only(tx, [*(rule.name for rule in context.rules), *context.conflict.rules])
    return evaluated


def _report_invalid_silences(tx: Tx, *, operators: str, now: datetime) -> None:
    """Tell the operators once of each silence that mutes nothing because its pattern cannot be used any more."""
    for silence in silences.unreported(tx, now):
        if silence.problem and silences.mark_reported(tx, silence.number):
            log.warning("silence_invalid", silence=silence.number, problem=silence.problem)
            text = operator_texts.silence_invalid(silence.number, silence.problem)
            notify_operators(tx, text, operators=operators, now=now)


def _feeds(context: EvaluationContext) -> list[str]:
    return [feed_name(name, dataset) for name in context.intervals for dataset in Dataset]


def _in_force(tx: Tx, context: EvaluationContext, now: datetime) -> EvaluationContext:
    """With the rules that people made, and with what other running processes know differently."""
    if not context.process:
        return context.present(tx)
    register_rules(tx, context.process, context.rules, context.intervals, now=now)
    context = context.present(tx)
    return replace(context, conflict=find_conflict(tx, context.process, context.rules, now=now))


def _evaluate_next(database: Database, context: EvaluationContext, name: str, now: datetime) -> bool:
    with database.transaction() as tx:
        database.one_at_a_time(tx)
        taken_at = sources.next_to_evaluate(tx, name)
        if taken_at is None:
            return False
        context = _in_force(tx, context, now)
        source, dataset = feed_of(name)
        feeds = sources.feeds(tx, {source: context.intervals[source]}).get(source, {})
        rules = [
            rule
            for rule in context.rules
            if not rule.is_about_readings and dataset_of(rule, feeds, taken_at) is dataset
        ]
        judge(tx, context, [rule for rule in rules if rule.per != "all"], feed=name, now=taken_at)
        everything = [rule for rule in rules if rule.per == "all"]
        if everything:
            # Polls of several sources do not end in the order in which they began. What is judged over all of them must
            # not go back in time, where the growth of the others has not been seen yet.
            newest = sources.evaluated_until(tx, _feeds(context)) or taken_at
            judge(tx, context, everything, feed=name, now=max(taken_at, newest))
    return True


def judge(
    tx: Tx, context: EvaluationContext, rules: Sequence[Rule], *, feed: str | None, now: datetime
) -> list[Transition]:
    """Judge rules as of `now` for the source of a feed (or, without one, for the sources themselves), and write what changes."""
    active = [rule for rule in rules if rule.enabled]
    if not active:
        return []
    source = None if feed is None else feed_of(feed)[0]
    failed: set[str] = set()

    def fail(rule: Rule, error: Exception) -> None:
        """One rule's mistake must not stop the others; its alerts stay as they are."""
        log.error("rule_raised", rule=rule.name, source=source, exc_info=error)
        failed.add(rule.name)
        _report_rule_error(tx, context, rule, source or "", error, now=now)

    seen = _look(tx, context, active, source, now=now, on_error=fail)
    open_alerts = _by_rule(alerts.open_ones(tx, now=now))
    faulty = rule_errors.known(tx)
    changed: list[Transition] = []
    for rule in active:
        if rule.name in failed:
            continue
        try:
            mine = open_alerts.get((rule.name, rule.identity), {})
            changed += advance_all(rule, mine, _check(rule, seen, source, now, mine), source=source, now=now)
        except Exception as error:  # noqa: BLE001 — whatever one rule raises
            fail(rule, error)
        else:
            context.broken.discard(rule.name)
            if (rule.name, source or "") in faulty:
                rule_errors.remove(tx, rule.name, source or "")
    # While processes run with different rules, one would resolve what the other fires again, with a ping each time.
    saved = alerts.save(
        tx, [each for each in changed if not (each.is_easing and each.alert.rule in context.conflict.rules)]
    )
    _tell(tx, context, saved, now=now)
    return saved


def _tell(tx: Tx, context: EvaluationContext, saved: Sequence[Transition], *, now: datetime) -> None:
    # What ended with its period is told first: what the new period brings is another alert, in a message of its own.
    for is_over in (True, False):
        told = [transition for transition in saved if (transition.reason is Reason.PERIOD_ENDED) is is_over]
        if told:
            notify_groups(tx, assign_to_groups(tx, told, context.routes, now=now), now=now)
    for transition in saved:
        if transition.is_change:
            _log(transition)


def _look(
    tx: Tx,
    context: EvaluationContext,
    rules: Sequence[Rule],
    source: str | None,
    *,
    now: datetime,
    on_error: RuleErrorHandler,
) -> Histories | History:
    if source is None:
        return states_of_feeds(tx, context.intervals, context.rules, now)
    return load_history(
        tx, context.intervals, rules, source, now, prices=context.prices, recent=context.recent, on_error=on_error
    )


def _by_rule(found: Sequence[Alert]) -> dict[tuple[str, str], dict[str, Alert]]:
    """Alerts by rule and identity, then series. Of several of one series the newest counts: only that one is open."""
    grouped: dict[tuple[str, str], dict[str, Alert]] = {}
    for alert in found:
        grouped.setdefault((alert.rule, alert.identity), {})[alert.series] = alert
    return grouped


def _check(
    rule: Rule, seen: Histories | History, source: str | None, now: datetime, mine: Collection[str]
) -> list[Finding]:
    history = seen if isinstance(seen, History) else seen.of(rule)
    found = judged_at(rule, history, source, now, keys=mine)
    return found if source is not None else [finding for finding in found if _is_known(rule, finding, now)]


def _is_known(rule: Rule, finding: Finding, now: datetime) -> bool:
    """Whether a finding about a source's readings says something: that it is not blind, only a good reading can say.

    A poller that has just begun has not waited long enough either way.
    """
    assert isinstance(rule.condition, Absence), "the only rules that are judged by the clock"
    was_read = finding.baseline_at is not None and now - finding.baseline_at < rule.condition.window
    return finding.verdict is not Verdict.FALSE or was_read


def _report_rule_error(
    tx: Tx, context: EvaluationContext, rule: Rule, source: str, error: Exception, *, now: datetime
) -> None:
    """The operator hears of each rule that raises once, until it works again everywhere."""
    context.broken.add(rule.name)
    known = rule_errors.known(tx)
    if (rule.name, source) in known:
        return
    rule_errors.add(tx, rule.name, source, now=now)
    if rule.name not in {name for name, _ in known}:
        line = operator_texts.rule_raised(rule.name, type(error).__name__)
        notification = Notification(NotificationKind.OPERATOR, ping=False, lines=(line,))
        outbox.add_alone(tx, notification, channel=context.operator_channel, now=now)


def _is_deselected(alert: Alert, context: EvaluationContext) -> bool:
    """Whether its rule, which is judged by the clock and so sees no readings, no longer means its source."""
    mine = [
        rule
        for rule in context.rules
        if rule.is_about_readings and (rule.name, rule.identity) == (alert.rule, alert.identity)
    ]
    return bool(mine) and not any(rule.enabled and rule.where.selects(alert.labels) for rule in mine)


def _close_orphans(tx: Tx, context: EvaluationContext, now: datetime) -> None:
    """End the alerts whose rule was removed, disabled or became another one."""
    kept = {(rule.name, rule.identity) for rule in context.rules if rule.enabled}
    orphans = [
        alert
        for alert in alerts.open_ones(tx, now=now)
        if alert.state.is_open
        and alert.rule not in context.conflict.rules
        and alert.labels.get("source") not in context.conflict.sources - context.intervals.keys()
        and alert.rule not in context.unread  # a rule that cannot be read was not removed: its alerts stay as they are
        and (
            (alert.rule, alert.identity) not in kept
            or _source_is_gone(alert, context)
            or _is_deselected(alert, context)
        )
    ]
    if not orphans:
        return
    saved = alerts.save(tx, [close(alert, now, _why_orphaned(alert, kept)) for alert in orphans])
    notify_groups(tx, assign_to_groups(tx, saved, context.routes, now=now), now=now)
    for transition in saved:
        _log(transition)


def _why_orphaned(alert: Alert, kept: Collection[tuple[str, str]]) -> Reason:
    if (alert.rule, alert.identity) in kept:
        return Reason.DESELECTED  # its source is watched no more
    return Reason.RULE_CHANGED if alert.rule in {name for name, _ in kept} else Reason.RULE_REMOVED


def _source_is_gone(alert: Alert, context: EvaluationContext) -> bool:
    source = alert.labels.get("source")
    return source is not None and source not in context.intervals


def _log(transition: Transition) -> None:
    alert = transition.alert
    log.info(
        "alert_changed",
        alert=f"A{alert.number}",
        rule=alert.rule,
        series=alert.series,
        before=transition.before.value,
        after=alert.state.value,
        severity=alert.severity.value,
        reason=transition.reason.value,
    )
