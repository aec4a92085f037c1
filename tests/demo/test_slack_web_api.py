"""The look-alike's Web API, asked by the real slack_sdk client."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import RateLimitErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from alertbot.demo.slack.calls import ALL_SCOPES
from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.records import Change
from alertbot.demo.slack.server import SlackServer
from tests.demo.slack_apps import BUTTONS, client_of, modal, section

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture(scope="module")
def running() -> Iterator[SlackServer]:
    with SlackServer() as slack:
        yield slack


@pytest.fixture
def slack(running: SlackServer) -> Iterator[SlackServer]:
    yield running
    running.clear_faults()


@pytest.fixture
def client(slack: SlackServer) -> WebClient:
    return client_of(slack)


@pytest.fixture
def channel(slack: SlackServer, request: pytest.FixtureRequest) -> str:
    """A channel of its own for each test."""
    return slack.add_channel(f"c-{len(slack.world.channels)}").id


def error_of(failed: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(failed.value.response["error"])


def test_the_token_tells_who_one_is_and_which_scopes_were_granted(slack, client):
    answer = client.auth_test()
    assert (answer["user_id"], answer["team"]) == ("U0ALERTBOT", "Acme")
    assert set(answer.headers["x-oauth-scopes"].split(",")) == ALL_SCOPES


def test_a_message_is_posted_by_name_and_edited_by_id(slack, client, channel):
    name = slack.channel(channel).name
    posted = client.chat_postMessage(channel=f"#{name}", text="3 violations", blocks=[section("*3* violations")])
    assert posted["channel"] == channel
    with pytest.raises(SlackApiError) as failed:
        client.chat_update(channel=name, ts=posted["ts"], text="x")
    assert error_of(failed) == "channel_not_found"
    client.chat_update(channel=channel, ts=posted["ts"], text="4 violations", blocks=[section("*4* violations")])
    [message] = slack.messages(name)
    assert message.text == "4 violations"
    assert [version.text for version in message.edits] == ["3 violations"]


def test_what_an_edit_does_not_name_stays(slack, client, channel):
    metadata = {"event_type": "notice", "event_payload": {"id": "n1"}}
    posted = client.chat_postMessage(channel=channel, text="a", blocks=[section("a")], metadata=metadata)
    client.chat_update(channel=channel, ts=posted["ts"], text="b")
    message = slack.message(channel, posted["ts"])
    assert message.metadata == metadata
    assert message.blocks[0]["text"]["text"] == "a"


def test_every_ts_is_new_and_later_than_the_last(slack, client, channel):
    stamps = [client.chat_postMessage(channel=channel, text="x")["ts"] for _ in range(5)]
    assert stamps == sorted(set(stamps))
    assert all(len(ts.partition(".")[2]) == 6 for ts in stamps)


def test_history_gives_back_the_metadata_of_posts_newest_first_and_pages_them(client, channel):
    for number in range(5):
        metadata = {"event_type": "notice", "event_payload": {"id": str(number)}}
        client.chat_postMessage(channel=channel, text=str(number), metadata=metadata)
    first = client.conversations_history(channel=channel, limit=2, include_all_metadata=True)
    assert [message["metadata"]["event_payload"]["id"] for message in first["messages"]] == ["4", "3"]
    cursor = first["response_metadata"]["next_cursor"]
    second = client.conversations_history(channel=channel, limit=2, cursor=cursor)
    assert [message["text"] for message in second["messages"]] == ["2", "1"]
    assert "metadata" not in second["messages"][0]


def test_history_is_cut_to_what_lies_between_two_moments(client, channel):
    stamps = [client.chat_postMessage(channel=channel, text=str(n))["ts"] for n in range(4)]
    between = client.conversations_history(channel=channel, oldest=stamps[0], latest=stamps[3])
    assert [message["text"] for message in between["messages"]] == ["2", "1"]
    with_ends = client.conversations_history(channel=channel, oldest=stamps[0], latest=stamps[3], inclusive=True)
    assert len(with_ends["messages"]) == 4


def test_replies_are_in_their_thread_and_in_the_channel_only_when_broadcast(client, channel):
    head = client.chat_postMessage(channel=channel, text="head")["ts"]
    reply = client.chat_postMessage(channel=channel, text="reply", thread_ts=head)["ts"]
    client.chat_postMessage(channel=channel, text="to all", thread_ts=reply, reply_broadcast=True)
    thread = client.conversations_replies(channel=channel, ts=head)["messages"]
    assert [message["text"] for message in thread] == ["head", "reply", "to all"]
    assert thread[0]["reply_count"] == 2
    history = client.conversations_history(channel=channel)["messages"]
    assert [message["text"] for message in history] == ["to all", "head"]


def test_a_message_that_a_user_deleted_cannot_be_edited(slack, client, channel):
    posted = client.chat_postMessage(channel=channel, text="x")
    slack.delete_message(slack.message(channel, posted["ts"]))
    with pytest.raises(SlackApiError) as failed:
        client.chat_update(channel=channel, ts=posted["ts"], text="y")
    assert error_of(failed) == "message_not_found"
    assert client.conversations_history(channel=channel)["messages"] == []


def test_what_others_wrote_cannot_be_edited(slack, client, channel):
    said, _ = slack.say("hello", channel=channel)
    with pytest.raises(SlackApiError) as failed:
        client.chat_update(channel=channel, ts=said.ts, text="y")
    assert error_of(failed) == "cant_update_message"


@pytest.mark.parametrize(
    ("befalls", "error"),
    [
        ("archive", "is_archived"),
        ("delete_channel", "channel_not_found"),
        ("revoke_token", "token_revoked"),
    ],
)
def test_what_befalls_a_channel_or_the_token_is_told_to_the_next_post(befalls, error):
    with SlackServer() as slack:
        getattr(slack, befalls)(*([] if befalls == "revoke_token" else ["#leads"]))
        with pytest.raises(SlackApiError) as failed:
            client_of(slack).chat_postMessage(channel="#leads", text="x")
        assert error_of(failed) == error


def test_a_channel_that_the_app_left_is_closed_to_it_unless_it_may_post_everywhere(slack, client, channel):
    slack.remove_bot(channel)
    client.chat_postMessage(channel=channel, text="x")
    slack.grant_scopes(ALL_SCOPES - {"chat:write.public"})
    try:
        with pytest.raises(SlackApiError) as failed:
            client.chat_postMessage(channel=channel, text="x")
        assert error_of(failed) == "not_in_channel"
        slack.grant_scopes({"users:read"})
        with pytest.raises(SlackApiError) as failed:
            client.chat_postMessage(channel=channel, text="x")
        assert (error_of(failed), failed.value.response["needed"]) == ("missing_scope", "chat:write")
    finally:
        slack.grant_scopes(ALL_SCOPES)
    private = slack.add_channel("secret", is_private=True, bot_is_member=False)
    with pytest.raises(SlackApiError) as failed:
        client.conversations_info(channel=private.id)
    assert error_of(failed) == "channel_not_found"


@pytest.mark.parametrize(
    ("post", "error"),
    [
        pytest.param({}, "no_text", id="nothing to say"),
        pytest.param({"blocks": "[{"}, "invalid_blocks_format", id="blocks that are no JSON"),
        pytest.param({"blocks": [section("x")] * 51}, "invalid_blocks", id="51 blocks"),
        pytest.param({"blocks": [section("")]}, "invalid_blocks", id="an empty text"),
        pytest.param({"blocks": [section("x" * 2900)] * 5}, "msg_blocks_too_long", id="14,500 characters in all"),
        pytest.param({"attachments": [{"text": "x"}] * 101}, "too_many_attachments", id="101 attachments"),
        pytest.param({"attachments": [{"blocks": [section("")]}]}, "invalid_attachments", id="a bad attachment"),
        pytest.param({"text": "x", "markdown_text": "y"}, "markdown_text_conflict", id="two kinds of text"),
        pytest.param({"text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_schema", id="no payload"),
        pytest.param(
            {"text": "x", "metadata": {"event_type": "x", "event_payload": {"a": "x" * 3000}}},
            "metadata_too_large",
            id="metadata of 3 kB",
        ),
    ],
)
def test_a_post_that_slack_refuses_is_refused_here(client, channel, post, error):
    with pytest.raises(SlackApiError) as failed:
        client.api_call("chat.postMessage", json={"channel": channel, **post})
    assert error_of(failed) == error


def test_a_refusal_names_the_place(client, channel):
    with pytest.raises(SlackApiError) as failed:
        client.chat_postMessage(channel=channel, text="x", blocks=[section("ok"), section("x" * 3001)])
    assert failed.value.response["errors"] == ["must be less than 3001 characters [json-pointer:/blocks/1/text/text]"]


def test_a_long_text_is_cut_when_posted_and_refused_when_edited(slack, client, channel):
    posted = client.chat_postMessage(channel=channel, text="x" * 40_001)
    assert posted["warning"] == "message_truncated"
    assert len(slack.message(channel, posted["ts"]).text) == 40_000
    with pytest.raises(SlackApiError) as failed:
        client.chat_update(channel=channel, ts=posted["ts"], text="x" * 4001)
    assert error_of(failed) == "msg_too_long"


@pytest.mark.parametrize(
    ("kind", "more", "status", "posted"),
    [
        (FaultKind.RATE_LIMITED, {"retry_after": 7}, 429, False),
        (FaultKind.SERVER_ERROR, {"status": 502}, 502, False),
        (FaultKind.HTML, {}, 200, False),
        (FaultKind.CUT_JSON, {}, 200, True),
        (FaultKind.ERROR, {"error": "fatal_error"}, 200, False),
    ],
)
def test_a_fault_strikes_one_channel_as_often_as_it_was_set(slack, client, channel, kind, more, status, posted):
    slack.fault(kind, "chat.postMessage", channel=channel, **more)
    client.chat_postMessage(channel="#leads", text="elsewhere")
    with pytest.raises(SlackApiError) as failed:
        client.chat_postMessage(channel=channel, text="struck")
    assert failed.value.response.status_code == status
    assert failed.value.response.headers.get("Retry-After") == ("7" if kind is FaultKind.RATE_LIMITED else None)
    assert bool(slack.messages(channel)) is posted
    client.chat_postMessage(channel=channel, text="passed")
    assert slack.calls_of("chat.postMessage", channel)[-2].done is posted


def test_a_lost_answer_leaves_the_message_in_the_channel_and_a_refused_call_does_not(slack, client, channel):
    for kind, count in ((FaultKind.REFUSED, 0), (FaultKind.LOST_ANSWER, 1)):
        slack.fault(kind, "chat.postMessage")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            client.chat_postMessage(channel=channel, text="x")
        assert len(slack.messages(channel)) == count


def test_a_client_that_honours_retry_after_gets_through(slack, channel):
    slack.fault(FaultKind.RATE_LIMITED, "chat.postMessage", channel=channel, retry_after=0)
    patient = client_of(slack)
    patient.retry_handlers.append(RateLimitErrorRetryHandler())
    patient.chat_postMessage(channel=channel, text="x")
    assert [call.outcome for call in slack.calls_of("chat.postMessage", channel)] == ["ratelimited", "ok"]


def test_slacks_own_limits_can_be_held():
    with SlackServer(enforce_rate_limits=True) as slack:
        client = client_of(slack)
        for _ in range(5):
            client.chat_postMessage(channel="#leads", text="x")
        with pytest.raises(SlackApiError) as failed:
            client.chat_postMessage(channel="#leads", text="x")
        assert int(failed.value.response.headers["Retry-After"]) >= 1
        client.chat_postMessage(channel="#ai-alerts", text="another channel passes")


def test_a_file_is_there_a_moment_after_its_upload_was_completed(slack, client, channel):
    answer = client.files_upload_v2(channel=channel, content=PNG, filename="chart.png", title="Chart")
    file_id = answer["file"]["id"]
    assert client.files_info(file=file_id)["file"]["mimetype"] in {"", "image/png"}
    slack.wait_for(lambda: slack.messages(channel), channel=channel)
    info = client.files_info(file=file_id)["file"]
    assert info["mimetype"] == "image/png"
    assert info["shares"]["public"][channel][0]["ts"] == slack.messages(channel)[0].ts


def test_a_block_may_show_a_file_only_when_slack_has_worked_on_it(client, channel):
    with SlackServer(file_seconds=3600) as slow:
        sent = client_of(slow).files_upload_v2(content=PNG, filename="chart.png")
        image = {"type": "image", "slack_file": {"id": sent["file"]["id"]}, "alt_text": "chart"}
        with pytest.raises(SlackApiError) as failed:
            client_of(slow).chat_postMessage(channel="#leads", text="x", blocks=[image])
    assert error_of(failed) == "invalid_blocks"
    assert "invalid slack file" in failed.value.response["errors"][0]


def test_people_and_groups_are_looked_up(client):
    assert client.users_info(user="U1")["user"]["tz"] == "Europe/Madrid"
    assert client.users_lookupByEmail(email="ben@acme.example")["user"]["id"] == "U2"
    assert len(client.users_list()["members"]) == 4
    assert client.usergroups_list()["usergroups"][0]["handle"] == "ai-team"
    assert client.usergroups_users_list(usergroup="S0123TEAM")["users"] == ["U1", "U2"]
    with pytest.raises(SlackApiError) as failed:
        client.users_info(user="U404")
    assert error_of(failed) == "user_not_found"


def test_channels_are_listed_joined_and_described(slack, client, channel):
    slack.remove_bot(channel)
    assert client.conversations_info(channel=channel)["channel"]["is_member"] is False
    client.conversations_join(channel=channel)
    assert "U0ALERTBOT" in client.conversations_members(channel=channel)["members"]
    names = {each["name"] for each in client.conversations_list(limit=1000)["channels"]}
    assert {"ai-alerts", "ai-oncall", "leads"} <= names


def test_a_message_to_a_user_goes_to_the_direct_messages(slack, client):
    posted = client.chat_postMessage(channel="U2", text="psst")
    assert posted["channel"] == client.conversations_open(users="U2")["channel"]["id"]
    assert posted["channel"].startswith("D")


def test_an_ephemeral_message_is_for_one_and_not_in_the_history(slack, client, channel):
    client.chat_postEphemeral(channel=channel, user="U2", text="only you")
    assert [message.text for message in slack.ephemerals("U2", channel)] == ["only you"]
    assert client.conversations_history(channel=channel)["messages"] == []


def test_a_permalink_leads_to_the_message(slack, client, channel):
    ts = client.chat_postMessage(channel=channel, text="x")["ts"]
    link = client.chat_getPermalink(channel=channel, message_ts=ts)["permalink"]
    assert link == f"{slack.url}/archives/{channel}/p{ts.replace('.', '')}"


def test_blocks_are_validated_without_a_token(slack):
    nobody = WebClient(base_url=slack.api_url, retry_handlers=[])
    assert nobody.api_call("blocks.validate", json={"blocks": [BUTTONS]})["ok"]
    with pytest.raises(SlackApiError) as failed:
        nobody.api_call("blocks.validate", json={"view": modal("x" * 25)})
    assert failed.value.response["errors"][0]["pointer"] == "/title/text"


def test_wrong_tokens_methods_and_triggers_are_refused_by_name(slack, client):
    cases = [
        (WebClient(base_url=slack.api_url, retry_handlers=[]), "auth.test", {}, "not_authed"),
        (WebClient(token="xoxb-other", base_url=slack.api_url, retry_handlers=[]), "auth.test", {}, "invalid_auth"),
        (client, "apps.connections.open", {}, "not_allowed_token_type"),
        (client, "chat.whisper", {}, "unknown_method"),
        (client, "views.open", {"trigger_id": "1.2.3", "view": modal()}, "invalid_trigger_id"),
        (client, "views.publish", {"user_id": "U1", "view": {"type": "home", "blocks": [{}]}}, "invalid_arguments"),
    ]
    for each, method, arguments, error in cases:
        with pytest.raises(SlackApiError) as failed:
            each.api_call(method, json=arguments)
        assert error_of(failed) == error, method


def test_an_incoming_webhook_needs_no_token(slack):
    slack.revoke_token()
    try:
        answer = WebhookClient(slack.webhook_url).send(text="the bot is locked out")
        assert (answer.status_code, answer.body) == (200, "ok")
        assert [message.text for message in slack.webhook_messages] == ["the bot is locked out"]
        bad = WebhookClient(slack.webhook_url).send(blocks=[section("")])
        assert (bad.status_code, bad.body) == (400, "invalid_blocks")
    finally:
        slack.restore_token()


def test_a_wait_that_fails_shows_what_is_in_the_channel(slack, client, channel):
    client.chat_postMessage(channel=channel, text="fallback", blocks=[section("the *shown* text")])
    with pytest.raises(AssertionError, match=r"the \*shown\* text"):
        slack.wait_for(lambda: False, timeout=0.05, channel=channel)


def test_changes_are_told_in_order(client, slack, channel):
    heard: list[tuple[str, str]] = []

    def hear(change: Change) -> None:
        if change.message is not None:
            heard.append((change.kind.value, change.message.text))

    slack.on_change(hear)
    ts = client.chat_postMessage(channel=channel, text="one")["ts"]
    client.chat_update(channel=channel, ts=ts, text="two")
    client.chat_delete(channel=channel, ts=ts)
    slack.wait_for(lambda: len(heard) == 3)
    assert heard == [("posted", "one"), ("edited", "two"), ("deleted", "two")]


def test_channels_can_come_into_being_when_they_are_named():
    with SlackServer(auto_create_channels=True) as slack:
        client_of(slack).chat_postMessage(channel="#acme-ai", text="x")
        assert slack.messages("#acme-ai")


def test_a_held_call_waits_until_it_is_let_go(slack, client, channel):
    fault = slack.fault(FaultKind.HOLD, "chat.postMessage", channel=channel)
    with ThreadPoolExecutor() as threads:
        held = threads.submit(client.chat_postMessage, channel=channel, text="late")
        slack.wait_for(lambda: fault.hits)
        assert slack.messages(channel) == []
        slack.clear_faults(fault)
        assert held.result()["ok"]
    assert len(slack.messages(channel)) == 1


def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_behind(slack):
    other = SlackServer(port=int(slack.url.rpartition(":")[2]))
    with pytest.raises(OSError, match="address already in use"):
        other.start()
    other.stop()
