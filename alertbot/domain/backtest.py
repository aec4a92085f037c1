"""What would have come of a rule on what is stored: the alerts that it would have raised, and how far that can be relied on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertbot.domain.rules import Severity
from alertbot.domain.times import format_duration

_SERIES = {"ai_llm": "LLM", "repo": "repository", "api_key": "API key"}


@dataclass(frozen=True, slots=True)
class BacktestAlert:
    """One alert that there would have been; `ended_at` is None where it would fire still."""

    series: str
    name: str
    severity: Severity
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What came of trying a rule from `start` to `end`, looking at `looked` of `readings`; `problem` says why it cannot be tried."""

    per: str
    start: datetime
    end: datetime
    looked: int = 0
    readings: int = 0
    alerts: tuple[BacktestAlert, ...] = ()
    wanted: timedelta = timedelta(days=1)
    problem: str = ""

    def lasted(self, alert: BacktestAlert) -> timedelta:
        return (alert.ended_at or self.end) - alert.started_at


def format_backtest(backtest_result: BacktestResult) -> list[str]:
    """What came of it in sentences: first how often, then what has to be known of that."""
    if backtest_result.problem:
        return [backtest_result.problem]
    past = backtest_result.end - backtest_result.start
    # What is stored begins up to an interval after the day does.
    when = backtest_result.wanted if backtest_result.wanted - past < backtest_result.wanted / 20 else past
    over = f"In the last {'24 hours' if when == timedelta(days=1) else format_duration(when)}"
    told = [f"{over}: {_format_alerts(backtest_result)}"]
    if backtest_result.looked < backtest_result.readings:
        told.append(
            f"Checked {backtest_result.looked} of {backtest_result.readings} readings, evenly spread: alerts shorter than the time between"
            " two of them may be missing."
        )
    if when < backtest_result.wanted:
        told.append("Nothing older is stored.")
    return told


def _format_alerts(backtest_result: BacktestResult) -> str:
    if not backtest_result.alerts:
        return "no alert."
    count = "1 alert" if len(backtest_result.alerts) == 1 else f"{len(backtest_result.alerts)} alerts"
    series = {alert.series for alert in backtest_result.alerts}
    word = _SERIES.get(backtest_result.per, backtest_result.per)
    if backtest_result.per == "all":
        where = ""
    elif len(series) == 1:
        where = f", on {backtest_result.alerts[0].name}"
    else:
        where = f", on {len(series)} {word.removesuffix('y') + 'ies' if word.endswith('ory') else word + 's'}"
    longest = format_duration(max(backtest_result.lasted(alert) for alert in backtest_result.alerts))
    lasted = f"the longest {longest}" if len(backtest_result.alerts) > 1 else f"for {longest}"
    firing = sum(alert.ended_at is None for alert in backtest_result.alerts)
    now = "" if not firing else f", {firing} still firing" if len(backtest_result.alerts) > 1 else ", still firing"
    return f"{count}{where}, {lasted}{now}."


def worst_of(backtest_result: BacktestResult, *, most: int) -> Sequence[BacktestAlert]:
    """The longest ones, those of critical severity first."""
    order = sorted(backtest_result.alerts, key=lambda alert: (-alert.severity.rank, -backtest_result.lasted(alert)))
    return order[:most]
