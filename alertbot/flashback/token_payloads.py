"""The JSON of a login and a refresh → tokens, and what a token says of itself."""

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alertbot.errors import FlashbackUnreadable
from alertbot.flashback.payloads import parse_answer, parse_epoch, parse_json, require_success

# What a header can carry; the longest that any server takes is far shorter.
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True, slots=True)
class TokenLifetime:
    """From when until when a token is good, by the clock of whoever made it; None where it does not say."""

    begins: datetime | None = None
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """What a login or a refresh brought. `refresh_token` is empty where none came: the one that was used stays good."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    life: TokenLifetime


def parse_token_response(body: bytes, *, endpoint: str) -> TokenResponse:
    """The tokens in an answer to a login or a refresh. Nothing of an answer that does not fit is quoted: it may hold some."""
    fields = parse_answer(body, endpoint)
    if not isinstance(fields, dict):
        raise FlashbackUnreadable("answer: expected an object, got something else", endpoint=endpoint)
    require_success(fields, body, endpoint)
    access_token = _issued_token(fields, "accessToken", endpoint)
    # None at all, or an empty one: this server does not replace it.
    refresh_token = _issued_token(fields, "refreshToken", endpoint) if fields.get("refreshToken") else ""
    life = parse_token_lifetime(access_token)
    return TokenResponse(
        access_token, refresh_token, life if life.ends else TokenLifetime(ends=parse_epoch(fields.get("expiresAt")))
    )


def parse_token_lifetime(token: str) -> TokenLifetime:
    """What a token says of its own life, if it is a JWT; its signature is the server's business."""
    parts = token.split(".")
    try:
        claims = parse_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError, RecursionError):
        return TokenLifetime()
    if not isinstance(claims, dict):
        return TokenLifetime()
    return TokenLifetime(parse_epoch(claims.get("iat")), parse_epoch(claims.get("exp")))


def _issued_token(fields: dict[str, Any], name: str, endpoint: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        instead = "nothing" if value is None else "something else"
        raise FlashbackUnreadable(f"{name}: expected a token, got {instead}", endpoint=endpoint)
    return value
