"""A value over time: what a chart draws, and a line of small bars for where a chart is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from alertbot.domain.budgets import period_of
from alertbot.domain.columns import Amount
from alertbot.domain.findings import check, moments
from alertbot.domain.history import GAP_FACTOR, Growth, History, Series, Slice
from alertbot.domain.metrics import MEANS
from alertbot.domain.rules import Absence, Budget, Burn, Comparison, Levels, Rule, Severity, Spike, Threshold

MOST_POINTS = 96
Value = Fraction | int | None  # None: nothing is known of that moment
_BUCKETS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 43_200)
)
_BARS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """What a rule compared, or how a metric grew, at moments of (start, end].

    `bucket` is set where each value stands for the stretch that ends at its moment; otherwise it looks back over the
    window that `what` names. `thresholds` are in the values' unit, the mildest first. `known_since` is set where a source
    of the series is counted from later on than `start`.
    """

    what: str
    subject: str
    key: str
    unit: str
    start: datetime
    end: datetime
    points: tuple[tuple[datetime, Value], ...]
    bucket: timedelta | None = None
    rule: str = ""
    comparison: Comparison = Comparison.ABOVE
    thresholds: tuple[tuple[Severity, Fraction], ...] = ()
    fired_at: datetime | None = None
    known_since: datetime | None = None

    @property
    def known(self) -> tuple[tuple[datetime, Fraction | int], ...]:
        return tuple((at, value) for at, value in self.points if value is not None)

    @property
    def worst(self) -> tuple[datetime, Fraction | int] | None:
        """The value that is furthest on the bad side, and when it was first seen."""
        if not self.known:
            return None
        pick = max if self.comparison.is_upper_bound else min
        extreme = pick(value for _, value in self.known)
        return next((at, value) for at, value in self.known if value == extreme)


def sampled(start: datetime, end: datetime, *, least: timedelta) -> tuple[datetime, ...]:
    """The moments of (start, end] that are looked at, evenly spread and `end` the last: at most 96, and no closer than `least`."""
    count = max(1, min(MOST_POINTS, (end - start) // max(least, timedelta(seconds=1))))
    return tuple(start + (end - start) * turn / count for turn in range(1, count + 1))


def bucketed(start: datetime, end: datetime, *, least: timedelta) -> tuple[tuple[datetime, ...], timedelta]:
    """Stretches of equal and round length that fill (start, end] from its end: the moments where they end, and the length.

    At most 96, and none shorter than `least`.
    """
    shortest = max((end - start) / MOST_POINTS, least)
    length = next((bucket for bucket in _BUCKETS if bucket >= shortest), shortest)
    count = max(1, (end - start) // length)
    return tuple(end - length * turn for turn in reversed(range(count))), length


def growing(metric: str, bucket: timedelta) -> Rule:
    """A rule that nobody configured, whose value is the growth of the metric in a bucket."""
    return Rule("", Threshold(metric, bucket, _NO_LEVEL))


def in_words(rule: Rule) -> str:
    """What the rule compares: `policy violations in 15 min`."""
    match rule.condition:
        case Burn(metric=metric):
            return f"burn rate of {metric.replace('_', ' ')}, {rule.over.partition(', ')[2]}"
        case condition:
            return f"{(condition.metric or 'readings').replace('_', ' ')} {rule.over}"


def length_of(rule: Rule, now: datetime) -> timedelta:
    """How far back a rule looks from `now`; its period so far for a budget."""
    match rule.condition:
        case Budget() as budget:
            return now - period_of(now, budget)[0]
        case Burn(windows=windows):
            return max(windows)
        case condition:
            return condition.window


def needed(rule: Rule, history: History, at: Sequence[datetime]) -> frozenset[datetime]:
    """The moments as of which `values` needs slices. `history` needs none for this."""
    plain = _plain(rule)
    return frozenset(moment for now in at for moment in moments(plain, history, now))


def _plain(rule: Rule) -> Rule:
    """The rule as one whose values can be drawn: what it compares with, or foretells, is left out."""
    match rule.condition:
        case Spike(metric=metric, window=window) | Absence(metric=str() as metric, window=window):
            return replace(rule, condition=Threshold(metric, window, _NO_LEVEL))
        case Budget() as budget:
            return replace(rule, condition=replace(budget, forecast=False))
        case _:
            return rule


_NO_LEVEL = Levels(Comparison.ABOVE, ((Severity.INFO, Fraction(0)),))


def values(rule: Rule, history: History, series: Series, at: Sequence[datetime]) -> list[Value]:
    """What the rule compares, for one of its series at each of these moments; None where readings are missing."""
    plain, tolerance = _plain(rule), _tolerance(history, series, at)
    members = [history.members[number] for number in series.members]
    found: list[Value] = []
    for now in at:
        if any(_is_blind(history, name, now, tolerance[name]) for name in series.sources):
            found.append(None)
        elif isinstance(plain.condition, Threshold) and plain.condition.metric not in MEANS:
            condition = plain.condition
            grown = Growth(history, condition.metric, now - condition.window, now)
            found.append(grown.of(series).value)
        else:
            judged = check(plain, history, now, members=members)
            found.append(next((one.value for one in judged if one.series.key == series.key), None))
    return found


def _tolerance(history: History, series: Series, at: Sequence[datetime]) -> Mapping[str, timedelta]:
    """How far apart two readings of a source may be before polls were missed between them.

    Old readings are thinned to one an hour or a day: where most are far apart, it is no gap that they are.
    """
    step = at[-1] - at[-2] if len(at) > 1 else timedelta(0)
    found = {}
    for name in series.sources:
        # Each reading once: a long gap, which many of the moments fall into, is still one.
        readings = {history.slices[name, now].taken_at: history.slices[name, now].next_at for now in at}
        apart = sorted(after - taken_at for taken_at, after in readings.items() if after is not None)
        usual = apart[len(apart) // 2] if apart else timedelta(0)
        found[name] = max(history.sources[name].interval * GAP_FACTOR, step * 1.5, usual * 1.5)
    return found


def _is_blind(history: History, source: str, now: datetime, tolerance: timedelta) -> bool:
    """Whether nothing was seen of the source around this moment."""
    seen: Slice = history.slices[source, now]
    if seen.taken_at > now:
        return True
    missing = (seen.next_at or now) - seen.taken_at > tolerance
    return missing and now - seen.taken_at > history.sources[source].interval * GAP_FACTOR


def thresholds_of(rule: Rule) -> tuple[tuple[Severity, Fraction], ...]:
    """The thresholds of a rule in the unit of its values; none where they depend on what was before."""
    match rule.condition:
        case Spike() | Absence():
            return ()
        case Budget(amount=amount, levels=levels):
            return tuple((severity, share * amount / 100) for severity, share in levels.thresholds)
        case condition:
            return condition.levels.thresholds


def comparison_of(rule: Rule) -> Comparison:
    levels: Levels | None = getattr(rule.condition, "levels", None)
    if isinstance(rule.condition, Absence):
        return Comparison.AT_MOST
    return Comparison.AT_LEAST if levels is None or isinstance(rule.condition, Budget | Spike) else levels.comparison


def growths(slices: Sequence[Slice | None], counters: Sequence[str]) -> tuple[Amount | None, ...]:
    """How far what the slices hold has grown from each to the next; None where that is not known."""
    return tuple(_growth(before, after, counters) for before, after in pairwise(slices))


def _growth(before: Slice | None, after: Slice | None, counters: Sequence[str]) -> Amount | None:
    if before is None or after is None or not all(after.grown[counter] for counter in counters):
        return None
    return sum(sum(after.grown[counter].values()) - sum(before.grown[counter].values()) for counter in counters)


def sparkline(found: Sequence[Value], *, width: int = 24) -> str:
    """Values as a line of small bars from 0 to the largest of them: `▁▁▂█▅·▁`, a dot where nothing is known."""
    shown = _gathered(found, width)
    top = max((value for value in shown if value is not None), default=0)
    return "".join(_NOTHING if value is None else _BARS[_height(value, top)] for value in shown)


def _height(value: Fraction | int, top: Fraction | int) -> int:
    if value <= 0 or top <= 0:
        return 0
    return max(1, int(Fraction(value) / Fraction(top) * (len(_BARS) - 1)))


def _gathered(found: Sequence[Value], width: int) -> list[Value]:
    """At most `width` values: the largest of each few neighbours, so that no peak is lost."""
    count = min(width, len(found))
    shown: list[Value] = []
    for place in range(count):
        few = found[place * len(found) // count : (place + 1) * len(found) // count]
        shown.append(max((value for value in few if value is not None), default=None))
    return shown
