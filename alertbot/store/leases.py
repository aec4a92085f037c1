"""The processes that hold leases, and releasing the leases of those that have ended."""

from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import evidence_fetches, outbox, rule_files, sources


def holders(tx: Tx) -> set[str]:
    """The processes that hold a lease or have registered their rule file."""
    processes: set[str] = set()
    for table in (outbox, sources, evidence_fetches):
        held = sa.and_(table.c.lease_until.is_not(None), table.c.owner != "")
        processes.update(tx.execute(sa.select(table.c.owner).where(held).distinct()).scalars())
    processes.update(tx.execute(sa.select(rule_files.c.process)).scalars())
    return processes


def release(tx: Tx, owners: Collection[str], *, earlier: timedelta) -> int:
    """Release the leases of processes that have ended. Returns how many.

    Sources and evidence are free at once. Outbox entries are free `earlier` than their leases would end, but not at once,
    and stay uncertain: a call of the ended process may still be under way to Slack, where it could not be found yet.
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
