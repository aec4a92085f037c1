"""Budgets as they stand: how much of each is used, what is left, and when all of it will be used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from alertbot.domain.budgets import forecasting, period_of
from alertbot.domain.columns import Amount
from alertbot.domain.formatting import name_from
from alertbot.domain.history import Growth, History, Series, group, known_since
from alertbot.domain.points import SPEND
from alertbot.domain.prices import format_usd
from alertbot.domain.rules import Budget, Comparison, Rule, Severity
from alertbot.domain.times import format_moment

BAR = 10  # characters


@dataclass(frozen=True, slots=True)
class Usage:
    """One series of a budget in its present period (start, end]. `used` is None where the counter is unknown.

    `severity` is the level that is reached; `exhausted_at` is when the amount is used up at the faster of the paces of
    late, None where that is not before the end of the period, or has happened already; `exhausted_by` at the slower one.
    `known_since` is set where counting began after the period did: `used` is then only a part.
    """

    rule: Rule
    condition: Budget
    series: Series
    start: datetime
    end: datetime
    used: Amount | None
    severity: Severity | None = None
    exhausted_at: datetime | None = None
    exhausted_by: datetime | None = None
    known_since: datetime | None = None

    @property
    def name(self) -> str:
        return "everything" if self.rule.per == "all" else name_from(self.series.labels)

    @property
    def unit(self) -> str:
        """`USD` for money; other amounts say what they are by their metric."""
        return "USD" if self.condition.metric == SPEND else ""

    def json_of(self, amount: Amount) -> int | float | str:
        """An amount for scripts: money is a decimal string."""
        if self.unit:
            return format_usd(Fraction(amount))
        return int(amount) if amount == int(amount) else float(amount)

    @property
    def share(self) -> Fraction:
        """The part of the amount that is used; more than 1 where it was not enough."""
        return Fraction(self.used or 0) / self.condition.amount

    def unknown(self) -> "Usage":
        """The same budget, where nothing is known of the period."""
        return replace(self, used=None, severity=None, exhausted_at=None, exhausted_by=None)

    @property
    def left(self) -> Fraction:
        return max(self.condition.amount - (self.used or 0), Fraction(0))

    @property
    def over(self) -> Fraction:
        """How much more than the amount is used."""
        return max((self.used or 0) - self.condition.amount, Fraction(0))


def usages(rule: Rule, history: History, now: datetime) -> list[Usage]:
    """The use of one budget by each of its series, the fullest first. `history` holds what `with_forecast(rule)` needs."""
    condition = rule.condition
    if not isinstance(condition, Budget):
        raise TypeError(f"{rule.name} is no budget")
    start, end = period_of(now, condition)
    growth = Growth(history, condition.metric, start, now)
    look_ahead = forecasting(condition, history, now)
    # The levels of a budget are inclusive percentages.
    judge = replace(condition.levels, comparison=Comparison.AT_LEAST).judging()
    found = []
    for series in group(history.members.values(), rule.per, rule.where):
        used = growth.of(series).value
        level = None if used is None else judge(Fraction(used * 100) / condition.amount)
        severity = None if level is None else level[0]
        forecast = look_ahead(series, used) if used is not None and used < condition.amount else None
        usage = Usage(
            rule, condition, series, start, end, used, severity, known_since=known_since(history, series, start)
        )
        if forecast is not None:
            usage = replace(usage, exhausted_at=forecast.soonest, exhausted_by=forecast.latest)
        found.append(usage)
    return sorted(found, key=lambda one: (-one.share, one.name))


@dataclass(frozen=True, slots=True)
class Budgets:
    """How far the budgets are used. `notes` are sentences about sources that are not counted."""

    usages: tuple[Usage, ...]
    notes: tuple[str, ...] = ()
    hint: str = ""  # how a sentence goes on about what was before counting began


def with_forecast(rule: Rule) -> Rule:
    """The rule as one that looks ahead, so that the history which is loaded for it tells the pace."""
    assert isinstance(rule.condition, Budget), "only a budget has a forecast"
    return replace(rule, condition=replace(rule.condition, forecast=True))


def bar(share: Fraction, width: int = BAR) -> str:
    """A share as a bar: `██████░░░░`. It is full only where all is used, and empty only where nothing is."""
    filled = min(width, int(share * width))
    if share > 0:
        filled = max(1, filled)
    return "█" * filled + "░" * (width - filled)


def percent(share: Fraction) -> str:
    """A share in whole percent, rounded down: it is 100 % only where all is used."""
    return f"{int(share * 100):,} %"


def usage_json(found: Sequence[Usage]) -> list[dict[str, Any]]:
    return [
        {
            "rule": one.rule.name,
            "series": one.series.key,
            "name": one.name,
            "metric": one.condition.metric,
            "period": one.condition.period.value,
            "from": format_moment(one.start),
            "to": format_moment(one.end),
            "amount": one.json_of(one.condition.amount),
            "used": None if one.used is None else one.json_of(one.used),
            "left": None if one.used is None else one.json_of(one.left),
            "percent": None if one.used is None else int(one.share * 100),
            "severity": one.severity.value if one.severity else None,
            "known_since": format_moment(one.known_since or one.start),
            "exhausted_at": None if one.exhausted_at is None else format_moment(one.exhausted_at),
            "exhausted_by": None if one.exhausted_by is None else format_moment(one.exhausted_by),
        }
        for one in found
    ]
