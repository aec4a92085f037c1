import gzip
import json
import logging
import time
import traceback
from datetime import timedelta
from email.utils import format_datetime
from importlib.metadata import version
from typing import Any

import pytest
import stamina
import stamina.instrumentation

from alertbot.domain.snapshots import Configuration, Counter, Snapshot
from alertbot.errors import (
    FlashbackBusy,
    FlashbackError,
    FlashbackForbidden,
    FlashbackMissing,
    FlashbackRefused,
    FlashbackRejected,
    FlashbackUnavailable,
    FlashbackUnreadable,
)
from tests.flashback.conftest import NOON, SECOND, TOKEN
from tests.flashback.scripted_server import (
    Step,
    answer,
    cut_off,
    json_body,
    raw,
    reset,
    silence,
)

NO_STATS = json_body({"success": True, "stats": []})


def test_totals_are_asked_for_with_the_token_and_our_name(server, client):
    server.will(json_body({"success": True, "stats": [{"aiLlmId": "a", "totalApiCalls": str(2**70)}]}))
    assert client().totals().snapshots == (Snapshot("a", {Counter.API_CALLS: 2**70}),)
    (asked,) = server.requests
    assert (asked.method, asked.path, asked.query) == ("GET", "/ai/llm/stats", {})
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["user-agent"] == f"alertbot/{version('alertbot')}"


def test_the_totals_of_one_configuration_are_asked_for_by_its_id(server, client):
    server.will(json_body({"success": True, "stats": [{"totalApiCalls": "7"}]}), NO_STATS)
    asking = client()
    assert asking.totals_of("a&b=c d/ü") == Snapshot("a&b=c d/ü", {Counter.API_CALLS: 7})
    assert asking.totals_of("gone") is None
    assert [asked.query for asked in server.requests] == [{"aiLlmId": ["a&b=c d/ü"]}, {"aiLlmId": ["gone"]}]


def test_configurations_are_asked_for(server, client):
    server.will(json_body({"success": True, "aiLlms": [{"id": "a", "name": "support"}]}))
    assert client().configurations() == (Configuration("a", "support"),)
    assert server.requests[0].path == "/ai/llm"


@pytest.mark.parametrize("ending", ["/gateway/v1", "/gateway/v1/"])
def test_a_base_url_may_have_a_path_and_a_slash_at_its_end(server, client, ending: str):
    server.will(NO_STATS)
    client(server.url + ending).totals()
    assert server.requests[0].path == "/gateway/v1/ai/llm/stats"


def test_a_packed_answer_is_unpacked(server, client):
    packed = gzip.compress(json.dumps({"stats": [{"aiLlmId": "a"}]}).encode())
    server.will(answer(200, packed, content_encoding="gzip"))
    assert client().totals().snapshots == (Snapshot("a", {}),)


HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
WRONG_ANSWERS: dict[str, tuple[Step, type[FlashbackError], str]] = {
    "400 with a reason": (
        json_body({"success": False, "message": "Invalid\nfilter", "error_code": "BAD_FILTER"}, status=400),
        FlashbackRejected,
        "the server rejected the request (400 Bad Request): Invalid filter [BAD_FILTER]",
    ),
    "400 without": (answer(400), FlashbackRejected, "the server rejected the request (400 Bad Request)"),
    "401": (
        json_body({"success": False, "message": "jwt expired"}, status=401),
        FlashbackRefused,
        "the access token is wrong or has expired (401): jwt expired",
    ),
    "403": (
        json_body({"success": False, "message": "insufficient permissions"}, status=403),
        FlashbackForbidden,
        "the access token may not read /ai/llm/stats (403): insufficient permissions",
    ),
    "404": (answer(404), FlashbackMissing, "this server has no /ai/llm/stats (404)"),
    "408": (answer(408), FlashbackUnavailable, "the server failed (408 Request Timeout)"),
    "418": (answer(418), FlashbackRejected, "the server rejected the request (418 I'm a Teapot)"),
    "429 without a pause": (answer(429), FlashbackBusy, "the server's quota is used up (429)"),
    "429 with a long pause": (
        json_body({"success": False, "message": "per user"}, status=429, retry_after="120"),
        FlashbackBusy,
        "the server's quota is used up (429), asks for a pause of 120 s: per user",
    ),
    "429 with a pause until": (
        answer(429, retry_after="Sun, 22 Nov 2026 12:05:00 GMT"),
        FlashbackBusy,
        "the server's quota is used up (429), asks for a pause of 300 s",
    ),
    "500": (answer(500), FlashbackUnavailable, "the server failed (500 Internal Server Error)"),
    "502 in HTML": (answer(502, HTML), FlashbackUnavailable, "the server failed (502 Bad Gateway): 502 Bad Gateway"),
    "503 without a phrase": (
        answer(503, reason=""),
        FlashbackUnavailable,
        "the server failed (503 Service Unavailable)",
    ),
    "504": (answer(504), FlashbackUnavailable, "the server failed (504 Gateway Timeout)"),
    "599": (answer(599, reason=""), FlashbackUnavailable, "the server failed (599)"),
    "a redirect elsewhere": (
        answer(302, location="https://me:secret@login.example/sso?next=secret#secret"),
        FlashbackRejected,
        "the server redirects (302 Found), which is not followed, to https://login.example/sso: correct base_url",
    ),
    "a redirect to nowhere": (
        answer(301),
        FlashbackRejected,
        "the server redirects (301 Moved Permanently), which is not followed, to nowhere: correct base_url",
    ),
    "a redirect to nonsense": (
        answer(301, location="https://[::1"),
        FlashbackUnavailable,
        "the server redirects to an unreadable address",
    ),
    "200, but no": (
        json_body({"success": False, "message": "no organisation", "error_code": "E7"}),
        FlashbackRejected,
        'the server answered "success": false: no organisation [E7]',
    ),
    "200 in HTML": (answer(200, HTML), FlashbackUnavailable, "expected JSON, got HTML (502 Bad Gateway)"),
    "200 and nothing": (answer(200), FlashbackUnavailable, "expected JSON, got an empty body"),
    "204": (answer(204), FlashbackUnavailable, "expected JSON, got an empty body"),
    "JSON cut by a proxy": (
        answer(200, b'{"success": true, "stats": ['),
        FlashbackUnavailable,
        "expected JSON, got something that breaks off or is damaged at character 29 of 28",
    ),
    "another shape": (
        json_body({"success": True, "stats": [{}, {"aiLlmId": "a", "totalApiCalls": "1e3"}]}),
        FlashbackUnreadable,
        'stats[1].totalApiCalls: expected a decimal number, got "1e3"',
    ),
    "a body cut off": (cut_off(b'{"stats": []}', after=5), FlashbackUnavailable, "the answer was cut off"),
    "a reset": (reset, FlashbackUnavailable, "connection reset by the server"),
    "a close": (raw(b""), FlashbackUnavailable, "the server closed the connection without an answer"),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), FlashbackUnavailable, "the answer is no HTTP"),
    "not what it is packed as": (
        answer(200, b"{}", content_encoding="gzip"),
        FlashbackUnavailable,
        "the answer cannot be decompressed",
    ),
}


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 418])
def test_what_a_server_says_of_its_own_machines_is_for_operators_only(server, client, status: int):
    words = "cannot reach db.internal:5432 as root"
    server.will(json_body({"success": False, "message": words}, status=status))
    with pytest.raises(FlashbackError) as caught:
        client(budget=timedelta(seconds=60)).totals()
    assert words in str(caught.value)
    assert f"({status}" in caught.value.public
    assert "internal" not in caught.value.public


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(("step", "kind", "message"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS.keys())
def test_each_wrong_answer_has_its_error_and_one_clear_line(server, client, step, kind, message: str):
    server.will(step)
    with pytest.raises(kind) as caught:
        client(budget=timedelta(seconds=60)).totals()
    assert (type(caught.value), str(caught.value), caught.value.endpoint) == (kind, message, "/ai/llm/stats")


def test_the_budget_ends_a_call_whatever_the_attempts_would_still_take(server, client):
    server.will(silence)
    began = time.monotonic()
    with pytest.raises(FlashbackUnavailable):
        client(timeout=timedelta(seconds=0.4), budget=timedelta(seconds=0.6)).totals()
    assert 0.5 < time.monotonic() - began < 1.2  # what three attempts would take
    assert len(server.requests) == 2


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    "trouble",
    [answer(503), answer(429), answer(429, retry_after="0"), reset, cut_off(b"{}", after=1), answer(200, HTML)],
    ids=["503", "429", "429 and no pause", "reset", "cut off", "HTML"],
)
def test_passing_trouble_is_sat_out(server, client, trouble: Step):
    server.will(trouble, trouble, NO_STATS)
    assert client().totals().snapshots == ()
    assert len(server.requests) == 3


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("trouble", "attempts"),
    [(503, 3), (429, 3), (400, 1), (401, 1), (403, 1), (404, 1), (302, 1)],
)
def test_only_what_may_pass_is_tried_three_times(server, client, trouble: int, attempts: int):
    server.will(answer(trouble))
    with pytest.raises(FlashbackError):
        client().totals()
    assert len(server.requests) == attempts


def test_pauses_grow_and_stay_within_the_budget(server, client, pauses: list[float]):
    server.will(answer(503))
    with pytest.raises(FlashbackUnavailable):
        client(budget=SECOND).totals()
    first, second = pauses
    assert 0.05 <= first <= 0.1 <= second <= 0.15


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry_after": "0.3"}, 0.3),
        ({"retry_after": "Sun, 22 Nov 2026 12:00:00 GMT"}, 0.4),
        # The server's clock is years behind ours: what counts is the difference between its two times.
        ({"retry_after": "Fri, 04 Jan 2019 09:00:01 GMT", "date": "Fri, 04 Jan 2019 09:00:00 GMT"}, 1.0),
    ],
    ids=["seconds", "a time", "a time on a clock of its own"],
)
def test_the_pause_that_a_busy_server_asks_for_is_made(
    server, client, pauses: list[float], headers: dict[str, Any], pause: float
):
    server.will(answer(429, **headers), NO_STATS)
    began = time.monotonic()
    client(budget=timedelta(seconds=5), now=lambda: NOON - timedelta(seconds=0.4)).totals()
    assert pauses == [pause]
    assert time.monotonic() - began >= pause


@pytest.mark.parametrize(
    ("wanted", "retry_after"),
    [
        ("4", 4.0),
        ("3.5", 3.5),
        ("86400", 86400.0),
        ("99999999", 86400.0),
        (format_datetime(NOON + timedelta(minutes=5), usegmt=True), 300.0),
        ("Sunday, 22-Nov-26 12:05:00 GMT", 300.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
    ],
)
def test_a_pause_longer_than_the_budget_is_left_to_the_caller_at_once(server, client, wanted: str, retry_after: float):
    server.will(answer(429, retry_after=wanted))
    with pytest.raises(FlashbackBusy) as caught:
        client(budget=timedelta(seconds=3)).totals()
    assert caught.value.retry_after == retry_after
    assert len(server.requests) == 1


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("wanted", "retry_after"),
    [
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 2026 12:00:00 GMT", None),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
    ],
)
def test_a_pause_that_cannot_be_read_or_is_over_is_not_waited_for(server, client, wanted: str, retry_after: Any):
    server.will(answer(429, retry_after=wanted))
    with pytest.raises(FlashbackBusy) as caught:
        client().totals()
    assert caught.value.retry_after == retry_after
    assert len(server.requests) == 3


def test_a_refused_token_is_exchanged_and_the_question_asked_again(server, client):
    server.will(answer(401), NO_STATS)
    tokens = ["expired-token", "fresh-token\n"]
    refused = []

    def exchange(token: str) -> bool:
        refused.append(token)
        return bool(tokens.pop(0))

    client(access_token=lambda: tokens[0], on_refused=exchange).totals()
    assert refused == ["expired-token"]
    assert [asked.headers["authorization"] for asked in server.requests] == [
        "Bearer expired-token",
        "Bearer fresh-token",
    ]


@pytest.mark.parametrize(("is_exchanged", "requests"), [(True, 2), (False, 1)])
def test_a_token_that_stays_refused_is_not_tried_for_ever(server, client, is_exchanged: bool, requests: int):
    server.will(answer(401))
    with pytest.raises(FlashbackRefused):
        client(on_refused=lambda token: is_exchanged).totals()
    assert len(server.requests) == requests


def test_who_exchanges_tokens_learns_that_the_fresh_one_is_refused_as_well(server, client):
    server.will(answer(401))
    tokens, refused = ["expired", "fresh"], []

    def exchange(token: str) -> bool:
        refused.append(token)
        return len(refused) == 1

    with pytest.raises(FlashbackRefused):
        client(access_token=lambda: tokens[len(refused)], on_refused=exchange).totals()
    assert refused == ["expired", "fresh"]


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("", "the access token is empty"),
        (" \n", "the access token is empty"),
        ("two words", "the access token holds a space, a line break or a letter that no token has"),
        ("line\r\nX-Evil: 1", "the access token holds a space, a line break or a letter that no token has"),
        ("tökén", "the access token holds a space, a line break or a letter that no token has"),
    ],
)
def test_a_token_that_no_header_can_carry_is_not_sent(server, client, token: str, message: str):
    with pytest.raises(FlashbackRefused) as caught:
        client(access_token=lambda: token).totals()
    assert str(caught.value) == message
    assert server.requests == []


def test_a_token_from_a_file_may_end_with_a_line_break(server, client):
    server.will(NO_STATS)
    client(access_token=lambda: f"{TOKEN}\n").totals()
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def quoting(text: str) -> list[Step]:
    return [
        json_body({"success": False, "message": text}, status=400),
        json_body({"success": False, "message": text}),
        json_body({"success": False, "message": "x" * 270 + text}, status=403),
        json_body({"stats": [{"aiLlmId": "a", "totalApiCalls": text}]}),
        answer(200, f"<title>{text}</title>".encode()),
        answer(307, location=f"https://login.example/{text}"),
        answer(307, location=f"https://[{text}"),
        answer(500, reason=text),
        answer(200, text.encode()),
        raw(text.encode() + b"\r\n\r\n"),
    ]


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("step", quoting(f"Bearer {TOKEN}"))
def test_no_message_and_no_log_holds_the_token_or_the_address(server, client, caplog, capfd, step: Step):
    caplog.set_level(logging.DEBUG)
    server.will(step)
    stamina.instrumentation.set_on_retry_hooks([stamina.instrumentation.LoggingOnRetryHook])
    try:
        with pytest.raises(FlashbackError) as caught:
            client().totals_of("a")
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    said = f"{''.join(traceback.format_exception(caught.value))}{caplog.text}{''.join(capfd.readouterr())}"
    assert TOKEN[:10] not in said
    assert str(server.port) not in said


def test_every_request_is_told_with_its_outcome_and_its_time(server, client):
    told: list[tuple[str, str, float]] = []
    server.will(answer(503), answer(200, b"<p>"), NO_STATS, answer(403), json_body({}))
    asking = client(budget=SECOND, on_request=lambda *what: told.append(what))
    asking.totals_of("a")
    for _ in range(2):
        with pytest.raises(FlashbackError):
            asking.configurations()
    assert [(endpoint, outcome) for endpoint, outcome, _ in told] == [
        ("/ai/llm/stats", "unavailable"),
        ("/ai/llm/stats", "unavailable"),
        ("/ai/llm/stats", "ok"),
        ("/ai/llm", "forbidden"),
        ("/ai/llm", "unreadable"),
    ]
    assert all(0 < seconds < 1 for _, _, seconds in told)
