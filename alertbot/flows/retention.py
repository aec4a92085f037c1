"""Thinning: every reading of the last days, then the last of each hour, then the last of each day; what is over is forgotten.

Odometers are totals, so a reading that goes takes nothing with it: the increase over every window that begins and ends on
the hour (or the day, in UTC) stays exact, for the reading as of its ends is kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from alertbot.domain.points import Resolution
from alertbot.store import expiry, snapshots, sources
from alertbot.store.database import Database
from alertbot.store.expiry import Expired

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept: every reading, the last of each hour and of each day; evidence; what people were told and did."""

    raw: timedelta
    hourly: timedelta
    daily: timedelta
    evidence: timedelta
    audit: timedelta


def apply_retention(
    database: Database,
    keep: Retention,
    names: Sequence[str],
    *,
    now: datetime,
    rest: Callable[[], object] = lambda: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Delete what is older than it is kept, and return how many readings went. `names` are the configured sources.

    Each transaction deletes a batch. `rest` is called after each: on SQLite nobody else gets a turn where one writer begins
    again at once. What is left when `is_stopping` says so goes the next time.
    """
    with database.reading() as tx:
        feeds = sources.names(tx)
    readings = sum(_thin_readings(database, keep, name, now=now, rest=rest, is_stopping=is_stopping) for name in feeds)
    rows = 0
    for expired in _expired(keep, names, now=now):
        rows += _delete(database, expired, rest=rest, is_stopping=is_stopping)
    if readings or rows:
        log.info("thinned", readings=readings, rows=rows)
    return readings


def _thin_readings(
    database: Database,
    keep: Retention,
    name: str,
    *,
    now: datetime,
    rest: Callable[[], object],
    is_stopping: Callable[[], bool],
) -> int:
    with database.reading() as tx:
        unwanted = _unwanted(snapshots.evaluated_readings(tx, name, before=now - keep.raw), keep, now)
        sizes = snapshots.sizes(tx, unwanted)
    gone = 0
    for numbers in expiry.batches(sizes):
        if is_stopping():
            break
        with database.transaction() as tx:
            gone += snapshots.delete_readings(tx, numbers)
        rest()
    return gone


def _expired(keep: Retention, names: Sequence[str], *, now: datetime) -> Iterable[Expired]:
    # Sums by longer spans stay: only what lies across the edge of an old hour or day is lost.
    for resolution, kept in (
        (Resolution.MINUTE, keep.raw),
        (Resolution.HOUR, keep.hourly),
        (Resolution.DAY, keep.daily),
    ):
        yield from expiry.buckets(resolution, before=now - kept)
    yield from expiry.of_evidence(before=now - keep.evidence)
    yield from expiry.of_counting(before=now - keep.daily)
    yield from expiry.of_the_trail(before=now - keep.audit)
    yield from expiry.of_gone_sources(names, tokens_before=now - keep.raw, before=now - keep.daily)


def _delete(
    database: Database, expired: Expired, *, rest: Callable[[], object], is_stopping: Callable[[], bool]
) -> int:
    """Delete all of these rows, a batch a transaction; how many they were."""
    with database.reading() as tx:  # mostly there are none, and no writer has to wait for that
        if not expiry.exist(tx, expired):
            return 0
    gone, deleted = 0, expiry.BATCH
    while deleted == expiry.BATCH and not is_stopping():
        with database.transaction() as tx:
            deleted = expiry.delete_some(tx, expired)
        gone += deleted
        rest()
    return gone


def _unwanted(readings: Sequence[tuple[int, datetime]], keep: Retention, now: datetime) -> list[int]:
    """The readings to delete, of those older than `raw`, oldest first. The first one of all is every window's last resort."""
    last_of_hour = {_hour_of(taken_at): number for number, taken_at in readings}
    last_of_day = {_day_of(taken_at): number for number, taken_at in readings}
    unwanted = []
    for number, taken_at in readings[1:]:
        hour, day = _hour_of(taken_at), _day_of(taken_at)
        by_hour = hour > now - keep.hourly and last_of_hour[hour] == number
        by_day = day > now - keep.daily and last_of_day[day] == number
        if not (by_hour or by_day):
            unwanted.append(number)
    return unwanted


def _hour_of(moment: datetime) -> datetime:
    """The hour that a reading closes: one exactly on the hour belongs to the hour before."""
    whole = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(hours=1)


def _day_of(moment: datetime) -> datetime:
    whole = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(days=1)
