"""Readings, and the slice of odometers that each leaves: one snapshot of every configuration."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any

import sqlalchemy as sa

from alertbot.domain.columns import Column
from alertbot.domain.history import CounterReset
from alertbot.domain.series import UNKNOWN, Odometer, Odometers, Reset, ResetKind
from alertbot.domain.snapshots import Configuration, Counter
from alertbot.domain.standing import Standing
from alertbot.store.chunks import chunks
from alertbot.store.column_types import LARGEST_INTEGER
from alertbot.store.configurations import from_row
from alertbot.store.database import Tx
from alertbot.store.tables import configurations, counter_resets, counters, readings, rests, snapshots, sources
from alertbot.store.upserts import upsert

_COUNTERS = tuple(Counter)
_CHUNK = 2000  # rows a statement, so that no statement holds the database for long


@dataclass(frozen=True, slots=True)
class Known:
    """A configuration as it was after the last reading."""

    number: int
    configuration: Configuration
    odometers: Odometers
    absent: bool
    absent_since: datetime | None = None
    rests: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """A configuration as it is after this reading."""

    number: int
    odometers: Odometers
    resets: tuple[Reset, ...] = ()
    absent: bool = False


def known(tx: Tx, source: int, *, before: int | None = None) -> dict[str, Known]:
    """The configurations that a source's readings (`before` one, by number) have listed, with their counters, by id."""
    of_source = readings.c.source == source
    earlier = of_source if before is None else sa.and_(of_source, readings.c.number < before)
    last = sa.select(sa.func.max(readings.c.number)).where(earlier).scalar_subquery()
    grown = sa.select(snapshots).where(snapshots.c.reading == last).subquery()
    resting = sa.select(rests).where(rests.c.until.is_(None)).subquery()
    rows = tx.execute(
        sa.select(
            configurations,
            *(counters.c[counter].label(f"ahead_{counter}") for counter in _COUNTERS),
            counters.c.held,
            *(
                sa.func.coalesce(grown.c[counter], resting.c[counter]).label(f"grown_{counter}")
                for counter in _COUNTERS
            ),
            grown.c.absent,
            resting.c.since.label("rests_since"),
        )
        .join(counters, counters.c.configuration == configurations.c.number)
        .outerjoin(grown, grown.c.configuration == configurations.c.number)
        .outerjoin(resting, resting.c.configuration == configurations.c.number)
        .where(configurations.c.source == source)
    )
    return {
        row.ai_llm: Known(
            number=row.number,
            configuration=from_row(row),
            odometers=_odometers(row),
            absent=bool(row.absent) or row.rests_since is not None,
            absent_since=row.absent_since,
            rests=row.rests_since is not None,
        )
        for row in rows
    }


def _odometers(row: sa.Row[tuple[object, ...]]) -> Odometers:
    columns, held = row._mapping, row.held or {}  # noqa: SLF001 — the documented name of a row's mapping
    return {
        counter: Odometer(
            columns[f"ahead_{counter}"] + (columns[f"grown_{counter}"] or 0),
            columns[f"grown_{counter}"] or 0,
            int(held[counter]) if counter in held else None,
        )
        if columns[f"ahead_{counter}"] is not None
        else UNKNOWN
        for counter in _COUNTERS
    }


def begin_reading(tx: Tx, source: int, taken_at: datetime) -> int:
    """Add a reading. Returns its number."""
    statement = sa.insert(readings).values(source=source, taken_at=taken_at).returning(readings.c.number)
    number: int = tx.execute(statement).scalar_one()
    return number


def last_reading(tx: Tx, source: int) -> tuple[int, datetime] | None:
    """The number and time of the source's last reading; None if it was never read."""
    of_source = sa.select(readings.c.number, readings.c.taken_at).where(readings.c.source == source)
    reading = tx.execute(of_source.order_by(readings.c.taken_at.desc()).limit(1)).first()
    return None if reading is None else (reading.number, reading.taken_at)


_SLICE_COLUMNS = ("reading", "configuration", "absent", *_COUNTERS)


def write_standing(tx: Tx, reading: int, standing: Standing) -> None:
    """Store the odometers of one reading. What did more than grow is stored by `write_totals` as well.

    By the driver itself: SQLAlchemy would touch each of a hundred thousand values.
    """
    is_sqlite = tx.dialect.name == "sqlite"
    amounts = [_amounts(column, as_text=is_sqlite) for column in standing.columns().values()]
    numbers = standing.rows.numbers.tolist()
    rows = zip(repeat(reading, len(numbers)), numbers, standing.absent.tolist(), *amounts, strict=True)
    driver: Any = tx.connection.driver_connection
    names = ", ".join(_SLICE_COLUMNS)
    if is_sqlite:
        driver.executemany(f"INSERT INTO snapshots ({names}) VALUES ({', '.join('?' * len(_SLICE_COLUMNS))})", rows)
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY snapshots ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _amounts(column: Column, *, as_text: bool) -> list[int | str | None]:
    """The amounts as the driver takes them: those that are not known as None, and on SQLite the largest as text."""
    amounts: list[int | str | None] = column.array.tolist()
    if column.array.dtype == object and as_text:
        amounts = [str(amount) if amount > LARGEST_INTEGER else amount for amount in column.array.tolist()]
    if column.known.all():
        return amounts
    return [amount if is_known else None for amount, is_known in zip(amounts, column.known.tolist(), strict=True)]


def write_totals(tx: Tx, counted: Sequence[Counted], taken_at: datetime) -> None:
    """Store the totals and the resets of configurations that did more than grow in a reading."""
    totals = upsert(tx, counters, update=[*_COUNTERS, "held"])
    for chunk in chunks(counted, _CHUNK):
        tx.execute(totals, [_totals(configuration) for configuration in chunk])
    resets = [
        {
            "configuration": configuration.number,
            "counter": reset.counter.value,
            "kind": reset.kind.value,
            "at": taken_at,
            "last": reset.last,
            "seen": reset.seen,
        }
        for configuration in counted
        for reset in configuration.resets
    ]
    if resets:
        tx.execute(sa.insert(counter_resets), resets)


def let_rest(tx: Tx, absent: Mapping[int, Odometers], since: datetime) -> None:
    """Store the odometers of absent configurations once, instead of in each reading from this one on."""
    rows = [{"configuration": number, "since": since, **_grown(odometers)} for number, odometers in absent.items()]
    for chunk in chunks(rows, _CHUNK):
        tx.execute(sa.insert(rests), chunk)


def _grown(odometers: Odometers) -> dict[str, int | None]:
    return {
        counter.value: None if odometer.total is None else odometer.grown for counter, odometer in odometers.items()
    }


def _totals(configuration: Counted) -> dict[str, object]:
    odometers = configuration.odometers.items()
    held = {counter.value: str(odometer.held) for counter, odometer in odometers if odometer.held is not None}
    ahead = {
        counter.value: None if odometer.total is None else odometer.total - odometer.grown
        for counter, odometer in odometers
    }
    return {"configuration": configuration.number, "held": held or None, **ahead}


def taken(tx: Tx, source: str, *, since: datetime, until: datetime) -> list[datetime]:
    """When the stored readings of a source were taken, oldest first; both ends included."""
    query = sa.select(readings.c.taken_at).join(sources).where(sources.c.name == source)
    between = query.where(readings.c.taken_at >= since, readings.c.taken_at <= until)
    return list(tx.execute(between.order_by(readings.c.taken_at)).scalars())


def resets_since(tx: Tx, names: Iterable[str], since: datetime) -> tuple[CounterReset, ...]:
    """The counter resets of these sources after a moment, oldest first."""
    rows = tx.execute(
        sa.select(counter_resets)
        .join(configurations, configurations.c.number == counter_resets.c.configuration)
        .join(sources, sources.c.number == configurations.c.source)
        .where(counter_resets.c.at > since, sources.c.name.in_(list(names)))
        .order_by(counter_resets.c.at)
    )
    return tuple(
        CounterReset(row.configuration, Counter(row.counter), ResetKind(row.kind), row.at, row.last, row.seen)
        for row in rows
    )


def evaluated_readings(tx: Tx, source: str, *, before: datetime) -> list[tuple[int, datetime]]:
    """The number and time of each evaluated reading of a source before a moment, oldest first."""
    rows = tx.execute(
        sa.select(readings.c.number, readings.c.taken_at)
        .join(sources, sources.c.number == readings.c.source)
        .where(sources.c.name == source, readings.c.taken_at < before, readings.c.number <= sources.c.evaluated)
        .order_by(readings.c.taken_at)
    )
    return [(number, taken_at) for number, taken_at in rows]


def sizes(tx: Tx, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Each of these readings with how many rows deleting it deletes."""
    rows: dict[int, int] = {}
    for chunk in chunks(numbers, _CHUNK):
        counted = sa.select(snapshots.c.reading, sa.func.count()).where(snapshots.c.reading.in_(chunk))
        rows |= {row[0]: row[1] for row in tx.execute(counted.group_by(snapshots.c.reading))}
    return [(number, rows.get(number, 0) + 1) for number in numbers]


def delete_readings(tx: Tx, numbers: Sequence[int]) -> int:
    """Delete readings with their slices, but not a source's newest: the next one is compared with it. Returns how many."""
    newest = sa.select(sa.func.max(readings.c.number)).group_by(readings.c.source)
    return tx.execute(
        sa.delete(readings).where(readings.c.number.in_(numbers), readings.c.number.not_in(newest))
    ).rowcount
