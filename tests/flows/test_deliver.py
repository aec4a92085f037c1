"""Flow 3, outbox → Slack: everything arrives, in order, once; what Slack does wrong costs time, never a notice."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa

from alertbot.domain.alerts import ActionType, State
from alertbot.domain.notifications import MessageRef, Notification, NotificationKind
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import Selector
from alertbot.errors import (
    SlackBusy,
    SlackDestination,
    SlackError,
    SlackGone,
    SlackRefused,
    SlackRejected,
    SlackUnavailable,
    SlackUncertain,
)
from alertbot.flows.deliver import LEASE, claim_due, deliver
from alertbot.store import outbox
from alertbot.store.database import Database
from tests.builders import at, rule, threshold
from tests.fakes import KilledError, refusal
from tests.flows.scene import AT_ONCE, BOTS, CHANNEL, FALLBACK, LEADS, Scene, next_due
from tests.store.racing import in_threads

BURST = rule(threshold(window="2m", above=5))
LASTING = rule(threshold(window="30m", above=5))
LEVELS = rule(threshold(window="30m", above={"warning": 5, "critical": 20}))
AFTER_THE_LEASE = LEASE + timedelta(seconds=1)
BUSY = refusal(SlackBusy, "ratelimited", retry_after=90)
DOWN = refusal(SlackUnavailable, "unreachable")
LOST = refusal(SlackUncertain, "no_answer")


def waiting(database: Database) -> int:
    with database.reading() as tx:
        return outbox.depth(tx)[0]


def given_up(database: Database) -> list[str]:
    with database.reading() as tx:
        rows = tx.execute(sa.text("SELECT error FROM outbox WHERE state = 'given up' ORDER BY number"))
        return list(rows.scalars())


def tried(scene: Scene) -> list[str]:
    """What was tried, without the channel."""
    return [call.split()[0] for call in scene.slack.calls]


# --- when all is well


def test_each_notification_is_sent_once_in_the_order_in_which_it_was_caused(database: Database) -> None:
    scene = Scene(database, "0 6 25 25 25 25", replace(LEVELS, condition=BURST_LEVELS)).until(6)
    assert tried(scene) == ["post", "edit", "reply", "edit", "edit", "reply"]  # also for the fall, which nobody hears
    assert [line.split(":")[0] for line in scene.slack.thread(scene.slack.only)] == ["rise", "resolved"]
    assert waiting(database) == 0


BURST_LEVELS = threshold(window="2m", above={"warning": 5, "critical": 18})


def test_what_is_sent_is_what_is_true_when_it_is_sent(database: Database) -> None:
    scene = Scene(database, "0 9 14 17", LASTING)
    scene.is_sending = False
    scene.until(3)
    scene.is_sending = True
    assert scene.act().slack.only.text == "G1: A1 firing warning 17"
    assert tried(scene) == ["post"]


def test_a_message_is_edited_at_most_every_ten_seconds(database: Database) -> None:
    scene = Scene(database, "0 9+1x9", LASTING, interval=timedelta(seconds=3)).until(34 / 60)
    moments = scene.slack.only.edits
    assert len(moments) == 3
    assert scene.slack.only.text == "G1: A1 firing warning 18"
    assert all(later - earlier >= timedelta(seconds=10) for earlier, later in pairwise(moments))


# --- killed in between


def test_a_process_that_is_killed_before_it_sends_loses_nothing(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.is_sending = False
    scene.until(1)
    assert len(claim_due(database, scene.delivery)) == 1
    scene.restart()
    scene.is_sending = True
    assert scene.act().slack.calls == [], "somebody may be sending it just now"
    scene.now += AFTER_THE_LEASE
    scene.send()
    assert tried(scene) == ["find", "post"]
    assert waiting(database) == 0


@pytest.mark.parametrize("form", ["post", "reply", "say"])
def test_what_slack_has_taken_is_looked_for_before_it_is_said_again(database: Database, form: str) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.is_sending = form != "post"
    scene.until(1)
    if form == "reply":
        scene.is_sending = False
        scene.person(ActionType.COMMENT, text="looking")
    if form == "say":
        with database.transaction() as tx:
            outbox.add_alone(
                tx,
                Notification(NotificationKind.OPERATOR, ping=False, lines=("it broke",)),
                channel="#bots",
                now=scene.now,
            )
    scene.slack.fail(KilledError(), form, arrived=True)
    scene.send_and_die()
    said = len(scene.slack.messages)
    scene.now += AFTER_THE_LEASE
    scene.send()
    assert len(scene.slack.messages) == said
    assert "find" in tried(scene)
    assert waiting(database) == 0
    if form == "post":
        scene.is_sending = True
        scene.until(3)
        assert scene.slack.only.place == MessageRef(f"C{CHANNEL}", scene.slack.only.place.ts)
        assert scene.slack.only.edits != [], "the message that was found is the one that is edited from then on"


def test_what_was_found_is_brought_up_to_date(database: Database) -> None:
    scene = Scene(database, "0 9 14", LASTING)
    scene.slack.fail(KilledError(), "post", arrived=True)
    scene.is_sending = False
    scene.until(1)
    scene.send_and_die()
    scene.until(2)
    scene.send()
    assert scene.slack.only.text == "G1: A1 firing warning 14"


def test_an_answer_that_was_lost_is_no_reason_to_say_it_twice(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.slack.fail(LOST, "post", times=1, arrived=True)
    scene.until(2)
    assert tried(scene)[:3] == ["post", "find", "edit"]
    assert scene.slack.only.text == "G1: A1 firing warning 9"


def test_where_the_history_may_not_be_read_it_is_rather_said_twice_than_never(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.slack.fail(refusal(SlackRefused, "missing_scope"), "find")
    scene.slack.fail(LOST, "post", times=1)
    scene.until(3)
    assert scene.slack.posted(CHANNEL)[0].text == "G1: A1 firing warning 9"
    assert len([line for line in scene.told_operators() if "missing_scope" in line]) == 1


def test_whoever_wakes_up_after_its_lease_sends_nothing(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING)
    scene.is_sending = False
    scene.until(1)
    (row,) = claim_due(database, scene.delivery)
    scene.now += LEASE
    deliver(database, scene.delivery, row)
    assert scene.slack.calls == []
    scene.restart().send()
    assert tried(scene) == ["find", "post"]


# --- Slack in trouble


@pytest.mark.parametrize(
    "error",
    [BUSY, DOWN, LOST, refusal(SlackDestination, "is_archived"), refusal(SlackRefused, "token_revoked")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("method", ["post", "edit", "reply"])
def test_what_goes_wrong_for_a_while_costs_no_notification(database: Database, error: SlackError, method: str) -> None:
    scene = Scene(database, "0 6 25 25 25", LEVELS)
    scene.slack.fail(error, method)
    scene.until(4).slack.mend()
    scene.rest_until(80)
    assert waiting(database) == 0
    assert given_up(database) == []
    told = [message for message in scene.slack.posted() if message.alert_message is not None]
    assert told[-1].text == "G1: A1 firing critical 25"
    assert len([reply for reply in scene.slack.messages if reply.text.startswith("rise")]) == 1


def test_a_channel_that_asks_to_wait_is_left_alone_and_no_other(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "globex/llm-1": "0 9 18"}
    to_leads = Route(LEADS, Selector((("source", ("globex",)),)), group_wait=timedelta(0))
    scene = Scene(database, drawn, LASTING, routes=[to_leads, AT_ONCE])
    scene.slack.fail(BUSY, channel=CHANNEL, times=1)
    scene.until(2.49)
    assert scene.slack.calls.count(f"post {CHANNEL}") == 1
    assert scene.slack.posted(LEADS)[0].text == "G2: A2 firing warning 18"
    scene.until(2.5)
    assert scene.slack.posted(CHANNEL)[0].text == "G1: A1 firing warning 9"


def test_what_is_refused_holds_everything_up_and_is_tried_each_minute(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "globex/llm-1": "0 9"}
    scene = Scene(database, drawn, LASTING)
    scene.slack.fail(refusal(SlackRefused, "token_revoked"))
    scene.until(1.99)
    assert len(scene.slack.calls) <= 2
    scene.rest_until(5.99)
    assert len(scene.slack.calls) <= 10
    assert len(scene.alarms) == 1, "said once, by the way out that needs no token"
    assert waiting(database) >= 2
    scene.slack.mend()
    scene.until(7)
    assert len(scene.slack.posted(CHANNEL)) == 2
    assert waiting(database) == 0


def test_a_channel_that_is_broken_is_told_once_and_its_alerts_go_to_the_fallback(database: Database) -> None:
    scene = Scene(database, "0 9 14", LASTING)
    scene.slack.fail(refusal(SlackDestination, "is_archived"), channel=CHANNEL)
    scene.until(3)
    assert [message.text for message in scene.slack.posted(FALLBACK)] == ["G1: A1 firing warning 14"]
    (line,) = scene.told_operators()
    assert "#ai-alerts cannot be written to (is_archived)" in line
    asked = scene.slack.calls.count(f"post {CHANNEL}")
    scene.rest_until(62)
    assert scene.slack.calls.count(f"post {CHANNEL}") == asked + 1, "it is tried once an hour"


def test_a_broken_channel_gets_the_present_state_when_it_works_again(database: Database) -> None:
    scene = Scene(database, "0 9 14", rule(threshold(window="3h", above=5)))
    scene.slack.fail(refusal(SlackDestination, "is_archived"), channel=CHANNEL)
    scene.until(3).slack.mend()
    scene.rest_until(70)
    assert [message.text for message in scene.slack.posted(CHANNEL)] == ["G1: A1 firing warning 14"]
    assert any("can be written to again" in line for line in scene.told_operators())


def test_what_slack_will_never_take_is_given_up_and_holds_nobody_up(database: Database) -> None:
    scene = Scene(database, "0 9", LASTING).until(1)
    scene.slack.fail(refusal(SlackRejected, "invalid_blocks"), "reply", times=1)
    for text in ("one", "two"):
        scene.person(ActionType.COMMENT, text=text, key=text)
    assert scene.slack.thread(scene.slack.only) == ["act: U1: two"]
    assert given_up(database) == ["invalid_blocks: chat.postMessage: invalid_blocks"]


def test_pauses_between_tries_grow_and_stay_below_eight_minutes(database: Database) -> None:
    scene = Scene(database, "0 9", rule(threshold(window="300m", above=5)))
    scene.slack.fail(DOWN)
    scene.until(1)
    pauses = []
    for _ in range(12):
        with database.reading() as tx:
            due = next_due(tx)
        assert due is not None
        pauses.append(due - scene.now)
        scene.now = due
        scene.send()
    assert pauses[0] <= timedelta(seconds=3)
    assert pauses[4] >= 4 * pauses[0]
    assert max(pauses) <= timedelta(minutes=7.5)


# --- deleted messages


def test_a_message_that_was_deleted_is_posted_anew_once_and_its_thread_goes_on_there(database: Database) -> None:
    scene = Scene(database, "0 9 14", LASTING).until(1)
    scene.slack.delete(scene.slack.only.place)
    scene.until(2)
    assert scene.slack.only.text == "G1: A1 firing warning 14"
    scene.person(ActionType.COMMENT, text="who did that?")
    assert scene.slack.thread(scene.slack.only) == ["act: U1: who did that?"]


def test_a_message_that_was_deleted_is_there_again_before_its_thread_goes_on(database: Database) -> None:
    scene = Scene(database, "0 6 25", LEVELS).until(1)
    scene.slack.delete(scene.slack.only.place)
    scene.until(3)
    assert [line.split(":")[0] for line in scene.slack.thread(scene.slack.only)] == ["rise"]


def test_a_message_that_was_deleted_twice_stays_deleted_until_the_next_firing(database: Database) -> None:
    scene = Scene(database, "0 9 14 14 14 14 23", BURST).until(1)
    scene.slack.delete(scene.slack.only.place)
    scene.until(2)
    scene.slack.delete(scene.slack.only.place)
    scene.until(5)
    assert scene.slack.posted() == []
    scene.until(6)
    assert scene.slack.only.text == "G2: A2 firing warning 9"


def test_a_link_to_the_message_before_is_not_worth_a_notification(database: Database) -> None:
    scene = Scene(database, "0 9 9 9 18", BURST).until(3)
    scene.slack.fail(refusal(SlackGone, "message_not_found"), "permalink")
    scene.until(4)
    new = scene.slack.posted()[1]
    assert new.alert_message is not None
    assert (new.text, new.alert_message.previous) == ("G2: A2 firing warning 9", "")


# --- when nothing could be sent for long


def test_an_alert_that_came_and_went_while_nothing_could_be_sent_is_one_message(database: Database) -> None:
    scene = Scene(database, "0 6 25 25 25 25", replace(LEVELS, condition=BURST_LEVELS), routes=[PAGING])
    scene.slack.fail(DOWN)
    scene.until(6)
    assert scene.alerts(State.FIRING) == []
    scene.slack.mend()
    scene.rest_until(15)
    (message,) = scene.slack.messages
    assert (message.text, message.mention) == ("G1: A1 resolved", ())
    assert waiting(database) == 0


PAGING = replace(AT_ONCE, mention=("@here",))


def test_what_people_said_meanwhile_is_told_all_the_same(database: Database) -> None:
    scene = Scene(database, "0 9", BURST)
    scene.slack.fail(DOWN)
    scene.until(2)
    scene.person(ActionType.COMMENT, text="the provider is down")
    scene.until(6).slack.mend()
    scene.rest_until(15)
    assert scene.slack.only.text == "G1: A1 resolved"
    assert scene.slack.thread(scene.slack.only) == ["act: U1: the provider is down"]


def test_an_alert_that_came_and_went_is_not_told_late_where_the_route_forgets_brief_ones(database: Database) -> None:
    scene = Scene(database, "0 9", BURST, routes=[replace(AT_ONCE, forget_brief=True)])
    scene.slack.fail(DOWN)
    scene.until(6).slack.mend()
    scene.rest_until(15)
    assert scene.slack.messages == []
    assert waiting(database) == 0


def test_an_alert_that_still_fires_calls_people_when_it_can_be_sent_at_last(database: Database) -> None:
    scene = Scene(database, "0 9", rule(threshold(window="300m", above=5)), routes=[PAGING])
    scene.slack.fail(DOWN)
    scene.until(1).rest_until(30).slack.mend()
    scene.rest_until(40)
    assert (scene.slack.only.text, scene.slack.only.mention) == ("G1: A1 firing warning 9", ("@here",))


def test_what_is_older_than_a_day_is_given_up_and_the_operators_hear_how_many_and_which(database: Database) -> None:
    route = replace(AT_ONCE, escalate=(Step(timedelta(minutes=5), ("S0LEADS",)),))
    scene = Scene(database, "0 9", rule(threshold(window="4000m", above=5)), routes=[route]).until(2)
    scene.is_sending = False
    scene.rest_until(10)
    scene.is_feed_poll = scene.is_evaluating = False
    scene.now += timedelta(hours=24)
    scene.is_sending = True
    scene.send()
    assert "older than 24 hours" in given_up(database)
    (told,) = [message.text for message in scene.slack.posted(BOTS)]
    assert "1 notification was given up" in told
    assert "G1 (escalation)" in told
    scene.send()
    assert len(scene.slack.posted(BOTS)) == 1


def test_the_first_message_of_an_alert_that_still_fires_is_sent_however_late(database: Database) -> None:
    scene = Scene(database, "0 9", rule(threshold(window="4000m", above=5)), routes=[PAGING])
    scene.is_sending = False
    scene.until(1)
    scene.is_feed_poll = scene.is_evaluating = False
    scene.now = at(1) + timedelta(hours=49)
    scene.send()
    assert (scene.slack.only.text, scene.slack.only.mention) == ("G1: A1 firing warning 9", ("@here",))
    assert given_up(database) == []


def test_the_first_message_of_an_alert_that_is_over_is_given_up_after_a_day(database: Database) -> None:
    scene = Scene(database, "0 9", rule(threshold(window="5m", above=5)))
    scene.is_sending = False
    scene.until(10)
    scene.is_feed_poll = scene.is_evaluating = False
    scene.now += timedelta(hours=24, seconds=1)
    scene.send()
    assert [message.text for message in scene.slack.posted(CHANNEL)] == []
    assert "older than 24 hours" in given_up(database)
    assert len(scene.slack.posted(BOTS)) == 1


def test_a_message_that_stands_in_slack_becomes_true_however_late(database: Database) -> None:
    scene = Scene(database, "0 9", rule(threshold(window="5m", above=5))).until(2)
    scene.is_sending = False
    scene.until(10)
    scene.is_feed_poll = scene.is_evaluating = False
    scene.now += timedelta(hours=49)
    scene.send()
    (message,) = scene.slack.posted(CHANNEL)
    assert "resolved" in message.text


def test_what_operators_have_to_know_is_sent_however_late(database: Database) -> None:
    scene = Scene(database, "0 0", rule(threshold(window="5m", above=5)))
    with database.transaction() as tx:
        outbox.add_alone(
            tx, Notification(NotificationKind.OPERATOR, ping=False, lines=("look",)), channel=BOTS, now=scene.now
        )
    scene.now += timedelta(hours=49)
    scene.send()
    assert len(scene.slack.posted(BOTS)) == 1


def test_a_message_that_waited_for_a_day_is_sent_when_what_it_shows_is_younger(database: Database) -> None:
    scene = Scene(database, "0 9", rule(threshold(window="4000m", above=5))).until(1)
    scene.is_sending = False
    scene.person(ActionType.ASSIGN, text="U2")
    scene.now += timedelta(hours=23)
    scene.person(ActionType.ACKNOWLEDGE)
    scene.now += timedelta(hours=2)
    scene.is_sending = True
    scene.send()
    (message,) = scene.slack.posted(CHANNEL)
    assert message.text == "G1: A1 acknowledged warning 9"


def test_processes_that_send_at_the_same_time_send_each_notification_once(database: Database) -> None:
    drawn = {f"acme-{place}/llm-1": "0 9" for place in range(12)}
    scene = Scene(database, drawn, LASTING)
    scene.is_sending = False
    scene.until(1)

    def send(turn: int) -> None:
        delivery = replace(scene.delivery, owner=f"replica {turn}")
        while rows := claim_due(database, delivery, limit=2):
            for row in rows:
                deliver(database, delivery, row)

    in_threads(3, send)
    assert waiting(database) == 0
    assert sorted(tried(scene)) == ["post"] * 12
    assert len({message.text for message in scene.slack.posted()}) == 12
