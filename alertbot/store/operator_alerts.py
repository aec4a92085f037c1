"""What keeps the bot from its work: remembered so that people are told once, and told when it is over."""

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import operator_alerts
from alertbot.store.upserts import upsert


@dataclass(frozen=True, slots=True)
class OperatorAlert:
    """One trouble that was told. `owner` is the process that sees it, and last did at `seen_at`."""

    name: str
    reason: str
    since: datetime
    owner: str
    seen_at: datetime


def standing(tx: Tx) -> dict[str, OperatorAlert]:
    """What troubles the bot now, by name."""
    rows = tx.execute(sa.select(operator_alerts))
    return {row.name: OperatorAlert(row.name, row.reason, row.since, row.owner, row.seen_at) for row in rows}


def begin(tx: Tx, operator_alert: OperatorAlert) -> bool:
    """Note a trouble; False if it was known, whoever saw it first."""
    # RETURNING, as psycopg counts no rows of an INSERT without it.
    added = upsert(tx, operator_alerts).returning(operator_alerts.c.name)
    begun = tx.execute(added, asdict(operator_alert)).first() is not None
    if not begun:
        mine = sa.and_(operator_alerts.c.name == operator_alert.name, operator_alerts.c.owner == operator_alert.owner)
        tx.execute(sa.update(operator_alerts).where(mine).values(seen_at=operator_alert.seen_at))
    return begun


def end(tx: Tx, operator_alert: OperatorAlert) -> bool:
    """Forget a trouble; False if somebody else has, or it was seen again since."""
    known = sa.and_(operator_alerts.c.name == operator_alert.name, operator_alerts.c.seen_at == operator_alert.seen_at)
    return tx.execute(sa.delete(operator_alerts).where(known)).rowcount == 1


def forget(tx: Tx, name: str) -> None:
    """Forget a trouble, whoever saw it."""
    tx.execute(sa.delete(operator_alerts).where(operator_alerts.c.name == name))
