"""Transitions → outbox: puts alerts into groups, decides what their channels have to hear, and writes it down.

Below the other flows, inside their transactions: a notice is written together with what caused it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, Reason, State, Transition, labels_with_severity
from alertbot.domain.evidence import Privacy
from alertbot.domain.notices import CALM, Decision, Group, Kind, Notice, Told, decide
from alertbot.domain.privacy import redact_alert
from alertbot.domain.routes import Route, group_key, route_for
from alertbot.domain.silences import Silence
from alertbot.domain.wording import MOST_ROWS, headline, lasted, limit, name_of, worst
from alertbot.store import alerts, groups, outbox, silences
from alertbot.store.database import Database, Tx

_JUST_AFTER = timedelta(milliseconds=1)  # at its last moment a silence still holds


def enroll(tx: Tx, transitions: Sequence[Transition], routes: Sequence[Route], *, now: datetime) -> set[int]:
    """Put alerts that began to fire, or rose to where another channel hears of them, into their groups.

    All groups concerned are returned. A fall, and a route that was edited, tell nobody anew.
    """
    changed = [transition for transition in transitions if transition.alert.state is not State.PENDING]
    numbers = [transition.alert.number for transition in changed]
    heard_in = groups.channels_of(tx, numbers)
    for transition in changed:
        alert, told = transition.alert, heard_in.get(transition.alert.number)
        if alert.state is State.FIRING and (told is None or transition.reason is Reason.ROSE):
            labels = labels_with_severity(alert)
            route = route_for(labels, routes)
            if told is None or route.channel not in told:
                groups.add_member(tx, groups.open_for(tx, route, group_key(route, labels), now=now), alert.number)
            if sum(other.channel == route.channel for other in routes) > 1:
                groups.go_by(tx, route, alert.number, alert.severity)
    return set(groups.of_alerts(tx, numbers))


def speak(tx: Tx, numbers: Iterable[int], *, now: datetime, at_once: bool = False) -> list[Decision]:
    """Decide about these groups, and write down what has to be said; `at_once` does not gather (group_wait) before."""
    wanted = sorted(numbers)
    if not wanted:
        return []
    quiet = silences.in_force(tx, now)
    later = silences.next_start(tx, now)
    decided = [_speak_of(tx, number, quiet, later, now=now, at_once=at_once) for number in wanted]
    return [decision for decision in decided if decision is not None]


def speak_when_due(database: Database, *, now: datetime) -> int:
    """Say what is due though nothing happened: the end of a group_wait, a repeat, the end of a snooze."""
    with database.reading() as tx:
        due = groups.due(tx, now)
    for number in due:
        with database.transaction() as tx:
            speak(tx, [number], now=now)
    return len(due)


def speak_at_once(database: Database, *, now: datetime) -> None:
    """Say what is to be said without waiting for more: for a cycle after which nobody is there to say it."""
    with database.reading() as tx:
        waiting = groups.open_ones(tx)
    for number in waiting:
        with database.transaction() as tx:
            speak(tx, [number], now=now, at_once=True)


def _speak_of(
    tx: Tx, number: int, quiet: Sequence[Silence], later: datetime | None, *, now: datetime, at_once: bool
) -> Decision | None:
    group = groups.load(tx, number, lock=True)
    assert group is not None, "groups are not deleted while alerts are in them"
    # A reading is judged as of its own time: what people were told since then, such as at the end of a snooze, was told.
    now = max(now, group.told.last_ping_at or now)
    members = alerts.by_numbers(tx, groups.members(tx, number))
    if group.closed_at is not None and not any(alert.state is State.FIRING for alert in members):
        return None  # somebody else closed it just before, and has said so
    if at_once:
        group = replace(group, route=replace(group.route, group_wait=timedelta(0)))
    changes = groups.changes(tx, group, since=now - CALM)
    decision = decide(group, members, hushed(members, quiet, now), now, changes=changes)
    if later is not None and not decision.closes:
        # Whoever is silenced has to be known to be, from the first moment on: what ends in it, ends quietly.
        decision = replace(decision, look_at=min(later, decision.look_at or later))
    groups.save(tx, group, decision, now=now)
    for notice in decision.notices:
        worded = _worded(notice, group, members, now)
        outbox.add(tx, worded, group=number, channel=group.route.channel, now=now)
        if notice.kind in {Kind.FIRST, Kind.BRIEF, Kind.MEMBER} and len(members) > MOST_ROWS:
            outbox.add_file(tx, group=number, channel=group.route.channel, now=now)
    return decision


def hushed(members: Sequence[Alert], quiet: Sequence[Silence], now: datetime) -> Mapping[int, datetime]:
    """From when on each alert that is snoozed or silenced may be spoken of again."""
    found: dict[int, datetime] = {}
    for alert in members:
        ends = [silence.ends_at + _JUST_AFTER for silence in quiet if silence.covers(labels_with_severity(alert), now)]
        if alert.snoozed_until is not None and alert.snoozed_until > now:
            ends.append(alert.snoozed_until)
        if ends:
            found[alert.number] = max(ends)
    return found


def _worded(notice: Notice, group: Group, members: Sequence[Alert], now: datetime) -> Notice:
    """The notice with the lines that its thread shows: what was true when it was caused, not when it is sent."""
    privacy = Privacy(group.route.privacy)
    about = [redact_alert(alert, privacy) for alert in members if alert.number in notice.about]
    if notice.kind is Kind.ACKNOWLEDGED:
        return replace(notice, lines=_taken_lines(about), people=tuple(_takers(about)))
    before = sorted({alert.taken_by for alert in about if alert.taken_at is not None})
    lines = tuple(_line(notice.kind, group, alert, now, before) for alert in about)
    return replace(notice, lines=lines, people=tuple(before))


def _takers(about: Sequence[Alert]) -> list[str]:
    return sorted({alert.acknowledged_by for alert in about})


def _taken_lines(about: Sequence[Alert]) -> tuple[str, ...]:
    """One line a person, with what that person took."""
    taken = {who: [name_of(alert) for alert in about if alert.acknowledged_by == who] for who in _takers(about)}
    return tuple(f"{{{place}}} acknowledged: {', '.join(names[:5])}" for place, names in enumerate(taken.values()))


def _line(kind: Kind, group: Group, alert: Alert, now: datetime, takers: Sequence[str]) -> str:
    where, told = name_of(alert), headline(alert)
    if kind in {Kind.RISE, Kind.MEMBER, Kind.REPEAT}:  # which tell all that waits, each of its own kind
        kind = _new_of(alert, group.told)
    lines = {
        Kind.RISE: f"Rose to {alert.severity}{_taken_before(alert, takers)}: {told}, {limit(alert)}",
        Kind.MEMBER: f"New: {told}, {alert.severity}",
        Kind.REPEAT: f"Still firing after {lasted(alert, now)}: {told}",
        Kind.ESCALATION: f"Nobody has taken this for {lasted(alert, now)}: {told} (G{group.number})",
        Kind.FLAPPING: f"Flaps: {where} fires and resolves again and again. Only this message is kept true until it is calm.",
        Kind.RESOLVED: _end(alert, now),
    }
    return lines.get(kind, told)


def _taken_before(alert: Alert, takers: Sequence[str]) -> str:
    """Who had acknowledged an alert before it got worse; `takers` are the people that the notice names."""
    if alert.taken_at is None or alert.acknowledged_at is not None:
        return ""
    return f" since {{{takers.index(alert.taken_by)}}} acknowledged it at {alert.taken_at:%H:%M} UTC"


def _end(alert: Alert, now: datetime) -> str:
    where = name_of(alert)
    if alert.is_gone:
        return f"Gone after {lasted(alert, now)}: {where} was deleted, so nothing more can come of it"
    severity = f" ({alert.worst})" if alert.worst is not alert.severity else ""
    return f"Resolved after {lasted(alert, now)}: {where}, {worst(alert)}{severity}"


def _new_of(alert: Alert, told: Told) -> Kind:
    """What is new of an alert to those who were told this much."""
    before = told.severities.get(alert.number)
    if before is None:
        return Kind.MEMBER
    return Kind.RISE if alert.severity.rank > before.rank else Kind.REPEAT
