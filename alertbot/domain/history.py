"""What is remembered of the past, as far as a rule needs it: members, slices of odometers, and the increase between two.

A *slice* is the odometers of every configuration of one source as of one reading; the increase of all of them over any
window is the difference of two slices. The store loads just the slices whose moments the rules ask for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alertbot.domain.columns import Amount, Column, growth
from alertbot.domain.metrics import METRICS, parts_of
from alertbot.domain.prices import Prices, UnitPrices, unit_prices
from alertbot.domain.rules import Selector
from alertbot.domain.series import ResetKind
from alertbot.domain.snapshots import Counter

GAP_FACTOR = 2.5  # two readings further apart than this many intervals have missed polls between them


@dataclass(frozen=True, slots=True)
class Member:
    """What is counted by itself: a configuration, or what one label set of dimensions has in its points.

    `number` is its place in the store, negative for a label set; `seen_at` its first reading or point.
    """

    number: int
    labels: Mapping[str, str]
    seen_at: datetime

    @property
    def source(self) -> str:
        return self.labels["source"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Odometers of one source as of one reading, by what they count and member. A counter that is not there is unknown.

    `next_at` is when the reading after it was taken, None for the newest; `absent` members were not in the answer.
    Of points: the sums of all amounts from before the moment, since some moment that all slices of a history share.
    """

    taken_at: datetime
    next_at: datetime | None
    grown: Mapping[str, Mapping[int, Amount]]
    absent: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CounterReset:
    """A recorded step of one member's counter: see series.Step."""

    member: int
    counter: Counter
    kind: ResetKind
    at: datetime
    last: int
    seen: int


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is known of a source without its counters.

    `first_at` is from when on it can be counted: its first reading, or its first bucket of points. `read_at` is the last
    good reading, `tried_at` the last attempt, `watched_since` when the poller took up its work, `failing` whether the last
    attempt brought no reading, `missing` whether it was found out that the server does not have it.
    """

    name: str
    interval: timedelta
    first_at: datetime | None
    read_at: datetime | None
    watched_since: datetime | None
    tried_at: datetime | None = None
    failing: bool = False
    error: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """What rules are judged by. `slices` holds, by source and moment, the slice as of that moment."""

    sources: Mapping[str, SourceState]
    members: Mapping[int, Member]
    slices: Mapping[tuple[str, datetime], Slice] = field(default_factory=dict)
    counter_resets: Sequence[CounterReset] = ()


class Series(NamedTuple):
    """One counted thing: its key (unique within a rule), what it is labelled with, and the members it sums.

    A tuple, as Increase is: each reading makes ten thousand of them for each rule, and a frozen dataclass takes three
    times as long to build.
    """

    key: str
    labels: Mapping[str, str]
    members: tuple[int, ...]
    sources: tuple[str, ...]


class Increase(NamedTuple):
    """Growth over (start, end]; None where no member's counter is known.

    `baseline_at` is the reading it is measured from. `gap` is the time between that reading and the next one where
    polls were missed in between: growth from before the window may be in it.
    """

    value: Amount | None
    baseline_at: datetime
    gap: timedelta | None = None


class SeriesSet:
    """The series of a rule, and as arrays what is worked out for all of them at once."""

    def __init__(self, series: Sequence[Series], members: Mapping[int, Member]) -> None:
        self.all = series
        self._members = members

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """The place of each series, by key."""
        return {series.key: place for place, series in enumerate(self.all)}

    @cached_property
    def is_single(self) -> bool:
        """Whether each series has one member."""
        return all(len(series.members) == 1 for series in self.all)

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The members of all series, one series after the other."""
        return np.fromiter((number for series in self.all for number in series.members), dtype=np.int64)

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where in `numbers` each series begins."""
        lengths = np.fromiter((len(series.members) for series in self.all), dtype=np.intp, count=len(self.all))
        return np.cumsum(lengths) - lengths

    @cached_property
    def seen_at(self) -> NDArray[np.int64]:
        """When the first member of each series was first seen, in microseconds since 1970."""
        seen = {number: microseconds_since_epoch(member.seen_at) for number, member in self._members.items()}
        return np.fromiter(
            (min(seen[number] for number in series.members) for series in self.all), dtype=np.int64, count=len(self.all)
        )


class Members(dict[int, Member]):
    """Members by number. What is worked out of them is kept, so that nobody does it anew with each reading."""

    def __init__(self, members: Mapping[int, Member]) -> None:
        super().__init__(members)
        self._sets: dict[tuple[str, Selector], SeriesSet] = {}
        self._unit_prices: tuple[Prices, UnitPrices] | None = None

    @classmethod
    def of(cls, members: Mapping[int, Member]) -> "Members":
        return members if isinstance(members, cls) else cls(members)

    def series(self, per: str, where: Selector) -> SeriesSet:
        """The series of a rule."""
        kept = self._sets.get((per, where))
        if kept is None:
            kept = self._sets[per, where] = SeriesSet(group(self.values(), per, where), self)
        return kept

    def unit_prices(self, prices: Prices) -> UnitPrices:
        """What tokens cost here, by these prices."""
        if self._unit_prices is None or self._unit_prices[0] is not prices:
            labels = {number: member.labels for number, member in self.items()}
            self._unit_prices = prices, unit_prices(labels, prices)
        return self._unit_prices[1]

    @cached_property
    def first_seen(self) -> frozenset[datetime]:
        """The moments at which members were seen first."""
        return frozenset(member.seen_at for member in self.values())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds_since_epoch(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def group(members: Iterable[Member], per: str, where: Selector) -> list[Series]:
    """The series of a rule: its selected members, grouped by one dimension (within a source, but for `all`)."""
    selected = [member for member in members if where.selects(member.labels)] if where.globs else members
    found: list[Series] = []
    grouped: dict[str, list[Member]] = {}
    for member in selected:
        if per == "ai_llm" and member.number > 0:
            found.append(_single(member.labels, member.number))
        else:
            grouped.setdefault(_key(member, per), []).append(member)
    return found + [_series(key, per, members) for key, members in grouped.items()]


def _single(labels: Mapping[str, str], number: int) -> Series:
    source = labels["source"]
    return Series(f"{source}/{labels['ai_llm']}", labels, (number,), (source,))


def _key(member: Member, per: str) -> str:
    if per == "all":
        return "all"
    if per == "source":
        return member.source
    if per == "ai_llm":
        return f"{member.source}/{member.labels.get('ai_llm', '')}"
    return f"{member.source}/{per}={member.labels.get(per, '')}"


_OF_CONFIGURATION = ("source", "ai_llm", "name", "provider", "workspace")


def _series(key: str, per: str, members: Sequence[Member]) -> Series:
    first = members[0].labels
    labels: Mapping[str, str]
    if per == "all":
        labels = {}
    elif per == "ai_llm":
        labels = {name: first.get(name, "") for name in _OF_CONFIGURATION} | _called(first, "workspace")
    else:
        labels = {"source": first["source"], per: first.get(per, "")} | _called(first, per)
    sources = tuple(sorted({member.source for member in members}))
    return Series(key, labels, tuple(member.number for member in members), sources)


def _called(labels: Mapping[str, str], dimension: str) -> dict[str, str]:
    """The label for what a dimension's value is called, where that is known."""
    label = f"{dimension}_name"
    return {label: labels[label]} if label in labels else {}


def by_source(series: Series, members: Mapping[int, Member]) -> list[Series]:
    """The series as its part in each of its sources."""
    return [
        series._replace(
            members=tuple(number for number in series.members if members[number].source == name), sources=(name,)
        )
        for name in series.sources
    ]


def exists_since(history: History, series: Series) -> datetime:
    """Since when the series could be counted: all of its sources were read, and one member at least was there."""
    first_readings = [history.sources[name].first_at for name in series.sources]
    first_member = min(history.members[number].seen_at for number in series.members)
    return max(first_member, *(first for first in first_readings if first is not None))


def known_since(history: History, series: Series, start: datetime) -> datetime | None:
    """From when on all sources of a series are counted, where that is after `start`. A new LLM counts from 0."""
    first_readings = [history.sources[name].first_at for name in series.sources]
    latest = max((first for first in first_readings if first is not None), default=start)
    return latest if latest > start else None


@dataclass(frozen=True, slots=True)
class Stretch:
    """One source between two of its slices: how far a metric has grown for each member whose counters are known."""

    grown: Column
    baseline_at: datetime
    gap: timedelta | None


class Growth:
    """A metric's growth over (start, end], looked up once for all the series of a rule.

    No extrapolation, ever. Before the first reading stands the first reading. A member that is not in the older slice
    was not there yet and began at 0. A member whose counter is unknown adds nothing.
    """

    def __init__(self, history: History, metric: str, start: datetime, end: datetime) -> None:
        """`metric` may also be a part of one, such as the total of a mean."""
        counters = parts_of(metric) if metric in METRICS else (metric,)
        self._history, self._counters, self._start, self._end = history, counters, start, end
        self._stretches: dict[str, Stretch] = {}

    def of(self, series: Series) -> Increase:
        """The increase of a series: the sum of its members' increases."""
        if len(series.members) == 1:
            stretch = self.stretch(series.sources[0])
            return Increase(stretch.grown.get(series.members[0]), stretch.baseline_at, stretch.gap)
        members = self._history.members
        stretches = [self.stretch(name) for name in series.sources]
        grown = [self.stretch(members[number].source).grown.get(number) for number in series.members]
        known = [amount for amount in grown if amount is not None]
        gaps = [stretch.gap for stretch in stretches if stretch.gap is not None]
        baseline_at = min(stretch.baseline_at for stretch in stretches)
        return Increase(sum(known) if known else None, baseline_at, max(gaps, default=None))

    def stretch(self, source: str) -> Stretch:
        """The growth of every member of a source."""
        stretch = self._stretches.get(source)
        if stretch is None:
            slices, state = self._history.slices, self._history.sources[source]
            older, newer = slices[source, self._start], slices[source, self._end]
            grown = growth(*([of.grown[counter] for counter in self._counters] for of in (older, newer)))
            stretch = Stretch(grown, older.taken_at, _gap(older, newer, self._start, state))
            self._stretches[source] = stretch
        return stretch


def increase(history: History, series: Series, metric: str, start: datetime, end: datetime) -> Increase:
    """Growth of one series' metric over (start, end]; for many series of one rule see Growth."""
    return Growth(history, metric, start, end).of(series)


def _gap(older: Slice, newer: Slice, start: datetime, source: SourceState) -> timedelta | None:
    """The missed time that reaches over the start of the window, if its growth was seen by the end of the window."""
    if older.next_at is None or older.taken_at >= start or newer.taken_at < older.next_at:
        return None
    apart = older.next_at - older.taken_at
    return apart if apart > source.interval * GAP_FACTOR else None


def resets_by_member(
    history: History, metrics: Iterable[str], start: datetime, end: datetime
) -> Mapping[int, Sequence[CounterReset]]:
    """The resets, corrections and held steps of what the metrics count, inside (start, end]."""
    counters = {counter for metric in metrics for counter in parts_of(metric)}
    found: dict[int, list[CounterReset]] = {}
    for counter_reset in history.counter_resets:
        if counter_reset.counter in counters and start < counter_reset.at <= end:
            found.setdefault(counter_reset.member, []).append(counter_reset)
    return found
