"""Who has taken a source or a notification for a while, and giving back what the dead have taken."""

from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import evidence_fetches, outbox, rule_files, sources


def holders(tx: Tx) -> set[str]:
    """The names of the processes that hold a lease, or said with which rules they run."""
    found: set[str] = set()
    for table in (outbox, sources, evidence_fetches):
        held = sa.and_(table.c.lease_until.is_not(None), table.c.owner != "")
        found.update(tx.execute(sa.select(table.c.owner).where(held).distinct()).scalars())
    found.update(tx.execute(sa.select(rule_files.c.process)).scalars())
    return found


def release(tx: Tx, owners: Collection[str], *, earlier: timedelta) -> int:
    """Give back what processes hold that have ended; how much it was. A notification stays marked as one that may have been sent.

    A source and its evidence are free at once. A notification is free so much `earlier` than its lease would end, not
    at once: the call that the process made may still be under way at Slack, where nobody would find it yet.
    """
    released = 0
    tx.execute(sa.delete(rule_files).where(rule_files.c.process.in_(owners)))
    for table in (sources, evidence_fetches):
        held = sa.and_(table.c.owner.in_(owners), table.c.lease_until.is_not(None))
        released += tx.execute(sa.update(table).where(held).values(lease_until=None)).rowcount
    waiting = sa.and_(outbox.c.owner.in_(owners), outbox.c.lease_until.is_not(None), outbox.c.state == "waiting")
    for row in tx.execute(sa.select(outbox.c.number, outbox.c.lease_until).where(waiting).with_for_update()).all():
        freed = {"owner": "", "lease_until": row.lease_until - earlier}
        released += tx.execute(sa.update(outbox).where(outbox.c.number == row.number).values(freed)).rowcount
    return released
