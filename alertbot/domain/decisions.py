"""Decides what a group's channel is notified of: the present state of its alerts, compared with the notified state.

`decide` is pure and names its reason, also for sending nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b

from alertbot.domain.alerts import Alert, State
from alertbot.domain.notifications import Group, Notification, NotificationKind, NotifiedState
from alertbot.domain.rules import Severity


def announced(why: str, kinds: str) -> str:
    """A decision as `why` shows it: `announced as first`, or the reason why nothing was sent."""
    sent = [kind for kind in kinds.split() if kind != NotificationKind.EDIT]
    return f"{why} as {' and '.join(sent)}" if sent else why


class NotifyReason(StrEnum):
    """Why a notification is sent, or is not."""

    NOTIFIES = "announced"
    NOTHING_NEW = "nothing new"
    GROUP_WAIT = "waiting for alerts that fire together (group_wait)"
    MEMBER_WAITS = "a new alert, or a rise no worse than what was notified, waits for group_interval"
    MUTED = "silenced or snoozed"
    MUTED_THROUGHOUT = "silenced or snoozed for as long as it fired"
    FORGOTTEN = "resolved before it was notified, and the route sets forget_brief"
    MUTED_END = "resolved while silenced or snoozed, or was only a forecast: the message is updated, nobody is notified"
    EDITED = "the message is updated, nobody is pinged"
    FLAPPING = "flapping: the message is updated, nobody is notified until it has been calm for an hour"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to send now and why, the notified state afterwards, and when to decide again at the latest."""

    notifications: tuple[Notification, ...]
    notified: NotifiedState
    reason: NotifyReason
    next_check_at: datetime | None = None
    closes: bool = False


CALM = timedelta(hours=1)  # a series flaps until nothing has changed for so long
Changes = Mapping[tuple[str, str], Sequence[datetime]]  # by rule and series: when it began to fire or resolved


def decide(  # noqa: C901, PLR0911, PLR0912 — the order of the rules is the order of the text
    group: Group,
    alerts: Sequence[Alert],
    muted: Mapping[int, datetime],
    now: datetime,
    *,
    changes: Changes | None = None,
) -> Decision:
    """What to send to the group's channel now.

    `muted` says until when an alert is silenced or snoozed; `changes` are those of the last hour, of earlier alerts too.
    """
    state = _GroupState(
        group, tuple(alerts), {number: until for number, until in muted.items() if until > now}, changes or {}, now
    )
    firing, unmuted, owed, notified = state.firing, state.unmuted, state.owed, state.shown

    if group.notified.first_at is None:
        loud = [alert for alert in firing if alert.number not in state.muted]  # also those that flap
        brief = [alert for alert in state.ended if alert.number not in notified.muted]
        if not firing and not brief:
            # Whoever muted the alerts does not want to hear of them afterwards.
            return Decision((), notified, NotifyReason.MUTED_THROUGHOUT, closes=True)
        if not firing and group.route.forget_brief:
            # Without `forget_brief` what ended before its first message is sent as brief: an audit needs all that fired.
            return Decision((), notified, NotifyReason.FORGOTTEN, closes=True)
        if not loud and (not brief or group.route.forget_brief):
            # All that fires is muted: decide again when the first mute ends.
            return Decision((), notified, NotifyReason.MUTED, next_check_at=min(state.mute_ends))
        sends_at = group.opened_at + group.route.group_wait
        if loud and now < sends_at:
            # Alerts that fire together share the first message.
            return Decision((), notified, NotifyReason.GROUP_WAIT, next_check_at=min([sends_at, *state.mute_ends]))
        notifications, notified = _first_message(state, loud, brief)
    else:
        notifications, notified = _updates(state) if firing else _resolved(state)

    began_to_flap = state.began_to_flap
    if began_to_flap:
        # Sent once, so that people know why nothing more is sent about these series.
        notifications.append(Notification(NotificationKind.FLAPPING, ping=False, about=_numbers(began_to_flap)))
    if notifications:
        # All that is due at one moment goes out together, and makes a separate edit needless.
        return _conclude(state, NotifyReason.NOTIFIES, notified, notifications)
    if state.calm_at and not firing and not owed:
        # All that people still wait for has ended; what flaps will fire again soon, so the message stays open.
        return _conclude(state, NotifyReason.FLAPPING, notified)
    if owed and not firing and _ended_quietly(owed, notified):
        # People muted it, or it was a forecast that did not come true: its end is not worth a line in the thread.
        return _conclude(state, NotifyReason.MUTED_END, notified)
    if any(_is_news(alert, notified) for alert in unmuted):
        # Sent with the others that come until group_interval has passed since the last ping.
        return _conclude(state, NotifyReason.MEMBER_WAITS, notified)
    if firing and all(alert.number in state.muted for alert in firing):
        # Named before flapping, for people can end it: they muted the alerts.
        return _conclude(state, NotifyReason.MUTED, notified)
    if firing and not unmuted:
        # Everything that is not muted flaps; that was sent when it began.
        return _conclude(state, NotifyReason.FLAPPING, notified)
    if state.is_outdated:
        # Counts, comments, or the end of one of several: shown in the message, no reason to ping.
        return _conclude(state, NotifyReason.EDITED, notified)
    # The message shows everything, and people were notified of it.
    return _conclude(state, NotifyReason.NOTHING_NEW, notified)


def _conclude(
    state: "_GroupState", reason: NotifyReason, notified: NotifiedState, notifications: Sequence[Notification] = ()
) -> Decision:
    """The decision about a group whose message people know: an edit where nothing else is sent and the message is outdated.

    While a series flaps, the message stays open after all have resolved. The end of its alerts needs no notification.
    """
    edit = (Notification(NotificationKind.EDIT, ping=False),) if state.is_outdated else ()
    over = notified.over | {alert.number for alert in state.ended if state.flaps(alert)}
    times = [*state.calm_at.values(), *(_due_times(state, notified) if state.firing else ())]
    return Decision(
        tuple(notifications) or edit,
        replace(notified, flapping=frozenset(state.calm_at), over=over),
        reason,
        next_check_at=min(times, default=None),
        closes=not state.firing and not state.calm_at,
    )


@dataclass(frozen=True)
class _GroupState:
    """A group as it is now. `muted` holds the alerts that are still muted, each with when that ends."""

    group: Group
    alerts: tuple[Alert, ...]
    muted: Mapping[int, datetime]
    changes: Changes
    now: datetime

    @cached_property
    def firing(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state is State.FIRING]

    @cached_property
    def ended(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state is not State.FIRING]

    @cached_property
    def unmuted(self) -> list[Alert]:
        """The firing alerts that may be notified: neither muted nor flapping."""
        return [alert for alert in self.firing if alert.number not in self.muted and not self.flaps(alert)]

    @property
    def mute_ends(self) -> list[datetime]:
        return [self.muted[alert.number] for alert in self.firing if alert.number in self.muted]

    @cached_property
    def owed(self) -> list[Alert]:
        """The alerts whose end people wait to hear of. Of one that was muted and never notified they do not know."""
        notified = self.shown
        return [
            alert
            for alert in self.ended
            if alert.number not in notified.over
            and (alert.number in notified.severities or alert.number not in notified.muted)
            and not (self.flaps(alert) and not self.firing)
        ]

    @cached_property
    def shown(self) -> NotifiedState:
        """The notified state, with what the message shows now and which alerts are muted."""
        notified, firing = self.group.notified, set(_numbers(self.firing))
        # An alert that ended stays as it was while it fired: what ends muted ends quietly, also after the mute is over.
        muted = (firing & self.muted.keys()) | (notified.muted - firing)
        return replace(notified, muted=frozenset(muted), content_hash=content_hash(self.alerts, self.now))

    @property
    def is_outdated(self) -> bool:
        """Whether the message shows something else than what is so now."""
        return self.shown.content_hash != self.group.notified.content_hash

    @cached_property
    def newest(self) -> Mapping[str, Alert]:
        """The newest alert of each series."""
        return {_series(alert): alert for alert in sorted(self.alerts, key=lambda alert: alert.number)}

    @cached_property
    def calm_at(self) -> Mapping[str, datetime]:
        """The flapping series, each with when it is calm if nothing more changes. Until then it goes on flapping.

        A muted series does not begin to flap: nothing is sent of it anyway.
        """
        notified, calm_at = self.group.notified, {}
        for series, alert in self.newest.items():
            times = [time for time in self.changes.get((alert.rule, alert.series), ()) if time > self.now - CALM]
            is_muted = alert.number in (self.muted if alert.state is State.FIRING else notified.muted)
            begins = len(times) > self.group.route.flap_limit and not is_muted
            if times and (begins or series in notified.flapping):
                calm_at[series] = max(times) + CALM
        return calm_at

    @property
    def began_to_flap(self) -> list[Alert]:
        new = self.calm_at.keys() - self.group.notified.flapping
        return [alert for series, alert in self.newest.items() if series in new]

    def flaps(self, alert: Alert) -> bool:
        return _series(alert) in self.calm_at


def _series(alert: Alert) -> str:
    return f"{alert.rule} {alert.series}"


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


# --- what there is to send, with the notified state afterwards


def _first_message(
    state: _GroupState, loud: Sequence[Alert], brief: Sequence[Alert]
) -> tuple[list[Notification], NotifiedState]:
    """The first message: of the alerts that fire unmuted, or where there are none, of those that ended before it."""
    about, notified = _numbers(loud or brief), replace(state.shown, first_at=state.now)
    if not loud:
        notified = replace(_mark_notified(notified, brief), over=frozenset(about))
        return [Notification(NotificationKind.BRIEF, ping=False, about=about)], notified
    first = Notification(NotificationKind.FIRST, ping=True, about=about, mention=state.group.route.mention)
    notified = replace(_mark_notified(notified, loud, state.now), acknowledged=_acknowledged(state.firing))
    return [first], _count_untaken(state, notified)


def _updates(state: _GroupState) -> tuple[list[Notification], NotifiedState]:
    """What changed in a message of which something still fires."""
    notified, firing = state.shown, state.firing
    notifications: list[Notification] = []
    ping = _ping(state)
    if ping is not None:
        notifications.append(ping)
        notified = _mark_notified(notified, [alert for alert in firing if alert.number in ping.about], state.now)
    notified = _count_untaken(state, notified)
    steps = _due_steps(state, notified)
    if steps:
        notifications += steps
        notified = replace(notified, steps=notified.steps + len(steps), last_ping_at=state.now)
    # The end of one of several is an edit. A deleted one gets a line: it will not be seen again.
    gone = _numbers([alert for alert in state.owed if alert.is_gone])
    if gone and state.group.route.send_resolved:
        notifications.append(Notification(NotificationKind.RESOLVED, ping=False, about=gone))
        notified = replace(notified, over=notified.over.union(gone))
    acknowledged = _acknowledged(firing)
    new = acknowledged - state.group.notified.acknowledged
    if new:
        notifications.append(Notification(NotificationKind.ACKNOWLEDGED, ping=False, about=tuple(sorted(new))))
    severities = {**notified.severities, **_fallen(notified, firing)}
    return notifications, replace(notified, acknowledged=acknowledged, severities=severities)


def _resolved(state: _GroupState) -> tuple[list[Notification], NotifiedState]:
    """The end of the last alerts, unless it comes quietly or the route does without it."""
    about = _numbers(state.owed)
    notified = replace(state.shown, over=state.shown.over.union(about))
    if not about or not state.group.route.send_resolved or _ended_quietly(state.owed, notified):
        return [], notified
    return [Notification(NotificationKind.RESOLVED, ping=False, about=about)], notified


def _ended_quietly(owed: Sequence[Alert], notified: NotifiedState) -> bool:
    """Whether those that ended last were muted, or forecasts of a budget that did not come true in its period."""
    last = max((alert.resolved_at for alert in owed if alert.resolved_at is not None), default=None)
    return all(
        alert.number in notified.muted or _was_wrong_forecast(alert) for alert in owed if alert.resolved_at == last
    )


def _was_wrong_forecast(alert: Alert) -> bool:
    is_forecast = alert.kind == "budget" and alert.severity is Severity.INFO
    return is_forecast and alert.resolved_at is not None and (alert.period is None or alert.resolved_at < alert.period)


def _ping(state: _GroupState) -> Notification | None:
    """The one ping that is due now, of the gravest kind. It is about everything that has not been notified yet."""
    notified, route, now, unmuted = state.group.notified, state.group.route, state.now, state.unmuted
    known, last = notified.severities, notified.last_ping_at
    news = [alert for alert in unmuted if _is_news(alert, notified)]
    rises = [a for a in news if a.number in known or a.severity.rank > _highest(notified, state.firing)]
    # In a storm members come and rise all the time. Those that are no worse than what was notified wait for each other.
    is_worse = any(alert.number not in known or alert.severity.rank > _highest(notified, unmuted) for alert in rises)
    repeatable = [alert for alert in unmuted if _may_repeat(alert)]
    unmuted_again = [alert for alert in repeatable if alert.number in notified.muted and alert.number in known]
    repeated = repeatable if last is not None and last + route.repeat <= now else unmuted_again
    is_time = bool(news) and (last is None or last + route.group_interval <= now)
    if not (is_worse or is_time or repeated):
        return None
    kind = NotificationKind.RISE if rises else NotificationKind.MEMBER if is_time else NotificationKind.REPEAT
    about = {alert.number for alert in (*news, *repeated)}
    return Notification(kind, ping=True, about=tuple(sorted(about)), mention=route.mention)


def _is_news(alert: Alert, notified: NotifiedState) -> bool:
    """Whether the alert, or its present severity, has not been notified."""
    severity = notified.severities.get(alert.number)
    return severity is None or alert.severity.rank > severity.rank


def _highest(notified: NotifiedState, alerts: Sequence[Alert]) -> int:
    """Highest severity notified for these alerts that still holds; if none was notified, the highest notified in the group."""
    known = notified.severities
    holding = [min(known[alert.number].rank, alert.severity.rank) for alert in alerts if alert.number in known]
    return max(holding or [severity.rank for severity in known.values()], default=-1)


def _may_repeat(alert: Alert) -> bool:
    return alert.acknowledged_at is None and alert.kind != "budget"


# --- escalation


def _untaken(state: _GroupState, notified: NotifiedState) -> list[Alert]:
    """The alerts that were notified and that nobody has acknowledged."""
    return [alert for alert in state.unmuted if alert.acknowledged_at is None and alert.number in notified.severities]


def _count_untaken(state: _GroupState, notified: NotifiedState) -> NotifiedState:
    """Start the escalation when an alert is notified that nobody has acknowledged; stop it when there is none."""
    if not _untaken(state, notified):
        return replace(notified, untaken_since=None, steps=0)
    return notified if notified.untaken_since is not None else replace(notified, untaken_since=state.now, steps=0)


def _due_steps(state: _GroupState, notified: NotifiedState) -> list[Notification]:
    if notified.untaken_since is None:
        return []
    about = _numbers(_untaken(state, notified))
    return [
        Notification(NotificationKind.ESCALATION, ping=True, about=about, mention=step.mention, channel=step.channel)
        for step in state.group.route.escalate[notified.steps :]
        if notified.untaken_since + step.after <= state.now
    ]


# --- when to decide again, and the notified state


def _due_times(state: _GroupState, notified: NotifiedState) -> list[datetime]:
    """When something may have to be sent although nothing happens until then."""
    route, unmuted, last = state.group.route, state.unmuted, notified.last_ping_at
    # The end of a snooze inside a silence sends nothing, but changes what the message shows.
    snoozes = [alert.snoozed_until for alert in state.firing if alert.snoozed_until and _is_snoozed(alert, state.now)]
    times = [*state.mute_ends, *snoozes]
    if last is not None and any(_is_news(alert, notified) for alert in unmuted):
        times.append(last + route.group_interval)
    if last is not None and any(_may_repeat(alert) for alert in unmuted):
        times.append(last + route.repeat)
    if notified.untaken_since is not None and notified.steps < len(route.escalate):
        times.append(notified.untaken_since + route.escalate[notified.steps].after)
    return times


def _mark_notified(
    notified: NotifiedState, alerts: Sequence[Alert], pinged_at: datetime | None = None
) -> NotifiedState:
    severities = {**notified.severities, **{alert.number: alert.severity for alert in alerts}}
    return replace(notified, severities=severities, last_ping_at=pinged_at or notified.last_ping_at)


def _fallen(notified: NotifiedState, firing: Sequence[Alert]) -> Mapping[int, Severity]:
    """Members whose severity fell below the one notified: when they rise again, that is a rise.

    A budget's level is notified once a period. It fell only where the notified level was one of another amount.
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
