"""Moving back the times that were stored while the clock was ahead."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.store.column_types import Moment
from alertbot.store.configurations import note_change
from alertbot.store.database import Tx
from alertbot.store.tables import (
    actions,
    alerts,
    clock_corrections,
    evidence_fetches,
    groups,
    metadata,
    readings,
    silences,
    sources,
)

# Times set by people, the calendar or Flashback. All others come from our clock. What people asked for as a length of time
# is moved with the moment at which they asked; what they asked for as a moment stays.
NOT_OURS = frozenset(
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
        "sources.complete_since",
        "storage_points.bucket",
    }
)
_LOOK_BACK = timedelta(days=1)
_BEFORE_ITS_READING = timedelta(minutes=4)  # from a claim to its reading at most; less than any correction
_NOTIFIED_TIMES = ("first_at", "last_ping_at", "untaken_since")


def begin_of_future(tx: Tx, *, now: datetime, ahead: timedelta) -> datetime | None:
    """When a clock began to be `ahead` of `now`, from the readings; None if they do not show that it was.

    A clock that is set forward leaves a gap of that length between two readings. Without a gap the readings are right, and
    the present clock is behind.
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
        if earlier is None:  # there is no earlier reading
            return later - _BEFORE_ITS_READING if later is not None and later > now else None
        if later is not None and later - earlier > ahead:
            return later - _BEFORE_ITS_READING
    return None


def last_correction(tx: Tx) -> int:
    """The number of the last correction, 0 if there was none.

    A process whose clock has not followed it is still ahead, and would store times in the future.
    """
    number: int | None = tx.execute(sa.select(sa.func.max(clock_corrections.c.number))).scalar()
    return number or 0


def move_back(tx: Tx, *, since: datetime, by: timedelta, now: datetime) -> None:
    """Move all times of our clock at or after `since` back; `now` is the right time.

    Polls under way lose their claims, as they began at a wrong time: their readings are refused.
    """
    for claimed in (sources, evidence_fetches):
        tx.execute(sa.update(claimed).values(generation=claimed.c.generation + 1, lease_until=None))
    # Oldest first: no two readings of a source may have the same time, not even in between.
    later = sa.select(readings.c.number, readings.c.taken_at).where(readings.c.taken_at >= since)
    for number, taken_at in tx.execute(later.order_by(readings.c.taken_at)).all():
        tx.execute(sa.update(readings).where(readings.c.number == number).values(taken_at=taken_at - by))
    _move_ends_back(tx, since=since, by=by)
    for column in dated_by_our_clock():
        if column is not readings.c.taken_at:
            tx.execute(sa.update(column.table).where(column >= since).values({column.name: _earlier(tx, column, by)}))
    open_groups = sa.select(groups.c.number, groups.c.notified).where(groups.c.closed_at.is_(None))
    for number, notified in tx.execute(open_groups).all():
        moved = {
            key: (datetime.fromisoformat(notified[key]) - by).isoformat()
            for key in _NOTIFIED_TIMES
            if _is_later(notified[key], since)
        }
        if moved:
            tx.execute(sa.update(groups).where(groups.c.number == number).values(notified={**notified, **moved}))
    note_change(tx)
    tx.execute(sa.insert(clock_corrections).values(corrected_at=now, seconds=by.total_seconds()))


def _move_ends_back(tx: Tx, *, since: datetime, by: timedelta) -> None:
    """Move back the ends of the snoozes and silences that were asked for at or after `since`, unless they are fixed.

    A silence that somebody has ended since has ended by our clock, whatever was asked for.
    """
    lasts = sa.and_(silences.c.starts_at >= since, silences.c.has_fixed_end.is_(False))
    was_ended = sa.and_(silences.c.ended_by != "", silences.c.ends_at >= since)
    ends_at = {"ends_at": _earlier(tx, silences.c.ends_at, by)}
    tx.execute(sa.update(silences).where(sa.or_(lasts, was_ended)).values(ends_at))
    snoozes = sa.and_(actions.c.at >= since, actions.c.until.is_not(None), actions.c.has_fixed_end.is_(False))
    is_end = sa.exists().where(snoozes, actions.c.alert == alerts.c.number, actions.c.until == alerts.c.snoozed_until)
    tx.execute(sa.update(alerts).where(is_end).values(snoozed_until=_earlier(tx, alerts.c.snoozed_until, by)))
    tx.execute(sa.update(actions).where(snoozes).values(until=_earlier(tx, actions.c.until, by)))


def dated_by_our_clock() -> list[sa.Column[datetime]]:
    """The columns with times of our clock."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Moment) and f"{table.name}.{column.name}" not in NOT_OURS
    ]


def _earlier(tx: Tx, column: sa.Column[datetime], by: timedelta) -> sa.ColumnElement[datetime]:
    if tx.dialect.name == "sqlite":
        return sa.func.moved(column, by.total_seconds(), type_=Moment)
    earlier: sa.ColumnElement[datetime] = sa.type_coerce(column - sa.literal(by, sa.Interval), Moment)
    return earlier


def _is_later(text: str | None, since: datetime) -> bool:
    return text is not None and datetime.fromisoformat(text) >= since
