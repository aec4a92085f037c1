"""Calendar periods in a time zone, and the pace of spending inside one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from alertbot.domain.history import Growth, History, Series, by_source, falls_by_member
from alertbot.domain.rules import Budget, Period
from alertbot.domain.series import StepKind


def period_of(moment: datetime, budget: Budget) -> tuple[datetime, datetime]:
    """The calendar period (start, end] that a reading at this moment is judged in, in UTC.

    A reading exactly at a boundary closes the period before. Days are local days: 23 or 25 hours long where the
    clocks change.
    """
    zone = ZoneInfo(budget.timezone)
    start = _begin(moment, budget, zone)
    if start == moment:
        start = _begin(moment - timedelta(microseconds=1), budget, zone)
    return start, _next(start, budget, zone)


def _begin(moment: datetime, budget: Budget, zone: ZoneInfo) -> datetime:
    local = moment.astimezone(zone)
    if budget.period is Period.HOUR:
        # An hour is counted on the clock that runs: the repeated hour of autumn is two periods. (Where clocks change by
        # half an hour, on Lord Howe Island, two hours of the year overlap.)
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return moment.astimezone(UTC) - into
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if budget.period is Period.WEEK:
        midnight -= timedelta(days=(midnight.weekday() - budget.week_starts) % 7)
    elif budget.period is Period.MONTH:
        midnight = midnight.replace(day=1)
    return midnight.replace(fold=0).astimezone(UTC)  # where midnight comes twice, the first


def _next(start: datetime, budget: Budget, zone: ZoneInfo) -> datetime:
    if budget.period is Period.HOUR:
        return start + timedelta(hours=1)
    # Noon of a day well inside the next period, so that no change of clocks moves it across a boundary.
    local = start.astimezone(zone).replace(hour=12)
    if budget.period is Period.DAY:
        inside = local + timedelta(days=1)
    elif budget.period is Period.WEEK:
        inside = local + timedelta(days=7)
    else:
        inside = local.replace(day=15) + timedelta(days=31)
    return _begin(inside, budget, zone)


def exhausted_at(*, used: int | Fraction, amount: Fraction, pace: Fraction, now: datetime) -> datetime | None:
    """When the amount is reached if spending goes on at `pace` (units a second), now at the earliest; None if never.

    Rounded to the microsecond, upwards, so that "strictly before the end" is never claimed for the end itself.
    """
    if pace <= 0:
        return None
    seconds = max(amount - used, Fraction(0)) / pace
    if seconds > 400 * 86_400:  # no period is longer, and timedelta has an end
        return None
    microseconds = -((-seconds * 1_000_000).__floor__())
    return now + timedelta(microseconds=int(microseconds))


def quarter_back(start: datetime, now: datetime) -> datetime:
    """The moment a quarter of the elapsed period ago: from there to now a pace is measured."""
    return now - (now - start) / 4


def pacing(condition: Budget, history: History, now: datetime) -> Callable[[Series], Fraction | None]:
    """How fast series use their budget lately, in units a second; None for one with a reset in that time."""
    start, _ = period_of(now, condition)
    quarter = quarter_back(start, now)
    growth = Growth(history, condition.metric, quarter, now)
    falls = falls_by_member(history, (condition.metric,), quarter, now)
    reset = {number for number, own in falls.items() if any(fall.kind is StepKind.RESET for fall in own)}

    def speed_of(series: Series) -> Fraction:
        """Each source by its own readings."""
        if len(series.sources) > 1:
            return sum((speed_of(own) for own in by_source(series, history.members)), Fraction(0))
        grown = growth.of(series).value
        if not grown:
            return Fraction(0)
        (name,) = series.sources
        apart = history.slices[name, now].taken_at - history.slices[name, quarter].taken_at
        return Fraction(grown * 1_000_000) / (apart // timedelta(microseconds=1))

    return lambda series: speed_of(series) if reset.isdisjoint(series.members) else None


def tell_clock(moment: datetime, now: datetime, timezone: str) -> str:
    """The clock time of a moment where the budget is kept, with its day unless that is today: `14:30 (Europe/Madrid)`."""
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    is_today = local.date() == now.astimezone(zone).date()
    return f"{local:%H:%M} ({timezone})" if is_today else f"{local:%H:%M on %Y-%m-%d} ({timezone})"
