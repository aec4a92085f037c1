"""Who leads: the series of one dimension, by the growth of one metric in a window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from alertbot.domain.columns import Amount
from alertbot.domain.coverage import Coverage, coverage_json, without_silent
from alertbot.domain.history import Growth, History, group
from alertbot.domain.metrics import MEANS, counted_metric
from alertbot.domain.prices import format_usd
from alertbot.domain.rules import EVERYTHING
from alertbot.domain.suggestions import did_you_mean
from alertbot.domain.times import format_moment
from alertbot.domain.windows import TimeRange, Window, take_time_range

RANKED_BY = ("ai_llm", "source", "provider", "workspace", "model", "repo", "api_key", "user", "host")
# What people say instead.
_SHORT = {
    **{f"{name}s": name for name in RANKED_BY},
    **dict.fromkeys(("llm", "llms", "configuration", "configurations", "config", "configs"), "ai_llm"),
    **dict.fromkeys(("people", "person", "persons", "who"), "user"),
    **dict.fromkeys(("repository", "repositories"), "repo"),
    **dict.fromkeys(("key", "keys"), "api_key"),
}
_VIOLATORS = frozenset({"violator", "violators", "offender", "offenders"})  # people, by their violations
_FILLERS = frozenset({"by", "per", "the", "of", "for", "in", "most"})
METRIC = "policy_violations"


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """What somebody wants ranked. Without a span: the last 24 hours."""

    metric: str = METRIC
    by: str = "ai_llm"
    time_range: TimeRange | None = None


@dataclass(frozen=True, slots=True)
class RankingRow:
    """One row of a ranking. `key` is that of the series, so that it stays one where two things have the same name."""

    rank: int
    key: str
    name: str
    source: str
    value: Amount


@dataclass(frozen=True, slots=True)
class Ranking:
    """The series by their growth, the largest first; without those of which nothing is known.

    `coverage` says from when on it is counted, and what is not in it.
    """

    metric: str
    by: str
    window: Window
    rows: tuple[RankingRow, ...]
    coverage: Coverage

    @property
    def grown(self) -> tuple[RankingRow, ...]:
        """The rows with any growth: all that a person wants to see."""
        return tuple(row for row in self.rows if row.value)


def parse_ranking_query(words: Sequence[str]) -> RankingQuery:
    """Read `[metric] [window] [by]`, in any order: `tokens today provider`, `violators yesterday`.

    Raises ValueError for what is not counted, or not counted by that.
    """
    _require_dimensions(words)
    rest = [word for word in words if word.lower() not in _FILLERS]
    if any(word.lower() in _VIOLATORS for word in rest):
        rest = ["user", *(word for word in rest if word.lower() not in _VIOLATORS)]
    metric = by = ""
    time_range: TimeRange | None = None
    while rest:
        found, before = take_time_range(rest)
        if found is not None and time_range is None:
            time_range, rest = found, before
            continue
        word = rest.pop()
        dimension = _SHORT.get(word.lower(), word.lower())
        if dimension in RANKED_BY and not by:
            by = dimension
        elif not metric and dimension not in RANKED_BY:
            metric = counted_metric(word)
            if metric in MEANS:
                raise ValueError(f"{metric} is a mean: it has a chart, and no ranking")
        else:
            raise ValueError(f'one metric, one window and one of {", ".join(RANKED_BY)}; "{word}" is too much')
    return RankingQuery(metric or METRIC, by or "ai_llm", time_range)


def _require_dimensions(words: Sequence[str]) -> None:
    """Raise ValueError where `by` or `per` stands before what nothing is counted by."""
    for preposition, word in pairwise(words):
        dimension = _SHORT.get(word.lower(), word.lower())
        if preposition.lower() in {"by", "per"} and dimension not in {*RANKED_BY, *_VIOLATORS, *_FILLERS}:
            hint = did_you_mean(word, RANKED_BY) or f"; there are {', '.join(RANKED_BY)}"
            raise ValueError(f'nothing is counted by "{word}"{hint}')


def rank(history: History, question: RankingQuery, window: Window, coverage: Coverage) -> Ranking:
    """Order the series by how far they have grown in the window; equal ones by their names."""
    growth = Growth(history, question.metric, window.start, window.end)
    by = question.by
    rows: list[RankingRow] = []
    asked: set[str] = set()
    for series in group(history.members.values(), by, EVERYTHING):
        grown = growth.of(series)
        asked.update(series.sources)
        if grown.value is not None:
            rows.append(
                RankingRow(0, series.key, display_name(series.labels, by), series.labels["source"], grown.value)
            )
    rows.sort(key=lambda row: (-row.value, row.name, row.key))
    numbered = tuple(
        RankingRow(place, row.key, row.name, row.source, row.value) for place, row in enumerate(rows, start=1)
    )
    counted = {row.source for row in rows}
    return Ranking(
        question.metric,
        by,
        window,
        numbered,
        without_silent(coverage, question.metric, asked=asked, counted=counted),
    )


def display_name(labels: Mapping[str, str], by: str) -> str:
    """What a series is called that is told apart by one dimension."""
    return labels.get("name" if by == "ai_llm" else f"{by}_name") or labels.get(by) or f"without {by}"


def ranking_json(ranking: Ranking) -> dict[str, Any]:
    return {
        "metric": ranking.metric,
        "by": ranking.by,
        "from": format_moment(ranking.window.start),
        "to": format_moment(ranking.window.end),
        **coverage_json(ranking.coverage),
        "rows": [
            {
                "rank": row.rank,
                "key": row.key,
                "name": row.name,
                "value": row.value if isinstance(row.value, int) else format_usd(row.value),
            }
            for row in ranking.rows
        ],
    }
