"""Who has taken a source or a notice for a while, and giving back what the dead have taken."""

from collections.abc import Collection

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import outbox, sources


def holders(tx: Tx) -> set[str]:
    """The names of the processes that hold a lease."""
    found: set[str] = set()
    for table in (outbox, sources):
        found.update(tx.execute(sa.select(table.c.owner).where(table.c.lease_until.is_not(None)).distinct()).scalars())
    return found


def release(tx: Tx, owners: Collection[str]) -> int:
    """Give back what these processes hold; how much it was. A notice stays marked as one that may have been sent."""
    released = 0
    for table in (outbox, sources):
        held = sa.and_(table.c.owner.in_(owners), table.c.lease_until.is_not(None))
        released += tx.execute(sa.update(table).where(held).values(lease_until=None)).rowcount
    return released
