"""Transitions → outbox: puts alerts into groups, decides what their channels have to hear, and writes it down.

Below the other flows, inside their transactions: a notification is written together with what caused it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, Reason, State, Transition, labels_with_severity
from alertbot.domain.decisions import CALM, Decision, decide
from alertbot.domain.evidence import Privacy
from alertbot.domain.formatting import MOST_ROWS
from alertbot.domain.notification_lines import ONE_BY_ONE, with_lines
from alertbot.domain.notifications import Group, Notification, NotificationKind, NotifiedState
from alertbot.domain.privacy import redact_alert
from alertbot.domain.routes import Route, group_key, route_for
from alertbot.domain.silences import Silence
from alertbot.store import alerts, groups, outbox, silences
from alertbot.store.database import Database, Tx

_JUST_AFTER = timedelta(milliseconds=1)  # at its last moment a silence still holds


def assign_to_groups(tx: Tx, transitions: Sequence[Transition], routes: Sequence[Route], *, now: datetime) -> set[int]:
    """Put alerts that began to fire, or rose to where another channel hears of them, into their groups.

    All groups concerned are returned. A fall, and a route that was edited, tell nobody anew.
    """
    changed = [transition for transition in transitions if transition.alert.state is not State.PENDING]
    numbers = [transition.alert.number for transition in changed]
    heard_in = groups.channels_of(tx, numbers)
    for transition in changed:
        alert, notified = transition.alert, heard_in.get(transition.alert.number)
        if alert.state is State.FIRING and (notified is None or transition.reason is Reason.ROSE):
            labels = labels_with_severity(alert)
            route = route_for(labels, routes)
            if notified is None or route.channel not in notified:
                groups.add_member(tx, groups.open_for(tx, route, group_key(route, labels), now=now), alert.number)
            if sum(other.channel == route.channel for other in routes) > 1:
                groups.upgrade_route(tx, route, alert.number, alert.severity)
    return set(groups.of_alerts(tx, numbers))


def notify_groups(tx: Tx, numbers: Iterable[int], *, now: datetime, at_once: bool = False) -> list[Decision]:
    """Decide about these groups, and write down what has to be said; `at_once` does not gather (group_wait) before."""
    wanted = sorted(numbers)
    if not wanted:
        return []
    quiet = silences.in_force(tx, now)
    later = silences.next_start(tx, now)
    decided = [_notify_group(tx, number, quiet, later, now=now, at_once=at_once) for number in wanted]
    return [decision for decision in decided if decision is not None]


def notify_due(database: Database, *, now: datetime) -> int:
    """Say what is due though nothing happened: the end of a group_wait, a repeat, the end of a snooze."""
    with database.reading() as tx:
        due = groups.due(tx, now)
    for number in due:
        with database.transaction() as tx:
            notify_groups(tx, [number], now=now)
    return len(due)


def notify_now(database: Database, *, now: datetime) -> None:
    """Say what is to be said without waiting for more: for a cycle after which nobody is there to say it."""
    with database.reading() as tx:
        waiting = groups.open_ones(tx)
    for number in waiting:
        with database.transaction() as tx:
            notify_groups(tx, [number], now=now, at_once=True)


def _notify_group(
    tx: Tx, number: int, quiet: Sequence[Silence], later: datetime | None, *, now: datetime, at_once: bool
) -> Decision | None:
    group = groups.load(tx, number, lock=True)
    assert group is not None, "groups are not deleted while alerts are in them"
    # A reading is judged as of its own time: what people were told since then, such as at the end of a snooze, was
    # told.
    now = max(now, group.notified.last_ping_at or now)
    members = alerts.by_numbers(tx, groups.members(tx, number))
    if group.closed_at is not None and not any(alert.state is State.FIRING for alert in members):
        return None  # somebody else closed it just before, and has said so
    if at_once:
        group = replace(group, route=replace(group.route, group_wait=timedelta(0)))
    changes = groups.changes(tx, group, since=now - CALM)
    decision = decide(group, members, muted_until(members, quiet, now), now, changes=changes)
    if later is not None and not decision.closes:
        # Whoever is silenced has to be known to be, from the first moment on: what ends in it, ends quietly.
        decision = replace(decision, next_check_at=min(later, decision.next_check_at or later))
    groups.save(tx, group, decision, now=now)
    for notification in decision.notifications:
        written = _with_text(notification, group, members, now)
        outbox.add(tx, written, group=number, channel=group.route.channel, now=now)
        if len(members) > MOST_ROWS and _brings_list(notification, group.notified):
            outbox.add_file(tx, group=number, channel=group.route.channel, now=now)
    return decision


def muted_until(members: Sequence[Alert], quiet: Sequence[Silence], now: datetime) -> Mapping[int, datetime]:
    """From when on each alert that is snoozed or silenced may be spoken of again."""
    found: dict[int, datetime] = {}
    for alert in members:
        ends = [silence.ends_at + _JUST_AFTER for silence in quiet if silence.covers(labels_with_severity(alert), now)]
        if alert.snoozed_until is not None and alert.snoozed_until > now:
            ends.append(alert.snoozed_until)
        if ends:
            found[alert.number] = max(ends)
    return found


def _with_text(notification: Notification, group: Group, members: Sequence[Alert], now: datetime) -> Notification:
    privacy = Privacy(group.route.privacy)
    about = [redact_alert(alert, privacy) for alert in members if alert.number in notification.about]
    return with_lines(notification, group, about, now)


def _brings_list(notification: Notification, notified: NotifiedState) -> bool:
    """Whether the list of all alerts comes with it: there are alerts that the last list lacks, or more than lines tell."""
    if notification.kind not in {
        NotificationKind.FIRST,
        NotificationKind.BRIEF,
        NotificationKind.MEMBER,
        NotificationKind.RISE,
    }:
        return False
    return len(notification.about) > ONE_BY_ONE or not notified.severities.keys() >= set(notification.about)
