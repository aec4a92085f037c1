"""The life of an alert: section 3 of the promises, and identity and `for` of section 2."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from alertbot.domain.alerts import (
    Act,
    ActKind,
    Alert,
    Outcome,
    Reason,
    State,
    Transition,
    act_on,
    advance,
    close,
    is_budget,
    labels_of,
    labels_with_severity,
)
from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.rules import (
    Absence,
    Budget,
    Burn,
    Comparison,
    Condition,
    Period,
    Rate,
    Ratio,
    Rule,
    Severity,
    Spike,
)
from tests.builders import (
    START,
    alert_of,
    at,
    levels,
    lived,
    minutes,
    only,
    polled,
    readings,
    rule,
    saw,
    threshold,
)

INFO, WARNING, CRITICAL = Severity
LEVELS = levels(Comparison.ABOVE, {"warning": 5, "critical": 20})
FINDINGS: Mapping[str, Finding] = {
    "T": saw(),
    "C": saw(severity=CRITICAL, value=21, threshold=Fraction(20)),
    "f": saw(Verdict.FALSE, value=1),
    "?": saw(Verdict.UNKNOWN, value=None),
    "s": saw(Verdict.FALSE, value=4, severity=WARNING, stays=True)._replace(severity=WARNING),
}


def live(drawn: str, judged: Rule, alert: Alert | None = None) -> list[Transition]:
    """What findings, one a minute, make of an alert: T true, C true and critical, f false, s stays, ? unknown, _ none."""
    told: list[Transition] = []
    for minute, mark in enumerate(drawn.split()):
        if mark == "_":
            continue
        open_one = alert if alert is not None and alert.state.is_open else None
        for transition in advance(judged, open_one, FINDINGS[mark], at(minute)):
            alert = transition.alert
            told.append(transition)
    return told


def states(drawn: str, judged: Rule) -> list[tuple[float, str]]:
    """Each change of state or severity, with its minute and reason."""
    return [((told.at - START) / minutes(1), told.reason.name) for told in live(drawn, judged) if told.is_change]


@pytest.mark.parametrize(
    ("drawn", "judged", "expected"),
    [
        pytest.param("f T T f", rule(), [(1, "BECAME_TRUE"), (3, "ENDED")], id="without `for` it fires at the first true finding and ends at the first false one"),
        pytest.param("T f T", rule(), [(0, "BECAME_TRUE"), (1, "ENDED"), (2, "BECAME_TRUE")], id="the next firing is a new alert"),
        pytest.param("f f ? f", rule(), [], id="what never was true is no alert"),
        pytest.param("T T T T", rule(hold="2m"), [(0, "WAITS"), (2, "HELD")], id="`for` counts from the first true finding and fires at exactly its end"),
        pytest.param("T _ T", rule(hold="121s"), [(0, "WAITS")], id="and not a second before"),
        pytest.param("T T f T T T", rule(hold="2m"), [(0, "WAITS"), (2, "NOT_HELD"), (3, "WAITS"), (5, "HELD")], id="`for` restarts after any false finding"),
        pytest.param("T ? ? T", rule(hold="2m"), [(0, "WAITS"), (3, "HELD")], id="unknown findings neither fire nor restart `for`"),
        pytest.param("T ? ?", rule(hold="2m"), [(0, "WAITS")], id="`for` never ends at an unknown finding"),
        pytest.param("T _ _ _ T", rule(hold="3m"), [(0, "WAITS"), (4, "HELD")], id="`for` counts the time down, if readings on both sides were true"),
        pytest.param("T _ _ _ f T", rule(hold="3m"), [(0, "WAITS"), (4, "NOT_HELD"), (5, "WAITS")], id="but not if the one after it was false"),
        pytest.param("T s T", rule(hold="2m"), [(0, "WAITS"), (1, "NOT_HELD"), (2, "WAITS")], id="`clear` is for a firing alert only"),
        pytest.param("T T C", rule(hold="2m"), [(0, "WAITS"), (2, "HELD")], id="all levels have one `for` clock"),
        pytest.param("T C T T", rule(hold="3m"), [(0, "WAITS"), (1, "WAITS"), (2, "WAITS"), (3, "HELD")], id="a change of severity while it waits is a change and no restart"),
        pytest.param("T C T", rule(), [(0, "BECAME_TRUE"), (1, "ROSE"), (2, "FELL")], id="levels escalate and de-escalate in place"),
        pytest.param("T s s T f", rule(), [(0, "BECAME_TRUE"), (4, "ENDED")], id="between the threshold and `clear` it goes on firing"),
        pytest.param("C s f", rule(), [(0, "BECAME_TRUE"), (1, "FELL"), (2, "ENDED")], id="there at the mildest level"),
        pytest.param("T ? ? f", rule(), [(0, "BECAME_TRUE"), (3, "ENDED")], id="an unknown finding resolves nothing"),
        pytest.param("T f f f", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT"), (3, "ENDED")], id="`keep_firing` starts at the first false finding and ends at exactly its end"),
        pytest.param("T f _ f", rule(keep_firing="121s"), [(0, "BECAME_TRUE"), (1, "KEPT")], id="and not a second before"),
        pytest.param("T f T f f f", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT"), (2, "TRUE_AGAIN"), (3, "KEPT"), (5, "ENDED")], id="a true finding cancels it, the next false one starts it anew"),
        pytest.param("T f s f f f", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT"), (2, "TRUE_AGAIN"), (3, "KEPT"), (5, "ENDED")], id="as does one that is not yet clear"),
        pytest.param("T f ? ? f", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT"), (4, "ENDED")], id="an unknown finding neither cancels nor ends it"),
        pytest.param("T f ? ?", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT")], id="not even when its time is over"),
        pytest.param("T f C", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT"), (2, "ROSE")], id="a kept alert may rise"),
        pytest.param("C f T", rule(keep_firing="2m"), [(0, "BECAME_TRUE"), (1, "KEPT"), (2, "FELL")], id="or be true at a lower level"),
        pytest.param("T f T f", rule(hold="1m", keep_firing="9m"), [(0, "WAITS"), (1, "NOT_HELD"), (2, "WAITS"), (3, "NOT_HELD")], id="`keep_firing` applies to firing alone"),
        pytest.param("T _ _ _ _ f", rule(), [(0, "BECAME_TRUE"), (5, "ENDED")], id="an alert whose condition ended while nobody looked ends once"),
    ],
)  # fmt: skip
def test_the_life_of_an_alert(drawn: str, judged: Rule, expected: list[tuple[float, str]]):
    assert states(drawn, judged) == expected


def test_a_burst_of_violations_is_one_alert_from_its_first_reading_to_its_last():
    told = list(lived(polled("0 0 3 _ 9 9x20"), rule()))
    assert [(minute, transition.alert.state.value) for minute, transition in told] == [(4, "firing"), (19, "resolved")]


def test_states_follow_the_transitions():
    waits, held, ended = (told for told in live("T T f", rule(hold="1m")) if told.is_change)
    assert [(told.before, told.alert.state) for told in (waits, held, ended)] == [
        (State.NONE, State.PENDING),
        (State.PENDING, State.FIRING),
        (State.FIRING, State.RESOLVED),
    ]
    assert (waits.alert.pending_since, waits.alert.started_at, waits.alert.resolved_at) == (START, None, None)
    assert (held.alert.pending_since, held.alert.started_at, held.alert.resolved_at) == (START, at(1), None)
    assert (ended.alert.started_at, ended.alert.resolved_at) == (at(1), at(2))
    (_, gone) = live("T f", rule(hold="1m"))
    assert (gone.before, gone.alert.state, gone.alert.resolved_at) == (State.PENDING, State.NONE, at(1))


@pytest.mark.parametrize("state", State)
def test_only_a_pending_or_firing_alert_is_open(state: State):
    assert state.is_open is (state in {State.PENDING, State.FIRING})


def test_a_kept_alert_is_firing_and_forgets_since_when_it_is_kept():
    (_, kept, again) = live("T f T", rule(keep_firing="9m"))
    assert (kept.alert.state, kept.alert.keeping_since) == (State.FIRING, at(1))
    assert (again.alert.state, again.alert.keeping_since) == (State.FIRING, None)
    (*_, ended) = live("T f f", rule(keep_firing="1m"))
    assert (ended.alert.state, ended.alert.keeping_since) == (State.RESOLVED, None)


def test_a_kept_alert_ends_when_its_rule_keeps_no_longer():
    (*_, kept) = live("T f", rule(keep_firing="9m"))
    (ended,) = advance(rule(), kept.alert, FINDINGS["f"], at(2))
    assert ended.reason is Reason.ENDED


@pytest.mark.parametrize("mark", FINDINGS)
def test_an_unchanged_alert_is_not_written_again(mark: str):
    alert = live(f"T {mark} {mark}", rule(keep_firing="1h"))[-1].alert
    assert advance(rule(keep_firing="1h"), alert, FINDINGS[mark], at(9)) == ()
    waiting = live("T", rule(hold="1h"))[-1].alert
    assert advance(rule(hold="1h"), waiting, FINDINGS["T"], at(9)) == ()


def test_a_new_value_is_written_but_is_no_change_and_the_peak_is_the_worst():
    alert = alert_of(State.FIRING)
    values: list[tuple[object, object]] = []
    for value in (9, 7):
        (told,) = advance(rule(), alert, saw(value=value, note=f"saw {value}", baseline_at=at(value)), at(1))
        assert (told.is_change, told.reason, told.before) == (False, Reason.STILL_TRUE, State.FIRING)
        alert = told.alert
        values.append((alert.value, alert.peak))
        assert (alert.note, alert.baseline_at, alert.threshold) == (f"saw {value}", at(value), 5)
    assert values == [(9, 9), (7, 9)]
    (told,) = advance(rule(), alert, FINDINGS["s"], at(2))
    assert (told.is_change, told.reason) == (False, Reason.STAYS)


def test_the_peak_of_too_little_is_the_least():
    alert = alert_of(State.FIRING)
    for value in (4, 9):
        (told,) = advance(rule(), alert, saw(value=value, less_is_worse=True), at(1))
        alert = told.alert
    assert (alert.value, alert.peak) == (9, 4)


def test_a_waiting_and_a_kept_alert_show_their_newest_value():
    (told,) = advance(rule(hold="1h"), alert_of(State.PENDING), saw(value=9), at(1))
    assert (told.alert.value, told.reason, told.is_change) == (9, Reason.WAITS, False)
    (told,) = advance(rule(hold="1h"), alert_of(State.PENDING), saw(severity=CRITICAL), at(1))
    assert (told.alert.severity, told.reason, told.is_change) == (CRITICAL, Reason.WAITS, True)
    kept = alert_of(State.FIRING, keeping_since=START)
    (told,) = advance(rule(keep_firing="1h"), kept, saw(Verdict.FALSE, value=2), at(1))
    assert (told.alert.value, told.reason, told.is_change) == (2, Reason.KEPT, False)


def test_a_finding_without_a_value_leaves_the_last_one():
    (ended,) = advance(rule(), alert_of(State.FIRING), saw(Verdict.FALSE, value=None), at(1))
    (kept,) = advance(rule(keep_firing="1m"), alert_of(State.FIRING), saw(Verdict.FALSE, value=None), at(1))
    assert (ended.alert.value, kept.alert.value, kept.alert.state) == (6, 6, State.FIRING)


def test_a_rise_while_it_fires_keeps_its_start():
    told = [transition.alert for transition in live("T C T", rule())]
    assert [(alert.severity, alert.started_at, alert.state) for alert in told] == [
        (WARNING, START, State.FIRING),
        (CRITICAL, START, State.FIRING),
        (WARNING, START, State.FIRING),
    ]


def test_an_alert_fires_at_the_severity_of_that_moment():
    assert live("T C", rule(hold="1m"))[-1].alert.severity is CRITICAL


def test_growth_that_is_missed_waits_and_lasts_though_the_window_before_has_emptied():
    stopped = "0 1 2 2x20 3"
    missed = Absence("policy_violations", minutes(3), WARNING)
    told = [(minute, change.reason) for minute, change in lived(polled(stopped), rule(missed, hold="5m"))]
    assert told == [(5, Reason.WAITS), (10, Reason.HELD), (24, Reason.ENDED)]
    told = [(minute, change.reason) for minute, change in lived(polled(stopped), rule(missed))]
    assert told == [(5, Reason.BECAME_TRUE), (24, Reason.ENDED)]
