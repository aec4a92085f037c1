"""Budgets: calendar periods, levels that speak once in each, and what the present pace leads to."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.alerts import Alert, Reason, State, advance
from alertbot.domain.budgets import exhausted_at, format_clock, period_of
from alertbot.domain.findings import Verdict, moments
from alertbot.domain.history import History
from alertbot.domain.rules import Period, Rule, Severity
from alertbot.domain.snapshots import Counter
from tests.builders import (
    MINUTE,
    START,
    Polled,
    at,
    budget,
    finding,
    findings,
    only,
    patiently,
    polled,
    readings,
    rule,
)

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


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


ZONES = ["UTC", "Europe/Madrid", "America/New_York", "America/Havana", "America/Santiago", "America/St_Johns"]
ZONES += ["Africa/Cairo", "Asia/Beirut", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Auckland", "Pacific/Chatham"]


@patiently
@given(st.integers(0, 6 * 365 * 86_400), st.sampled_from(ZONES), st.sampled_from(Period), st.integers(0, 6))
def test_periods_follow_one_another_without_gap_or_overlap(seconds: int, zone: str, period: Period, first: int):
    now = utc("2024-01-01") + timedelta(seconds=seconds)
    counted = budget(period, timezone=zone, week_starts=first)
    start, end = period_of(now, counted)
    assert start < now <= end
    assert start.tzinfo is end.tzinfo is UTC
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
    assert (found.period, found.window_start) == (START + HOUR, START)


def test_levels_of_a_budget_need_not_be_whole():
    condition = budget(amount=3, levels_at={"warning": "199/2"})
    assert [finding(polled(f"0 {used}"), rule(condition), 1).verdict.value for used in (2, 3)] == ["false", "true"]
    assert finding(polled("0 1"), rule(budget(amount=1)), 1).threshold == 1
    assert finding(polled("0 0"), rule(budget(amount=1)), 1).threshold == Fraction(4, 5)


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
    assert (found.verdict, found.period, found.window_start) == (Verdict.UNKNOWN, START + HOUR, START)
    assert found.series.key == "acme/llm-1"
    assert found.note == "policy_violations was never reported"


def test_a_budget_asks_for_the_start_of_its_period_and_with_a_forecast_for_its_last_quarter():
    now = at(40)
    assert moments(rule(budget()), History({}, {}), now) == {START, now}
    assert moments(rule(budget(forecast=True)), History({}, {}), now) == {START, at(30), now}


def test_a_forecast_asks_for_the_last_sixteenth_too_where_that_is_ten_minutes_at_least():
    asked = {
        minute: moments(rule(budget(Period.DAY, forecast=True)), History({}, {}), at(minute)) for minute in (48, 320)
    }
    assert asked == {48: {START, at(36), at(38), at(48)}, 320: {START, at(240), at(300), at(320)}}


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
        pytest.param("20x29 20+3x10", "false", id="what was there at the first reading is not used"),
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
    found = finding(polled("0+2x39"), rule(budget(forecast=True)), 39)
    assert [found.severity, found.value, found.threshold] == [Severity.INFO, 78, 100]
    assert (found.stays, found.period) == (True, START + HOUR)
    assert found.note == "at this pace the whole amount is used at 00:50 (UTC)"


def test_a_forecast_says_its_time_where_the_budget_is_kept_and_its_day_unless_it_is_today():
    madrid = "Europe/Madrid"
    assert format_clock(utc("2026-01-05T20:59"), START, madrid) == "21:59 (Europe/Madrid)"
    assert format_clock(utc("2026-01-05T23:30"), START, madrid) == "00:30 on 2026-01-06 (Europe/Madrid)"
    assert format_clock(utc("2026-01-05T23:30"), utc("2026-01-05T23:10"), madrid) == "00:30 (Europe/Madrid)"
    found = finding(polled("0+2x39"), rule(budget(Period.DAY, forecast=True, timezone=madrid, amount=1000)), 39)
    assert found.note == "at this pace the whole amount is used at 09:20 (Europe/Madrid)"


STEEP = "0+1x119 120+9x20"  # an hour's pace of before, and a steep one for the last twenty minutes


def test_a_forecast_looks_at_the_recent_pace_as_well_says_the_range_and_fires_on_the_earlier():
    """After 140 minutes: 300 used, 9 a minute in the last ten minutes, 195 in the last 35."""
    found = finding(polled(STEEP), rule(budget(Period.DAY, forecast=True, amount=1200)), 140)
    assert (found.severity, found.value) == (Severity.INFO, 300)
    assert found.note == "at this pace the whole amount is used from 04:00 to 05:01 (UTC)"


def test_a_forecast_fires_also_where_the_slower_pace_lasts_until_the_end():
    found = finding(polled(STEEP), rule(budget(Period.DAY, forecast=True, amount=9000)), 140)
    assert found.severity is Severity.INFO
    assert found.note.startswith(
        "at the faster pace of late the whole amount is used at 18:26 (UTC), at the slower one not"
    )


def test_of_two_paces_the_one_of_before_may_be_the_faster():
    found = finding(polled("0+9x100 900x40"), rule(budget(Period.DAY, forecast=True, amount=1200)), 120)
    assert found.note == (
        "at the faster pace of late the whole amount is used at 03:40 (UTC), at the slower one not in this period"
    )


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
    resets, grows = "0+2x34 1 3 5 7 9", "0+2x39"
    of = readings(
        {
            "acme/a-1": {"policy_violations": resets},
            "acme/b-1": {"policy_violations": grows},
            "globex/c-1": {"policy_violations": grows},
        }
    )
    seen = findings(of, rule(budget(forecast=True, amount=200), per="source"), 39)
    assert [(found.value, found.verdict.value) for found in seen] == [(68 + 9 + 78, "false"), (78, "false")]
    seen = findings(of, rule(budget(forecast=True, amount=100), per="source", where=only(ai_llm="[bc]-1")), 39)
    assert [found.severity for found in seen] == [Severity.INFO, Severity.INFO]


def test_a_correction_does_not_forbid_a_forecast():
    of = polled("100+2x35 168 169 173 176")
    assert [counter_reset.kind.value for counter_reset in of.counter_resets] == ["held", "correction"]
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


def live(of: Polled, *judged: Rule) -> list[tuple[float, str, str, str]]:
    """Each change as minute, state, severity, reason. Of several rules, which are edits of one, each judges one reading.

    The last one judges what is left. The alert is the newest of the period, open or not.
    """
    alert: Alert | None = None
    told = []
    for turn, moment in enumerate(of.moments()):
        minute, now = (moment - START) / MINUTE, judged[min(turn, len(judged) - 1)]
        for transition in advance(now, alert, finding(of, now, minute), moment):
            alert = transition.alert
            if transition.is_change:
                told.append((minute, alert.state.value, alert.severity.value, transition.reason.name))
    return told


def test_each_level_speaks_once_in_a_period_and_the_next_period_re_arms_it():
    assert live(polled("0 85 90 105 _x56 110 200 300"), rule(budget())) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (3, "firing", "critical", "ROSE"),
        (61, "resolved", "critical", "PERIOD_ENDED"),
        (61, "firing", "warning", "BECAME_TRUE"),
        (62, "firing", "critical", "ROSE"),
    ]


def test_a_jump_over_both_levels_is_one_firing_at_the_highest():
    assert live(polled("0 60 130 140"), rule(budget())) == [(2, "firing", "critical", "BECAME_TRUE")]


def test_a_reading_at_the_boundary_is_judged_in_the_period_that_it_closes():
    assert live(polled("0x59 85 90"), rule(budget())) == [
        (60, "firing", "warning", "BECAME_TRUE"),
        (61, "resolved", "warning", "PERIOD_ENDED"),
    ]


def test_a_new_period_that_is_over_a_level_at_once_resolves_and_fires_anew():
    assert live(polled("0x58 90 90 190"), rule(budget())) == [
        (59, "firing", "warning", "BECAME_TRUE"),
        (61, "resolved", "warning", "PERIOD_ENDED"),
        (61, "firing", "critical", "BECAME_TRUE"),
    ]


def test_a_budget_s_alert_ends_when_its_period_is_seen_to_be_over():
    of, judged = polled("0x58 90 90 95"), rule(budget())
    (fired,) = advance(judged, None, finding(of, judged, 60), at(60))
    (ended,) = advance(judged, fired.alert, finding(of, judged, 61), at(61))
    assert (ended.alert.resolved_at, ended.at, ended.reason) == (at(61), at(61), Reason.PERIOD_ENDED)
    assert [ended.alert.period, ended.alert.value] == [at(60), 90]


def test_nothing_is_said_of_a_period_in_which_nothing_was_read():
    assert live(polled("0 85 _x200 86"), rule(budget())) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (202, "resolved", "warning", "PERIOD_ENDED"),
    ]


def test_a_forecast_rises_in_place_when_a_level_is_reached():
    assert live(polled("0+2x51"), rule(budget(forecast=True))) == [
        (1, "firing", "info", "BECAME_TRUE"),
        (40, "firing", "warning", "ROSE"),
        (50, "firing", "critical", "ROSE"),
    ]


def test_a_forecast_ends_quietly_and_stays_silent_for_its_period():
    of, forecast = polled("0+2x30 60x9 60 66 73 79 79x15 81 83"), rule(budget(forecast=True))
    assert finding(of, forecast, 44).severity is Severity.INFO
    assert live(of, forecast) == [
        (1, "firing", "info", "BECAME_TRUE"),
        (33, "resolved", "info", "ENDED"),
        (61, "firing", "info", "BECAME_TRUE"),
    ]


def test_a_level_speaks_after_a_forecast_that_ended():
    assert live(polled("0+2x30 60x9 60 66 73 79 80"), rule(budget(forecast=True)))[-1] == (
        45,
        "firing",
        "warning",
        "BECAME_TRUE",
    )


# --- edits: a level that has spoken does not speak again in its period ---

MORE, LESS = rule(budget(amount=1000)), rule(budget())


def test_a_level_that_is_true_again_after_an_edit_is_silent_and_a_higher_one_speaks():
    assert live(polled("0 85 86 87 101"), LESS, LESS, MORE, LESS) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (2, "resolved", "warning", "ENDED"),
        (4, "firing", "critical", "BECAME_TRUE"),
    ]


HIGHER = {"warning": 80, "critical": 120}


def test_a_level_that_fell_by_an_edit_of_the_levels_has_notified_severity_all_the_same():
    fallen = rule(budget(levels_at=HIGHER))
    assert live(polled("0 85 106 107 108 109"), LESS, LESS, fallen, MORE, LESS) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (3, "resolved", "warning", "ENDED"),
        (4, "firing", "critical", "BECAME_TRUE"),
    ]


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        pytest.param(200, [(2, "resolved", "critical", "ENDED"), (4, "firing", "critical", "BECAME_TRUE")], id="far"),
        pytest.param(
            125,
            [(2, "firing", "warning", "FELL"), (3, "firing", "critical", "ROSE")],
            id="by so little that the first level is passed already",
        ),
    ],
)
def test_a_budget_that_was_raised_speaks_of_each_level_anew(amount: int, told: list[tuple[float, str, str, str]]):
    assert live(polled("0 101 102 150 220 230"), LESS, LESS, rule(budget(amount=amount))) == [
        (1, "firing", "critical", "BECAME_TRUE"),
        *told,
    ]


def test_a_budget_that_was_raised_has_its_forecast_anew():
    looks_ahead, raised = (rule(budget(forecast=True, amount=amount)) for amount in (100, 120))
    drawn = "0+2x30 60x9 60 66 73 79 85 91 97 103"
    assert live(polled(drawn), *[looks_ahead] * 40, raised) == [
        (1, "firing", "info", "BECAME_TRUE"),
        (33, "resolved", "info", "ENDED"),
        (45, "firing", "info", "BECAME_TRUE"),
        (47, "firing", "warning", "ROSE"),
    ]


def test_a_level_that_was_moved_up_speaks_where_it_now_is():
    moved = rule(budget(levels_at=HIGHER))
    assert live(polled("0 101 102 103 121"), LESS, LESS, MORE, moved)[2:] == [
        (3, "firing", "warning", "BECAME_TRUE"),
        (4, "firing", "critical", "ROSE"),
    ]


def test_a_level_that_was_reached_by_a_rise_has_notified_severity():
    assert live(polled("0 85 105 106 107 108"), LESS, LESS, LESS, MORE, LESS) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (2, "firing", "critical", "ROSE"),
        (3, "resolved", "critical", "ENDED"),
    ]


def test_what_has_notified_severity_is_remembered_also_by_an_alert_that_waits():
    """A pending alert which ends before it fires must not make the period forget."""
    held = rule(budget(), hold="5m")
    assert live(polled("0 85 86 101 102 103 104x20"), LESS, LESS, MORE, held, MORE, LESS) == [
        (1, "firing", "warning", "BECAME_TRUE"),
        (2, "resolved", "warning", "ENDED"),
        (3, "pending", "critical", "WAITS"),
        (4, "none", "critical", "NOT_HELD"),
        (5, "firing", "critical", "BECAME_TRUE"),
    ]
    assert live(polled("0 85 86 101 102 103"), LESS, LESS, MORE, held, MORE, rule(budget(levels_at=HIGHER)))[-1] == (
        4,
        "none",
        "critical",
        "NOT_HELD",
    )


def test_an_alert_that_waits_for_a_level_which_has_notified_severity_does_not_fire_for_a_lower_one():
    held, fallen = rule(budget(), hold="2m"), rule(budget(levels_at=HIGHER), hold="2m")
    assert live(polled("0 85 86 101 102 103"), LESS, LESS, MORE, held, fallen)[2:] == [
        (3, "pending", "critical", "WAITS"),
        (4, "none", "critical", "NOT_HELD"),
    ]


def test_an_alert_that_waits_ends_with_its_period():
    held = rule(budget(), hold="5m")
    assert live(polled("0x58 85 86 200 201"), held) == [
        (59, "pending", "warning", "WAITS"),
        (61, "none", "warning", "PERIOD_ENDED"),
        (61, "pending", "critical", "WAITS"),
    ]


@pytest.mark.parametrize(("before", "after"), [(Period.HOUR, Period.DAY), (Period.DAY, Period.HOUR)])
def test_an_edit_of_the_period_neither_refires_nor_forgets(before: Period, after: Period):
    ends = {
        Period.HOUR: [(61, "resolved", "warning", "PERIOD_ENDED"), (61, "firing", "warning", "BECAME_TRUE")],
        Period.DAY: [(61, "firing", "critical", "ROSE")],
    }
    told = live(polled("0 85 86 87 _x56 88 180"), *[rule(budget(before))] * 2, rule(budget(after)))
    assert told == [(1, "firing", "warning", "BECAME_TRUE"), *ends[after]]


walks = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 90)), min_size=1, max_size=25)


@patiently
@given(walks, st.booleans())
def test_whatever_is_spent_when_each_level_speaks_at_most_once_in_a_period(walk: list[tuple[int, int]], forecast: bool):
    of, minute, total = Polled(), 0, 0
    for spent, later in walk:
        of.read("acme", at(minute), {"llm-1": {Counter.POLICY_VIOLATIONS: total}})
        minute, total = minute + later, total + spent
    judged = rule(budget(forecast=forecast))
    notified_severity: dict[datetime, list[Severity]] = {}
    alert: Alert | None = None
    for moment in of.moments():
        found = finding(of, judged, (moment - START) / MINUTE)
        for transition in advance(judged, alert, found, moment):
            alert = transition.alert
            if transition.reason in {Reason.BECAME_TRUE, Reason.ROSE}:
                assert alert.period is not None
                notified_severity.setdefault(alert.period, []).append(alert.severity)
        if found.severity is not None and found.severity is not Severity.INFO:
            assert alert is not None
            assert (alert.state, alert.severity, alert.period) == (State.FIRING, found.severity, found.period)
        elif alert is not None and alert.state is State.FIRING:
            assert (alert.severity, alert.period) == (Severity.INFO, found.period)
    for levels_of_period in notified_severity.values():
        ranks = [severity.rank for severity in levels_of_period]
        assert ranks == sorted(set(ranks))
