"""Members of user groups, names of channels and time zones of people: asked of Slack, and cached."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

import structlog
from slack_sdk import WebClient

from alertbot.errors import SlackError
from alertbot.slack.errors import translate_errors

log = structlog.get_logger()
_FRESH = 300.0  # seconds without asking again: Slack limits the calls a minute
_ASK_AGAIN = 30.0  # seconds after Slack gave no answer
_USABLE = 3600.0  # seconds that the last answer holds while Slack gives none
_MOST = 10_000  # people, groups or channels that are remembered
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    """The last answer, when it came, and from when on Slack is asked again."""

    value: T
    answered_at: float
    ask_at: float


class Remembered(Generic[T]):
    """A cache of Slack's answers by id. If Slack fails, the last answer is used for an hour, then `otherwise`."""

    def __init__(
        self,
        what: str,
        ask: Callable[[str], T],
        *,
        otherwise: T,
        most: int = _MOST,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ask` raises a SlackError; `what` names the thing in the log; `most` ids are remembered."""
        self._what = what
        self._ask = ask
        self._otherwise = otherwise
        self._most = most
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def __call__(self, name: str) -> T:
        now = self._monotonic()
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None:
                self._entries.move_to_end(name)
                if now < entry.ask_at:
                    return entry.value
                if now - entry.answered_at <= _USABLE:  # only one asks; the others go on with what is known
                    self._entries[name] = _Entry(entry.value, entry.answered_at, now + _ASK_AGAIN)
        return self._renew(name, entry, now)

    def _renew(self, name: str, before: _Entry[T] | None, now: float) -> T:
        try:
            entry = _Entry(self._ask(name), now, now + _FRESH)
        except SlackError as error:
            is_usable = before is not None and now - before.answered_at <= _USABLE
            log.warning("slack_lookup_failed", what=self._what, id=name, code=error.code, last_answer_holds=is_usable)
            value = before.value if before is not None and is_usable else self._otherwise
            entry = _Entry(value, before.answered_at if before is not None else now, now + _ASK_AGAIN)
        with self._lock:
            self._entries[name] = entry
            self._entries.move_to_end(name)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return entry.value


def members_of(
    client: WebClient, *, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[str], frozenset[str]]:
    """The members of a user group. Empty if Slack has not answered for an hour: former operators must not stay operators."""

    def ask(group: str) -> frozenset[str]:
        with translate_errors("usergroups.users.list"):
            return frozenset(client.usergroups_users_list(usergroup=group).get("users") or ())

    return Remembered[frozenset[str]]("user group", ask, otherwise=frozenset(), monotonic=monotonic)


def name_of_channel(client: WebClient) -> Callable[[str], str]:
    """The name of a channel, by its id; empty if Slack does not tell."""

    def ask(channel: str) -> str:
        with translate_errors("conversations.info"):
            return str((client.conversations_info(channel=channel).get("channel") or {}).get("name") or "")

    return Remembered("channel", ask, otherwise="")


def zone_of(client: WebClient) -> Callable[[str], tzinfo]:
    """The time zone of a person; UTC where Slack does not tell, or where this machine does not know it."""

    def ask(user: str) -> tzinfo:
        with translate_errors("users.info"):
            return ZoneInfo(str((client.users_info(user=user).get("user") or {}).get("tz") or "UTC"))

    return Remembered[tzinfo]("time zone", ask, otherwise=UTC)
