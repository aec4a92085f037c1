"""The state of each source and its feeds, and which process may poll them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.domain.datasets import Feeds, feed_name, feed_of
from alertbot.domain.history import SourceState
from alertbot.domain.points import Dataset
from alertbot.store.column_types import Moment
from alertbot.store.database import Tx
from alertbot.store.tables import readings, sources
from alertbot.store.upserts import upsert

# After so many intervals without an attempt nobody was polling, and a gap says nothing about the source.
_MISSED_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll a feed once. `generation` is the fence: a reading under an older one is refused.

    `feed` and `source` are the numbers of the feed's row and its source's; `read_at` is the last good reading.
    """

    feed: int
    source: int
    name: str
    generation: int
    due_at: datetime
    read_at: datetime | None = None
    missing: bool = False


def register(tx: Tx, names: Sequence[str]) -> None:
    """Add a row for each configured feed and source. A feed that is no longer collected is marked missing."""
    configured = {feed_of(name)[0] for name in names}
    known = {row.name: row for row in tx.execute(sa.select(sources.c.name, sources.c.missing, sources.c.error))}
    new = [{"name": name, "missing": name not in names} for name in sorted({*names, *configured} - known.keys())]
    if new:
        tx.execute(upsert(tx, sources, conflict=["name"]), new)  # another replica may have started at the same time
    for name, row in known.items():
        if feed_of(name)[0] not in configured:
            continue
        # A feed that the server does not have, which has an error, stays missing until the server is asked again.
        missing = name not in names or (row.missing and bool(row.error))
        if missing != row.missing:
            tx.execute(sa.update(sources).where(sources.c.name == name).values(missing=missing))


def claim(
    tx: Tx,
    name: str,
    *,
    owner: str,
    interval: timedelta,
    lease: timedelta,
    now: datetime,
    at_once: bool = False,
    clock: Callable[[], datetime] | None = None,
    is_clock_right: Callable[[Tx], bool] = lambda _: True,
) -> Claim | None:
    """Claim a feed for one poll; None if it is not due, another process polls it, or our clock is wrong.

    `at_once` claims a feed that is not due, but does not shorten a pause that the source asked for. A late poll does not
    shift those after it. `clock` is read again once the row is locked, as that may have taken long.
    """
    row = tx.execute(sa.select(sources).where(sources.c.name == name).with_for_update()).mappings().one()
    if row["paused_until"] is not None and row["paused_until"] > now:
        return None
    if not at_once and row["due_at"] is not None and row["due_at"] > now:
        return None
    if row["owner"] != owner and row["lease_until"] is not None and row["lease_until"] > now:
        return None
    if not is_clock_right(tx):
        return None  # asked with the row locked, so that readings are not moved back between the answer and the claim
    if clock is not None:
        now = clock()
    due_at = now + interval * _share(row["number"]) if row["due_at"] is None else row["due_at"] + interval
    if due_at <= now or at_once:
        due_at = now + interval
    generation = row["generation"] + 1
    changed = tx.execute(
        sa.update(sources)
        .where(sources.c.number == row["number"], sources.c.generation == row["generation"])
        .values(
            owner=owner,
            lease_until=now + lease,
            generation=generation,
            due_at=due_at,
            tried_at=now,
            watched_since=row["watched_since"] if _is_watched(row, interval, now) else now,
        )
    )
    if changed.rowcount != 1:
        return None
    source_name, dataset = feed_of(name)
    source = row["number"] if dataset is Dataset.TOTALS else number_of(tx, source_name)
    return Claim(row["number"], source, name, generation, due_at, row["read_at"], row["missing"])


def due(tx: Tx, names: Collection[str], *, owner: str, now: datetime) -> set[str]:
    """The feeds that this owner could claim now, in one query, which is cheaper than an attempt for each."""
    is_free = sa.or_(sources.c.lease_until.is_(None), sources.c.lease_until <= now, sources.c.owner == owner)
    is_past = [sa.or_(moment.is_(None), moment <= now) for moment in (sources.c.due_at, sources.c.paused_until)]
    rows = tx.execute(sa.select(sources.c.name).where(sources.c.name.in_(names), is_free, *is_past))
    return set(rows.scalars())


def number_of(tx: Tx, name: str) -> int:
    """The number of a stored source."""
    number: int = tx.execute(sa.select(sources.c.number).where(sources.c.name == name)).scalar_one()
    return number


def names(tx: Tx) -> list[str]:
    """Every stored feed, also of sources that are no longer configured."""
    return list(tx.execute(sa.select(sources.c.name).order_by(sources.c.name)).scalars())


def _share(number: int) -> float:
    """The part of the interval between a feed's first two polls, different for each feed, so that polls spread evenly.

    Multiples of the golden ratio lie evenly in the unit interval, however many there are (Knuth, The Art of Computer
    Programming, volume 3, section 6.4).
    """
    return 1 - (number - 1) * 0.6180339887498949 % 1


def register_feed(tx: Tx, name: str) -> None:
    """Add a row for one feed, and for its source, where there is none."""
    rows = [{"name": row_name} for row_name in dict.fromkeys((feed_of(name)[0], name))]
    tx.execute(upsert(tx, sources, conflict=["name"]), rows)


def _is_watched(row: sa.RowMapping, interval: timedelta, now: datetime) -> bool:
    """Whether the feed is polled on schedule; a pause that the source asked for is part of the schedule."""
    if row["tried_at"] is None:
        return False
    return now - _expected(row, interval) <= interval * _MISSED_INTERVALS


def _expected(row: sa.RowMapping, interval: timedelta) -> datetime:
    tried_at: datetime = row["tried_at"]
    return tried_at if row["due_at"] is None else max(tried_at, row["due_at"] - interval)


def renew(tx: Tx, *, owner: str, until: datetime, now: datetime, names: Collection[str] | None = None) -> int:
    """Extend the leases of the feeds that this owner is polling, or of some of them. Returns how many.

    A long poll counts as an attempt, so that its feed is still watched after three intervals.
    """
    polling = sa.and_(sources.c.owner == owner, sources.c.lease_until > now, sources.c.lease_until < until)
    if names is not None:
        polling = sa.and_(polling, sources.c.name.in_(names))
    return tx.execute(sa.update(sources).where(polling).values(lease_until=until, tried_at=now)).rowcount


def mark_read(tx: Tx, claimed: Claim, taken_at: datetime, *, since: datetime | None = None) -> bool:
    """Note a good reading and end the claim; False if the claim was lost, or the reading is not newer than the last.

    `since` is the time from which a reading of points is complete.
    """
    changed = tx.execute(
        sa.update(sources)
        .where(
            sources.c.number == claimed.feed,
            sources.c.generation == claimed.generation,
            sa.or_(sources.c.read_at.is_(None), sources.c.read_at < taken_at),
        )
        .values(
            read_at=taken_at,
            first_at=sa.func.coalesce(sources.c.first_at, sa.literal(taken_at, Moment)),
            complete_since=sa.func.coalesce(sources.c.complete_since, sa.literal(since, Moment)),
            failing=False,
            missing=False,
            error="",
            lease_until=None,
        )
    )
    return changed.rowcount == 1


def complete_since(tx: Tx, name: str) -> datetime | None:
    """The time from which a feed has all points; None if it has none."""
    moment: datetime | None = tx.execute(sa.select(sources.c.complete_since).where(sources.c.name == name)).scalar()
    return moment


def mark_complete(tx: Tx, name: str, since: datetime, *, read_at: datetime) -> None:
    """Note that a feed has all points from an earlier time on; if it was never read, up to `read_at`."""
    tx.execute(
        sa.update(sources)
        .where(sources.c.name == name, sa.or_(sources.c.complete_since.is_(None), sources.c.complete_since > since))
        .values(complete_since=since, read_at=sa.func.coalesce(sources.c.read_at, sa.literal(read_at, Moment)))
    )


def owns_claim(tx: Tx, claimed: Claim) -> bool:
    """Whether the claim still holds. Locks the feed, so that it does until the transaction ends."""
    row = tx.execute(sa.select(sources.c.generation).where(sources.c.number == claimed.feed).with_for_update()).one()
    return bool(row.generation == claimed.generation)


def lock(tx: Tx, name: str) -> int:
    """Lock a feed until the transaction ends. Returns its number."""
    number: int = tx.execute(sa.select(sources.c.number).where(sources.c.name == name).with_for_update()).scalar_one()
    return number


def mark_missing(tx: Tx, claimed: Claim, error: str, *, ask_again_at: datetime) -> bool:
    """Note that the server does not have a feed, and end the claim; False if that was known, or the claim was lost."""
    changed = tx.execute(
        sa.update(sources)
        .where(sources.c.number == claimed.feed, sources.c.generation == claimed.generation)
        .values(missing=True, failing=True, error=error, lease_until=None, due_at=ask_again_at)
    )
    return changed.rowcount == 1 and not claimed.missing


def mark_refused(tx: Tx, claimed: Claim) -> None:
    """Count a reading that was refused because another process had claimed the feed, or a newer one is stored."""
    tx.execute(sa.update(sources).where(sources.c.number == claimed.feed).values(refused=sources.c.refused + 1))


def mark_failed(tx: Tx, claimed: Claim, error: str, *, pause_until: datetime | None = None) -> None:
    """Note that a poll failed, and end the claim."""
    due_at = claimed.due_at if pause_until is None else max(claimed.due_at, pause_until)
    tx.execute(
        sa.update(sources)
        .where(sources.c.number == claimed.feed, sources.c.generation == claimed.generation)
        .values(failing=True, error=error, lease_until=None, due_at=due_at)
    )
    if pause_until is not None:
        pause(tx, feed_of(claimed.name)[0], pause_until)


def pause(tx: Tx, name: str, until: datetime) -> None:
    """Pause all feeds of a source: quotas are per user and address, not per endpoint."""
    feed_names = [feed_name(name, dataset) for dataset in Dataset]
    later = sa.or_(sources.c.paused_until.is_(None), sources.c.paused_until < until)
    tx.execute(sa.update(sources).where(sources.c.name.in_(feed_names), later).values(paused_until=until))


def states(tx: Tx, intervals: Mapping[str, timedelta], *, watched_at: datetime | None = None) -> dict[str, SourceState]:
    """The state of each configured source by name: that of its main feed.

    With `watched_at`, only of the sources that were being polled at that time.
    """
    by_source = feeds(tx, intervals, watched_at=watched_at)
    return {name: replace(main_feed(source_feeds), name=name) for name, source_feeds in by_source.items()}


def main_feed(source_feeds: Feeds) -> SourceState:
    """The feed that stands for its source: the totals, or points if the server does not have totals."""
    ordered = (Dataset.TOTALS, Dataset.AI, Dataset.STORAGE)
    present = [source_feeds[dataset] for dataset in ordered if dataset in source_feeds]
    return next((state for state in present if not state.missing), present[0])


def feeds(
    tx: Tx, intervals: Mapping[str, timedelta], *, watched_at: datetime | None = None
) -> dict[str, dict[Dataset, SourceState]]:
    """The state of each feed of each configured source; `watched_at` as in `states`."""
    names = {feed_name(name, dataset): (name, dataset) for name in intervals for dataset in Dataset}
    rows = tx.execute(sa.select(sources).where(sources.c.name.in_(list(names)))).mappings()
    by_source: dict[str, dict[Dataset, SourceState]] = {name: {} for name in intervals}
    for row in rows:
        name, dataset = names[row["name"]]
        dropped = row["missing"] and not row["error"] and dataset is not Dataset.TOTALS
        if not dropped and (watched_at is None or _is_watched(row, intervals[name], watched_at)):
            by_source[name][dataset] = _state(row, intervals[name])
    return {name: source_feeds for name, source_feeds in by_source.items() if source_feeds}


def _state(row: sa.RowMapping, interval: timedelta) -> SourceState:
    return SourceState(
        name=row["name"],
        interval=interval,
        first_at=row["first_at"] if feed_of(row["name"])[1] is Dataset.TOTALS else row["complete_since"],
        read_at=row["read_at"],
        watched_since=row["watched_since"],
        tried_at=row["tried_at"],
        failing=row["failing"],
        error=row["error"],
        missing=row["missing"],
    )


def expected(tx: Tx, intervals: Mapping[str, timedelta]) -> dict[str, datetime]:
    """When the main feed of each source was last tried, or was due to be; without sources that were never tried."""
    names = {main_feed(source_feeds).name: name for name, source_feeds in feeds(tx, intervals).items()}
    rows = tx.execute(sa.select(sources).where(sources.c.name.in_(list(names)))).mappings()
    tried = {names[row["name"]]: row for row in rows if row["tried_at"] is not None}
    return {name: _expected(row, intervals[name]) for name, row in tried.items()}


def newest(tx: Tx) -> datetime | None:
    """The last time that any process tried or read a source."""
    tried_at, read_at = tx.execute(sa.select(sa.func.max(sources.c.tried_at), sa.func.max(sources.c.read_at))).one()
    return max((moment for moment in (tried_at, read_at) if moment is not None), default=None)


def pending_evaluation(tx: Tx, names: Sequence[str]) -> list[str]:
    """The source of each reading that was not evaluated yet, oldest first."""
    rows = tx.execute(
        sa.select(sources.c.name)
        .join(readings, readings.c.source == sources.c.number)
        .where(sources.c.name.in_(names), readings.c.number > sources.c.evaluated)
        .order_by(readings.c.taken_at, readings.c.number)
    )
    return list(rows.scalars())


def evaluated_until(tx: Tx, names: Sequence[str]) -> datetime | None:
    """When the newest evaluated reading of these sources was taken."""
    moment: datetime | None = tx.execute(
        sa.select(sa.func.max(readings.c.taken_at))
        .join(sources, sources.c.evaluated == readings.c.number)
        .where(sources.c.name.in_(names))
    ).scalar()
    return moment


def next_to_evaluate(tx: Tx, name: str) -> datetime | None:
    """Mark the source's oldest reading that was not evaluated as evaluated, in order across processes. Returns its time, or None."""
    row = tx.execute(
        sa.select(sources.c.number, sources.c.evaluated).where(sources.c.name == name).with_for_update()
    ).one()
    reading = tx.execute(
        sa.select(readings.c.number, readings.c.taken_at)
        .where(readings.c.source == row.number, readings.c.number > row.evaluated)
        .order_by(readings.c.number)
        .limit(1)
    ).first()
    if reading is None:
        return None
    tx.execute(sa.update(sources).where(sources.c.number == row.number).values(evaluated=reading.number))
    taken_at: datetime = reading.taken_at
    return taken_at
