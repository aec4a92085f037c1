"""Columns: one amount a member, ten thousand at a time, exact at any size.

A column is a mapping from member to amount, whoever asks for one; what looks at all of them takes its arrays.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Amount = Fraction | int  # a fraction for money only
# Differences and sums of a few amounts below this fit into 64 bits as well. Larger ones are kept as Python's integers.
_ROOM = 2**60
_REMEMBERED = 64  # look-ups of members in the same rows


class Rows:
    """Which member stands in which row. Columns that share it are added and subtracted without looking anybody up."""

    __slots__ = ("__dict__", "_found", "numbers")

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self.numbers = numbers
        self._found: dict[int, tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.bool_]]] = {}

    def is_same(self, other: "Rows") -> bool:
        """Whether the same members stand in the same rows."""
        return self.numbers is other.numbers or np.array_equal(self.numbers, other.numbers)

    @cached_property
    def all_known(self) -> NDArray[np.bool_]:
        """For a column of which every row is known."""
        return np.ones(len(self.numbers), dtype=np.bool_)

    @cached_property
    def places(self) -> Mapping[int, int]:
        """The row of each member."""
        return {number: place for place, number in enumerate(self.numbers.tolist())}

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self.numbers, kind="stable")

    def find(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The rows of these members, and whether each is there; the row of one that is not means nothing.

        Rules ask for the same members at each reading: what was found for the last few is remembered.
        """
        remembered = self._found.get(id(numbers))
        if remembered is not None and remembered[0] is numbers:
            return remembered[1:]
        if len(self.numbers):
            nearest = np.searchsorted(self.numbers, numbers, sorter=self._order)
            places = self._order[np.minimum(nearest, len(self.numbers) - 1)]
            there = self.numbers[places] == numbers
        else:
            places, there = np.zeros(len(numbers), dtype=np.intp), np.zeros(len(numbers), dtype=np.bool_)
        if len(self._found) >= _REMEMBERED:
            self._found.clear()
        self._found[id(numbers)] = numbers, places, there
        return places, there


class Column(Mapping[int, Amount]):
    """One counter's amounts by member. A member whose amount is not known is not in it."""

    __slots__ = ("array", "known", "rows", "scale")

    def __init__(self, rows: Rows, array: NDArray[Any], known: NDArray[np.bool_], *, scale: int = 1) -> None:
        """`array` has a value for each row: int64 with room, or objects; where not `known` they are 0.

        An amount is a value divided by `scale`: money is kept in parts of a dollar, so that it is exact and an integer.
        """
        self.rows, self.array, self.known, self.scale = rows, array, known, scale

    @classmethod
    def of(cls, amounts: Mapping[int, Amount]) -> "Column":
        """The same amounts as a column."""
        if isinstance(amounts, Column):
            return amounts
        rows = Rows(np.fromiter(amounts, dtype=np.int64, count=len(amounts)))
        return cls(rows, as_array(list(amounts.values())), rows.all_known)

    @classmethod
    def from_optional(cls, rows: Rows, amounts: Sequence[Amount | None]) -> "Column":
        """A column of amounts in the order of the rows; None is not known."""
        if None not in amounts:
            return cls(rows, as_array(cast("Sequence[Amount]", amounts)), rows.all_known)
        known = np.fromiter((amount is not None for amount in amounts), dtype=np.bool_, count=len(amounts))
        return cls(rows, as_array([amount or 0 for amount in amounts]), known)

    def __getitem__(self, number: int) -> Amount:
        place = self.rows.places[number]
        if not self.known[place]:
            raise KeyError(number)
        return self.amount(self.array.item(place))

    def __iter__(self) -> Iterator[int]:
        yield from self.rows.numbers[self.known].tolist()

    def __len__(self) -> int:
        return int(self.known.sum())

    def amount(self, value: Amount) -> Amount:
        """A value of this column, or a sum of some, as an amount."""
        return value if self.scale == 1 else Fraction(value, self.scale)

    def at(self, numbers: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The amounts of these members, 0 where they are not known, and where they are."""
        if numbers is self.rows.numbers:
            return self.array, self.known
        places, there = self.rows.find(numbers)
        if not len(self.rows.numbers):
            return np.zeros(len(numbers), dtype=np.int64), there
        known = there & self.known[places]
        return np.where(known, self.array[places], 0), known


def as_array(amounts: Sequence[Amount]) -> NDArray[Any]:
    """64-bit integers where all of them fit with room, else objects. Nothing is rounded."""
    try:
        array: NDArray[Any] = np.array(amounts, dtype=np.int64)
    except (OverflowError, TypeError):  # too large, or money
        return _objects(amounts)
    if not set(map(type, amounts)) <= {int} or has_no_room(array):
        return _objects(amounts)
    return array


def product(factors: NDArray[Any], amounts: NDArray[Any]) -> NDArray[Any]:
    """The products, exact: 64-bit integers where they fit, else objects."""
    largest = [int(max(abs(array.max(initial=0)), abs(array.min(initial=0)))) for array in (factors, amounts)]
    fit = largest[0] * largest[1] < _ROOM
    products: NDArray[Any] = (factors if fit else factors.astype(object)) * amounts
    return products


def with_room(array: NDArray[Any]) -> NDArray[Any]:
    """The same integers, as objects where sums of a few of them might not fit into 64 bits."""
    return array.astype(object) if array.dtype != object and has_no_room(array) else array


def has_no_room(array: NDArray[Any]) -> bool:
    """Whether 64-bit integers are so large that sums of a few might not fit."""
    return bool(len(array)) and (int(array.max()) >= _ROOM or int(array.min()) <= -_ROOM)


def _objects(amounts: Sequence[Amount]) -> NDArray[Any]:
    array = np.empty(len(amounts), dtype=object)
    array[:] = list(amounts)
    return array


def growth(older: Iterable[Mapping[int, Amount]], newer: Iterable[Mapping[int, Amount]]) -> Column:
    """How far the sum of some counters has grown, for each member of whom all of them are known.

    `older` and `newer` have the same counters in the same order. A member that is not in the older one began at 0.
    """
    pairs = [(Column.of(before), Column.of(after)) for before, after in zip(older, newer, strict=True)]
    rows, scale = pairs[0][1].rows, pairs[0][1].scale
    assert all(column.scale == scale for pair in pairs for column in pair if len(column)), (
        "one history has one price list"
    )
    total: NDArray[Any] = np.zeros(len(rows.numbers), dtype=np.int64)
    known = np.ones(len(rows.numbers), dtype=np.bool_)
    for before, after in pairs:
        values, there = after.at(rows.numbers)
        total = total + (values - before.at(rows.numbers)[0])
        known &= there
    return Column(rows, total if known.all() else np.where(known, total, 0), known, scale=scale)
