"""Moments that were written by a clock that was set wrong for a while: found, and moved back to when they happened."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.store.column_types import Moment
from alertbot.store.database import Tx
from alertbot.store.tables import clock_corrections, evidence_fetches, groups, metadata, readings, sources

# Moments that people, the calendar or Flashback have set. All others are our clock's, or were counted from its time.
GIVEN = frozenset(
    {
        "actions.until",
        "ai_points.bucket",
        "alerts.period",
        "alerts.snoozed_until",
        "backfills.done_since",
        "label_sets.last_at",
        "configurations.created_at",
        "evidence.at",
        "evidence_fetches.alerts_until",
        "evidence_fetches.complete_since",
        "evidence_fetches.violations_until",
        "silences.ends_at",
        "silences.starts_at",
        "sources.complete_since",
        "storage_points.bucket",
    }
)
_LOOK_BACK = timedelta(days=1)
_BEFORE_ITS_READING = timedelta(
    minutes=4
)  # a poll is claimed so long before its reading; shorter than what is set right
_TOLD = ("first_at", "last_ping_at", "untaken_since")


def begin_of_future(tx: Tx, *, now: datetime, ahead: timedelta) -> datetime | None:
    """Since when moments are dated by a clock that was `ahead` of `now`; None where no reading tells that it ever was.

    A clock that is set forward leaves a gap as long as that between two readings. Without such a gap the readings follow
    one another as they happened, and it is the present clock that is behind.
    """
    taken = sa.select(readings.c.taken_at).order_by(readings.c.taken_at)
    before: datetime | None = tx.execute(
        sa.select(readings.c.taken_at)
        .where(readings.c.taken_at <= now - _LOOK_BACK)
        .order_by(readings.c.taken_at.desc())
        .limit(1)
    ).scalar()
    moments: list[datetime | None] = [
        before,
        *tx.execute(taken.where(readings.c.taken_at > now - _LOOK_BACK)).scalars(),
    ]
    for earlier, later in zip(moments[-2::-1], moments[:0:-1], strict=True):
        if earlier is None:  # nothing was ever read before
            return later - _BEFORE_ITS_READING if later is not None and later > now else None
        if later is not None and later - earlier > ahead:
            return later - _BEFORE_ITS_READING
    return None


def last_correction(tx: Tx) -> int:
    """The number of the last time that anything was dated back, 0 if nothing was.

    A process whose clock has not followed that one still goes by the wrong time: what it dates now would lie in the future.
    """
    number: int | None = tx.execute(sa.select(sa.func.max(clock_corrections.c.number))).scalar()
    return number or 0


def move_back(tx: Tx, *, since: datetime, by: timedelta, now: datetime) -> None:
    """Date everything earlier that our clock has dated at or after `since`; `now` is the right time.

    A poll that is under way has begun by the wrong time: it loses its claim, and what it brings is refused.
    """
    for claimed in (sources, evidence_fetches):
        tx.execute(sa.update(claimed).values(generation=claimed.c.generation + 1, lease_until=None))
    # The oldest first: no two readings of a source may have one date, not even on the way.
    later = sa.select(readings.c.number, readings.c.taken_at).where(readings.c.taken_at >= since)
    for number, taken_at in tx.execute(later.order_by(readings.c.taken_at)).all():
        tx.execute(sa.update(readings).where(readings.c.number == number).values(taken_at=taken_at - by))
    for column in dated_by_our_clock():
        if column is not readings.c.taken_at:
            tx.execute(sa.update(column.table).where(column >= since).values({column.name: _earlier(tx, column, by)}))
    for number, told in tx.execute(
        sa.select(groups.c.number, groups.c.notified).where(groups.c.closed_at.is_(None))
    ).all():
        moved = {
            key: (datetime.fromisoformat(told[key]) - by).isoformat() for key in _TOLD if _is_later(told[key], since)
        }
        if moved:
            tx.execute(sa.update(groups).where(groups.c.number == number).values(notified={**told, **moved}))
    tx.execute(sa.insert(clock_corrections).values(corrected_at=now, seconds=by.total_seconds()))


def dated_by_our_clock() -> list[sa.Column[datetime]]:
    """The columns whose moments are our clock's."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Moment) and f"{table.name}.{column.name}" not in GIVEN
    ]


def _earlier(tx: Tx, column: sa.Column[datetime], by: timedelta) -> sa.ColumnElement[datetime]:
    if tx.dialect.name == "sqlite":
        return sa.func.moved(column, by.total_seconds(), type_=Moment)
    earlier: sa.ColumnElement[datetime] = sa.type_coerce(column - sa.literal(by, sa.Interval), Moment)
    return earlier


def _is_later(text: str | None, since: datetime) -> bool:
    return text is not None and datetime.fromisoformat(text) >= since
