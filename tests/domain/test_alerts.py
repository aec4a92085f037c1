"""The life of an alert: section 3 of the promises, and identity and `for` of section 2."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from alertbot.domain.alerts import (
    Action,
    ActionType,
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
    Comparison,
    Period,
    Rule,
    Severity,
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
    "s": saw(Verdict.FALSE, value=4, stays=True)._replace(severity=WARNING),
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
        assert told.finding is not None
        alert = told.alert
        values.append((alert.value, alert.peak))
        assert [alert.note, alert.baseline_at, alert.threshold] == [f"saw {value}", at(value), 5]
    assert values == [(9, 9), (7, 9)]
    (told,) = advance(rule(), alert, FINDINGS["s"], at(2))
    assert (told.is_change, told.reason) == (False, Reason.STAYS)


def test_the_peak_of_too_little_is_the_least():
    alert = alert_of(State.FIRING)
    for value in (4, 9):
        (told,) = advance(rule(), alert, saw(value=value, less_is_worse=True), at(1))
        alert = told.alert
    assert [alert.value, alert.peak] == [9, 4]


def test_a_waiting_and_a_kept_alert_show_their_newest_value():
    (told,) = advance(rule(hold="1h"), alert_of(State.PENDING), saw(value=9), at(1))
    assert [told.alert.value, told.reason, told.is_change] == [9, Reason.WAITS, False]
    assert (told.before, told.at, told.finding) == (State.PENDING, at(1), saw(value=9))
    (told,) = advance(rule(hold="1h"), alert_of(State.PENDING), saw(severity=CRITICAL), at(1))
    assert (told.alert.severity, told.reason, told.is_change) == (CRITICAL, Reason.WAITS, True)
    kept = alert_of(State.FIRING, keeping_since=START)
    (told,) = advance(rule(keep_firing="1h"), kept, saw(Verdict.FALSE, value=2), at(1))
    assert [told.alert.value, told.reason, told.is_change] == [2, Reason.KEPT, False]
    assert (told.before, told.at) == (State.FIRING, at(1))


def test_a_finding_without_a_value_leaves_the_last_one():
    (ended,) = advance(rule(), alert_of(State.FIRING), saw(Verdict.FALSE, value=None), at(1))
    (kept,) = advance(rule(keep_firing="1m"), alert_of(State.FIRING), saw(Verdict.FALSE, value=None), at(1))
    assert [ended.alert.value, kept.alert.value, kept.alert.state] == [6, 6, State.FIRING]


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


# --- what an alert is called, and what it is known by ---


def test_an_alert_carries_the_labels_of_its_series_and_its_rule_and_its_rule_s_name():
    judged = rule(labels={"team": "support", "source": "theirs"})
    assert labels_of(judged, saw()) == {"source": "theirs", "ai_llm": "llm-1", "team": "support", "rule": "rule"}
    alert = alert_of(State.FIRING, judged)
    assert alert.labels == labels_of(judged, saw())
    assert labels_with_severity(alert) == {**alert.labels, "severity": "warning"}


def test_a_built_in_alert_says_that_it_is_one():
    assert labels_of(replace(rule(), builtin=True), saw())["builtin"] == "true"


def test_a_new_alert_says_what_was_compared():
    judged = rule(threshold(window="15m", at_least=5))
    alert = alert_of(State.FIRING, judged)
    assert (alert.rule, alert.identity, alert.series, alert.kind) == (
        "rule",
        judged.identity,
        "acme/llm-1",
        "threshold",
    )
    assert (alert.unit, alert.comparison, alert.over) == ("violations", "at least", "in 15 min")
    assert [alert.value, alert.peak, alert.threshold, alert.number] == [6, 6, 5, 0]


EDITS = {
    "its thresholds": rule(threshold(above=3)),
    "its window": rule(threshold(window="1h", above=5)),
    "its comparison": rule(threshold(at_least=5)),
    "its labels": rule(labels={"team": "support"}),
    "its description": replace(rule(), description="New words."),
    "its selection": rule(where=only(ai_llm="llm-*")),
    "its `for`": rule(hold="1h"),
    "its `keep_firing`": rule(keep_firing="1h"),
}


@pytest.mark.parametrize("edited", EDITS.values(), ids=EDITS.keys())
def test_an_edit_neither_refires_nor_orphans_an_alert(edited: Rule):
    alert = alert_of(State.FIRING)
    assert edited.identity == alert.identity
    for told in advance(edited, alert, saw(value=9), at(1)):
        assert (told.is_change, told.alert.state, told.alert.started_at) == (False, State.FIRING, START)


def test_after_an_edit_an_alert_is_told_in_the_rule_s_new_words():
    (told,) = advance(rule(threshold(window="1h", at_least=5)), alert_of(State.FIRING), saw(value=9), at(1))
    assert (told.alert.comparison, told.alert.over) == ("at least", "in 1 h")
    (told,) = advance(rule(threshold(window="1h", above=5)), alert_of(State.FIRING), saw(value=9), at(1))
    assert (told.alert.comparison, told.alert.over) == ("above", "in 1 h")


def test_metric_per_and_type_make_an_alert_s_identity():
    found = {
        rule().identity,
        rule(threshold("policy_blocks", above=5)).identity,
        rule(per="source").identity,
        rule(Absence("policy_violations", minutes(15), WARNING)).identity,
        rule(Absence(None, minutes(15), WARNING)).identity,
    }
    assert len(found) == 5
    assert rule().identity == "threshold/policy_violations/ai_llm"


@pytest.mark.parametrize("reason", [Reason.RULE_CHANGED, Reason.RULE_REMOVED, Reason.DESELECTED])
def test_an_alert_whose_rule_is_gone_is_closed_with_the_reason(reason: Reason):
    told = close(alert_of(State.FIRING, keeping_since=START), at(1), reason)
    assert (told.before, told.alert.state, told.alert.resolved_at) == (State.FIRING, State.RESOLVED, at(1))
    assert (told.reason, told.at, told.is_change, told.alert.keeping_since) == (reason, at(1), True, None)
    told = close(alert_of(State.PENDING), at(1), reason)
    assert (told.before, told.alert.state, told.alert.resolved_at) == (State.PENDING, State.NONE, at(1))


def test_reasons_of_closing_read_as_promised():
    assert (Reason.RULE_CHANGED.value, Reason.RULE_REMOVED.value) == ("rule changed", "rule removed")


def test_only_budgets_remember_a_period():
    spent = Budget("tokens", Fraction(9), Period.DAY, LEVELS)
    assert [is_budget(rule(condition)) for condition in (spent, threshold(above=5))] == [True, False]
    assert (alert_of(State.FIRING).period, alert_of(State.FIRING).notified_severity) == (None, None)


# --- what people do ---


def act(kind: ActionType, *, text: str = "", until: float | None = None, who: str = "U1") -> Action:
    return Action(kind, who, at(1), "click-1", text, None if until is None else at(until))


ACTS: Mapping[ActionType, tuple[Action, dict[str, Any]]] = {
    ActionType.ACKNOWLEDGE: (act(ActionType.ACKNOWLEDGE), {"acknowledged_by": "U1", "acknowledged_at": at(1)}),
    ActionType.SNOOZE: (act(ActionType.SNOOZE, until=30), {"snoozed_until": at(30)}),
    ActionType.ASSIGN: (act(ActionType.ASSIGN, text="U2"), {"assigned_to": "U2"}),
}


@pytest.mark.parametrize("kind", ACTS)
def test_an_act_is_done_once_however_often_it_is_delivered(kind: ActionType):
    done, changes = ACTS[kind]
    alert = alert_of(State.FIRING)
    changed, outcome = act_on(alert, done)
    assert (changed, outcome) == (replace(alert, **changes), Outcome.DONE)
    assert act_on(changed, done) == (changed, Outcome.ALREADY)


def test_the_first_to_acknowledge_an_alert_has_it():
    taken, _ = act_on(alert_of(State.FIRING), act(ActionType.ACKNOWLEDGE))
    assert act_on(taken, act(ActionType.ACKNOWLEDGE, who="U2")) == (taken, Outcome.ALREADY)


def test_an_acknowledgement_can_be_taken_back_once():
    alert = alert_of(State.FIRING)
    taken, _ = act_on(alert, act(ActionType.ACKNOWLEDGE))
    assert act_on(taken, act(ActionType.UNACKNOWLEDGE)) == (alert, Outcome.DONE)
    assert act_on(alert, act(ActionType.UNACKNOWLEDGE)) == (alert, Outcome.ALREADY)


def test_a_snooze_and_an_assignment_can_be_changed():
    snoozed, _ = act_on(alert_of(State.FIRING), act(ActionType.SNOOZE, until=30))
    assert act_on(snoozed, act(ActionType.SNOOZE, until=60)) == (replace(snoozed, snoozed_until=at(60)), Outcome.DONE)
    mine, _ = act_on(alert_of(State.FIRING), act(ActionType.ASSIGN, text="U1"))
    assert act_on(mine, act(ActionType.ASSIGN, text="U2")) == (replace(mine, assigned_to="U2"), Outcome.DONE)


@pytest.mark.parametrize("state", [State.RESOLVED, State.NONE])
@pytest.mark.parametrize("kind", ActionType)
def test_an_act_that_comes_too_late_reopens_nothing_and_says_so(kind: ActionType, state: State):
    ended = alert_of(state)
    outcome = Outcome.DONE if kind is ActionType.COMMENT else Outcome.TOO_LATE
    assert act_on(ended, act(kind, text="too late", until=30)) == (ended, outcome)


def test_a_comment_changes_nothing_of_an_alert():
    assert act_on(alert_of(State.FIRING), act(ActionType.COMMENT, text="I look")) == (
        alert_of(State.FIRING),
        Outcome.DONE,
    )


@pytest.mark.parametrize(("mark", "stays"), [("T", True), ("C", False), ("s", True)])
def test_only_a_rise_in_severity_breaks_an_acknowledgement(mark: str, stays: bool):
    taken, _ = act_on(alert_of(State.FIRING), act(ActionType.ACKNOWLEDGE))
    (told,) = advance(rule(), taken, FINDINGS[mark]._replace(value=9), at(1))
    expected = ("U1", at(1)) if stays else ("", None)
    assert (told.alert.acknowledged_by, told.alert.acknowledged_at) == expected


def test_a_counter_reset_in_severity_and_a_resolve_keep_an_acknowledgement():
    taken, _ = act_on(alert_of(State.FIRING, severity=CRITICAL), act(ActionType.ACKNOWLEDGE))
    (fell,) = advance(rule(), taken, FINDINGS["T"], at(1))
    (ended,) = advance(rule(), taken, FINDINGS["f"], at(1))
    assert [told.alert.acknowledged_by for told in (fell, ended)] == ["U1", "U1"]


def test_a_snooze_stops_speech_never_evaluation():
    snoozed, _ = act_on(alert_of(State.FIRING), act(ActionType.SNOOZE, until=60))
    (rose,) = advance(rule(), snoozed, FINDINGS["C"], at(1))
    (ended,) = advance(rule(), snoozed, FINDINGS["f"], at(1))
    assert (rose.alert.severity, ended.alert.state) == (CRITICAL, State.RESOLVED)


def test_a_new_alert_inherits_no_act():
    told = live("f T", rule(), alert_of(State.FIRING, acknowledged_by="U1", acknowledged_at=START, assigned_to="U1"))
    assert [change.reason for change in told] == [Reason.ENDED, Reason.BECAME_TRUE]
    assert (told[1].alert.acknowledged_by, told[1].alert.acknowledged_at, told[1].alert.assigned_to) == ("", None, "")
