"""The state of the bot and its sources."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from alertbot.domain.alerts import State
from alertbot.domain.history import SourceState
from alertbot.domain.reports import Health, SourceRow, StatusReport
from alertbot.domain.visibility import FULL_ACCESS, AccessScope
from alertbot.store import alerts, configurations, evidence_fetches, outbox, rule_files, silences, sources
from alertbot.store.database import Database


def status_report(
    database: Database,
    *,
    version: str,
    intervals: Mapping[str, timedelta],
    blind_after: Mapping[str, timedelta],
    now: datetime,
    access: AccessScope = FULL_ACCESS,
) -> StatusReport:
    """The state of the bot and its sources, as far as `access` allows."""
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        members = configurations.members(tx, intervals)
        listed = [
            alert for alert in alerts.listed(tx, states=[State.PENDING, State.FIRING]) if access.shows(alert.labels)
        ]
        waiting, oldest_at = outbox.depth(tx)
        active = silences.in_force(tx, now)
        evidence_states = evidence_fetches.states(tx, intervals)
        seen_at = rule_files.last_seen(tx)
    attempts = [state.tried_at for state in states.values() if state.tried_at is not None]
    alive_at = max([*attempts, *([seen_at] if seen_at is not None else [])], default=None)
    counted = {name: sum(member.source == name for member in members.values()) for name in intervals}
    rows = []
    for name in intervals:
        state = states.get(name)
        rows.append(
            SourceRow(
                name=name,
                state=_health(state, blind_after[name], now),
                last_reading_at=state.read_at if state else None,
                configurations=counted[name],
                error=state.error if state else "",
                doubt=evidence_states[name].differs if name in evidence_states else "",
            )
        )
    firing = [alert for alert in listed if alert.state is State.FIRING]
    return StatusReport(
        version=version,
        sources=tuple(rows),
        pending=sum(alert.state is State.PENDING for alert in listed),
        firing=len(firing),
        acknowledged=sum(alert.acknowledged_at is not None for alert in firing),
        # What waits may be about a hidden source, and is the business of operators.
        waiting=waiting if access.sees_all else 0,
        oldest_at=oldest_at if access.sees_all else None,
        alive_at=alive_at,
        is_running=alive_at is not None and now - alive_at <= rule_files.LIVE_FOR,
        silences=len(active),
    )


def _health(state: SourceState | None, blind_after: timedelta, now: datetime) -> Health:
    if state is None or (state.read_at is None and not state.failing):
        return Health.NEVER_READ
    last = state.read_at or state.watched_since
    if last is None or now - last >= blind_after:
        return Health.BLIND
    return Health.FAILING if state.failing else Health.OK
