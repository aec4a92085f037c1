"""Each way in which a call to Slack fails, through the real client, and what has to be done about it."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from slack_sdk import WebClient

from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.server import SlackServer
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
from alertbot.slack.bot import web_client
from alertbot.slack.errors import translate_errors
from tests.slack.scripted_slack import ScriptedSlack

JSON = {"Content-Type": "application/json"}
METHOD = "chat.postMessage"


def client_of(api_url: str, timeout: float = 1.0) -> WebClient:
    return web_client("xoxb-1", api_url=api_url, timeout=timedelta(seconds=timeout))


def failure(client: WebClient, method: str = METHOD) -> SlackError:
    with pytest.raises(SlackError) as caught, translate_errors(method):
        client.api_call(method, json={"channel": "#ai-alerts", "text": "x"})
    return caught.value


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedSlack]:
    with ScriptedSlack() as server:
        yield server


CODES: dict[type[SlackError], str] = {
    SlackBusy: "ratelimited rate_limited message_limit_exceeded",
    SlackUnavailable: "service_unavailable external_channel_migrating team_added_to_org",
    SlackUncertain: "fatal_error internal_error request_timeout update_failed",
    SlackRefused: (
        "invalid_auth not_authed account_inactive token_revoked token_expired missing_scope not_allowed_token_type"
        " access_denied accesslimited app_access_restricted ekm_access_denied org_login_required link_disabled"
    ),
    SlackDestination: (
        "channel_not_found not_in_channel is_archived is_inactive restricted_action restricted_action_read_only_channel"
        " messages_tab_disabled user_not_in_channel user_not_found posting_to_channel_denied"
    ),
    SlackGone: (
        "message_not_found cant_update_message edit_window_closed cannot_reply_to_message"
        " restricted_action_thread_locked thread_not_found block_mismatch"
    ),
    SlackRejected: (
        "invalid_blocks invalid_blocks_format invalid_attachments msg_blocks_too_long msg_too_long no_text"
        " metadata_too_large too_many_attachments invalid_arguments unknown_method a_code_of_next_year"
    ),
}


@pytest.mark.parametrize(
    ("code", "kind"), [(code, kind) for kind, codes in CODES.items() for code in codes.split()], ids=str
)
def test_a_code_of_slacks_tells_what_to_do(scripted, code, kind):
    scripted.will(200, f'{{"ok": false, "error": "{code}"}}', JSON)
    error = failure(client_of(scripted.api_url))
    assert type(error) is kind
    assert error.code == code


UNREADABLE = {
    "a page of a proxy, with 200": (200, "<html><body>Sign in</body></html>", {"Content-Type": "text/html"}),
    "a page of a proxy, with 502": (502, "<html>Bad gateway</html>", {"Content-Type": "text/html"}),
    "an empty answer, with 200": (200, "", JSON),
    "an empty answer, with 500": (500, "", {}),
    "JSON that is cut": (200, '{"ok": true, "ts": "17', JSON),
    "a list": (200, "[1]", JSON),
    "a number": (200, "3", JSON),
    "null": (200, "null", JSON),
    "ok false without a code": (200, '{"ok": false}', JSON),
    "a code that is an object": (200, '{"ok": false, "error": {"code": 1}}', JSON),
    "bytes that are not UTF-8": (200, b"\xff\xfe\x00", JSON),
    "a charset that nobody knows": (200, '{"ok": true}', {"Content-Type": "text/html; charset=nonsense"}),
    "JSON that nests without end": (200, "[" * 100_000, JSON),
    "404 of something else": (404, "not found", {}),
}


@pytest.mark.parametrize(("status", "body", "headers"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_answer_that_cannot_be_read_leaves_it_uncertain_whether_slack_acted(scripted, status, body, headers):
    scripted.will(status, body, headers)
    assert type(failure(client_of(scripted.api_url))) is SlackUncertain


PAUSES = {
    "as slack asks": ({"Retry-After": "7"}, '{"ok": false, "error": "ratelimited"}', 7.0),
    "as a proxy asks, in HTML": ({"Retry-After": "7", "Content-Type": "text/html"}, "<html>", 7.0),
    "parts of a second": ({"Retry-After": "1.5"}, "", 1.5),
    "half a minute where nothing is said": ({}, '{"ok": false, "error": "ratelimited"}', 30.0),
    "half a minute where a date is given": ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", 30.0),
    "a second where none is asked for": ({"Retry-After": "0"}, "", 1.0),
    "half a minute where it cannot be meant": ({"Retry-After": "99999999999999"}, "", 30.0),
    "a day at most": ({"Retry-After": "999999999"}, "", 86_400.0),
}


@pytest.mark.parametrize(("headers", "body", "pause"), PAUSES.values(), ids=PAUSES.keys())
def test_after_a_429_we_wait(scripted, headers, body, pause):
    scripted.will(429, body, headers)
    error = failure(client_of(scripted.api_url))
    assert isinstance(error, SlackBusy)
    assert error.retry_after == pause


def test_a_200_that_says_ratelimited_is_a_pause_too(scripted):
    scripted.will(200, '{"ok": false, "error": "ratelimited"}', {**JSON, "Retry-After": "3"})
    error = failure(client_of(scripted.api_url))
    assert isinstance(error, SlackBusy)
    assert error.retry_after == 3.0


def test_a_missing_scope_is_named(scripted):
    scripted.will(200, '{"ok": false, "error": "missing_scope", "needed": "chat:write"}', JSON)
    assert "needed: chat:write" in str(failure(client_of(scripted.api_url)))


def test_the_places_that_slack_objects_to_are_named_and_their_content_is_not(scripted):
    body = '{"ok": false, "error": "invalid_blocks", "errors": [{"pointer": "/blocks/0/text", "message": "maria"}]}'
    scripted.will(200, body, JSON)
    error = failure(client_of(scripted.api_url))
    assert "/blocks/0/text" in str(error)
    assert "maria" not in str(error)


def test_what_a_proxy_says_is_not_repeated(scripted):
    scripted.will(502, "<html>secret-of-the-proxy</html>", {"Content-Type": "text/html"})
    assert "secret" not in str(failure(client_of(scripted.api_url)))


def test_a_port_that_nobody_listens_on_means_that_nothing_arrived():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert type(failure(client_of(f"http://127.0.0.1:{port}/api/"))) is SlackUnavailable


def test_a_name_that_does_not_resolve_means_that_nothing_arrived():
    assert type(failure(client_of("http://slack.invalid/api/"))) is SlackUnavailable


def test_no_answer_in_time_is_uncertain(scripted):
    scripted.will_be_silent()
    error = failure(client_of(scripted.api_url))
    assert type(error) is SlackUncertain
    assert error.code == "no_answer"


FAULTS = {
    "429": (FaultKind.RATE_LIMITED, {"retry_after": 4}, SlackBusy),
    "500": (FaultKind.SERVER_ERROR, {"status": 500}, SlackUncertain),
    "503": (FaultKind.SERVER_ERROR, {"status": 503}, SlackUncertain),
    "HTML": (FaultKind.HTML, {}, SlackUncertain),
    "cut JSON": (FaultKind.CUT_JSON, {}, SlackUncertain),
    "a lost answer": (FaultKind.LOST_ANSWER, {}, SlackUncertain),
    "a connection that breaks": (FaultKind.REFUSED, {}, SlackUncertain),
}


@pytest.mark.parametrize(("fault", "more", "kind"), FAULTS.values(), ids=FAULTS.keys())
def test_no_failure_makes_the_client_post_a_second_time(fault, more, kind):
    with SlackServer(page=False) as slack:
        slack.fault(fault, METHOD, **more)
        client = web_client(slack.bot_token, api_url=slack.api_url, timeout=timedelta(seconds=5))
        assert type(failure(client)) is kind
        assert len(slack.calls_of(METHOD)) == 1
