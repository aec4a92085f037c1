"""Slices as of many moments at once, for a few configurations: two queries a source, however many moments there are.

Evaluation needs every configuration as of few moments, which `snapshots.slices` loads; a chart or a trend line needs
few configurations as of many.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.history import Slice
from alertbot.store.column_types import Moment
from alertbot.store.database import Tx
from alertbot.store.snapshots import at_rest, grown_in, resting_rows
from alertbot.store.tables import configurations, readings, rests, snapshots, sources

_Chosen = Callable[[sa.Column[Any]], sa.ColumnElement[bool]]  # which configurations, given the column that names them
_MOST_AT_ONCE = 500  # moments or configurations a statement; databases limit how many values one may hold


def slices_along(
    tx: Tx, source: str, moments: Collection[datetime], counters: Iterable[str], members: Collection[int]
) -> dict[tuple[str, datetime], Slice]:
    """The slices of one source as of these moments, with these counters of these members; empty if it was never read."""
    found = tx.execute(sa.select(sources.c.number).where(sources.c.name == source)).scalar()
    if found is None:
        return {}
    few = list(members) if len(members) <= _MOST_AT_ONCE else None

    def chosen(configuration: sa.Column[Any]) -> sa.ColumnElement[bool]:
        return sa.true() if few is None else configuration.in_(few)

    return {(source, moment): one for moment, one in _slices(tx, found, moments, counters, chosen).items()}


def trail(tx: Tx, source: str, ai_llm: str, moments: Sequence[datetime], counters: Sequence[str]) -> list[Slice]:
    """The slices of one configuration as of these moments; empty where it, or any reading, is not known."""
    mine = sa.select(configurations).join(sources, sources.c.number == configurations.c.source)
    mine = mine.where(sources.c.name == source, configurations.c.ai_llm == ai_llm)
    number, of = mine.with_only_columns(configurations.c.number), mine.with_only_columns(configurations.c.source)
    the_one = number.correlate(None).scalar_subquery()
    loaded = _slices(
        tx, of.correlate(None).scalar_subquery(), moments, counters, lambda configuration: configuration == the_one
    )
    return [loaded[moment] for moment in moments] if loaded else []


def _slices(
    tx: Tx,
    source: int | sa.ScalarSelect[int],
    moments: Collection[datetime],
    counters: Iterable[str],
    chosen: _Chosen,
) -> dict[datetime, Slice]:
    places: dict[datetime, Any] = {}
    ordered = sorted(set(moments))
    for start in range(0, len(ordered), _MOST_AT_ONCE):
        places |= _places(tx, source, ordered[start : start + _MOST_AT_ONCE])
    columns = sorted(set(counters))
    numbers = sorted({place.number for place in places.values()})
    rows: dict[int, list[Any]] = {number: [] for number in numbers}
    for start in range(0, len(numbers), _MOST_AT_ONCE):
        query = sa.select(
            snapshots.c.reading,
            snapshots.c.configuration,
            snapshots.c.absent,
            *(snapshots.c[column] for column in columns),
        ).where(snapshots.c.reading.in_(numbers[start : start + _MOST_AT_ONCE]), chosen(snapshots.c.configuration))
        for row in tx.execute(query):
            rows[row.reading].append(row)
    resting = resting_rows(tx, configurations.c.source == source, chosen(rests.c.configuration))
    return {
        moment: Slice(
            place.taken_at, place.next_at, *grown_in([*rows[place.number], *at_rest(resting, place.taken_at)], columns)
        )
        for moment, place in places.items()
    }


def _places(tx: Tx, source: int | sa.ScalarSelect[int], moments: Sequence[datetime]) -> dict[datetime, Any]:
    """For each moment the newest reading at or before it, or the first one, and when the one after was taken."""
    wanted = sa.values(sa.column("moment", Moment), name="wanted").data([(moment,) for moment in moments]).cte("wanted")
    mine = readings.c.source == source
    before = sa.select(readings.c.taken_at).where(mine, readings.c.taken_at <= wanted.c.moment)
    newest = before.order_by(readings.c.taken_at.desc()).limit(1).correlate(wanted).scalar_subquery()
    first = sa.select(sa.func.min(readings.c.taken_at)).where(mine).scalar_subquery()
    following = readings.alias()
    after = sa.select(sa.func.min(following.c.taken_at)).where(
        following.c.source == source, following.c.taken_at > readings.c.taken_at
    )
    rows = tx.execute(
        sa.select(
            wanted.c.moment,
            readings.c.number,
            readings.c.taken_at,
            after.correlate(readings).scalar_subquery().label("next_at"),
        )
        .select_from(wanted)
        .join(readings, sa.and_(mine, readings.c.taken_at == sa.func.coalesce(newest, first)))
    )
    return {row.moment: row for row in rows}
