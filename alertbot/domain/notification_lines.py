"""What a thread says of the alerts that a notification is about: a line for each of a few, one line for many.

The lines tell what was true when the notification was caused, not when it is sent. `{0}`, `{1}` … stand for people:
see Notification.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from alertbot.domain.alerts import Alert
from alertbot.domain.formatting import headline, lasted, limit, name_of, severity_order, worst
from alertbot.domain.notifications import Group, Notification, NotificationKind, NotifiedState

ONE_BY_ONE = 3  # alerts of one kind that have a line each; more of them share one
_MOST_NAMES = 5


def with_lines(notification: Notification, group: Group, alerts: Sequence[Alert], now: datetime) -> Notification:
    """The notification with the lines that its thread shows. `alerts` are those it is about, as they may be named."""
    if notification.kind is NotificationKind.ACKNOWLEDGED:
        return replace(notification, lines=_acknowledgements(alerts), people=tuple(_acknowledgers(alerts)))
    takers = sorted({alert.taken_by for alert in alerts if alert.taken_at is not None})
    lines: list[str] = []
    for kind, alike in _alike(notification.kind, group.notified, alerts):
        if len(alike) > (1 if kind is NotificationKind.ESCALATION else ONE_BY_ONE):
            lines.append(_line_for_many(kind, group, sorted(alike, key=severity_order), now, takers))
        else:
            lines += [_line(kind, group, alert, now, takers) for alert in alike]
    return replace(notification, lines=tuple(lines), people=tuple(takers))


def _alike(
    kind: NotificationKind, told: NotifiedState, alerts: Sequence[Alert]
) -> list[tuple[NotificationKind, list[Alert]]]:
    """The alerts by what is said of them, in the order in which each begins.

    A ping tells everything that waits: rises to each severity, new members and repeats.
    """
    found: dict[tuple[object, ...], tuple[NotificationKind, list[Alert]]] = {}
    for alert in alerts:
        news = (
            _news_of(alert, told)
            if kind in {NotificationKind.RISE, NotificationKind.MEMBER, NotificationKind.REPEAT}
            else kind
        )
        key = (news, alert.severity if news is NotificationKind.RISE else None, alert.is_gone)
        found.setdefault(key, (news, []))[1].append(alert)
    return list(found.values())


def _news_of(alert: Alert, told: NotifiedState) -> NotificationKind:
    """What is new of an alert to those who were told this much."""
    before = told.severities.get(alert.number)
    if before is None:
        return NotificationKind.MEMBER
    return NotificationKind.RISE if alert.severity.rank > before.rank else NotificationKind.REPEAT


# --- a line each


def _line(kind: NotificationKind, group: Group, alert: Alert, now: datetime, takers: Sequence[str]) -> str:
    where, told = name_of(alert), headline(alert)
    lines = {
        NotificationKind.RISE: f"Rose to {alert.severity}{_taken_before([alert], takers)}: {told}, {limit(alert)}",
        NotificationKind.MEMBER: f"New: {told}, {alert.severity}",
        NotificationKind.REPEAT: f"Still firing after {lasted(alert, now)}: {told}",
        NotificationKind.ESCALATION: f"Nobody has acknowledged this for {lasted(alert, now)}: {told} (G{group.number})",
        NotificationKind.FLAPPING: f"Flapping: {where} keeps firing and resolving. Until it is calm, the message is updated but nobody is notified.",
        NotificationKind.RESOLVED: _end(alert, now),
    }
    return lines.get(kind, told)


def _taken_before(alerts: Sequence[Alert], takers: Sequence[str]) -> str:
    """Who had acknowledged alerts before they got worse; `takers` are the people that the notification names."""
    broken = [alert for alert in alerts if alert.taken_at is not None and alert.acknowledged_at is None]
    if not broken:
        return ""
    last = max(broken, key=lambda alert: alert.taken_at or alert.pending_since)
    who = f"{{{takers.index(last.taken_by)}}}"
    at = f"at {last.taken_at:%H:%M} UTC"
    if len(alerts) == 1:
        return f" since {who} acknowledged it {at}"
    return f" ({len(broken):,} of them had been acknowledged, last by {who} {at})"


def _end(alert: Alert, now: datetime) -> str:
    where = name_of(alert)
    if alert.is_gone:
        return f"Resolved after {lasted(alert, now)}: {where} was deleted"
    return f"Resolved after {lasted(alert, now)}: {where}, {_at_worst(alert)}"


def _at_worst(alert: Alert) -> str:
    severity = f" ({alert.worst})" if alert.worst is not alert.severity else ""
    return f"{worst(alert)}{severity}"


# --- one line for many


def _line_for_many(
    kind: NotificationKind, group: Group, alerts: Sequence[Alert], now: datetime, takers: Sequence[str]
) -> str:
    """One line for alerts of which the same is said; the worst comes first."""
    first, count = alerts[0], f"{len(alerts):,} alerts"
    longest = lasted(min(alerts, key=lambda alert: alert.started_at or now), now)
    names = _names(alerts)
    write: Mapping[NotificationKind, Callable[[], str]] = {
        NotificationKind.RISE: lambda: (
            f"{count} rose to {first.severity}{_taken_before(alerts, takers)}; the worst: {headline(first)}, {limit(first)}"
        ),
        NotificationKind.MEMBER: lambda: f"{len(alerts):,} new alerts; the worst: {headline(first)}, {first.severity}",
        NotificationKind.REPEAT: lambda: (
            f"{count} still firing, the longest for {longest}; the worst: {headline(first)}"
        ),
        NotificationKind.ESCALATION: lambda: (
            f"Nobody has acknowledged {count}, the oldest for {longest}; the worst: {headline(first)} (G{group.number})"
        ),
        NotificationKind.FLAPPING: lambda: (
            f"{count} flapping: {names} keep firing and resolving. Until they are calm, the message is updated but nobody is notified."
        ),
        NotificationKind.RESOLVED: lambda: (
            f"{count} resolved because what they watched was deleted: {names}"
            if first.is_gone
            else f"{count} resolved; the worst: {name_of(first)}, {_at_worst(first)}"
        ),
    }
    return write[kind]() if kind in write else f"{count}: {names}"


def _names(alerts: Sequence[Alert]) -> str:
    names = [name_of(alert) for alert in alerts]
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


# --- who took what


def _acknowledgers(alerts: Sequence[Alert]) -> list[str]:
    return sorted({alert.acknowledged_by for alert in alerts})


def _acknowledgements(alerts: Sequence[Alert]) -> tuple[str, ...]:
    """One line a person, with what that person took."""
    return tuple(
        f"{{{place}}} acknowledged: {_names([alert for alert in alerts if alert.acknowledged_by == who])}"
        for place, who in enumerate(_acknowledgers(alerts))
    )
