"""A value over time, for a picture: what a rule compared, or how a metric grew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert
from alertbot.domain.chart_data import (
    ChartSeries,
    bucketed,
    comparison_of,
    growing,
    in_words,
    length_of,
    needed,
    sampled,
    thresholds_of,
    values,
)
from alertbot.domain.datasets import dataset_for
from alertbot.domain.evidence import Privacy
from alertbot.domain.formatting import name_from, name_of
from alertbot.domain.history import History, Member, Series, Slice, SourceState, group, known_since
from alertbot.domain.metrics import METRICS, metric_called
from alertbot.domain.points import SPEND, Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import NAMES_ALL, redact_alert, redact_series
from alertbot.domain.rules import Budget, Rule, Selector, Threshold, glob, is_called, nobody_called
from alertbot.domain.suggestions import did_you_mean
from alertbot.domain.times import format_duration
from alertbot.domain.windows import Window
from alertbot.errors import UsageError
from alertbot.flows.load_history import Datasets, empty_history, load_slices, parts_of_rule
from alertbot.store import series_slices, sources
from alertbot.store.database import Database, Tx

_WINDOWS = 4  # how many of its rule's windows the chart of an alert shows


def chart(
    database: Database,
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    subject: str,
    llm: str | None,
    window: Window,
    prices: Prices = NOTHING_PRICED,
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> ChartSeries:
    """What a rule compared in the window, or how a metric grew, for the configurations that `llm` fits, or for all.

    A metric is shown as a rule sees it, if there is a threshold on it for just these configurations. `privacy` says by
    source how series may be called, also to be found. Raises UsageError where there is nothing to draw.
    """
    with database.reading() as tx:
        named = next((rule for rule in rules if rule.name == subject), None)
        if named is not None:
            frame = _frame(tx, intervals, named, window.start, prices, privacy=privacy)
            return _chart_series(tx, frame, named, _only_series(named, frame, llm), start=window.start, end=window.end)
        metric = metric_called(subject)
        if metric is None:
            known = [*METRICS, *(rule.name for rule in rules)]
            hint = did_you_mean(subject, known) or f"; there are {', '.join(METRICS)}"
            raise UsageError(f'"{subject}" is not counted, nor is it a rule{hint}')
        frame = _frame(tx, intervals, growing(metric, window.length), window.start, prices, privacy=privacy)
        together = _together(frame, llm)
        seen = _as_a_rule_sees(frame, rules, metric, together)
        if seen is not None:
            chart_series = _chart_series(tx, frame, *seen, start=window.start, end=window.end)
        else:
            chart_series = _growth(tx, frame, metric, together, window)
        return replace(chart_series, subject=_subject(frame, together, llm))


def chart_of(
    database: Database,
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    alert: Alert,
    now: datetime,
    prices: Prices = NOTHING_PRICED,
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> ChartSeries:
    """What an alert's rule compared in four of its windows, up to now or to just after the alert's end.

    Raises UsageError where there is nothing to draw.
    """
    rule = next((rule for rule in rules if rule.name == alert.rule), None)
    if rule is None:
        raise UsageError(f"rule {alert.rule} no longer exists")
    with database.reading() as tx:
        frame = _frame(tx, intervals, rule, now, prices, privacy=privacy)
        series = next((candidate for candidate in _series_of(rule, frame) if candidate.key == alert.series), None)
        if series is None:
            careful = privacy.get(alert.labels.get("source", ""), Privacy.FULL)
            raise UsageError(f"{name_of(redact_alert(alert, careful))} is no longer counted")
        end = now if alert.resolved_at is None else min(now, alert.resolved_at + length_of(rule, alert.resolved_at))
        # What a budget used in the periods before is no measure of this one.
        windows = 1 if isinstance(rule.condition, Budget) else _WINDOWS
        chart_series = _chart_series(tx, frame, rule, series, start=end - windows * length_of(rule, end), end=end)
    # Where the threshold depends on what was before, the one that was passed tells enough.
    passed = () if alert.threshold is None else ((alert.severity, alert.threshold),)
    return replace(chart_series, fired_at=alert.started_at, thresholds=chart_series.thresholds or passed)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The sources that were read, what is counted there, and by which dataset; no slices yet."""

    datasets: Datasets
    history: History
    prices: Prices
    privacy: Mapping[str, Privacy]

    def redacted(self, series: Series) -> Series:
        """The series as it may be named."""
        return redact_series(series, self.privacy.get(series.labels.get("source", ""), Privacy.FULL))

    @property
    def sources(self) -> Mapping[str, SourceState]:
        return self.history.sources

    @property
    def members(self) -> Mapping[int, Member]:
        return self.history.members


def _frame(
    tx: Tx,
    intervals: Mapping[str, timedelta],
    rule: Rule,
    since: datetime,
    prices: Prices,
    *,
    privacy: Mapping[str, Privacy],
) -> _Frame:
    feeds = sources.feeds(tx, intervals)
    chosen = {name: dataset_for(rule, own, since) for name, own in feeds.items()}
    datasets = tuple(
        (name, dataset)
        for name, dataset in chosen.items()
        if dataset is not None and feeds[name][dataset].read_at is not None
    )
    return _Frame(datasets, empty_history(tx, datasets, feeds), prices, privacy)


def _series_of(rule: Rule, frame: _Frame) -> list[Series]:
    if rule.is_about_readings:
        raise UsageError(f"{rule.name} has no values to draw")
    return group(frame.members.values(), rule.per, rule.where)


def _only_series(rule: Rule, frame: _Frame, llm: str | None) -> Series:
    fitting = [
        candidate for candidate in _series_of(rule, frame) if llm is None or _fits(frame.redacted(candidate), llm)
    ]
    if len(fitting) == 1:
        return fitting[0]
    count = f"{len(fitting)} series" if fitting else "no series"
    what = f' matching "{llm}"' if llm else ""
    raise UsageError(f"a chart shows one series at a time, and {rule.name} has {count}{what}")


def _fits(series: Series, llm: str) -> bool:
    named = (series.key, *(series.labels.get(label, "") for label in ("ai_llm", "name", "source")))
    pattern = glob(llm.lower())
    return any(pattern.fullmatch(value.lower()) for value in named)


def _together(frame: _Frame, llm: str | None) -> Series:
    """The configurations that `llm` fits as one series, or all of them."""
    chosen = [member for member in frame.members.values() if is_called(member.labels, llm)]
    if not chosen:
        known = [member.labels for member in frame.members.values()]
        raise UsageError(nobody_called(llm, known) if llm else "no LLM has been read yet")
    (series,) = group(chosen, "ai_llm" if len(chosen) == 1 else "all", Selector())
    return series


def _as_a_rule_sees(frame: _Frame, rules: Sequence[Rule], metric: str, together: Series) -> tuple[Rule, Series] | None:
    """The first rule that holds a threshold against this metric of just these configurations."""
    members = set(together.members)
    for rule in rules:
        if rule.enabled and isinstance(rule.condition, Threshold) and rule.condition.metric == metric:
            for series in group(frame.members.values(), rule.per, rule.where):
                if set(series.members) == members:
                    return rule, series
    return None


def _growth(tx: Tx, frame: _Frame, metric: str, series: Series, window: Window) -> ChartSeries:
    """How far the metric grew in each of many short stretches."""
    moments, bucket = bucketed(window.start, window.end, least=_interval(frame, series))
    rule = growing(metric, bucket)
    chart_series = _drawn(tx, frame, rule, series, moments)
    return replace(
        chart_series,
        what=f"{metric.replace('_', ' ')} per {format_duration(bucket)}",
        start=window.start,
        end=window.end,
        known_since=known_since(frame.history, series, window.start),
        bucket=bucket,
        thresholds=(),
    )


def _chart_series(tx: Tx, frame: _Frame, rule: Rule, series: Series, *, start: datetime, end: datetime) -> ChartSeries:
    """What the rule compared at many moments of the window."""
    moments = sampled(start, end, least=_interval(frame, series))
    known = known_since(frame.history, series, start)
    return replace(_drawn(tx, frame, rule, series, moments), start=start, end=end, known_since=known)


def _drawn(tx: Tx, frame: _Frame, rule: Rule, series: Series, moments: Sequence[datetime]) -> ChartSeries:
    asked, parts = needed(rule, frame.history, moments), parts_of_rule(rule)
    slices: dict[tuple[str, datetime], Slice] = {}
    for name, dataset in frame.datasets:
        if name in series.sources and dataset is Dataset.TOTALS and SPEND not in parts:
            slices |= series_slices.slices_along(tx, name, asked, parts, series.members)
        elif name in series.sources:
            parts_at = {(name, moment): parts for moment in asked}
            slices |= load_slices(tx, ((name, dataset),), frame.history, parts_at, frame.prices)
    amounts = values(rule, replace(frame.history, slices=slices), series, moments)
    return ChartSeries(
        what=in_words(rule),
        subject=_subject(frame, series, None),
        key=frame.redacted(series).key,
        unit=rule.unit,
        start=moments[0],
        end=moments[-1],
        points=tuple(zip(moments, amounts, strict=True)),
        rule=rule.name,
        comparison=comparison_of(rule),
        thresholds=thresholds_of(rule),
    )


def _interval(frame: _Frame, series: Series) -> timedelta:
    return max(frame.sources[name].interval for name in series.sources)


def _subject(frame: _Frame, series: Series, llm: str | None) -> str:
    """What the series is called, with its source where there are several."""
    if llm is not None and len(series.members) > 1:
        return f"{llm} ({len(series.members)} LLMs)"
    name = name_from(frame.redacted(series).labels)
    if len(frame.sources) == 1 and name == "everything":
        return next(iter(frame.sources))
    source = series.labels.get("source", "")
    return name if source in {"", name} else f"{name} ({source})"
