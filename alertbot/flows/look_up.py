"""What a person asks: status, stats, alerts. Read-only."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, State
from alertbot.domain.history import History, Member, SourceState, group, increase
from alertbot.domain.reports import AlertRow, Health, SourceRow, StatRow, StatusReport
from alertbot.domain.rules import SUMS, Where
from alertbot.domain.snapshots import Counter
from alertbot.errors import UsageError
from alertbot.store import alerts, groups, outbox, silences, snapshots, sources
from alertbot.store.database import Database


def status(
    database: Database,
    *,
    version: str,
    intervals: Mapping[str, timedelta],
    blind_after: Mapping[str, timedelta],
    now: datetime,
) -> StatusReport:
    """How the bot and its sources are."""
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        members = snapshots.members(tx, intervals)
        listed = alerts.listed(tx, states=[State.PENDING, State.FIRING])
        waiting, oldest_at = outbox.depth(tx)
        quiet = silences.in_force(tx, now)
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
            )
        )
    firing = [alert for alert in listed if alert.state is State.FIRING]
    return StatusReport(
        version=version,
        sources=tuple(rows),
        pending=sum(alert.state is State.PENDING for alert in listed),
        firing=len(firing),
        acknowledged=sum(alert.acknowledged_at is not None for alert in firing),
        waiting=waiting,
        oldest_at=oldest_at,
        silences=len(quiet),
    )


def _health(state: SourceState | None, blind_after: timedelta, now: datetime) -> Health:
    if state is None or (state.read_at is None and not state.failing):
        return Health.NEVER_READ
    last = state.read_at or state.watched_since
    if last is None or now - last >= blind_after:
        return Health.BLIND
    return Health.FAILING if state.failing else Health.OK


def list_alerts(
    database: Database, *, states: Sequence[State] = (State.PENDING, State.FIRING), limit: int | None = None
) -> list[AlertRow]:
    """Alerts with the messages they are in, the newest first."""
    with database.reading() as tx:
        found = alerts.listed(tx, states=states, limit=limit)
        messages = groups.messages_of(tx, [alert.number for alert in found])
    rows = []
    for alert in found:
        number, place = messages.get(alert.number, (None, None))
        rows.append(AlertRow(alert, number, place.channel if place else None, place.ts if place else None))
    return rows


def stats(
    database: Database, *, intervals: Mapping[str, timedelta], wanted: str | None, window: timedelta, now: datetime
) -> list[StatRow]:
    """Growth of every counter over the window, for each configuration, or for those whose id or name fits `wanted`.

    Raises UsageError where nothing fits.
    """
    where = Where() if wanted is None else Where((("ai_llm", (wanted,)),))
    with database.reading() as tx:
        states = {name: state for name, state in sources.states(tx, intervals).items() if state.read_at is not None}
        members = {
            number: member for number, member in snapshots.members(tx, states).items() if where.selects(member.labels)
        }
        if wanted is not None and not members:
            raise UsageError(f'no configuration is called "{wanted}" (a name, an id, or a pattern such as support-*)')
        moments = {(name, moment) for name in states for moment in (now, now - window)}
        slices = snapshots.slices(tx, dict.fromkeys(moments, frozenset(Counter)))
    history = History(sources=states, members=members, slices=slices)
    return [_stat_row(history, member, now - window, now) for member in members.values()]


def _stat_row(history: History, member: Member, start: datetime, end: datetime) -> StatRow:
    (series,) = group([member], "ai_llm", Where())
    grown = {metric: increase(history, series, metric, start, end) for metric in SUMS}
    return StatRow(
        source=member.source,
        ai_llm=member.labels["ai_llm"],
        name=member.labels["name"],
        start=start,
        end=end,
        baseline_at=next(iter(grown.values())).baseline_at,
        metrics={metric: found.value for metric, found in grown.items()},
    )


def alerts_by_number(database: Database, numbers: Sequence[int]) -> list[Alert]:
    """These alerts as they are now."""
    with database.reading() as tx:
        return alerts.by_numbers(tx, numbers)
