"""What people hear: the desired state of a group of alerts held against what its channel was last told.

A *group* is the alerts that share one Slack message. `decide` is pure and names its reason, also for saying nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from alertbot.domain.alerts import Alert, State
from alertbot.domain.routes import Route
from alertbot.domain.rules import Severity


class Kind(StrEnum):
    """What a notice is. `edit` is seen, not heard: it changes the message and pings nobody."""

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
    ACT = "act"
    EDIT = "edit"


class Why(StrEnum):
    """The reason of a decision."""

    SPEAKS = "people are told"
    NOTHING_NEW = "nothing new"
    GATHERING = "gathers alerts that fire together (group_wait)"
    MEMBER_WAITS = "a new member is told after group_interval"
    HUSHED = "silenced or snoozed"
    HUSHED_THROUGHOUT = "silenced or snoozed from its beginning to its end"
    FORGOTTEN = "resolved before it was told, and the route forgets brief alerts"
    QUIET_END = "ended while silenced or snoozed: the message is edited quietly"
    EDITED = "the message is brought up to date, nobody is pinged"
    FLAPPING = "it flaps: only the message is kept true, until it is calm for an hour"


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel was last told of a group.

    `severities` holds the members that were told and how bad each was; `muted` those that were silenced or snoozed when
    last looked at; `flapping` the series that were said to flap; `face` is a fingerprint of everything that the message shows.
    """

    first_at: datetime | None = None
    severities: Mapping[int, Severity] = field(default_factory=dict)
    acknowledged: frozenset[int] = frozenset()
    muted: frozenset[int] = frozenset()
    last_ping_at: datetime | None = None
    steps: int = 0
    flapping: frozenset[str] = frozenset()
    face: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The alerts that share one message in one channel. `route` is as it was when the group opened; people see `G17`."""

    key: str
    route: Route
    opened_at: datetime
    number: int = 0
    told: Told = Told()
    closed_at: datetime | None = None
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to say. `about` are the alerts it speaks of; `channel` is set where it goes elsewhere than its group.

    In `lines`, `{0}`, `{1}` … stand for `people`: what a name looks like is the business of whoever shows it.
    """

    kind: Kind
    ping: bool
    about: tuple[int, ...] = ()
    mention: tuple[str, ...] = ()
    channel: str | None = None
    lines: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to say now and why, what the channel knows afterwards, and when to look again at the latest."""

    notices: tuple[Notice, ...]
    told: Told
    why: Why
    look_at: datetime | None = None
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is in Slack: the channel's id and the message's ts, which is text."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Face:
    """Everything that a group's message shows, as of `shown_at`. `previous` links to the message before, if any."""

    group: Group
    alerts: tuple[Alert, ...]
    shown_at: datetime
    previous: str = ""


CALM = timedelta(hours=1)  # what flaps is heard of again when nothing has changed for so long
Changes = Mapping[tuple[str, str], Sequence[datetime]]  # by rule and series: when it began to fire or resolved


def decide(
    group: Group,
    alerts: Sequence[Alert],
    hushed: Mapping[int, datetime],
    now: datetime,
    *,
    changes: Changes | None = None,
) -> Decision:
    """What the group's channel has to hear now.

    `hushed` says until when an alert is silenced or snoozed; `changes` are those of the last hour, also of alerts before
    these ones.
    """
    firing = [alert for alert in alerts if alert.state is State.FIRING]
    flapping = _flapping(group, alerts, changes or {})
    if group.told.first_at is None:
        return _and_flaps(_open(group, alerts, firing, hushed, now), group, flapping)
    # What flaps is as good as snoozed until it is calm; that it flaps is said once.
    quiet = {**hushed, **{number: last + CALM for number, (_, last) in flapping.items()}}
    if firing:
        return _and_flaps(_go_on(group, alerts, firing, quiet, now), group, flapping)
    if flapping:
        return _and_flaps(_stay_open(group, alerts, max(last for _, last in flapping.values())), group, flapping)
    return _close(group, alerts)


def _flapping(group: Group, alerts: Sequence[Alert], changes: Changes) -> dict[int, tuple[str, datetime]]:
    """The members whose series changes too often: that series, and when it last did. Once it flaps, it does until it is calm."""
    found = {}
    for alert in alerts:
        times = changes.get((alert.rule, alert.series), ())
        series = f"{alert.rule} {alert.series}"
        if len(times) > group.route.flap_limit or (times and series in group.told.flapping):
            found[alert.number] = (series, max(times))
    return found


def _and_flaps(decision: Decision, group: Group, flapping: Mapping[int, tuple[str, datetime]]) -> Decision:
    """The decision, and that something began to flap, where people know of the message."""
    if decision.told.first_at is None:
        return decision
    new = tuple(sorted(number for number, (series, _) in flapping.items() if series not in group.told.flapping))
    told = replace(decision.told, flapping=frozenset(series for series, _ in flapping.values()))
    if not new:
        return replace(decision, told=told)
    heard = tuple(notice for notice in decision.notices if notice.kind is not Kind.EDIT)
    notice = Notice(Kind.FLAPPING, ping=False, about=new)
    return replace(decision, told=told, notices=(*heard, notice), why=Why.SPEAKS, closes=False)


def _stay_open(group: Group, alerts: Sequence[Alert], last: datetime) -> Decision:
    """All have resolved, but what flaps will fire again soon: the message waits for it."""
    told = replace(group.told, face=face_of(alerts))
    edits = (Notice(Kind.EDIT, ping=False),) if told.face != group.told.face else ()
    return Decision(edits, told, Why.FLAPPING, look_at=last + CALM)


def face_of(alerts: Sequence[Alert]) -> str:
    """A fingerprint of everything a message shows of its alerts."""
    return "|".join(
        f"{a.number}:{a.state}:{a.severity}:{a.value}:{a.acknowledged_by}:{a.assigned_to}:{a.snoozed_until}"
        for a in sorted(alerts, key=lambda alert: alert.number)
    )


def _open(
    group: Group, alerts: Sequence[Alert], firing: Sequence[Alert], hushed: Mapping[int, datetime], now: datetime
) -> Decision:
    """Nobody has heard of the group yet."""
    told = replace(group.told, face=face_of(alerts))
    if not firing:
        heard = tuple(alert.number for alert in alerts if alert.number not in told.muted)
        if not heard:
            return Decision((), told, Why.HUSHED_THROUGHOUT, closes=True)
        if group.route.forget_brief:
            return Decision((), told, Why.FORGOTTEN, closes=True)
        brief = Notice(Kind.BRIEF, ping=False, about=heard)
        return Decision((brief,), _after_ping(told, alerts, None, first_at=now), Why.SPEAKS, closes=True)
    told = replace(told, muted=_muted(firing, hushed) | (told.muted - {alert.number for alert in firing}))
    audible = [alert for alert in firing if alert.number not in hushed]
    if not audible:
        return Decision((), told, Why.HUSHED, look_at=min(hushed[alert.number] for alert in firing))
    speaks_at = group.opened_at + group.route.group_wait
    if now < speaks_at:
        return Decision((), told, Why.GATHERING, look_at=speaks_at)
    first = Notice(Kind.FIRST, ping=True, about=_numbers(audible), mention=group.route.mention)
    told = _after_ping(replace(told, acknowledged=_acknowledged(firing)), audible, now, first_at=now)
    return Decision((first,), told, Why.SPEAKS, look_at=_look_at(group, told, firing, hushed, now))


def _close(group: Group, alerts: Sequence[Alert]) -> Decision:
    """Every member has resolved."""
    told = replace(group.told, face=face_of(alerts))
    ended = tuple(alert.number for alert in alerts if alert.state is State.RESOLVED)
    if all(number in group.told.muted for number in group.told.severities):
        return Decision((Notice(Kind.EDIT, ping=False),), told, Why.QUIET_END, closes=True)
    if not group.route.send_resolved:
        return Decision((Notice(Kind.EDIT, ping=False),), told, Why.EDITED, closes=True)
    return Decision((Notice(Kind.RESOLVED, ping=False, about=ended),), told, Why.SPEAKS, closes=True)


def _go_on(
    group: Group, alerts: Sequence[Alert], firing: Sequence[Alert], hushed: Mapping[int, datetime], now: datetime
) -> Decision:
    """People know of the group, and some of it still fires."""
    audible = [alert for alert in firing if alert.number not in hushed]
    notices: list[Notice] = []
    told = group.told
    why = Why.NOTHING_NEW
    spoken, why = _ping(group, audible, now, why)
    if spoken is not None:
        notices.append(spoken)
        told = _after_ping(told, audible, now)
    step = _escalation(group, audible, now)
    if step is not None:
        notices.append(step)
        told = replace(told, steps=told.steps + 1, last_ping_at=now)
    taken = _acknowledged(firing) - told.acknowledged
    if taken:
        notices.append(Notice(Kind.ACKNOWLEDGED, ping=False, about=tuple(sorted(taken))))
    fallen = _fallen(told, firing)
    told = replace(
        told,
        acknowledged=_acknowledged(firing),
        severities={**told.severities, **fallen},
        muted=_muted(firing, hushed) | (told.muted - {alert.number for alert in firing}),
        face=face_of(alerts),
    )
    if not notices and told.face != group.told.face:
        notices.append(Notice(Kind.EDIT, ping=False))
        why = why if why is Why.MEMBER_WAITS else Why.EDITED
    elif notices:
        why = Why.SPEAKS
    elif not audible:
        why = Why.HUSHED
    return Decision(tuple(notices), told, why, look_at=_look_at(group, told, firing, hushed, now))


def _ping(group: Group, audible: Sequence[Alert], now: datetime, why: Why) -> tuple[Notice | None, Why]:
    """The one ping that is due now, the gravest cause first."""
    told, mention = group.told, group.route.mention
    known = told.severities
    worst = max((known[alert.number].rank for alert in audible if alert.number in known), default=-1)
    new = [alert for alert in audible if alert.number not in known]
    risen = [alert for alert in audible if alert.number in known and alert.severity.rank > known[alert.number].rank]
    if any(alert.severity.rank > worst for alert in (*risen, *new) if known):
        return Notice(Kind.RISE, ping=True, about=_numbers([*risen, *new]), mention=mention), why
    last = told.last_ping_at
    if risen or new:
        # In a storm members come and rise all the time, none worse than what was told: they are told together.
        if last is None or last + group.route.group_interval <= now:
            kind = Kind.RISE if risen else Kind.MEMBER
            return Notice(kind, ping=True, about=_numbers([*risen, *new]), mention=mention), why
        why = Why.MEMBER_WAITS
    waiting = [alert for alert in audible if _may_repeat(alert)]
    unmuted = [alert for alert in waiting if alert.number in told.muted and alert.number in known]
    if unmuted or (waiting and last is not None and last + group.route.repeat <= now):
        return Notice(Kind.REPEAT, ping=True, about=_numbers(unmuted or waiting), mention=mention), why
    return None, why


def _may_repeat(alert: Alert) -> bool:
    return alert.acknowledged_at is None and alert.kind != "budget"


def _escalation(group: Group, audible: Sequence[Alert], now: datetime) -> Notice | None:
    untaken = [alert for alert in audible if alert.acknowledged_at is None]
    if not untaken or group.told.steps >= len(group.route.escalate):
        return None
    step = group.route.escalate[group.told.steps]
    if group.opened_at + step.after > now:
        return None
    return Notice(Kind.ESCALATION, ping=True, about=_numbers(untaken), mention=step.mention, channel=step.channel)


def _look_at(
    group: Group, told: Told, firing: Sequence[Alert], hushed: Mapping[int, datetime], now: datetime
) -> datetime | None:
    """When something has to be said at the earliest though nothing happens until then."""
    times = [hushed[alert.number] for alert in firing if alert.number in hushed]
    audible = [alert for alert in firing if alert.number not in hushed]
    last = told.last_ping_at or now
    known = told.severities
    if any(a.number not in known or a.severity.rank > known[a.number].rank for a in audible):
        times.append(last + group.route.group_interval)
    if any(_may_repeat(alert) for alert in audible):
        times.append(last + group.route.repeat)
    if any(alert.acknowledged_at is None for alert in audible) and told.steps < len(group.route.escalate):
        times.append(group.opened_at + group.route.escalate[told.steps].after)
    return min((max(time, now + timedelta(milliseconds=1)) for time in times), default=None)


def _after_ping(told: Told, heard: Sequence[Alert], now: datetime | None, *, first_at: datetime | None = None) -> Told:
    severities = {**told.severities, **{alert.number: alert.severity for alert in heard}}
    muted = told.muted - {alert.number for alert in heard}
    return replace(
        told,
        first_at=first_at or told.first_at,
        severities=severities,
        muted=muted,
        last_ping_at=now or told.last_ping_at,
    )


def _fallen(told: Told, firing: Sequence[Alert]) -> Mapping[int, Severity]:
    """Members that are less bad than they were told: when they rise again, that is a rise. A budget's level speaks once."""
    return {
        alert.number: alert.severity
        for alert in firing
        if alert.number in told.severities
        and alert.severity.rank < told.severities[alert.number].rank
        and alert.kind != "budget"
    }


def _acknowledged(alerts: Sequence[Alert]) -> frozenset[int]:
    return frozenset(alert.number for alert in alerts if alert.acknowledged_at is not None)


def _muted(firing: Sequence[Alert], hushed: Mapping[int, datetime]) -> frozenset[int]:
    return frozenset(alert.number for alert in firing if alert.number in hushed)


def _numbers(alerts: Sequence[Alert]) -> tuple[int, ...]:
    return tuple(sorted(alert.number for alert in alerts))
