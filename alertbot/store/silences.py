"""Silences: made, in force, ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.silences import Matcher, MatchType, Silence
from alertbot.store.database import Tx
from alertbot.store.tables import silences
from alertbot.store.upserts import upsert


def add(tx: Tx, silence: Silence, *, key: str | None = None) -> Silence | None:
    """Store a new silence. Returns it with its number; None if this key's action has made one before."""
    number: int | None = tx.execute(
        upsert(tx, silences, conflict=["key"]).returning(silences.c.number),
        {
            "matchers": [[matcher.label, matcher.sign.value, matcher.value] for matcher in silence.matchers],
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "author": silence.author,
            "comment": silence.comment,
            "has_fixed_end": silence.has_fixed_end,
            "key": key,
        },
    ).scalar()
    return None if number is None else replace(silence, number=number)


def made_by(tx: Tx, key: str) -> Silence:
    """The silence that the action of this key has made."""
    (silence,) = _silences(tx, silences.c.key == key)
    return silence


def end(tx: Tx, number: int, *, by: str, now: datetime) -> bool:
    """End a silence now; False if it has ended or does not exist."""
    changed = tx.execute(
        sa.update(silences).where(silences.c.number == number, _is_not_over(now)).values(ends_at=now, ended_by=by)
    )
    return changed.rowcount == 1


def in_force(tx: Tx, now: datetime) -> list[Silence]:
    """The silences in force."""
    return _silences(tx, silences.c.starts_at <= now, silences.c.ends_at >= now)


def not_over(tx: Tx, now: datetime) -> list[Silence]:
    """The silences that are in force or will be, without those that somebody has just ended."""
    return _silences(tx, _is_not_over(now))


def _is_not_over(now: datetime) -> sa.ColumnElement[bool]:
    # A silence is still in force at `ends_at`, also if somebody ended it then.
    return sa.and_(silences.c.ends_at >= now, silences.c.ended_by == "")


def unreported(tx: Tx, now: datetime) -> list[Silence]:
    """The silences that have not ended and were not reported as invalid."""
    return _silences(tx, _is_not_over(now), silences.c.reported.is_(False))


def mark_reported(tx: Tx, number: int) -> bool:
    """Note that the operators are notified that a silence is invalid; False if they were before."""
    unreported = sa.and_(silences.c.number == number, silences.c.reported.is_(False))
    return tx.execute(sa.update(silences).where(unreported).values(reported=True)).rowcount == 1


def count(tx: Tx, now: datetime) -> int:
    """How many silences have not ended."""
    return tx.execute(sa.select(sa.func.count()).select_from(silences).where(_is_not_over(now))).scalar_one()


def next_start(tx: Tx, now: datetime) -> datetime | None:
    """When the next planned silence begins."""
    query = sa.select(sa.func.min(silences.c.starts_at)).where(silences.c.starts_at > now, silences.c.ends_at > now)
    moment: datetime | None = tx.execute(query).scalar()
    return moment


def _silences(tx: Tx, *conditions: sa.ColumnElement[bool]) -> list[Silence]:
    rows: Sequence[sa.Row[Any]] = tx.execute(sa.select(silences).where(*conditions).order_by(silences.c.number)).all()
    return [
        Silence(
            matchers=tuple(Matcher(label, MatchType(sign), value) for label, sign, value in row.matchers),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            author=row.author,
            comment=row.comment,
            number=row.number,
            ended_by=row.ended_by,
            has_fixed_end=row.has_fixed_end,
        )
        for row in rows
    ]
