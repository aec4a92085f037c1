"""Decides what a group's channel is notified of: the present state of its alerts, compared with the notified state.

`decide` is pure and names its reason, also for sending nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

from alertbot.domain.alerts import Alert, State
from alertbot.domain.notifications import Group, Notification, NotificationKind, NotifiedState
from alertbot.domain.rules import Severity


def announced(why: str, kinds: str) -> str:
    """A decision in words, as `why` tells it: `announced as first`, or the reason why nothing was sent."""
    return f"{why} as {' and '.join(kinds.split())}" if kinds else why


class NotifyReason(StrEnum):
    """The reason of a decision."""

    NOTIFIES = "announced"
    NOTHING_NEW = "nothing new"
    GROUP_WAIT = "gathers alerts that fire together (group_wait)"
    MEMBER_WAITS = "a new member, or a rise no worse than what was told, waits for group_interval"
    MUTED = "silenced or snoozed"
    MUTED_THROUGHOUT = "silenced or snoozed from its beginning to its end"
    FORGOTTEN = "resolved before it was told, and the route forgets brief alerts"
    MUTED_END = "ended while silenced or snoozed, or was but a forecast: the message is edited quietly"
    EDITED = "the message is brought up to date, nobody is pinged"
    FLAPPING = "it flaps: only the message is kept true, until it is calm for an hour"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to say now and why, what the channel knows afterwards, and when to look again at the latest."""

    notifications: tuple[Notification, ...]
    notified: NotifiedState
    reason: NotifyReason
    next_check_at: datetime | None = None
    closes: bool = False


CALM = timedelta(hours=1)  # what flaps is heard of again when nothing has changed for so long
Changes = Mapping[tuple[str, str], Sequence[datetime]]  # by rule and series: when it began to fire or resolved


def decide(
    group: Group,
    alerts: Sequence[Alert],
    muted: Mapping[int, datetime],
    now: datetime,
    *,
    changes: Changes | None = None,
) -> Decision:
    """What the group's channel has to hear now.

    `muted` says from when on an alert that is silenced or snoozed may be spoken of again; `changes` are those of the
    last hour, also of alerts before these ones.
    """
    quiet = {number: until for number, until in muted.items() if until > now}
    present = _Present(group, tuple(alerts), quiet, _calm_at(group, alerts, quiet, changes or {}, now), now)
    if group.notified.first_at is None:
        decision = _open(present)
    elif present.firing:
        decision = _go_on(present)
    else:
        decision = _end(present)
    return _and_flaps(present, decision)


@dataclass(frozen=True, slots=True)
class _Present:
    """How a group stands now. `calm_at` has the series that flap, each with when it is calm if nothing more changes."""

    group: Group
    alerts: tuple[Alert, ...]
    muted: Mapping[int, datetime]
    calm_at: Mapping[str, datetime]
    now: datetime

    @property
    def firing(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state is State.FIRING]

    @property
    def ended(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state is not State.FIRING]

    @property
    def unmuted(self) -> list[Alert]:
        """What fires and may be spoken of."""
        return [alert for alert in self.firing if alert.number not in self.muted and not self.flaps(alert)]

    def flaps(self, alert: Alert) -> bool:
        return _series(alert) in self.calm_at

    def shown(self) -> NotifiedState:
        """What was told before, with what the message shows now and who is not to be heard of."""
        notified = self.group.notified
        muted_now = {alert.number for alert in self.firing if alert.number in self.muted}
        # One that ended stays as it was while it fired: what ends in a silence ends quietly, also when that is over.
        muted = muted_now | (notified.muted - set(_numbers(self.firing)))
        return replace(notified, muted=frozenset(muted), content_hash=content_hash(self.alerts, self.now))

    def edits(self, shown: NotifiedState) -> tuple[Notification, ...]:
        """An edit, if the message does not show how things stand."""
        return (
            (Notification(NotificationKind.EDIT, ping=False),)
            if shown.content_hash != self.group.notified.content_hash
            else ()
        )


def _series(alert: Alert) -> str:
    return f"{alert.rule} {alert.series}"


def _calm_at(
    group: Group, alerts: Sequence[Alert], muted: Collection[int], changes: Changes, now: datetime
) -> dict[str, datetime]:
    """The series that change too often, each with when it will be calm. One that flaps does so until it is calm.

    One that is silenced is not said to flap, and so does not: it is quiet anyway, and judged when it may be spoken of.
    """
    found = {}
    for series, alert in _newest(alerts).items():
        times = [time for time in changes.get((alert.rule, alert.series), ()) if time > now - CALM]
        is_quiet = alert.number in (muted if alert.state is State.FIRING else group.notified.muted)
        begins = len(times) > group.route.flap_limit and not is_quiet
        if times and (begins or series in group.notified.flapping):
            found[series] = max(times) + CALM
    return found


def _newest(alerts: Sequence[Alert]) -> dict[str, Alert]:
    """The newest alert of each series."""
    return {_series(alert): alert for alert in sorted(alerts, key=lambda alert: alert.number)}


def _and_flaps(present: _Present, decision: Decision) -> Decision:
    """The decision, and that something began to flap, where people know of the message.

    While something flaps the message stays open, also when all have resolved: it will fire again soon.
    """
    if decision.notified.first_at is None:
        return decision
    over = decision.notified.over | _ended_flapping(present)
    notified = replace(decision.notified, flapping=frozenset(present.calm_at), over=over)
    if not present.calm_at:
        return replace(decision, notified=notified)
    times = [*present.calm_at.values(), *([decision.next_check_at] if decision.next_check_at else [])]
    decision = replace(decision, notified=notified, next_check_at=min(times), closes=False)
    said = present.group.notified.flapping
    new = [alert for series, alert in _newest(present.alerts).items() if series in notified.flapping - said]
    if not new:
        return decision
    heard = tuple(
        notification for notification in decision.notifications if notification.kind is not NotificationKind.EDIT
    )
    notification = Notification(NotificationKind.FLAPPING, ping=False, about=_numbers(new))
    return replace(decision, notifications=(*heard, notification), reason=NotifyReason.NOTIFIES)


def content_hash(alerts: Sequence[Alert], now: datetime) -> str:
    """A fingerprint of everything a message shows of its alerts."""
    shown = [
        (
            *(alert.number, alert.state, alert.severity, alert.peak_severity, alert.note),
            *(alert.acknowledged_by, alert.taken_by, alert.assigned_to),
            *(alert.value, alert.unit, alert.comparison, alert.threshold, alert.over),
            alert.snoozed_until if _is_snoozed(alert, now) else None,
        )
        for alert in sorted(alerts, key=lambda alert: alert.number)
    ]
    return blake2b("\n".join(map(repr, shown)).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _is_snoozed(alert: Alert, now: datetime) -> bool:
    return alert.state is State.FIRING and alert.snoozed_until is not None and alert.snoozed_until > now


def _open(present: _Present) -> Decision:
    """Nobody has heard of the group yet."""
    group, now = present.group, present.now
    notified, firing = present.shown(), present.firing
    loud = [alert for alert in firing if alert.number not in present.muted]  # also what flaps: it is said with it
    brief = [alert for alert in present.ended if alert.number not in notified.muted]
    if brief and not loud and not group.route.forget_brief:
        about = _numbers(brief)
        notified = replace(_mark_notified(notified, brief), first_at=now, over=frozenset(about))
        notification = Notification(NotificationKind.BRIEF, ping=False, about=about)
        return Decision(
            (notification,),
            notified,
            NotifyReason.NOTIFIES,
            next_check_at=_next_check_at(present, notified),
            closes=not firing,
        )
    if not firing:
        return Decision((), notified, NotifyReason.FORGOTTEN if brief else NotifyReason.MUTED_THROUGHOUT, closes=True)
    ends = [present.muted[alert.number] for alert in firing if alert.number in present.muted]
    if not loud:
        return Decision((), notified, NotifyReason.MUTED, next_check_at=min(ends))
    speaks_at = group.opened_at + group.route.group_wait
    if now < speaks_at:
        return Decision((), notified, NotifyReason.GROUP_WAIT, next_check_at=min([speaks_at, *ends]))
    first = Notification(NotificationKind.FIRST, ping=True, about=_numbers(loud), mention=group.route.mention)
    notified = replace(_mark_notified(notified, loud, now), first_at=now, acknowledged=_acknowledged(firing))
    notified = _count_untaken(present, notified)
    return Decision((first,), notified, NotifyReason.NOTIFIES, next_check_at=_next_check_at(present, notified))


def _end(present: _Present) -> Decision:
    """Every member has resolved. The message is closed, unless something flaps (`_and_flaps`)."""
    notified, route = present.shown(), present.group.route
    over = notified.over | _ended_flapping(present)
    # Who was never told, because it was silenced, is not told now.
    owed = [alert for alert in present.ended if alert.number not in over and _is_owed(alert, notified)]
    notified = replace(notified, over=over | frozenset(_numbers(owed)))
    last = max((alert.resolved_at for alert in owed if alert.resolved_at is not None), default=None)
    if present.calm_at and not owed:
        return Decision(present.edits(notified), notified, NotifyReason.FLAPPING, closes=True)
    if owed and all(
        alert.number in notified.muted or _has_passed(alert) for alert in owed if alert.resolved_at == last
    ):
        return Decision(present.edits(notified), notified, NotifyReason.MUTED_END, closes=True)
    if not owed or not route.send_resolved:
        why = NotifyReason.EDITED if present.edits(notified) else NotifyReason.NOTHING_NEW
        return Decision(present.edits(notified), notified, why, closes=True)
    return Decision(
        (Notification(NotificationKind.RESOLVED, ping=False, about=_numbers(owed)),),
        notified,
        NotifyReason.NOTIFIES,
        closes=True,
    )


def _is_owed(alert: Alert, notified: NotifiedState) -> bool:
    """Whether people have to hear that an alert ended: unless they heard so before, or never of it, because it was muted."""
    return alert.number not in notified.over and (
        alert.number in notified.severities or alert.number not in notified.muted
    )


def _has_passed(alert: Alert) -> bool:
    """Whether it was but a forecast of a budget, which turned out to be wrong before the period was over."""
    is_forecast = alert.kind == "budget" and alert.severity is Severity.INFO
    return is_forecast and alert.resolved_at is not None and (alert.period is None or alert.resolved_at < alert.period)


def _ended_flapping(present: _Present) -> frozenset[int]:
    """What ended while its series flapped: an edit shows it, and nobody waits for more."""
    return frozenset(alert.number for alert in present.ended if present.flaps(alert))


def _go_on(present: _Present) -> Decision:
    """People know of the group, and some of it still fires."""
    before, firing, now = present.group.notified, present.firing, present.now
    notified = present.shown()
    notifications: list[Notification] = []
    notified_severity = _ping(present)
    if notified_severity is not None:
        notifications.append(notified_severity)
        notified = _mark_notified(notified, [alert for alert in firing if alert.number in notified_severity.about], now)
    notified = _count_untaken(present, notified)
    steps = _due_steps(present, notified)
    if steps:
        notifications += steps
        notified = replace(notified, steps=notified.steps + len(steps), last_ping_at=now)
    # The end of one of several is an edit; that one was deleted is said, for nobody will see it again.
    gone = [alert for alert in present.ended if alert.is_gone and _is_owed(alert, notified)]
    if gone and present.group.route.send_resolved:
        notifications.append(Notification(NotificationKind.RESOLVED, ping=False, about=_numbers(gone)))
        notified = replace(notified, over=notified.over | frozenset(_numbers(gone)))
    taken = _acknowledged(firing) - before.acknowledged
    if taken:
        notifications.append(Notification(NotificationKind.ACKNOWLEDGED, ping=False, about=tuple(sorted(taken))))
    notified = replace(
        notified,
        acknowledged=_acknowledged(firing),
        severities={**notified.severities, **_fallen(notified, firing)},
    )
    why = _why_not(present, notified) if not notifications else NotifyReason.NOTIFIES
    return Decision(
        tuple(notifications) or present.edits(notified), notified, why, next_check_at=_next_check_at(present, notified)
    )


def _why_not(present: _Present, notified: NotifiedState) -> NotifyReason:
    """Why nobody hears anything."""
    unmuted = present.unmuted
    if any(_is_news(alert, notified) for alert in unmuted):
        return NotifyReason.MEMBER_WAITS
    if not unmuted:
        muted = all(alert.number in present.muted for alert in present.firing)
        return NotifyReason.MUTED if muted else NotifyReason.FLAPPING
    return NotifyReason.EDITED if present.edits(notified) else NotifyReason.NOTHING_NEW


def _ping(present: _Present) -> Notification | None:
    """The one ping that is due now, of the gravest kind; it tells everything that people have not heard yet."""
    notified, route, now, unmuted = present.group.notified, present.group.route, present.now, present.unmuted
    known, last = notified.severities, notified.last_ping_at
    news = [alert for alert in unmuted if _is_news(alert, notified)]
    rises = [alert for alert in news if alert.number in known or alert.severity.rank > _worst(notified, present.firing)]
    # In a storm members come and rise all the time, none worse than what was told: they are told together.
    is_worse = any(alert.number not in known or alert.severity.rank > _worst(notified, unmuted) for alert in rises)
    waiting = [alert for alert in unmuted if _may_repeat(alert)]
    back = [alert for alert in waiting if alert.number in notified.muted and alert.number in known]
    repeated = waiting if last is not None and last + route.repeat <= now else back
    is_time = bool(news) and (last is None or last + route.group_interval <= now)
    if not (is_worse or is_time or repeated):
        return None
    kind = NotificationKind.RISE if rises else NotificationKind.MEMBER if is_time else NotificationKind.REPEAT
    about = {alert.number for alert in (*news, *repeated)}
    return Notification(kind, ping=True, about=tuple(sorted(about)), mention=route.mention)


def _is_news(alert: Alert, notified: NotifiedState) -> bool:
    """Whether people have not heard of it, or not of it being so bad."""
    heard = notified.severities.get(alert.number)
    return heard is None or alert.severity.rank > heard.rank


def _worst(notified: NotifiedState, among: Sequence[Alert]) -> int:
    """The worst that people were told of any of these and that is still so; of what is over, where they know none of these."""
    known = notified.severities
    still = [min(known[alert.number].rank, alert.severity.rank) for alert in among if alert.number in known]
    return max(still or [severity.rank for severity in known.values()], default=-1)


def _may_repeat(alert: Alert) -> bool:
    return alert.acknowledged_at is None and alert.kind != "budget"


def _untaken(present: _Present, notified: NotifiedState) -> list[Alert]:
    """What people know of and nobody has taken."""
    return [alert for alert in present.unmuted if alert.acknowledged_at is None and alert.number in notified.severities]


def _count_untaken(present: _Present, notified: NotifiedState) -> NotifiedState:
    """The escalation begins when people know of something that nobody has taken, and stops when that is no longer so."""
    if not _untaken(present, notified):
        return replace(notified, untaken_since=None, steps=0)
    return notified if notified.untaken_since is not None else replace(notified, untaken_since=present.now, steps=0)


def _due_steps(present: _Present, notified: NotifiedState) -> list[Notification]:
    if notified.untaken_since is None:
        return []
    about = _numbers(_untaken(present, notified))
    return [
        Notification(NotificationKind.ESCALATION, ping=True, about=about, mention=step.mention, channel=step.channel)
        for step in present.group.route.escalate[notified.steps :]
        if notified.untaken_since + step.after <= present.now
    ]


def _next_check_at(present: _Present, notified: NotifiedState) -> datetime | None:
    """When something has to be said at the earliest though nothing happens until then."""
    route, unmuted = present.group.route, present.unmuted
    times = [present.muted[alert.number] for alert in present.firing if alert.number in present.muted]
    # A snooze that ends in a silence lets nobody speak, but the message shows it no longer.
    times += [
        alert.snoozed_until for alert in present.firing if alert.snoozed_until and _is_snoozed(alert, present.now)
    ]
    if notified.last_ping_at is not None and any(_is_news(alert, notified) for alert in unmuted):
        times.append(notified.last_ping_at + route.group_interval)
    if notified.last_ping_at is not None and any(_may_repeat(alert) for alert in unmuted):
        times.append(notified.last_ping_at + route.repeat)
    if notified.untaken_since is not None and notified.steps < len(route.escalate):
        times.append(notified.untaken_since + route.escalate[notified.steps].after)
    return min(times, default=None)


def _mark_notified(
    notified: NotifiedState, alerts: Sequence[Alert], pinged_at: datetime | None = None
) -> NotifiedState:
    severities = {**notified.severities, **{alert.number: alert.severity for alert in alerts}}
    return replace(notified, severities=severities, last_ping_at=pinged_at or notified.last_ping_at)


def _fallen(notified: NotifiedState, firing: Sequence[Alert]) -> Mapping[int, Severity]:
    """Members that are less bad than they were told: when they rise again, that is a rise.

    A budget's level speaks once; it fell for good only where it spoke of another amount than the present one.
    """
    return {
        alert.number: alert.severity
        for alert in firing
        if alert.number in notified.severities
        and alert.severity.rank < notified.severities[alert.number].rank
        and (alert.kind != "budget" or alert.notified_severity is alert.severity)
    }


def _acknowledged(alerts: Sequence[Alert]) -> frozenset[int]:
    return frozenset(alert.number for alert in alerts if alert.acknowledged_at is not None)


def _numbers(alerts: Sequence[Alert]) -> tuple[int, ...]:
    return tuple(sorted(alert.number for alert in alerts))
