"""Store → history: what rules need to know of the past, loaded in as few queries as there are readings in it.

Below the other flows: the live evaluation and every look back use it alike. Rules that are judged by the same datasets
share one history.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertbot.domain.columns import Column
from alertbot.domain.coverage import Asked, Coverage, coverage_of, is_outside
from alertbot.domain.datasets import Feeds, dataset_for, dataset_of_look_up
from alertbot.domain.findings import Finding, check, check_some, moments
from alertbot.domain.history import History, Member, Members, Slice, SourceState
from alertbot.domain.metrics import METRICS, parts_of
from alertbot.domain.points import SPEND, Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.rules import Rule
from alertbot.domain.windows import Window
from alertbot.store import configurations, points, slices, snapshots, sources
from alertbot.store.database import Tx
from alertbot.store.recent import Recent, nothing_recent

Datasets = tuple[tuple[str, Dataset], ...]  # by which dataset each source is judged


RuleErrorHandler = Callable[[Rule, Exception], None]


@dataclass(frozen=True, slots=True)
class Histories:
    """What rules are judged by, without those that raised when they were asked what they need."""

    datasets: Mapping[str, Datasets]
    histories: Mapping[Datasets, History]

    def of(self, rule: Rule) -> History:
        """The history that a rule is judged by."""
        return self.histories[self.datasets[rule.name]]


def raise_error(_rule: Rule, error: Exception) -> None:
    """For who asks about one rule: its error is theirs."""
    raise error


def dataset_of(rule: Rule, feeds: Feeds, now: datetime) -> Dataset | None:
    """The dataset that a rule is judged by; of one that raises that of the totals, where its error is handled."""
    try:
        return dataset_for(rule, feeds, now)
    except Exception:  # noqa: BLE001 — one rule's mistake must not stop the others; load_history meets it again
        return Dataset.TOTALS


def load_history(
    tx: Tx,
    intervals: Mapping[str, timedelta],
    rules: Sequence[Rule],
    source: str,
    now: datetime,
    *,
    prices: Prices = NOTHING_PRICED,
    recent: Recent | None = None,
    on_error: RuleErrorHandler = raise_error,
) -> Histories:
    """The past as of `now` of one source; of all of them for rules over everything; `prices` tell what is spent.

    What is in `recent` is not loaded again. A rule that raises when it is asked what it needs is given to `on_error`.
    """
    recent = recent or nothing_recent()
    needs_all = any(rule.per == "all" for rule in rules)
    feeds = sources.feeds(tx, intervals if needs_all else {source: intervals[source]})
    datasets: dict[str, Datasets] = {}
    for rule in rules:
        names = feeds if rule.per == "all" else [source]
        datasets[rule.name] = tuple(
            (name, dataset) for name in names if (dataset := dataset_of(rule, feeds.get(name, {}), now)) is not None
        )
    histories: dict[Datasets, History] = {}
    for chosen in set(datasets.values()):
        frame = empty_history(tx, chosen, feeds, recent)
        needs = _needs([rule for rule in rules if datasets[rule.name] == chosen], frame, now, on_error)
        histories[chosen] = _loaded(tx, chosen, frame, needs, now=now, prices=prices, recent=recent)
    return Histories(datasets, histories)


def judged_at(
    rule: Rule, history: History, source: str | None, now: datetime, *, keys: Collection[str] | None = None
) -> list[Finding]:
    """What a rule sees of one source, or of all of them if it is over everything.

    With `keys` only what can change an alert, where these series have one already: see findings.check_some.
    """
    if keys is not None and (rule.per == "all" or history.sources.keys() == {source}):
        return check_some(rule, history, now, keys=keys)
    members = history.members.values()
    mine = members if rule.per == "all" else [member for member in members if member.source == source]
    return check(rule, history, now, members=mine)


def load_window(
    tx: Tx,
    intervals: Mapping[str, timedelta],
    metrics: Collection[str],
    dimensions: Collection[str],
    *,
    window: Window,
    prices: Prices = NOTHING_PRICED,
) -> tuple[History, Coverage]:
    """What look-ups need: the growth of metrics in a window at every source where they are known by these dimensions.

    The coverage says of the other sources why they are not in it.
    """
    start, end = window.start, window.end
    feeds = sources.feeds(tx, intervals)
    metric = next(iter(metrics))
    datasets = {name: dataset_of_look_up(metric, dimensions, own, start) for name, own in feeds.items()}
    able = {name: dataset for name, dataset in datasets.items() if dataset is not None}
    asked = Asked(dimensions, window, METRICS[metric].datasets_with(dimensions))
    coverage = coverage_of(asked, intervals, feeds, able)
    chosen = [(name, dataset) for name, dataset in able.items() if not is_outside(feeds[name][dataset], window)]
    frame = empty_history(tx, tuple(chosen), feeds)
    there = {number: member for number, member in frame.members.items() if member.seen_at <= end}
    frame = replace(frame, members=there)
    parts = {part for metric in metrics for part in parts_of(metric)}
    wanted = {(name, moment): parts for name, _ in chosen for moment in (start, end)}
    return replace(frame, slices=load_slices(tx, tuple(chosen), frame, wanted, prices)), coverage


def states_of_feeds(tx: Tx, intervals: Mapping[str, timedelta], rules: Sequence[Rule], now: datetime) -> History:
    """The feeds of each source as the clock alone judges them: the main one, and those beside it that a rule depends on."""
    # Where nobody polls, silence says nothing of the source: not at a start either, before the first poll was made.
    watched = sources.feeds(tx, intervals, watched_at=now)
    found: dict[str, SourceState] = {}
    for name, feeds in sources.feeds(tx, intervals).items():
        if name not in watched:
            continue
        needed = {dataset_of(rule, feeds, now) for rule in rules if rule.enabled and rule.metrics}
        main = sources.main_feed(feeds)
        for dataset, state in feeds.items():
            if dataset in needed or state.name == main.name:
                is_watched = dataset in watched[name]
                found[state.name] = state if is_watched else replace(state, read_at=None, watched_since=None)
    return History(sources=found, members={})


def _needs(
    rules: Sequence[Rule], frame: History, now: datetime, on_error: RuleErrorHandler
) -> dict[datetime, set[str]]:
    """The moments of which the rules need slices, each with the counters."""
    needs: dict[datetime, set[str]] = {}
    for rule in rules:
        try:
            counters, asked = parts_of_rule(rule), moments(rule, frame, now)
        except Exception as error:  # noqa: BLE001 — one rule's mistake must not stop the others
            on_error(rule, error)
            continue
        for moment in asked:
            needs.setdefault(moment, set()).update(counters)
    return needs


def _loaded(
    tx: Tx,
    chosen: Datasets,
    frame: History,
    needs: Mapping[datetime, set[str]],
    *,
    now: datetime,
    prices: Prices,
    recent: Recent,
) -> History:
    read = [name for name, state in frame.sources.items() if state.read_at is not None]
    wanted = {(name, moment): counters for moment, counters in needs.items() for name in read}
    loaded = load_slices(tx, chosen, frame, wanted, prices, recent=recent)
    totals = [name for name, dataset in chosen if dataset is Dataset.TOTALS]
    resets = snapshots.resets_since(tx, totals, min(needs, default=now))
    return replace(frame, slices=loaded, counter_resets=resets)


def empty_history(tx: Tx, chosen: Datasets, feeds: Mapping[str, Feeds], recent: Recent | None = None) -> History:
    """The sources of a history and what is counted there; no slices yet."""
    states = {name: replace(feeds[name][dataset], name=name) for name, dataset in chosen}

    def load() -> dict[int, Member]:
        members: dict[int, Member] = {}
        for dataset in Dataset:
            names = [name for name, own in chosen if own is dataset]
            if names and dataset is Dataset.TOTALS:
                members |= configurations.members(tx, names)
            elif names:
                members |= points.members(tx, names, dataset)
        return members

    version = configurations.membership(tx, states)
    return History(sources=states, members=(recent or nothing_recent()).members(chosen, version, load))


def load_slices(
    tx: Tx,
    chosen: Datasets,
    frame: History,
    wanted: Mapping[tuple[str, datetime], Collection[str]],
    prices: Prices,
    *,
    recent: Recent | None = None,
) -> dict[tuple[str, datetime], Slice]:
    """The slices as of these moments, with these counters; what is spent is made of tokens."""
    stored = {key: frozenset(_stored(key[0], counters, prices)) for key, counters in wanted.items()}
    datasets = dict(chosen)
    totals = {key: own for key, own in stored.items() if datasets[key[0]] is Dataset.TOTALS}
    found = slices.slices(tx, totals, recent)
    for name, dataset in chosen:
        mine = {moment: own for (source, moment), own in stored.items() if source == name}
        until = frame.sources[name].read_at
        since = frame.sources[name].first_at or until
        if dataset is Dataset.TOTALS or not mine or since is None or until is None:
            continue
        together = frozenset(counter for own in mine.values() for counter in own)
        loaded = points.slices(tx, name, dataset, mine, amounts=together, known=(since, until))
        deleted = _absent_since(tx, name, frame)
        for moment, one in loaded.items():
            absent = frozenset(number for number, left_at in deleted.items() if left_at <= moment)
            found[name, moment] = replace(one, absent=absent) if absent else one
    return {key: _priced(one, key[0], frame, prices) if SPEND in wanted[key] else one for key, one in found.items()}


def _absent_since(tx: Tx, source: str, frame: History) -> dict[int, datetime]:
    """The members of points whose LLM the readings of the totals do not list any more, and since when."""
    absent = configurations.absent_since(tx, source)
    if not absent:
        return {}
    members = [member for member in frame.members.values() if member.source == source]
    return {member.number: absent[llm] for member in members if (llm := member.labels.get("ai_llm")) in absent}


def _stored(source: str, counters: Collection[str], prices: Prices) -> set[str]:
    """What has to be looked up: tokens in place of what they cost."""
    found = set(counters) - {SPEND}
    if SPEND in counters:
        found |= set(prices.charged(source))
    return found


def _priced(one: Slice, source: str, frame: History, prices: Prices) -> Slice:
    """The slice with what each member has spent so far; one whose price nobody knows is unknown."""
    into, out = (Column.of(one.grown[name]) for name in prices.charged(source))
    spent = Members.of(frame.members).unit_prices(prices).spent(into, out)
    return replace(one, grown={**one.grown, SPEND: spent})


def parts_of_rule(rule: Rule) -> set[str]:
    """What has to be looked up for a rule."""
    return {part for metric in rule.metrics for part in parts_of(metric)}
