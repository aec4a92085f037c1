"""Answers in numbers: who leads, how full the budgets are, and a value over time."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

from alertbot.domain.chart_data import ChartSeries, sparkline
from alertbot.domain.columns import Amount
from alertbot.domain.coverage import Coverage
from alertbot.domain.formatting import format_amount, id_endings
from alertbot.domain.privacy import PERSONAL
from alertbot.domain.rankings import Ranking, RankingRow
from alertbot.domain.reports import Stats
from alertbot.domain.spending import Spending, Spent
from alertbot.domain.times import format_duration
from alertbot.domain.usage import Budgets, Usage, bar, percent
from alertbot.domain.windows import Window
from alertbot.slack.views.blocks import context_line, preformatted, section
from alertbot.slack.views.responses import Response, format_count, text_response
from alertbot.slack.views.text import MARKS, SECTION_LIMIT, cut, fit, literal, slack_date, visible, with_moments

_COLUMNS = 40  # what a telephone shows of a line without folding it
_MOST_ROWS = 10
_MOST_LLMS = 40
_NAME_WIDTH = 18
_MOST_SERIES = 8  # of one budget
_MOST_CHARACTERS = 10_000  # of all blocks; Slack refuses a message from about 13,000 on
_EXACT = 13  # digits and commas up to which a value is written out
_ALT_LIMIT = 1900
_SPARK = 32
_MOST_NOTES = 5
_NOTE_LIMIT = 300


def top_response(ranking: Ranking) -> Response:
    """A table of those that have grown, the largest first."""
    window, metric, coverage = ranking.window, ranking.metric.replace("_", " "), ranking.coverage
    since = counted_since(coverage, window)
    if not ranking.grown:
        return _nothing(f"No {metric} {window.name}{since}", f"{_capital(metric)} {window.name}", coverage)
    thing = "LLM" if ranking.by == "ai_llm" else ranking.by
    head = f"*{metric}* by {thing} {window.name}{since}"
    rows = ranking.grown[:_MOST_ROWS]
    table = _table(
        rows, ranking.metric, several=len({row.source for row in ranking.rows}) > 1 and ranking.by != "source"
    )
    if len(ranking.grown) > len(rows):
        table.append(f"… and {len(ranking.grown) - len(rows)} more")
    blocks = [section(head), preformatted("\n".join(table)), *notes_block(coverage.notes)]
    return {"text": head, "blocks": blocks}


def counted_since(coverage: Coverage, window: Window) -> str:
    """How a sentence goes on where counting began inside the window."""
    if not coverage.begins_late(window) or coverage.since is None:
        return ""
    return f", counted since {slack_date(coverage.since)}"


def notes_block(notes: Sequence[str]) -> list[dict[str, Any]]:
    """What the figure above does not include; no block if it is complete."""
    if not notes:
        return []
    lines = [f":information_source: {with_moments(literal(note, _NOTE_LIMIT))}" for note in notes[:_MOST_NOTES]]
    if len(notes) > _MOST_NOTES:
        lines.append(f"… and {len(notes) - _MOST_NOTES} more sources")
    return [context_line(fit(lines, SECTION_LIMIT))]


def _nothing(zero: str, subject: str, coverage: Coverage) -> Response:
    """The answer without rows: zero only if that is known."""
    if not coverage.is_known:
        response = text_response(f"{subject}: not known.")
    else:
        response = text_response(f"{zero}{', as far as it is known' if coverage.unknown else ''}.")
    return response | {"blocks": [*response["blocks"], *notes_block(coverage.notes)]}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(rows: Sequence[RankingRow], metric: str, *, several: bool) -> list[str]:
    """Lines of at most 40 characters; with the source where there are several."""
    values = [_value(row.value, metric) for row in rows]
    right, left = max(map(len, values)), len(str(rows[-1].rank))
    space = _COLUMNS - left - right - 3
    names = _names([(f"{row.name} ({row.source})" if several else row.name, row.key) for row in rows], space)
    width = max(map(len, names))
    return [
        f"{row.rank:>{left}} {name:<{width}}  {value:>{right}}"
        for row, name, value in zip(rows, names, values, strict=True)
    ]


def _value(value: Amount, metric: str) -> str:
    if not isinstance(value, int):
        return format_amount(value, metric)
    written = f"{value:,}"
    return written if len(written) <= _EXACT else format_count(value)


def spend_response(spending: Spending) -> Response:
    """What was spent, the most first, in lines that fit a telephone; it says that it is an estimate, and of what."""
    window = spending.window
    since = counted_since(spending.coverage, window)
    if not spending.rows:
        return _nothing(f"No tokens were used {window.name}{since}", f"Spend {window.name}", spending.coverage)
    thing = "LLM" if spending.by == "ai_llm" else spending.by
    head = f"*{format_amount(spending.usd, 'USD')}* {window.name}, by {thing}{since}"
    shown = spending.rows[:_MOST_ROWS]
    table = _spend_table(shown, several=len({row.source for row in spending.rows}) > 1 and spending.by != "source")
    if len(spending.rows) > len(shown):
        table.append(f"… and {len(spending.rows) - len(shown)} more")
    blocks = [section(head), preformatted("\n".join(table))]
    blocks.append(context_line(_estimate(spending)))
    blocks += notes_block(spending.coverage.notes)
    return {"text": head, "blocks": blocks}


def _estimate(spending: Spending) -> str:
    text = f"An estimate based on {literal(spending.price_list, 60)}, before discounts."
    if spending.unpriced_tokens:
        text += f" {format_count(spending.unpriced_tokens)} tokens have no known price and are not included."
    return text


def _spend_table(rows: Sequence[Spent], *, several: bool) -> list[str]:
    """Lines of at most 40 characters: the name, the tokens, the dollars; `?` where there is no price."""
    costs = ["?" if not row.usd and row.tokens_in + row.tokens_out else format_amount(row.usd, "USD") for row in rows]
    tokens = [format_count(row.tokens_in + row.tokens_out) for row in rows]
    right, middle = max(map(len, costs)), max(map(len, tokens))
    space = _COLUMNS - right - middle - 4
    names = _names([(f"{row.name} ({row.source})" if several else row.name, row.key) for row in rows], space)
    width = max(map(len, names))
    return [
        f"{name:<{width}}  {count:>{middle}}  {cost:>{right}}"
        for name, count, cost in zip(names, tokens, costs, strict=True)
    ]


def stats_response(stats: Stats) -> Response:
    """A table of growths."""
    rows = stats.rows
    if not rows:
        return _nothing(f"No LLM to show {stats.window.name}", f"Growth {stats.window.name}", stats.coverage)
    order = sorted(rows, key=lambda row: -(row.metrics["api_calls"] or 0))
    table = [f"{'':<{_NAME_WIDTH}} {'calls':>7} {'tokens':>8} {'viol':>5} {'alert':>5} {'block':>5}"]
    names = _names([(row.name, f"{row.source}/{row.ai_llm}") for row in order[:_MOST_LLMS]], _NAME_WIDTH)
    for row, name in zip(order, names, strict=False):
        counts = row.metrics
        table.append(
            f"{name:<{_NAME_WIDTH}} {format_count(counts['api_calls']):>7} {format_count(counts['tokens']):>8}"
            f" {format_count(counts['policy_violations']):>5} {format_count(counts['policy_alerts']):>5} {format_count(counts['policy_blocks']):>5}"
        )
    if len(order) > _MOST_LLMS:
        table.append(f"… and {len(order) - _MOST_LLMS} more")
    head = f"Growth {stats.window.name}, counted from {slack_date(min(row.baseline_at for row in rows))}"
    return {
        "text": head,
        "blocks": [
            section(head),
            preformatted("\n".join(table)),
            *notes_block(stats.coverage.notes),
        ],
    }


def _names(named: Sequence[tuple[str, str]], width: int) -> list[str]:
    """The names of (name, key) for a column of that width; those that two have with the end of their id.

    Except for people and what identifies them: there only the name may be shown.
    """
    endings = id_endings([(name, "" if _is_personal(key) else key) for name, key in named])
    return [
        cut(visible(name), max(1, width - len(ending))) + visible(ending)
        for (name, _), ending in zip(named, endings, strict=True)
    ]


def budget_response(budgets: Budgets) -> Response:
    """Each budget with its series as bars."""
    usages = budgets.usages
    if not usages:
        response = text_response("No budget is configured, or nothing has been read yet.")
        return response | {"blocks": [*response["blocks"], *notes_block(budgets.notes)]}
    texts = [_budget_lines(list(group)) for _, group in groupby(usages, key=lambda usage: usage.rule.name)]
    shown: list[str] = []
    for text in texts:
        if sum(map(len, shown)) + len(text) > _MOST_CHARACTERS:
            break
        shown.append(text)
    if len(shown) < len(texts):
        shown.append(f"… and {len(texts) - len(shown)} more budgets")
    worst = max(usages, key=lambda usage: usage.share)
    first = f"{literal(worst.rule.name, 80)}: {percent(worst.share)} used by {literal(worst.name, 80)}"
    blocks = [section(text) for text in shown]
    return {"text": first, "blocks": [*blocks, *notes_block(budgets.notes)]}


def _budget_lines(usages: Sequence[Usage]) -> str:
    first, rows = usages[0], usages[:_MOST_SERIES]
    metric = first.condition.metric.replace("_", " ")
    amount = format_amount(first.condition.amount, first.unit)
    metric = "" if first.unit else f" {metric}"
    head = f"*{literal(first.rule.name, 80)}*: {amount}{metric} per {first.condition.period.value}, resets {slack_date(first.end)}"
    return fit([head, *map(_usage_line, rows)], SECTION_LIMIT, hidden=len(usages) - len(rows))


def _usage_line(usage: Usage) -> str:
    name = literal(usage.name, 60)
    if usage.used is None:
        return f"`{bar(Fraction(0))}` {name}: nothing reported yet"
    mark = f" {MARKS[usage.severity]}" if usage.severity is not None else ""
    since = f" since {slack_date(usage.known_since)}" if usage.known_since is not None else ""
    used = f"`{bar(usage.share)}` *{percent(usage.share)}*{mark} {name}: {format_amount(usage.used, usage.unit)} used{since}"
    if usage.over > 0:
        return f"{used}, {format_amount(usage.over, usage.unit)} over budget"
    until = f" to {slack_date(usage.exhausted_by)}" if usage.exhausted_by not in {None, usage.exhausted_at} else ""
    soon = f"; used up {slack_date(usage.exhausted_at)}{until} at this pace" if usage.exhausted_at is not None else ""
    return f"{used}, {format_amount(usage.left, usage.unit)} left{soon}"


def chart_response(chart_series: ChartSeries, file: str | None) -> Response:
    """The picture with a line above it; without a picture the same as a line of small bars."""
    head = f"*{literal(chart_series.subject, 200)}*: {literal(chart_series.what, 200)}, {slack_date(chart_series.start)} to {slack_date(chart_series.end)}"
    if chart_series.known_since is not None:
        head += f", known since {slack_date(chart_series.known_since)}"
    if chart_series.worst is None:
        return text_response(f"{head}\nThere are no readings in this time range.")
    summary = _summary(chart_series)
    blocks: list[dict[str, Any]] = [section(f"{head}\n{summary}")]
    if file is None:
        blocks.append(preformatted(sparkline([value for _, value in chart_series.points], width=_SPARK)))
    else:
        alt = f"Chart of {chart_series.what} of {chart_series.subject} over {format_duration(chart_series.end - chart_series.start)}."
        blocks.append({"type": "image", "slack_file": {"id": file}, "alt_text": cut(visible(alt), _ALT_LIMIT)})
    return {"text": f"{head}\n{summary}", "blocks": blocks}


def _summary(chart_series: ChartSeries) -> str:
    """The chart in words: what is worst, what came last, and what a rule holds against it."""
    assert chart_series.worst is not None, "something is known"
    unit = chart_series.unit if chart_series.unit in {"%", "×", "USD"} else ""
    (at, extreme), (_, last) = chart_series.worst, chart_series.known[-1]
    word = "Highest" if chart_series.comparison.is_upper_bound else "Lowest"
    ends_worst = chart_series.bucket is None and at == chart_series.known[-1][0]
    text = f"{word} {format_amount(extreme, unit)} ({'at the end' if ends_worst else slack_date(at)})"
    if chart_series.bucket is not None:
        text += f", {format_amount(sum(value for _, value in chart_series.known), unit)} in total"
    elif not ends_worst:
        text += f", {format_amount(last, unit)} at the end"
    comparison = chart_series.comparison.value.replace("_", " ")
    limits = ", ".join(
        f"{severity.value} {comparison} {format_amount(threshold, '%' if unit == '%' else '')}"
        for severity, threshold in chart_series.thresholds
    )
    return f"{text}; {literal(chart_series.rule, 80)}: {limits}" if limits else text


def _is_personal(key: str) -> bool:
    """Whether a series is of a person, or of what leads to one: such keys are `acme/user=ana`."""
    return any(f"/{dimension}=" in key for dimension in PERSONAL)
