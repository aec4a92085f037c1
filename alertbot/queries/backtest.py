"""What would a rule have done? Replays stored readings through the live evaluation, in memory; nothing is written."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, State, advance_all
from alertbot.domain.backtest import BacktestAlert, BacktestResult
from alertbot.domain.datasets import Feeds, datasets_of, feed_name
from alertbot.domain.evidence import Privacy
from alertbot.domain.formatting import name_of
from alertbot.domain.history import History
from alertbot.domain.points import Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import NAMES_ALL, redact_alert
from alertbot.domain.rules import Rule
from alertbot.flows.load_history import dataset_of, judged_at, load_history
from alertbot.store import snapshots, sources
from alertbot.store.database import Database, Tx

_DAY = timedelta(days=1)
_MOST_READINGS = 300
_LEAST_READINGS = 20  # with fewer, a day could not be judged
_SECONDS = 2.0
_PROBES = 3


@dataclass(frozen=True, slots=True)
class _Reading:
    taken_at: datetime
    source: str
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every step of a backtest needs."""

    tx: Tx
    rule: Rule
    intervals: Mapping[str, timedelta]
    feeds: Mapping[str, Feeds]
    prices: Prices
    privacy: Mapping[str, Privacy]


def backtest(
    database: Database,
    rule: Rule,
    intervals: Mapping[str, timedelta],
    *,
    now: datetime,
    span: timedelta = _DAY,
    prices: Prices = NOTHING_PRICED,
    privacy: Mapping[str, Privacy] = NAMES_ALL,
    most: int = _MOST_READINGS,
    timer: Callable[[], float] = time.monotonic,
) -> BacktestResult:
    """How often a rule would have fired on the readings of the last `span`, those of the sources in `intervals`.

    Takes about two seconds at most: where that is not enough for every reading, it looks at some, evenly spread.
    """
    nothing = BacktestResult(rule.per, now - span, now, wanted=span)
    if rule.is_about_readings:
        return replace(nothing, problem="A rule about missing readings cannot be tried on stored readings.")
    began = timer()
    with database.reading() as tx:
        bench = _Bench(tx, rule, intervals, sources.feeds(tx, intervals), prices, privacy)
        readings = [reading for reading in _stored(bench, since=now - span, until=now) if _is_judged(bench, reading)]
        if not any(dataset in feeds for feeds in bench.feeds.values() for dataset in datasets_of(rule)):
            return replace(nothing, problem="No source collects the data this rule needs, so it would never fire.")
        if not readings:
            return replace(nothing, problem="There are no readings yet to try the rule on.")
        chosen = _affordable(bench, readings, most, began, timer)
        alerts = _replay(bench, chosen)
    return BacktestResult(rule.per, readings[0].taken_at, now, len(chosen), len(readings), alerts, span)


def is_collected(database: Database, rule: Rule, intervals: Mapping[str, timedelta]) -> bool:
    """Whether any of these sources collects what a rule needs: otherwise it never fires."""
    if not rule.metrics:
        return True
    with database.reading() as tx:
        feeds = sources.feeds(tx, intervals)
    return any(dataset in feed for feed in feeds.values() for dataset in datasets_of(rule))


def _stored(bench: _Bench, *, since: datetime, until: datetime) -> list[_Reading]:
    readings = [
        _Reading(taken_at, name, dataset)
        for name in bench.feeds
        for dataset in datasets_of(bench.rule)
        for taken_at in snapshots.taken(bench.tx, feed_name(name, dataset), since=since, until=until)
    ]
    return sorted(readings, key=lambda reading: (reading.taken_at, reading.source))


def _is_judged(bench: _Bench, reading: _Reading) -> bool:
    """Whether the rule is judged by this reading, as the live evaluation decides it."""
    return dataset_of(bench.rule, bench.feeds[reading.source], reading.taken_at) is reading.dataset


def _affordable(
    bench: _Bench, readings: Sequence[_Reading], most: int, began: float, timer: Callable[[], float]
) -> Sequence[_Reading]:
    """As many readings as there is time for, evenly spread, the newest among them."""
    if len(readings) > _LEAST_READINGS:
        started = timer()
        for probe in readings[-_PROBES:]:
            _history(bench, probe.source, probe.taken_at)
        each = (timer() - started) / _PROBES
        left = _SECONDS - (timer() - began)
        most = max(_LEAST_READINGS, min(most, int(left / each) if each > 0 else most))
    if len(readings) <= most:
        return readings
    last = len(readings) - 1
    return [readings[last * turn // (most - 1)] for turn in range(most)]


def _replay(bench: _Bench, chosen: Sequence[_Reading]) -> tuple[BacktestAlert, ...]:
    """Go from reading to reading as evaluation does."""
    alerts: dict[str, Alert] = {}
    raised: list[BacktestAlert] = []
    newest = chosen[0].taken_at
    for reading in chosen:
        # Over everything it never goes back in time: see flows/evaluate.py.
        newest = max(newest, reading.taken_at)
        moment = newest if bench.rule.per == "all" else reading.taken_at
        history = _history(bench, reading.source, moment)
        findings = judged_at(bench.rule, history, reading.source, moment)
        known = {key: alert for key, alert in alerts.items() if _is_known(alert, moment)}
        for transition in advance_all(bench.rule, known, findings, source=reading.source, now=moment):
            alert = transition.alert
            careful = bench.privacy.get(alert.labels.get("source", ""), Privacy.FULL)
            alerts[alert.series] = alert
            if alert.state is State.FIRING:
                _note_firing(raised, alert, name_of(redact_alert(alert, careful)), moment)
            elif alert.state is State.RESOLVED:
                _note_end(raised, alert.series, moment)
    return tuple(raised)


def _is_known(alert: Alert, moment: datetime) -> bool:
    """Whether evaluation would look at it: open ones, and a budget's last of a period that is not over."""
    return alert.state.is_open or (alert.period is not None and alert.period >= moment)


def _note_firing(raised: list[BacktestAlert], alert: Alert, name: str, moment: datetime) -> None:
    place = _place_of(raised, alert.series)
    if place is None:
        raised.append(BacktestAlert(alert.series, name, alert.severity, moment))
    elif alert.severity.rank > raised[place].severity.rank:
        raised[place] = replace(raised[place], severity=alert.severity)


def _note_end(raised: list[BacktestAlert], series: str, moment: datetime) -> None:
    place = _place_of(raised, series)
    if place is not None:
        raised[place] = replace(raised[place], ended_at=moment)


def _place_of(raised: Sequence[BacktestAlert], series: str) -> int | None:
    """Where the open alert of a series stands."""
    return next(
        (place for place, alert in enumerate(raised) if alert.series == series and alert.ended_at is None), None
    )


def _history(bench: _Bench, source: str, moment: datetime) -> History:
    """What was known at a moment. Whoever was first seen later did not exist then."""
    past = load_history(bench.tx, bench.intervals, [bench.rule], source, moment, prices=bench.prices)
    history = past.of(bench.rule)
    there = {number: member for number, member in history.members.items() if member.seen_at <= moment}
    # That a poll fails now says nothing of then.
    states = {name: replace(state, failing=False) for name, state in history.sources.items()}
    return replace(history, members=there, sources=states)
