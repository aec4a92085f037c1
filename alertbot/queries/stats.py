"""How far the counters of each LLM have grown in a window."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from alertbot.domain.history import Growth, Increase, Series, group
from alertbot.domain.metrics import TOTALS
from alertbot.domain.reports import StatRow, Stats
from alertbot.domain.rules import EVERYTHING, is_called, nobody_called
from alertbot.domain.windows import Window
from alertbot.errors import UsageError
from alertbot.flows.load_history import load_window
from alertbot.store import configurations
from alertbot.store.database import Database


def llm_stats(database: Database, *, intervals: Mapping[str, timedelta], llm: str | None, window: Window) -> Stats:
    """Growth of every counter over the window, for each configuration, or for those whose id or name fits `llm`.

    Raises UsageError where `llm` fits nothing that was ever read.
    """
    with database.reading() as tx:
        history, coverage = load_window(tx, intervals, TOTALS, ("ai_llm",), window=window)
        by_points = {member.source for member in history.members.values() if member.number < 0}
        named = configurations.members(tx, by_points)
    counted = group(
        [member for member in history.members.values() if is_called(member.labels, llm)], "ai_llm", EVERYTHING
    )
    counted_keys = {series.key for series in counted}
    called = [member for member in named.values() if is_called(member.labels, llm)]
    quiet = [series for series in group(called, "ai_llm", EVERYTHING) if series.key not in counted_keys]
    if llm is not None and not counted and not quiet:
        _require_called(database, intervals, llm)
    start, end = window.start, window.end
    growth = {metric: Growth(history, metric, start, end) for metric in TOTALS}
    rows = [_stat_row(series, growth, start, end) for series in counted]
    nothing = dict.fromkeys(TOTALS, Increase(0, start))  # what has no points had nothing to tell
    rows += [_row(series, nothing, start, end) for series in quiet]
    return Stats(tuple(rows), window, coverage)


def _require_called(database: Database, intervals: Iterable[str], llm: str) -> None:
    """Raise UsageError unless an LLM that was ever read is called so."""
    with database.reading() as tx:
        known = [member.labels for member in configurations.members(tx, intervals).values()]
    if not any(is_called(labels, llm) for labels in known):
        raise UsageError(nobody_called(llm, known))


def _stat_row(series: Series, growth: Mapping[str, Growth], start: datetime, end: datetime) -> StatRow:
    return _row(series, {metric: metric_growth.of(series) for metric, metric_growth in growth.items()}, start, end)


def _row(series: Series, grown: Mapping[str, Increase], start: datetime, end: datetime) -> StatRow:
    return StatRow(
        source=series.labels["source"],
        ai_llm=series.labels["ai_llm"],
        name=series.labels["name"],
        start=start,
        end=end,
        baseline_at=next(iter(grown.values())).baseline_at,
        metrics={metric: None if increase.value is None else int(increase.value) for metric, increase in grown.items()},
    )
