"""Slices as of many moments for a few configurations, as charts need them, in few queries.

`slices.slices` is for evaluation: every configuration, as of a few moments.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.history import Slice
from alertbot.store.chunks import chunks
from alertbot.store.database import Tx
from alertbot.store.slices import as_of, at_rest, resting_rows, stored_slice
from alertbot.store.tables import configurations, rests, snapshots, sources

_Condition = Callable[[sa.Column[Any]], sa.ColumnElement[bool]]  # on the column that holds a configuration's number
_CHUNK = 500  # readings or configurations a statement


def slices_along(
    tx: Tx, source: str, moments: Collection[datetime], counters: Iterable[str], members: Collection[int]
) -> dict[tuple[str, datetime], Slice]:
    """The slices of one source as of these moments, with these counters of these members; empty if the source is unknown."""
    few = list(members) if len(members) <= _CHUNK else None

    def is_member(configuration: sa.Column[Any]) -> sa.ColumnElement[bool]:
        return sa.true() if few is None else configuration.in_(few)

    return {(source, moment): cut for moment, cut in _slices(tx, source, moments, counters, is_member).items()}


def trail(tx: Tx, source: str, ai_llm: str, moments: Sequence[datetime], counters: Sequence[str]) -> list[Slice]:
    """The slices of one configuration as of these moments; empty if there is nothing of it in any of them."""
    query = sa.select(configurations.c.number).join(sources, sources.c.number == configurations.c.source)
    query = query.where(sources.c.name == source, configurations.c.ai_llm == ai_llm)
    number = query.correlate(None).scalar_subquery()
    loaded = _slices(tx, source, moments, counters, lambda configuration: configuration == number)
    is_there = any(column for cut in loaded.values() for column in cut.grown.values())
    return [loaded[moment] for moment in moments] if is_there else []


def _slices(
    tx: Tx, source: str, moments: Collection[datetime], counters: Iterable[str], condition: _Condition
) -> dict[datetime, Slice]:
    placed = as_of(tx, source, moments)
    columns = sorted(set(counters))
    rows: dict[int, list[Any]] = {reading.number: [] for reading in placed.values()}
    query = sa.select(
        snapshots.c.reading, snapshots.c.configuration, snapshots.c.absent, *(snapshots.c[column] for column in columns)
    ).where(condition(snapshots.c.configuration))
    for numbers in chunks(sorted(rows), _CHUNK):
        for reading, *row in tx.execute(query.where(snapshots.c.reading.in_(numbers))):
            rows[reading].append(row)
    resting = resting_rows(tx, sources.c.name == source, condition(rests.c.configuration))
    found = {}
    for moment, reading in placed.items():
        stored = stored_slice([*rows[reading.number], *at_rest(resting, reading.taken_at, columns)], columns)
        found[moment] = Slice(reading.taken_at, reading.next_at, stored.columns, stored.absent)
    return found
