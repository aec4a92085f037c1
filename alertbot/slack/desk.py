"""The desk at which people are answered: what answering needs, cut down to what exists for whoever asks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from alertbot import __version__
from alertbot.domain.alerts import Alert
from alertbot.domain.evidence import Privacy, privacy_of
from alertbot.domain.oncall import OnCall
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.reports import AlertRow, StatusReport
from alertbot.domain.routes import Route
from alertbot.domain.rules import Rule
from alertbot.domain.silences import Silence
from alertbot.domain.visibility import SEES_NOTHING, Asker, Entry, Sight, sight_of
from alertbot.domain.windows import DAY, Calendar, Span, Window, window_of
from alertbot.errors import UsageError
from alertbot.flows import look_up, operate
from alertbot.flows.rulebook import Rulebook
from alertbot.slack.views.remembered import remembered
from alertbot.store.database import Database

# What Slack calls a channel whose name it does not tell.
_NO_NAMES = {"", "directmessage", "privategroup"}


def _nameless(_channel: str) -> str:
    return ""


def _utc(_user: str) -> tzinfo:
    return UTC


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs: the store, the clock, what is configured. `wake` has fresh notices sent at once.

    `zone_of` is whose calendar "today" is meant by, `upload` brings a picture to Slack and tells its id, `routes` say how
    much of the evidence may be told.
    It answers nobody in general: `for_person` and `for_whom` give the desk of somebody, where hidden sources do not exist.
    """

    database: Database
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    command: str
    intervals: Mapping[str, timedelta]
    blind_after: Mapping[str, timedelta]
    book: Rulebook
    on_call: Mapping[str, OnCall]
    operators: frozenset[str]
    members_of: Callable[[str], frozenset[str]]
    visibility: tuple[Entry, ...] = ()
    name_of_channel: Callable[[str], str] = _nameless
    zone_of: Callable[[str], tzinfo] = _utc
    upload: Callable[[bytes, str], str] | None = None
    prices: Prices = NOTHING_PRICED
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    sight: Sight = SEES_NOTHING
    user: str = ""
    place: str = ""

    def operators_now(self) -> frozenset[str]:
        """The users who are operators, those of user groups too."""
        groups = [name for name in self.operators if name.startswith("S")]
        return self.operators.union(*(self.members_of(name) for name in groups))

    def for_whom(self, body: Mapping[str, Any]) -> "Desk":
        """The desk of whoever a command, a click or a submitted view is from."""
        user, channel = body.get("user") or {}, body.get("channel") or {}
        # In a modal Slack names no channel: the modal remembers the one that it was opened in.
        place = body.get("channel_id") or channel.get("id") or remembered(body).get("channel") or ""
        name = body.get("channel_name") or channel.get("name") or ""
        return self.for_person(str(body.get("user_id") or user.get("id") or "somebody"), str(place), str(name))

    def for_person(self, user: str, channel: str = "", channel_name: str = "") -> "Desk":
        """The desk of somebody who asks in a channel, or in Home or a modal: what they may not see does not exist there."""
        names = list(self.intervals)
        asker = Asker(user)
        if self.visibility:  # else nobody has to be asked; with no operators nobody is one who sees all
            asker = Asker(user, self._places(channel, channel_name), user in self.operators_now())
        rules = self.book.rules_in(self.database)
        sight = sight_of(asker, self.visibility, names, rules)
        visible = sight.sources
        return replace(
            self,
            intervals={name: self.intervals[name] for name in names if visible is None or name in visible},
            blind_after={name: self.blind_after[name] for name in names if visible is None or name in visible},
            rules=tuple(rule for rule in rules if sight.shows_rule(rule, names)),
            sight=sight,
            user=user,
            place=channel,
        )

    def _places(self, channel: str, name: str) -> frozenset[str]:
        """The names of a channel. Slack is asked only where the name could matter and it did not say it."""
        if (
            name in _NO_NAMES
            and channel
            and any(place.startswith("#") for one in self.visibility for place in one.channels)
        ):
            name = self.name_of_channel(channel)
        return frozenset({channel, *([f"#{name}"] if name not in _NO_NAMES else [])} - {""})

    def may_operate(self) -> bool:
        """Whether the person may silence, mute and edit rules. Nobody configured means everybody."""
        return not self.operators or self.user in self.operators_now()

    def require_operator(self) -> None:
        """Raise UsageError unless the person may silence."""
        if not self.may_operate():
            raise UsageError("only operators may do this; ask one of them, or snooze the alert for up to a day")

    def window(self, span: Span | None) -> Window:
        """The time that the person means, by their own calendar; without a span the last 24 hours."""
        zone = self.zone_of(self.user) if isinstance(span, Calendar) else UTC
        return window_of(span or DAY, self.clock(), zone)

    def privacy(self) -> dict[str, Privacy]:
        """How much of the evidence of each source is told."""
        return {name: privacy_of(name, self.routes) for name in self.intervals}

    # --- what exists for the person

    def status(self) -> StatusReport:
        """How the bot and its sources are."""
        return look_up.status(
            self.database,
            version=__version__,
            intervals=self.intervals,
            blind_after=self.blind_after,
            now=self.clock(),
            sight=self.sight,
        )

    def open_alerts(self) -> list[AlertRow]:
        """The alerts that are pending or firing."""
        return look_up.list_alerts(self.database, sight=self.sight)

    def find(self, name: str) -> tuple[int, ...]:
        """The alerts that a short id means: A42 one, G17 all of a message. Raises UsageError where there is none."""
        return operate.find(self.database, name, sight=self.sight)

    def alerts(self, name: str) -> list[Alert]:
        """The alerts that a short id means, as they are now. Raises UsageError where there is none."""
        return look_up.alerts_by_number(self.database, self.find(name))

    def silences(self) -> list[Silence]:
        """The silences that hold now or will."""
        found = operate.list_silences(self.database, now=self.clock())
        return [silence for silence in found if self.sight.shows_silence(silence, self._all_sources())]

    def _all_sources(self) -> Sequence[str]:
        return [*self.intervals, *(entry.source for entry in self.visibility)]
