"""Points: the amounts of each label set in each bucket, and their sums by hour and day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from alertbot.domain.columns import Column, Rows, as_array, with_room
from alertbot.domain.history import Member, Slice
from alertbot.domain.points import AMOUNTS, Dataset, LabelSet, Point, Resolution, after, ceiling, floor, merged
from alertbot.store.chunks import chunks
from alertbot.store.column_types import Whole
from alertbot.store.configurations import note_change
from alertbot.store.database import Tx
from alertbot.store.tables import ai_points, backfills, configurations, label_sets, sources, storage_points
from alertbot.store.upserts import upsert

_TABLES: Mapping[Dataset, sa.Table] = {Dataset.AI: ai_points, Dataset.STORAGE: storage_points}
_DIMENSIONS = tuple(LabelSet.__slots__)
_CHUNK = 1000  # rows a statement
_MOST_VALUES = 400  # compared with in a statement, as databases limit its parameters


def known(tx: Tx, source: int, dataset: Dataset) -> dict[LabelSet, int]:
    """The label sets of a source's points, with their numbers."""
    rows = tx.execute(
        sa.select(label_sets.c.number, *(label_sets.c[name] for name in _DIMENSIONS)).where(
            label_sets.c.source == source, label_sets.c.dataset == dataset.value
        )
    )
    return {LabelSet(*row[1:]): row[0] for row in rows}


def write(tx: Tx, source: int, dataset: Dataset, resolution: Resolution, points: Iterable[Point]) -> int:
    """Store points in place of those of the same buckets. Returns how many buckets changed.

    The hours and days of changed minutes change by the same amounts.
    """
    buckets = merged(points, resolution)
    if not buckets:
        return 0
    numbers = _numbered(tx, source, dataset, buckets)
    new = {(point.bucket, numbers[point.label_set]): point.amounts for point in buckets}
    before = _stored(tx, dataset, resolution, new)
    changed = {key: amounts for key, amounts in new.items() if _without_zeros(amounts) != before.get(key)}
    _upsert(tx, dataset, resolution, changed)
    if resolution is Resolution.MINUTE:
        _add_up(tx, dataset, changed, before)
    return len(changed)


def _without_zeros(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


_Amounts = Mapping[tuple[datetime, int], Mapping[str, int]]


def _numbered(tx: Tx, source: int, dataset: Dataset, points: Sequence[Point]) -> dict[LabelSet, int]:
    numbers = known(tx, source, dataset)
    first: dict[LabelSet, datetime] = {}
    last: dict[LabelSet, datetime] = {}
    for point in points:
        first[point.label_set] = min(point.bucket, first.get(point.label_set, point.bucket))
        last[point.label_set] = max(point.bucket, last.get(point.label_set, point.bucket))
    if _see_earlier(tx, {numbers[label_set]: at for label_set, at in first.items() if label_set in numbers}):
        note_change(tx, sources.c.number == source)
    _see_later(tx, {numbers[label_set]: at for label_set, at in last.items() if label_set in numbers})
    new = {label_set: seen_at for label_set, seen_at in first.items() if label_set not in numbers}
    rows = [
        {
            "source": source,
            "dataset": dataset.value,
            "seen_at": seen_at,
            "last_at": floor(last[label_set], Resolution.DAY),
        }
        | {name: getattr(label_set, name) for name in _DIMENSIONS}
        for label_set, seen_at in new.items()
    ]
    for chunk in chunks(rows, _CHUNK):
        tx.execute(sa.insert(label_sets), chunk)
    if rows:
        note_change(tx, sources.c.number == source)
    return known(tx, source, dataset) if rows else numbers


def _see_earlier(tx: Tx, first: Mapping[int, datetime]) -> bool:
    """Date the first point of known label sets back, where points turn out to be older. Returns whether any was."""
    if not first:
        return False
    late = sa.select(label_sets.c.number, label_sets.c.seen_at).where(label_sets.c.seen_at > min(first.values()))
    earlier = [number for number, seen_at in tx.execute(late).all() if number in first and first[number] < seen_at]
    for number in earlier:
        tx.execute(sa.update(label_sets).where(label_sets.c.number == number).values(seen_at=first[number]))
    return bool(earlier)


def _see_later(tx: Tx, last: Mapping[int, datetime]) -> None:
    """Note the day of the newest points of known label sets: a day, so that not each reading writes."""
    if not last:
        return
    days = {number: floor(at, Resolution.DAY) for number, at in last.items()}
    before = sa.select(label_sets.c.number, label_sets.c.last_at).where(label_sets.c.last_at < max(days.values()))
    for number, last_at in tx.execute(before).all():
        if number in days and days[number] > last_at:
            tx.execute(sa.update(label_sets).where(label_sets.c.number == number).values(last_at=days[number]))


def _stored(
    tx: Tx, dataset: Dataset, resolution: Resolution, keys: Collection[tuple[datetime, int]]
) -> dict[tuple[datetime, int], dict[str, int]]:
    """The stored amounts of these buckets and label sets, without zeros."""
    table, amounts = _TABLES[dataset], {}
    buckets, numbers = sorted({bucket for bucket, _ in keys}), {number for _, number in keys}
    of_label_sets = table.c.label_set.in_(numbers) if len(numbers) <= _MOST_VALUES else sa.true()
    query = sa.select(table).where(table.c.resolution == resolution.value, of_label_sets)
    for chunk in chunks(buckets, _MOST_VALUES):
        for row in tx.execute(query.where(table.c.bucket.in_(chunk))).mappings():
            amounts[row["bucket"], row["label_set"]] = {name: int(row[name]) for name in AMOUNTS[dataset] if row[name]}
    return amounts


def _upsert(tx: Tx, dataset: Dataset, resolution: Resolution, changed: _Amounts) -> None:
    table, names = _TABLES[dataset], AMOUNTS[dataset]
    statement = upsert(tx, table, update=names)
    rows = [
        {"resolution": resolution.value, "bucket": bucket, "label_set": number}
        | {name: amounts.get(name, 0) for name in names}
        for (bucket, number), amounts in changed.items()
    ]
    for chunk in chunks(rows, _CHUNK):
        tx.execute(statement, chunk)


def _add_up(tx: Tx, dataset: Dataset, changed: _Amounts, before: _Amounts) -> None:
    for resolution in (Resolution.HOUR, Resolution.DAY):
        growth: dict[tuple[datetime, int], dict[str, int]] = {}
        for (bucket, number), amounts in changed.items():
            total = growth.setdefault((floor(bucket, resolution), number), {})
            old = before.get((bucket, number), {})
            for name in {*amounts, *old}:
                total[name] = total.get(name, 0) + amounts.get(name, 0) - old.get(name, 0)
        sums = _stored(tx, dataset, resolution, growth)
        for key, total in growth.items():
            for name, amount in sums.get(key, {}).items():
                total[name] = total.get(name, 0) + amount
        _upsert(tx, dataset, resolution, growth)


def members(tx: Tx, names: Iterable[str], dataset: Dataset) -> dict[int, Member]:
    """The label sets of these sources as series of a history, by their negative numbers."""
    rows = tx.execute(
        sa.select(label_sets, sources.c.name.label("source_name"), configurations.c.name, configurations.c.repos)
        .add_columns(configurations.c.workspace, configurations.c.workspace_name)
        .add_columns(configurations.c.provider.label("configured_provider"))
        .join(sources, sources.c.number == label_sets.c.source)
        .outerjoin(
            configurations,
            sa.and_(configurations.c.source == label_sets.c.source, configurations.c.ai_llm == label_sets.c.ai_llm),
        )
        .where(sources.c.name.in_(list(names)), label_sets.c.dataset == dataset.value)
        .order_by(label_sets.c.number)
    ).mappings()
    return {-row["number"]: Member(-row["number"], _labels(row, dataset), row["seen_at"]) for row in rows}


def _labels(row: sa.RowMapping, dataset: Dataset) -> dict[str, str]:
    labels = {"source": row["source_name"], "repo": row["repo"], "host": row["host"]}
    repo_names: dict[str, str] = dict(row["repos"] or ())
    if row["repo"] in repo_names:
        labels["repo_name"] = repo_names[row["repo"]]
    if dataset is Dataset.STORAGE:
        return labels
    if row["workspace_name"]:
        labels["workspace_name"] = row["workspace_name"]
    return labels | {
        "ai_llm": row["ai_llm"],
        "name": row["name"] or row["ai_llm"],
        "workspace": row["workspace"] or "",
        "provider": row["provider"] or row["configured_provider"] or "",
        "model": row["model"],
        "api_key": row["api_key"],
        "user": row["user"],
    }


def slices(
    tx: Tx,
    source: str,
    dataset: Dataset,
    moments: Collection[datetime],
    *,
    amounts: Collection[str],
    known: tuple[datetime, datetime],
) -> dict[datetime, Slice]:
    """The sums of a source's amounts before each moment, counted from the earliest of these moments.

    `known` is the time from which points are complete, which replaces earlier moments, and the time of the last reading.
    """
    names, (since, until) = sorted(amounts), known
    ordered = sorted({max(moment, since) for moment in moments}, reverse=True)
    of_source = (
        sa.select(label_sets.c.number)
        .join(sources, sources.c.number == label_sets.c.source)
        .where(sources.c.name == source, label_sets.c.dataset == dataset.value)
    )
    numbers = list(tx.execute(of_source).scalars())
    nothing: _Sums = {name: np.zeros(len(numbers), dtype=np.int64) for name in names}
    place_of = {number: place for place, number in enumerate(numbers)}
    horizon = ceiling(ordered[0], Resolution.DAY)
    # The buckets of each resolution that are summed up so far: first, end, sums.
    later: dict[Resolution, tuple[datetime, datetime, _Sums]] = {}
    rests: dict[datetime, _Sums] = {}
    for moment in ordered:
        for resolution, first, end in after(moment, horizon):
            reached, ended, sums = later.get(resolution, (end, end, nothing))
            if ended != end:  # of another hour or day
                reached, sums = end, nothing
            newer = _sums(tx, of_source, dataset, names, (resolution, first, reached))
            later[resolution] = first, end, _added(sums, newer, place_of)
        rests[moment] = _total([sums for _, _, sums in later.values()])
    everything = rests[ordered[-1]]
    rows = Rows(-np.array(numbers, dtype=np.int64))
    before = {
        moment: {name: Column(rows, with_room(everything[name] - rest[name]), rows.all_known) for name in names}
        for moment, rest in rests.items()
    }
    return {moment: Slice(min(max(moment, since), until), None, before[max(moment, since)]) for moment in moments}


_Sums = Mapping[str, NDArray[Any]]  # by amount, in the order of the label sets


def _added(sums: _Sums, newer: Sequence[Sequence[Any]], place_of: Mapping[int, int]) -> _Sums:
    if not newer:
        return sums
    label_set_numbers, *columns = zip(*newer, strict=True)
    places = [place_of[number] for number in label_set_numbers]
    added: dict[str, NDArray[Any]] = {}
    for (name, array), amounts in zip(sums.items(), columns, strict=True):
        more = as_array(amounts)
        together = array.astype(object) if more.dtype == object else array.copy()
        together[places] += more
        added[name] = with_room(together)
    return added


def _total(parts: Sequence[_Sums]) -> _Sums:
    return {name: with_room(reduce(np.add, [part[name] for part in parts])) for name in parts[0]}


def _sums(
    tx: Tx,
    label_set_numbers: sa.Select[tuple[int]],
    dataset: Dataset,
    names: Sequence[str],
    buckets: tuple[Resolution, datetime, datetime],
) -> Sequence[Sequence[Any]]:
    """The sums of each of these label sets over buckets: their resolution, the first one, and where they end."""
    table, (resolution, first, end) = _TABLES[dataset], buckets
    if first >= end:
        return []
    add_up = sa.func.whole_sum if tx.dialect.name == "sqlite" else sa.func.sum
    return tx.execute(
        sa.select(table.c.label_set, *(add_up(table.c[name], type_=Whole()) for name in names))
        .where(table.c.resolution == resolution.value, table.c.bucket >= first, table.c.bucket < end)
        .where(table.c.label_set.in_(label_set_numbers))
        .group_by(table.c.label_set)
    ).all()


def minutes_since(tx: Tx, feed: int) -> datetime | None:
    """The day from which a feed has minutes; before it there are only days."""
    moment: datetime | None = tx.execute(
        sa.select(backfills.c.done_since).where(
            backfills.c.source == feed, backfills.c.endpoint == Resolution.MINUTE.value
        )
    ).scalar()
    return moment


def mark_since(tx: Tx, feed: int, resolution: Resolution, since: datetime) -> None:
    """Note that a feed has all points of a resolution from a time on, unless it had them from earlier on."""
    tx.execute(
        upsert(tx, backfills, update=["done_since"], update_where=backfills.c.done_since > since),
        {"source": feed, "endpoint": resolution.value, "done_since": since},
    )


def forget_day(tx: Tx, source: int, dataset: Dataset, day: datetime) -> None:
    """Delete the day statistics of a day, before its minutes are stored."""
    table = _TABLES[dataset]
    of_source = sa.select(label_sets.c.number).where(
        label_sets.c.source == source, label_sets.c.dataset == dataset.value
    )
    of_day = sa.and_(table.c.resolution == Resolution.DAY.value, table.c.bucket == day)
    tx.execute(sa.delete(table).where(of_day, table.c.label_set.in_(of_source)))
