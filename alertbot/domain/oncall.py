"""Who is on call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_PREFIX = "@oncall:"


@dataclass(frozen=True, slots=True)
class Rotation:
    """People in turns of `every`, the first of whom began at `start`, a time on the clock of `timezone`.

    Turns are counted on that clock, so that a hand-over at nine stays at nine when the clocks change.
    """

    every: timedelta
    start: datetime
    timezone: str
    people: tuple[str, ...]

    def on_call(self, now: datetime) -> str:
        zone = ZoneInfo(self.timezone)
        passed = now.astimezone(zone).replace(tzinfo=None) - self.start.astimezone(zone).replace(tzinfo=None)
        return self.people[passed // self.every % len(self.people)]


@dataclass(frozen=True, slots=True)
class OnCall:
    """What `@oncall:NAME` means: a rotation, or a Slack user group."""

    name: str
    rotation: Rotation | None = None
    usergroup: str = ""

    def who(self, now: datetime) -> str:
        """The user or the user group that is on call."""
        return self.rotation.on_call(now) if self.rotation is not None else self.usergroup


OnCalls = Mapping[str, OnCall]


def resolve(mentions: Sequence[str], known: OnCalls, now: datetime) -> tuple[str, ...]:
    """The mentions with `@oncall:NAME` replaced by who that is now; each of them once, in their order."""
    resolved = (
        known[name].who(now) if (name := who.removeprefix(_PREFIX)) != who and name in known else who
        for who in mentions
    )
    return tuple(dict.fromkeys(resolved))


def named_in(mentions: Sequence[str]) -> frozenset[str]:
    """The names behind the `@oncall:` of mentions."""
    return frozenset(who.removeprefix(_PREFIX) for who in mentions if who.startswith(_PREFIX))
