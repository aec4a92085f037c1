"""What is remembered of the past, as far as a rule needs it: members, slices of odometers, and the increase between two.

A *slice* is the odometers of every configuration of one source as of one reading; the increase of all of them over any
window is the difference of two slices. The store loads just the slices whose moments the rules ask for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alertbot.domain.rules import SUMS, Where
from alertbot.domain.series import StepKind
from alertbot.domain.snapshots import Counter

GAP_FACTOR = 2.5  # two readings further apart than this many intervals have missed polls between them


@dataclass(frozen=True, slots=True)
class Member:
    """A configuration as counting knows it. `number` is its place in the store, `seen_at` its first reading."""

    number: int
    labels: Mapping[str, str]
    seen_at: datetime

    @property
    def source(self) -> str:
        return self.labels["source"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Odometers of one source as of one reading, by counter and member. A counter that is not there is unknown.

    `next_at` is when the reading after it was taken, None for the newest; `absent` members were not in the answer.
    """

    taken_at: datetime
    next_at: datetime | None
    grown: Mapping[Counter, Mapping[int, int]]
    absent: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Fall:
    """A recorded step of one member's counter: see series.Step."""

    member: int
    counter: Counter
    kind: StepKind
    at: datetime
    last: int
    seen: int


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is known of a source without its counters.

    `read_at` is the last good reading, `tried_at` the last attempt, `watched_since` when the poller took up its work,
    `failing` whether the last attempt brought no reading.
    """

    name: str
    interval: timedelta
    first_at: datetime | None
    read_at: datetime | None
    watched_since: datetime | None
    tried_at: datetime | None = None
    failing: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What rules are judged by. `slices` holds, by source and moment, the slice as of that moment."""

    sources: Mapping[str, SourceState]
    members: Mapping[int, Member]
    slices: Mapping[tuple[str, datetime], Slice] = field(default_factory=dict)
    falls: Sequence[Fall] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """One counted thing: its key (unique within a rule), what it is labelled with, and the members it sums."""

    key: str
    labels: Mapping[str, str]
    members: tuple[int, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Increase:
    """Growth over (start, end]; None where no member's counter is known.

    `baseline_at` is the reading it is measured from. `gap` is the time between that reading and the next one where
    polls were missed in between: growth from before the window may be in it.
    """

    value: int | None
    baseline_at: datetime
    gap: timedelta | None = None


def group(members: Iterable[Member], per: str, where: Where) -> list[Series]:
    """The series of a rule: its selected members, grouped by one dimension (within a source, but for `all`)."""
    grouped: dict[str, list[Member]] = {}
    for member in members:
        if where.selects(member.labels):
            grouped.setdefault(_key(member, per), []).append(member)
    return [_series(key, per, found) for key, found in grouped.items()]


def _key(member: Member, per: str) -> str:
    if per == "all":
        return "all"
    if per == "source":
        return member.source
    if per == "ai_llm":
        return f"{member.source}/{member.labels['ai_llm']}"
    return f"{member.source}/{per}={member.labels.get(per, '')}"


def _series(key: str, per: str, members: Sequence[Member]) -> Series:
    first = members[0].labels
    if per == "ai_llm":
        labels: Mapping[str, str] = first
    elif per == "all":
        labels = {}
    elif per == "source":
        labels = {"source": first["source"]}
    else:
        named = {f"{per}_name": first[f"{per}_name"]} if f"{per}_name" in first else {}
        labels = {"source": first["source"], per: first.get(per, ""), **named}
    sources = tuple(sorted({member.source for member in members}))
    return Series(key, labels, tuple(member.number for member in members), sources)


def increase(history: History, series: Series, metric: str, start: datetime, end: datetime) -> Increase:
    """Growth of a series' metric over (start, end]: the sum of its members' increases. No extrapolation, ever.

    Before the first reading stands the first reading. A member that is not in the older slice was not there yet and
    began at 0. A member whose counter is unknown adds nothing.
    """
    total: int | None = None
    baselines = [history.slices[source, start] for source in series.sources]
    for number in series.members:
        source = history.members[number].source
        older, newer = history.slices[source, start].grown, history.slices[source, end].grown
        grown = 0
        for counter in SUMS[metric]:
            now = newer[counter].get(number)
            if now is None:
                break
            grown += now - older[counter].get(number, 0)
        else:
            total = grown if total is None else total + grown
    gaps = [
        _gap(baseline, start, history.sources[source])
        for source, baseline in zip(series.sources, baselines, strict=True)
    ]
    missed = [gap for gap in gaps if gap is not None]
    return Increase(total, min(baseline.taken_at for baseline in baselines), max(missed, default=None))


def _gap(baseline: Slice, start: datetime, source: SourceState) -> timedelta | None:
    """The missed time that reaches over the start of the window, if any."""
    if baseline.next_at is None or baseline.taken_at >= start:
        return None
    apart = baseline.next_at - baseline.taken_at
    return apart if apart > source.interval * GAP_FACTOR else None


def falls_within(history: History, series: Series, metric: str, start: datetime, end: datetime) -> tuple[Fall, ...]:
    """The resets, corrections and held steps of a series' members inside a window."""
    members, counters = set(series.members), SUMS[metric]
    return tuple(
        fall for fall in history.falls if fall.member in members and fall.counter in counters and start < fall.at <= end
    )
