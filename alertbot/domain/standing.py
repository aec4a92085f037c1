"""Where all odometers of a source stand after a reading, as columns, and how the next reading moves them.

Nearly every counter of nearly every reading has stayed or grown: these move all at once. What did anything else, and what is
held, goes by the plain definition, `series.read_on`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alertbot.domain.columns import Column, Rows, as_array, has_no_room
from alertbot.domain.series import UNKNOWN, Odometer, Odometers, Reset, read_on
from alertbot.domain.snapshots import Counter, Snapshot, SnapshotColumns

Flags = NDArray[np.bool_]


class Moved(NamedTuple):
    """A member whose odometers did more than stay or grow."""

    number: int
    odometers: Odometers
    resets: tuple[Reset, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """The odometers of a source: arrays by counter, in the order of `rows`.

    `places` has the rows of the LLMs that the last reading listed, by id. The `absent` ones keep what they have. `held` are the
    lower totals that wait to be believed, by row.
    """

    rows: Rows
    places: Mapping[str, int]
    totals: Mapping[Counter, NDArray[Any]]
    known: Mapping[Counter, Flags]
    grown: Mapping[Counter, NDArray[Any]]
    held: Mapping[int, Mapping[Counter, int]]
    absent: Flags

    @classmethod
    def of(cls, odometers: Mapping[int, Odometers], listed: Mapping[str, int]) -> "Standing":
        """The odometers of these members; `listed` are those that the last reading listed, by id."""
        numbers = list(odometers)
        row_of = {number: row for row, number in enumerate(numbers)}

        def column(amount: Callable[[Odometer], int]) -> dict[Counter, NDArray[Any]]:
            return {
                counter: as_array([amount(own.get(counter, UNKNOWN)) for own in odometers.values()])
                for counter in Counter
            }

        present = frozenset(listed.values())
        return cls(
            rows=Rows(np.array(numbers, dtype=np.int64)),
            places={ai_llm: row_of[number] for ai_llm, number in listed.items()},
            totals=column(lambda odometer: odometer.total or 0),
            known={
                counter: _flags(own.get(counter, UNKNOWN).total is not None for own in odometers.values())
                for counter in Counter
            },
            grown=column(lambda odometer: odometer.grown),
            held={row: held for row, own in enumerate(odometers.values()) if (held := _held(own))},
            absent=_flags(number not in present for number in numbers),
        )

    def columns(self) -> dict[str, Column]:
        """How far each counter has come, by member."""
        return {counter.value: Column(self.rows, self.grown[counter], self.known[counter]) for counter in Counter}

    def advance(self, seen: SnapshotColumns) -> "tuple[Standing, list[Moved]] | None":
        """Where they stand after one more reading, and who did more than grow; None unless it lists the same LLMs as the last."""
        if len(seen) != len(self.places):
            return None
        try:
            places = np.fromiter((self.places[ai_llm] for ai_llm in seen.ids), dtype=np.intp, count=len(seen))
        except KeyError:
            return None
        regular = (
            ~_flags(place in self.held for place in places.tolist())
            if self.held
            else np.ones(len(seen), dtype=np.bool_)
        )
        for counter in Counter:
            total, is_known = seen.totals[counter], seen.known[counter]
            regular &= ~is_known | (
                self.known[counter][places] & (total >= self.totals[counter][places]).astype(np.bool_)
            )
        totals, grown = {}, {}
        for counter in Counter:
            before = self.totals[counter][places]
            after = np.where(regular & seen.known[counter], seen.totals[counter], before)
            totals[counter] = _scattered(self.totals[counter], places, after)
            grown[counter] = _scattered(self.grown[counter], places, self.grown[counter][places] + (after - before))
        moved = replace(self, totals=totals, grown=grown, known=dict(self.known), held=dict(self.held))
        return _read_on(moved, ((int(places[index]), seen[int(index)]) for index in np.flatnonzero(~regular)))

    def odometers(self, row: int) -> Odometers:
        """The odometers of the member in a row."""
        held = self.held.get(row, {})
        return {
            counter: Odometer(self.totals[counter].item(row), self.grown[counter].item(row), held.get(counter))
            if self.known[counter][row]
            else UNKNOWN
            for counter in Counter
        }


def _read_on(standing: Standing, odd: Iterable[tuple[int, Snapshot]]) -> tuple[Standing, list[Moved]]:
    """The odometers in these rows after these snapshots, one by one."""
    moved: dict[int, Moved] = {}
    for row, snapshot in odd:
        odometers, resets = read_on(standing.odometers(row), snapshot.totals)
        moved[row] = Moved(int(standing.rows.numbers[row]), odometers, resets)
    if not moved:
        return standing, []
    rows = np.fromiter(moved, dtype=np.intp, count=len(moved))

    def put(arrays: Mapping[Counter, NDArray[Any]], amount: Callable[[Odometer], int]) -> dict[Counter, NDArray[Any]]:
        return {
            counter: _scattered(array, rows, as_array([amount(one.odometers[counter]) for one in moved.values()]))
            for counter, array in arrays.items()
        }

    changed = replace(
        standing,
        totals=put(standing.totals, lambda odometer: odometer.total or 0),
        grown=put(standing.grown, lambda odometer: odometer.grown),
        known={
            counter: _scattered(flags, rows, _flags(one.odometers[counter].total is not None for one in moved.values()))
            for counter, flags in standing.known.items()
        },
        held={row: held for row, held in standing.held.items() if row not in moved}
        | {row: held for row, one in moved.items() if (held := _held(one.odometers))},
    )
    return changed, list(moved.values())


def _held(odometers: Odometers) -> dict[Counter, int]:
    return {counter: odometer.held for counter, odometer in odometers.items() if odometer.held is not None}


def _flags(flags: Iterable[bool]) -> Flags:
    return np.array(list(flags), dtype=np.bool_)


def _scattered(array: NDArray[Any], places: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
    """A copy of the array with other values in some places; of objects where they need more room."""
    is_small = array.dtype == values.dtype and (array.dtype == np.bool_ or not has_no_room(values))
    copied = array.copy() if is_small else array.astype(object)
    copied[places] = values
    return copied
