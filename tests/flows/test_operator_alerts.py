"""What keeps the bot from its work is told once, by a way that still works, and taken back when it is over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from alertbot.errors import SlackBusy, SlackError, SlackRefused, SlackUnavailable, SlackUncertain
from alertbot.flows.deliver import claim_due
from alertbot.flows.operator_alerts import note_greeting, report_stalls
from alertbot.store import outbox, sources
from alertbot.store.database import Database
from tests.builders import MINUTE, at, rule, threshold
from tests.fakes import refusal
from tests.flows.scene import BOTS, CHANNEL, Scene

LASTING = rule(threshold(window="30m", above=5))
PATIENCE = timedelta(minutes=5)
AWAY = refusal(SlackUnavailable, "unreachable")
REVOKED = refusal(SlackRefused, "token_revoked")


def look(scene: Scene, *, owner: str = "process 1", awake: float = 0) -> list[str]:
    """Look whether the source is polled, and send what follows from it; the sources that are not."""
    stalled = report_stalls(
        scene.database,
        {"acme": PATIENCE},
        {"acme": MINUTE},
        owner=owner,
        operators=BOTS,
        awake_since=at(awake),
        now=scene.now,
    )
    scene.send()
    return list(stalled)


def greet(scene: Scene, error: SlackError | None, *, since: float | None = None, owner: str = "process 1") -> None:
    """Ask Slack who we are, and send what follows from its answer."""
    note_greeting(
        scene.database,
        error,
        owner=owner,
        operators=BOTS,
        unanswered_since=None if since is None else at(since),
        patience=PATIENCE,
        now=scene.now,
    )
    scene.send()


def move(scene: Scene, minute: float) -> None:
    scene.now = at(minute)


def test_a_source_that_nobody_polls_is_told_once_and_taken_back_when_somebody_does(database: Database) -> None:
    scene = Scene(database, "0 0 0", LASTING).until(2)
    move(scene, 6.9)
    assert look(scene) == []
    move(scene, 7)
    assert look(scene) == ["acme"]
    assert look(scene, owner="process 2") == ["acme"], "another process sees it, too"
    assert scene.told_operators() == [
        "acme has not been polled since 00:02 UTC, though alertbot runs. Its rules are suspended until it is."
    ]
    move(scene, 9)
    scene.poll()
    assert look(scene) == []
    assert scene.told_operators()[1:] == ["acme is polled again; it was not from 00:02 UTC to 00:09 UTC."]
    move(scene, 10)
    scene.poll()
    look(scene)
    assert len(scene.told_operators()) == 2


def test_what_a_process_slept_through_is_no_stall(database: Database) -> None:
    scene = Scene(database, "0 0", LASTING).until(1)
    move(scene, 60)
    assert look(scene, awake=60) == []
    move(scene, 65)
    assert look(scene, awake=60) == ["acme"]


def test_whoever_waited_long_for_its_turn_has_not_tried_until_then(database: Database) -> None:
    scene = Scene(database, "0 0", LASTING).until(1)
    with database.transaction() as tx:
        assert sources.claim(
            tx, "acme", owner="process 1", interval=MINUTE, lease=MINUTE, now=at(2), clock=lambda: at(9)
        )
    with database.reading() as tx:
        state = sources.states(tx, scene.context.intervals)["acme"]
    assert (state.tried_at, state.watched_since) == (at(9), at(9)), "it was not watched for seven minutes"


def test_a_slack_that_cannot_be_reached_is_told_past_it_after_a_while_and_once(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING).until(1)
    scene.slack.fail(AWAY)
    greet(scene, AWAY, since=1)
    move(scene, 5.9)
    greet(scene, AWAY, since=1)
    assert scene.alarms == []
    move(scene, 6)
    greet(scene, AWAY, since=1)
    greet(scene, AWAY, since=2, owner="process 2")
    (alarm,) = scene.alarms
    assert alarm == "Slack cannot be reached since 00:01 UTC (unreachable). Alerts are kept until it can."


def test_when_slack_is_back_that_is_told_and_what_was_put_off_is_sent_at_once(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.slack.fail(AWAY)
    scene.until(1).rest_until(40)
    greet(scene, AWAY, since=1)
    tried = len(scene.slack.calls)
    scene.send()
    assert len(scene.slack.calls) == tried, "the pause between two tries has become long"
    scene.slack.mend()
    greet(scene, None)
    assert [message.text for message in scene.slack.posted(CHANNEL)] == ["G1: A1 firing warning 9"]
    (line,) = scene.told_operators()
    assert line == "Slack could not be reached from 00:01 UTC to 00:40 UTC; what waited is being sent."
    greet(scene, None)
    assert len(scene.told_operators()) == 1


def test_who_does_not_see_the_trouble_does_not_take_it_back_from_who_does(database: Database) -> None:
    scene = Scene(database, "0", LASTING)
    move(scene, 10)
    greet(scene, AWAY, since=1, owner="process 1")
    greet(scene, None, owner="process 2")
    assert scene.told_operators() == []
    move(scene, 36)
    greet(scene, None, owner="process 2")
    assert len(scene.told_operators()) == 1, "whoever saw it has not looked for so long that it must be dead"


def test_a_refused_token_is_told_once_though_there_is_nothing_to_send(database: Database) -> None:
    scene = Scene(database, "0", LASTING)
    for _ in range(2):
        greet(scene, REVOKED, since=0)
    (alarm,) = scene.alarms
    assert alarm.startswith("Slack refuses the bot (token_revoked).")


def test_when_the_token_is_taken_again_what_waited_does_not_wait_out_its_minute(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.slack.fail(REVOKED)
    scene.until(1)
    greet(scene, REVOKED, since=1)
    scene.slack.mend()
    move(scene, 1.1)
    greet(scene, None)
    assert [message.text for message in scene.slack.posted(CHANNEL)] == ["G1: A1 firing warning 9"]
    assert scene.told_operators() == ["Slack takes the bot's calls again; what waited is being sent."]


def test_what_may_have_arrived_is_looked_for_when_the_token_is_taken_again(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.slack.fail(refusal(SlackUncertain, "no_answer"), "post", times=1, arrived=True)
    scene.slack.fail(REVOKED, "find", times=1)
    scene.until(5)
    assert [message.text for message in scene.slack.posted(CHANNEL)] == ["G1: A1 firing warning 9"]
    assert not [line for line in scene.told_operators() if "history" in line]


def test_a_clock_that_is_set_forward_takes_nothing_from_whoever_is_just_sending_it(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.is_sending = False
    scene.until(1)
    assert len(claim_due(database, scene.delivery)) == 1
    scene.restart()
    move(scene, 61)
    assert claim_due(database, replace(scene.delivery, since_leap=lambda: 0.5)) == []
    assert len(claim_due(database, replace(scene.delivery, since_leap=lambda: 45.0))) == 1


@pytest.mark.parametrize("code", ["missing_scope", "not_allowed_token_type"])
def test_that_slack_knows_us_does_not_mean_that_we_may_send(database: Database, code: str) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.slack.fail(refusal(SlackRefused, code))
    scene.until(1)
    greet(scene, None)
    assert scene.told_operators() == []
    assert waiting(database) == 1


def test_a_slack_that_asks_to_wait_is_there(database: Database) -> None:
    scene = Scene(database, "0", LASTING)
    move(scene, 10)
    greet(scene, refusal(SlackBusy, "ratelimited", retry_after=30), since=1)
    assert scene.alarms == []


def waiting(database: Database) -> int:
    with database.reading() as tx:
        return outbox.depth(tx)[0]
