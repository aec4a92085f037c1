"""The look-alike's Socket Mode, used by a real Bolt app with the SDK's own client."""

from collections.abc import Iterator

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from alertbot.demo.slack.server import SlackServer
from alertbot.demo.slack.world import World
from tests.demo.slack_apps import BUTTONS, client_of, connected, modal, section


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    with SlackServer() as slack, connected(slack, ping_interval=0.2):
        yield slack


def post_buttons(slack: SlackServer):
    ts = client_of(slack).chat_postMessage(channel="#ai-alerts", text="fire", blocks=[section("fire"), BUTTONS])["ts"]
    return slack.message("#ai-alerts", ts)


def test_a_command_is_acknowledged_with_an_answer_for_one(slack):
    delivery = slack.command("/alertbot assign A42 @ben", user="U3", channel="#leads")
    assert delivery.acknowledged
    [answer] = slack.answers(delivery)
    assert (answer.text, answer.visible_to) == ("heard assign A42 <@U2|ben>", "U3")


def test_a_response_url_can_answer_all(slack):
    delivery = slack.command("/alertbot twice")
    slack.wait_for(lambda: len(slack.answers(delivery)) == 2)
    assert {answer.visible_to for answer in slack.answers(delivery)} == {"U1", None}


def test_a_response_url_works_five_times(slack):
    delivery = slack.command("/alertbot hello")
    webhook = WebhookClient(delivery.payload["response_url"])
    assert [webhook.send(text="x").status_code for _ in range(6)] == [200] * 5 + [404]


def test_a_response_url_works_for_half_an_hour():
    moments = [1_700_000_000.0]
    with SlackServer(ack_seconds=0.01, clock=lambda: moments[-1]) as slack:
        delivery = slack.command("/alertbot hello")
        webhook = WebhookClient(delivery.payload["response_url"])
        assert webhook.send(text="x").status_code == 200
        moments.append(moments[-1] + 30 * 60 + 1)
        refused = webhook.send(text="x")
        assert (refused.status_code, "expired_url" in refused.body) == (404, True)


def test_a_command_that_the_app_does_not_have_never_reaches_it(slack):
    with pytest.raises(LookupError, match="/alertbot"):
        slack.command("/other status")


def test_a_click_replaces_the_message_and_keeps_what_it_was(slack):
    message = post_buttons(slack)
    assert slack.click(message, "acknowledge", user="U2").acknowledged
    slack.wait_for(lambda: slack.message("#ai-alerts", message.ts).edits)
    assert slack.message("#ai-alerts", message.ts).text == "acknowledged by <@U2>"


def test_a_menu_brings_what_was_chosen(slack):
    delivery = slack.click(post_buttons(slack), "snooze", value="1h")
    [answer] = slack.wait_for(lambda: slack.answers(delivery))
    assert answer.text == "snoozed for 1h"


def test_a_click_on_what_is_not_there_tells_what_is(slack):
    with pytest.raises(LookupError, match="acknowledge, silence, snooze"):
        slack.click(post_buttons(slack), "explode")


def test_a_modal_is_opened_completed_and_submitted(slack):
    slack.click(post_buttons(slack), "silence", user="U3")
    [view] = slack.wait_for(lambda: slack.modals("U3"))
    assert slack.submit_view(view).problem == "incomplete: {'comment': 'Please complete this required field.'}"
    assert slack.submit_view(view, {"text": "bad"}).ack == {
        "response_action": "errors",
        "errors": {"comment": "say why"},
    }
    assert slack.view(view.id).errors == {"comment": "say why"}
    slack.submit_view(view, {"text": "again"})
    [view] = slack.wait_for(lambda: slack.modals("U3"))
    assert view.content["title"]["text"] == "Really?"
    assert slack.submit_view(view, {"comment": "planned work"}).acknowledged
    assert slack.modals("U3") == []


def test_modals_stack_three_high_and_a_trigger_works_once(slack):
    client = client_of(slack)
    delivery = slack.command("/alertbot hello", user="U2")
    trigger_id = delivery.payload["trigger_id"]
    bottom = client.views_open(trigger_id=trigger_id, view=modal(external_id="bottom"))["view"]
    with pytest.raises(SlackApiError) as failed:
        client.views_open(trigger_id=trigger_id, view=modal())
    assert failed.value.response["error"] == "exchanged_trigger_id"
    for title in ("Second", "Third"):
        client.views_push(trigger_id=slack.context.new_trigger("U2"), view=modal(title))
    with pytest.raises(SlackApiError) as failed:
        client.views_push(trigger_id=slack.context.new_trigger("U2"), view=modal("Fourth"))
    assert failed.value.response["error"] == "push_limit_reached"
    client.views_update(external_id="bottom", view=modal("Below"))
    with pytest.raises(SlackApiError) as failed:
        client.views_update(view_id=bottom["id"], hash=bottom["hash"], view=modal("Late"))
    assert failed.value.response["error"] == "hash_conflict"
    assert [view.content["title"]["text"] for view in slack.modals("U2")] == ["Below", "Second", "Third"]
    while slack.modals("U2"):
        slack.close_view(slack.modals("U2")[-1])


def test_a_trigger_expires(slack):
    moments = [1_700_000_000.0]
    with SlackServer(clock=lambda: moments[-1]) as other:
        trigger_id = other.context.new_trigger("U1")
        moments.append(moments[-1] + 3.1)
        with pytest.raises(SlackApiError) as failed:
            client_of(other).views_open(trigger_id=trigger_id, view=modal())
        assert failed.value.response["error"] == "expired_trigger_id"


def test_home_is_published_for_whoever_opens_it(slack):
    assert slack.open_home("U2").acknowledged
    view = slack.wait_for(lambda: slack.home("U2"))
    assert view.blocks[0]["text"]["text"] == "All quiet"
    assert slack.home("U3") is None


def test_an_envelope_that_comes_twice_is_acknowledged_twice_but_answered_once(slack):
    delivery = slack.command("/alertbot hello")
    slack.redeliver(delivery)
    assert (delivery.attempts, delivery.acknowledgements) == (2, 2)
    assert len(slack.answers(delivery)) == 1


@pytest.mark.parametrize("close", [False, True])
def test_a_disconnect_frame_makes_the_client_come_back(slack, close):
    slack.wait_for(lambda: slack.connections == 1)
    opened = len(slack.calls_of("apps.connections.open"))
    assert slack.disconnect(close=close) == 1
    slack.wait_for(lambda: len(slack.calls_of("apps.connections.open")) > opened)
    slack.wait_for_connection()
    slack.wait_for(lambda: slack.command("/alertbot still there?").acknowledged)


def test_a_cut_connection_is_opened_anew(slack):
    closed = slack.fault("error", "apps.connections.open", times=None)
    slack.cut_connections()
    slack.wait_for(lambda: slack.connections == 0)
    assert slack.command("/alertbot hello").problem == "dispatch_failed"
    slack.clear_faults(closed)
    slack.wait_for_connection()
    assert slack.command("/alertbot hello").acknowledged


def test_each_payload_goes_to_one_of_several_connections(slack):
    with connected(slack, count=2):
        deliveries = [slack.command("/alertbot hello") for _ in range(20)]
        assert all(delivery.acknowledgements == 1 for delivery in deliveries)
        assert all(connection.envelopes for connection in slack.deliveries.sockets.connections)
    slack.wait_for(lambda: slack.connections == 1)


def test_block_ids_and_action_ids_that_the_app_leaves_out_are_given():
    world = World(clock=lambda: 1.0)
    button = {"type": "button", "text": {"type": "plain_text", "text": "x"}}
    content = world.view_content({"type": "home", "blocks": [{"type": "actions", "elements": [button]}]})
    assert content["blocks"][0]["block_id"]
    assert content["blocks"][0]["elements"][0]["action_id"]
