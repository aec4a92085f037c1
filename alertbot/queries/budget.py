"""How much of each budget is used."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.domain.budgets import period_of
from alertbot.domain.coverage import Asked, backfill_hint, coverage_of, is_outside
from alertbot.domain.datasets import Feeds, dataset_for, datasets_of
from alertbot.domain.points import Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.rules import Budget, Rule
from alertbot.domain.usage import Budgets, Usage, usages, with_forecast
from alertbot.domain.visibility import counted_by
from alertbot.domain.windows import Window
from alertbot.flows.load_history import load_history
from alertbot.store import sources
from alertbot.store.database import Database


def budget_usages(
    database: Database,
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    now: datetime,
    prices: Prices = NOTHING_PRICED,
) -> Budgets:
    """How far each budget is used in its present period, rule by rule, its fullest series first."""
    budgeted = [with_forecast(rule) for rule in rules if rule.enabled and isinstance(rule.condition, Budget)]
    by_series: dict[tuple[str, str], Usage] = {}
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        read = [name for name, state in states.items() if state.read_at is not None]
        for name in read:
            past = load_history(tx, intervals, budgeted, name, now, prices=prices)
            for rule in budgeted:
                history, whole = past.of(rule), rule.per == "all"
                members = {n: m for n, m in history.members.items() if m.source in (read if whole else [name])}
                for usage in usages(rule, replace(history, members=members), now):
                    period = Window(usage.start, now, "")
                    is_known = not all(is_outside(history.sources[name], period) for name in usage.series.sources)
                    by_series[rule.name, usage.series.key] = usage if is_known else usage.unknown()
        feeds = sources.feeds(tx, intervals)
    collected = {dataset for own in feeds.values() for dataset in own}
    return Budgets(
        tuple(by_series.values()), _not_counted(budgeted, intervals, feeds, now), backfill_hint(Dataset, collected)
    )


def _not_counted(
    budgeted: Sequence[Rule], intervals: Mapping[str, timedelta], feeds: Mapping[str, Feeds], now: datetime
) -> tuple[str, ...]:
    """A sentence for each source that a budget covers and that is not counted in it."""
    notes: dict[str, None] = {}
    for rule in budgeted:
        assert isinstance(rule.condition, Budget), "chosen by that"
        meant = sorted(counted_by(rule, intervals))
        datasets = {name: dataset_for(rule, feeds.get(name, {}), now) for name in meant}
        asked = Asked(rule.dimensions, Window(period_of(now, rule.condition)[0], now, ""), datasets_of(rule))
        chosen = {name: dataset for name, dataset in datasets.items() if dataset is not None}
        notes |= dict.fromkeys(coverage_of(asked, meant, feeds, chosen).unknown)
    return tuple(notes)
