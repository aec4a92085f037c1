"""Flow 2: snapshots → findings → transitions → alerts and outbox, in one transaction a reading."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from alertbot.domain.alerts import Alert, Reason, Transition, advance_all, close
from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.history import History
from alertbot.domain.notices import Kind, Notice
from alertbot.domain.planes import feed_name, feed_of
from alertbot.domain.points import Plane
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.routes import Route
from alertbot.domain.rules import SOURCE_BLIND, Absence, Rule, Severity, Where
from alertbot.flows.past import Past, judged_at, load, plane_of, states_of_feeds
from alertbot.flows.rule_conflicts import NO_CONFLICT, RuleConflict, find_conflict, register_rules, report_conflict
from alertbot.flows.rulebook import Rulebook
from alertbot.flows.speak import enroll, speak
from alertbot.flows.trouble import tell_operators
from alertbot.store import alerts, faults, outbox, silences, sources
from alertbot.store.database import Database, Tx

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched and who hears of it: the configuration, as far as evaluation needs it.

    `rules` holds the built-in ones too; `operator_channel` hears of a rule that raises. Those that people made are in `book`:
    `present` has them all, with the names of those that stand there but cannot be read. `process` is the name under which
    other processes on the same database see our rule file (empty: nobody else is there); `conflict` is how theirs differ.
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

    def present(self, tx: Tx) -> "Watch":
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
        where=Where((("source", (_literal(source),)),)),
        description="The source cannot be read. The rules that need it are suspended until it answers.",
        builtin=True,
    )


def _literal(name: str) -> str:
    """A glob that means just this name."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def evaluate(
    database: Database,
    watch: Watch,
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
        waiting = sources.with_news(tx, _feeds(watch))
    for name in waiting:
        evaluated += _evaluate_next(database, watch, name, now)
    with database.transaction() as tx:
        database.one_at_a_time(tx)
        if not is_clock_right(tx):
            return evaluated
        if clock is not None:
            now = clock()
        if watch.book is not None:
            watch.book.tell_unfit(tx, operators=watch.operator_channel, now=now)
        _report_invalid_silences(tx, operators=watch.operator_channel, now=now)
        watch = _in_force(tx, watch, now)
        if watch.process:
            report_conflict(tx, watch.process, watch.conflict, operators=watch.operator_channel, now=now)
        judge(tx, watch, [rule for rule in watch.rules if _by_clock(rule)], feed=None, now=now)
        _close_orphans(tx, watch, now)
        faults.keep_only(tx, [*(rule.name for rule in watch.rules), *watch.conflict.rules])
    return evaluated


def _report_invalid_silences(tx: Tx, *, operators: str, now: datetime) -> None:
    """Tell the operators once of each silence that mutes nothing because its pattern cannot be used any more."""
    for silence in silences.unreported(tx, now):
        if silence.problem and silences.mark_reported(tx, silence.number):
            log.warning("silence_invalid", silence=silence.number, problem=silence.problem)
            text = (
                f"Silence {silence.number} is not valid and mutes nothing: {silence.problem}. "
                "What it was made for is sent; end it and make a new one."
            )
            tell_operators(tx, text, operators=operators, now=now)


def _feeds(watch: Watch) -> list[str]:
    return [feed_name(name, plane) for name in watch.intervals for plane in Plane]


def _in_force(tx: Tx, watch: Watch, now: datetime) -> Watch:
    """With the rules that people made, and with what other running processes know differently."""
    if not watch.process:
        return watch.present(tx)
    register_rules(tx, watch.process, watch.rules, watch.intervals, now=now)
    watch = watch.present(tx)
    return replace(watch, conflict=find_conflict(tx, watch.process, watch.rules, now=now))


def _evaluate_next(database: Database, watch: Watch, name: str, now: datetime) -> bool:
    with database.transaction() as tx:
        database.one_at_a_time(tx)
        taken_at = sources.next_to_evaluate(tx, name)
        if taken_at is None:
            return False
        watch = _in_force(tx, watch, now)
        source, plane = feed_of(name)
        feeds = sources.feeds(tx, {source: watch.intervals[source]}).get(source, {})
        rules = [rule for rule in watch.rules if not _by_clock(rule) and plane_of(rule, feeds, taken_at) is plane]
        judge(tx, watch, [rule for rule in rules if rule.per != "all"], feed=name, now=taken_at)
        everything = [rule for rule in rules if rule.per == "all"]
        if everything:
            # Polls of several sources do not end in the order in which they began. What is judged over all of them must
            # not go back in time, where the growth of the others has not been seen yet.
            newest = sources.judged_until(tx, _feeds(watch)) or taken_at
            judge(tx, watch, everything, feed=name, now=max(taken_at, newest))
    return True


def _by_clock(rule: Rule) -> bool:
    """Whether the rule looks at the sources' readings themselves, and so is judged also when none comes."""
    return isinstance(rule.condition, Absence) and rule.condition.metric is None


def judge(tx: Tx, watch: Watch, rules: Sequence[Rule], *, feed: str | None, now: datetime) -> list[Transition]:
    """Judge rules as of `now` for the source of a feed (or, without one, for the sources themselves), and write what changes."""
    active = [rule for rule in rules if rule.enabled]
    if not active:
        return []
    source = None if feed is None else feed_of(feed)[0]
    seen = _look(tx, watch, active, source, now)
    open_alerts = _by_rule(alerts.open_ones(tx, now=now))
    faulty = faults.known(tx)
    changed: list[Transition] = []
    for rule in active:
        try:
            mine = open_alerts.get((rule.name, rule.identity), {})
            changed += advance_all(rule, mine, _check(rule, seen, source, now), source=source, now=now)
        except Exception as error:  # one rule's mistake must not stop the others; its alerts stay as they are
            log.exception("rule_raised", rule=rule.name, source=source)
            _tell_fault(tx, watch, rule, source or "", error, now=now)
        else:
            watch.broken.discard(rule.name)
            if (rule.name, source or "") in faulty:
                faults.remove(tx, rule.name, source or "")
    # While processes run with different rules, one would resolve what the other fires again, with a ping each time.
    saved = alerts.save(
        tx, [each for each in changed if not (each.is_easing and each.alert.rule in watch.conflict.rules)]
    )
    _tell(tx, watch, saved, now=now)
    return saved


def _tell(tx: Tx, watch: Watch, saved: Sequence[Transition], *, now: datetime) -> None:
    # What ended with its period is told first: what the new period brings is another alert, in a message of its own.
    for is_over in (True, False):
        told = [transition for transition in saved if (transition.reason is Reason.PERIOD_ENDED) is is_over]
        if told:
            speak(tx, enroll(tx, told, watch.routes, now=now), now=now)
    for transition in saved:
        if transition.is_change:
            _log(transition)


def _look(tx: Tx, watch: Watch, rules: Sequence[Rule], source: str | None, now: datetime) -> Past | History:
    if source is None:
        return states_of_feeds(tx, watch.intervals, watch.rules, now)
    return load(tx, watch.intervals, rules, source, now, prices=watch.prices)


def _by_rule(found: Sequence[Alert]) -> dict[tuple[str, str], dict[str, Alert]]:
    """Alerts by rule and identity, then series. Of several of one series the newest counts: only that one is open."""
    grouped: dict[tuple[str, str], dict[str, Alert]] = {}
    for alert in found:
        grouped.setdefault((alert.rule, alert.identity), {})[alert.series] = alert
    return grouped


def _check(rule: Rule, seen: Past | History, source: str | None, now: datetime) -> list[Finding]:
    history = seen if isinstance(seen, History) else seen.of(rule)
    found = judged_at(rule, history, source, now)
    return found if source is not None else [finding for finding in found if _is_known(rule, finding, now)]


def _is_known(rule: Rule, finding: Finding, now: datetime) -> bool:
    """Whether a finding about a source's readings says something: that it is not blind, only a good reading can say.

    A poller that has just begun has not waited long enough either way.
    """
    assert isinstance(rule.condition, Absence), "the only rules that are judged by the clock"
    was_read = finding.baseline_at is not None and now - finding.baseline_at < rule.condition.window
    return finding.verdict is not Verdict.FALSE or was_read


def _tell_fault(tx: Tx, watch: Watch, rule: Rule, source: str, error: Exception, *, now: datetime) -> None:
    """The operator hears of each rule that raises once, until it works again everywhere."""
    watch.broken.add(rule.name)
    known = faults.known(tx)
    if (rule.name, source) in known:
        return
    faults.add(tx, rule.name, source, now=now)
    if rule.name not in {name for name, _ in known}:
        line = f"The rule {rule.name} cannot be evaluated ({type(error).__name__}); the other rules go on."
        notice = Notice(Kind.OPERATOR, ping=False, lines=(line,))
        outbox.add_alone(tx, notice, channel=watch.operator_channel, now=now)


def _is_deselected(alert: Alert, watch: Watch) -> bool:
    """Whether its rule, which is judged by the clock and so sees no readings, no longer means its source."""
    mine = [
        rule for rule in watch.rules if _by_clock(rule) and (rule.name, rule.identity) == (alert.rule, alert.identity)
    ]
    return bool(mine) and not any(rule.enabled and rule.where.selects(alert.labels) for rule in mine)


def _close_orphans(tx: Tx, watch: Watch, now: datetime) -> None:
    """End the alerts whose rule was removed, disabled or became another one."""
    kept = {(rule.name, rule.identity) for rule in watch.rules if rule.enabled}
    orphans = [
        alert
        for alert in alerts.open_ones(tx, now=now)
        if alert.state.is_open
        and alert.rule not in watch.conflict.rules
        and alert.labels.get("source") not in watch.conflict.sources - watch.intervals.keys()
        and alert.rule not in watch.unread  # a rule that cannot be read was not removed: its alerts stay as they are
        and ((alert.rule, alert.identity) not in kept or _source_is_gone(alert, watch) or _is_deselected(alert, watch))
    ]
    if not orphans:
        return
    saved = alerts.save(tx, [close(alert, now, _why_orphaned(alert, kept)) for alert in orphans])
    speak(tx, enroll(tx, saved, watch.routes, now=now), now=now)
    for transition in saved:
        _log(transition)


def _why_orphaned(alert: Alert, kept: Collection[tuple[str, str]]) -> Reason:
    if (alert.rule, alert.identity) in kept:
        return Reason.DESELECTED  # its source is watched no more
    return Reason.RULE_CHANGED if alert.rule in {name for name, _ in kept} else Reason.RULE_REMOVED


def _source_is_gone(alert: Alert, watch: Watch) -> bool:
    source = alert.labels.get("source")
    return source is not None and source not in watch.intervals


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
