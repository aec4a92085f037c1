"""What is known of each source, and who may poll it now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from alertbot.domain.history import SourceState
from alertbot.store.database import Tx
from alertbot.store.tables import Moment, readings, sources

# A poller that has not tried for this many intervals was not running: silence is then its own, not the source's.
_MISSED_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll a source once. `generation` fences: a reading under an older one is refused."""

    source: int
    name: str
    generation: int
    due_at: datetime


def remember(tx: Tx, names: Sequence[str]) -> None:
    """Give every configured source its row."""
    known = set(tx.execute(sa.select(sources.c.name)).scalars())
    new = [{"name": name} for name in names if name not in known]
    if new:
        # Another replica that starts at the same time may have been first.
        insert = sqlite.insert(sources) if tx.dialect.name == "sqlite" else postgresql.insert(sources)
        tx.execute(insert.on_conflict_do_nothing(index_elements=["name"]), new)


def claim(
    tx: Tx, name: str, *, owner: str, interval: timedelta, lease: timedelta, now: datetime, at_once: bool = False
) -> Claim | None:
    """Take the source for one poll; None if it is not due yet, or somebody else polls it.

    `at_once` does not wait until it is due, but for the end of a pause that the source asked for. The cadence is kept: a
    poll that was late does not move the ones after it.
    """
    row = tx.execute(sa.select(sources).where(sources.c.name == name).with_for_update()).mappings().one()
    if row["paused_until"] is not None and row["paused_until"] > now:
        return None
    if not at_once and row["due_at"] is not None and row["due_at"] > now:
        return None
    if row["owner"] != owner and row["lease_until"] is not None and row["lease_until"] > now:
        return None
    due_at = (row["due_at"] or now) + interval
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
    return Claim(row["number"], name, generation, due_at) if changed.rowcount == 1 else None


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


def release_everyone(tx: Tx) -> None:
    """Forget every claim: for a start on a database that no other process uses, after one that could not end its own."""
    tx.execute(sa.update(sources).where(sources.c.lease_until.is_not(None)).values(lease_until=None))


def mark_read(tx: Tx, claimed: Claim, taken_at: datetime) -> bool:
    """Note a good reading and end the claim; False if the claim was lost meanwhile, or the reading is not newer."""
    changed = tx.execute(
        sa.update(sources)
        .where(
            sources.c.number == claimed.source,
            sources.c.generation == claimed.generation,
            sa.or_(sources.c.read_at.is_(None), sources.c.read_at < taken_at),
        )
        .values(
            read_at=taken_at,
            first_at=sa.func.coalesce(sources.c.first_at, sa.literal(taken_at, Moment)),
            failing=False,
            error="",
            lease_until=None,
        )
    )
    return changed.rowcount == 1


def mark_refused(tx: Tx, claimed: Claim) -> None:
    """Count a reading that came too late or twice."""
    tx.execute(sa.update(sources).where(sources.c.number == claimed.source).values(refused=sources.c.refused + 1))


def mark_failed(tx: Tx, claimed: Claim, error: str, *, pause_until: datetime | None = None) -> None:
    """Note that a poll brought no reading, and end the claim. Nothing else changes."""
    due_at = claimed.due_at if pause_until is None else max(claimed.due_at, pause_until)
    tx.execute(
        sa.update(sources)
        .where(sources.c.number == claimed.source, sources.c.generation == claimed.generation)
        .values(failing=True, error=error, lease_until=None, due_at=due_at, paused_until=pause_until)
    )


def states(tx: Tx, intervals: Mapping[str, timedelta], *, watched_at: datetime | None = None) -> dict[str, SourceState]:
    """Every configured source as it stands, by name; with `watched_at` only those whose poller was at work then."""
    rows = tx.execute(sa.select(sources).where(sources.c.name.in_(list(intervals)))).mappings()
    found = {
        row["name"]: SourceState(
            name=row["name"],
            interval=intervals[row["name"]],
            first_at=row["first_at"],
            read_at=row["read_at"],
            watched_since=row["watched_since"],
            tried_at=row["tried_at"],
            failing=row["failing"],
            error=row["error"],
        )
        for row in rows
        if watched_at is None or _is_watched(row, intervals[row["name"]], watched_at)
    }
    return {name: found[name] for name in intervals if name in found}


def expected(tx: Tx, intervals: Mapping[str, timedelta]) -> dict[str, datetime]:
    """Since when each source might have been tried again; sources that were never tried are left out."""
    rows = tx.execute(sa.select(sources).where(sources.c.name.in_(list(intervals)))).mappings()
    return {row["name"]: _expected(row, intervals[row["name"]]) for row in rows if row["tried_at"] is not None}


def newest(tx: Tx) -> datetime | None:
    """The last moment at which anybody tried or read a source."""
    tried_at, read_at = tx.execute(sa.select(sa.func.max(sources.c.tried_at), sa.func.max(sources.c.read_at))).one()
    return max((moment for moment in (tried_at, read_at) if moment is not None), default=None)


def with_news(tx: Tx, names: Sequence[str]) -> list[str]:
    """The sources of the readings that no evaluation has seen yet, one for each reading, the oldest first."""
    rows = tx.execute(
        sa.select(sources.c.name)
        .join(readings, readings.c.source == sources.c.number)
        .where(sources.c.name.in_(names), readings.c.number > sources.c.evaluated)
        .order_by(readings.c.taken_at, readings.c.number)
    )
    return list(rows.scalars())


def judged_until(tx: Tx, names: Sequence[str]) -> datetime | None:
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
