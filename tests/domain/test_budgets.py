"""Budgets: calendar periods, levels that speak once in each, and what the present pace leads to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.alerts import Alert, Reason, State, Transition, advance, is_budget
from alertbot.domain.budgets import exhausted_at, period_of, tell_clock
from alertbot.domain.findings import Verdict, moments
from alertbot.domain.history import History
from alertbot.domain.rules import Budget, Comparison, Period, Rule, Severity
from alertbot.domain.snapshots import Counter
from tests.builders import MINUTE, START, Polled, at, finding, levels, patiently, polled, readings, rule, threshold

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def budget(
    period: Period = Period.HOUR,
    *,
    amount: int = 100,
    at_percent: dict[str, float | str] | float | None = None,
    timezone: str = "UTC",
    week_starts: int = 0,
    forecast: bool = False,
    metric: str = "policy_violations",
) -> Budget:
    wanted = {"warning": 80, "critical": 100} if at_percent is None else at_percent
    found = levels(Comparison.AT_LEAST, wanted)
    return Budget(metric, Fraction(amount), period, found, timezone, week_starts, forecast)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- periods ---


@pytest.mark.parametrize(
    ("moment", "how", "start", "end"),
    [
        pytest.param("2026-01-05T10:20", {"period": Period.HOUR}, "2026-01-05T10:00", "2026-01-05T11:00", id="an hour"),
        pytest.param("2026-01-05T10:00", {"period": Period.HOUR}, "2026-01-05T09:00", "2026-01-05T10:00", id="a reading exactly at the boundary closes the hour before"),
        pytest.param("2026-01-05T10:20", {"period": Period.HOUR, "timezone": "Asia/Kolkata"}, "2026-01-05T09:30", "2026-01-05T10:30", id="an hour begins on the local clock"),
        pytest.param("2026-01-05T10:20", {"period": Period.DAY}, "2026-01-05T00:00", "2026-01-06T00:00", id="a day"),
        pytest.param("2026-01-05T00:00", {"period": Period.DAY}, "2026-01-04T00:00", "2026-01-05T00:00", id="midnight closes the day before"),
        pytest.param("2026-01-05T23:30", {"period": Period.DAY, "timezone": "Europe/Madrid"}, "2026-01-05T23:00", "2026-01-06T23:00", id="a day begins at local midnight"),
        pytest.param("2026-03-29T10:00", {"period": Period.DAY, "timezone": "Europe/Madrid"}, "2026-03-28T23:00", "2026-03-29T22:00", id="the day on which clocks go forward has 23 hours"),
        pytest.param("2026-10-25T10:00", {"period": Period.DAY, "timezone": "Europe/Madrid"}, "2026-10-24T22:00", "2026-10-25T23:00", id="the day on which clocks go back has 25 hours"),
        pytest.param("2026-10-25T23:00", {"period": Period.DAY, "timezone": "Europe/Madrid"}, "2026-10-24T22:00", "2026-10-25T23:00", id="and is closed by its own midnight"),
        pytest.param("2026-10-25T00:30", {"period": Period.HOUR, "timezone": "Europe/Madrid"}, "2026-10-25T00:00", "2026-10-25T01:00", id="the repeated hour is one period the first time"),
        pytest.param("2026-10-25T01:30", {"period": Period.HOUR, "timezone": "Europe/Madrid"}, "2026-10-25T01:00", "2026-10-25T02:00", id="and another the second time"),
        pytest.param("2026-04-24T12:00", {"period": Period.DAY, "timezone": "Africa/Cairo"}, "2026-04-23T22:00", "2026-04-24T21:00", id="where midnight does not exist the day begins at 1:00"),
        pytest.param("2026-04-23T22:00", {"period": Period.DAY, "timezone": "Africa/Cairo"}, "2026-04-22T22:00", "2026-04-23T22:00", id="and the day before is closed by it"),
        pytest.param("2026-11-01T05:30", {"period": Period.DAY, "timezone": "America/Havana"}, "2026-11-01T04:00", "2026-11-02T05:00", id="where midnight comes twice the day begins at the first"),
        pytest.param("2026-01-07T12:00", {"period": Period.WEEK}, "2026-01-05T00:00", "2026-01-12T00:00", id="a week begins on Monday unless said"),
        pytest.param("2026-01-05T00:00", {"period": Period.WEEK}, "2025-12-29T00:00", "2026-01-05T00:00", id="Monday midnight closes the week before"),
        pytest.param("2026-01-07T12:00", {"period": Period.WEEK, "week_starts": 6}, "2026-01-04T00:00", "2026-01-11T00:00", id="a week may begin on Sunday"),
        pytest.param("2026-01-10T12:00", {"period": Period.WEEK, "week_starts": 6}, "2026-01-04T00:00", "2026-01-11T00:00", id="and then ends after Saturday"),
        pytest.param("2026-01-04T12:00", {"period": Period.WEEK, "week_starts": 6}, "2026-01-04T00:00", "2026-01-11T00:00", id="its Sunday is its first day"),
        pytest.param("2026-01-04T12:00", {"period": Period.WEEK}, "2025-12-29T00:00", "2026-01-05T00:00", id="else Sunday is the last"),
        pytest.param("2026-03-28T12:00", {"period": Period.WEEK, "timezone": "Europe/Madrid"}, "2026-03-22T23:00", "2026-03-29T22:00", id="a week with a change of clocks ends at local midnight"),
        pytest.param("2026-01-31T12:00", {"period": Period.MONTH}, "2026-01-01T00:00", "2026-02-01T00:00", id="a month of 31 days"),
        pytest.param("2026-02-10T12:00", {"period": Period.MONTH}, "2026-02-01T00:00", "2026-03-01T00:00", id="a month of 28 days"),
        pytest.param("2028-02-29T12:00", {"period": Period.MONTH}, "2028-02-01T00:00", "2028-03-01T00:00", id="a month of 29 days"),
        pytest.param("2026-12-31T12:00", {"period": Period.MONTH}, "2026-12-01T00:00", "2027-01-01T00:00", id="the last month of a year"),
        pytest.param("2026-02-01T00:00", {"period": Period.MONTH}, "2026-01-01T00:00", "2026-02-01T00:00", id="its first midnight closes the month before"),
        pytest.param("2026-03-31T22:30", {"period": Period.MONTH, "timezone": "Europe/Madrid"}, "2026-03-31T22:00", "2026-04-30T22:00", id="a month begins at local midnight"),
        pytest.param("2026-03-31T21:30", {"period": Period.MONTH, "timezone": "Europe/Madrid"}, "2026-02-28T23:00", "2026-03-31T22:00", id="and may hold a change of clocks"),
    ],
)  # fmt: skip
def test_periods_are_those_of_the_local_calendar(moment: str, how: dict[str, Any], start: str, end: str):
    assert period_of(utc(moment), budget(**how)) == (utc(start), utc(end))


zones = st.sampled_from(
    ["UTC", "Europe/Madrid", "America/New_York", "America/Havana", "America/Santiago", "Africa/Cairo", "Asia/Beirut"]
    + [
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Pacific/Auckland",
        "Pacific/Chatham",
        "Pacific/Kiritimati",
        "America/St_Johns",
    ]
)


@patiently
@given(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)), zones, st.sampled_from(Period), st.integers(0, 6))
def test_periods_follow_one_another_without_gap_or_overlap(moment: datetime, zone: str, period: Period, first: int):
    now = moment.replace(tzinfo=UTC)
    counted = budget(period, timezone=zone, week_starts=first)
    start, end = period_of(now, counted)
    assert start < now <= end
    assert period_of(start + MICROSECOND, counted) == (start, end) == period_of(end, counted)
    assert period_of(end + MICROSECOND, counted)[0] == end
    if period is Period.WEEK:
        assert (start + 2 * HOUR).astimezone(ZoneInfo(zone)).weekday() == first
    elif period is Period.MONTH:
        assert (start + 2 * HOUR).astimezone(ZoneInfo(zone)).day == 1


# --- what a budget sees ---


@pytest.mark.parametrize(
    ("used", "severity", "limit"),
    [(79, None, 80), (80, "warning", 80), (99, "warning", 80), (100, "critical", 100), (130, "critical", 100)],
)
def test_levels_of_a_budget_are_inclusive_percentages(used: int, severity: str | None, limit: int):
    found = finding(polled(f"5 {5 + used}"), rule(budget()), 1)
    assert [found.value, found.threshold] == [used, limit]
    assert found.severity == severity
    assert found.period == START + HOUR


def test_levels_of_a_budget_need_not_be_whole():
    condition = budget(amount=3, at_percent={"warning": "199/2"})
    assert [finding(polled(f"0 {used}"), rule(condition), 1).verdict.value for used in (2, 3)] == ["false", "true"]


def test_a_budget_counts_from_the_newest_reading_at_or_before_the_start_of_its_period():
    of = polled("0+1x130")
    seen = {minute: finding(of, rule(budget()), minute).value for minute in (59, 60, 61, 120, 121)}
    assert seen == {59: 59, 60: 60, 61: 1, 120: 60, 121: 1}
    late = polled("0+1x58 _ _ _ 90")
    assert finding(late, rule(budget()), 62).value == 90 - 58


def test_a_budget_begins_with_the_first_reading():
    assert finding(polled("1000 1007"), rule(budget(Period.MONTH)), 1).value == 7


def test_a_budget_without_its_counter_is_no_finding_but_knows_its_period():
    found = finding(polled("? ?", api_calls="0 1"), rule(budget()), 1)
    assert (found.verdict, found.period) == (Verdict.UNKNOWN, START + HOUR)
    assert found.note == "policy_violations was never reported"


def test_a_budget_asks_for_the_start_of_its_period_and_with_a_forecast_for_its_last_quarter():
    now = at(40)
    assert moments(rule(budget()), History({}, {}), now) == {START, now}
    assert moments(rule(budget(forecast=True)), History({}, {}), now) == {START, at(30), now}


# --- forecast ---


@pytest.mark.parametrize(
    ("used", "pace", "seconds"),
    [
        pytest.param(40, Fraction(1), 60, id="the rest at this pace"),
        pytest.param(40, Fraction(1, 2), 120, id="half the pace takes twice as long"),
        pytest.param(40, Fraction(0), None, id="never without growth"),
        pytest.param(100, Fraction(1), 0, id="at once where it is reached already"),
        pytest.param(130, Fraction(1), 0, id="at once where it is passed already, not in the past"),
        pytest.param(99, Fraction(1, 400 * 86_400), 400 * 86_400, id="in as much as 400 days"),
        pytest.param(99, Fraction(1, 400 * 86_400 + 1), None, id="but not in any number of days"),
        pytest.param(99, Fraction(1, 10**30), None, id="nor beyond the end of time"),
        pytest.param(99, Fraction(3), Fraction(333_334, 1_000_000), id="rounded up to the microsecond"),
    ],
)
def test_when_an_amount_is_reached(used: int, pace: Fraction, seconds: Fraction | None):
    when = exhausted_at(used=used, amount=Fraction(100), pace=pace, now=START)
    assert when == (None if seconds is None else START + MICROSECOND * int(seconds * 1_000_000))


@pytest.mark.parametrize(
    ("drawn", "verdict"),
    [
        pytest.param("0+2x40", "true", id="two a minute reach 100 after 50 minutes"),
        pytest.param("0x29 0+2x10", "false", id="what comes too late does not"),
        pytest.param("0x20 0+3x19", "true", id="the pace is that of the last quarter"),
        pytest.param("0x9 0+3x20 60x9", "false", id="not that of before"),
        pytest.param("20x29 20+3x10", "true", id="three a minute from 30 reach 100 after 63 minutes, but 30 were used"),
        pytest.param("0+1x40", "false", id="one a minute does not reach it"),
    ],
)
def test_a_forecast_is_true_when_the_present_pace_reaches_the_amount(drawn: str, verdict: str):
    assert finding(polled(drawn), rule(budget(forecast=True)), 40).verdict.value == verdict


def test_a_forecast_reaches_the_amount_strictly_before_the_period_ends():
    """After 40 of 60 minutes 40 are used: at three a minute exactly 100 at the end."""
    exactly = "0+0x29 10+3x10"
    assert finding(polled(exactly), rule(budget(forecast=True)), 40).verdict is Verdict.FALSE
    assert finding(polled(exactly), rule(budget(forecast=True, amount=99)), 40).verdict is Verdict.TRUE


def test_a_forecast_is_a_level_below_warning_and_says_at_which_clock_time():
    found = finding(polled("0+2x40"), rule(budget(forecast=True)), 40)
    assert (found.severity, found.stays, found.value) == (Severity.INFO, True, 80) or found.severity is Severity.WARNING
    found = finding(polled("0+2x39"), rule(budget(forecast=True)), 39)
    assert [found.severity, found.value, found.threshold] == [Severity.INFO, 78, 100]
    assert found.note == "at this pace the whole amount is used at 00:50 (UTC)"


def test_a_forecast_says_its_time_where_the_budget_is_kept_and_its_day_unless_it_is_today():
    madrid = "Europe/Madrid"
    assert tell_clock(utc("2026-01-05T20:59"), START, madrid) == "21:59 (Europe/Madrid)"
    assert tell_clock(utc("2026-01-05T23:30"), START, madrid) == "00:30 on 2026-01-06 (Europe/Madrid)"
    assert tell_clock(utc("2026-01-05T23:30"), utc("2026-01-05T23:10"), madrid) == "00:30 (Europe/Madrid)"
    found = finding(polled("0+2x39"), rule(budget(Period.DAY, forecast=True, timezone=madrid, amount=1000)), 39)
    assert found.note == "at this pace the whole amount is used at 09:20 (Europe/Madrid)"


def test_a_level_comes_before_the_forecast():
    found = finding(polled("0+2x40"), rule(budget(forecast=True)), 40)
    assert (found.severity, found.note) == (Severity.WARNING, "")


def test_no_forecast_over_a_reset():
    of = polled("0+2x30 1 2 4 6 8 10 12 14 16")
    assert [finding(of, rule(budget(forecast=True)), minute).verdict.value for minute in (30, 32, 39)] == [
        "true",
        "false",
        "false",
    ]
    assert finding(polled("0+2x30 61 62 64 66 68 70 72 74 76"), rule(budget(forecast=True)), 39).verdict is Verdict.TRUE


def test_a_reset_of_one_member_forbids_the_forecast_of_its_group_only():
    drawn = {"acme/a-1": {"policy_violations": "0+2x34 1 3 5 7 9"}, "acme/b-1": {"policy_violations": "0+2x39"}}
    of = readings({**drawn, "globex/c-1": {"policy_violations": "0+2x39"}})
    seen = {
        key: finding_of(of, budget(forecast=True, amount=per), key) for key, per in (("acme", 190), ("globex", 100))
    }
    assert seen == {"acme": Verdict.FALSE, "globex": Verdict.TRUE}


def finding_of(of: Polled, condition: Budget, source: str) -> Verdict:
    from tests.builders import only

    return finding(of, rule(condition, per="source", where=only(source=source)), 39).verdict


def test_a_correction_does_not_forbid_a_forecast():
    of = polled("100+2x35 168 169 173 176")
    assert [fall.kind.value for fall in of.falls] == ["held", "correction"]
    assert finding(of, rule(budget(forecast=True)), 39).severity is Severity.INFO


def test_the_pace_of_several_sources_is_measured_by_the_readings_of_each():
    """One a minute in one source, and one a minute in another which is read every 8 minutes."""
    of = polled("0+1x39")
    for minute in range(0, 40, 8):
        of.read("globex", at(minute), {"b-1": {Counter.POLICY_VIOLATIONS: minute}})
    found = finding(of, rule(budget(forecast=True), per="all"), 39)
    assert [found.value, found.severity] == [39 + 32, Severity.INFO]
    assert found.note == "at this pace the whole amount is used at 00:53 (UTC)"


# --- the life of a budget's alert ---


def live(of: Polled, judged: Rule, *, since: int = 0) -> list[tuple[float, str, str, str]]:
    """Each change: minute, state, severity, reason. The alert is the newest of its period, open or not."""
    alert: Alert | None = None
    told = []
    for moment in of.moments()[since:]:
        minute = (moment - START) / MINUTE
        for transition in advance(judged, alert, finding(of, judged, minute), moment):
            alert = transition.alert
            if transition.is_change:
                told.append((minute, alert.state.value, alert.severity.value, transition.reason.name))
    return told


def test_each_level_speaks_once_in_a_period_and_the_next_period_re_arms_it():
    of = polled("0 85 90 105 _x56 110 200 300")
    assert live(of, rule(budget())) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (3, "firing", "critical", "ROSE"),
        (60, "resolved", "critical", "PERIOD_ENDED"),
        (61, "firing", "warning", "BECAME_TRUE"),
    ] or live(of, rule(budget()))


def test_a_jump_over_both_levels_is_one_firing_at_the_highest():
    assert live(polled("0 60 130 140"), rule(budget())) == [(2, "firing", "critical", "BECAME_TRUE")]


def test_a_reading_at_the_boundary_is_judged_in_the_period_that_it_closes():
    of = polled("0x58 0 85 90")
    assert live(of, rule(budget())) == [
        (60, "firing", "warning", "BECAME_TRUE"),
        (61, "resolved", "warning", "PERIOD_ENDED"),
    ]


def test_a_new_period_that_is_over_a_level_at_once_resolves_and_fires_anew():
    of = polled("0x57 0 90 90 190")
    assert live(of, rule(budget())) == [
        (59, "firing", "warning", "BECAME_TRUE"),
        (61, "resolved", "warning", "PERIOD_ENDED"),
        (61, "firing", "critical", "BECAME_TRUE"),
    ]


def test_a_forecast_ends_quietly_and_stays_silent_for_its_period():
    of = polled("0+2x30 60x9 60+3x5 75x14 75+2x20")
    assert live(of, rule(budget(forecast=True))) == [
        (1, "firing", "info", "BECAME_TRUE"),
        (34, "resolved", "info", "ENDED"),
    ] or live(of, rule(budget(forecast=True)))
