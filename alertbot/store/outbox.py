"""Notifications that wait to be delivered, and those that were: what is added, merged, given up and counted.

Of two entries with the same ordering key the older goes first; entries with different keys do not wait for one another.
A group's message and its thread share a key. store/deliveries.py claims and marks entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.store.chunks import chunks
from alertbot.store.column_types import Moment
from alertbot.store.database import Tx
from alertbot.store.tables import groups, outbox

_CHUNK = 500  # numbers a statement
_WEBHOOK = "webhook"  # both ordering key and channel of what goes to the operators' webhook
_EDIT_INTERVAL = timedelta(seconds=10)  # between two edits of a message; what a person did shows at once
_EDIT = Notification(NotificationKind.EDIT, ping=False)
_POSTS = {NotificationKind.FIRST, NotificationKind.BRIEF}  # the kinds that post a group's message


class OutboxAction(StrEnum):
    """What delivering an entry does."""

    MESSAGE = "message"  # posts the group's message, or edits it to show the present state
    REPLY = "reply"  # adds to the message's thread
    ALONE = "alone"  # posts a message of its own in a channel
    RETURN = "return"  # posts the group's message in its own channel again, which was broken
    FILE = "file"  # adds the list of all alerts to the thread, as a file
    ALARM = "alarm"  # calls the operators' webhook, which needs no token


is_waiting = outbox.c.state == "waiting"
_waits_as_message = sa.and_(is_waiting, outbox.c.action == OutboxAction.MESSAGE.value)


def add(tx: Tx, notification: Notification, *, group: int, channel: str, now: datetime) -> None:
    """Add a notification of a group: the message itself first, then what it adds to the thread or to another channel.

    `channel` is the group's own; while it is broken, the entries go where the message is.
    """
    message = tx.execute(sa.select(groups.c.edited_at, groups.c.diverted_to).where(groups.c.number == group)).one()
    channel, ordering_key, kind = message.diverted_to or channel, f"G{group}", notification.kind
    # The message comes before its thread, so that one which somebody deleted is posted again before the thread goes on.
    if kind in _POSTS:
        _insert(tx, OutboxAction.MESSAGE, notification, ordering_key, channel, group=group, now=now)
    elif not _merged(tx, ordering_key, at_once=kind is not NotificationKind.EDIT, now=now):
        due_at = _editable_from(tx, ordering_key, message.edited_at, now) if kind is NotificationKind.EDIT else now
        _insert(tx, OutboxAction.MESSAGE, _EDIT, ordering_key, channel, group=group, now=now, due_at=due_at)
    elsewhere = notification.channel
    if elsewhere is not None and elsewhere != channel:
        _insert(tx, OutboxAction.ALONE, notification, f"{ordering_key} {elsewhere}", elsewhere, group=group, now=now)
    elif kind not in {*_POSTS, NotificationKind.EDIT}:
        _insert(tx, OutboxAction.REPLY, notification, ordering_key, channel, group=group, now=now)


def _merged(tx: Tx, ordering_key: str, *, at_once: bool, now: datetime) -> bool:
    """Whether a waiting entry will show the newest state of the message anyway.

    The entry is updated even if nothing in it changes: a claim at the same time either waits for this transaction and
    shows its state, or was first, and then no entry is found here.
    """
    earliest = sa.case((outbox.c.due_at > now, sa.literal(now, Moment)), else_=outbox.c.due_at)
    updated = tx.execute(
        sa.update(outbox)
        .where(outbox.c.ordering_key == ordering_key, _waits_as_message, outbox.c.lease_until.is_(None))
        .values(due_at=earliest if at_once else outbox.c.due_at, changed_at=now)
    )
    return updated.rowcount > 0


def _editable_from(tx: Tx, ordering_key: str, edited_at: datetime | None, now: datetime) -> datetime:
    """The earliest time for another edit, after the last one and after one that is being sent now."""
    if tx.execute(sa.select(sa.exists().where(outbox.c.ordering_key == ordering_key, _waits_as_message))).scalar_one():
        return now + _EDIT_INTERVAL
    return max(now, edited_at + _EDIT_INTERVAL) if edited_at else now


def add_file(tx: Tx, *, group: int, channel: str, now: datetime) -> None:
    """Add the list of all alerts to a group's thread, after the message itself."""
    _insert(tx, OutboxAction.FILE, _EDIT, f"G{group}", channel, group=group, now=now)


def add_return(tx: Tx, *, group: int, channel: str, now: datetime) -> None:
    """Try to bring a group's message back into its own channel."""
    _insert(tx, OutboxAction.RETURN, _EDIT, f"return {channel}", channel, group=group, now=now)


def add_alone(tx: Tx, notification: Notification, *, channel: str, now: datetime) -> None:
    """Add a notification that belongs to no group, such as one about the bot itself."""
    _insert(tx, OutboxAction.ALONE, notification, f"alone {channel}", channel, now=now)


def add_alarm(tx: Tx, text: str, *, now: datetime) -> None:
    """Add a line for the operators' webhook, which works even if Slack refuses the bot."""
    notification = Notification(NotificationKind.OPERATOR, ping=False, lines=(text,))
    _insert(tx, OutboxAction.ALARM, notification, _WEBHOOK, _WEBHOOK, now=now)


def _insert(
    tx: Tx,
    action: OutboxAction,
    notification: Notification,
    ordering_key: str,
    channel: str,
    *,
    now: datetime,
    group: int | None = None,
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
            notification=asdict(notification),
            created_at=now,
            changed_at=now,
            due_at=due_at or now,
        )
    )


def drop_alarms(tx: Tx, *, why: str, now: datetime) -> None:
    """Give up the alarms that nobody is sending right now."""
    _give_up(tx, sa.and_(outbox.c.action == OutboxAction.ALARM.value, outbox.c.lease_until.is_(None)), why, now)


def cancel(tx: Tx, numbers: Sequence[int], *, why: str, now: datetime) -> None:
    """Give up these entries, as far as they still wait."""
    _give_up(tx, outbox.c.number.in_(numbers), why, now)


def _give_up(tx: Tx, condition: sa.ColumnElement[bool], why: str, now: datetime) -> None:
    tx.execute(sa.update(outbox).where(condition, is_waiting).values(state="given up", done_at=now, error=why))


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A notification that will not be sent."""

    number: int
    group: int | None
    kind: NotificationKind


def has_old(tx: Tx, *, before: datetime, now: datetime) -> bool:
    """Whether `give_up_old` would give anything up."""
    return tx.execute(_old(before, now).limit(1)).first() is not None


def give_up_old(tx: Tx, *, before: datetime, why: str, now: datetime) -> list[GivenUp]:
    """Give up the entries that show nothing newer than `before`, in their order.

    A group's message is not given up while its alerts fire, nor once it is in Slack, where it would stay outdated.
    """
    rows = tx.execute(_old(before, now).with_for_update(skip_locked=True, of=outbox)).all()
    for chunk in chunks([row.number for row in rows], _CHUNK):
        _give_up(tx, outbox.c.number.in_(chunk), why, now)
    return [GivenUp(row.number, row.group, NotificationKind(row.kind)) for row in rows]


def _old(before: datetime, now: datetime) -> sa.Select[Any]:
    of_live_group = sa.exists().where(
        groups.c.number == outbox.c.group, sa.or_(groups.c.closed_at.is_(None), groups.c.message_ts != "")
    )
    is_needed = sa.and_(outbox.c.action == OutboxAction.MESSAGE.value, of_live_group)
    is_for_operators = sa.and_(
        outbox.c.action == OutboxAction.ALONE.value, outbox.c.kind == NotificationKind.OPERATOR.value
    )
    is_free = sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= now)
    return (
        sa.select(outbox.c.number, outbox.c.group, outbox.c.kind)
        .where(is_waiting, outbox.c.changed_at < before, is_free, ~is_needed, ~is_for_operators)
        .order_by(outbox.c.number)
    )


def replies_waiting(tx: Tx, ordering_key: str) -> list[int]:
    """The numbers of the waiting replies about the alerts themselves, not about what people did."""
    query = sa.select(outbox.c.number).where(
        outbox.c.ordering_key == ordering_key,
        is_waiting,
        outbox.c.action == OutboxAction.REPLY.value,
        outbox.c.kind.not_in([NotificationKind.ACTION.value, NotificationKind.ACKNOWLEDGED.value]),
    )
    return list(tx.execute(query).scalars())


def retry_now(tx: Tx, *, now: datetime) -> None:
    """Make entries due whose delivery failed and was put off: the cause is gone."""
    put_off = sa.and_(is_waiting, outbox.c.attempts > 0, outbox.c.due_at > now, outbox.c.lease_until.is_(None))
    tx.execute(sa.update(outbox).where(put_off).values(due_at=now))


def depth(tx: Tx) -> tuple[int, datetime | None]:
    """How many entries wait, and when the oldest was created."""
    row = tx.execute(sa.select(sa.func.count(), sa.func.min(outbox.c.created_at)).where(is_waiting)).one()
    return row[0], row[1]


def has_overdue(tx: Tx, *, now: datetime) -> bool:
    """Whether a waiting entry is due, or has failed before."""
    late = sa.or_(outbox.c.due_at <= now, outbox.c.attempts > 0)
    return tx.execute(sa.select(outbox.c.number).where(is_waiting, late).limit(1)).first() is not None


def sent_notifications(tx: Tx) -> list[tuple[datetime, Notification]]:
    """Every notification that people receive, in the order of creation: all but edits, actions and alarms."""
    silent = [NotificationKind.EDIT.value, NotificationKind.ACTION.value]
    in_slack = outbox.c.action != OutboxAction.ALARM.value
    rows = tx.execute(sa.select(outbox).where(outbox.c.kind.not_in(silent), in_slack).order_by(outbox.c.number))
    return [(row.created_at, stored_notification(row.notification)) for row in rows]


def stored_notification(stored: Mapping[str, Any]) -> Notification:
    """A notification from its JSON."""
    return Notification(
        kind=NotificationKind(stored["kind"]),
        ping=stored["ping"],
        about=tuple(stored["about"]),
        mention=tuple(stored["mention"]),
        channel=stored["channel"],
        lines=tuple(stored["lines"]),
        people=tuple(stored["people"]),
    )
