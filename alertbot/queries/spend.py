"""What was spent in a window."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from alertbot.domain.evidence import Privacy
from alertbot.domain.points import SPEND
from alertbot.domain.prices import Prices
from alertbot.domain.privacy import NAMES_ALL
from alertbot.domain.spending import PAIRS, Spending, spend
from alertbot.domain.windows import Window
from alertbot.flows.growers import named_rows
from alertbot.flows.load_history import load_window
from alertbot.store.database import Database


def spending(
    database: Database,
    *,
    intervals: Mapping[str, timedelta],
    prices: Prices,
    window: Window,
    by: str = "ai_llm",
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> Spending:
    """What was spent in the window, at the sources that report tokens. `privacy` as for `top`."""
    with database.reading() as tx:
        history, coverage = load_window(tx, intervals, (SPEND, *PAIRS), (by,), window=window, prices=prices)
        spending = spend(history, prices, window, by, coverage)
        return replace(spending, rows=tuple(named_rows(tx, by, spending.rows, privacy)))
