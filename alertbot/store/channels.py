"""Slack channels that have to wait, and those that cannot be written to."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import channels, groups
from alertbot.store.upserts import upsert

EVERY_CHANNEL = "*"  # the row that pauses the whole app
PROBE_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Broken:
    """A channel that cannot be written to, with the reason and the time of the next attempt."""

    name: str
    reason: str
    since: datetime
    probe_at: datetime


def hold(tx: Tx, name: str, *, until: datetime) -> None:
    """Pause a channel."""
    _put(tx, name, {"wait_until": until})


def mark_broken(tx: Tx, name: str, reason: str, *, now: datetime) -> bool:
    """Note that a channel cannot be written to; False if that was known."""
    known = tx.execute(sa.select(channels.c.broken).where(channels.c.name == name).with_for_update()).scalar()
    since = {} if known else {"broken_at": now}
    _put(tx, name, {"broken": reason, "probe_at": now + PROBE_EVERY, **since})
    return not known


def reason_of(tx: Tx, name: str) -> str:
    """Why a channel cannot be written to; empty where it can."""
    reason: str | None = tx.execute(sa.select(channels.c.broken).where(channels.c.name == name)).scalar()
    return reason or ""


def mark_working(tx: Tx, name: str) -> bool:
    """Note that a channel can be written to; False if it was not broken."""
    changed = tx.execute(
        sa.update(channels)
        .where(channels.c.name == name, channels.c.broken != "")
        .values(broken="", broken_at=None, probe_at=None, wait_until=None)
    )
    return changed.rowcount == 1


def broken(tx: Tx) -> list[Broken]:
    """The channels that cannot be written to."""
    rows = tx.execute(sa.select(channels).where(channels.c.broken != "").order_by(channels.c.name))
    return [Broken(row.name, row.broken, row.broken_at, row.probe_at) for row in rows]


def is_closed(tx: Tx, name: str, *, now: datetime) -> bool:
    """Whether a channel is broken and its next attempt is not due."""
    query = sa.select(channels.c.name).where(
        channels.c.name == name, channels.c.broken != "", channels.c.probe_at > now
    )
    return tx.execute(query).first() is not None


def take_probe(tx: Tx, name: str, *, now: datetime) -> bool:
    """Claim the next attempt on a broken channel; False if it is not due, or another process has it."""
    changed = tx.execute(
        sa.update(channels)
        .where(channels.c.name == name, channels.c.broken != "", channels.c.probe_at <= now)
        .values(probe_at=now + PROBE_EVERY)
    )
    return changed.rowcount == 1


def diverted_from(tx: Tx, name: str) -> list[int]:
    """The open groups of a channel whose messages are elsewhere while it is broken."""
    query = sa.select(groups.c.number).where(
        groups.c.channel == name, groups.c.diverted_to != "", groups.c.closed_at.is_(None)
    )
    return sorted(tx.execute(query).scalars())


def _put(tx: Tx, name: str, values: dict[str, object]) -> None:
    tx.execute(upsert(tx, channels, update=values), {"name": name, **values})
