"""The past that a spike is held against: the earlier windows, as far as they exist."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alertbot.domain.columns import Amount
from alertbot.domain.history import Growth, History, Members, Series, exists_since, microseconds_since_epoch
from alertbot.domain.rules import Spike

# How many windows the rule asks for, and what tells for a series its growth in those that exist and how many they are.
# A window in which the counter was unknown does not exist.
Earlier = tuple[int, Callable[[Series], tuple[Amount, int]]]


def spike_moments(spike: Spike, history: History, now: datetime) -> frozenset[datetime]:
    """The moments where the present window and the earlier ones begin and end, as far as `history` has members."""
    if spike.same_hour is not None:
        ends = [now, *_same_hours(spike, now)]
        return frozenset({*ends, *(end - spike.window for end in ends)})
    sinces = {source.first_at for source in history.sources.values() if source.first_at is not None}
    sinces |= Members.of(history.members).first_seen
    counts = {0} | {_whole_windows(spike, since, now) for since in sinces}
    return frozenset({now, *(now - spike.window * (count + 1) for count in counts)})


def earlier_windows(spike: Spike, history: History, now: datetime) -> Earlier:
    """The windows that the present one is held against, each of the same length."""
    if spike.same_hour is not None:
        return _of_days(spike, history, now)
    assert spike.baseline is not None, "a spike has one baseline or the other"
    return spike.baseline // spike.window, _in_a_row(spike, history, now)


def earlier_stretches(
    spike: Spike, history: History, now: datetime, seen_at: NDArray[np.int64]
) -> Iterator[tuple[NDArray[Any], datetime, datetime]]:
    """The earlier windows of many series of one source at once: stretches, and how many windows of it each series has.

    `seen_at` is when the first member of each series was first seen, in microseconds since 1970.
    """
    ((name, source),) = history.sources.items()
    since = seen_at if source.first_at is None else np.maximum(seen_at, microseconds_since_epoch(source.first_at))
    if spike.same_hour is not None:
        for end in _same_hours(spike, now):
            start = end - spike.window
            if history.slices[name, end].taken_at > start:
                yield (since <= microseconds_since_epoch(start)).astype(np.int64), start, end
        return
    assert spike.baseline is not None, "a spike has one baseline or the other"
    end, length = now - spike.window, spike.window // timedelta(microseconds=1)
    counts = np.clip((microseconds_since_epoch(end) - since) // length, 0, spike.baseline // spike.window)
    for count in np.unique(counts[counts > 0]).tolist():
        yield np.where(counts == count, count, 0), end - spike.window * count, end


def wanted_windows(spike: Spike) -> int:
    """How many earlier windows the rule asks for."""
    if spike.same_hour is not None:
        return spike.same_hour
    assert spike.baseline is not None, "a spike has one baseline or the other"
    return spike.baseline // spike.window


def looks_back_to(spike: Spike, now: datetime) -> datetime:
    """When the earliest of the windows begins, whether it exists or not."""
    if spike.same_hour is not None:
        return min(_same_hours(spike, now)) - spike.window
    assert spike.baseline is not None, "a spike has one baseline or the other"
    return now - spike.window - spike.baseline


def _whole_windows(spike: Spike, since: datetime, now: datetime) -> int:
    """How many of the baseline's windows, which end where the present one begins, lie wholly after `since`."""
    assert spike.baseline is not None, "a spike has one baseline or the other"
    return max(0, min(spike.baseline // spike.window, (now - spike.window - since) // spike.window))


def _in_a_row(spike: Spike, history: History, now: datetime) -> Callable[[Series], tuple[Amount, int]]:
    end = now - spike.window

    @cache
    def growth_in(count: int) -> Growth:
        return Growth(history, spike.metric, end - spike.window * count, end)

    def grown_before(series: Series) -> tuple[Amount, int]:
        count = _whole_windows(spike, exists_since(history, series), now)
        together = growth_in(count).of(series).value
        return (0, 0) if together is None else (together, count)

    return grown_before


def _of_days(spike: Spike, history: History, now: datetime) -> Earlier:
    windows = [
        (end - spike.window, end, Growth(history, spike.metric, end - spike.window, end))
        for end in _same_hours(spike, now)
    ]

    def was_read(series: Series, start: datetime, end: datetime) -> bool:
        # Nobody looked into a window without a reading: that is not the same as no growth.
        return all(history.slices[name, end].taken_at > start for name in series.sources)

    def grown_before(series: Series) -> tuple[Amount, int]:
        since = exists_since(history, series)
        existing = [
            growth.of(series).value for start, end, growth in windows if start >= since and was_read(series, start, end)
        ]
        found = [amount for amount in existing if amount is not None]
        return sum(found), len(found)

    return len(windows), grown_before


def _same_hours(spike: Spike, now: datetime) -> list[datetime]:
    """The moments of the days before at which the rule's clock showed what it shows now, newest first.

    Days are 23 or 25 hours long where the clocks change. A time that a day skips is as far into the day as it would be.
    """
    local = now.astimezone(ZoneInfo(spike.timezone))
    # Arithmetic on a local time moves its date and leaves what the clock shows.
    return [(local - timedelta(days=day)).astimezone(UTC) for day in range(1, (spike.same_hour or 0) + 1)]
