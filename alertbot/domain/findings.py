"""What a rule sees: `moments` says which past it has to look at, `check` looks.

One finding a series. A finding is TRUE, FALSE, or UNKNOWN where nothing can be said; an unknown one changes no alert.
A judge is prepared once for each rule and reading, and then asked for each series, of which there may be many thousands.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from alertbot.domain.budgets import forecasting, format_forecast, paces_since, period_of
from alertbot.domain.columns import Amount
from alertbot.domain.datasets import feed_of
from alertbot.domain.history import (
    CounterReset,
    Growth,
    History,
    Increase,
    Member,
    Members,
    Series,
    SourceState,
    exists_since,
    group,
    resets_by_member,
)
from alertbot.domain.metrics import MEANS, Mean
from alertbot.domain.points import Dataset
from alertbot.domain.rules import (
    Absence,
    Budget,
    Burn,
    Comparison,
    Levels,
    Rate,
    Ratio,
    Rule,
    Selector,
    Severity,
    Spike,
    Threshold,
)
from alertbot.domain.screening import may_hold
from alertbot.domain.spikes import earlier_windows, spike_moments
from alertbot.domain.times import format_duration


class Verdict(StrEnum):
    """Whether the condition holds."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """What a rule saw for one series at one moment; a tuple for the reason that Series is one.

    `threshold` is the one that was passed, or the nearest one that was not. `stays` says that an alert which fires
    already goes on firing, at `severity`, though the plain condition may be false. `period` is the end of a budget's period.
    `is_gone` says that what was judged has been deleted, so that an alert of it ends.
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
    counter_resets: tuple[CounterReset, ...] = ()
    is_gone: bool = False


ABSENT = "absent from the last reading"
Judge = Callable[[Series], Finding]
Prepared = tuple[datetime, Judge]  # where the rule's window starts, and what judges its series


def moments(rule: Rule, history: History, now: datetime) -> frozenset[datetime]:
    """The moments as of which the rule needs slices, `now` among them. `history` needs no slices for this."""
    match rule.condition:
        case Threshold(window=window) | Rate(window=window) | Ratio(window=window):
            return frozenset({now, now - window})
        case Spike() as spike:
            return spike_moments(spike, history, now)
        case Budget() as budget:
            start, _ = period_of(now, budget)
            return frozenset({now, start, *(paces_since(start, now) if budget.forecast else ())})
        case Burn(windows=windows):
            return frozenset({now, *(now - window for window in windows)})
        case Absence(metric=metric, window=window):
            return frozenset({now, now - window, now - 2 * window}) if metric is not None else frozenset()


def check(rule: Rule, history: History, now: datetime, *, members: Iterable[Member] | None = None) -> list[Finding]:
    """Judge the rule for each of its series at `now`, or for those of some members only.

    Raises KeyError if `history` lacks a slice that `moments` asked for.
    """
    if rule.is_about_readings:
        return _check_sources(rule, history, now)
    return _check(
        rule, history, now, group(history.members.values() if members is None else members, rule.per, rule.where)
    )


def check_some(rule: Rule, history: History, now: datetime, *, keys: Collection[str]) -> list[Finding]:
    """The findings that can change an alert: those of the series for which the rule is true, and of these `keys`.

    What `check` finds for all other series is not true; it is not worked out for each of them.
    """
    if rule.is_about_readings:
        return _check_sources(rule, history, now)
    series = Members.of(history.members).series(rule.per, rule.where)
    places = set(np.flatnonzero(may_hold(rule, history, series, now)).tolist())
    places |= {place for key in keys if (place := series.place_of.get(key)) is not None}
    return _check(rule, history, now, [series.all[place] for place in sorted(places)]) if places else []


def _check(rule: Rule, history: History, now: datetime, judged: Iterable[Series]) -> list[Finding]:
    condition = rule.condition
    prepare: Callable[[Any, History, datetime], Prepared] = _JUDGES[type(condition)]
    start, judge = prepare(condition, history, now)
    unread = _unread(rule, history, now)
    counter_resets = resets_by_member(history, rule.metrics, start, now) if history.counter_resets else {}
    findings = []
    for series in judged:
        if unread and (rule.per == "all" or not unread.isdisjoint(series.sources)):
            findings.append(Finding(series, Verdict.UNKNOWN, note="a source could not be read"))
            continue
        finding = judge(series)
        plain = finding.gap is None and (not counter_resets or counter_resets.keys().isdisjoint(series.members))
        findings.append(finding if plain else _annotated(finding, counter_resets))
    return findings


def _unread(rule: Rule, history: History, now: datetime) -> frozenset[str]:
    """Sources of the rule of which nothing can be said: those that were never read, or whose last poll failed.

    A failure after the reading that is judged says nothing against that reading.
    """
    of_sources = Selector(tuple(glob for glob in rule.where.globs if glob[0] == "source"))
    return frozenset(
        name
        for name, source in history.sources.items()
        if (source.read_at is None or (source.failing and source.read_at < now))
        and of_sources.selects({"source": name})
    )


def _judging(
    levels: Levels, start: datetime, *, period: datetime | None = None, note: str = ""
) -> Callable[..., Finding]:
    """What turns a value, and the increase it was made of, into a finding."""
    judge, clear, less_is_worse = levels.judging(), levels.clear, not levels.comparison.is_upper_bound
    _, nearest = mildest = levels.mildest
    true, false = Verdict.TRUE, Verdict.FALSE

    def judged(series: Series, value: Fraction | int, grown: Increase, note: str = note) -> Finding:
        level = judge(value)
        seen = grown.baseline_at, grown.gap, start, period, note
        if level is not None:
            severity, threshold = level
            return Finding(series, true, value, threshold, severity, True, less_is_worse, *seen)  # noqa: FBT003
        stays = clear is not None and levels.stays(value)
        return Finding(series, false, value, nearest, mildest[0] if stays else None, stays, less_is_worse, *seen)

    return judged


def _unknown(series: Series, grown: Increase, start: datetime, note: str) -> Finding:
    return Finding(series, Verdict.UNKNOWN, baseline_at=grown.baseline_at, window_start=start, note=note)


def _annotated(finding: Finding, counter_resets: Mapping[int, Sequence[CounterReset]]) -> Finding:
    """With the falls of its members, and with how old its baseline is where polls were missed."""
    told = [finding.note] if finding.note else []
    if finding.gap is not None:
        told.append(f"seen across a gap of {format_duration(finding.gap)}")
    own = [counter_reset for number in finding.series.members for counter_reset in counter_resets.get(number, ())]
    return finding._replace(
        note="; ".join(told), counter_resets=tuple(sorted(own, key=lambda counter_reset: counter_reset.at))
    )


def _judge_growth(condition: Threshold | Rate, history: History, now: datetime) -> Prepared:
    if condition.metric in MEANS:
        return _judge_mean(condition, MEANS[condition.metric], history, now)
    start, levels = now - condition.window, condition.levels
    growth = Growth(history, condition.metric, start, now)
    looks_up, judged = levels.comparison.is_upper_bound, _judging(levels, start)
    unit = _microseconds(condition.unit) if isinstance(condition, Rate) else None
    window = _microseconds(condition.window)

    def judge(series: Series) -> Finding:
        grown = growth.of(series)
        if grown.value is None:
            return _unknown(series, grown, start, f"{condition.metric} was never reported")
        value = grown.value if unit is None else Fraction(grown.value * unit) / window
        finding = judged(series, value, grown)
        return finding if looks_up else _unless_silent(finding, history, start, now)

    return start, judge


def _judge_mean(condition: Threshold | Rate, mean: Mean, history: History, now: datetime) -> Prepared:
    start = now - condition.window
    totals, weights = (Growth(history, part, start, now) for part in (mean.total, mean.weight))
    judged = _judging(condition.levels, start)

    def judge(series: Series) -> Finding:
        total, weight = totals.of(series), weights.of(series)
        if total.value is None or not weight.value:
            idle = _unknown(series, total, start, f"no {mean.weighed_in} in the window")
            is_gone = _is_gone(series, history, start, now)
            return idle._replace(verdict=Verdict.FALSE, note=ABSENT, is_gone=True) if is_gone else idle
        note = f"the mean of {weight.value} {mean.weighed_in}"
        return judged(series, Fraction(total.value) / (weight.value * mean.scale), total, note)

    return start, judge


def _unless_silent(finding: Finding, history: History, start: datetime, now: datetime) -> Finding:
    """A rule that looks for too little stays silent until a whole window was read, and for what is not there."""
    if _is_absent(finding.series, history, now):
        return finding._replace(verdict=Verdict.FALSE, severity=None, stays=False, note=ABSENT)
    if exists_since(history, finding.series) > start:
        return finding._replace(
            verdict=Verdict.UNKNOWN, severity=None, stays=False, note="no whole window of readings yet"
        )
    return finding


def _is_absent(series: Series, history: History, now: datetime) -> bool:
    return all(number in history.slices[history.members[number].source, now].absent for number in series.members)


def _is_gone(series: Series, history: History, start: datetime, now: datetime) -> bool:
    """Absent for a whole window: one answer that leaves it out is not enough to call it deleted."""
    return all(_is_absent(series, history, moment) for moment in (start, now))


def _judge_ratio(condition: Ratio, history: History, now: datetime) -> Prepared:
    start, levels = now - condition.window, condition.levels
    parts = Growth(history, condition.metric, start, now)
    wholes = Growth(history, condition.of, start, now)
    least, judged = max(condition.min_of, 1), _judging(levels, start)

    def judge(series: Series) -> Finding:
        part, whole = parts.of(series), wholes.of(series)
        if part.value is None or whole.value is None:
            missing = condition.metric if part.value is None else condition.of
            return _unknown(series, part, start, f"{missing} was never reported")
        note = f"{part.value} of {whole.value} {condition.of}"
        if whole.value < least:
            return Finding(
                series,
                Verdict.FALSE,
                threshold=levels.mildest[1],
                less_is_worse=not levels.comparison.is_upper_bound,
                baseline_at=part.baseline_at,
                gap=part.gap,
                window_start=start,
                note=f"{note}: fewer than min_of {least}",
            )
        finding = judged(series, Fraction(part.value) / whole.value, part, note)
        return finding if levels.comparison.is_upper_bound else _unless_silent(finding, history, start, now)

    return start, judge


def _judge_spike(condition: Spike, history: History, now: datetime) -> Prepared:
    start = now - condition.window
    growth = Growth(history, condition.metric, start, now)
    wanted, grown_before = earlier_windows(condition, history, now)

    @cache  # most series are as quiet as many others
    def judged_against(together: Amount, whole: int) -> Callable[[Series, Amount, Increase], Finding]:
        mean = Fraction(together) / whole
        # No growth is never a spike, however quiet it was before.
        levels = _scaled(condition.levels, mean, Comparison.AT_LEAST, least=max(condition.at_least, 1))
        return _judging(levels, start, note=f"mean of {_windows(whole)}: {float(mean):g}")

    def judge(series: Series) -> Finding:
        grown = growth.of(series)
        if grown.value is None:
            return _unknown(series, grown, start, f"{condition.metric} was never reported")
        together, whole = grown_before(series)
        if not whole or whole * 4 < wanted:
            return _unknown(series, grown, start, f"{whole} of {_windows(wanted)}: fewer than a quarter")
        return judged_against(together, whole)(series, grown.value, grown)

    return start, judge


def _windows(count: int) -> str:
    return "1 earlier window" if count == 1 else f"{count} earlier windows"


def _scaled(levels: Levels, unit: Fraction, comparison: Comparison, least: int = 0) -> Levels:
    """Levels given as factors of `unit`, as amounts that are not less than `least`."""
    thresholds = tuple((severity, max(factor * unit, Fraction(least))) for severity, factor in levels.thresholds)
    clear = None if levels.clear is None else max(levels.clear * unit, Fraction(min(least, 1)))
    return Levels(comparison, thresholds, clear)


def _judge_budget(condition: Budget, history: History, now: datetime) -> Prepared:
    start, end = period_of(now, condition)
    growth = Growth(history, condition.metric, start, now)
    levels = _scaled(condition.levels, condition.amount / 100, Comparison.AT_LEAST)
    judged = _judging(levels, start, period=end)
    forecast = _forecast(condition, history, now) if condition.forecast else None

    def judge(series: Series) -> Finding:
        grown = growth.of(series)
        if grown.value is None:
            return _unknown(series, grown, start, f"{condition.metric} was never reported")._replace(period=end)
        finding = judged(series, grown.value, grown)
        if forecast is None or finding.verdict is Verdict.TRUE:
            return finding
        return forecast(finding, grown.value)

    return start, judge


def _forecast(condition: Budget, history: History, now: datetime) -> Callable[[Finding, Amount], Finding]:
    """Adds the level below warning: as things go lately the amount is reached strictly before the period ends."""
    look_ahead = forecasting(condition, history, now)

    def add(finding: Finding, used: Amount) -> Finding:
        forecast = look_ahead(finding.series, used)
        if forecast is None:
            return finding
        return finding._replace(
            verdict=Verdict.TRUE,
            severity=Severity.INFO,
            threshold=condition.amount,
            stays=True,
            note=format_forecast(forecast, now, condition.timezone),
        )

    return add


def _judge_burn(condition: Burn, history: History, now: datetime) -> Prepared:
    start = now - max(condition.windows)
    windows = [
        (
            Growth(history, condition.metric, now - window, now),
            Fraction(_microseconds(condition.period), _microseconds(window)) / condition.amount,
            format_duration(window),
        )
        for window in sorted(condition.windows)
    ]
    judged = _judging(_scaled(condition.levels, Fraction(1), Comparison.ABOVE), start)

    def judge(series: Series) -> Finding:
        grown = [growth.of(series) for growth, _, _ in windows]
        shortest = grown[0]
        if shortest.value is None:
            return _unknown(series, shortest, start, f"{condition.metric} was never reported")
        burns = [(own.value or 0) * burn_of_one for own, (_, burn_of_one, _) in zip(grown, windows, strict=True)]
        told = ", ".join(f"{name}: {float(burn):.3g}×" for burn, (_, _, name) in zip(burns, windows, strict=True))
        return judged(series, min(burns), shortest, f"burn rate over {told}")

    return start, judge


def _judge_absence(condition: Absence, history: History, now: datetime) -> Prepared:
    assert condition.metric is not None, "a rule about readings is judged by source"
    start = now - condition.window
    growth = Growth(history, condition.metric, start, now)
    growth_before = Growth(history, condition.metric, start - condition.window, start)

    def judge(series: Series) -> Finding:
        grown = growth.of(series)
        if grown.value is None:
            return _unknown(series, grown, start, f"{condition.metric} was never reported")
        before = growth_before.of(series).value or 0
        silent = grown.value == 0
        note = f"{before} in the window before"
        is_gone = before == 0 and _is_gone(series, history, start, now)
        stays = silent and not is_gone
        return Finding(
            series=series,
            verdict=Verdict.TRUE if silent and before > 0 else Verdict.FALSE,
            value=grown.value,
            threshold=Fraction(0),
            severity=condition.severity if stays else None,
            stays=stays,
            less_is_worse=True,
            baseline_at=grown.baseline_at,
            gap=grown.gap,
            window_start=start,
            note=f"{note}; {ABSENT}" if silent and _is_absent(series, history, now) else note,
            is_gone=is_gone,
        )

    return start, judge


def _check_sources(rule: Rule, history: History, now: datetime) -> list[Finding]:
    """No good reading of a source for `window`, counted only while somebody was polling it: one finding a source."""
    assert isinstance(rule.condition, Absence), "the only rules that are about readings"
    feeds: dict[str, list[SourceState]] = {}
    for feed in history.sources.values():
        feeds.setdefault(feed_of(feed.name)[0], []).append(feed)
    return [
        _check_source(rule.condition, Series(name, {"source": name}, (), (name,)), feeds_of_source, now)
        for name, feeds_of_source in feeds.items()
        if rule.where.selects({"source": name})
    ]


def _check_source(condition: Absence, series: Series, feeds: Sequence[SourceState], now: datetime) -> Finding:
    """Blind as long as one feed is; not blind only where all of them are known not to be."""
    present = [feed for feed in feeds if not feed.missing]
    if not present:
        return Finding(series, Verdict.FALSE, baseline_at=now, note="this server does not have it")
    silent_for = {feed.name: silence for feed in present if (silence := _silence(feed, now)) is not None}
    silent = [feed for feed in present if silent_for.get(feed.name, timedelta(0)) >= condition.window]
    if not silent and len(silent_for) < len(present):
        return Finding(series, Verdict.UNKNOWN, note="never polled yet")
    read_at = [feed.read_at for feed in present if feed.read_at is not None]
    return Finding(
        series=series,
        verdict=Verdict.TRUE if silent else Verdict.FALSE,
        value=int(max(silent_for.values()).total_seconds()),
        threshold=Fraction(int(condition.window.total_seconds())),
        severity=condition.severity if silent else None,
        stays=bool(silent),
        baseline_at=min(read_at) if len(read_at) == len(present) else None,
        note=_causes(silent, now),
    )


def _silence(feed: SourceState, now: datetime) -> timedelta | None:
    """How long a feed was not read while somebody polled it; None where nobody has polled it yet."""
    known = [moment for moment in (feed.read_at, feed.watched_since) if moment is not None]
    return now - max(known) if known else None


_FEEDS = {Dataset.TOTALS: "totals", Dataset.AI: "AI statistics", Dataset.STORAGE: "storage statistics"}


def _causes(silent: Sequence[SourceState], now: datetime) -> str:
    """Which feeds fail, why and since when: `totals and AI statistics: HTTP 503 since 18:02 UTC`."""
    feeds_by_cause: dict[str, list[str]] = {}
    for feed in silent:
        feeds_by_cause.setdefault(_cause(feed, now), []).append(_FEEDS[feed_of(feed.name)[1]])
    return "; ".join(f"{' and '.join(feeds)}: {cause}" for cause, feeds in feeds_by_cause.items())


def _cause(feed: SourceState, now: datetime) -> str:
    error = feed.error or "no good reading"
    since = feed.read_at or feed.watched_since
    if since is None:
        return error
    form = "%H:%M UTC" if now - since < timedelta(hours=20) else "%Y-%m-%d %H:%M UTC"
    return f"{error} since {since.astimezone(UTC):{form}}"


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


_JUDGES: Mapping[type, Callable[..., Prepared]] = {
    Threshold: _judge_growth,
    Rate: _judge_growth,
    Ratio: _judge_ratio,
    Spike: _judge_spike,
    Budget: _judge_budget,
    Burn: _judge_burn,
    Absence: _judge_absence,
}
