"""The AI LLM configurations of each source: their names and labels, and since when they are absent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.history import Member
from alertbot.domain.snapshots import Configuration
from alertbot.store.chunks import chunks
from alertbot.store.database import Tx
from alertbot.store.tables import configurations, rests, sources
from alertbot.store.upserts import upsert

_LABELS = ("source", "ai_llm", "name", "provider", "workspace", "workspace_name")
LABEL_COLUMNS = (sources.c.name.label("source"), *(configurations.c[label] for label in _LABELS[1:]))
_CHUNK = 2000  # rows a statement


def by_id(tx: Tx, source: int) -> dict[str, tuple[int, Configuration]]:
    """Every configuration of a source, with its number; also those that only points have named."""
    rows = tx.execute(sa.select(configurations).where(configurations.c.source == source))
    return {row.ai_llm: (row.number, from_row(row)) for row in rows}


def note_change(tx: Tx, *conditions: sa.ColumnElement[bool]) -> None:
    """Note that others are counted at these sources, or that they are called otherwise: see Recent.members."""
    tx.execute(sa.update(sources).where(*conditions).values(membership=sources.c.membership + 1))


def membership(tx: Tx, names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """What changes with each change of who is counted at these sources, or of what they are called."""
    query = sa.select(sources.c.name, sources.c.membership).where(sources.c.name.in_(sorted(names)))
    return tuple((row.name, row.membership) for row in tx.execute(query.order_by(sources.c.name)))


def add(tx: Tx, source: int, new: Sequence[Configuration], seen_at: datetime) -> dict[str, int]:
    """Store configurations that were not seen before. Returns their numbers by id."""
    if not new:
        return {}
    rows = [_values(configuration) | {"source": source, "seen_at": seen_at} for configuration in new]
    statement = upsert(tx, configurations, conflict=["source", "ai_llm"])  # a points feed may have added it already
    for chunk in chunks(rows, _CHUNK):
        tx.execute(statement, chunk)
    note_change(tx, sources.c.number == source)
    stored = by_id(tx, source)
    return {configuration.ai_llm: stored[configuration.ai_llm][0] for configuration in new}


def update(tx: Tx, changed: Mapping[int, Configuration]) -> None:
    """Store the new names, workspaces and repositories of configurations, by number."""
    for number, configuration in changed.items():
        tx.execute(sa.update(configurations).where(configurations.c.number == number).values(**_values(configuration)))
    _note_change_of(tx, list(changed))


def mark_absent(tx: Tx, numbers: Sequence[int], since: datetime) -> None:
    """Note that the newest reading does not list configurations which the one before listed."""
    for chunk in chunks(numbers, _CHUNK):
        tx.execute(sa.update(configurations).where(configurations.c.number.in_(chunk)).values(absent_since=since))


def mark_present(tx: Tx, numbers: Sequence[int], at: datetime) -> None:
    """Note that the newest reading lists absent configurations again; from `at` on they have rows in `snapshots`."""
    for chunk in chunks(numbers, _CHUNK):
        tx.execute(sa.update(configurations).where(configurations.c.number.in_(chunk)).values(absent_since=None))
        tx.execute(sa.update(rests).where(rests.c.configuration.in_(chunk), rests.c.until.is_(None)).values(until=at))


def delete(tx: Tx, numbers: Sequence[int]) -> None:
    """Delete configurations with their counters."""
    _note_change_of(tx, numbers)
    for chunk in chunks(numbers, _CHUNK):
        tx.execute(sa.delete(configurations).where(configurations.c.number.in_(chunk)))


def members(tx: Tx, names: Iterable[str]) -> Mapping[int, Member]:
    """The configurations of these sources as series of a history, by number."""
    rows = tx.execute(
        sa.select(configurations.c.number, configurations.c.seen_at, *LABEL_COLUMNS)
        .join(sources, sources.c.number == configurations.c.source)
        .where(sources.c.name.in_(list(names)))
        .order_by(configurations.c.number)
    )
    return {number: Member(number, labels_of(values), seen_at) for number, seen_at, *values in rows}


def _note_change_of(tx: Tx, numbers: Sequence[int]) -> None:
    if numbers:
        of_source = sa.select(configurations.c.source).where(configurations.c.number == numbers[0])
        note_change(tx, sources.c.number == of_source.scalar_subquery())


def absent_since(tx: Tx, source: str) -> dict[str, datetime]:
    """The LLMs that the newest reading of a source does not list, by id, and since when."""
    rows = tx.execute(
        sa.select(configurations.c.ai_llm, configurations.c.absent_since)
        .join(sources, sources.c.number == configurations.c.source)
        .where(sources.c.name == source, configurations.c.absent_since.is_not(None))
    )
    return {row.ai_llm: row.absent_since for row in rows}


def labels_of(values: Sequence[str]) -> dict[str, str]:
    """The labels of a configuration, from the values of its LABEL_COLUMNS."""
    labels = dict(zip(_LABELS, values, strict=True))
    if not labels["workspace_name"]:
        del labels["workspace_name"]
    return labels


def from_row(row: sa.Row[Any]) -> Configuration:
    """The configuration in a row with all columns of the table."""
    return Configuration(
        ai_llm=row.ai_llm,
        name=row.name,
        provider=row.provider,
        workspace=row.workspace,
        workspace_name=row.workspace_name,
        created_at=row.created_at,
        repos=tuple((repo[0], repo[1]) for repo in row.repos),
    )


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
