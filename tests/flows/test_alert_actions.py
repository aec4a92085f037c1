"""What a person does: once, on time or told that it is too late, and seen by everybody at once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from alertbot.domain.alerts import ActionType, Outcome, State
from alertbot.domain.routes import Step
from alertbot.domain.silences import Matcher, MatchType, Silence, parse_silence
from alertbot.errors import UsageError
from alertbot.flows import alert_actions
from alertbot.store import alerts, silences
from alertbot.store.database import Database
from tests.builders import at, minutes, rule, threshold
from tests.flows.scene import AT_ONCE, Scene

BURST = rule(threshold(window="2m", above=5))
LASTING = rule(threshold(window="30m", above=5))
LEVELS = rule(threshold(window="30m", above={"warning": 5, "critical": 20}))
TWO = {"acme/llm-1": "0 9", "acme/llm-2": "0 9"}
SECOND = 1 / 60


@pytest.fixture
def firing(database: Database) -> Scene:
    """One alert, whose message was posted at minute 1."""
    return Scene(database, "0 9", LASTING).until(1)


# --- names


@pytest.mark.parametrize(
    ("name", "meant"),
    [("A2", (2,)), ("a1", (1,)), (" A1 ", (1,)), ("G1", (1, 2)), ("g1", (1, 2))],
)
def test_a_short_id_means_an_alert_or_all_alerts_of_a_message(
    database: Database, name: str, meant: tuple[int, ...]
) -> None:
    assert alert_actions.find(Scene(database, TWO, LASTING).until(1).database, name) == meant


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("A7", "there is no alert A7"),
        ("G7", "there is no message G7"),
        ("7", '"7" is not an id: expected one such as A42'),
        ("A99999999999999999999", "is not an id"),
        ("A1 or A2", "is not an id"),
        ("", "is not an id"),
    ],
)
def test_what_means_nothing_is_told_with_what_would(firing: Scene, name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        alert_actions.find(firing.database, name)


# --- acknowledge


def test_an_acknowledgement_is_seen_at_once_in_the_message_and_in_its_thread(firing: Scene) -> None:
    firing.now = at(1 + 1 * SECOND)
    acted = firing.person(ActionType.ACKNOWLEDGE)
    assert [(alert.number, outcome) for alert, outcome in acted.outcomes] == [(1, Outcome.DONE)]
    assert firing.slack.only.text == "G1: A1 acknowledged warning 9"
    assert firing.slack.thread(firing.slack.only) == ["acknowledged: U1 acknowledged: llm-1"]
    assert firing.heard() == ["1 first", "1.017 acknowledged"]


def test_the_same_click_delivered_twice_is_one_act(firing: Scene) -> None:
    firing.person(ActionType.ACKNOWLEDGE, key="click 1")
    again = firing.person(ActionType.ACKNOWLEDGE, key="click 1")
    assert (again.again, again.outcomes) == (True, ())
    firing.restart().person(ActionType.ACKNOWLEDGE, key="click 1")
    assert firing.heard() == ["1 first", "1 acknowledged"]


def test_whoever_comes_second_is_told_so_and_the_first_one_has_it(firing: Scene) -> None:
    firing.person(ActionType.ACKNOWLEDGE, who="U1", key="click 1")
    second = firing.person(ActionType.ACKNOWLEDGE, who="U2", key="click 2")
    ((alert, outcome),) = second.outcomes
    assert (alert.acknowledged_by, outcome) == ("U1", Outcome.ALREADY)
    assert len(firing.slack.thread(firing.slack.only)) == 1


def test_an_act_on_a_message_is_one_on_all_of_its_alerts_and_told_once(database: Database) -> None:
    scene = Scene(database, TWO, LASTING).until(1)
    acted = scene.person(ActionType.ACKNOWLEDGE, "G1")
    assert [alert.number for alert in acted.done] == [1, 2]
    assert scene.slack.only.text == "G1: A1 acknowledged warning 9, A2 acknowledged warning 9"
    assert scene.slack.thread(scene.slack.only) == ["acknowledged: U1 acknowledged: llm-1, llm-2"]


def test_an_act_on_a_message_does_what_is_left_to_do(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 9 9 9", "acme/llm-2": "0 0 9 18 27"}, BURST).until(3)
    acted = scene.person(ActionType.ACKNOWLEDGE, "G1")
    assert {alert.number: outcome for alert, outcome in acted.outcomes} == {1: Outcome.TOO_LATE, 2: Outcome.DONE}


def test_an_acknowledgement_that_comes_too_late_changes_nothing_and_says_so(database: Database) -> None:
    scene = Scene(database, "0 9", BURST).until(3)
    before = (scene.alerts(), scene.heard(), len(scene.slack.calls))
    ((alert, outcome),) = scene.person(ActionType.ACKNOWLEDGE).outcomes
    assert (outcome, alert.state, alert.acknowledged_by) == (Outcome.TOO_LATE, State.RESOLVED, "")
    assert (scene.alerts(), scene.heard(), len(scene.slack.calls)) == before


def test_an_acknowledgement_survives_a_restart_and_is_broken_by_a_rise(database: Database) -> None:
    scene = Scene(database, "0 9 9 9 25", LEVELS).until(1)
    scene.person(ActionType.ACKNOWLEDGE)
    assert scene.restart().until(3).slack.only.text == "G1: A1 acknowledged warning 9"
    assert scene.until(4).slack.only.text == "G1: A1 firing critical 25"
    assert scene.heard() == ["1 first", "1 acknowledged", "4 rise"]


def test_what_was_given_back_is_repeated_and_escalated_again(database: Database) -> None:
    route = replace(AT_ONCE, repeat=minutes(10), escalate=(Step(minutes(5), ("U9",)),))
    scene = Scene(database, "0 9", LASTING, routes=[route]).until(2)
    scene.person(ActionType.ACKNOWLEDGE)
    assert scene.rest_until(14).heard() == ["1 first", "2 acknowledged"]
    scene.person(ActionType.UNACKNOWLEDGE)
    assert scene.slack.only.text == "G1: A1 firing warning 9"
    assert scene.rest_until(20).heard()[2:] == ["14 repeat", "19 escalation"]


def test_what_only_waits_can_be_taken_before_it_fires(database: Database) -> None:
    scene = Scene(database, "0 9 18 27", replace(BURST, hold=minutes(2))).until(1)
    assert scene.person(ActionType.ACKNOWLEDGE).done != ()
    scene.until(3)
    assert scene.slack.only.text == "G1: A1 acknowledged warning 18"
    assert scene.heard() == ["3 first"]


# --- snooze


def test_a_snooze_hushes_until_it_ends_and_then_what_still_fires_is_told_once(database: Database) -> None:
    route = replace(AT_ONCE, repeat=minutes(5), escalate=(Step(minutes(3), ("U9",)),))
    scene = Scene(database, "0 9", LASTING, routes=[route]).until(1)
    scene.person(ActionType.SNOOZE, lasts=20)
    assert scene.rest_until(20.9).heard() == ["1 first"]
    assert scene.rest_until(21).heard() == ["1 first", "21 repeat"]


def test_what_ends_while_it_is_snoozed_ends_quietly(database: Database) -> None:
    scene = Scene(database, "0 9", BURST).until(1)
    scene.person(ActionType.SNOOZE, lasts=20)
    assert scene.until(4).rest_until(30).heard() == ["1 first"]
    assert scene.slack.only.text == "G1: A1 resolved"


def test_what_is_snoozed_before_its_first_message_is_told_when_the_snooze_ends(database: Database) -> None:
    route = replace(AT_ONCE, group_wait=timedelta(seconds=30), mention=("@here",))
    scene = Scene(database, "0 9", LASTING, routes=[route]).until(1)
    scene.person(ActionType.SNOOZE, lasts=10)
    assert scene.rest_until(10.9).slack.calls == []
    scene.rest_until(11)
    assert (scene.slack.only.mention, scene.heard()) == (("@here",), ["11 first"])


def test_a_snooze_of_one_alert_leaves_the_others_of_its_message_audible(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9 9 9 9 30", "acme/llm-2": "0 9 9 30"}
    scene = Scene(database, drawn, LEVELS).until(1)
    scene.person(ActionType.SNOOZE, "A1", lasts=60)
    assert scene.until(5).heard() == ["1 first", "3 rise"]


# --- assign and comment


def test_who_has_it_and_what_was_said_stands_in_the_thread(firing: Scene) -> None:
    firing.person(ActionType.ASSIGN, who="U1", text="U2")
    firing.person(ActionType.COMMENT, who="U2", text="it is {0} or {1}: looking")
    assert firing.slack.thread(firing.slack.only) == [
        "act: U1 U2 assigned it to {1}: llm-1",
        "act: U2: it is U2 or {1}: looking",
    ]
    (alert,) = firing.alerts()
    assert alert.assigned_to == "U2"


def test_a_comment_on_what_is_over_is_kept_and_told(database: Database) -> None:
    scene = Scene(database, "0 9", BURST).until(3)
    ((alert, outcome),) = scene.person(ActionType.COMMENT, text="it was a test").outcomes
    assert (outcome, alert.state) == (Outcome.DONE, State.RESOLVED)
    assert scene.slack.thread(scene.slack.only)[1:] == ["act: U1: it was a test"]


@pytest.mark.parametrize("kind", [ActionType.COMMENT, ActionType.ASSIGN, ActionType.ACKNOWLEDGE])
def test_an_act_before_the_first_message_costs_nobody_the_call(database: Database, kind: ActionType) -> None:
    route = replace(AT_ONCE, group_wait=timedelta(seconds=30), mention=("@here",))
    scene = Scene(database, "0 9", LASTING, routes=[route]).until(1)
    scene.person(kind, text="U2")
    assert scene.slack.calls == []
    scene.until(2)
    assert scene.slack.only.mention == ("@here",)
    assert scene.heard() == ["1.5 first"]


def test_an_act_that_changes_nothing_is_kept_and_not_told(firing: Scene) -> None:
    ((_, outcome),) = firing.person(ActionType.UNACKNOWLEDGE).outcomes
    assert outcome is Outcome.ALREADY
    assert firing.slack.thread(firing.slack.only) == []


def test_what_was_done_and_what_it_says_are_written_together(firing: Scene) -> None:
    firing.is_sending = False
    firing.person(ActionType.ACKNOWLEDGE)
    with firing.database.reading() as tx:
        (alert,) = alerts.by_numbers(tx, [1])
    assert alert.acknowledged_by == "U1"
    assert firing.heard() == ["1 first", "1 acknowledged"], "before anything was sent"


# --- silences that are not valid, and too many of them


def test_a_stored_silence_that_cannot_be_used_mutes_nothing_and_the_operators_hear_of_it_once(
    database: Database,
) -> None:
    scene = Scene(database, "0 9", LASTING)
    with database.transaction() as tx:
        made = silences.add(tx, Silence((Matcher("ai_llm", MatchType.FITS, "(?!test).*"),), at(0), at(600), "U1"))
        assert made is not None
    scene.until(3)
    assert scene.heard() == ["1 first"]
    (line,) = scene.told_operators()
    assert line.startswith("Silence 1 is not valid and mutes nothing:")
    assert "look-around" in line
    assert [silence.problem != "" for silence in alert_actions.list_silences(database, now=scene.now)] == [True]


def test_there_may_be_so_many_silences_and_no_more(sqlite: Database) -> None:
    request = parse_silence(["rule=a", "1h"])
    with sqlite.transaction() as tx:
        for number in range(499):
            silences.add(tx, Silence(request.matchers, at(0), at(60), f"U{number}"))
    alert_actions.add_silence(sqlite, request, author="U1", now=at(1), key="one")
    alert_actions.add_silence(sqlite, request, author="U1", now=at(1), key="one")  # delivered again
    with pytest.raises(UsageError, match="500 silences that have not ended"):
        alert_actions.add_silence(sqlite, request, author="U1", now=at(1), key="two")
    with pytest.raises(UsageError, match="500 silences that have not ended"):
        alert_actions.mute_rule(sqlite, (Matcher("rule", MatchType.IS, "burst"),), by="U1", now=at(1))
    assert len(alert_actions.list_silences(sqlite, now=at(1))) == 500
    alert_actions.add_silence(sqlite, request, author="U1", now=at(61), key="two")


def test_a_comment_may_be_so_long_and_no_longer(firing: Scene) -> None:
    with pytest.raises(UsageError, match="at most 2000 characters, got 2001"):
        firing.person(ActionType.COMMENT, text="x" * 2001)
