"""What was read lately, in memory: the slices of readings, and who is counted at a source.

Both are loaded again wherever they are not in it, so that everything works the same without it. A reading never changes,
and each change of who is counted, or of what they are called, has a number: see `membership` in the table of sources.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from alertbot.domain.columns import Column, Rows
from alertbot.domain.history import Member, Members
from alertbot.domain.snapshots import Configuration
from alertbot.domain.standing import Standing

_MOST_BYTES = 64 * 2**20  # a hundred slices of 10,000 LLMs
_BYTES_OF_AN_INTEGER = 40  # one that is too large for 64 bits
_MOST_MEMBERSHIPS = 32


@dataclass(frozen=True, slots=True)
class StoredSlice:
    """What one reading left: where each counter stands, and who was absent."""

    columns: Mapping[str, Column]
    absent: frozenset[int]

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        arrays = [column.array for column in self.columns.values()]
        return sum(
            array.nbytes + (_BYTES_OF_AN_INTEGER * len(array) if array.dtype == object else 0) for array in arrays
        )


@dataclass(frozen=True, slots=True)
class LastReading:
    """What a source's newest reading left, to count the next one by.

    It holds while that reading is the newest and `membership` is what it was. At `rests_at` the first of those who are absent
    are so long absent that readings have no row of theirs any more.
    """

    number: int
    membership: object
    standing: Standing
    configurations: Mapping[str, Configuration]
    rests_at: datetime | None

    @property
    def slice(self) -> StoredSlice:
        """The slice that the reading left."""
        absent = self.standing.rows.numbers[self.standing.absent].tolist()
        return StoredSlice(self.standing.columns(), frozenset(absent))


class Recent:
    """The slices and members that were used last; of slices so many that they take at most `most_bytes` together."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._slices: OrderedDict[int, StoredSlice] = OrderedDict()
        self._members: OrderedDict[Hashable, tuple[Hashable, Members]] = OrderedDict()
        self._last: dict[int, LastReading] = {}
        self._lock = Lock()

    def last_reading(self, source: int, number: int, membership: object) -> LastReading | None:
        """The last reading of a source, if it is here and nobody has counted or renamed anything since."""
        last = self._last.get(source)
        return last if last is not None and (last.number, last.membership) == (number, membership) else None

    def keep_last_reading(self, source: int, last: LastReading) -> None:
        """Keep a reading whose transaction is over."""
        if self._most_bytes:
            self._last[source] = last
            self.keep_slice(last.number, last.slice)

    def slice_of(self, reading: int, counters: Collection[str]) -> StoredSlice | None:
        """The slice of a reading, if these counters of it are here."""
        with self._lock:
            kept = self._slices.get(reading)
            if kept is None or not kept.columns.keys() >= set(counters):
                return None
            self._slices.move_to_end(reading)
            return kept

    def keep_slice(self, reading: int, stored: StoredSlice) -> StoredSlice:
        """Keep the slice of a reading whose transaction is over; counters that are here already stay. Returns all of it."""
        with self._lock:
            before = self._slices.pop(reading, None)
            if before is not None:
                self._bytes -= before.bytes
                stored = StoredSlice({**before.columns, **stored.columns}, stored.absent)
            self._slices[reading] = stored
            self._bytes += stored.bytes
            while self._bytes > self._most_bytes and self._slices:
                self._bytes -= self._slices.popitem(last=False)[1].bytes
        return stored

    def rows(self, numbers: Rows) -> Rows:
        """The rows of a slice that is here, if they are the same: columns that share them need no look-up."""
        with self._lock:
            latest = [
                next(iter(kept.columns.values())).rows for kept in reversed(self._slices.values()) if kept.columns
            ]
        return next((rows for rows in latest[:4] if rows.is_same(numbers)), numbers)

    def members(self, key: Hashable, version: Hashable, load: Callable[[], Mapping[int, Member]]) -> Members:
        """The members that `load` finds, or those that it found when the version was the same."""
        with self._lock:
            kept = self._members.get(key)
        if kept is not None and kept[0] == version:
            return kept[1]
        members = Members(load())
        with self._lock:
            self._members[key] = version, members
            self._members.move_to_end(key)
            while len(self._members) > _MOST_MEMBERSHIPS:
                self._members.popitem(last=False)
        return members


def nothing_recent() -> Recent:
    """A memory that keeps nothing."""
    return Recent(most_bytes=0)
