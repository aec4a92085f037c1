"""Answers in numbers: who leads, how full the budgets are, and a value over time."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

from alertbot.domain.curves import Curve, sparkline
from alertbot.domain.history import Amount
from alertbot.domain.rankings import Rank, Ranking
from alertbot.domain.rules import Period
from alertbot.domain.spending import Spending, Spent
from alertbot.domain.times import tell_duration
from alertbot.domain.usage import Usage, bar, percent
from alertbot.domain.wording import write_amount
from alertbot.slack.views.answers import Answer, preformatted, sentence, write_count
from alertbot.slack.views.text import MARKS, SECTION_LIMIT, cut, fit, literal, moment, mrkdwn, visible

_COLUMNS = 40  # what a telephone shows of a line without folding it
_MOST_ROWS = 10
_MOST_SERIES = 8  # of one budget
_MOST_CHARACTERS = 10_000  # of all blocks; Slack refuses a message from about 13,000 on
_EXACT = 13  # digits and commas up to which a value is written out
_ALT_LIMIT = 1900
_SPARK = 32
_EACH = {period: f"{'an' if period is Period.HOUR else 'a'} {period.value}" for period in Period}


def top_answer(ranking: Ranking) -> Answer:
    """A table of those that have grown, the largest first."""
    window, metric = ranking.window, ranking.metric.replace("_", " ")
    since = f", counted since {moment(ranking.baseline_at)}" if _is_short(ranking) and ranking.baseline_at else ""
    if not ranking.grown:
        return sentence(f"No {metric} {window.name}{since}.")
    thing = "configuration" if ranking.by == "ai_llm" else ranking.by
    head = f"*{metric}* by {thing} {window.name}{since}"
    rows = ranking.grown[:_MOST_ROWS]
    table = _table(
        rows, ranking.metric, several=len({row.source for row in ranking.rows}) > 1 and ranking.by != "source"
    )
    if len(ranking.grown) > len(rows):
        table.append(f"… and {len(ranking.grown) - len(rows)} more")
    return {"text": head, "blocks": [{"type": "section", "text": mrkdwn(head)}, preformatted("\n".join(table))]}


def _is_short(ranking: Ranking) -> bool:
    """Whether counting began inside the window."""
    return ranking.baseline_at is not None and ranking.baseline_at > ranking.window.start


def _table(rows: Sequence[Rank], metric: str, *, several: bool) -> list[str]:
    """Lines of at most 40 characters; with the source where there are several."""
    values = [_value(row.value, metric) for row in rows]
    right, left = max(map(len, values)), len(str(rows[-1].rank))
    space = _COLUMNS - left - right - 3
    names = [cut(visible(f"{row.name} ({row.source})" if several else row.name), space) for row in rows]
    width = max(map(len, names))
    return [
        f"{row.rank:>{left}} {name:<{width}}  {value:>{right}}"
        for row, name, value in zip(rows, names, values, strict=True)
    ]


def _value(value: Amount, metric: str) -> str:
    if not isinstance(value, int):
        return write_amount(value, metric)
    written = f"{value:,}"
    return written if len(written) <= _EXACT else write_count(value)


def spend_answer(spending: Spending) -> Answer:
    """What was spent, the most first, in lines that fit a telephone; it says that it is an estimate, and of what."""
    window = spending.window
    if not spending.rows:
        return sentence(f"No tokens were used {window.name}.")
    thing = "configuration" if spending.by == "ai_llm" else spending.by
    head = f"*{write_amount(spending.usd, 'USD')}* {window.name}, by {thing}"
    shown = spending.rows[:_MOST_ROWS]
    table = _spend_table(shown, several=len({row.source for row in spending.rows}) > 1 and spending.by != "source")
    if len(spending.rows) > len(shown):
        table.append(f"… and {len(spending.rows) - len(shown)} more")
    blocks = [{"type": "section", "text": mrkdwn(head)}, preformatted("\n".join(table))]
    blocks.append({"type": "context", "elements": [mrkdwn(_estimate(spending))]})
    return {"text": head, "blocks": blocks}


def _estimate(spending: Spending) -> str:
    told = f"An estimate, by {literal(spending.price_list, 60)}, before discounts."
    if spending.unpriced_tokens:
        told += f" {write_count(spending.unpriced_tokens)} tokens have no known price and are not in it."
    return told


def _spend_table(rows: Sequence[Spent], *, several: bool) -> list[str]:
    """Lines of at most 40 characters: the name, the tokens, the dollars; `?` where there is no price."""
    costs = ["?" if not row.usd and row.tokens_in + row.tokens_out else write_amount(row.usd, "USD") for row in rows]
    tokens = [write_count(row.tokens_in + row.tokens_out) for row in rows]
    right, middle = max(map(len, costs)), max(map(len, tokens))
    space = _COLUMNS - right - middle - 4
    names = [cut(visible(f"{row.name} ({row.source})" if several else row.name), space) for row in rows]
    width = max(map(len, names))
    return [
        f"{name:<{width}}  {count:>{middle}}  {cost:>{right}}"
        for name, count, cost in zip(names, tokens, costs, strict=True)
    ]


def budget_answer(found: Sequence[Usage]) -> Answer:
    """Each budget with its series as bars."""
    if not found:
        return sentence("No budget is configured, or nothing was read yet.")
    sections = []
    for _, group in groupby(found, key=lambda one: one.rule.name):
        sections.append(_budget_lines(list(group)))
    shown: list[str] = []
    for section in sections:
        if sum(map(len, shown)) + len(section) > _MOST_CHARACTERS:
            break
        shown.append(section)
    if len(shown) < len(sections):
        shown.append(f"… and {len(sections) - len(shown)} more budgets")
    worst = max(found, key=lambda one: one.share)
    text = f"{literal(worst.rule.name, 80)}: {percent(worst.share)} used by {literal(worst.name, 80)}"
    return {"text": text, "blocks": [{"type": "section", "text": mrkdwn(section)} for section in shown]}


def _budget_lines(found: Sequence[Usage]) -> str:
    first, rows = found[0], found[:_MOST_SERIES]
    metric = first.condition.metric.replace("_", " ")
    amount = write_amount(first.condition.amount, first.unit)
    metric = "" if first.unit else f" {metric}"
    head = f"*{literal(first.rule.name, 80)}*: {amount}{metric} {_EACH[first.condition.period]}, the present one until {moment(first.end)}"
    return fit([head, *map(_usage_line, rows)], SECTION_LIMIT, hidden=len(found) - len(rows))


def _usage_line(one: Usage) -> str:
    name = literal(one.name, 60)
    if one.used is None:
        return f"`{bar(Fraction(0))}` {name}: nothing was reported yet"
    mark = f" {MARKS[one.severity]}" if one.severity is not None else ""
    used = f"`{bar(one.share)}` *{percent(one.share)}*{mark} {name}: {write_amount(one.used, one.unit)} used"
    if one.over > 0:
        return f"{used}, {write_amount(one.over, one.unit)} too much"
    soon = f", all of it {moment(one.exhausted_at)} at this pace" if one.exhausted_at is not None else ""
    return f"{used}, {write_amount(one.left, one.unit)} left{soon}"


def chart_answer(curve: Curve, file: str | None) -> Answer:
    """The picture with a line above it; without a picture the same as a line of small bars."""
    head = f"*{literal(curve.subject, 200)}*: {literal(curve.what, 200)}, {moment(curve.start)} to {moment(curve.end)}"
    if curve.worst is None:
        return sentence(f"{head}\nNothing was read in this time.")
    summary = _summary(curve)
    blocks: list[dict[str, Any]] = [{"type": "section", "text": mrkdwn(f"{head}\n{summary}")}]
    if file is None:
        blocks.append(preformatted(sparkline([value for _, value in curve.points], width=_SPARK)))
    else:
        alt = f"Chart of {curve.what} of {curve.subject} over {tell_duration(curve.end - curve.start)}."
        blocks.append({"type": "image", "slack_file": {"id": file}, "alt_text": cut(visible(alt), _ALT_LIMIT)})
    return {"text": f"{head}\n{summary}", "blocks": blocks}


def _summary(curve: Curve) -> str:
    """The chart in words: what is worst, what came last, and what a rule holds against it."""
    assert curve.worst is not None, "something is known"
    unit = curve.unit if curve.unit in {"%", "×", "USD"} else ""
    (at, extreme), (_, last) = curve.worst, curve.known[-1]
    word = "Most" if curve.comparison.looks_up else "Least"
    ends_worst = curve.bucket is None and at == curve.known[-1][0]
    told = f"{word} {write_amount(extreme, unit)} ({'at the end' if ends_worst else moment(at)})"
    if curve.bucket is not None:
        told += f", {write_amount(sum(value for _, value in curve.known), unit)} in all"
    elif not ends_worst:
        told += f", {write_amount(last, unit)} at the end"
    comparison = curve.comparison.value.replace("_", " ")
    limits = ", ".join(
        f"{severity.value} {comparison} {write_amount(threshold, '%' if unit == '%' else '')}"
        for severity, threshold in curve.thresholds
    )
    return f"{told}; {literal(curve.rule, 80)}: {limits}" if limits else told
