"""Odometers: running totals that never fall, whatever the counters behind them do.

A counter of Flashback mostly grows. Where it falls it was reset, or corrected, or an answer came from a replica that
lags behind. `read_on` tells these apart with integers only, and returns how far the odometer has come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from alertbot.domain.snapshots import Counter


@dataclass(frozen=True, slots=True)
class Odometer:
    """One counter of one configuration.

    `total` is the last good total as Flashback said it (None: never said), `grown` the growth since first sight,
    `held` a lower total that waits for the next reading to be believed or not.
    """

    total: int | None
    grown: int
    held: int | None = None


class ResetKind(StrEnum):
    """What a counter did that was not growth."""

    HELD = "held"
    RECOVERED = "recovered"
    RESET = "reset"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class Reset:
    """A counter that fell: from the last good total to the one now seen, and what was made of it."""

    counter: Counter
    kind: ResetKind
    last: int
    seen: int


Odometers = Mapping[Counter, Odometer]
UNKNOWN = Odometer(total=None, grown=0)


def fell_far(last: int, seen: int) -> bool:
    """Whether a fall is too deep to be a correction: to less than 7/8 of the last good total."""
    return seen * 8 < last * 7


def first_sight(totals: Mapping[Counter, int], *, from_zero: bool) -> Odometers:
    """Odometers of a configuration that is seen for the first time.

    `from_zero` says that an earlier reading of the source did not list it, so that all of its totals are growth;
    otherwise they are the baseline and count nothing. A counter that is not given is unknown.
    """
    if not from_zero:
        return {counter: Odometer(totals[counter], 0) if counter in totals else UNKNOWN for counter in Counter}
    born = Odometer(total=0, grown=0)
    return {counter: Odometer(totals[counter], totals[counter]) if counter in totals else born for counter in Counter}


def read_on(odometers: Odometers, totals: Mapping[Counter, int]) -> tuple[Odometers, tuple[Reset, ...]]:
    """The odometers after one more reading, with each fall and what was made of it."""
    made_again = _was_reset(odometers, totals)
    resets: list[Reset] = []
    read: dict[Counter, Odometer] = {}
    for counter in Counter:
        odometer = odometers.get(counter, UNKNOWN)
        seen = totals.get(counter)
        if seen is None:
            read[counter] = odometer
            continue
        read[counter], reset = _move(counter, odometer, seen, made_again=made_again)
        if reset is not None:
            resets.append(reset)
    return read, tuple(resets)


def start_again(odometers: Odometers, totals: Mapping[Counter, int]) -> tuple[Odometers, tuple[Reset, ...]]:
    """The odometers of a configuration that was deleted and made again under its old id: every counter counts from 0.

    Also one that is not given yet: what it will say first is growth, not a fall from its former life.
    """
    read: dict[Counter, Odometer] = {}
    resets: list[Reset] = []
    for counter in Counter:
        odometer = odometers.get(counter, UNKNOWN)
        seen = totals.get(counter, 0)
        read[counter] = Odometer(seen, odometer.grown + seen)
        if odometer.total:
            resets.append(Reset(counter, ResetKind.RESET, odometer.total, seen))
    return read, tuple(resets)


def _was_reset(odometers: Odometers, totals: Mapping[Counter, int]) -> bool:
    last = odometers.get(Counter.API_CALLS, UNKNOWN).total
    seen = totals.get(Counter.API_CALLS)
    return last is not None and seen is not None and fell_far(last, seen)


def _move(counter: Counter, odometer: Odometer, seen: int, *, made_again: bool) -> tuple[Odometer, Reset | None]:
    last, was_held = odometer.total, odometer.held is not None
    if last is None:
        return Odometer(seen, odometer.grown), None
    if seen >= last:
        if seen == last and not was_held:
            return odometer, None
        recovered = Reset(counter, ResetKind.RECOVERED, last, seen) if was_held else None
        return Odometer(seen, odometer.grown + seen - last), recovered
    if made_again or (was_held and fell_far(last, seen)):
        return Odometer(seen, odometer.grown + seen), Reset(counter, ResetKind.RESET, last, seen)
    if was_held:
        return Odometer(seen, odometer.grown), Reset(counter, ResetKind.CORRECTION, last, seen)
    return Odometer(last, odometer.grown, held=seen), Reset(counter, ResetKind.HELD, last, seen)
