"""What a person asks: status, stats, top, budgets, alerts. Read-only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.domain.alerts import Alert, State, labels_with_severity
from alertbot.domain.budgets import period_of
from alertbot.domain.coverage import Asked, coverage_of
from alertbot.domain.datasets import dataset_for, datasets_of
from alertbot.domain.evidence import Privacy
from alertbot.domain.history import Growth, Increase, Series, SourceState, group
from alertbot.domain.points import SPEND, Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import NAMES_ALL
from alertbot.domain.rankings import Ranking, RankingQuery, rank
from alertbot.domain.reports import AlertRow, Health, SilencePreview, SourceRow, StatRow, Stats, StatusReport
from alertbot.domain.rules import EVERYTHING, SUMS, Budget, Rule, is_called, nobody_called
from alertbot.domain.silences import Matcher, Silence, muted_llms, needs_points
from alertbot.domain.spending import PAIRS, Spending, spend
from alertbot.domain.usage import Budgets, Usage, usages, with_forecast
from alertbot.domain.visibility import FULL_ACCESS, AccessScope, counted_by
from alertbot.domain.windows import Window
from alertbot.errors import UsageError
from alertbot.flows.growers import named_rows
from alertbot.flows.load_history import load_history, load_window
from alertbot.store import alerts, evidence_fetches, groups, outbox, points, rule_files, silences, snapshots, sources
from alertbot.store.database import Database, Tx


def status(
    database: Database,
    *,
    version: str,
    intervals: Mapping[str, timedelta],
    blind_after: Mapping[str, timedelta],
    now: datetime,
    access: AccessScope = FULL_ACCESS,
) -> StatusReport:
    """How the bot and its sources are, as far as somebody may see them."""
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        members = snapshots.members(tx, intervals)
        listed = [
            alert for alert in alerts.listed(tx, states=[State.PENDING, State.FIRING]) if access.shows(alert.labels)
        ]
        waiting, oldest_at = outbox.depth(tx)
        quiet = silences.in_force(tx, now)
        gathered = evidence_fetches.states(tx, intervals)
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
                doubt=gathered[name].differs if name in gathered else "",
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
    access: AccessScope = FULL_ACCESS,
) -> list[AlertRow]:
    """Alerts with the messages they are in, the newest first, as far as somebody may see them."""
    with database.reading() as tx:
        found = [alert for alert in alerts.listed(tx, states=states, limit=limit) if access.shows(alert.labels)]
        messages = groups.messages_of(tx, [alert.number for alert in found])
    rows = []
    for alert in found:
        number, place = messages.get(alert.number, (None, None))
        rows.append(AlertRow(alert, number, place.channel if place else None, place.ts if place else None))
    return rows


def preview_silence(
    database: Database,
    matchers: Sequence[Matcher],
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    now: datetime,
    access: AccessScope = FULL_ACCESS,
) -> SilencePreview:
    """What a silence with these matchers mutes now: open alerts, and LLMs of the sources in `intervals`."""
    silence = Silence(tuple(matchers), now, now, author="")
    found = [row.alert for row in list_alerts(database, access=access)]
    muted = [alert for alert in found if silence.covers(labels_with_severity(alert), now)]
    with database.reading() as tx:
        members = list(snapshots.members(tx, intervals).values())
        if needs_points(matchers):
            members += [
                member
                for dataset in (Dataset.AI, Dataset.STORAGE)
                for member in points.members(tx, intervals, dataset).values()
            ]
    return SilencePreview(muted, len(found), len(muted_llms(matchers, rules, members)))


def stats(database: Database, *, intervals: Mapping[str, timedelta], wanted: str | None, window: Window) -> Stats:
    """Growth of every counter over the window, for each configuration, or for those whose id or name fits `wanted`.

    Raises UsageError where nothing fits.
    """
    with database.reading() as tx:
        history, coverage = load_window(tx, intervals, SUMS, ("ai_llm",), window=window)
        by_points = {member.source for member in history.members.values() if member.number < 0}
        named = snapshots.members(tx, by_points)
    known = [*history.members.values(), *named.values()]
    found = group(
        [member for member in history.members.values() if is_called(member.labels, wanted)], "ai_llm", EVERYTHING
    )
    told = {series.key for series in found}
    among = [member for member in named.values() if is_called(member.labels, wanted)]
    quiet = [series for series in group(among, "ai_llm", EVERYTHING) if series.key not in told]
    if wanted is not None and not found and not quiet:
        raise UsageError(nobody_called(wanted, [member.labels for member in known]))
    start, end = window.start, window.end
    growth = {metric: Growth(history, metric, start, end) for metric in SUMS}
    rows = [_stat_row(series, growth, start, end) for series in found]
    nothing = dict.fromkeys(SUMS, Increase(0, start))  # what has no points had nothing to tell
    rows += [_row(series, nothing, start, end) for series in quiet]
    return Stats(tuple(rows), window, coverage)


def _stat_row(series: Series, growth: Mapping[str, Growth], start: datetime, end: datetime) -> StatRow:
    return _row(series, {metric: own.of(series) for metric, own in growth.items()}, start, end)


def _row(series: Series, grown: Mapping[str, Increase], start: datetime, end: datetime) -> StatRow:
    return StatRow(
        source=series.labels["source"],
        ai_llm=series.labels["ai_llm"],
        name=series.labels["name"],
        start=start,
        end=end,
        baseline_at=next(iter(grown.values())).baseline_at,
        metrics={metric: None if found.value is None else int(found.value) for metric, found in grown.items()},
    )


def alerts_by_number(database: Database, numbers: Sequence[int]) -> list[Alert]:
    """These alerts as they are now."""
    with database.reading() as tx:
        return alerts.by_numbers(tx, numbers)


def top(
    database: Database,
    *,
    intervals: Mapping[str, timedelta],
    question: RankingQuery,
    window: Window,
    prices: Prices = NOTHING_PRICED,
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> Ranking:
    """The series that have grown most in the window. People are called as far as `privacy` lets them be told."""
    with database.reading() as tx:
        history, coverage = load_window(tx, intervals, (question.metric,), (question.by,), window=window, prices=prices)
        ranking = rank(history, question, window, coverage)
        return replace(ranking, rows=tuple(named_rows(tx, question.by, ranking.rows, privacy)))


def spending(
    database: Database,
    *,
    intervals: Mapping[str, timedelta],
    prices: Prices,
    window: Window,
    by: str = "ai_llm",
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> Spending:
    """What was spent in the window, at the sources that tell of tokens. `privacy` as for `top`."""
    with database.reading() as tx:
        history, coverage = load_window(tx, intervals, (SPEND, *PAIRS), (by,), window=window, prices=prices)
        spending = spend(history, prices, window, by, coverage)
        return replace(spending, rows=tuple(named_rows(tx, by, spending.rows, privacy)))


def budgets(
    database: Database,
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    now: datetime,
    prices: Prices = NOTHING_PRICED,
) -> Budgets:
    """How far each budget is used in its present period, rule by rule, its fullest series first."""
    budgeted = [with_forecast(rule) for rule in rules if rule.enabled and isinstance(rule.condition, Budget)]
    found: dict[tuple[str, str], Usage] = {}
    with database.reading() as tx:
        states = sources.states(tx, intervals)
        read = [name for name, state in states.items() if state.read_at is not None]
        for name in read:
            past = load_history(tx, intervals, budgeted, name, now, prices=prices)
            for rule in budgeted:
                history, whole = past.of(rule), rule.per == "all"
                mine = {n: m for n, m in history.members.items() if m.source in (read if whole else [name])}
                for usage in usages(rule, replace(history, members=mine), now):
                    found[rule.name, usage.series.key] = usage
        notes = _not_counted(tx, budgeted, intervals, now)
    return Budgets(tuple(found.values()), notes)


def _not_counted(
    tx: Tx, budgeted: Sequence[Rule], intervals: Mapping[str, timedelta], now: datetime
) -> tuple[str, ...]:
    """A sentence for each source that a budget means and that is not counted in it."""
    feeds = sources.feeds(tx, intervals)
    notes: dict[str, None] = {}
    for rule in budgeted:
        assert isinstance(rule.condition, Budget), "chosen by that"
        meant = sorted(counted_by(rule, intervals))
        datasets = {name: dataset_for(rule, feeds.get(name, {}), now) for name in meant}
        asked = Asked(rule.dimensions, Window(period_of(now, rule.condition)[0], now, ""), datasets_of(rule))
        chosen = {name: dataset for name, dataset in datasets.items() if dataset is not None}
        notes |= dict.fromkeys(coverage_of(asked, meant, feeds, chosen).unknown)
    return tuple(notes)
