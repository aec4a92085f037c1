"""What tokens cost in a window: an estimate, by configuration, model or user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from alertbot.domain.coverage import Coverage, coverage_json, without_silent
from alertbot.domain.history import Growth, History, group
from alertbot.domain.prices import Prices, format_usd
from alertbot.domain.rankings import display_name
from alertbot.domain.rules import EVERYTHING
from alertbot.domain.times import format_moment
from alertbot.domain.windows import Window

PAIRS = ("tokens_in", "tokens_out", "llm_tokens_in", "llm_tokens_out")


@dataclass(frozen=True, slots=True)
class Spent:
    """One row: what a series has spent, and the tokens that are charged, those without a price among them."""

    key: str
    name: str
    source: str
    usd: Fraction
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent, the most first. `unpriced_tokens` are those that nobody knows a price of: they are not in `usd`.

    `coverage` says from when on it is counted, and what is not in it.
    """

    window: Window
    by: str
    price_list: str
    unpriced_tokens: int
    rows: tuple[Spent, ...]
    coverage: Coverage

    @property
    def usd(self) -> Fraction:
        return sum((row.usd for row in self.rows), Fraction(0))


def spend(history: History, prices: Prices, window: Window, by: str, coverage: Coverage) -> Spending:
    """Price the growth of tokens in a window, each label set by itself: only there a model is known."""
    grown = {name: Growth(history, name, window.start, window.end) for name in PAIRS}
    unpriced = 0
    rows = []
    asked, counted = set(), set()
    for series in group(history.members.values(), by, EVERYTHING):
        usd, tokens = Fraction(0), [0, 0]
        for number in series.members:
            member = history.members[number]
            alone = series._replace(members=(number,), sources=(member.source,))
            amounts = [grown[name].of(alone).value for name in prices.charged(member.source)]
            asked.add(member.source)
            if any(amount is not None for amount in amounts):
                counted.add(member.source)
            charged = [int(amount or 0) for amount in amounts]
            price = prices.price_of(member.labels)
            if price is None:
                unpriced += sum(charged)
            else:
                usd += price.of(*charged)
            tokens = [total + own for total, own in zip(tokens, charged, strict=True)]
        if any(tokens):
            rows.append(Spent(series.key, display_name(series.labels, by), series.labels["source"], usd, *tokens))
    whole = without_silent(coverage, "tokens", asked=asked, counted=counted)
    rows.sort(key=lambda row: (-row.usd, -row.tokens_in - row.tokens_out, row.name))
    return Spending(window, by, prices.published.version, unpriced, tuple(rows), whole)


def spending_json(spending: Spending) -> Mapping[str, Any]:
    rows: Sequence[Spent] = spending.rows
    return {
        "from": format_moment(spending.window.start),
        "to": format_moment(spending.window.end),
        **coverage_json(spending.coverage),
        "usd": format_usd(spending.usd) if spending.coverage.is_known else None,
        "price_list": spending.price_list,
        "unpriced_tokens": spending.unpriced_tokens if spending.coverage.is_known else None,
        "rows": [
            {
                "key": row.key,
                "name": row.name,
                "usd": format_usd(row.usd),
                "tokens_in": row.tokens_in,
                "tokens_out": row.tokens_out,
            }
            for row in rows
        ],
    }
