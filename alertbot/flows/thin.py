"""Thinning: every reading of the last days, then the last of each hour, then the last of each day.

Odometers are totals, so a reading that goes takes nothing with it: the increase over every window that begins and ends on
the hour (or the day, in UTC) stays exact, for the reading as of its ends is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from alertbot.domain.planes import feed_name
from alertbot.domain.points import Plane, Span
from alertbot.store import evidence, outbox, points, snapshots
from alertbot.store.database import Database

log = structlog.get_logger()
_BATCH = 100  # readings deleted in one transaction, so that nobody waits long for the database


@dataclass(frozen=True, slots=True)
class Keep:
    """How long every reading, the last of each hour and the last of each day are kept."""

    raw: timedelta
    hourly: timedelta
    daily: timedelta


def thin(database: Database, keep: Keep, names: Sequence[str], *, now: datetime) -> int:
    """Delete the readings that are no longer wanted, and notices and records older than all of them; how many readings went."""
    gone = 0
    for name in (feed_name(source, plane) for source in names for plane in Plane):
        with database.reading() as tx:
            numbers = _unwanted(snapshots.evaluated_readings(tx, name, before=now - keep.raw), keep, now)
        for start in range(0, len(numbers), _BATCH):
            with database.transaction() as tx:
                snapshots.delete_readings(tx, numbers[start : start + _BATCH])
        gone += len(numbers)
    with database.transaction() as tx:
        # Sums by longer spans stay: only what lies across the edge of an old hour or day is lost.
        for span, kept in ((Span.MINUTE, keep.raw), (Span.HOUR, keep.hourly), (Span.DAY, keep.daily)):
            points.forget(tx, span, before=now - kept)
        snapshots.delete_falls(tx, before=now - keep.daily)
        outbox.delete_done(tx, before=now - keep.hourly)
        evidence.delete(tx, before=now - keep.hourly)
    if gone:
        log.info("thinned", readings=gone)
    return gone


def _unwanted(readings: Sequence[tuple[int, datetime]], keep: Keep, now: datetime) -> list[int]:
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
