"""Which series a rule may be true for: all of them at once, as columns.

Floating point with room for its error, so that nothing which is true is ever left out; `findings.check` judges exactly what
is let through. A quiet reading of ten thousand LLMs is screened in less time than it takes to judge a hundred of them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alertbot.domain.budgets import paces_since, period_of
from alertbot.domain.history import Growth, History, SeriesSet, microseconds_since_epoch
from alertbot.domain.metrics import MEANS
from alertbot.domain.rules import Absence, Budget, Burn, Levels, Rate, Ratio, Rule, Spike, Threshold
from alertbot.domain.spikes import earlier_stretches, wanted_windows

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
# Each screen rounds a few times, by 2^-53 of what it rounds; this is millions of times as much.
_SLACK = 1e-9


def may_hold(rule: Rule, history: History, series: SeriesSet, now: datetime) -> Mask:
    """Whether the rule's condition may be true, for each of its series; never False where it is true."""
    if len(history.sources) != 1 or rule.per == "all" or not series.all:
        return np.ones(len(series.all), dtype=np.bool_)  # few series, over several sources
    screen: Callable[[Any, History, SeriesSet, datetime], Mask] = _SCREENS[type(rule.condition)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return screen(rule.condition, history, series, now)


def _grown(history: History, metric: str, series: SeriesSet, start: datetime, end: datetime) -> Floats:
    """The increase of each series; not a number where it is not known. Sums are exact before they are rounded."""
    (source,) = history.sources
    column = Growth(history, metric, start, end).stretch(source).grown
    values, known = column.at(series.numbers)
    if not series.is_single:
        values, known = _sums(values, series.starts), np.logical_or.reduceat(known, series.starts)
    amounts: Floats = values.astype(np.float64)
    return np.where(known, amounts / column.scale, np.nan)


def _sums(values: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[Any]:
    fits = values.dtype != object and float(np.abs(values).max(initial=0)) * len(values) < 2**62
    return np.add.reduceat(values if fits else values.astype(object), starts)


def _reaches(levels: Levels, values: Floats, unit: Floats | float = 1.0, least: float = 0.0) -> Mask:
    """Whether values may pass the mildest of some levels, which are given in `unit` and not less than `least`."""
    mildest = np.maximum(np.multiply(float(levels.mildest[1]), unit), least)
    slack = _SLACK * (np.abs(values) + np.abs(mildest))
    passed: Mask = values >= mildest - slack if levels.comparison.is_upper_bound else values <= mildest + slack
    return passed


def _unless_silent(
    levels: Levels, mask: Mask, history: History, series: SeriesSet, window: tuple[datetime, datetime]
) -> Mask:
    """A rule that looks for too little says nothing of what is absent, or has not been there for a whole window."""
    if levels.comparison.is_upper_bound:
        return mask
    start, now = window
    mask &= series.seen_at <= microseconds_since_epoch(start)
    (source,) = history.sources
    absent = history.slices[source, now].absent
    if absent and series.is_single:
        mask &= ~np.isin(series.numbers, list(absent))
    return mask


def _screen_growth(condition: Threshold | Rate, history: History, series: SeriesSet, now: datetime) -> Mask:
    start = now - condition.window
    if condition.metric in MEANS:
        mean = MEANS[condition.metric]
        total, weight = (_grown(history, part, series, start, now) for part in (mean.total, mean.weight))
        has_calls: Mask = weight != 0
        return has_calls & _reaches(condition.levels, total / (weight * mean.scale))
    unit = condition.unit / condition.window if isinstance(condition, Rate) else 1.0
    mask = _reaches(condition.levels, _grown(history, condition.metric, series, start, now) * unit)
    return _unless_silent(condition.levels, mask, history, series, (start, now))


def _screen_ratio(condition: Ratio, history: History, series: SeriesSet, now: datetime) -> Mask:
    start = now - condition.window
    part, whole = (_grown(history, metric, series, start, now) for metric in (condition.metric, condition.of))
    is_enough = whole >= max(condition.min_of, 1) * (1 - _SLACK)
    mask = is_enough & _reaches(condition.levels, part / whole)
    return _unless_silent(condition.levels, mask, history, series, (start, now))


def _screen_spike(condition: Spike, history: History, series: SeriesSet, now: datetime) -> Mask:
    grown = _grown(history, condition.metric, series, now - condition.window, now)
    together, count = np.zeros(len(series.all)), np.zeros(len(series.all))
    for windows, start, end in earlier_stretches(condition, history, now, series.seen_at):
        earlier = _grown(history, condition.metric, series, start, end)
        is_known = (windows > 0) & ~np.isnan(earlier)
        together = np.where(is_known, together + earlier, together)
        count = np.where(is_known, count + windows, count)
    is_enough = (count > 0) & (count * 4 >= wanted_windows(condition))
    return is_enough & _reaches(condition.levels, grown, together / count, max(condition.at_least, 1))


def _screen_budget(condition: Budget, history: History, series: SeriesSet, now: datetime) -> Mask:
    start, end = period_of(now, condition)
    used, amount = _grown(history, condition.metric, series, start, now), float(condition.amount)
    mask = _reaches(condition.levels, used, amount / 100)
    if not condition.forecast:
        return mask
    (source,) = history.sources
    for since in paces_since(start, now):
        apart = history.slices[source, now].taken_at - history.slices[source, since].taken_at
        if apart:
            lately = _grown(history, condition.metric, series, since, now)
            ahead = used + lately * ((end - now) / apart)
            mask |= (lately > 0) & (ahead >= amount - _SLACK * (np.abs(ahead) + amount))
    return mask


def _screen_burn(condition: Burn, history: History, series: SeriesSet, now: datetime) -> Mask:
    burns = [
        np.nan_to_num(_grown(history, condition.metric, series, now - window, now))
        * (condition.period / window / float(condition.amount))
        for window in condition.windows
    ]
    return _reaches(condition.levels, np.minimum.reduce(burns))


def _screen_absence(condition: Absence, history: History, series: SeriesSet, now: datetime) -> Mask:
    assert condition.metric is not None, "a rule about readings is judged by source"
    start = now - condition.window
    grown = _grown(history, condition.metric, series, start, now)
    before = _grown(history, condition.metric, series, start - condition.window, start)
    fell_silent: Mask = (grown == 0) & (before > 0)
    return fell_silent


_SCREENS: Mapping[type, Callable[..., Mask]] = {
    Threshold: _screen_growth,
    Rate: _screen_growth,
    Ratio: _screen_ratio,
    Spike: _screen_spike,
    Budget: _screen_budget,
    Burn: _screen_burn,
    Absence: _screen_absence,
}
