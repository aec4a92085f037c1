"""What keeps the bot from its work: remembered so that people are told once, and told when it is over."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from alertbot.store.database import Tx
from alertbot.store.tables import troubles


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble that was told. `owner` is the process that sees it, and last did at `seen_at`."""

    name: str
    reason: str
    since: datetime
    owner: str
    seen_at: datetime


def standing(tx: Tx) -> dict[str, Trouble]:
    """What troubles the bot now, by name."""
    rows = tx.execute(sa.select(troubles))
    return {row.name: Trouble(row.name, row.reason, row.since, row.owner, row.seen_at) for row in rows}


def begin(tx: Tx, trouble: Trouble) -> bool:
    """Note a trouble; False if it was known, whoever saw it first."""
    insert = sqlite.insert(troubles) if tx.dialect.name == "sqlite" else postgresql.insert(troubles)
    values = {
        "name": trouble.name,
        "reason": trouble.reason,
        "since": trouble.since,
        "owner": trouble.owner,
        "seen_at": trouble.seen_at,
    }
    # By what is returned: psycopg counts no rows of an INSERT that has no RETURNING.
    added = insert.values(values).on_conflict_do_nothing(index_elements=["name"]).returning(troubles.c.name)
    begun = tx.execute(added).first() is not None
    if not begun:
        mine = sa.and_(troubles.c.name == trouble.name, troubles.c.owner == trouble.owner)
        tx.execute(sa.update(troubles).where(mine).values(seen_at=trouble.seen_at))
    return begun


def end(tx: Tx, trouble: Trouble) -> bool:
    """Forget a trouble; False if somebody else has, or it was seen again since."""
    known = sa.and_(troubles.c.name == trouble.name, troubles.c.seen_at == trouble.seen_at)
    return tx.execute(sa.delete(troubles).where(known)).rowcount == 1


def forget(tx: Tx, name: str) -> None:
    """Forget a trouble, whoever saw it."""
    tx.execute(sa.delete(troubles).where(troubles.c.name == name))
