"""The slices of readings: where the odometers of every configuration of a source stood, as columns.

Few moments with all configurations of a source are what evaluation needs; `series_slices` is for charts.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa

from alertbot.domain.columns import Column, Rows
from alertbot.domain.history import Slice
from alertbot.store.chunks import chunks
from alertbot.store.column_types import Moment
from alertbot.store.database import Tx
from alertbot.store.recent import Recent, StoredSlice, nothing_recent
from alertbot.store.tables import configurations, readings, rests, snapshots, sources

_CHUNK = 500  # moments a statement


class StoredReading(NamedTuple):
    """A reading, and when the next one of its source was taken."""

    number: int
    taken_at: datetime
    next_at: datetime | None


def as_of(tx: Tx, source: str, moments: Iterable[datetime]) -> dict[datetime, StoredReading]:
    """For each moment the newest reading at or before it, or the source's first one; empty if there is none."""
    placed: dict[datetime, StoredReading] = {}
    for chunk in chunks(sorted(set(moments)), _CHUNK):
        placed |= _as_of(tx, source, chunk)
    return placed


def _as_of(tx: Tx, source: str, moments: Sequence[datetime]) -> dict[datetime, StoredReading]:
    asked = sa.values(sa.column("moment", Moment), name="asked").data([(moment,) for moment in moments]).cte("asked")
    number = sa.select(sources.c.number).where(sources.c.name == source).correlate(None).scalar_subquery()
    of_source = readings.c.source == number
    before = sa.select(readings.c.taken_at).where(of_source, readings.c.taken_at <= asked.c.moment)
    newest = before.order_by(readings.c.taken_at.desc()).limit(1).correlate(asked).scalar_subquery()
    first = sa.select(sa.func.min(readings.c.taken_at)).where(of_source).scalar_subquery()
    following = readings.alias()
    after = sa.select(sa.func.min(following.c.taken_at)).where(
        following.c.source == number, following.c.taken_at > readings.c.taken_at
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
    return {row.moment: StoredReading(row.number, row.taken_at, row.next_at) for row in rows}


def slices(
    tx: Tx, wanted: Mapping[tuple[str, datetime], frozenset[str]], recent: Recent | None = None
) -> dict[tuple[str, datetime], Slice]:
    """The slices of these sources as of these moments, with these counters. Moments in one reading share one query."""
    recent = recent or nothing_recent()
    found: dict[tuple[str, datetime], Slice] = {}
    for source in {source for source, _ in wanted}:
        placed = as_of(tx, source, [moment for name, moment in wanted if name == source])
        counters: dict[StoredReading, set[str]] = {}
        for moment, reading in placed.items():
            counters.setdefault(reading, set()).update(wanted[source, moment])
        stored = _load(tx, source, counters, recent)
        for moment, reading in placed.items():
            whole = stored[reading]
            columns = {name: whole.columns[name] for name in counters[reading]}
            found[source, moment] = Slice(reading.taken_at, reading.next_at, columns, whole.absent)
    return found


def _load(
    tx: Tx, source: str, counters: Mapping[StoredReading, set[str]], recent: Recent
) -> dict[StoredReading, StoredSlice]:
    stored = {reading: recent.slice_of(reading.number, names) for reading, names in counters.items()}
    resting = None
    for reading, here in stored.items():
        if here is None:
            resting = resting_rows(tx, sources.c.name == source) if resting is None else resting
            loaded = _slice(tx, reading, sorted(counters[reading]), resting, recent)
            stored[reading] = recent.keep_slice(reading.number, loaded)
    return {reading: whole for reading, whole in stored.items() if whole is not None}


def resting_rows(tx: Tx, *conditions: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
    """The rests, present and past, that meet these conditions."""
    joined = rests.join(configurations).join(sources)
    return tx.execute(sa.select(rests).select_from(joined).where(*conditions)).all()


def at_rest(rows: Sequence[sa.Row[Any]], taken_at: datetime, names: Sequence[str]) -> list[Sequence[Any]]:
    """The rests among these that replace a row in the reading of this moment, in the form of such a row."""
    return [
        (row.configuration, True, *(getattr(row, name) for name in names))
        for row in rows
        if row.since <= taken_at and (row.until is None or taken_at < row.until)
    ]


def _slice(
    tx: Tx, reading: StoredReading, names: Sequence[str], resting: Sequence[sa.Row[Any]], recent: Recent
) -> StoredSlice:
    # Without their types, so that nothing is called for each of so many values.
    columns: list[sa.ColumnClause[Any]] = [sa.literal_column(name) for name in ("configuration", "absent", *names)]
    query = sa.select(*columns).select_from(snapshots).where(snapshots.c.reading == reading.number)
    rows = tx.execute(query.order_by(snapshots.c.configuration)).all()
    return stored_slice([*rows, *at_rest(resting, reading.taken_at, names)], names, recent)


def stored_slice(rows: Sequence[Sequence[Any]], names: Sequence[str], recent: Recent | None = None) -> StoredSlice:
    """The columns of rows that have a configuration, whether it was absent, and these counters."""
    numbers, absent, *amounts = zip(*rows, strict=True) if rows else ((), (), *((),) * len(names))
    slice_rows = Rows(np.array(numbers, dtype=np.int64))
    slice_rows = slice_rows if recent is None else recent.rows(slice_rows)
    return StoredSlice(
        {name: Column.from_optional(slice_rows, _whole(column)) for name, column in zip(names, amounts, strict=True)},
        frozenset(number for number, is_absent in zip(numbers, absent, strict=True) if is_absent),
    )


def _whole(amounts: Sequence[Any]) -> Sequence[int | None]:
    """Integers, from what the two databases keep them as: SQLite has text past 2**63, Postgres has decimals."""
    if set(map(type, amounts)) <= {int, type(None)}:
        return amounts
    return [None if amount is None else int(amount) for amount in amounts]
