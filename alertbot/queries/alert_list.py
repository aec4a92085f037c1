"""The alerts that people ask for."""

from collections.abc import Sequence

from alertbot.domain.alerts import Alert, State
from alertbot.domain.reports import AlertRow
from alertbot.domain.visibility import FULL_ACCESS, AccessScope
from alertbot.store import alerts, groups
from alertbot.store.database import Database


def list_alerts(
    database: Database,
    *,
    states: Sequence[State] = (State.PENDING, State.FIRING),
    limit: int | None = None,
    access: AccessScope = FULL_ACCESS,
) -> list[AlertRow]:
    """Alerts with the messages they are in, the newest first, as far as somebody may see them."""
    with database.reading() as tx:
        shown = [alert for alert in alerts.listed(tx, states=states, limit=limit) if access.shows(alert.labels)]
        messages = groups.messages_of(tx, [alert.number for alert in shown])
    rows = []
    for alert in shown:
        number, message = messages.get(alert.number, (None, None))
        rows.append(AlertRow(alert, number, message.channel if message else None, message.ts if message else None))
    return rows


def alerts_by_number(database: Database, numbers: Sequence[int]) -> list[Alert]:
    """These alerts as they are now."""
    with database.reading() as tx:
        return alerts.by_numbers(tx, numbers)
