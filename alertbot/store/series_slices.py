"""Slices as of many moments for a few configurations, as charts need them, in few queries.

`snapshots.slices` is for evaluation: every configuration, as of a few moments.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.history import Slice
from alertbot.store.chunks import chunks
from alertbot.store.column_types import Moment
from alertbot.store.database import Tx
from alertbot.store.snapshots import at_rest, grown_in, resting_rows
from alertbot.store.tables import configurations, readings, rests, snapshots, sources

_Condition = Callable[[sa.Column[Any]], sa.ColumnElement[bool]]  # on the column that holds a configuration's number
_CHUNK = 500  # moments, readings or configurations a statement


def slices_along(
    tx: Tx, source: str, moments: Collection[datetime], counters: Iterable[str], members: Collection[int]
) -> dict[tuple[str, datetime], Slice]:
    """The slices of one source as of these moments, with these counters of these members; empty if the source is unknown."""
    number = tx.execute(sa.select(sources.c.number).where(sources.c.name == source)).scalar()
    if number is None:
        return {}
    few = list(members) if len(members) <= _CHUNK else None

    def is_member(configuration: sa.Column[Any]) -> sa.ColumnElement[bool]:
        return sa.true() if few is None else configuration.in_(few)

    return {(source, moment): cut for moment, cut in _slices(tx, number, moments, counters, is_member).items()}


def trail(tx: Tx, source: str, ai_llm: str, moments: Sequence[datetime], counters: Sequence[str]) -> list[Slice]:
    """The slices of one configuration as of these moments; empty if it is unknown or was never read."""
    query = sa.select(configurations).join(sources, sources.c.number == configurations.c.source)
    query = query.where(sources.c.name == source, configurations.c.ai_llm == ai_llm)
    number, its_source = (
        query.with_only_columns(column).correlate(None).scalar_subquery()
        for column in (configurations.c.number, configurations.c.source)
    )
    loaded = _slices(tx, its_source, moments, counters, lambda configuration: configuration == number)
    return [loaded[moment] for moment in moments] if loaded else []


def _slices(
    tx: Tx,
    source: int | sa.ScalarSelect[int],
    moments: Collection[datetime],
    counters: Iterable[str],
    condition: _Condition,
) -> dict[datetime, Slice]:
    placed: dict[datetime, Any] = {}
    for chunk in chunks(sorted(set(moments)), _CHUNK):
        placed |= _as_of(tx, source, chunk)
    columns = sorted(set(counters))
    rows: dict[int, list[Any]] = {reading.number: [] for reading in placed.values()}
    query = sa.select(
        snapshots.c.reading,
        snapshots.c.configuration,
        snapshots.c.absent,
        *(snapshots.c[column] for column in columns),
    ).where(condition(snapshots.c.configuration))
    for numbers in chunks(sorted(rows), _CHUNK):
        for row in tx.execute(query.where(snapshots.c.reading.in_(numbers))):
            rows[row.reading].append(row)
    resting = resting_rows(tx, configurations.c.source == source, condition(rests.c.configuration))
    return {
        moment: Slice(
            reading.taken_at,
            reading.next_at,
            *grown_in([*rows[reading.number], *at_rest(resting, reading.taken_at)], columns),
        )
        for moment, reading in placed.items()
    }


def _as_of(tx: Tx, source: int | sa.ScalarSelect[int], moments: Sequence[datetime]) -> dict[datetime, Any]:
    """What `snapshots.as_of` returns, for each moment, in one query."""
    asked = sa.values(sa.column("moment", Moment), name="asked").data([(moment,) for moment in moments]).cte("asked")
    of_source = readings.c.source == source
    before = sa.select(readings.c.taken_at).where(of_source, readings.c.taken_at <= asked.c.moment)
    newest = before.order_by(readings.c.taken_at.desc()).limit(1).correlate(asked).scalar_subquery()
    first = sa.select(sa.func.min(readings.c.taken_at)).where(of_source).scalar_subquery()
    following = readings.alias()
    after = sa.select(sa.func.min(following.c.taken_at)).where(
        following.c.source == source, following.c.taken_at > readings.c.taken_at
    )
    rows = tx.execute(
        sa.select(
            asked.c.moment,
            readings.c.number,
            readings.c.taken_at,
            after.correlate(readings).scalar_subquery().label("next_at"),
        )
        .select_from(asked)
        .join(readings, sa.and_(of_source, readings.c.taken_at == sa.func.coalesce(newest, first)))
    )
    return {row.moment: row for row in rows}
