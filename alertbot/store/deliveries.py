"""Outbox entries on their way to Slack: claimed with a lease, sent, marked. Nothing is ever sent from memory alone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.domain.notifications import Notification
from alertbot.store.channels import EVERY_CHANNEL
from alertbot.store.database import Tx
from alertbot.store.outbox import OutboxAction, is_waiting, stored_notification
from alertbot.store.tables import channels, outbox


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A claimed entry. `uncertain`: an earlier attempt may have reached Slack.

    `changed_at` is when the newest state that it will show was stored; nobody else claims it before `lease_until`.
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
    """Claim the due entries: the oldest of each ordering key, unless its channel has to wait or is `busy`.

    Without `ended_leases`, entries whose lease has ended are left to their owner.
    """
    older = outbox.alias("older")
    is_next = ~sa.exists().where(
        older.c.ordering_key == outbox.c.ordering_key, older.c.number < outbox.c.number, older.c.state == "waiting"
    )
    is_free = sa.or_(outbox.c.lease_until.is_(None), sa.and_(sa.literal(ended_leases), outbox.c.lease_until <= now))
    paused = sa.exists().where(channels.c.name.in_([outbox.c.channel, EVERY_CHANNEL]), channels.c.wait_until > now)
    may_be_sent = sa.or_(~paused, outbox.c.action == OutboxAction.ALARM.value)
    # A SELECT and an UPDATE, as RETURNING would give the new `uncertain`. SKIP LOCKED lets two replicas claim different
    # entries; SQLite, which has one writer at a time, does without.
    rows = tx.execute(
        sa.select(outbox)
        .where(is_waiting, outbox.c.due_at <= now, is_free, is_next, may_be_sent, outbox.c.channel.not_in(busy))
        .order_by(outbox.c.number)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
    ).all()
    if rows:
        # Uncertain before anything is sent: if this process dies, the next one looks for the message in Slack first.
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
            notification=stored_notification(row.notification),
            created_at=row.created_at,
            changed_at=row.changed_at,
            lease_until=now + lease,
            attempts=row.attempts + 1,
            uncertain=row.uncertain,
        )
        for row in rows
    ]


def is_held(tx: Tx, entry: OutboxEntry, *, owner: str) -> bool:
    """Whether this owner's claim still holds. Locks the entry, so that it does until the transaction ends."""
    query = sa.select(outbox.c.number).where(_is_held(entry, owner)).with_for_update()
    return tx.execute(query).first() is not None


def mark_sent(tx: Tx, entry: OutboxEntry, *, owner: str, ts: str, now: datetime) -> bool:
    """Note that Slack has the entry; False if the claim was lost."""
    return _finish(tx, entry, owner, state="sent", done_at=now, ts=ts, error="", uncertain=False)


def mark_deferred(tx: Tx, entry: OutboxEntry, *, owner: str, due_at: datetime, error: str, uncertain: bool) -> bool:
    """Try again at `due_at`; `uncertain` if Slack may have the entry nevertheless. False if the claim was lost."""
    return _finish(tx, entry, owner, due_at=due_at, error=error, uncertain=uncertain)


def mark_failed(tx: Tx, entry: OutboxEntry, *, owner: str, error: str, now: datetime) -> bool:
    """Give the entry up, with the reason; False if the claim was lost."""
    return _finish(tx, entry, owner, state="given up", done_at=now, error=error, uncertain=False)


def _finish(tx: Tx, entry: OutboxEntry, owner: str, **values: object) -> bool:
    finished = sa.update(outbox).where(_is_held(entry, owner)).values(lease_until=None, owner="", **values)
    return tx.execute(finished).rowcount == 1


def _is_held(entry: OutboxEntry, owner: str) -> sa.ColumnElement[bool]:
    # The attempts are the fence: a thread that slept through its lease does not pass for the present attempt.
    same_claim = sa.and_(outbox.c.owner == owner, outbox.c.attempts == entry.attempts)
    return sa.and_(outbox.c.number == entry.number, same_claim, is_waiting)


def reroute(tx: Tx, entry: OutboxEntry, *, owner: str, to: str, now: datetime) -> None:
    """Send an entry, and those that wait behind it, to another channel."""
    same_key = outbox.c.ordering_key == entry.ordering_key
    tx.execute(sa.update(outbox).where(is_waiting, same_key).values(channel=to))
    mark_deferred(tx, entry, owner=owner, due_at=now, error="", uncertain=False)


def post_to_channel(tx: Tx, entry: OutboxEntry) -> None:
    """Turn a reply whose thread is gone into a message in the channel."""
    tx.execute(sa.update(outbox).where(outbox.c.number == entry.number).values(action=OutboxAction.ALONE.value))


def release_all(tx: Tx, *, owner: str, but_not: Collection[int] = ()) -> int:
    """Give up an owner's claims, so that others may claim at once. Returns how many.

    `but_not` are the numbers of entries that are being sent: their leases stay.
    """
    return _release(tx, owner, outbox.c.number.not_in(but_not))


def release(tx: Tx, numbers: Collection[int], *, owner: str) -> None:
    """Give up an owner's claims of these entries, which could not be marked."""
    _release(tx, owner, outbox.c.number.in_(numbers))


def _release(tx: Tx, owner: str, condition: sa.ColumnElement[bool]) -> int:
    claimed = sa.and_(outbox.c.owner == owner, is_waiting, condition)
    return tx.execute(sa.update(outbox).where(claimed).values(lease_until=None, owner="")).rowcount
