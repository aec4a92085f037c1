"""Tokens → dollars: an estimate, from prices per million tokens. Decimal or fractions throughout, never floats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Protocol

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
