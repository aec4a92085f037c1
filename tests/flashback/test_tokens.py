"""Tokens are asked for once each time, within the time that is given, and nothing but tokens comes of it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.errors import FlashbackBusy, FlashbackError, FlashbackRefused, FlashbackUnavailable, FlashbackUnreadable
from alertbot.flashback.token_payloads import TokenLifetime, parse_token_response
from alertbot.flashback.tokens import LOGIN, REFRESH, Credentials, TokenServer
from tests.flashback.conftest import NOON, SECOND

Heard = list[tuple[str, str]]


@pytest.fixture
def flashback() -> Iterator[FlashbackServer]:
    with FlashbackServer(World.still(["llm-1"], start=NOON), clock=lambda: NOON) as server:
        yield server


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def tokens(flashback: FlashbackServer, heard: Heard) -> TokenServer:
    return TokenServer(
        flashback.url,
        timeout=SECOND / 2,
        now=lambda: NOON,
        on_request=lambda endpoint, outcome, _seconds: heard.append((endpoint, outcome)),
    )


def test_a_login_and_a_refresh_bring_new_tokens(tokens, flashback, heard):
    first = tokens.log_in(flashback.email, flashback.password)
    second = tokens.refresh(first.refresh_token)
    assert second.refresh_token not in {"", first.refresh_token}
    assert second.life == TokenLifetime(ends=NOON + timedelta(hours=1))
    assert heard == [(LOGIN, "ok"), (REFRESH, "ok")]


def test_a_refresh_token_works_once(tokens, flashback, heard):
    tokens.refresh(flashback.refresh_token)
    with pytest.raises(FlashbackRefused, match=r"was used before or has expired \(401\): Invalid refresh token"):
        tokens.refresh(flashback.refresh_token)
    assert heard == [(REFRESH, "ok"), (REFRESH, "refused")]


@pytest.mark.parametrize(("status", "kind"), [(503, FlashbackUnavailable), (429, FlashbackBusy)])
def test_what_opens_an_account_is_sent_once_whatever_comes(tokens, flashback, status, kind):
    flashback.fail(REFRESH, status, retry_after=7)
    with pytest.raises(kind):
        tokens.refresh(flashback.refresh_token)
    assert flashback.count(REFRESH) == 1


def test_an_answer_that_does_not_end_is_given_up_in_time(tokens, flashback):
    flashback.drip(LOGIN, 0.05)
    began = time.monotonic()
    with pytest.raises(FlashbackUnavailable, match=r"no complete answer within 0\.5 s"):
        tokens.log_in(flashback.email, flashback.password)
    assert time.monotonic() - began < 5  # the whole answer would take longer


def test_an_answer_that_is_too_large_is_not_read(tokens, flashback):
    flashback.fail(LOGIN, 200, body=b" " * 2**21)
    with pytest.raises(FlashbackUnreadable, match="larger than 1 MiB"):
        tokens.log_in(flashback.email, flashback.password)


def test_a_redirect_is_not_followed_with_what_opens_an_account(tokens, flashback):
    flashback.fail(REFRESH, 302)
    with pytest.raises(FlashbackError, match="which is not followed"):
        tokens.refresh(flashback.refresh_token)


def test_nothing_that_opens_an_account_is_shown():
    given = Credentials("token-1", "token-2", "me@acme.example", "hunter2")
    issued = parse_token_response(b'{"accessToken": "token-3", "refreshToken": "token-4"}', endpoint=LOGIN)
    assert repr(given) == "Credentials()"
    assert repr(issued) == "TokenResponse(life=TokenLifetime(begins=None, ends=None))"


@pytest.mark.parametrize(
    ("written", "moment"),
    {
        "1795345200": datetime(2026, 11, 22, 11, tzinfo=UTC),
        "1795345200000": datetime(2026, 11, 22, 11, tzinfo=UTC),
        '"1795345200000"': datetime(2026, 11, 22, 11, tzinfo=UTC),
        "1795345200.5": datetime(2026, 11, 22, 11, 0, 0, 500_000, tzinfo=UTC),
        '"2026-11-22T12:00:00+01:00"': datetime(2026, 11, 22, 11, tzinfo=UTC),
        "null": None,
        "false": None,
        "NaN": None,
        "-1e400": None,
        "[1795345200]": None,
        '"soon"': None,
    }.items(),
)
def test_when_an_access_token_ends(written: str, moment: datetime | None):
    body = b'{"accessToken": "opaque", "expiresAt": %s}' % written.encode()
    assert parse_token_response(body, endpoint=LOGIN).life == TokenLifetime(ends=moment)
