"""Four kinds of nothing are told apart: zero growth, an absent configuration, a failed poll, and no poller at all."""

from fractions import Fraction

import pytest

from alertbot.domain.findings import Verdict, check
from alertbot.domain.history import History, Series, SourceState
from alertbot.domain.rules import Comparison, Condition, Severity, Threshold
from tests.builders import (
    absence,
    at,
    finding,
    findings,
    levels,
    minutes,
    only,
    polled,
    rate,
    ratio,
    readings,
    rule,
    threshold,
    verdicts,
)

# --- silence of rules that look for too little ---


@pytest.mark.parametrize("comparison", ["below", "at_most"])
@pytest.mark.parametrize("kind", ["threshold", "rate", "ratio"])
def test_too_little_is_not_told_before_a_whole_window_of_readings_exists(comparison: str, kind: str):
    conditions: dict[str, Condition] = {
        "threshold": Threshold("policy_violations", minutes(3), levels(Comparison(comparison), 5)),
        "rate": rate(5, window="3m", comparison=comparison),
        "ratio": ratio(5, window="3m", comparison=comparison),
    }
    of = polled("0x5", api_calls="0 3 6 9 9 9")
    assert verdicts(of, rule(conditions[kind])).startswith("f - - T" if kind == "ratio" else "- - - T")


def test_too_much_is_told_before_a_whole_window_of_readings_exists():
    assert verdicts(polled("0 6"), rule(threshold(window="3m", above=5))) == "f T"


def test_too_little_is_not_told_of_a_new_configuration_before_it_was_there_for_a_whole_window():
    of = readings({"acme/a-1": {"policy_violations": "0x9"}, "acme/b-1": {"policy_violations": "- - 0x9"}})
    seen = {m: [f.verdict.value for f in findings(of, rule(threshold(window="3m", below=5)), m)] for m in (4, 5)}
    assert seen == {4: ["true", "unknown"], 5: ["true", "true"]}


def test_too_little_is_not_told_of_an_absent_configuration():
    of = polled("0 0 0 - - 0")
    assert verdicts(of, rule(threshold(window="1m", below=5))) == "- T T f f T"
    found = finding(of, rule(threshold(window="1m", below=5, clear=7)), 3)
    assert (found.severity, found.stays, found.value, found.note) == (None, False, 0, "absent from the last reading")


def test_too_little_is_told_of_a_group_as_long_as_one_member_is_there():
    of = readings({"acme/a-1": {"policy_violations": "0 0 - -"}, "acme/b-1": {"policy_violations": "0 0 0 -"}})
    found = [finding(of, rule(threshold(window="1m", below=5), per="source"), minute) for minute in (2, 3)]
    assert [one.verdict for one in found] == [Verdict.TRUE, Verdict.FALSE]


def test_too_little_over_several_sources_waits_for_a_whole_window_of_each():
    of = readings({"acme/a-1": {"api_calls": "0x9"}})
    for minute in range(2, 8):
        of.read("globex", at(minute), {"b-1": {}})
    low = rule(threshold("api_calls", window="3m", below=5), per="all")
    assert [finding(of, low, minute).verdict.value for minute in (4, 5)] == ["unknown", "true"]


def test_too_little_that_is_silent_fires_nothing_and_keeps_nothing():
    found = finding(polled("0 0"), rule(threshold(window="3m", below=5, clear=7)), 1)
    assert (found.verdict, found.severity, found.stays) == (Verdict.UNKNOWN, None, False)
    assert found.note == "no whole window of readings yet"


# --- absence ---


@pytest.mark.parametrize(
    ("drawn", "seen", "stays"),
    [
        pytest.param("0 1 2 2 2 2", "f f f f f T", "T f f f f T", id="at exactly the window without growth after some"),
        pytest.param("0 1 2 2 2 2 2 2 2 2", "f f f f f T T T f f", "T f f f f T T T T T", id="it lasts though the window before empties"),
        pytest.param("0 1 2 2 2 2 3", "f f f f f T f", "T f f f f T f", id="it ends when growth is seen again"),
        pytest.param("5 5 5 5 5 5", "f f f f f f", "T T T T T T", id="where there never was growth none is missed"),
        pytest.param("0 1 2 - - -", "f f f f f T", "T f f f f T", id="a configuration that is absent does not grow"),
    ],
)  # fmt: skip
def test_growth_that_stops_is_missed(drawn: str, seen: str, stays: str):
    of = polled(drawn)
    assert verdicts(of, rule(absence())) == seen
    lasts = ["T" if finding(of, rule(absence()), minute).stays else "f" for minute in range(len(of.moments()))]
    assert " ".join(lasts) == stays


def test_missed_growth_has_its_severity_and_says_what_there_was_before():
    found = finding(polled("0 1 2 2 2 2"), rule(absence()), 5)
    assert [found.value, found.threshold] == [0, 0]
    assert found.severity is Severity.WARNING
    assert found.note == "2 in the window before"
    assert (found.less_is_worse, found.baseline_at, found.window_start) == (True, at(2), at(2))
    assert finding(polled("0 1 2 2 2 3"), rule(absence()), 5).severity is None


def test_missed_growth_tells_of_a_gap():
    assert finding(polled("0 1 2 _ _ _ 2 2 2"), rule(absence()), 8).gap == minutes(4)


def test_missed_growth_tells_a_configuration_that_is_absent_from_one_that_is_idle():
    assert (
        finding(polled("0 1 2 - - -"), rule(absence()), 5).note
        == "2 in the window before; absent from the last reading"
    )
    assert finding(polled("0 1 2 3 4 -"), rule(absence()), 5).note == "2 in the window before"


def source_state(read: float | None, watched: float | None) -> History:
    read_at, since = (None if minute is None else at(minute) for minute in (read, watched))
    return History({"acme": SourceState("acme", minutes(1), None, read_at, since, error="HTTP 500")}, {})


@pytest.mark.parametrize(
    ("read", "watched", "now", "verdict", "value"),
    [
        pytest.param(10, 0, 12.999, "false", 179, id="just before it is not told"),
        pytest.param(10, 0, 13, "true", 180, id="at exactly its time a source is blind"),
        pytest.param(None, 5, 8, "true", 180, id="also one that was never read since it is watched"),
        pytest.param(None, 5, 7, "false", 120, id="which has its time, too"),
        pytest.param(0, 30, 32, "false", 120, id="the time when nobody polled is not held against it"),
        pytest.param(0, 30, 33, "true", 180, id="but from then on it is"),
        pytest.param(None, None, 99, "unknown", None, id="nothing is said of a source that nobody polled yet"),
    ],
)
def test_a_source_without_a_good_reading_is_blind(
    read: float | None, watched: float | None, now: float, verdict: str, value: int | None
):
    (found,) = check(rule(absence(None)), source_state(read, watched), at(now))
    assert (found.verdict.value, found.value) == (verdict, value)
    assert (found.severity is Severity.WARNING, found.stays) == (verdict == "true", verdict == "true")


def test_a_blind_source_is_told_with_what_failed_and_since_when():
    (found,) = check(rule(absence(None)), source_state(10, 0), at(13))
    assert found.series == Series("acme", {"source": "acme"}, (), ("acme",))
    assert (found.threshold, found.baseline_at, found.note) == (
        Fraction(180),
        at(10),
        "totals: HTTP 500 since 00:10 UTC",
    )
    (found,) = check(rule(absence(None)), source_state(None, None), at(13))
    assert (found.series.key, found.note) == ("acme", "never polled yet")


def test_only_the_sources_that_a_rule_selects_are_judged():
    assert check(rule(absence(None), where=only(source="globex")), source_state(0, 0), at(9)) == []
    assert len(check(rule(absence(None), where=only(source="ac*")), source_state(0, 0), at(9))) == 1


# --- failed polls and missing history ---


def test_a_source_whose_poll_failed_is_no_finding():
    of = readings({"globex/b-1": {"api_calls": "0 9 _ _"}, "acme/a-1": {"api_calls": "0 9 9 9"}})
    of.failing = {"globex"}
    failed, read = findings(of, rule(threshold("api_calls", window="1m", below=5)), 3)
    assert (failed.series.key, failed.verdict) == ("globex/b-1", Verdict.UNKNOWN)
    assert (read.series.key, read.verdict) == ("acme/a-1", Verdict.TRUE)
    assert failed.note == "a source could not be read"


def test_where_one_source_of_all_failed_there_is_no_finding():
    of = readings({"acme/a-1": {"api_calls": "0 9 9 9"}, "globex/b-1": {"api_calls": "0 9 _ 9"}})
    everything = rule(threshold("api_calls", above=5), per="all")
    assert finding(of, everything, 1).value == 18
    of.failing = {"globex"}
    assert finding(of, everything, 2).verdict is Verdict.UNKNOWN
    assert finding(of, rule(threshold("api_calls", above=5), per="all", where=only(source="acme")), 2).value == 9


def test_a_failure_after_the_reading_that_is_judged_says_nothing_against_it():
    of = polled("0 9")
    of.failing = {"acme"}
    assert finding(of, rule(), 1).verdict is Verdict.TRUE
    assert finding(of, rule(), 1.001).verdict is Verdict.UNKNOWN


def test_a_source_of_all_that_was_never_read_is_missing_from_it():
    of = polled("0 9")
    of.failing = {"globex"}
    assert finding(of, rule(per="all"), 1).verdict is Verdict.UNKNOWN
    assert finding(of, rule(per="source"), 1).verdict is Verdict.TRUE
    named = [rule(per="all", where=only(source=names, ai_llm="llm-*")) for names in ("ac*", "[ag]*")]
    assert [finding(of, each, 1).verdict for each in named] == [Verdict.TRUE, Verdict.UNKNOWN]
