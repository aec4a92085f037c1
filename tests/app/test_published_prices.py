"""The published prices, as they are pinned."""

import socket
from decimal import Decimal

import pytest

from alertbot.app.published_prices import PublishedPrices
from alertbot.domain.prices import Override, Price, Prices
from alertbot.domain.rules import Selector

LIST = PublishedPrices()


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        pytest.param("OPENAI", "gpt-4o", Price(Decimal("2.5"), Decimal(10)), id="as Flashback writes providers"),
        pytest.param("OTHER", "gpt-4o", Price(Decimal("2.5"), Decimal(10)), id="at a provider that is not known"),
        pytest.param("", "gpt-4o", Price(Decimal("2.5"), Decimal(10)), id="without a provider"),
        pytest.param("GOOGLE", "gemini-2.5-pro", Price(Decimal("1.25"), Decimal(10)), id="by the lowest of its tiers"),
        pytest.param("OPENAI", "home-made", None, id="of a model that nobody lists"),
    ],
)
def test_the_price_of_a_model(provider, model, price):
    assert LIST.find(provider, model) == price


def test_the_list_says_what_it_is():
    assert LIST.version.startswith("genai-prices ")


def test_nothing_is_fetched(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a price list that calls home")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert LIST.find("ANTHROPIC", "claude-sonnet-4-5") == Price(Decimal(3), Decimal(15))


def test_prices_are_exact_for_any_number_of_tokens():
    assert Price(Decimal("2.5"), Decimal(10)).of(10**25, 1) == 10**25 * Decimal("2.5") / 10**6 + Decimal("0.00001")


def test_the_operators_own_prices_come_first_and_the_first_that_fits_counts():
    own = Price(Decimal(1), Decimal(2))
    prices = Prices(LIST, [Override(Selector((("ai_llm", ("support-*",)),)), own)])
    assert prices.price_of({"ai_llm": "llm-1", "name": "support-chat", "model": "gpt-4o"}) == own
    assert prices.price_of({"ai_llm": "llm-2", "name": "code", "model": "gpt-4o"}) == Price(Decimal("2.5"), Decimal(10))
    assert prices.price_of({"ai_llm": "llm-2", "name": "code"}) is None
