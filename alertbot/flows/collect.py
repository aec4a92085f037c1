"""Flow 1: Flashback → snapshots and points. One poll of one feed becomes one reading, or changes nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from alertbot.domain import operator_texts
from alertbot.domain import points as amounts
from alertbot.domain.datasets import feed_of
from alertbot.domain.points import MOST_LABEL_SETS, Dataset, PointsReading, Resolution
from alertbot.domain.snapshots import (
    MOST_LLMS,
    Configuration,
    Reading,
    Snapshot,
    renamed,
    with_workspace_names,
)
from alertbot.errors import FlashbackBusy, FlashbackError, FlashbackMissing
from alertbot.flows.count import apply
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import configurations, operator_alerts, points, snapshots, sources
from alertbot.store.database import Database, Tx
from alertbot.store.operator_alerts import OperatorAlert
from alertbot.store.recent import LastReading, Recent
from alertbot.store.sources import Claim

log = structlog.get_logger()
_BUSY_PAUSE = timedelta(minutes=1)  # after a 429 that names no pause: quotas are mostly counted by the minute
_ASK_AGAIN = timedelta(hours=1)  # for a feed that the server does not have: it may be updated one day
_AT_ONCE = 5_000  # points in one transaction: a quarter of a second of SQLite's only writer
Described = tuple[Configuration, ...] | None


class Reader(Protocol):
    """Reads the totals of a source: SourceReader in real life. Raises FlashbackError where the answer cannot be used."""

    def read(self, last_at: datetime | None, /) -> tuple[Sequence[Snapshot], Described]: ...


class PointsSource(Protocol):
    """Reads the points of a source: PointsReader in real life. Raises FlashbackError where the answer cannot be used."""

    def read(self, now: datetime, last_at: datetime | None, /) -> tuple[tuple[PointsReading, ...], Described]: ...


class PollOutcome(StrEnum):
    """What came of a poll."""

    READ = "read"
    FAILED = "failed"
    REFUSED = "refused"
    MISSING = "missing"
    NOT_DUE = "not due"


@dataclass(frozen=True, slots=True)
class FeedPoll:
    """How a feed is polled: `totals` of a source, or its `points`.

    `instead` is whether a server without it can be done without: its totals by its points, its points where no rule needs
    them. `operators` hear of one that cannot, and of totals that come from points.
    """

    name: str
    interval: timedelta
    lease: timedelta
    totals: Reader | None = None
    points: PointsSource | None = None
    instead: bool = False
    operators: str = ""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a poll brought."""

    totals: Sequence[Snapshot] = ()
    points: tuple[PointsReading, ...] = ()
    described: Described = None


def collect(
    database: Database,
    feed_poll: FeedPoll,
    *,
    owner: str,
    now: datetime,
    at_once: bool = False,
    clock: Callable[[], datetime] | None = None,
    rest: Callable[[], object] = lambda: None,
    is_clock_right: Callable[[Tx], bool] = lambda _: True,
    recent: Recent | None = None,
) -> PollOutcome:
    """Poll the feed once if it is due and nobody else does. A poll that fails is noted and changes nothing else.

    `clock` tells when the source is asked at last, where that may be long after `now`: the claim may have to wait for
    another process, and what is counted then must not count as seen before. `rest` is called between the transactions
    of a long reading: on SQLite nobody else gets a turn where one writer begins again at once. Nothing is read by a clock
    that `is_clock_right` says to be wrong: another process has dated back what is stored.
    """
    with database.transaction() as tx:
        claim = sources.claim(
            tx,
            feed_poll.name,
            owner=owner,
            interval=feed_poll.interval,
            lease=feed_poll.lease,
            now=now,
            at_once=at_once,
            clock=clock,
            is_clock_right=is_clock_right,
        )
    if claim is None:
        return PollOutcome.NOT_DUE
    if clock is not None:
        now = clock()
    try:
        found = _read(feed_poll, claim, now)
    except FlashbackMissing as error:
        return _note_missing(database, feed_poll, claim, error, now=now)
    except FlashbackError as error:
        # A pause that the server asks for begins when it asks.
        return _note_failure(database, claim, error, now=clock() if clock is not None else now)
    first, last = _split(found)
    for part in first:
        with database.transaction() as tx:
            # A process that was overtaken meanwhile must not write over what is newer.
            if sources.owns_claim(tx, claim):
                _keep(tx, claim, part)
        rest()
    with database.transaction() as tx:
        applied = _apply(tx, claim, last, now, operators=feed_poll.operators, recent=recent)
        if not applied:
            sources.mark_refused(tx, claim)
    if recent is not None and isinstance(applied, LastReading):
        recent.keep_last_reading(claim.source, applied)
    if not applied:
        log.warning(
            "reading_refused", source=feed_poll.name, taken_at=now.isoformat(), why="not newer, or the claim was lost"
        )
        return PollOutcome.REFUSED
    amount = {"configurations": len(found.totals)} if feed_poll.totals else {"points": _count_points(found)}
    log.info("source_read", source=feed_poll.name, **amount)
    return PollOutcome.READ


def _read(feed_poll: FeedPoll, claim: Claim, now: datetime) -> PollResult:
    if feed_poll.totals is not None:
        totals, described = feed_poll.totals.read(claim.read_at)
        return PollResult(totals=totals, described=described)
    assert feed_poll.points is not None, "a feed is of totals or of points"
    readings, described = feed_poll.points.read(now, claim.read_at)
    return PollResult(points=readings, described=described)


def _split(found: PollResult) -> tuple[list[PointsReading], PollResult]:
    """Points in parts that a transaction holds without keeping others waiting, and the last part with all the rest.

    What is written of a reading that is never finished is not counted by, and is the same when it is read again.
    """
    parts: list[PointsReading] = []
    last: list[PointsReading] = []
    for reading in found.points:
        ordered = sorted(reading.points, key=lambda point: point.bucket)
        begins = 0
        for place in range(1, len(ordered)):
            # What belongs to one bucket is added up in one transaction.
            if place - begins >= _AT_ONCE and ordered[place].bucket != ordered[place - 1].bucket:
                parts.append(replace(reading, points=tuple(ordered[begins:place])))
                begins = place
        last.append(replace(reading, points=tuple(ordered[begins:])))
    return parts, replace(found, points=tuple(last))


def _count_points(found: PollResult) -> int:
    return sum(len(reading.points) for reading in found.points)


def _note_failure(database: Database, claim: Claim, error: FlashbackError, *, now: datetime) -> PollOutcome:
    pause_until = None
    if isinstance(error, FlashbackBusy):
        pause = timedelta(seconds=error.retry_after) if error.retry_after is not None else _BUSY_PAUSE
        pause_until = now + pause
    with database.transaction() as tx:
        sources.mark_failed(tx, claim, error.public, pause_until=pause_until)
    log.warning("poll_failed", source=claim.name, kind=error.kind, error=error.lines[0])
    return PollOutcome.FAILED


def _note_missing(
    database: Database, feed_poll: FeedPoll, claim: Claim, error: FlashbackMissing, *, now: datetime
) -> PollOutcome:
    """The server does not have the feed at all. Where it cannot be done without, that is a failure like any other."""
    source, dataset = feed_of(claim.name)
    if not feed_poll.instead and dataset is Dataset.TOTALS:
        return _note_failure(database, claim, error, now=now)
    with database.transaction() as tx:
        if not sources.mark_missing(tx, claim, error.public, ask_again_at=now + _ASK_AGAIN):
            return PollOutcome.MISSING
        text = (
            operator_texts.totals_missing(source, error.lines[0])
            if dataset is Dataset.TOTALS
            else operator_texts.statistics_missing(source, error.lines[0])
        )
        if feed_poll.operators and (dataset is Dataset.TOTALS or not feed_poll.instead):
            notify_operators(tx, text, operators=feed_poll.operators, now=now)
    log.warning("feed_missing", source=claim.name, error=error.lines[0])
    return PollOutcome.MISSING


def _apply(
    tx: Tx, claim: Claim, found: PollResult, now: datetime, *, operators: str, recent: Recent | None
) -> LastReading | bool | None:
    if feed_of(claim.name)[1] is Dataset.TOTALS:
        reading = Reading(claim.name, now, found.totals, found.described)
        return apply(tx, claim, reading, operators=operators, recent=recent)
    folded = apply_points(tx, claim, found.points, found.described, now)
    if folded:
        _tell_folded(tx, claim.name, folded, operators, now)
    return folded is not None


def _tell_folded(tx: Tx, name: str, folded: int, operators: str, now: datetime) -> None:
    """Once: what is folded together stays so, and the amounts are all there."""
    log.warning("too_many_combinations", source=name, most=MOST_LABEL_SETS, folded=folded)
    if operators and operator_alerts.begin(tx, OperatorAlert(f"combinations {name}", "too many", now, "", now)):
        notify_operators(tx, operator_texts.label_sets_folded(name), operators=operators, now=now)


def apply_points(
    tx: Tx, claim: Claim, readings: Iterable[PointsReading], described: Described, now: datetime
) -> int | None:
    """Keep points; None, and nothing is written, if the reading is not newer than the last one or the claim was lost.

    A bucket that was read before is replaced. Of days that have minutes, the sums of the minutes count. Returns how
    many label sets were too many to be counted apart.
    """
    mine = list(readings)
    # Where nothing is told, nothing is known either: the server may keep these statistics for nobody.
    since = min((one.start for one in mine if one.points), default=None)
    if not sources.mark_read(tx, claim, now, since=since):
        return None
    snapshots.begin_reading(tx, claim.feed, now)
    _name(tx, claim.source, described, now)
    return sum(_keep(tx, claim, reading) for reading in mine)


def _keep(tx: Tx, claim: Claim, reading: PointsReading) -> int:
    found, (_, dataset) = reading.points, feed_of(claim.name)
    if reading.resolution is Resolution.DAY:
        minutes_since = points.minutes_since(tx, claim.feed)
        found = tuple(one for one in found if minutes_since is None or one.bucket < minutes_since)
    else:
        points.mark_since(tx, claim.feed, Resolution.MINUTE, reading.start)
    kept, folded = amounts.within_limit(found, points.known(tx, claim.source, dataset))
    points.write(tx, claim.source, dataset, reading.resolution, kept)
    return folded


def _name(tx: Tx, source: int, described: Described, now: datetime) -> None:
    """Remember how the configurations are called that only points tell of."""
    if described is None:
        return
    known = configurations.by_id(tx, source)
    present = with_workspace_names((one for _, one in known.values()), described)
    new = [one for ai_llm, one in present.items() if ai_llm not in known]
    configurations.add(tx, source, new[: max(0, MOST_LLMS - len(known))], now)
    configurations.update(tx, renamed(known, present))
