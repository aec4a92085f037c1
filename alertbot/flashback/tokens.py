"""New tokens of access for old ones, or for an e-mail address and a password.

What is sent here opens an account, so each request is made once: whether and when again is for its caller to say. No text
of an error holds a token or the password, not even where the server quotes them back.
"""

import http
import importlib.metadata
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alertbot.errors import FlashbackError, FlashbackRefused, FlashbackRejected
from alertbot.flashback.client import raise_for_status, without
from alertbot.flashback.payloads import one_line, server_words
from alertbot.flashback.token_payloads import TokenResponse, parse_token_response
from alertbot.flashback.wire import Answer, Wire

LOGIN = "/user/login"
REFRESH = "/user/refresh"
_LARGEST_ANSWER = 1024 * 1024
_LEAST_QUOTABLE = 8  # a shorter secret may stand in a word by chance: then nothing of the server's words is repeated


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the configuration gives of one source's access; empty where it does not."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_static(self) -> bool:
        """An access token is all there is: it cannot be exchanged."""
        return not (self.refresh_token or self.email)


class TokenServer:
    """The part of a Flashback server that gives out tokens. Raises FlashbackRefused where it takes what it is given for wrong.

    Connections are not kept open: tokens are exchanged once an hour or so. `on_request` as of FlashbackClient.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: timedelta,
        now: Callable[[], datetime],
        on_request: Callable[[str, str, float], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout.total_seconds()
        self._now = now
        self._on_request = on_request
        self._monotonic = monotonic
        self._tls = tls

    def refresh(self, refresh_token: str) -> TokenResponse:
        """New tokens for a refresh token, which works once."""
        # The reference names the first field, the vendor's own client sends the second.
        body = {"refreshToken": refresh_token, "refresh_token": refresh_token}
        wrong = "the refresh token is wrong, was used before or has expired"
        return self._ask(REFRESH, body, secrets={refresh_token: "[refresh token]"}, wrong=wrong)

    def log_in(self, email: str, password: str) -> TokenResponse:
        """New tokens for an e-mail address and a password."""
        body = {"email": email, "password": password}
        return self._ask(LOGIN, body, secrets={password: "[password]"}, wrong="email or password is wrong")

    def _ask(self, endpoint: str, body: Mapping[str, str], *, secrets: Mapping[str, str], wrong: str) -> TokenResponse:
        began = self._monotonic()
        outcome = "error"
        wire = Wire(
            self._base_url,
            headers={"User-Agent": f"alertbot/{importlib.metadata.version('alertbot')}", "Accept": "application/json"},
            connections=1,
            largest_body=_LARGEST_ANSWER,
            monotonic=self._monotonic,
            tls=self._tls,
        )
        try:
            answer = wire.post(endpoint, body=body, seconds=self._timeout)
            issued = self._read(answer, endpoint, wrong)
            outcome = "ok"
        except FlashbackError as error:
            outcome = error.kind
            error.redact(lambda text: _without_secrets(text, secrets, wrong))
            raise
        finally:
            wire.close()
            if self._on_request is not None:
                self._on_request(endpoint, outcome, self._monotonic() - began)
        return issued

    def _read(self, answer: Answer, endpoint: str, wrong: str) -> TokenResponse:
        status = answer.status
        if 400 <= status < 500 and status not in {408, 429}:
            # Whatever the number: the server has understood, and the same will not work by itself.
            said = server_words(answer.body)
            named = f"{wrong} ({status})" if status in {401, 403} else f"not exchanged: {_named(answer)}"
            raise FlashbackRefused(named, endpoint=endpoint, detail=f": {said}" if said else "")
        raise_for_status(answer, endpoint, now=self._now)
        try:
            return parse_token_response(answer.body, endpoint=endpoint)
        except FlashbackRejected as error:
            # Without its cause, whose text may hold what was sent.
            raise FlashbackRefused("not exchanged", endpoint=endpoint, detail=f": {error}") from None


def _named(answer: Answer) -> str:
    try:
        usual = http.HTTPStatus(answer.status).phrase
    except ValueError:
        usual = ""
    return one_line(f"{answer.status} {answer.reason or usual}", 60)


def _without_secrets(text: str, secrets: Mapping[str, str], wrong: str) -> str:
    for secret, shown in secrets.items():
        if len(secret) < _LEAST_QUOTABLE and secret in text:
            return wrong
        text = without(secret, text, shown=shown)
    return text
