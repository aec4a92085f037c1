"""Access and refresh tokens of the simulated API: access tokens expire, a refresh token works once."""

import base64
import hashlib
import json
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

EMAIL = "operator@acme.example"
PASSWORD = "correct horse battery staple"  # noqa: S105 - the simulator's own, known to everybody who runs it


@dataclass(frozen=True, slots=True)
class Issued:
    """A pair of tokens, and when the access token ends."""

    access: str
    refresh: str
    ends: datetime


class Tokens:
    """The tokens that were issued, and which of them still work.

    `first_access` works until `expire_all`, however far the clock runs; `first_refresh` works once, as every refresh token.
    """

    def __init__(self, first_access: str, first_refresh: str, *, lifetime: timedelta) -> None:
        self._lock = threading.Lock()
        self._lifetime = lifetime
        self._access: dict[str, datetime | None] = {first_access: None}
        self._refresh = {first_refresh}
        self._issued = 0

    def accept(self, access: str, now: datetime) -> bool:
        """Whether this access token opens the API at that time."""
        with self._lock:
            if access not in self._access:
                return False
            ends = self._access[access]
            return ends is None or now < ends

    def log_in(self, email: object, password: object, now: datetime) -> Issued | None:
        """New tokens for the right e-mail address and password."""
        with self._lock:
            return self._issue(now) if (email, password) == (EMAIL, PASSWORD) else None

    def refresh(self, token: object, now: datetime) -> Issued | None:
        """New tokens for a refresh token that was not used before, which is used up by it."""
        with self._lock:
            if token not in self._refresh:
                return None
            self._refresh.remove(str(token))
            return self._issue(now)

    def expire_all(self) -> None:
        """Ends every access token that was issued so far, the first one as well; refresh tokens go on working."""
        with self._lock:
            self._access.clear()

    def _issue(self, now: datetime) -> Issued:
        self._issued += 1
        ends = now + self._lifetime
        access = _sign({"userId": "operator", "email": EMAIL, "jti": self._issued, "exp": int(ends.timestamp())})
        refresh = _sign({"type": "refresh", "jti": self._issued})
        self._access[access] = ends
        self._refresh.add(refresh)
        return Issued(access, refresh, ends)


def _sign(payload: dict[str, Any]) -> str:
    """Looks like a JWT, because clients may read its `exp`; nobody checks the signature."""
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in ({"alg": "HS256", "typ": "JWT"}, payload)]
    parts.append(hashlib.sha256(b".".join(parts)).digest())
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
