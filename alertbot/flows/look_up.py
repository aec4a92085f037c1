"""What a person asks: status, stats, top, budgets, alerts. Read-only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, State
from alertbot.domain.history import History, Member, SourceState, group, increase
from alertbot.domain.rankings import Question, Ranking, rank
from alertbot.domain.reports import AlertRow, Health, SourceRow, StatRow, StatusReport
from alertbot.domain.rules import SUMS, Budget, Rule, Where
from alertbot.domain.snapshots import Counter
from alertbot.domain.usage import Usage, usages, with_forecast
from alertbot.domain.visibility import SEES_EVERYTHING, Sight
from alertbot.domain.windows import Window
from alertbot.errors import UsageError
from alertbot.flows.past import load
from alertbot.store import alerts, groups, outbox, silences, snapshots, sources
from alertbot.store.database import Database


def status(
    database: Database,
    *,
    version: str,
    intervals: Mapping[str, timedelta],
    blind_after: Mapping[str, timedelta],
    now: datetime,
    sight: Sight = SEES_EVERYTHING,
) -> StatusReport:
    """How the bot and its sources are, as far as somebody may see them."""
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        members = snapshots.members(tx, intervals)
        listed = [
            alert for alert in alerts.listed(tx, states=[State.PENDING, State.FIRING]) if sight.shows(alert.labels)
        ]
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
    database: Database,
    *,
    states: Sequence[State] = (State.PENDING, State.FIRING),
    limit: int | None = None,
    sight: Sight = SEES_EVERYTHING,
) -> list[AlertRow]:
    """Alerts with the messages they are in, the newest first, as far as somebody may see them."""
    with database.reading() as tx:
        found = [alert for alert in alerts.listed(tx, states=states, limit=limit) if sight.shows(alert.labels)]
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
    there = [member for member in members.values() if member.seen_at <= now]  # a window may end before today
    return [_stat_row(history, member, now - window, now) for member in there]


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


def top(database: Database, *, intervals: Mapping[str, timedelta], question: Question, window: Window) -> Ranking:
    """The series that have grown most in the window."""
    moments = (window.start, window.end)
    with database.reading() as tx:
        states = {name: state for name, state in sources.states(tx, intervals).items() if state.read_at is not None}
        members = snapshots.members(tx, states)
        wanted = {(name, moment): frozenset(SUMS[question.metric]) for name in states for moment in moments}
        slices = snapshots.slices(tx, wanted)
    there = {number: member for number, member in members.items() if member.seen_at <= window.end}
    return rank(History(sources=states, members=there, slices=slices), question, window)


def budgets(
    database: Database, *, rules: Sequence[Rule], intervals: Mapping[str, timedelta], now: datetime
) -> list[Usage]:
    """How far each budget is used in its present period, rule by rule, its fullest series first."""
    budgeted = [with_forecast(rule) for rule in rules if rule.enabled and isinstance(rule.condition, Budget)]
    found: dict[tuple[str, str], Usage] = {}
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        read = [name for name, state in states.items() if state.read_at is not None]
        for name in read:
            history = load(tx, intervals, budgeted, name, now).history
            for rule in budgeted:
                whole = rule.per == "all"
                mine = {n: m for n, m in history.members.items() if m.source in (read if whole else [name])}
                for usage in usages(rule, replace(history, members=mine), now):
                    found[rule.name, usage.series.key] = usage
    return list(found.values())
