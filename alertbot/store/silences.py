"""Silences that were made, and those that are in force."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.silences import Matcher, Sign, Silence
from alertbot.store.database import Tx
from alertbot.store.tables import silences


def add(tx: Tx, silence: Silence) -> int:
    """Keep a new silence; its number is returned."""
    number: int = tx.execute(
        sa.insert(silences)
        .values(
            matchers=[[matcher.label, matcher.sign.value, matcher.value] for matcher in silence.matchers],
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
            author=silence.author,
            comment=silence.comment,
        )
        .returning(silences.c.number)
    ).scalar_one()
    return number


def end(tx: Tx, number: int, *, by: str, now: datetime) -> bool:
    """End a silence now; False if there is none of this number that has not ended."""
    changed = tx.execute(
        sa.update(silences)
        .where(silences.c.number == number, silences.c.ends_at >= now)
        .values(ends_at=now, ended_by=by)
    )
    return changed.rowcount == 1


def in_force(tx: Tx, now: datetime) -> list[Silence]:
    """The silences that hold at this moment."""
    return _silences(tx, silences.c.starts_at <= now, silences.c.ends_at >= now)


def not_over(tx: Tx, now: datetime) -> list[Silence]:
    """The silences that hold now or will."""
    return _silences(tx, silences.c.ends_at >= now)


def next_start(tx: Tx, now: datetime) -> datetime | None:
    """When the next silence begins that was made for later."""
    query = sa.select(sa.func.min(silences.c.starts_at)).where(silences.c.starts_at > now, silences.c.ends_at > now)
    moment: datetime | None = tx.execute(query).scalar()
    return moment


def _silences(tx: Tx, *conditions: sa.ColumnElement[bool]) -> list[Silence]:
    rows: Sequence[sa.Row[Any]] = tx.execute(sa.select(silences).where(*conditions).order_by(silences.c.number)).all()
    return [
        Silence(
            matchers=tuple(Matcher(label, Sign(sign), value) for label, sign, value in row.matchers),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            author=row.author,
            comment=row.comment,
            number=row.number,
            ended_by=row.ended_by,
        )
        for row in rows
    ]
