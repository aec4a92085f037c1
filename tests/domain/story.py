"""Stories of one message on a time line, and what its channel hears: `heard("0s A fires; 19m A resolves")`.

A story is a line of moments. At each of them something happens to a series that is called by a letter: it `fires`,
`rises` or `falls` (to a severity), `resolves`, counts on (`counts`), is `taken`, `given back`, `assigned`, `snoozed` or
`silenced` (for a time), `unsilenced`. What happens at one moment is decided about at once, as one reading is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, State
from alertbot.domain.decisions import Decision, NotifyReason, content_hash, decide
from alertbot.domain.notifications import Group, Notification, NotificationKind
from alertbot.domain.routes import Route
from alertbot.domain.rules import Severity
from alertbot.domain.times import format_duration_short, parse_duration
from tests.builders import START, alert_of

ALERTS = Route("#ai-alerts")
PINGS = frozenset(
    {
        NotificationKind.FIRST,
        NotificationKind.MEMBER,
        NotificationKind.RISE,
        NotificationKind.ESCALATION,
        NotificationKind.REPEAT,
    }
)


@dataclass(frozen=True)
class Look:
    """One decision, with all that it was made of."""

    at: datetime
    group: Group
    alerts: list[Alert]
    muted: dict[int, datetime]
    decision: Decision


@dataclass
class Channel:
    """A channel and the alerts that it hears of. `looks` keeps every decision."""

    route: Route = ALERTS
    now: datetime = START
    alerts: list[Alert] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    group: Group | None = None
    look_at: datetime | None = None
    silenced_until: dict[str, datetime] = field(default_factory=dict)
    changes: dict[tuple[str, str], list[datetime]] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)

    # --- what happens

    def fires(self, series: str, severity: str = "warning", kind: str = "threshold") -> None:
        number = len(self.alerts) + 1
        alert = alert_of(State.FIRING, series=series, severity=Severity(severity), kind=kind, number=number)
        self.alerts.append(replace(alert, started_at=self.now))
        self._changed(series)
        if self.group is None:
            self.members = []
            self.group = Group("rule=rule source=acme", self.route, self.now, number=number)
        self.members.append(number)

    def turns(self, series: str, severity: str) -> None:
        """A rise or a fall, as `alerts.advance` leaves the alert: a rise breaks an acknowledgement."""
        alert = self.newest(series)
        rose = Severity(severity).rank > alert.severity.rank
        self.put(replace(alert, severity=Severity(severity)))
        if rose:
            self.gives_back(series)

    def resolves(self, series: str) -> None:
        self.put(replace(self.newest(series), state=State.RESOLVED, resolved_at=self.now))
        self._changed(series)

    def counts(self, series: str) -> None:
        alert = self.newest(series)
        assert alert.value is not None
        self.put(replace(alert, value=alert.value + 1))

    def takes(self, series: str) -> None:
        self.put(replace(self.newest(series), acknowledged_by="ana", acknowledged_at=self.now))

    def gives_back(self, series: str) -> None:
        self.put(replace(self.newest(series), acknowledged_by="", acknowledged_at=None))

    def assigns(self, series: str) -> None:
        self.put(replace(self.newest(series), assigned_to="ben"))

    def snoozes(self, series: str, lasts: timedelta) -> None:
        self.put(replace(self.newest(series), snoozed_until=self.now + lasts))

    def silences(self, series: str, lasts: timedelta) -> None:
        self.silenced_until[series] = self.now + lasts

    def unsilences(self, series: str) -> None:
        del self.silenced_until[series]

    def _changed(self, series: str) -> None:
        self.changes.setdefault(("rule", series), []).append(self.now)

    def put(self, alert: Alert) -> None:
        self.alerts[alert.number - 1] = alert

    def newest(self, series: str) -> Alert:
        return next(alert for alert in reversed(self.alerts) if alert.series == series)

    # --- what the bot does

    def mine(self) -> list[Alert]:
        return [self.alerts[number - 1] for number in self.members]

    def muted(self) -> dict[int, datetime]:
        """From when on each alert may be spoken of again; also where that is over already."""
        found: dict[int, datetime] = {}
        for alert in self.mine():
            ends = [end for end in (alert.snoozed_until, self.silenced_until.get(alert.series)) if end is not None]
            if ends:
                found[alert.number] = max(ends)
        return found

    def passes(self, until: datetime, *, step: timedelta | None = None) -> None:
        """Let time pass up to a moment, but for that moment, and look whenever it is time to; with `step` that often, too."""
        while True:
            moments = [self.look_at] if self.look_at is not None else []
            moments += [self.now + step] if step is not None else []
            if not moments or min(moments) >= until:
                break
            self.now = min(moments)
            self.decides()
        self.now = until

    def decides(self) -> None:
        """Decide, and find that there is nothing to add: not when asked again, not after a restart."""
        if self.group is None:
            return
        notified, mine, muted = self.group.notified, self.mine(), self.muted()
        decision = decide(self.group, mine, muted, self.now, changes=self.changes)
        self.looks.append(Look(self.now, self.group, mine, muted, decision))
        self.group = replace(self.group, notified=decision.notified)
        self.look_at = decision.next_check_at
        if decision.notified.first_at is not None and notified.content_hash != content_hash(mine, self.now):
            assert decision.notifications, "the message shows what is no longer so"
        if decision.closes:
            self.group = self.look_at = None
            return
        assert decision.next_check_at is None or decision.next_check_at > self.now, "looked at in vain, again and again"
        again = decide(self.group, mine, muted, self.now, changes=self.changes)
        assert (again.notifications, again.notified, again.next_check_at) == (
            (),
            decision.notified,
            decision.next_check_at,
        ), "said twice"

    # --- what came of it

    def notifications(self) -> Iterator[tuple[datetime, Notification]]:
        for look in self.looks:
            for notification in look.decision.notifications:
                yield look.at, notification

    def heard(self, *, edits: bool = False) -> list[str]:
        """What people heard, and with `edits` what they saw, each with its time: `10s first A`."""
        return [
            f"{format_duration_short(moment - START)} {notification.kind} {self.letters(notification)}".rstrip()
            for moment, notification in self.notifications()
            if edits or notification.kind is not NotificationKind.EDIT
        ]

    def letters(self, notification: Notification) -> str:
        return "".join(self.alerts[number - 1].series for number in notification.about)

    def reasons(self) -> list[NotifyReason]:
        """The reasons, each once where it repeats."""
        found: list[NotifyReason] = []
        for look in self.looks:
            if found[-1:] != [look.decision.reason]:
                found.append(look.decision.reason)
        return found


def tell(story: str, route: Route = ALERTS) -> Channel:
    """Play a story to its last moment; `look` is a moment at which nothing happens."""
    channel = Channel(route)
    moments: dict[datetime, list[list[str]]] = {}
    for line in story.split(";"):
        when, *words = line.split()
        moments.setdefault(START + parse_duration(when), []).append(words)
    for moment in sorted(moments):
        channel.passes(moment)
        for words in moments[moment]:
            _happen(channel, *words)
        channel.decides()
    return channel


HAPPENINGS: Mapping[str, Callable[..., None]] = {
    "fires": Channel.fires,
    "rises": Channel.turns,
    "falls": Channel.turns,
    "resolves": Channel.resolves,
    "counts": Channel.counts,
    "taken": Channel.takes,
    "given": Channel.gives_back,
    "assigned": Channel.assigns,
    "snoozed": Channel.snoozes,
    "silenced": Channel.silences,
    "unsilenced": Channel.unsilences,
}


def _happen(channel: Channel, who: str, what: str = "", *more: str) -> None:
    for series in who if who != "look" else "":
        given = map(parse_duration, more) if what in {"snoozed", "silenced"} else more
        HAPPENINGS[what](channel, series, *given)


def heard(story: str, route: Route = ALERTS, *, edits: bool = False) -> list[str]:
    """What a channel hears of a story."""
    return tell(story, route).heard(edits=edits)
