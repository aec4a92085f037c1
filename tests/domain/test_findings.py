"""What each kind of rule sees: section 2 of the promises; spikes and budgets have files of their own."""

from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest

from alertbot.domain.findings import Verdict, check, moments
from alertbot.domain.history import History
from alertbot.domain.rules import (
    Condition,
    Rate,
    Severity,
)
from tests.builders import (
    START,
    absence,
    at,
    burn,
    finding,
    findings,
    minutes,
    polled,
    rate,
    ratio,
    readings,
    rule,
    spike,
    threshold,
    verdicts,
)

BOTH = {"warning": 5, "critical": 20}


# --- threshold ---


@pytest.mark.parametrize(
    ("compared", "verdicts_at_4_5_6"),
    [
        ({"above": 5}, "f f T"),
        ({"at_least": 5}, "f T T"),
        ({"below": 5}, "T f f"),
        ({"at_most": 5}, "T T f"),
        ({"above": "11/2"}, "f f T"),
        ({"at_least": "11/2"}, "f f T"),
        ({"at_most": "11/2"}, "T T f"),
    ],
)
def test_a_threshold_is_compared_as_its_word_says(compared: dict[str, Any], verdicts_at_4_5_6: str):
    seen = [verdicts(polled(f"0 0 {grown}"), rule(threshold(window="2m", **compared)))[-1] for grown in (4, 5, 6)]
    assert " ".join(seen) == verdicts_at_4_5_6


@pytest.mark.parametrize(
    ("grown", "severity", "limit"),
    [(5, None, 5), (6, "warning", 5), (20, "warning", 5), (21, "critical", 20), (2**70, "critical", 20)],
)
def test_the_severity_is_the_highest_level_that_is_true(grown: int, severity: str | None, limit: int):
    found = finding(polled(f"0 {grown}"), rule(threshold(above=BOTH)), 1)
    assert [found.value, found.threshold] == [grown, limit]
    assert found.severity == severity


def test_a_single_threshold_is_a_warning_from_its_level():
    assert finding(polled("0 6"), rule(threshold(above=5)), 1).severity is Severity.WARNING


@pytest.mark.parametrize(
    ("grown", "severity"),
    [(11, None), (10, "warning"), (9, "warning"), (3, "warning"), (2, "critical"), (0, "critical")],
)
def test_levels_downwards_are_worse_the_less_there_is(grown: int, severity: str | None):
    found = finding(polled(f"0 0 {grown}"), rule(threshold(window="2m", at_most={"warning": 10, "critical": 2})), 2)
    assert (found.severity, found.less_is_worse) == (severity, True)
    assert not finding(polled("0 9"), rule(threshold(above=5)), 1).less_is_worse


def test_a_burst_leaves_the_window_when_it_is_older_than_the_window():
    of = polled("0 0 3 _ 9 9x15")
    assert verdicts(of, rule(threshold(above=5))) == "f f f " + "T " * 15 + "f f"
    assert [finding(of, rule(), minute).value for minute in (4, 18, 19)] == [9, 6, 0]


@pytest.mark.parametrize(
    ("compared", "grown", "stays", "severity"),
    [
        ({"above": 100, "clear": 80}, 101, True, "warning"),
        ({"above": 100, "clear": 80}, 100, True, "warning"),
        ({"above": 100, "clear": 80}, 80, True, "warning"),
        ({"above": 100, "clear": 80}, 79, False, None),
        ({"below": 10, "clear": 12}, 12, True, "warning"),
        ({"below": 10, "clear": 12}, 13, False, None),
        ({"above": {"warning": 100, "critical": 200}, "clear": 80}, 150, True, "warning"),
        ({"above": {"warning": 100, "critical": 200}, "clear": 80}, 90, True, "warning"),
        ({"above": 100}, 100, False, None),
        ({"above": 100}, 101, True, "warning"),
    ],
)
def test_at_exactly_clear_a_firing_alert_still_fires(
    compared: dict[str, Any], grown: int, stays: bool, severity: str | None
):
    found = finding(polled(f"0 0 {grown}"), rule(threshold(window="2m", **compared)), 2)
    assert (found.stays, found.severity) == (stays, severity)


@pytest.mark.parametrize(
    ("condition", "window_start"),
    [
        (threshold(window="15m", above=5), at(-7)),
        (rate(5, window="2m"), at(6)),
        (ratio(5, window="2m"), at(6)),
        (burn(), at(3)),
        (absence(window="3m"), at(5)),
        (spike(window="1m", baseline="5m"), at(7)),
    ],
)
def test_a_counter_that_was_never_said_is_no_finding(condition: Condition, window_start: datetime):
    found = finding(polled("? ? ? ? ? ? ? ? ?", api_calls="0+1x8"), rule(condition), 8)
    assert (found.verdict, found.value, found.note) == (Verdict.UNKNOWN, None, "policy_violations was never reported")
    assert (found.series.key, found.window_start) == ("acme/llm-1", window_start)
    assert found.baseline_at is not None


def test_a_ratio_without_its_divisor_is_no_finding():
    found = finding(polled("0 5"), rule(ratio(1)), 1)
    assert (found.verdict, found.note) == (Verdict.UNKNOWN, "api_calls was never reported")


def test_a_finding_says_what_it_was_measured_from_and_across_which_gap():
    of = polled("5 _x57 9")
    found = finding(of, rule(), 58)
    assert (found.baseline_at, found.window_start, found.gap) == (START, at(43), minutes(58))
    assert found.note == "seen across a gap of 58 min"
    assert finding(polled("0 6"), rule(), 1).note == ""


def test_a_finding_shows_the_counter_resets_inside_its_window_and_only_those():
    of = polled("5 8 1 2 3", api_calls="9 9 9 9 9 5 4", tokens_in="5 1 1")
    shown = finding(of, rule(threshold(window="2m", above=5)), 4).counter_resets
    assert [(counter_reset.kind.value, counter_reset.at) for counter_reset in shown] == [("reset", at(3))]
    assert [f.kind.value for f in finding(of, rule(threshold(window="9m", above=5)), 4).counter_resets] == [
        "held",
        "reset",
    ]
    assert finding(of, rule(threshold(window="1m", above=5)), 4).counter_resets == ()
    of_calls = finding(of, rule(ratio(1, window="9m")), 6).counter_resets
    assert [(f.counter.value, f.at) for f in of_calls] == [
        ("policy_violations", at(2)),
        ("policy_violations", at(3)),
        ("api_calls", at(5)),
        ("api_calls", at(6)),
    ]


def test_the_counter_resets_of_a_group_are_those_of_its_members_in_order():
    of = readings({"acme/a-1": {"policy_blocks": "9 9 5 9"}, "acme/b-1": {"policy_blocks": "9 5 9 9"}})
    shown = finding(of, rule(threshold("policy_blocks", above=5), per="source"), 3).counter_resets
    assert [(counter_reset.member, counter_reset.at) for counter_reset in shown] == [
        (2, at(1)),
        (1, at(2)),
        (2, at(2)),
        (1, at(3)),
    ]
    alone = findings(of, rule(threshold("policy_blocks", above=5)), 3)
    assert [{counter_reset.member for counter_reset in found.counter_resets} for found in alone] == [{1}, {2}]


# --- rate ---


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        pytest.param(rate(5, window="2m", unit="1m"), Fraction(7, 2), id="scaled to a minute"),
        pytest.param(rate(5, window="2m", unit="1h"), 210, id="scaled to an hour"),
        pytest.param(rate(5, window="2m", unit="1d"), 5040, id="scaled to a day"),
        pytest.param(rate(5, window="3h", unit="1m"), Fraction(7, 180), id="divided by the window also when history is shorter"),
    ],
)  # fmt: skip
def test_a_rate_is_the_increase_divided_by_the_window(condition: Rate, value: Fraction | int):
    assert finding(polled("0 3 7"), rule(condition), 2).value == value


def test_a_rate_is_exact_at_its_threshold():
    assert verdicts(polled("0 0 10"), rule(rate(5))) == "f f f"
    assert verdicts(polled("0 0 11"), rule(rate(5))) == "f f T"
    assert verdicts(polled("0 0 10"), rule(rate(5, comparison="at_least"))) == "f f T"


# --- ratio ---


@pytest.mark.parametrize(
    ("violations", "calls", "min_of", "verdict"),
    [
        pytest.param(2, 100, 1, "false", id="exactly the threshold is not above it"),
        pytest.param(3, 100, 1, "true", id="one more is"),
        pytest.param(1, 1, 10, "false", id="one of one call is not an outage"),
        pytest.param(10, 10, 10, "true", id="a divisor of exactly min_of counts"),
        pytest.param(9, 9, 10, "false", id="one below min_of is a false finding"),
        pytest.param(5, 0, 1, "false", id="nothing is divided by nothing"),
        pytest.param(0, 100, 1, "false", id="none of many is none"),
    ],
)
def test_a_ratio(violations: int, calls: int, min_of: int, verdict: str):
    of = polled(f"0 {violations}", api_calls=f"0 {calls}")
    assert finding(of, rule(ratio("2/100", min_of=min_of)), 1).verdict.value == verdict


def test_a_ratio_says_of_how_many():
    found = finding(polled("0 3", api_calls="0 40"), rule(ratio("1/100")), 1)
    assert (found.value, found.note) == (Fraction(3, 40), "3 of 40 api_calls")
    few = finding(polled("0 1", api_calls="0 1"), rule(ratio("1/100", min_of=10)), 1)
    assert (few.value, few.stays, few.threshold) == (None, False, Fraction(1, 100))
    assert few.note == "1 of 1 api_calls: fewer than min_of 10"
    none = finding(polled("0 0", api_calls="0 0"), rule(ratio("1/100", min_of=0)), 1)
    assert none.note == "0 of 0 api_calls: fewer than min_of 1"


@pytest.mark.parametrize(("min_of", "verdict"), [(1, "true"), (99, "false")])
@pytest.mark.parametrize("comparison", ["at_least", "at_most"])
def test_a_ratio_says_what_it_was_measured_from(min_of: int, verdict: str, comparison: str):
    of = polled("0 _ _ _ 0 5", api_calls="0 _ _ _ 0 5")
    found = finding(of, rule(ratio(1, window="3m", min_of=min_of, comparison=comparison)), 5)
    assert (found.verdict.value, found.series.key) == (verdict, "acme/llm-1")
    assert (found.baseline_at, found.window_start, found.gap) == (START, at(2), minutes(4))
    assert found.less_is_worse is (comparison == "at_most")


def test_a_ratio_of_an_absent_configuration_is_not_too_little():
    of = polled("0 0 0 -", api_calls="0 5 9 -")
    found = finding(of, rule(ratio("1/2", window="2m", comparison="below")), 3)
    assert (found.verdict, found.value, found.note) == (Verdict.FALSE, 0, "absent from the last reading")


# --- burn ---


@pytest.mark.parametrize(
    ("drawn", "value", "severity"),
    [
        pytest.param("0+3x9", 3, "warning", id="both windows exceed"),
        pytest.param("0+2x9", 2, None, id="at exactly the factor none exceeds"),
        pytest.param("0 0 0 0 0 0 0 0 0 9", Fraction(9, 5), None, id="a short burst does not fill the long window"),
        pytest.param("0 0 0 0 9 18 27 27 27 27", 0, None, id="what is over does not burn in the short window"),
        pytest.param("0+5x9", 5, "critical", id="the higher factor is the higher level"),
    ],
)
def test_a_budget_burns_when_all_windows_exceed_the_factor(drawn: str, value: Fraction, severity: str | None):
    found = finding(polled(drawn), rule(burn({"warning": 2, "critical": 4})), 9)
    assert (found.value, found.severity) == (value, severity)


def test_a_burn_says_how_fast_it_burns_in_each_window():
    found = finding(polled("0+3x9"), rule(burn()), 9)
    assert found.note == "burn rate over 2 min: 3×, 5 min: 3×"
    assert (found.window_start, found.baseline_at, found.series.key) == (at(4), at(7), "acme/llm-1")


def test_a_budget_may_burn_slower_than_it_should():
    assert finding(polled("0x3 0+1x6"), rule(burn("1/2")), 9).severity is Severity.WARNING
    assert finding(polled("0x3 0+1x6"), rule(burn("1/2")), 9).threshold == Fraction(1, 2)


# --- the past that is looked at ---


@pytest.mark.parametrize(
    ("condition", "ago"),
    [
        (threshold(window="15m", above=5), {0, 15}),
        (rate(5, window="7m"), {0, 7}),
        (ratio(5, window="7m"), {0, 7}),
        (burn(), {0, 2, 5}),
        (absence(window="4m"), {0, 4, 8}),
        (absence(None), set()),
    ],
)
def test_a_rule_asks_just_for_the_past_that_it_looks_at(condition: Condition, ago: set[int]):
    assert moments(rule(condition), History({}, {}), at(60)) == {at(60 - minute) for minute in ago}


def test_a_rule_can_be_judged_for_some_members_only():
    of = readings({"acme/a-1": {"policy_violations": "0 9"}, "acme/b-1": {"policy_violations": "0 9"}})
    history = of.history(at(1), at(1), at(-14))
    found = check(rule(), history, at(1), members=[of.members[2]])
    assert [one.series.key for one in found] == ["acme/b-1"]
