"""What the sender says in Slack, and how it finds again what it said."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.records import Message
from alertbot.demo.slack.server import SlackServer
from alertbot.domain.notifications import MessageRef, NotificationKind
from alertbot.errors import SlackDestination, SlackGone, SlackRefused, SlackRejected, SlackUncertain
from alertbot.slack.bot import web_client
from alertbot.slack.sender import SlackSender
from alertbot.slack.views.message import notification_message
from tests.slack.messages import LINK, alert, alert_message, notification, resolved, taken
from tests.slack.scripted_slack import ScriptedSlack

POST, EDIT = "chat.postMessage", "chat.update"
CHANNEL = "#ai-alerts"


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer(page=False) as server:
        yield server


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def sender(slack: SlackServer, heard: list[tuple[str, str]]) -> SlackSender:
    return sender_of(slack, heard)


def sender_of(slack: SlackServer, heard: list[tuple[str, str]], timeout: float = 5) -> SlackSender:
    client = web_client(slack.bot_token, api_url=slack.api_url, timeout=timedelta(seconds=timeout))
    return SlackSender(client, on_call=lambda method, outcome: heard.append((method, outcome)))


def a_minute_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def only_message(slack: SlackServer, channel: str = CHANNEL) -> Message:
    (message,) = slack.messages(channel, replies=False, deleted=False)
    return message


def test_a_post_shows_the_alert_and_carries_the_number_of_its_notification(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=7, mention=["U2"])
    message = only_message(slack)
    assert place == MessageRef(slack.channel(CHANNEL).id, message.ts)
    assert message.metadata == {"event_type": "alertbot_notice", "event_payload": {"notice": "7"}}
    assert message.text.startswith(notification_message(alert_message())["text"])
    assert message.text.endswith("<@U2>")
    assert message.attachments[0]["blocks"]


def test_nothing_that_is_posted_or_edited_unfurls_or_makes_links_of_its_own(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=7, mention=[])
    sender.edit(place, alert_message(resolved(alert())))
    (post,), (edit,) = slack.calls_of(POST), slack.calls_of(EDIT)
    assert (post.arguments["unfurl_links"], post.arguments["unfurl_media"]) == (False, False)
    for call in (post, edit):
        assert (call.arguments["parse"], call.arguments["link_names"]) == ("none", False)


def test_an_edit_brings_text_and_attachments_and_mentions_nobody(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=7, mention=["U2"])
    sender.edit(place, alert_message(taken(alert())))
    (call,) = slack.calls_of(EDIT)
    assert {"text", "attachments"} <= call.arguments.keys()
    message = only_message(slack)
    assert "Acknowledged" in message.text
    assert "<@U2>" not in message.text
    assert len(message.edits) == 1


def test_a_reply_goes_into_the_thread_and_one_that_pings_is_shown_in_the_channel_too(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    sender.reply(place, notification(NotificationKind.ACTION, "{0} snoozed it", people=("U1",)), number=2)
    sender.reply(
        place, notification(NotificationKind.RISE, "Rose to critical", ping=True, mention=("@here",)), number=3
    )
    quiet, loud = slack.thread(only_message(slack))
    assert (quiet.text, quiet.reply_broadcast) == (":speech_balloon: <@U1> snoozed it", False)
    assert (loud.text, loud.reply_broadcast) == ("<!here> :arrow_up: Rose to critical", True)


def test_what_belongs_to_no_message_stands_alone(slack, sender):
    place = sender.say("#leads", notification(NotificationKind.OPERATOR, "The rule x cannot be evaluated"), number=4)
    assert only_message(slack, "#leads").ts == place.ts


def test_a_post_is_found_by_its_number_in_a_channel_known_by_name(slack, sender):
    places = [
        sender.post(CHANNEL, alert_message(number=number), notification=number, mention=[]) for number in (1, 2, 3)
    ]
    assert sender.find(CHANNEL, notification=2, since=a_minute_ago(), thread=None) == places[1]
    assert sender.find("ai-alerts", notification=3, since=a_minute_ago(), thread=None) == places[2]
    assert sender.find(slack.channel(CHANNEL).id, notification=1, since=a_minute_ago(), thread=None) == places[0]


def test_a_post_of_another_bot_that_counts_its_own_notifications_is_not_taken_for_ours():
    metadata = {"event_type": "alertbot_notice", "event_payload": {"notice": "5"}}
    messages = [{"ts": ts, "bot_id": bot, "metadata": metadata} for ts, bot in (("2.0", "B2"), ("1.0", "B1"))]
    with ScriptedSlack() as scripted:
        scripted.will(200, json.dumps({"ok": True, "bot_id": "B1", "messages": messages}), {})
        sender = SlackSender(web_client("xoxb-1", api_url=scripted.api_url, timeout=timedelta(seconds=2)))
        assert sender.find("C00000001", notification=5, since=a_minute_ago(), thread=None) == MessageRef(
            "C00000001", "1.0"
        )


def test_what_was_never_posted_is_not_found(sender):
    sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    assert sender.find(CHANNEL, notification=9, since=a_minute_ago(), thread=None) is None


def test_a_reply_is_found_in_its_thread(sender):
    place = sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    replies = [sender.reply(place, notification(NotificationKind.ACTION, "x"), number=number) for number in (2, 3)]
    assert sender.find(place.channel, notification=3, since=a_minute_ago(), thread=place) == replies[1]
    assert sender.find(place.channel, notification=9, since=a_minute_ago(), thread=place) is None


def test_a_post_is_found_beyond_the_first_page_of_a_busy_channel(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    for number in range(120):
        slack.say(f"talk {number}")
    assert sender.find(CHANNEL, notification=1, since=a_minute_ago(), thread=None) == place


def test_a_channel_is_found_beyond_the_first_page_of_a_large_workspace(slack, sender):
    for number in range(1005):
        slack.add_channel(f"talk-{number}")
    slack.add_channel("late")
    place = sender.post("#late", alert_message(), notification=1, mention=[])
    assert sender.find("#late", notification=1, since=a_minute_ago(), thread=None) == place


def test_a_channel_that_does_not_exist_is_told_so(sender):
    with pytest.raises(SlackDestination):
        sender.find("#nowhere", notification=1, since=a_minute_ago(), thread=None)


def test_a_post_whose_answer_is_lost_is_there_once_and_found(slack, sender):
    slack.fault(FaultKind.LOST_ANSWER, POST)
    with pytest.raises(SlackUncertain):
        sender.post(CHANNEL, alert_message(), notification=5, mention=[])
    found = sender.find(CHANNEL, notification=5, since=a_minute_ago(), thread=None)
    assert found is not None
    assert only_message(slack).ts == found.ts


def test_a_post_whose_answer_comes_too_late_is_uncertain_and_found_later(slack, heard):
    sender = sender_of(slack, heard, timeout=1)
    held = slack.fault(FaultKind.HOLD, POST)
    with pytest.raises(SlackUncertain):
        sender.post(CHANNEL, alert_message(), notification=5, mention=[])
    slack.clear_faults(held)
    slack.wait_for(lambda: slack.messages(CHANNEL))
    assert sender.find(CHANNEL, notification=5, since=a_minute_ago(), thread=None)


def test_blocks_that_slack_does_not_take_become_a_plain_line(slack, sender, heard):
    slack.fault(FaultKind.ERROR, POST, error="invalid_attachments")
    place = sender.post(CHANNEL, alert_message(), notification=5, mention=["U2"])
    message = only_message(slack)
    assert message.attachments == []
    assert "9 violations" in message.text
    assert message.metadata == {"event_type": "alertbot_notice", "event_payload": {"notice": "5"}}
    slack.fault(FaultKind.ERROR, EDIT, error="msg_blocks_too_long")
    sender.edit(place, alert_message(taken(alert())))
    assert "Acknowledged" in only_message(slack).text
    assert heard == [(POST, "invalid_attachments"), (POST, "ok"), (EDIT, "msg_blocks_too_long"), (EDIT, "ok")]


def test_a_line_that_slack_does_not_take_either_is_given_up(slack, sender):
    slack.fault(FaultKind.ERROR, POST, error="msg_too_long", times=2)
    with pytest.raises(SlackRejected):
        sender.post(CHANNEL, alert_message(), notification=5, mention=[])


def test_an_answer_that_does_not_say_where_the_message_is_leaves_it_uncertain():
    with ScriptedSlack() as scripted:
        scripted.will(200, '{"ok": true}', {"Content-Type": "application/json"})
        sender = SlackSender(web_client("xoxb-1", api_url=scripted.api_url, timeout=timedelta(seconds=2)))
        with pytest.raises(SlackUncertain):
            sender.post(CHANNEL, alert_message(), notification=5, mention=[])
        with pytest.raises(SlackUncertain):
            sender.permalink(MessageRef("C1", "1.0"))


def test_a_message_that_was_deleted_is_gone_for_edits(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    slack.delete_message(only_message(slack))
    with pytest.raises(SlackGone):
        sender.edit(place, alert_message(taken(alert())))


REFUSALS = {
    "archived": (lambda slack: slack.archive(CHANNEL), SlackDestination, "is_archived"),
    "deleted": (lambda slack: slack.delete_channel(CHANNEL), SlackDestination, "channel_not_found"),
    "revoked": (lambda slack: slack.revoke_token(), SlackRefused, "token_revoked"),
    "without the scope": (lambda slack: slack.grant_scopes({"commands"}), SlackRefused, "missing_scope"),
}


@pytest.mark.parametrize(("befalls", "kind", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_befalls_a_channel_or_the_app_is_told_by_its_type(slack, sender, heard, befalls, kind, code):
    befalls(slack)
    with pytest.raises(kind):
        sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    assert heard == [(POST, code)]


def test_the_link_to_the_message_before_leads_there(slack, sender):
    place = sender.post(CHANNEL, alert_message(), notification=1, mention=[])
    link = sender.permalink(place)
    assert place.ts.replace(".", "") in link
    sender.edit(place, alert_message(alert(), previous=LINK))
    assert f"<{LINK}|previous alert>" in str(only_message(slack).attachments)


def test_threads_may_share_a_sender(slack, sender):
    threads = [
        threading.Thread(
            target=sender.post, args=(CHANNEL, alert_message()), kwargs={"notification": number, "mention": []}
        )
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = {message.metadata["event_payload"]["notice"] for message in slack.messages(CHANNEL) if message.metadata}
    assert numbers == {str(number) for number in range(8)}
