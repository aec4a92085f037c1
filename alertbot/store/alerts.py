"""Alerts, their transitions, and people's actions on them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from alertbot.domain.alerts import Action, Alert, Outcome, State, Transition
from alertbot.domain.rules import Severity
from alertbot.errors import StoreError
from alertbot.store.database import Tx
from alertbot.store.tables import actions, alert_is_open, alerts, transitions

_FIELDS = tuple(field.name for field in fields(Alert) if field.name != "number")
# The fields that an action can change.
_ACTED = ("acknowledged_by", "acknowledged_at", "taken_by", "taken_at", "snoozed_until", "assigned_to")
_SEVERITIES = ("severity", "peak_severity", "notified_severity")
_OPEN = {State.PENDING, State.FIRING}


@dataclass(frozen=True, slots=True)
class Change:
    """A stored transition of an alert."""

    alert: int
    at: datetime
    before: State
    after: State
    reason: str


def open_ones(tx: Tx, *, now: datetime) -> list[Alert]:
    """Every open alert, and each budget's last alert of a period that ends at or after `now`. Locks them."""
    # A union, so that each half uses its own index: there are years of resolved alerts.
    opened = sa.select(alerts.c.number).where(alert_is_open)
    of_period = sa.select(alerts.c.number).where(alerts.c.period >= now)
    either = alerts.c.number.in_(sa.union(opened, of_period))
    rows = tx.execute(sa.select(alerts).where(either).order_by(alerts.c.number).with_for_update())
    return [_alert(row) for row in rows]


def by_numbers(tx: Tx, numbers: Iterable[int], *, lock: bool = False) -> list[Alert]:
    """These alerts by number, without those that do not exist."""
    query = sa.select(alerts).where(alerts.c.number.in_(list(numbers))).order_by(alerts.c.number)
    return [_alert(row) for row in tx.execute(query.with_for_update() if lock else query)]


def listed(tx: Tx, *, states: Sequence[State], limit: int | None = None) -> list[Alert]:
    """Alerts in these states, newest first."""
    numbers = sa.select(alerts.c.number).where(alerts.c.state.in_([state.value for state in states]))
    if set(states) <= _OPEN:
        numbers = numbers.where(alert_is_open)
    query = sa.select(alerts).where(alerts.c.number.in_(numbers))
    return [_alert(row) for row in tx.execute(query.order_by(alerts.c.number.desc()).limit(limit))]


def counts(tx: Tx) -> dict[tuple[State, Severity], int]:
    """How many alerts are open, by state and severity."""
    query = sa.select(alerts.c.state, alerts.c.severity, sa.func.count()).where(alert_is_open)
    rows = tx.execute(query.group_by(alerts.c.state, alerts.c.severity))
    return {(State(state), Severity(severity)): count for state, severity, count in rows}


def changes_of(tx: Tx, rule: str, series: str, *, until: datetime) -> list[Change]:
    """The last 20 transitions of a rule's alerts of one series up to a time, newest first."""
    rows = tx.execute(
        sa.select(transitions)
        .join(alerts)
        .where(alerts.c.rule == rule, alerts.c.series == series, transitions.c.at <= until)
        .order_by(transitions.c.at.desc(), transitions.c.number.desc())
        .limit(20)
    )
    return [Change(row.alert, row.at, State(row.before), State(row.after), row.reason) for row in rows]


def save(tx: Tx, changed: Sequence[Transition]) -> list[Transition]:
    """Store changed alerts and their transitions. Returns them with the numbers of new alerts.

    Raises StoreError if another process has changed an alert since it was loaded.
    """
    saved = [replace(transition, alert=_write(tx, transition.alert)) for transition in changed]
    rows = [
        {
            "alert": transition.alert.number,
            "at": transition.at,
            "before": transition.before.value,
            "after": transition.alert.state.value,
            "reason": transition.reason.value,
            "severity": transition.alert.severity.value,
            "value": transition.alert.value,
            "threshold": transition.alert.threshold,
        }
        for transition in saved
        if transition.is_change
    ]
    if rows:
        tx.execute(sa.insert(transitions), rows)
    return saved


def _write(tx: Tx, alert: Alert) -> Alert:
    values = _values(alert) | {"version": alert.version + 1}
    if not alert.number:
        try:
            inserted = tx.execute(sa.insert(alerts).values(**values).returning(alerts.c.number))
        except IntegrityError as error:  # of a rule over all sources, which two processes may evaluate at once
            raise StoreError(f"another process opened an alert of {alert.rule} at the same time") from error
        return replace(alert, number=inserted.scalar_one(), version=1)
    written = tx.execute(
        sa.update(alerts).where(alerts.c.number == alert.number, alerts.c.version == alert.version).values(**values)
    )
    if written.rowcount != 1:
        raise StoreError(f"alert A{alert.number} was changed by another process at the same time")
    return replace(alert, version=alert.version + 1)


def already_acted_on(tx: Tx, key: str, numbers: Sequence[int]) -> set[int]:
    """Which of these alerts have had the action of this key."""
    query = sa.select(actions.c.alert).where(actions.c.key == key, actions.c.alert.in_(list(numbers)))
    return set(tx.execute(query).scalars())


def record_action(tx: Tx, action: Action, outcomes: Sequence[tuple[Alert, Outcome]]) -> None:
    """Store a person's action and its outcome for each alert."""
    rows = [
        {
            "alert": alert.number,
            "kind": action.kind.value,
            "who": action.who,
            "at": action.at,
            "text": action.text,
            "until": action.until,
            "has_fixed_end": action.has_fixed_end,
            "outcome": outcome.value,
            "key": action.key,
        }
        for alert, outcome in outcomes
    ]
    if rows:
        tx.execute(sa.insert(actions), rows)


def save_action_results(tx: Tx, changed: Sequence[Alert]) -> list[Alert]:
    """Store alerts that an action changed, in one statement, as a group may have a thousand of them.

    Raises StoreError if another process has changed one since it was loaded.
    """
    if not changed:
        return []
    unchanged = sa.and_(alerts.c.number == sa.bindparam("its_number"), alerts.c.version == sa.bindparam("its_version"))
    new: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in (*_ACTED, "version")}
    rows = [
        {"its_number": alert.number, "its_version": alert.version, "new_version": alert.version + 1}
        | {f"new_{name}": getattr(alert, name) for name in _ACTED}
        for alert in changed
    ]
    if tx.execute(sa.update(alerts).where(unchanged).values(**new), rows).rowcount != len(rows):
        raise StoreError("an alert was changed by another process at the same time")
    return [replace(alert, version=alert.version + 1) for alert in changed]


def _values(alert: Alert) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(alert, name) for name in _FIELDS}
    values["labels"] = dict(alert.labels)
    for name in ("state", *_SEVERITIES):
        values[name] = None if values[name] is None else values[name].value
    return values


def _alert(row: sa.Row[Any]) -> Alert:
    values = dict(row._mapping)  # noqa: SLF001 — the documented name of a row's mapping
    values["state"] = State(values["state"])
    for name in _SEVERITIES:
        values[name] = None if values[name] is None else Severity(values[name])
    return Alert(**values)
