"""What a rule sees: `moments` says which past it has to look at, `check` looks.

One finding a series. A finding is TRUE, FALSE, or UNKNOWN where nothing can be said; an unknown one changes no alert.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from alertbot.domain.budgets import exhausted_at, period_of
from alertbot.domain.history import (
    Fall,
    History,
    Increase,
    Member,
    Series,
    SourceState,
    falls_within,
    group,
    increase,
)
from alertbot.domain.rules import (
    Absence,
    Budget,
    Burn,
    Levels,
    Rate,
    Ratio,
    Rule,
    Severity,
    Spike,
    Threshold,
)
from alertbot.domain.series import StepKind
from alertbot.domain.times import tell_duration

DAY = timedelta(days=1)


class Verdict(StrEnum):
    """Whether the condition holds."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw for one series at one moment.

    `threshold` is the one that was passed, or the nearest one that was not. `stays` says that an alert which fires
    already goes on firing, at `severity`, though the plain condition may be false. `period` is the end of a budget's period.
    """

    series: Series
    verdict: Verdict
    value: Fraction | int | None = None
    threshold: Fraction | None = None
    severity: Severity | None = None
    stays: bool = False
    less_is_worse: bool = False
    baseline_at: datetime | None = None
    gap: timedelta | None = None
    window_start: datetime | None = None
    period: datetime | None = None
    note: str = ""
    falls: tuple[Fall, ...] = ()


def moments(rule: Rule, history: History, now: datetime) -> frozenset[datetime]:
    """The moments as of which the rule needs slices, `now` among them. `history` needs no slices for this."""
    match rule.condition:
        case Threshold(window=window) | Rate(window=window) | Ratio(window=window):
            return frozenset({now, now - window})
        case Spike(same_hour=int(days), window=window):
            ends = [now - DAY * day for day in range(1, days + 1)]
            return frozenset({now, now - window, *ends, *(end - window for end in ends)})
        case Spike(window=window) as spike:
            sinces = {source.first_at for source in history.sources.values() if source.first_at is not None}
            sinces |= {member.seen_at for member in history.members.values()}
            counts = {_whole_windows(spike, since, now) for since in sinces}
            return frozenset({now, *(now - window * (count + 1) for count in {0, *counts})})
        case Budget() as budget:
            start, _ = period_of(now, budget)
            return frozenset({now, start, _quarter_back(start, now)} if budget.forecast else {now, start})
        case Burn(windows=windows):
            return frozenset({now, *(now - window for window in windows)})
        case Absence(metric=metric, window=window):
            return frozenset({now, now - window, now - 2 * window}) if metric is not None else frozenset()


def check(rule: Rule, history: History, now: datetime, *, members: Iterable[Member] | None = None) -> list[Finding]:
    """Judge the rule for each of its series at `now`.

    Raises KeyError if `history` lacks a slice that `moments` asked for.
    """
    if isinstance(rule.condition, Absence) and rule.condition.metric is None:
        return [_check_source(rule, rule.condition, source, now) for source in history.sources.values()]
    selected = group(history.members.values() if members is None else members, rule.per, rule.where)
    if rule.per == "all" and any(source.failing or source.read_at is None for source in history.sources.values()):
        return [Finding(series, Verdict.UNKNOWN, note="one of the sources could not be read") for series in selected]
    judge = _JUDGES[type(rule.condition)]
    return [judge(rule.condition, history, series, now) for series in selected]


def _judged(series: Series, levels: Levels, value: Fraction | int, grown: Increase, start: datetime) -> Finding:
    passed = levels.judge(value)
    severity, threshold = passed or levels.mildest
    stays = levels.stays(value)
    return Finding(
        series=series,
        verdict=Verdict.TRUE if passed else Verdict.FALSE,
        value=value,
        threshold=threshold,
        severity=severity if passed or stays else None,
        stays=stays,
        less_is_worse=not levels.comparison.looks_up,
        baseline_at=grown.baseline_at,
        gap=grown.gap,
        window_start=start,
    )


def _unknown(series: Series, grown: Increase, start: datetime, note: str) -> Finding:
    return Finding(series, Verdict.UNKNOWN, baseline_at=grown.baseline_at, window_start=start, note=note)


def _with_falls(finding: Finding, history: History, series: Series, metric: str, now: datetime) -> Finding:
    if not history.falls or finding.window_start is None:
        return finding
    return replace(finding, falls=falls_within(history, series, metric, finding.window_start, now))


def _check_threshold(condition: Threshold, history: History, series: Series, now: datetime) -> Finding:
    start = now - condition.window
    grown = increase(history, series, condition.metric, start, now)
    if grown.value is None:
        return _unknown(series, grown, start, f"{condition.metric} was never reported")
    finding = _silent_below(condition.levels, history, series, grown, start=start, now=now)
    finding = finding or _judged(series, condition.levels, grown.value, grown, start)
    return _with_falls(finding, history, series, condition.metric, now)


def _check_rate(condition: Rate, history: History, series: Series, now: datetime) -> Finding:
    start = now - condition.window
    grown = increase(history, series, condition.metric, start, now)
    if grown.value is None:
        return _unknown(series, grown, start, f"{condition.metric} was never reported")
    finding = _silent_below(condition.levels, history, series, grown, start=start, now=now)
    rate = (
        Fraction(grown.value) * Fraction(condition.unit / timedelta(microseconds=1)) / _microseconds(condition.window)
    )
    finding = finding or _judged(series, condition.levels, rate, grown, start)
    return _with_falls(finding, history, series, condition.metric, now)


def _silent_below(
    levels: Levels, history: History, series: Series, grown: Increase, *, start: datetime, now: datetime
) -> Finding | None:
    """A rule that looks for too little stays silent until a whole window was read, and for what is not there."""
    if levels.comparison.looks_up:
        return None
    if any(_first_at(history, name) > start for name in series.sources):
        return _unknown(series, grown, start, "no whole window of readings yet")
    absent = (number in history.slices[history.members[number].source, now].absent for number in series.members)
    if all(absent):
        return Finding(
            series, Verdict.FALSE, value=grown.value, window_start=start, note="absent from the last reading"
        )
    if min(history.members[number].seen_at for number in series.members) > start:
        return _unknown(series, grown, start, "no whole window of readings yet")
    return None


def _first_at(history: History, source: str) -> datetime:
    first = history.sources[source].first_at
    assert first is not None, "a source with members has been read"
    return first


def _check_ratio(condition: Ratio, history: History, series: Series, now: datetime) -> Finding:
    start = now - condition.window
    part = increase(history, series, condition.metric, start, now)
    whole = increase(history, series, condition.of, start, now)
    if part.value is None or whole.value is None:
        missing = condition.metric if part.value is None else condition.of
        return _unknown(series, part, start, f"{missing} was never reported")
    if whole.value < max(condition.min_of, 1):
        finding = Finding(
            series,
            Verdict.FALSE,
            threshold=condition.levels.mildest[1],
            baseline_at=part.baseline_at,
            window_start=start,
            note=f"{part.value} of {whole.value} {condition.of}: fewer than min_of {max(condition.min_of, 1)}",
        )
    else:
        silent = _silent_below(condition.levels, history, series, part, start=start, now=now)
        ratio = Fraction(part.value, whole.value)
        finding = silent or _judged(series, condition.levels, ratio, part, start)
        finding = replace(finding, note=finding.note or f"{part.value} of {whole.value} {condition.of}")
    return _with_falls(finding, history, series, condition.metric, now)


def _whole_windows(spike: Spike, since: datetime, now: datetime) -> int:
    """How many of the baseline's windows, which end where the present one begins, lie wholly after `since`."""
    assert spike.baseline is not None, "a spike has one baseline or the other"
    return max(0, min(spike.baseline // spike.window, (now - spike.window - since) // spike.window))


def _baseline_growth(
    condition: Spike, history: History, series: Series, now: datetime
) -> tuple[Sequence[int], int, int]:
    """Growth in the earlier windows, how many of them exist, and how many the rule asks for."""
    since = max(_first_at(history, name) for name in series.sources)
    since = max(since, min(history.members[number].seen_at for number in series.members))
    if condition.same_hour is not None:
        ends = [now - DAY * day for day in range(1, condition.same_hour + 1)]
        whole = [end for end in ends if end - condition.window >= since]
        grown = [increase(history, series, condition.metric, end - condition.window, end).value or 0 for end in whole]
        return grown, len(whole), len(ends)
    assert condition.baseline is not None, "a spike has one baseline or the other"
    count = _whole_windows(condition, since, now)
    end = now - condition.window
    together = increase(history, series, condition.metric, end - condition.window * count, end).value or 0
    return [together], count, condition.baseline // condition.window


def _check_spike(condition: Spike, history: History, series: Series, now: datetime) -> Finding:
    start = now - condition.window
    grown = increase(history, series, condition.metric, start, now)
    if grown.value is None:
        return _unknown(series, grown, start, f"{condition.metric} was never reported")
    earlier, whole, wanted = _baseline_growth(condition, history, series, now)
    if not whole or whole * 4 < wanted:
        return _unknown(series, grown, start, f"{whole} of {wanted} earlier windows: fewer than a quarter")
    mean = Fraction(sum(earlier), whole)
    levels = _scaled(condition.levels, mean, least=Fraction(condition.at_least))
    finding = _judged(series, levels, grown.value, grown, start)
    note = f"mean of {whole} earlier windows: {float(mean):g}"
    return _with_falls(replace(finding, note=note), history, series, condition.metric, now)


def _scaled(levels: Levels, unit: Fraction, least: Fraction = Fraction(0)) -> Levels:
    """Levels given as factors of `unit`, as amounts that are not less than `least`."""
    thresholds = tuple((severity, max(factor * unit, least)) for severity, factor in levels.thresholds)
    return Levels(levels.comparison, thresholds, None if levels.clear is None else levels.clear * unit)


def _quarter_back(start: datetime, now: datetime) -> datetime:
    return now - (now - start) / 4


def _check_budget(condition: Budget, history: History, series: Series, now: datetime) -> Finding:
    start, end = period_of(now, condition)
    grown = increase(history, series, condition.metric, start, now)
    if grown.value is None:
        return replace(_unknown(series, grown, start, f"{condition.metric} was never reported"), period=end)
    levels = _scaled(condition.levels, condition.amount / 100)
    finding = replace(_judged(series, levels, grown.value, grown, start), period=end)
    if condition.forecast and finding.verdict is Verdict.FALSE:
        finding = _forecast(finding, condition, history, now)
    return _with_falls(finding, history, series, condition.metric, now)


def _forecast(finding: Finding, condition: Budget, history: History, now: datetime) -> Finding:
    """Add the level below warning: at the present pace the amount is reached strictly before the period ends."""
    start, end = period_of(now, condition)
    quarter = _quarter_back(start, now)
    resets = [
        fall
        for fall in falls_within(history, finding.series, condition.metric, quarter, now)
        if fall.kind is StepKind.RESET
    ]
    pace = Fraction(0)
    for name in finding.series.sources:
        apart = history.slices[name, now].taken_at - history.slices[name, quarter].taken_at
        own = replace(
            finding.series,
            members=tuple(n for n in finding.series.members if history.members[n].source == name),
            sources=(name,),
        )
        grown = increase(history, own, condition.metric, quarter, now).value or 0
        if apart > timedelta(0):
            pace += Fraction(grown) * 1_000_000 / _microseconds(apart)
    used = finding.value if finding.value is not None else 0
    when = None if resets else exhausted_at(used=used, amount=condition.amount, pace=pace, now=now)
    if when is None or when >= end:
        return finding
    note = f"at this pace the whole amount is used at {when.isoformat()}"
    return replace(
        finding, verdict=Verdict.TRUE, severity=Severity.INFO, threshold=condition.amount, stays=True, note=note
    )


def _check_burn(condition: Burn, history: History, series: Series, now: datetime) -> Finding:
    allowed = condition.amount / _microseconds(condition.period)
    burns = []
    shortest = min(condition.windows)
    for window in condition.windows:
        grown = increase(history, series, condition.metric, now - window, now)
        if grown.value is None:
            return _unknown(series, grown, now - window, f"{condition.metric} was never reported")
        burns.append(Fraction(grown.value) / _microseconds(window) / allowed)
        if window == shortest:
            nearest = grown
    finding = _judged(series, condition.levels, min(burns), nearest, now - max(condition.windows))
    told = ", ".join(
        f"{tell_duration(window)}: {float(burn):.3g}×" for window, burn in zip(condition.windows, burns, strict=True)
    )
    return _with_falls(replace(finding, note=f"burn rate over {told}"), history, series, condition.metric, now)


def _check_growth(condition: Absence, history: History, series: Series, now: datetime) -> Finding:
    assert condition.metric is not None
    start = now - condition.window
    grown = increase(history, series, condition.metric, start, now)
    if grown.value is None:
        return _unknown(series, grown, start, f"{condition.metric} was never reported")
    before = increase(history, series, condition.metric, start - condition.window, start).value or 0
    silent = grown.value == 0
    holds = silent and before > 0 and all(_first_at(history, name) <= start for name in series.sources)
    return Finding(
        series=series,
        verdict=Verdict.TRUE if holds else Verdict.FALSE,
        value=grown.value,
        threshold=Fraction(0),
        severity=condition.severity if silent else None,
        stays=silent,
        baseline_at=grown.baseline_at,
        window_start=start,
        note=f"{before} in the window before",
    )


def _check_source(rule: Rule, condition: Absence, source: SourceState, now: datetime) -> Finding:
    """No good reading of a source for `window`, counted only while somebody was polling it."""
    series = Series(source.name, {"source": source.name}, (), (source.name,))
    if not rule.where.selects(series.labels):
        return Finding(series, Verdict.UNKNOWN, note="not selected")
    known = [moment for moment in (source.read_at, source.watched_since) if moment is not None]
    if not known:
        return Finding(series, Verdict.UNKNOWN, note="never polled yet")
    silent = now - max(known)
    holds = silent >= condition.window
    return Finding(
        series=series,
        verdict=Verdict.TRUE if holds else Verdict.FALSE,
        value=int(silent.total_seconds()),
        threshold=Fraction(int(condition.window.total_seconds())),
        severity=condition.severity if holds else None,
        stays=holds,
        baseline_at=source.read_at,
        note=source.error,
    )


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


_JUDGES: Mapping[type, Callable[..., Finding]] = {
    Threshold: _check_threshold,
    Rate: _check_rate,
    Ratio: _check_ratio,
    Spike: _check_spike,
    Budget: _check_budget,
    Burn: _check_burn,
    Absence: _check_growth,
}
