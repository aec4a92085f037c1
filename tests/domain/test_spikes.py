"""Spikes: what grew, against what grew in windows of the same length before."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from alertbot.domain.findings import Verdict, moments
from alertbot.domain.history import History
from alertbot.domain.rules import Severity, Spike
from alertbot.domain.snapshots import Counter
from tests.builders import START, at, finding, findings, polled, readings, rule, spike, threshold, verdicts

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("drawn", "condition", "verdict", "limit"),
    [
        pytest.param("0 2 4 6 8 14", spike(baseline="4m"), "true", 6, id="at exactly the factor times the mean"),
        pytest.param("0 2 4 6 8 13", spike(baseline="4m"), "false", 6, id="just below it"),
        pytest.param("0 0 0 0 8 14", spike(baseline="4m"), "true", 6, id="the mean, not the single windows"),
        pytest.param("0 1 2 3 5 9", spike(baseline="4m"), "true", Fraction(15, 4), id="the mean need not be whole"),
        pytest.param("0 1 2 3 4 13", spike(baseline="4m", at_least=10), "false", 10, id="less than at_least is no spike"),
        pytest.param("0 1 2 3 4 14", spike(baseline="4m", at_least=10), "true", 10, id="exactly at_least is one"),
        pytest.param("0 0 0 0 0 1", spike(baseline="4m"), "true", 1, id="after nothing anything is a spike"),
        pytest.param("0 0 0 0 0 0", spike(baseline="4m", at_least=0), "false", 1, id="but nothing after nothing is none"),
        pytest.param("100 102 104 106 108 114", spike(baseline="4m"), "true", 6, id="what was there at first is no growth"),
    ],
)  # fmt: skip
def test_a_spike(drawn: str, condition: Spike, verdict: str, limit: Fraction):
    found = finding(polled(drawn), rule(condition), 5)
    assert [found.verdict.value, found.threshold] == [verdict, limit]


def test_a_spike_has_levels_of_factors():
    condition = spike({"warning": 3, "critical": 5}, baseline="4m")
    seen = [finding(polled(f"0 2 4 6 8 {8 + grown}"), rule(condition), 5) for grown in (5, 6, 9, 10)]
    assert [found.severity for found in seen] == [None, Severity.WARNING, Severity.WARNING, Severity.CRITICAL]
    assert seen[0].note == "mean of 4 earlier windows: 2"


def test_all_levels_of_a_spike_are_at_least_its_least_increase():
    condition = spike({"warning": 3, "critical": 5}, baseline="4m", at_least=20)
    seen = [finding(polled(f"0 2 4 6 8 {8 + grown}"), rule(condition), 5).severity for grown in (19, 20)]
    assert seen == [None, Severity.CRITICAL]


def test_the_windows_end_where_the_present_one_begins():
    """Growth inside the present window does not raise what it is held against."""
    of = polled("0 1 2 3 4 5 6 7 8 18 28")
    found = finding(of, rule(spike(window="2m", baseline="8m")), 10)
    assert [found.value, found.threshold] == [20, 6]


def test_only_whole_windows_that_exist_are_counted():
    """Of eight windows three lie wholly after the first reading."""
    of = polled("7 9 11 13 19")
    found = finding(of, rule(spike(baseline="8m")), 4)
    assert [found.value, found.threshold, found.verdict] == [6, 6, Verdict.TRUE]
    assert found.note == "mean of 3 earlier windows: 2"


@pytest.mark.parametrize(
    ("baseline", "seen"),
    [
        pytest.param("8m", "- - - T T", id="of eight windows two have to exist"),
        pytest.param("9m", "- - - - T", id="of nine three"),
        pytest.param("4m", "- - T T T", id="of four one"),
        pytest.param("1m", "- - T T T", id="the only one"),
    ],
)
def test_a_spike_is_silent_until_a_quarter_of_its_windows_exists(baseline: str, seen: str):
    assert verdicts(polled("0 1 11 111 1111"), rule(spike(baseline=baseline))) == seen


def test_a_silent_spike_says_why():
    found = finding(polled("0 1 11"), rule(spike(baseline="8m")), 2)
    assert (found.verdict, found.severity, found.series.key) == (Verdict.UNKNOWN, None, "acme/llm-1")
    assert (found.baseline_at, found.window_start) == (at(1), at(1))
    assert found.note == "1 of 8 earlier windows: fewer than a quarter"
    early = finding(polled("0 1 11", interval=timedelta(seconds=1)), rule(spike(baseline="4m")), 1 / 60)
    assert early.note == "0 of 4 earlier windows: fewer than a quarter"


def test_a_new_configuration_has_windows_since_it_was_first_seen():
    of = readings(
        {"acme/a-1": {"policy_violations": "0+1x9"}, "acme/b-1": {"policy_violations": "- - - - 50 51 52 53 56 57"}}
    )
    seen = [findings(of, rule(spike(baseline="4m")), minute)[1] for minute in (4, 5, 6, 8)]
    assert [found.verdict.value for found in seen] == ["unknown", "unknown", "false", "true"]
    assert [found.note for found in seen[2:]] == ["mean of 1 earlier window: 1", "mean of 3 earlier windows: 1"]


def test_a_group_has_windows_since_all_of_its_sources_were_read():
    of = polled("0+1x9")
    for minute in range(5, 10):
        of.read("globex", at(minute), {"b-1": {Counter.POLICY_VIOLATIONS: minute}})
    everything = rule(spike(baseline="4m"), per="all")
    assert [finding(of, everything, minute).verdict.value for minute in (6, 7)] == ["unknown", "false"]
    assert finding(of, everything, 9).note == "mean of 3 earlier windows: 2"


def test_a_firing_spike_clears_by_its_own_factor_and_when_nothing_grows():
    condition = spike(3, baseline="4m", clear=2)
    stays = [finding(polled(f"0 2 4 6 8 {8 + grown}"), rule(condition), 5).stays for grown in (3, 4)]
    assert stays == [False, True]
    for at_least in (1, 5):
        condition = spike(3, baseline="4m", clear=2, at_least=at_least)
        quiet = [finding(polled(f"0 0 0 0 0 {grown}"), rule(condition), 5).stays for grown in (0, 1)]
        assert quiet == [False, True]


def test_a_window_in_which_the_counter_was_unknown_does_not_exist():
    unknown = finding(polled("? ? ? ? ? 0 9", api_calls="0+1x6"), rule(spike(baseline="4m")), 6)
    assert unknown.verdict is Verdict.TRUE
    unknown = finding(polled("? ? ? ? ? 0 9", api_calls="0+1x6"), rule(spike(window="2m", baseline="4m")), 6)
    assert (unknown.verdict, unknown.note) == (Verdict.UNKNOWN, "0 of 2 earlier windows: fewer than a quarter")


# --- the same hour of days before ---


def daily(*grown: int, hours: int = 24) -> str:
    """Hourly readings in which the last hour of each day has grown by so much, and every other by one."""
    total, drawn = 0, ["0"]
    for amount in grown:
        for hour in range(hours):
            total += amount if hour == hours - 1 else 1
            drawn.append(str(total))
    return " ".join(drawn)


@pytest.mark.parametrize(
    ("grown", "days", "verdict", "limit"),
    [
        pytest.param((4, 6, 5, 15), 3, "true", 15, id="at the factor times the mean of the same hours"),
        pytest.param((4, 6, 5, 14), 3, "false", 15, id="just below it"),
        pytest.param((90, 4, 6, 15), 2, "true", 15, id="older days do not count"),
        pytest.param((5, 15), 4, "true", 15, id="of those that exist: a quarter is enough"),
        pytest.param((5, 15), 5, "unknown", None, id="fewer than a quarter say nothing"),
        pytest.param((5, 6, 15), 7, "false", Fraction(33, 2), id="more of them count, too"),
    ],
)
def test_a_spike_against_the_same_hour(grown: tuple[int, ...], days: int, verdict: str, limit: Fraction | None):
    of = polled(daily(*grown), interval=HOUR)
    found = finding(of, rule(spike(window="1h", same_hour=days)), len(grown) * 24 * 60)
    assert [found.verdict.value, found.threshold] == [verdict, limit]


def test_a_window_of_a_day_before_has_to_lie_wholly_after_the_first_reading():
    """The first day's window begins with the first reading if it is 24 hours long, but not if it is 25."""
    of = polled(daily(5, 90), interval=HOUR)
    seen = [finding(of, rule(spike(window=window, same_hour=1)), 48 * 60).verdict for window in ("24h", "25h")]
    assert seen == [Verdict.TRUE, Verdict.UNKNOWN]


def test_a_day_when_nobody_looked_is_not_a_day_without_growth():
    drawn = daily(5, 5, 15).split()
    drawn[24] = "_"
    of = polled(" ".join(drawn), interval=HOUR)
    found = finding(of, rule(spike(window="1h", same_hour=2)), 72 * 60)
    assert found.note == "mean of 1 earlier window: 5"


def test_a_day_when_the_counter_was_unknown_is_not_a_day_without_growth():
    drawn = daily(5, 5, 15).split()
    drawn[:25] = "?" * 25
    of = polled(" ".join(drawn), interval=HOUR, api_calls="0+1x72")
    found = finding(of, rule(spike(window="1h", same_hour=2)), 72 * 60)
    assert found.note == "mean of 1 earlier window: 5"


def test_a_group_s_windows_begin_where_a_source_was_first_read_though_it_listed_nothing_then():
    of = polled("0+1x9")
    for minute in range(5, 10):
        of.read("globex", at(minute), {} if minute < 7 else {"b-1": {Counter.POLICY_VIOLATIONS: minute}})
    assert finding(of, rule(spike(baseline="6m"), per="all"), 9).note.startswith("mean of 3 earlier windows")


def test_a_spike_asks_for_the_windows_that_its_series_have():
    of = readings({"acme/a-1": {"policy_violations": "0+1x9"}, "acme/b-1": {"policy_violations": "- - - - 0+1x5"}})
    asked = moments(rule(spike(baseline="6m")), of.history(at(9)), at(9))
    assert asked == {at(9), at(8), at(8 - 6), at(8 - 4)}
    assert moments(rule(spike(baseline="6m")), History({}, {}), at(9)) == {at(9), at(8)}
    days = moments(rule(spike(window="1h", same_hour=2)), History({}, {}), START)
    assert days == {START - ago for ago in (0 * DAY, HOUR, DAY, DAY + HOUR, 2 * DAY, 2 * DAY + HOUR)}


@pytest.mark.parametrize(
    ("now", "earlier"),
    [
        pytest.param("2026-03-30T07:30", ["2026-03-29T07:30", "2026-03-28T08:30"], id="after the clocks went forward"),
        pytest.param("2026-10-26T08:30", ["2026-10-25T08:30", "2026-10-24T07:30"], id="after they went back"),
        pytest.param(
            "2026-03-30T00:30", ["2026-03-29T01:30", "2026-03-28T01:30"], id="half past two, which one day skips"
        ),
        pytest.param(
            "2026-10-26T01:30", ["2026-10-25T00:30", "2026-10-24T00:30"], id="half past two, which comes twice"
        ),
    ],
)
def test_the_same_hour_is_the_one_on_the_clock_of_the_rule(now: str, earlier: list[str]):
    asked = moments(rule(spike(window="10m", same_hour=2, timezone="Europe/Madrid")), History({}, {}), utc(now))
    assert {moment for moment in asked if moment.minute == 30} == {utc(now), *map(utc, earlier)}


def test_a_spike_is_told_with_its_gap_and_its_counter_resets():
    of = polled("0 2 4 6 8 4 5 _ _ 90")
    found = finding(of, rule(spike(baseline="4m", window="2m")), 9)
    assert found.note.endswith("; seen across a gap of 3 min")
    assert (
        finding(of, rule(threshold(window="2m", above=5)), 6).counter_resets
        == finding(of, rule(spike(baseline="4m", window="2m")), 6).counter_resets
    )
    assert len(finding(of, rule(spike(baseline="4m", window="2m")), 6).counter_resets) == 2
