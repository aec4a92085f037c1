"""Operator alerts that are firing, so that operators are notified once of each, and again when it ends."""

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import operator_alerts
from alertbot.store.upserts import upsert


@dataclass(frozen=True, slots=True)
class OperatorAlert:
    """An operator alert. `owner` is the process that sees the cause, and last did at `seen_at`."""

    name: str
    reason: str
    since: datetime
    owner: str
    seen_at: datetime


def standing(tx: Tx) -> dict[str, OperatorAlert]:
    """The operator alerts that are firing, by name."""
    rows = tx.execute(sa.select(operator_alerts))
    return {row.name: OperatorAlert(row.name, row.reason, row.since, row.owner, row.seen_at) for row in rows}


def begin(tx: Tx, operator_alert: OperatorAlert) -> bool:
    """Store an operator alert; False if it was firing, whichever process saw it."""
    # RETURNING, as psycopg counts no rows of an INSERT without it.
    added = upsert(tx, operator_alerts).returning(operator_alerts.c.name)
    begun = tx.execute(added, asdict(operator_alert)).first() is not None
    if not begun:
        is_owner = sa.and_(
            operator_alerts.c.name == operator_alert.name, operator_alerts.c.owner == operator_alert.owner
        )
        tx.execute(sa.update(operator_alerts).where(is_owner).values(seen_at=operator_alert.seen_at))
    return begun


def end(tx: Tx, operator_alert: OperatorAlert) -> bool:
    """Delete an operator alert; False if another process has, or its cause was seen again."""
    unchanged = sa.and_(
        operator_alerts.c.name == operator_alert.name, operator_alerts.c.seen_at == operator_alert.seen_at
    )
    return tx.execute(sa.delete(operator_alerts).where(unchanged)).rowcount == 1


def forget(tx: Tx, name: str) -> None:
    """Delete an operator alert, whichever process saw it."""
    tx.execute(sa.delete(operator_alerts).where(operator_alerts.c.name == name))
