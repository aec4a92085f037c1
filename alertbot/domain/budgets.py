"""Calendar periods in a time zone, and the pace of spending inside one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from alertbot.domain.history import Growth, History, Series, by_source, resets_by_member
from alertbot.domain.rules import Budget, Period
from alertbot.domain.series import ResetKind


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


_LEAST_RECENT = timedelta(minutes=10)  # a pace over less than ten minutes says how calls came, not where they lead


@dataclass(frozen=True, slots=True)
class Forecast:
    """When an amount will be used up before its period ends: at the faster pace, and at the slower one.

    `latest` is None where the slower pace does not reach the amount in the period.
    """

    soonest: datetime
    latest: datetime | None


def paces_since(start: datetime, now: datetime) -> tuple[datetime, datetime]:
    """From when on a pace is measured: a quarter of the elapsed period ago, and a sixteenth, which is ten minutes at least.

    The first sees what lasts, the second sees a change; while a quarter is ten minutes or less, there is one pace.
    """
    quarter = (now - start) / 4
    return now - quarter, now - min(quarter, max(quarter / 4, _LEAST_RECENT))


def forecasting(
    condition: Budget, history: History, now: datetime
) -> Callable[[Series, int | Fraction], Forecast | None]:
    """Tells when a series that has used so much will have used all, if it goes on as lately; None if not before the end."""
    _, end = period_of(now, condition)
    paces_of = _pacing(condition, history, now)

    def look_ahead(series: Series, used: int | Fraction) -> Forecast | None:
        moments = [
            exhausted_at(used=used, amount=condition.amount, pace=pace, now=now) for pace in sorted(paces_of(series))
        ]
        in_period = [moment if moment is not None and moment < end else None for moment in moments]
        if not in_period or in_period[-1] is None:
            return None
        return Forecast(in_period[-1], in_period[0])

    return look_ahead


def _pacing(condition: Budget, history: History, now: datetime) -> Callable[[Series], list[Fraction]]:
    """How fast series use their budget lately, in units a second; nothing for one with a reset in that time."""
    start, _ = period_of(now, condition)
    quarter, recent = paces_since(start, now)
    growth = {since: Growth(history, condition.metric, since, now) for since in (quarter, recent)}
    counter_resets = resets_by_member(history, (condition.metric,), quarter, now)
    reset = {
        number
        for number, own in counter_resets.items()
        if any(counter_reset.kind is ResetKind.RESET for counter_reset in own)
    }

    def speed_since(since: datetime, series: Series) -> Fraction:
        """Each source by its own readings; one that was not read since then goes on as in the last quarter."""
        if len(series.sources) > 1:
            return sum((speed_since(since, part) for part in by_source(series, history.members)), Fraction(0))
        (name,) = series.sources
        apart = history.slices[name, now].taken_at - history.slices[name, since].taken_at
        if not apart:
            return Fraction(0) if since == quarter else speed_since(quarter, series)
        grown = growth[since].of(series).value or 0
        return Fraction(grown * 1_000_000) / (apart // timedelta(microseconds=1))

    def paces_of(series: Series) -> list[Fraction]:
        if not reset.isdisjoint(series.members):
            return []
        return [speed_since(since, series) for since in growth]

    return paces_of


def format_forecast(forecast: Forecast, now: datetime, timezone: str) -> str:
    """When all will be used, in a sentence: `… is used from 18:45 to 20:10 (Europe/Madrid)`."""
    soonest = format_clock(forecast.soonest, now, timezone)
    if forecast.latest is None:
        return f"at the faster pace of late the whole amount is used at {soonest}, at the slower one not in this period"
    latest = format_clock(forecast.latest, now, timezone)
    if latest == soonest:
        return f"at this pace the whole amount is used at {soonest}"
    return f"at this pace the whole amount is used from {soonest.removesuffix(f' ({timezone})')} to {latest}"


def format_clock(moment: datetime, now: datetime, timezone: str) -> str:
    """The clock time of a moment where the budget is kept, with its day unless that is today: `14:30 (Europe/Madrid)`."""
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    is_today = local.date() == now.astimezone(zone).date()
    return f"{local:%H:%M} ({timezone})" if is_today else f"{local:%H:%M on %Y-%m-%d} ({timezone})"
