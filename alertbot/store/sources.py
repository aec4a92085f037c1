"""What is known of each source and its feeds, and who may poll them now."""

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

# A poller that has not tried for this many intervals was not running: silence is then its own, not the source's.
_MISSED_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll a feed once. `generation` fences: a reading under an older one is refused.

    `feed` is the feed's row, `source` that of its source; `read_at` its last good reading.
    """

    feed: int
    source: int
    name: str
    generation: int
    due_at: datetime
    read_at: datetime | None = None
    missing: bool = False


def register(tx: Tx, names: Sequence[str]) -> None:
    """Give every configured feed its row, and every source too. What is no longer collected counts as missing."""
    wanted = {*names, *(feed_of(name)[0] for name in names)}
    known = {row.name: row for row in tx.execute(sa.select(sources.c.name, sources.c.missing, sources.c.error))}
    new = [{"name": name, "missing": name not in names} for name in sorted(wanted - known.keys())]
    if new:
        # Another replica that starts at the same time may have been first.
        tx.execute(upsert(tx, sources, conflict=["name"]), new)
    mine = {feed_of(name)[0] for name in names}
    for name, row in known.items():
        if feed_of(name)[0] not in mine:
            continue
        # What a server was found not to have stays so until it is asked again; that has an error's text.
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
    """Take the source for one poll; None if it is not due yet, somebody else polls it, or our clock is not right.

    `at_once` does not wait until it is due, but for the end of a pause that the source asked for. The cadence is kept: a
    poll that was late does not move the ones after it. `clock` is asked again once it is our turn: whoever had to wait long
    for another process has not tried until now.
    """
    row = tx.execute(sa.select(sources).where(sources.c.name == name).with_for_update()).mappings().one()
    if row["paused_until"] is not None and row["paused_until"] > now:
        return None
    if not at_once and row["due_at"] is not None and row["due_at"] > now:
        return None
    if row["owner"] != owner and row["lease_until"] is not None and row["lease_until"] > now:
        return None
    if not is_clock_right(tx):
        return None  # asked once we hold the row: whoever dates readings back has to wait for us, or has done it
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
    of, dataset = feed_of(name)
    source = row["number"] if dataset is Dataset.TOTALS else number_of(tx, of)
    return Claim(row["number"], source, name, generation, due_at, row["read_at"], row["missing"])


def due(tx: Tx, names: Collection[str], *, owner: str, now: datetime) -> set[str]:
    """The feeds that `claim` would give this owner now. One query for all is cheaper than a try for each."""
    is_free = sa.or_(sources.c.lease_until.is_(None), sources.c.lease_until <= now, sources.c.owner == owner)
    is_past = [sa.or_(moment.is_(None), moment <= now) for moment in (sources.c.due_at, sources.c.paused_until)]
    rows = tx.execute(sa.select(sources.c.name).where(sources.c.name.in_(names), is_free, *is_past))
    return set(rows.scalars())


def number_of(tx: Tx, name: str) -> int:
    """The number of a source that is remembered."""
    number: int = tx.execute(sa.select(sources.c.number).where(sources.c.name == name)).scalar_one()
    return number


def names(tx: Tx) -> list[str]:
    """Every feed that is remembered, also those of sources that are no longer configured."""
    return list(tx.execute(sa.select(sources.c.name).order_by(sources.c.name)).scalars())


def _share(number: int) -> float:
    """After which part of its interval a feed is read for the second time: no two feeds keep the same beat.

    Multiples of the golden ratio lie evenly in the unit interval, however many there are (Knuth, The Art of Computer
    Programming, volume 3, section 6.4).
    """
    return 1 - (number - 1) * 0.6180339887498949 % 1


def register_feed(tx: Tx, name: str) -> None:
    """Give one feed, and its source, a row; what is known of others stays as it is."""
    rows = [{"name": row_name} for row_name in dict.fromkeys((feed_of(name)[0], name))]
    tx.execute(upsert(tx, sources, conflict=["name"]), rows)


def _is_watched(row: sa.RowMapping, interval: timedelta, now: datetime) -> bool:
    """Whether somebody polls the source as often as it should be; a pause that the source asked for is no absence."""
    if row["tried_at"] is None:
        return False
    return now - _expected(row, interval) <= interval * _MISSED_INTERVALS


def _expected(row: sa.RowMapping, interval: timedelta) -> datetime:
    tried_at: datetime = row["tried_at"]
    return tried_at if row["due_at"] is None else max(tried_at, row["due_at"] - interval)


def renew(tx: Tx, *, owner: str, until: datetime, now: datetime, names: Collection[str] | None = None) -> int:
    """Hold on to the sources, or some of them, that this owner polls right now; how many they are.

    A poll that takes long is at work, too: who is not answered for longer than three intervals still watches.
    """
    mine = sa.and_(sources.c.owner == owner, sources.c.lease_until > now, sources.c.lease_until < until)
    if names is not None:
        mine = sa.and_(mine, sources.c.name.in_(names))
    return tx.execute(sa.update(sources).where(mine).values(lease_until=until, tried_at=now)).rowcount


def mark_read(tx: Tx, claimed: Claim, taken_at: datetime, *, since: datetime | None = None) -> bool:
    """Note a good reading and end the claim; False if the claim was lost meanwhile, or the reading is not newer.

    `since` is from when on a reading of points was complete.
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
    """From when on a feed has its points; None where it has none."""
    moment: datetime | None = tx.execute(sa.select(sources.c.complete_since).where(sources.c.name == name)).scalar()
    return moment


def mark_complete(tx: Tx, name: str, since: datetime, *, read_at: datetime) -> None:
    """Note that a feed has its points from an earlier moment on; where it was never read, up to `read_at`."""
    tx.execute(
        sa.update(sources)
        .where(sources.c.name == name, sa.or_(sources.c.complete_since.is_(None), sources.c.complete_since > since))
        .values(complete_since=since, read_at=sa.func.coalesce(sources.c.read_at, sa.literal(read_at, Moment)))
    )


def owns_claim(tx: Tx, claimed: Claim) -> bool:
    """Whether the claim is still the newest; nobody can take the feed before the end of the transaction."""
    row = tx.execute(sa.select(sources.c.generation).where(sources.c.number == claimed.feed).with_for_update()).one()
    return bool(row.generation == claimed.generation)


def lock(tx: Tx, name: str) -> int:
    """The number of a feed that nobody else writes to until the end of the transaction."""
    number: int = tx.execute(sa.select(sources.c.number).where(sources.c.name == name).with_for_update()).scalar_one()
    return number


def mark_missing(tx: Tx, claimed: Claim, error: str, *, ask_again_at: datetime) -> bool:
    """Note that the server does not have a feed, and end the claim; whether that is news."""
    changed = tx.execute(
        sa.update(sources)
        .where(sources.c.number == claimed.feed, sources.c.generation == claimed.generation)
        .values(missing=True, failing=True, error=error, lease_until=None, due_at=ask_again_at)
    )
    return changed.rowcount == 1 and not claimed.missing


def mark_refused(tx: Tx, claimed: Claim) -> None:
    """Count a reading that came too late or twice."""
    tx.execute(sa.update(sources).where(sources.c.number == claimed.feed).values(refused=sources.c.refused + 1))


def mark_failed(tx: Tx, claimed: Claim, error: str, *, pause_until: datetime | None = None) -> None:
    """Note that a poll brought no reading, and end the claim. Nothing else changes."""
    due_at = claimed.due_at if pause_until is None else max(claimed.due_at, pause_until)
    tx.execute(
        sa.update(sources)
        .where(sources.c.number == claimed.feed, sources.c.generation == claimed.generation)
        .values(failing=True, error=error, lease_until=None, due_at=due_at)
    )
    if pause_until is not None:
        pause(tx, feed_of(claimed.name)[0], pause_until)


def pause(tx: Tx, name: str, until: datetime) -> None:
    """Leave a source alone, all of its feeds: quotas are those of a user and an address, not of an endpoint."""
    mine = [feed_name(name, dataset) for dataset in Dataset]
    later = sa.or_(sources.c.paused_until.is_(None), sources.c.paused_until < until)
    tx.execute(sa.update(sources).where(sources.c.name.in_(mine), later).values(paused_until=until))


def states(tx: Tx, intervals: Mapping[str, timedelta], *, watched_at: datetime | None = None) -> dict[str, SourceState]:
    """Every configured source as it stands, by name; with `watched_at` only those whose poller was at work then.

    A source is as its totals are; where the server does not have them, as its points are.
    """
    found = feeds(tx, intervals, watched_at=watched_at)
    return {name: replace(main_feed(own), name=name) for name, own in found.items()}


def main_feed(own: Feeds) -> SourceState:
    """The feed by which a source is said to be read or not."""
    there = [own[dataset] for dataset in (Dataset.TOTALS, Dataset.AI, Dataset.STORAGE) if dataset in own]
    return next((state for state in there if not state.missing), there[0])


def feeds(
    tx: Tx, intervals: Mapping[str, timedelta], *, watched_at: datetime | None = None
) -> dict[str, dict[Dataset, SourceState]]:
    """What is read of each configured source, and how each feed stands; with `watched_at` as in `states`."""
    names = {feed_name(name, dataset): (name, dataset) for name in intervals for dataset in Dataset}
    rows = tx.execute(sa.select(sources).where(sources.c.name.in_(list(names)))).mappings()
    found: dict[str, dict[Dataset, SourceState]] = {name: {} for name in intervals}
    for row in rows:
        name, dataset = names[row["name"]]
        dropped = row["missing"] and not row["error"] and dataset is not Dataset.TOTALS
        if not dropped and (watched_at is None or _is_watched(row, intervals[name], watched_at)):
            found[name][dataset] = _state(row, intervals[name])
    return {name: own for name, own in found.items() if own}


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
    """Since when each source's main feed might have been tried again; sources that were never tried are left out."""
    names = {main_feed(own).name: name for name, own in feeds(tx, intervals).items()}
    rows = tx.execute(sa.select(sources).where(sources.c.name.in_(list(names)))).mappings()
    found = {names[row["name"]]: row for row in rows if row["tried_at"] is not None}
    return {name: _expected(row, intervals[name]) for name, row in found.items()}


def newest(tx: Tx) -> datetime | None:
    """The last moment at which anybody tried or read a source."""
    tried_at, read_at = tx.execute(sa.select(sa.func.max(sources.c.tried_at), sa.func.max(sources.c.read_at))).one()
    return max((moment for moment in (tried_at, read_at) if moment is not None), default=None)


def pending_evaluation(tx: Tx, names: Sequence[str]) -> list[str]:
    """The sources of the readings that no evaluation has seen yet, one for each reading, the oldest first."""
    rows = tx.execute(
        sa.select(sources.c.name)
        .join(readings, readings.c.source == sources.c.number)
        .where(sources.c.name.in_(names), readings.c.number > sources.c.evaluated)
        .order_by(readings.c.taken_at, readings.c.number)
    )
    return list(rows.scalars())


def evaluated_until(tx: Tx, names: Sequence[str]) -> datetime | None:
    """When the newest reading was taken, of any of these sources, that evaluation has seen."""
    moment: datetime | None = tx.execute(
        sa.select(sa.func.max(readings.c.taken_at))
        .join(sources, sources.c.evaluated == readings.c.number)
        .where(sources.c.name.in_(names))
    ).scalar()
    return moment


def next_to_evaluate(tx: Tx, name: str) -> datetime | None:
    """Take the oldest reading that no evaluation has seen; None if there is none. No other process can take a later one first."""
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
