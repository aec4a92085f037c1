"""The published prices of models: those of genai-prices, as they were when its release was made. Nothing is fetched."""

import functools
from decimal import Decimal
from importlib.metadata import version

from alertbot.domain.prices import MILLION, Price

_FEW = 1000  # tokens: prices by tiers are those of one request, and what we count are sums of many small ones


class PublishedPrices:
    """The prices of the pinned release: of the base tier, without the reduction for cached tokens."""

    @property
    def version(self) -> str:
        return f"genai-prices {version('genai-prices')}"

    def find(self, provider: str, model: str) -> Price | None:
        """What a model costs at its provider, or where it is not known there, anywhere; None for one that nobody lists."""
        return _find(provider.lower(), model) or (_find("", model) if provider else None)


@functools.lru_cache(maxsize=4096)
def _find(provider: str, model: str) -> Price | None:
    # The list takes half a second to load: only those pay who have something to price.
    from genai_prices import Usage, calc_price

    try:
        price = calc_price(Usage(input_tokens=_FEW, output_tokens=_FEW), model_ref=model, provider_id=provider or None)
    except LookupError:
        return None
    each = Decimal(MILLION) / _FEW
    return Price(Decimal(price.input_price) * each, Decimal(price.output_price) * each)
