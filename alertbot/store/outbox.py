"""Notifications not yet delivered. Claimed with a lease, sent, marked; nothing is ever sent from memory.

An ordering key is one message with its thread: of two rows in an ordering key the older goes first. ordering keys do
not wait for one another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.store.channels import EVERY_CHANNEL
from alertbot.store.database import Tx
from alertbot.store.tables import Moment, channels, groups, outbox

_BATCH = 500  # numbers in one statement: SQLite takes 32,766 parameters
_ALARMS = "webhook"  # the ordering key and the channel of what needs no token
_EDIT_INTERVAL = timedelta(seconds=10)  # at most one edit of a message in this time; a person's act does not wait


class OutboxAction(StrEnum):
    """What a row does in Slack.

    Bring the group's message up to date, add to its thread, stand alone in a channel, bring a message back into its own
    channel, which was broken, put the list of all its alerts into its thread as a file, or go past Slack's channels, to
    the operator's webhook.
    """

    MESSAGE = "message"
    REPLY = "reply"
    ALONE = "alone"
    RETURN = "return"
    FILE = "file"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A claimed notification. `uncertain` says that an earlier try may have arrived.

    `changed_at` is when the newest of what it will show was written down; nobody else takes it before `lease_until`.
    """

    number: int
    ordering_key: str
    channel: str
    group: int | None
    action: OutboxAction
    notification: Notification
    created_at: datetime
    changed_at: datetime
    lease_until: datetime
    attempts: int
    uncertain: bool


def add(tx: Tx, notification: Notification, *, group: int, channel: str, now: datetime) -> None:
    """Write down a notification of a group: the message that is seen, and what is heard in its thread.

    Edits are merged into one that waits already, which will show the newest state. What a person did shows at once.
    `channel` is the group's own; while that is broken the notification goes where the message stands.
    """
    ordering_key = f"G{group}"
    row = tx.execute(sa.select(groups.c.edited_at, groups.c.diverted_to).where(groups.c.number == group)).one()
    channel = row.diverted_to or channel
    _bring_up_to_date(
        tx, notification, ordering_key=ordering_key, group=group, channel=channel, edited_at=row.edited_at, now=now
    )
    if notification.channel is not None and notification.channel != channel:
        _insert(
            tx,
            notification,
            ordering_key=f"{ordering_key} {notification.channel}",
            channel=notification.channel,
            group=group,
            action=OutboxAction.ALONE,
            now=now,
        )
    elif notification.kind not in {NotificationKind.FIRST, NotificationKind.BRIEF, NotificationKind.EDIT}:
        _insert(
            tx,
            notification,
            ordering_key=ordering_key,
            channel=channel,
            group=group,
            action=OutboxAction.REPLY,
            now=now,
        )


def add_file(tx: Tx, *, group: int, channel: str, now: datetime) -> None:
    """Write down that the thread gets the list of all alerts; after the message itself, in the same ordering key."""
    notification = Notification(NotificationKind.EDIT, ping=False)
    _insert(tx, notification, ordering_key=f"G{group}", channel=channel, group=group, action=OutboxAction.FILE, now=now)


def _bring_up_to_date(
    tx: Tx,
    notification: Notification,
    *,
    ordering_key: str,
    group: int,
    channel: str,
    edited_at: datetime | None,
    now: datetime,
) -> None:
    """Before the thread, so that a message which somebody deleted is there again when its thread goes on."""
    posts = notification.kind in {NotificationKind.FIRST, NotificationKind.BRIEF}
    if not posts and _merged(tx, ordering_key, at_once=notification.kind is not NotificationKind.EDIT, now=now):
        return
    due_at = _editable_from(tx, ordering_key, edited_at, now) if notification.kind is NotificationKind.EDIT else now
    seen = notification if posts else Notification(NotificationKind.EDIT, ping=False)
    _insert(
        tx,
        seen,
        ordering_key=ordering_key,
        channel=channel,
        group=group,
        action=OutboxAction.MESSAGE,
        now=now,
        due_at=due_at,
    )


def _editable_from(tx: Tx, ordering_key: str, edited_at: datetime | None, now: datetime) -> datetime:
    """When the message may be edited again at the earliest, after its last edit and after one that is on its way now."""
    on_its_way = sa.exists().where(
        outbox.c.ordering_key == ordering_key,
        outbox.c.state == "waiting",
        outbox.c.action == OutboxAction.MESSAGE.value,
    )
    if tx.execute(sa.select(on_its_way)).scalar_one():
        return now + _EDIT_INTERVAL
    return max(now, edited_at + _EDIT_INTERVAL) if edited_at else now


def _merged(tx: Tx, ordering_key: str, *, at_once: bool, now: datetime) -> bool:
    """Whether a message that waits in the ordering key will show the newest state anyway.

    The row is updated even where nothing changes in it: whoever claims at the same time either waits for this
    transaction, and shows its state, or was first, and then no row fits here.
    """
    due_at = (
        sa.case((outbox.c.due_at > now, sa.literal(now, Moment)), else_=outbox.c.due_at) if at_once else outbox.c.due_at
    )
    touched = tx.execute(
        sa.update(outbox)
        .where(
            outbox.c.ordering_key == ordering_key,
            outbox.c.state == "waiting",
            outbox.c.action == OutboxAction.MESSAGE.value,
            outbox.c.lease_until.is_(None),
        )
        .values(due_at=due_at, changed_at=now)
    )
    return touched.rowcount > 0


def add_return(tx: Tx, *, group: int, channel: str, now: datetime) -> None:
    """Try to bring a group's message back into its own channel."""
    notification = Notification(NotificationKind.EDIT, ping=False)
    _insert(
        tx,
        notification,
        ordering_key=f"return {channel}",
        channel=channel,
        group=group,
        action=OutboxAction.RETURN,
        now=now,
    )


def reroute(tx: Tx, row: OutboxEntry, *, owner: str, to: str, now: datetime) -> None:
    """Send a notification, and what waits behind it, to another channel."""
    waiting = sa.and_(outbox.c.state == "waiting", outbox.c.ordering_key == row.ordering_key)
    tx.execute(sa.update(outbox).where(waiting).values(channel=to))
    mark_deferred(tx, row, owner=owner, due_at=now, error="", uncertain=False)


def post_to_channel(tx: Tx, row: OutboxEntry) -> None:
    """Let a reply whose thread is gone be said in the channel itself."""
    tx.execute(sa.update(outbox).where(outbox.c.number == row.number).values(action=OutboxAction.ALONE.value))


def add_alone(tx: Tx, notification: Notification, *, channel: str, now: datetime) -> None:
    """Write down a notification that belongs to no group, such as one about the bot itself."""
    _insert(
        tx,
        notification,
        ordering_key=f"alone {channel}",
        channel=channel,
        group=None,
        action=OutboxAction.ALONE,
        now=now,
    )


def add_alarm(tx: Tx, text: str, *, now: datetime) -> None:
    """Write down what the operators have to hear even if Slack takes nothing of us."""
    notification = Notification(NotificationKind.OPERATOR, ping=False, lines=(text,))
    _insert(tx, notification, ordering_key=_ALARMS, channel=_ALARMS, group=None, action=OutboxAction.ALARM, now=now)


def drop_alarms(tx: Tx, *, why: str, now: datetime) -> None:
    """Send those alarms no more that could not be sent until now."""
    mine = sa.and_(
        outbox.c.action == OutboxAction.ALARM.value, outbox.c.state == "waiting", outbox.c.lease_until.is_(None)
    )
    tx.execute(sa.update(outbox).where(mine).values(state="given up", done_at=now, error=why))


def _insert(
    tx: Tx,
    notification: Notification,
    *,
    ordering_key: str,
    channel: str,
    group: int | None,
    action: OutboxAction,
    now: datetime,
    due_at: datetime | None = None,
) -> None:
    tx.execute(
        sa.insert(outbox).values(
            ordering_key=ordering_key,
            channel=channel,
            group=group,
            action=action.value,
            kind=notification.kind.value,
            ping=notification.ping,
            notification=_notification_out(notification),
            created_at=now,
            changed_at=now,
            due_at=due_at or now,
        )
    )


def claim(
    tx: Tx,
    *,
    owner: str,
    lease: timedelta,
    now: datetime,
    limit: int = 20,
    busy: Collection[str] = (),
    ended_leases: bool = True,
) -> list[OutboxEntry]:
    """Take the notifications that may be sent now: the oldest of each ordering key whose channel need not wait and is not `busy`.

    They are marked uncertain before anything is sent, so that a crash in between is found out. Without `ended_leases`
    only those that nobody holds, or has held until now.
    """
    older = outbox.alias("older")
    is_next = ~sa.exists().where(
        older.c.ordering_key == outbox.c.ordering_key, older.c.number < outbox.c.number, older.c.state == "waiting"
    )
    held_up = sa.exists().where(channels.c.name.in_([outbox.c.channel, EVERY_CHANNEL]), channels.c.wait_until > now)
    waits = sa.and_(held_up, outbox.c.action != OutboxAction.ALARM.value)
    free = sa.or_(outbox.c.lease_until.is_(None), sa.and_(sa.literal(ended_leases), outbox.c.lease_until <= now))
    ready = sa.and_(
        outbox.c.state == "waiting", outbox.c.due_at <= now, free, is_next, ~waits, outbox.c.channel.not_in(busy)
    )
    # SKIP LOCKED lets two replicas take different rows; SQLite, where one process writes at a time, leaves it out.
    candidates = (
        sa.select(outbox)
        .where(ready)
        .order_by(outbox.c.number)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
    )
    rows = tx.execute(candidates).all()
    if rows:
        tx.execute(
            sa.update(outbox)
            .where(outbox.c.number.in_([row.number for row in rows]))
            .values(owner=owner, lease_until=now + lease, attempts=outbox.c.attempts + 1, uncertain=True)
        )
    return [
        OutboxEntry(
            number=row.number,
            ordering_key=row.ordering_key,
            channel=row.channel,
            group=row.group,
            action=OutboxAction(row.action),
            notification=_notification_in(row.notification),
            created_at=row.created_at,
            changed_at=row.changed_at,
            lease_until=now + lease,
            attempts=row.attempts + 1,
            uncertain=row.uncertain,
        )
        for row in rows
    ]


def mark_sent(tx: Tx, row: OutboxEntry, *, owner: str, ts: str, now: datetime) -> bool:
    """Note that Slack has it; False if the lease was lost to somebody else meanwhile."""
    return _finish(tx, row, owner, {"state": "sent", "done_at": now, "ts": ts, "error": "", "uncertain": False})


def mark_deferred(tx: Tx, row: OutboxEntry, *, owner: str, due_at: datetime, error: str, uncertain: bool) -> bool:
    """Try again at `due_at`; `uncertain` where it may have arrived nevertheless."""
    return _finish(tx, row, owner, {"due_at": due_at, "error": error, "uncertain": uncertain})


def mark_failed(tx: Tx, row: OutboxEntry, *, owner: str, error: str, now: datetime) -> bool:
    """Give a notification up, with the reason."""
    return _finish(tx, row, owner, {"state": "given up", "done_at": now, "error": error, "uncertain": False})


def _finish(tx: Tx, row: OutboxEntry, owner: str, values: Mapping[str, Any]) -> bool:
    # The count of attempts fences: a thread that slept through its lease is not taken for the one that tries now.
    mine = sa.and_(outbox.c.owner == owner, outbox.c.attempts == row.attempts)
    changed = tx.execute(
        sa.update(outbox)
        .where(outbox.c.number == row.number, mine, outbox.c.state == "waiting")
        .values(lease_until=None, owner="", **values)
    )
    return changed.rowcount == 1


def is_held(tx: Tx, row: OutboxEntry, *, owner: str) -> bool:
    """Whether nobody else took the notification since this owner claimed it; nobody does before the transaction ends."""
    mine = sa.and_(outbox.c.owner == owner, outbox.c.attempts == row.attempts, outbox.c.state == "waiting")
    query = sa.select(outbox.c.number).where(outbox.c.number == row.number, mine).with_for_update()
    return tx.execute(query).first() is not None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A notification that will not be sent."""

    number: int
    group: int | None
    kind: NotificationKind


def has_old(tx: Tx, *, before: datetime, now: datetime) -> bool:
    """Whether anything waits that `give_up_old` would give up."""
    return tx.execute(_old(before, now).limit(1)).first() is not None


def give_up_old(tx: Tx, *, before: datetime, why: str, now: datetime) -> list[GivenUp]:
    """Send no more what shows nothing newer than `before`, in its order.

    Nobody's message is left out as long as its alerts fire, or while it stands in Slack: there it would stay untrue.
    """
    rows = tx.execute(_old(before, now).with_for_update(skip_locked=True, of=outbox)).all()
    numbers = [row.number for row in rows]
    for first in range(0, len(numbers), _BATCH):
        batch = outbox.c.number.in_(numbers[first : first + _BATCH])
        tx.execute(sa.update(outbox).where(batch).values(state="given up", done_at=now, error=why, uncertain=False))
    return [GivenUp(row.number, row.group, NotificationKind(row.kind)) for row in rows]


def _old(before: datetime, now: datetime) -> sa.Select[Any]:
    is_needed = sa.exists().where(
        groups.c.number == outbox.c.group, sa.or_(groups.c.closed_at.is_(None), groups.c.message_ts != "")
    )
    is_message = sa.and_(outbox.c.action == OutboxAction.MESSAGE.value, is_needed)
    is_for_operators = sa.and_(
        outbox.c.action == OutboxAction.ALONE.value, outbox.c.kind == NotificationKind.OPERATOR.value
    )
    is_free = sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= now)
    return (
        sa.select(outbox.c.number, outbox.c.group, outbox.c.kind)
        .where(outbox.c.state == "waiting", outbox.c.changed_at < before, is_free, ~is_message, ~is_for_operators)
        .order_by(outbox.c.number)
    )


def replies_waiting(tx: Tx, ordering_key: str) -> list[int]:
    """The numbers of what the thread has still to be told of the alerts themselves, not of what people did."""
    query = sa.select(outbox.c.number).where(
        outbox.c.ordering_key == ordering_key,
        outbox.c.state == "waiting",
        outbox.c.action == OutboxAction.REPLY.value,
        outbox.c.kind.not_in([NotificationKind.ACTION.value, NotificationKind.ACKNOWLEDGED.value]),
    )
    return list(tx.execute(query).scalars())


def cancel(tx: Tx, numbers: Sequence[int], *, why: str, now: datetime) -> None:
    """Send these no more."""
    waiting = sa.and_(outbox.c.number.in_(numbers), outbox.c.state == "waiting")
    tx.execute(sa.update(outbox).where(waiting).values(state="given up", done_at=now, error=why))


def release_all(tx: Tx, *, owner: str, but_not: Collection[int] = ()) -> int:
    """Give back what was claimed and not marked: another process may take it at once. How many they were.

    `but_not` are the numbers of those that are on their way to Slack now: they stay this owner's until their lease is over.
    """
    held = sa.and_(outbox.c.owner == owner, outbox.c.state == "waiting", outbox.c.number.not_in(but_not))
    return tx.execute(sa.update(outbox).where(held).values(lease_until=None, owner="")).rowcount


def give_back(tx: Tx, numbers: Collection[int], *, owner: str) -> None:
    """Let notifications that this owner claimed, and could not mark, be claimed again."""
    mine = sa.and_(outbox.c.number.in_(numbers), outbox.c.owner == owner, outbox.c.state == "waiting")
    tx.execute(sa.update(outbox).where(mine).values(lease_until=None, owner=""))


def retry_now(tx: Tx, *, now: datetime) -> None:
    """Try at once what was put off after a try that failed: what was in its way is gone."""
    put_off = sa.and_(outbox.c.state == "waiting", outbox.c.attempts > 0, outbox.c.due_at > now)
    tx.execute(sa.update(outbox).where(put_off, outbox.c.lease_until.is_(None)).values(due_at=now))


def depth(tx: Tx) -> tuple[int, datetime | None]:
    """How many notifications wait, and since when the oldest does."""
    row = tx.execute(
        sa.select(sa.func.count(), sa.func.min(outbox.c.created_at)).where(outbox.c.state == "waiting")
    ).one()
    return row[0], row[1]


def next_due(tx: Tx) -> datetime | None:
    """When the next waiting notification wants to be sent."""
    moment: datetime | None = tx.execute(
        sa.select(sa.func.min(outbox.c.due_at)).where(outbox.c.state == "waiting")
    ).scalar()
    return moment


def has_overdue(tx: Tx, *, now: datetime) -> bool:
    """Whether something waits that should have been sent by now, or that could not be sent when it should."""
    late = sa.or_(outbox.c.due_at <= now, outbox.c.attempts > 0)
    return tx.execute(sa.select(outbox.c.number).where(outbox.c.state == "waiting", late).limit(1)).first() is not None


def sent_notifications(tx: Tx) -> list[tuple[datetime, Notification]]:
    """Every notification that people hear, in the order in which they were caused: all but plain edits, acts and alarms."""
    quiet = [NotificationKind.EDIT.value, NotificationKind.ACTION.value]
    in_slack = outbox.c.action != OutboxAction.ALARM.value
    rows = tx.execute(sa.select(outbox).where(outbox.c.kind.not_in(quiet), in_slack).order_by(outbox.c.number))
    return [(row.created_at, _notification_in(row.notification)) for row in rows]


def _notification_out(notification: Notification) -> dict[str, Any]:
    return {
        "kind": notification.kind.value,
        "ping": notification.ping,
        "about": list(notification.about),
        "mention": list(notification.mention),
        "channel": notification.channel,
        "lines": list(notification.lines),
        "people": list(notification.people),
    }


def _notification_in(kept: Mapping[str, Any]) -> Notification:
    return Notification(
        kind=NotificationKind(kept["kind"]),
        ping=kept["ping"],
        about=tuple(kept["about"]),
        mention=tuple(kept["mention"]),
        channel=kept["channel"],
        lines=tuple(kept["lines"]),
        people=tuple(kept["people"]),
    )
