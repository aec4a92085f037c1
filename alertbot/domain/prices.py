"""Tokens → dollars: an estimate, from prices per million tokens. Decimal or fractions throughout, never floats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from math import lcm
from typing import Protocol

import numpy as np

from alertbot.domain.columns import Column, product
from alertbot.domain.rules import Selector

MILLION = 1_000_000
_MICRODOLLARS = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens in, and for a million tokens out."""

    usd_per_million_in: Decimal
    usd_per_million_out: Decimal

    def of(self, tokens_in: int, tokens_out: int) -> Fraction:
        """What so many tokens cost, in dollars, exact."""
        return (
            Fraction(self.usd_per_million_in) * tokens_in + Fraction(self.usd_per_million_out) * tokens_out
        ) / MILLION


@dataclass(frozen=True, slots=True)
class Override:
    """The operator's own price of what `match` selects."""

    match: Selector
    price: Price


class PriceList(Protocol):
    """Published prices by provider and model; `version` names the list."""

    @property
    def version(self) -> str: ...

    def find(self, provider: str, model: str) -> Price | None:
        """The price of a model; None for one that is not in the list."""
        ...


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens cost: the operator's own prices, first match wins, then the published ones.

    `pairs` says by source which pair of tokens is charged: `tokens`, what went through the gateway, or `llm_tokens`.
    """

    published: PriceList
    overrides: Sequence[Override] = ()
    pairs: Mapping[str, str] = field(default_factory=dict)

    def price_of(self, labels: Mapping[str, str]) -> Price | None:
        """The price of what is labelled so; None where nobody knows it, as of totals, which name no model."""
        for override in self.overrides:
            if override.match.selects(labels):
                return override.price
        model = labels.get("model", "")
        return self.published.find(labels.get("provider", ""), model) if model else None

    def charged(self, source: str) -> tuple[str, str]:
        """The names of the two amounts that are charged at a source: tokens in, and tokens out."""
        pair = self.pairs.get(source, "tokens")
        return f"{pair}_in", f"{pair}_out"


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """What a token in and a token out cost for many members, in parts of a dollar: `scale` of them are one dollar."""

    into: Column
    out: Column
    scale: int

    def spent(self, tokens_in: Column, tokens_out: Column) -> Column:
        """What each member has spent, exact; one whose price or tokens nobody knows is unknown."""
        rows = tokens_in.rows
        price_in, is_priced = self.into.at(rows.numbers)
        price_out, _ = self.out.at(rows.numbers)
        out, is_known = tokens_out.at(rows.numbers)
        known = tokens_in.known & is_known & is_priced
        values = product(price_in, tokens_in.array) + product(price_out, out)
        return Column(rows, np.where(known, values, 0), known, scale=self.scale)


def unit_prices(labels: Mapping[int, Mapping[str, str]], prices: Prices) -> UnitPrices:
    """The prices of members, by their labels."""
    priced = {number: price for number, own in labels.items() if (price := prices.price_of(own)) is not None}
    pairs = {
        number: (Fraction(price.usd_per_million_in) / MILLION, Fraction(price.usd_per_million_out) / MILLION)
        for number, price in priced.items()
    }
    scale = lcm(*(price.denominator for pair in pairs.values() for price in pair))
    into, out = (Column.of({number: int(pair[place] * scale) for number, pair in pairs.items()}) for place in range(2))
    return UnitPrices(into, out, scale)


class _NothingPublished:
    version = "none"

    def find(self, provider: str, model: str) -> Price | None:  # noqa: ARG002 — the signature of every price list
        return None


NOTHING_PRICED = Prices(_NothingPublished())


def format_usd(amount: Fraction) -> str:
    """Dollars as a decimal number, to the millionth."""
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(amount.numerator) / Decimal(amount.denominator)
        return f"{exact.quantize(_MICRODOLLARS):f}"
