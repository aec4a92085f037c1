"""Who or what has grown most in a window."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from alertbot.domain.evidence import Privacy
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import NAMES_ALL
from alertbot.domain.rankings import Ranking, RankingQuery, rank
from alertbot.domain.windows import Window
from alertbot.flows.growers import named_rows
from alertbot.flows.load_history import load_window
from alertbot.store.database import Database


def top_ranking(
    database: Database,
    *,
    intervals: Mapping[str, timedelta],
    question: RankingQuery,
    window: Window,
    prices: Prices = NOTHING_PRICED,
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> Ranking:
    """The series that have grown most in the window. People are named as far as `privacy` allows."""
    with database.reading() as tx:
        history, coverage = load_window(tx, intervals, (question.metric,), (question.by,), window=window, prices=prices)
        ranking = rank(history, question, window, coverage)
        return replace(ranking, rows=tuple(named_rows(tx, question.by, ranking.rows, privacy)))
