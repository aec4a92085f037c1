"""Transitions → outbox: who hears what, when, and why not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from alertbot.domain.alerts import ActionType, State
from alertbot.domain.decisions import NotifyReason
from alertbot.domain.formatting import format_severity, shown_severity
from alertbot.domain.notifications import Notification
from alertbot.domain.reports import AlertRow, alert_json, alerts_csv
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import Selector
from alertbot.domain.silences import SilenceRequest, parse_matcher
from alertbot.flows import alert_actions
from alertbot.flows.notify import notify_groups
from alertbot.store import outbox
from alertbot.store.database import Database
from alertbot.store.tables import decisions
from tests.builders import absence, at, budget, minutes, rule, threshold
from tests.flows.scene import AT_ONCE, CHANNEL, LEADS, Scene

BURST = rule(threshold(window="2m", above=5))
LASTING = rule(threshold(window="30m", above=5))
LEVELS = rule(threshold(window="3m", above={"warning": 5, "critical": 20}))
LATER = replace(AT_ONCE, group_wait=timedelta(seconds=10))
FIVE_SECONDS = timedelta(seconds=5)


def why(database: Database) -> list[str]:
    """Every decision that was kept, with its minute: `1 nothing new`."""
    with database.reading() as tx:
        rows = tx.execute(sa.select(decisions).order_by(decisions.c.number)).all()
    return [f"{(row.at - at(0)) / minutes(1):.3g} {row.reason}" for row in rows]


def abouts(scene: Scene) -> list[tuple[int, ...]]:
    with scene.database.reading() as tx:
        return [notification.about for _, notification in outbox.sent_notifications(tx)]


# --- one message a group


def test_alerts_that_fire_together_are_gathered_into_one_message(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "acme/llm-2": "0 0 9"}
    scene = Scene(database, drawn, LASTING, routes=[LATER], interval=FIVE_SECONDS)
    scene.until(14.9 / 60)
    assert (scene.heard(), scene.slack.calls) == ([], [])
    scene.until(15 / 60)
    assert scene.heard() == ["0.25 first"]
    assert abouts(scene) == [(1, 2)]
    assert scene.slack.only.text == "G1: A1 firing warning 9, A2 firing warning 9"


def test_alerts_of_one_rule_and_source_share_a_message_and_others_do_not(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "acme/llm-2": "0 9", "globex/llm-1": "0 9"}
    scene = Scene(database, drawn, LASTING, replace(LASTING, name="another")).until(1)
    assert sorted(len(message.text.split(", ")) for message in scene.slack.posted()) == [1, 1, 2, 2]


def test_a_route_says_what_alerts_of_one_message_have_in_common(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "acme/llm-2": "0 9", "globex/llm-1": "0 9"}
    together = replace(AT_ONCE, group_by=("rule",))
    scene = Scene(database, drawn, LASTING, routes=[together]).until(1)
    assert scene.slack.only.text.count("firing") == 3


def test_a_message_is_edited_in_place_until_its_last_alert_ends(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9 9 9", "acme/llm-2": "0 9 18 18 18 18"}
    scene = Scene(database, drawn, BURST).until(6)
    assert scene.heard() == ["1 first", "4 resolved"]
    assert scene.slack.only.text == "G1: A1 resolved, A2 resolved"
    assert len(scene.slack.thread(scene.slack.only)) == 1


def test_what_fires_after_the_end_gets_a_new_message_that_knows_the_last_one(database: Database) -> None:
    scene = Scene(database, "0 9 9 9 18", BURST).until(4)
    old, new = scene.slack.posted()
    assert (old.text, new.text) == ("G1: A1 resolved", "G2: A2 firing warning 9")
    assert new.alert_message is not None
    assert new.alert_message.previous == f"https://slack.example/{old.place.channel}/{old.place.ts}"


def test_a_storm_is_one_message(database: Database) -> None:
    drawn = {f"acme/llm-{number}": "0 9 9 9" for number in range(60)}
    scene = Scene(database, drawn, BURST).until(4)
    assert scene.heard() == ["1 first", "3 resolved"]
    assert len(scene.slack.posted()) == 1


# --- who is pinged, and when


def test_new_members_are_told_together_once_in_a_group_interval(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "acme/llm-2": "0 0 9", "acme/llm-3": "0 0 0 9", "acme/llm-4": "0 0 0 0 0 0 0 9"}
    scene = Scene(database, drawn, LASTING).until(7).rest_until(20)
    assert scene.heard() == ["1 first", "6 member", "11 member"]
    assert abouts(scene) == [(1,), (2, 3), (4,)]


def test_a_rise_is_told_at_once_and_once(database: Database) -> None:
    drawn = {"acme/llm-1": "0 6 25", "acme/llm-2": "0 0 0 25"}
    scene = Scene(database, drawn, LEVELS).until(5)
    assert scene.heard()[:2] == ["1 first", "2 rise"]
    assert scene.heard().count("2 rise") == 1


def test_what_goes_on_firing_is_repeated_until_somebody_takes_it(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING, routes=[replace(AT_ONCE, repeat=minutes(5))]).until(1).rest_until(12)
    assert scene.heard() == ["1 first", "6 repeat", "11 repeat"]
    scene.person(ActionType.ACKNOWLEDGE)
    assert scene.rest_until(25).heard()[3:] == ["12 acknowledged"]


def test_an_escalation_goes_its_steps_until_somebody_takes_it(database: Database) -> None:
    steps = (Step(minutes(2), ("U1",)), Step(minutes(4), ("U2",), LEADS), Step(minutes(8), ("U3",)))
    scene = Scene(database, "0 9", LASTING, routes=[replace(AT_ONCE, escalate=steps)]).until(1).rest_until(6)
    assert scene.heard() == ["1 first", "3 escalation", "5 escalation"]
    assert [message.mention for message in scene.slack.posted(LEADS)] == [("U2",)]
    scene.person(ActionType.ACKNOWLEDGE)
    assert scene.rest_until(12).heard()[3:] == ["6 acknowledged"]


def test_who_is_mentioned_is_who_the_route_named_when_the_message_was_opened(database: Database) -> None:
    scene = Scene(database, "0 6 25", LEVELS, routes=[replace(AT_ONCE, mention=("@here",))]).until(1)
    scene.restart(routes=[AT_ONCE]).until(2)
    assert scene.slack.only.mention == ("@here",)
    assert [message.mention for message in scene.slack.messages if message.thread] == [("@here",)]


# --- rises that lead elsewhere

SEVERE = Route(LEADS, Selector((("severity", ("critical",)),)), group_wait=timedelta(0))


def test_a_rise_that_leads_to_another_channel_has_a_first_message_there_and_both_are_kept_true(
    database: Database,
) -> None:
    scene = Scene(database, "0 6 25", LEVELS, routes=[SEVERE, AT_ONCE]).until(2)
    assert scene.heard() == ["1 first", "2 rise", "2 first"]
    texts = [scene.slack.posted(channel)[0].text for channel in (CHANNEL, LEADS)]
    assert texts == ["G1: A1 firing critical 25", "G2: A1 firing critical 25"]
    scene.until(5)
    texts = [scene.slack.posted(channel)[0].text for channel in (CHANNEL, LEADS)]
    assert texts == ["G1: A1 resolved", "G2: A1 resolved"]


def test_a_fall_that_would_lead_to_another_channel_is_heard_nowhere(database: Database) -> None:
    scene = Scene(database, "0 25 31", LEVELS, routes=[SEVERE, AT_ONCE]).until(4)
    assert scene.standing() == ["llm-1 firing warning 6"]
    assert scene.heard() == ["1 first"]
    assert scene.slack.posted(CHANNEL) == []
    assert scene.slack.only.text == "G1: A1 firing warning 6"


# --- what is over before it was told


@pytest.mark.parametrize(
    ("forget", "heard", "texts"),
    [
        pytest.param(False, ["3 brief"], ["G1: A1 resolved"], id="is told without a ping"),
        pytest.param(True, [], [], id="is forgotten where the route says so"),
    ],
)
def test_what_ends_before_its_first_message(
    database: Database, heard: Sequence[str], texts: Sequence[str], *, forget: bool
) -> None:
    route = replace(AT_ONCE, group_wait=timedelta(minutes=5), forget_brief=forget)
    scene = Scene(database, "0 9", BURST, routes=[route]).until(4)
    assert scene.heard() == heard
    assert [message.text for message in scene.slack.posted()] == texts
    assert all(message.mention == () for message in scene.slack.messages)
    assert scene.alerts(State.FIRING) == []
    assert (NotifyReason.FORGOTTEN.value in why(database)[-1]) == forget


def test_a_route_that_does_not_tell_the_end_edits_the_message_only(database: Database) -> None:
    scene = Scene(database, "0 9", BURST, routes=[replace(AT_ONCE, send_resolved=False)]).until(4)
    assert scene.heard() == ["1 first"]
    assert scene.slack.only.text == "G1: A1 resolved"
    assert scene.slack.thread(scene.slack.only) == []


# --- why nobody heard


def test_every_decision_not_to_speak_is_kept_with_its_reason(database: Database) -> None:
    route = replace(AT_ONCE, group_wait=timedelta(seconds=30))
    drawn = {"acme/llm-1": "0 9 9 9 9", "acme/llm-2": "0 0 9"}
    Scene(database, drawn, LASTING, routes=[route]).until(3)
    assert why(database) == [
        f"1 {NotifyReason.GROUP_WAIT}",
        f"1.5 {NotifyReason.NOTIFIES}",
        f"2 {NotifyReason.MEMBER_WAITS}",
    ]


def test_a_message_that_was_just_closed_is_not_closed_twice(database: Database) -> None:
    scene = Scene(database, "0 9", BURST).until(3)
    before = (scene.heard(), why(database))
    with database.transaction() as tx:  # somebody found it open, and waited for whoever was closing it
        assert notify_groups(tx, [1], now=at(3)) == []
    assert (scene.heard(), why(database)) == before


# --- silences


def silence(scene: Scene, *matchers: str, lasts: float) -> int:
    request = SilenceRequest(tuple(parse_matcher(text) for text in matchers), minutes(lasts), "planned test")
    return alert_actions.add_silence(scene.database, request, author="U1", now=scene.now).number


def test_what_is_silenced_is_evaluated_and_heard_once_when_the_silence_ends(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 9", "acme/llm-2": "0 9"}, LASTING).until(0.5)
    silence(scene, "ai_llm=llm-1", lasts=9.5)
    scene.until(1).rest_until(9)
    assert len(scene.alerts(State.FIRING)) == 2
    assert abouts(scene) == [(2,)]
    scene.rest_until(12)
    assert abouts(scene) == [(2,), (1,)]


def test_what_was_heard_before_its_silence_and_ends_in_it_is_edited_quietly(database: Database) -> None:
    scene = Scene(database, "0 9", BURST).until(1)
    silence(scene, "rule=rule", lasts=30)
    assert scene.until(4).rest_until(40).heard() == ["1 first"]
    assert scene.slack.only.text == "G1: A1 resolved"
    assert why(database)[-1] == f"3 {NotifyReason.MUTED_END}"


def test_what_was_silenced_from_its_beginning_to_its_end_is_never_heard(database: Database) -> None:
    scene = Scene(database, "0 9", BURST).until(0.5)
    silence(scene, "rule=rule", lasts=30)
    assert scene.until(4).rest_until(40).slack.calls == []
    assert why(database)[-1] == f"3 {NotifyReason.MUTED_THROUGHOUT}"


def test_what_still_fires_when_its_silence_is_ended_by_hand_is_heard_then(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING).until(0.5)
    number = silence(scene, "rule=rule", lasts=300)
    assert scene.until(5).heard() == []
    alert_actions.end_silence(database, number, by="U1", now=scene.now)
    assert len(scene.until(8).heard()) == 1
    assert scene.slack.only.text == "G1: A1 firing warning 9"


def test_a_forecast_that_turns_false_ends_quietly_and_is_silent_for_the_rest_of_its_period(database: Database) -> None:
    foreseen = rule(budget(amount=100, forecast=True))
    scene = Scene(database, "0 5 10 15 20x20 22 27 32 37x200", foreseen).until(50)
    assert [change.split(": ")[0] for change in scene.changes()] == ["1 none → firing", "6 firing → resolved"]
    assert scene.heard() == ["1 first"]
    assert scene.slack.only.text == "G1: A1 resolved"


# --- what was the worst, who had taken it, and what is gone


def notifications(scene: Scene) -> list[Notification]:
    with scene.database.reading() as tx:
        return [notification for _, notification in outbox.sent_notifications(tx)]


def test_an_alert_that_fell_before_it_ended_is_listed_as_bad_as_it_was(sqlite: Database) -> None:
    scene = Scene(sqlite, "0 25 25 25 31x9", LEVELS).until(5)
    (alert,) = scene.alerts()
    assert (alert.severity, alert.worst, format_severity(alert)) == ("warning", "critical", "warning (was critical)")
    (alert,) = scene.until(8).alerts()
    assert (alert.state, alert.severity, shown_severity(alert)) == ("resolved", "warning", "critical")
    shown = alert_json(AlertRow(alert, None, None, None))
    assert (shown["severity"], shown["peak_severity"]) == ("critical", "critical")
    assert alerts_csv([alert]).splitlines()[1].startswith("A1,critical,critical,resolved")
    assert notifications(scene)[-1].lines == ("Resolved after 6 min: llm-1, peak 25 violations in 3 min (critical)",)


def test_who_had_acknowledged_stays_known_when_it_gets_worse_until_somebody_takes_it_again(sqlite: Database) -> None:
    scene = Scene(sqlite, "0 9 9 30x9", LEVELS).until(1)
    scene.person(ActionType.ACKNOWLEDGE, who="U7")
    (alert,) = scene.until(3).alerts()
    assert (alert.acknowledged_by, alert.taken_by, alert.taken_at) == ("", "U7", at(1))
    rise = notifications(scene)[-1]
    assert (rise.kind, rise.people) == ("rise", ("U7",))
    assert rise.lines[0].startswith("Rose to critical since {0} acknowledged it at 00:01 UTC: ")
    scene.person(ActionType.ACKNOWLEDGE, who="U8")
    (alert,) = scene.alerts()
    assert (alert.acknowledged_by, alert.taken_by, alert.taken_at) == ("U8", "", None)


def test_a_budget_that_was_raised_a_little_is_heard_again_at_its_new_amount(sqlite: Database) -> None:
    scene = Scene(sqlite, "0 101 102 150x9", rule(budget())).until(1)
    scene.restart(rules=[rule(budget(amount=125))])
    assert scene.until(2).standing() == ["llm-1 firing warning 102"]
    assert scene.until(5).heard() == ["1 first", "3 rise"]


def test_that_one_of_several_was_deleted_is_said_once(sqlite: Database) -> None:
    drawn = {"acme/llm-1": "0 5x4 - - - - - - - - -", "acme/llm-2": "0 5x8 6+1x9"}
    scene = Scene(sqlite, drawn, rule(absence(window="2m"))).until(14)
    assert scene.heard() == ["3 first", "8 resolved", "10 resolved"]
    assert [notification.about for notification in notifications(scene)] == [(1, 2), (1,), (2,)]
    assert notifications(scene)[1].lines == ("Resolved after 5 min: llm-1 was deleted",)
    assert "8 firing → resolved: gone" in scene.changes()
