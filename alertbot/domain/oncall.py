"""Who is on call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_PREFIX = "@oncall:"
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rotation:
    """People in turns of `every`, the first of whom began at `start`, a time on the clock of `timezone`.

    Turns are counted on that clock, so that a hand-over at nine stays at nine when the clocks change. Before `start` they
    went round, too.
    """

    every: timedelta
    start: datetime
    timezone: str
    people: tuple[str, ...]

    def on_call(self, now: datetime) -> str:
        zone = ZoneInfo(self.timezone)
        passed = _clock(now, zone) - self.start.astimezone(zone).replace(tzinfo=None)
        return self.people[passed // self.every % len(self.people)]


def _clock(now: datetime, zone: ZoneInfo) -> datetime:
    """The time on the clock of a zone, which stands still where it is put back: nobody has the same turn twice."""
    local = now.astimezone(zone)
    if not local.fold:
        return local.replace(tzinfo=None)
    minute = now.replace(second=0, microsecond=0)
    while (local := minute.astimezone(zone)).fold:
        minute -= _MINUTE
    return local.replace(tzinfo=None) + _MINUTE - timedelta.resolution


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
