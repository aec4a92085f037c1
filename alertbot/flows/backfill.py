"""Flow 0: Flashback's own history → points, so that rules with a past and look-ups work on the first day.

Day by day, the newest first, each in a transaction of its own: what is stopped goes on where it was, and a day that is read
twice counts once. Nothing is judged and nothing is said of what is long past.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertbot.domain.datasets import feed_of
from alertbot.domain.points import Point, Resolution, floor, within_limit
from alertbot.store import points, sources
from alertbot.store.database import Database

DAY = Resolution.DAY.length
Ask = Callable[[Resolution, datetime, datetime], tuple[Point, ...]]


@dataclass(frozen=True, slots=True)
class Progress:
    """One day is done: the how many-th it was of how many, how many points it had, and whether by minute or by day."""

    feed: str
    day: datetime
    done: int
    of: int
    points: int
    resolution: Resolution


def backfill(
    database: Database, feed: str, ask: Ask, *, since: datetime, now: datetime, keep: Mapping[Resolution, timedelta]
) -> Iterator[Progress]:
    """Read the days of a feed back to that of `since` that are not there yet; `ask` is how the server is asked for buckets.

    `keep` is how long buckets of each span are kept: of older days only the sums by longer spans are written.

    A day of which the server has no minutes any more comes from its day statistics. Raises FlashbackError where the
    server does not answer: what is done by then stays.
    """
    with database.transaction() as tx:
        sources.register_feed(tx, feed)
    with database.reading() as tx:
        done_since = points.minutes_since(tx, sources.number_of(tx, feed))
    days = list(_missing_days(floor(since, Resolution.DAY), done_since, now))
    for place, day in enumerate(days, start=1):
        last = min(day + DAY - timedelta(seconds=1), now)
        resolution, found = Resolution.MINUTE, ask(Resolution.MINUTE, day, last)
        if not found:
            resolution, found = Resolution.DAY, ask(Resolution.DAY, day, last)
        mine = [point for point in found if floor(point.bucket, Resolution.DAY) == day]
        _keep(database, feed, day, resolution, mine, now=now, keep=keep)
        yield Progress(feed, day, place, len(days), len(mine), resolution)


def _missing_days(since: datetime, done_since: datetime | None, now: datetime) -> Iterator[datetime]:
    day = floor(now, Resolution.DAY) if done_since is None else floor(done_since, Resolution.DAY) - DAY
    while day >= since:
        yield day
        day -= DAY


def _keep(
    database: Database,
    feed: str,
    day: datetime,
    resolution: Resolution,
    found: list[Point],
    *,
    now: datetime,
    keep: Mapping[Resolution, timedelta],
) -> None:
    name, dataset = feed_of(feed)
    with database.transaction() as tx:
        # Sums by hour and day are changed by differences: two that write at the same time would lose one.
        number = sources.lock(tx, feed)
        source = sources.number_of(tx, name)
        kept, _ = within_limit(found, points.known(tx, source, dataset))
        if resolution is Resolution.MINUTE:
            points.forget_day(tx, source, dataset, day)
        for written in _resolutions(resolution, day, now=now, keep=keep):
            points.write(tx, source, dataset, written, kept)
        points.mark_since(tx, number, Resolution.MINUTE, day)
        if found:
            sources.mark_complete(tx, feed, day, read_at=now)


def _resolutions(
    resolution: Resolution, day: datetime, *, now: datetime, keep: Mapping[Resolution, timedelta]
) -> tuple[Resolution, ...]:
    """As what a whole day of buckets is written: its minutes, with which their sums come, or only what thinning would leave."""
    is_kept = {finer: day + DAY > now - longest for finer, longest in keep.items()}
    if resolution is Resolution.DAY or is_kept[Resolution.MINUTE]:
        return (resolution,)
    return (Resolution.HOUR, Resolution.DAY) if is_kept[Resolution.HOUR] else (Resolution.DAY,)
