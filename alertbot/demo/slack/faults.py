"""Ways in which the look-alike misbehaves on demand, and the rate limits it can hold the app to."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    ERROR = "error"
    HTML = "html"
    CUT_JSON = "cut_json"
    LOST_ANSWER = "lost_answer"
    REFUSED = "refused"
    DELAY = "delay"
    HOLD = "hold"


@dataclass(slots=True)
class Fault:
    """One fault, for some calls: by method (`*` for all) and by channel (None for all), so many times (None for ever)."""

    kind: FaultKind
    method: str = "*"
    channel: str | None = None
    times: int | None = 1
    status: int = 503
    retry_after: int = 1
    error: str = "internal_error"
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    hits: int = 0
    released: bool = False

    def concerns(self, method: str, channel: str | None) -> bool:
        """Tell whether a call meets this fault."""
        left = self.times is None or self.hits < self.times
        return left and self.method in {"*", method} and self.channel in {None, channel}


class Faults:
    """The faults that are set, taken by the calls that meet them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Set a fault; earlier ones come first."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self, fault: Fault | None = None) -> None:
        """Take one fault away, or all; calls that are held go on."""
        with self._lock:
            gone = [fault] if fault is not None else list(self._faults)
            for each in gone:
                each.released = True
            self._faults = [each for each in self._faults if not each.released]

    def take(self, method: str, channel: str | None) -> Fault | None:
        """Return the fault that this call meets, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.concerns(method, channel):
                    fault.hits += 1
                    return fault
        return None


# Calls a minute, per method, app and workspace (Slack's tiers); chat.postMessage is limited per channel instead.
_TIERS = {
    20: ("users.list", "usergroups.list", "usergroups.users.list", "conversations.list"),
    50: (
        "apps.connections.open",
        "chat.delete",
        "chat.update",
        "conversations.history",
        "conversations.info",
        "conversations.join",
        "conversations.open",
        "conversations.replies",
        "reactions.add",
        "users.lookupByEmail",
    ),
    100: (
        "chat.postEphemeral",
        "conversations.members",
        "files.completeUploadExternal",
        "files.getUploadURLExternal",
        "files.info",
        "users.info",
        "views.open",
        "views.publish",
        "views.push",
        "views.update",
    ),
}
A_MINUTE = {method: limit for limit, methods in _TIERS.items() for method in methods}
# About one a second and channel, "short bursts pass": so many may come at once.
POSTS_BURST = 5


class RateLimits:
    """Slack's own limits, for a look-alike that is asked to hold the app to them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[str, list[float]] = {}

    def seconds_to_wait(self, method: str, channel: str | None) -> int:
        """Count a call; 0 when it may pass, else the Retry-After it gets."""
        now = self._clock()
        if method == "chat.postMessage":
            key, window, most = f"{method} {channel}", float(POSTS_BURST), POSTS_BURST
        elif method in A_MINUTE:
            key, window, most = method, 60.0, A_MINUTE[method]
        else:
            return 0
        recent = [at for at in self._calls.get(key, []) if at > now - window]
        self._calls[key] = recent
        if len(recent) >= most:
            return max(1, int(recent[0] + window - now) + 1)
        recent.append(now)
        return 0
