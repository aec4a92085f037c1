"""Notifications, the groups of alerts that share one Slack message, and what that message shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from alertbot.domain.alerts import Alert
from alertbot.domain.evidence import Summary
from alertbot.domain.routes import Route
from alertbot.domain.rules import Severity


class NotificationKind(StrEnum):
    """What a notification is. `edit` is seen, not heard: it changes the message and pings nobody."""

    FIRST = "first"
    MEMBER = "member"
    RISE = "rise"
    ESCALATION = "escalation"
    REPEAT = "repeat"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    FLAPPING = "flapping"
    BRIEF = "brief"
    OPERATOR = "operator"
    ACTION = "act"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class NotifiedState:
    """What a channel was last told of a group.

    `severities` holds the members that were told and how bad each was; `muted` those that were silenced or snoozed when
    last seen firing; `over` those whose end needs no more words; `flapping` the series that were said to flap;
    `content_hash` is a fingerprint of everything that the message shows. An escalation's `steps` count from
    `untaken_since`, when people knew of something that nobody had taken.
    """

    first_at: datetime | None = None
    severities: Mapping[int, Severity] = field(default_factory=dict)
    acknowledged: frozenset[int] = frozenset()
    muted: frozenset[int] = frozenset()
    over: frozenset[int] = frozenset()
    last_ping_at: datetime | None = None
    untaken_since: datetime | None = None
    steps: int = 0
    flapping: frozenset[str] = frozenset()
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The alerts that share one message in one channel. `route` is as it was when the group opened; people see `G17`."""

    key: str
    route: Route
    opened_at: datetime
    number: int = 0
    notified: NotifiedState = NotifiedState()
    closed_at: datetime | None = None
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to say. `about` are the alerts it speaks of; `channel` is set where it goes elsewhere than its group.

    In `lines`, `{0}`, `{1}` … stand for `people`: what a name looks like is the business of whoever shows it.
    """

    kind: NotificationKind
    ping: bool
    about: tuple[int, ...] = ()
    mention: tuple[str, ...] = ()
    channel: str | None = None
    lines: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageRef:
    """Where a message is in Slack: the channel's id and the message's ts, which is text."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Grower:
    """Somebody or something that used what an alert counts, and how much of it."""

    name: str
    amount: Fraction | int


@dataclass(frozen=True, slots=True)
class Growers:
    """Those of one dimension that grew most, as far as they may be named, and how many there are in all."""

    by: str
    first: tuple[Grower, ...]
    in_all: int


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """Everything that a group's message shows, as of `shown_at`. `previous` links to the message before, if any.

    `trend` is how far the metric of its one alert grew in each of the last windows, the present one last; `description`
    is the rule's; `on_call` tells for each rotation who that is; `evidence` is what may be told of it. `growers` are counted
    from `growers_since` on, and up to `growers_until` where that is over.
    """

    group: Group
    alerts: tuple[Alert, ...]
    shown_at: datetime
    previous: str = ""
    trend: tuple[int | None, ...] = ()
    description: str = ""
    on_call: Mapping[str, str] = field(default_factory=dict)
    evidence: Summary | None = None
    growers: tuple[Growers, ...] = ()
    growers_since: datetime | None = None
    growers_until: datetime | None = None
