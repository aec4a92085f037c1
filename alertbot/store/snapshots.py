"""Readings, the slices of odometers they leave, and the configurations in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.history import CounterReset, Member, Slice
from alertbot.domain.series import UNKNOWN, Odometer, Odometers, Reset, ResetKind
from alertbot.domain.snapshots import Configuration, Counter
from alertbot.store.database import Tx
from alertbot.store.tables import configurations, counter_resets, counters, readings, rests, snapshots, sources
from alertbot.store.upserts import upsert

_COUNTERS = tuple(Counter)
_LABELS = ("source", "ai_llm", "name", "provider", "workspace", "workspace_name")
LABELLED = (sources.c.name.label("source"), *(configurations.c[label] for label in _LABELS[1:]))
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
    """A configuration as it is after the present reading. `changed` says that its totals have to be written."""

    number: int
    odometers: Odometers
    absent: bool
    changed: bool
    resets: tuple[Reset, ...] = ()


def known(tx: Tx, source: int) -> dict[str, Known]:
    """Every configuration of a source that was in a reading, with its counters, by id."""
    last = sa.select(sa.func.max(readings.c.number)).where(readings.c.source == source).scalar_subquery()
    grown = sa.select(snapshots).where(snapshots.c.reading == last).subquery()
    resting = sa.select(rests).where(rests.c.until.is_(None)).subquery()
    rows = tx.execute(
        sa.select(
            configurations,
            *(counters.c[counter].label(f"total_{counter}") for counter in _COUNTERS),
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
            configuration=_configuration(row),
            odometers=_odometers(row),
            absent=bool(row.absent) or row.rests_since is not None,
            absent_since=row.absent_since,
            rests=row.rests_since is not None,
        )
        for row in rows
    }


def _configuration(row: sa.Row[tuple[object, ...]]) -> Configuration:
    return Configuration(
        ai_llm=row.ai_llm,
        name=row.name,
        provider=row.provider,
        workspace=row.workspace,
        workspace_name=row.workspace_name,
        created_at=row.created_at,
        repos=tuple((repo[0], repo[1]) for repo in row.repos),
    )


def _odometers(row: sa.Row[tuple[object, ...]]) -> Odometers:
    columns, held = row._mapping, row.held or {}  # noqa: SLF001 — the documented name of a row's mapping
    return {
        counter: Odometer(
            columns[f"total_{counter}"],
            columns[f"grown_{counter}"] or 0,
            int(held[counter]) if counter in held else None,
        )
        if columns[f"total_{counter}"] is not None
        else UNKNOWN
        for counter in _COUNTERS
    }


def begin_reading(tx: Tx, source: int, taken_at: datetime) -> int:
    """Give a reading its number."""
    statement = sa.insert(readings).values(source=source, taken_at=taken_at).returning(readings.c.number)
    number: int = tx.execute(statement).scalar_one()
    return number


def last_reading(tx: Tx, source: int) -> datetime | None:
    """When the source was last read; None if it never was."""
    moment: datetime | None = tx.execute(
        sa.select(sa.func.max(readings.c.taken_at)).where(readings.c.source == source)
    ).scalar()
    return moment


def add_configurations(tx: Tx, source: int, new: Sequence[Configuration], seen_at: datetime) -> dict[str, int]:
    """Give configurations that are seen for the first time their numbers, by id."""
    if not new:
        return {}
    rows = [_values(configuration) | {"source": source, "seen_at": seen_at} for configuration in new]
    statement = upsert(tx, configurations, conflict=["source", "ai_llm"])  # a points feed may have added it already
    for start in range(0, len(rows), _CHUNK):
        tx.execute(statement, rows[start : start + _CHUNK])
    numbers = {ai_llm: number for ai_llm, (number, _) in described(tx, source).items()}
    return {one.ai_llm: numbers[one.ai_llm] for one in new}


def described(tx: Tx, source: int) -> dict[str, tuple[int, Configuration]]:
    """Every configuration of a source by id, with its number, whether it was ever in a reading or not."""
    rows = tx.execute(sa.select(configurations).where(configurations.c.source == source))
    return {row.ai_llm: (row.number, _configuration(row)) for row in rows}


def update_configurations(tx: Tx, changed: Mapping[int, Configuration]) -> None:
    """Note new names and places of configurations."""
    for number, configuration in changed.items():
        tx.execute(sa.update(configurations).where(configurations.c.number == number).values(**_values(configuration)))


def _values(configuration: Configuration) -> dict[str, object]:
    return {
        "ai_llm": configuration.ai_llm,
        "name": configuration.name,
        "provider": configuration.provider,
        "workspace": configuration.workspace,
        "workspace_name": configuration.workspace_name,
        "created_at": configuration.created_at,
        "repos": [list(repo) for repo in configuration.repos],
    }


def write_slice(tx: Tx, reading: int, counted: Sequence[Counted], taken_at: datetime) -> None:
    """Keep where every odometer stands after a reading, the exact totals behind it, and each fall."""
    rows = [
        {
            "reading": reading,
            "configuration": one.number,
            "absent": one.absent,
            **{
                counter.value: None if odometer.total is None else odometer.grown
                for counter, odometer in one.odometers.items()
            },
        }
        for one in counted
    ]
    totals = [_totals(one) for one in counted if one.changed]
    for start in range(0, len(rows), _CHUNK):
        tx.execute(sa.insert(snapshots), rows[start : start + _CHUNK])
    statement = upsert(tx, counters, update=[*_COUNTERS, "held"])
    for start in range(0, len(totals), _CHUNK):
        tx.execute(statement, totals[start : start + _CHUNK])
    fallen = [
        {
            "configuration": one.number,
            "counter": step.counter.value,
            "kind": step.kind.value,
            "at": taken_at,
            "last": step.last,
            "seen": step.seen,
        }
        for one in counted
        for step in one.resets
    ]
    if fallen:
        tx.execute(sa.insert(counter_resets), fallen)


def mark_absent(tx: Tx, numbers: Sequence[int], since: datetime) -> None:
    """Note that configurations are not in the newest reading, and were in the one before."""
    for start in range(0, len(numbers), _CHUNK):
        mine = configurations.c.number.in_(numbers[start : start + _CHUNK])
        tx.execute(sa.update(configurations).where(mine).values(absent_since=since))


def mark_present(tx: Tx, numbers: Sequence[int], at: datetime) -> None:
    """Note that configurations which were absent are in the newest reading: each has its own row there again."""
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        tx.execute(sa.update(configurations).where(configurations.c.number.in_(chunk)).values(absent_since=None))
        tx.execute(sa.update(rests).where(rests.c.configuration.in_(chunk), rests.c.until.is_(None)).values(until=at))


def let_rest(tx: Tx, absent: Mapping[int, Odometers], since: datetime) -> None:
    """Keep where the odometers of absent configurations stand from this reading on, in place of a row in each."""
    rows = [
        {"configuration": number, "since": since}
        | {counter.value: None if odometer.total is None else odometer.grown for counter, odometer in odometers.items()}
        for number, odometers in absent.items()
    ]
    for start in range(0, len(rows), _CHUNK):
        tx.execute(sa.insert(rests), rows[start : start + _CHUNK])


def forget(tx: Tx, numbers: Sequence[int]) -> None:
    """Forget configurations with all that is counted of them."""
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        tx.execute(sa.delete(configurations).where(configurations.c.number.in_(chunk)))


def _totals(one: Counted) -> dict[str, object]:
    held = {
        counter.value: str(odometer.held) for counter, odometer in one.odometers.items() if odometer.held is not None
    }
    totals = {counter.value: odometer.total for counter, odometer in one.odometers.items()}
    return {"configuration": one.number, "held": held or None, **totals}


def labels_of(known: Sequence[str]) -> dict[str, str]:
    """What rules, routes and people know a configuration by, from its LABELLED columns."""
    labels = dict(zip(_LABELS, known, strict=True))
    if not labels["workspace_name"]:
        del labels["workspace_name"]
    return labels


def members(tx: Tx, names: Iterable[str]) -> dict[int, Member]:
    """Every configuration of these sources as counting knows it."""
    rows = tx.execute(
        sa.select(
            configurations.c.number,
            configurations.c.seen_at,
            *LABELLED,
        )
        .join(sources, sources.c.number == configurations.c.source)
        .where(sources.c.name.in_(list(names)))
        .order_by(configurations.c.number)
    )
    return {number: Member(number, labels_of(known), seen_at) for number, seen_at, *known in rows}


def absent_since(tx: Tx, source: str) -> dict[str, datetime]:
    """The LLMs that the newest reading of a source did not list, by id, and since when."""
    rows = tx.execute(
        sa.select(configurations.c.ai_llm, configurations.c.absent_since)
        .join(sources, sources.c.number == configurations.c.source)
        .where(sources.c.name == source, configurations.c.absent_since.is_not(None))
    )
    return {row.ai_llm: row.absent_since for row in rows}


def as_of(tx: Tx, source: str, moment: datetime) -> tuple[int, datetime, datetime | None] | None:
    """The newest reading at or before the moment, or the first one: its number, when it was taken, and the one after."""
    mine = sa.select(readings.c.number, readings.c.taken_at).join(sources).where(sources.c.name == source)
    newest = mine.where(readings.c.taken_at <= moment).order_by(readings.c.taken_at.desc()).limit(1)
    found = tx.execute(newest).first() or tx.execute(mine.order_by(readings.c.taken_at).limit(1)).first()
    if found is None:
        return None
    following = mine.where(readings.c.taken_at > found.taken_at).order_by(readings.c.taken_at).limit(1)
    after = tx.execute(following).first()
    return found.number, found.taken_at, after.taken_at if after else None


def taken(tx: Tx, source: str, *, since: datetime, until: datetime) -> list[datetime]:
    """When the readings of a source were taken that are stored, from one moment to another, oldest first."""
    mine = sa.select(readings.c.taken_at).join(sources).where(sources.c.name == source)
    between = mine.where(readings.c.taken_at >= since, readings.c.taken_at <= until)
    return list(tx.execute(between.order_by(readings.c.taken_at)).scalars())


def slices(tx: Tx, wanted: Mapping[tuple[str, datetime], frozenset[str]]) -> dict[tuple[str, datetime], Slice]:
    """The slices as of these moments, with these counters; one query a reading, however many moments fall on it."""
    placed = {key: as_of(tx, *key) for key in wanted}
    needed: dict[int, set[str]] = {}
    for key, place in placed.items():
        if place is not None:
            needed.setdefault(place[0], set()).update(wanted[key])
    resting = {name: resting_rows(tx, sources.c.name == name) for name in {name for name, _ in wanted}}
    taken_at = {place[0]: (key[0], place[1]) for key, place in placed.items() if place is not None}
    loaded = {
        reading: _slice(tx, reading, sorted(columns), at_rest(resting[taken_at[reading][0]], taken_at[reading][1]))
        for reading, columns in needed.items()
    }
    return {key: Slice(place[1], place[2], *loaded[place[0]]) for key, place in placed.items() if place is not None}


def resting_rows(tx: Tx, *which: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
    """The rests of some configurations, whenever they were, each as a row of a slice."""
    whose = rests.join(configurations).join(sources)
    return tx.execute(sa.select(rests, sa.literal(True).label("absent")).select_from(whose).where(*which)).all()  # noqa: FBT003 — a value, not a flag


def at_rest(rows: Sequence[sa.Row[Any]], taken_at: datetime) -> list[sa.Row[Any]]:
    """Those of these rests that stand for a row in a reading of this moment."""
    return [row for row in rows if row.since <= taken_at and (row.until is None or taken_at < row.until)]


def grown_in(rows: Sequence[sa.Row[Any]], columns: Sequence[str]) -> tuple[dict[str, dict[int, int]], frozenset[int]]:
    """What the rows of a slice say: how far each of these counters has come, and who was absent."""
    grown: dict[str, dict[int, int]] = {}
    for column in columns:
        stands = ((row.configuration, getattr(row, column)) for row in rows)
        grown[column] = {configuration: amount for configuration, amount in stands if amount is not None}
    return grown, frozenset(row.configuration for row in rows if row.absent)


def _slice(
    tx: Tx, reading: int, columns: Sequence[str], resting: Sequence[sa.Row[Any]]
) -> tuple[dict[str, dict[int, int]], frozenset[int]]:
    chosen = (snapshots.c.configuration, snapshots.c.absent, *(snapshots.c[column] for column in columns))
    rows = tx.execute(sa.select(*chosen).where(snapshots.c.reading == reading)).all()
    return grown_in([*rows, *resting], columns)


def resets_since(tx: Tx, names: Iterable[str], since: datetime) -> tuple[CounterReset, ...]:
    """The resets, corrections and held steps of these sources after a moment."""
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


def totals(tx: Tx, source: str) -> dict[int, dict[Counter, int]]:
    """The last good totals of each configuration, by its number. An unknown counter is not there."""
    rows = tx.execute(
        sa.select(counters)
        .join(configurations, configurations.c.number == counters.c.configuration)
        .join(sources, sources.c.number == configurations.c.source)
        .where(sources.c.name == source)
    ).mappings()
    return {
        row["configuration"]: {counter: row[counter.value] for counter in _COUNTERS if row[counter.value] is not None}
        for row in rows
    }


def evaluated_readings(tx: Tx, source: str, *, before: datetime) -> list[tuple[int, datetime]]:
    """The readings of a source before a moment that evaluation is done with, oldest first: number and time."""
    rows = tx.execute(
        sa.select(readings.c.number, readings.c.taken_at)
        .join(sources, sources.c.number == readings.c.source)
        .where(sources.c.name == source, readings.c.taken_at < before, readings.c.number <= sources.c.evaluated)
        .order_by(readings.c.taken_at)
    )
    return [(number, taken_at) for number, taken_at in rows]


def sizes(tx: Tx, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """These readings, in their order, each with how many rows it has."""
    rows: dict[int, int] = {}
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        counted = sa.select(snapshots.c.reading, sa.func.count()).where(snapshots.c.reading.in_(chunk))
        rows |= {row[0]: row[1] for row in tx.execute(counted.group_by(snapshots.c.reading))}
    return [(number, rows.get(number, 0) + 1) for number in numbers]


def delete_readings(tx: Tx, numbers: Sequence[int]) -> int:
    """Delete readings with their slices; never the newest of a source, which the next one is counted from. How many they were."""
    newest = sa.select(sa.func.max(readings.c.number)).group_by(readings.c.source)
    return tx.execute(
        sa.delete(readings).where(readings.c.number.in_(numbers), readings.c.number.not_in(newest))
    ).rowcount
