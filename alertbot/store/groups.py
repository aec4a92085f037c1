"""Groups of alerts that share a message, and what their channels were notified of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from alertbot.domain.decisions import Decision, NotifyReason
from alertbot.domain.notifications import Group, MessageRef, NotifiedState
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import Selector, Severity
from alertbot.store.database import Tx
from alertbot.store.tables import alerts, decisions, groups, memberships, transitions
from alertbot.store.upserts import upsert


def open_for(tx: Tx, route: Route, key: str, *, now: datetime) -> int:
    """The number of the open group of this route and key, which is opened if there is none."""
    number = _open_one(tx, route.channel, key)
    if number is not None:
        return number
    closed = sa.and_(groups.c.channel == route.channel, groups.c.key == key, groups.c.closed_at.is_not(None))
    newest = sa.select(groups.c.number).where(closed, groups.c.message_ts != "").order_by(groups.c.closed_at.desc())
    previous = tx.execute(newest.limit(1)).scalar()
    is_open = groups.c.closed_at.is_(None)
    number = tx.execute(
        upsert(tx, groups, conflict=["channel", "key"], conflict_where=is_open).returning(groups.c.number),
        {
            "key": key,
            "channel": route.channel,
            "route": _route_out(route),
            "opened_at": now,
            "notified": _notified_out(NotifiedState()),
            "next_check_at": now,
            "previous": previous,
        },
    ).scalar()
    if number is None:  # another replica opened it at the same time, for another source's alert
        number = _open_one(tx, route.channel, key)
    assert number is not None, "it is open, or has just been opened"
    return number


def _open_one(tx: Tx, channel: str, key: str) -> int | None:
    # Locked, so that nobody closes it before the new member is in it.
    matches = sa.and_(groups.c.channel == channel, groups.c.key == key, groups.c.closed_at.is_(None))
    number: int | None = tx.execute(sa.select(groups.c.number).where(matches).with_for_update()).scalar()
    return number


def upgrade_route(tx: Tx, route: Route, alert: int, severity: Severity) -> None:
    """Give the alert's groups in this channel its route, if it is more severe than their other firing alerts.

    A rise then mentions and escalates as its own route says. A route with the same `match` is the same route, edited.
    """
    of_alert = sa.and_(memberships.c.alert == alert, groups.c.channel == route.channel, groups.c.closed_at.is_(None))
    query = sa.select(groups.c.number, groups.c.route, groups.c.notified).join(memberships).where(of_alert)
    new_route = _route_out(route)
    for group in tx.execute(query.with_for_update(of=groups)).all():
        if group.route["match"] == new_route["match"]:
            continue
        others = sa.select(alerts.c.severity).join(memberships).where(memberships.c.group == group.number)
        beside = others.where(alerts.c.number != alert, alerts.c.state == "firing").distinct()
        if all(Severity(other).rank < severity.rank for other in tx.execute(beside).scalars()):
            notified = replace(_notified_in(group.notified), untaken_since=None, steps=0)
            values = {"route": new_route, "notified": _notified_out(notified)}
            tx.execute(sa.update(groups).where(groups.c.number == group.number).values(**values))


def add_member(tx: Tx, group: int, alert: int) -> None:
    """Add an alert to a group, if it is not in it."""
    known = tx.execute(
        sa.select(memberships.c.alert).where(memberships.c.group == group, memberships.c.alert == alert)
    ).first()
    if known is None:
        tx.execute(sa.insert(memberships).values(group=group, alert=alert))


def of_alerts(tx: Tx, numbers: Iterable[int], *, open_only: bool = True) -> list[int]:
    """The groups with any of these alerts."""
    query = sa.select(memberships.c.group).join(groups).where(memberships.c.alert.in_(list(numbers))).distinct()
    if open_only:
        query = query.where(groups.c.closed_at.is_(None))
    return sorted(tx.execute(query).scalars())


def channels_of(tx: Tx, numbers: Iterable[int]) -> dict[int, set[str]]:
    """The channels of each alert's open groups; without alerts that have none."""
    query = sa.select(memberships.c.alert, groups.c.channel).join(groups)
    channels: dict[int, set[str]] = {}
    for alert, channel in tx.execute(query.where(memberships.c.alert.in_(list(numbers)), groups.c.closed_at.is_(None))):
        channels.setdefault(alert, set()).add(channel)
    return channels


def members(tx: Tx, group: int) -> list[int]:
    """The numbers of a group's alerts."""
    query = sa.select(memberships.c.alert).where(memberships.c.group == group).order_by(memberships.c.alert)
    return list(tx.execute(query).scalars())


def changes(tx: Tx, group: Group, *, since: datetime) -> dict[tuple[str, str], list[datetime]]:
    """When alerts of this group, and of earlier ones with its key, began to fire or resolved, by rule and series."""
    # In a group that was closed by then no alert has changed since: years of closed groups cost nothing.
    same = sa.and_(groups.c.channel == group.route.channel, groups.c.key == group.key)
    recent = tx.execute(sa.select(groups.c.number).where(same, groups.c.closed_at > since)).scalars()
    of_groups = sa.select(memberships.c.alert).where(memberships.c.group.in_({group.number, *recent}))
    crossed = sa.or_(
        sa.and_(transitions.c.after == "firing", transitions.c.before != "firing"),
        sa.and_(transitions.c.after == "resolved", transitions.c.before == "firing"),
    )
    rows = tx.execute(
        sa.select(alerts.c.rule, alerts.c.series, transitions.c.at)
        .join(alerts, alerts.c.number == transitions.c.alert)
        .where(transitions.c.alert.in_(of_groups), transitions.c.at > since, crossed)
        .order_by(transitions.c.at)
    )
    times: dict[tuple[str, str], list[datetime]] = {}
    for rule, series, at in rows:
        times.setdefault((rule, series), []).append(at)
    return times


def due(tx: Tx, now: datetime) -> list[int]:
    """Open groups that may have to be notified though no alert changed."""
    query = sa.select(groups.c.number).where(groups.c.next_check_at <= now, groups.c.closed_at.is_(None))
    return sorted(tx.execute(query).scalars())


def next_check_at(tx: Tx) -> datetime | None:
    """The earliest time at which an open group may have to be notified though no alert changes."""
    query = sa.select(sa.func.min(groups.c.next_check_at)).where(groups.c.closed_at.is_(None))
    moment: datetime | None = tx.execute(query).scalar()
    return moment


def open_ones(tx: Tx) -> list[int]:
    """Every open group."""
    return sorted(tx.execute(sa.select(groups.c.number).where(groups.c.closed_at.is_(None))).scalars())


def load(tx: Tx, number: int, *, lock: bool = False) -> Group | None:
    """One group; with `lock` no other process changes it until the transaction ends."""
    query = sa.select(groups).where(groups.c.number == number)
    row = tx.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    return Group(
        key=row.key,
        route=_route_in(row.route),
        opened_at=row.opened_at,
        number=row.number,
        notified=_notified_in(row.notified),
        closed_at=row.closed_at,
        previous=row.previous,
    )


def save(tx: Tx, group: Group, decision: Decision, *, now: datetime) -> None:
    """Store a decision; one that notifies, or whose reason differs from the last, also in the group's history."""
    before = tx.execute(sa.select(groups.c.reason).where(groups.c.number == group.number)).scalar_one()
    tx.execute(
        sa.update(groups)
        .where(groups.c.number == group.number)
        .values(
            notified=_notified_out(decision.notified),
            next_check_at=decision.next_check_at,
            reason=decision.reason.value,
            closed_at=now if decision.closes else None,
        )
    )
    if decision.reason is NotifyReason.NOTIFIES or decision.reason.value != before:
        kinds = " ".join(notification.kind.value for notification in decision.notifications)
        tx.execute(sa.insert(decisions).values(group=group.number, at=now, reason=decision.reason.value, kinds=kinds))


def last_decision(tx: Tx, alert: int, *, until: datetime) -> tuple[int, datetime, str, str] | None:
    """The newest decision about a group of this alert until then: group, time, reason, kinds of notifications."""
    row = tx.execute(
        sa.select(decisions.c.group, decisions.c.at, decisions.c.reason, decisions.c.kinds)
        .join(memberships, memberships.c.group == decisions.c.group)
        .where(memberships.c.alert == alert, decisions.c.at <= until)
        .order_by(decisions.c.at.desc(), decisions.c.number.desc())
        .limit(1)
    ).first()
    return None if row is None else (row.group, row.at, row.reason, row.kinds)


def message_ref(tx: Tx, number: int) -> MessageRef | None:
    """Where the group's message is; None before it is posted."""
    row = tx.execute(sa.select(groups.c.message_channel, groups.c.message_ts).where(groups.c.number == number)).first()
    return MessageRef(row.message_channel, row.message_ts) if row is not None and row.message_ts else None


def set_message(tx: Tx, number: int, message: MessageRef) -> None:
    """Note where the group's message is."""
    tx.execute(
        sa.update(groups)
        .where(groups.c.number == number)
        .values(message_channel=message.channel, message_ts=message.ts)
    )


def reroute(tx: Tx, number: int, to: str) -> None:
    """Move the group's message to another channel, where it has yet to be posted."""
    tx.execute(
        sa.update(groups).where(groups.c.number == number).values(diverted_to=to, message_channel="", message_ts="")
    )


def bring_back(tx: Tx, number: int) -> None:
    """Move the group's message back to its own channel, where it has yet to be posted."""
    reroute(tx, number, "")


def count_repost(tx: Tx, number: int) -> None:
    """Note that the message was deleted and has to be posted again."""
    again = {"reposts": groups.c.reposts + 1, "message_channel": "", "message_ts": ""}
    tx.execute(sa.update(groups).where(groups.c.number == number).values(again))


def reposts(tx: Tx, number: int) -> int:
    """How often the message was posted again because somebody had deleted it."""
    count: int = tx.execute(sa.select(groups.c.reposts).where(groups.c.number == number)).scalar_one()
    return count


def mark_edited(tx: Tx, number: int, now: datetime) -> None:
    """Note when the message was last posted or edited."""
    tx.execute(sa.update(groups).where(groups.c.number == number).values(edited_at=now))


def messages_of(tx: Tx, numbers: Sequence[int]) -> dict[int, tuple[int, MessageRef | None]]:
    """The newest group of each alert, and where its message is."""
    rows = tx.execute(
        sa.select(memberships.c.alert, groups.c.number, groups.c.message_channel, groups.c.message_ts)
        .join(groups)
        .join(alerts)
        .where(memberships.c.alert.in_(list(numbers)))
        .order_by(groups.c.number)
    )
    return {alert: (group, MessageRef(channel, ts) if ts else None) for alert, group, channel, ts in rows}


def _notified_out(notified: NotifiedState) -> dict[str, Any]:
    return {
        "first_at": notified.first_at.isoformat() if notified.first_at else None,
        "severities": {str(number): severity.value for number, severity in notified.severities.items()},
        "acknowledged": sorted(notified.acknowledged),
        "muted": sorted(notified.muted),
        "over": sorted(notified.over),
        "last_ping_at": notified.last_ping_at.isoformat() if notified.last_ping_at else None,
        "untaken_since": notified.untaken_since.isoformat() if notified.untaken_since else None,
        "steps": notified.steps,
        "flapping": sorted(notified.flapping),
        "content_hash": notified.content_hash,
    }


def _notified_in(stored: Mapping[str, Any]) -> NotifiedState:
    return NotifiedState(
        first_at=datetime.fromisoformat(stored["first_at"]) if stored["first_at"] else None,
        severities={int(number): Severity(severity) for number, severity in stored["severities"].items()},
        acknowledged=frozenset(stored["acknowledged"]),
        muted=frozenset(stored["muted"]),
        over=frozenset(stored["over"]),
        last_ping_at=datetime.fromisoformat(stored["last_ping_at"]) if stored["last_ping_at"] else None,
        untaken_since=datetime.fromisoformat(stored["untaken_since"]) if stored["untaken_since"] else None,
        steps=stored["steps"],
        flapping=frozenset(stored["flapping"]),
        content_hash=stored["content_hash"],
    )


def _route_out(route: Route) -> dict[str, Any]:
    return {
        "channel": route.channel,
        "match": [[name, list(globs)] for name, globs in route.match.globs],
        "mention": list(route.mention),
        "group_by": list(route.group_by),
        "group_wait": route.group_wait.total_seconds(),
        "group_interval": route.group_interval.total_seconds(),
        "repeat": route.repeat.total_seconds(),
        "flap_limit": route.flap_limit,
        "forget_brief": route.forget_brief,
        "privacy": route.privacy,
        "send_resolved": route.send_resolved,
        "escalate": [[step.after.total_seconds(), list(step.mention), step.channel] for step in route.escalate],
    }


def _route_in(stored: Mapping[str, Any]) -> Route:
    return Route(
        channel=stored["channel"],
        match=Selector(tuple((name, tuple(globs)) for name, globs in stored["match"])),
        mention=tuple(stored["mention"]),
        group_by=tuple(stored["group_by"]),
        group_wait=timedelta(seconds=stored["group_wait"]),
        group_interval=timedelta(seconds=stored["group_interval"]),
        repeat=timedelta(seconds=stored["repeat"]),
        flap_limit=stored["flap_limit"],
        forget_brief=stored["forget_brief"],
        privacy=stored["privacy"],
        send_resolved=stored["send_resolved"],
        escalate=tuple(
            Step(timedelta(seconds=after), tuple(mention), channel) for after, mention, channel in stored["escalate"]
        ),
    )
