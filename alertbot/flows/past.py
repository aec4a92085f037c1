"""Store → history: what rules need to know of the past, loaded in as few queries as there are readings in it.

Below the other flows: the live evaluation and every look back use it alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alertbot.domain.findings import moments
from alertbot.domain.history import History
from alertbot.domain.rules import SUMS, Ratio, Rule
from alertbot.domain.snapshots import Counter
from alertbot.store import snapshots, sources
from alertbot.store.database import Tx


@dataclass(frozen=True, slots=True)
class Past:
    """The history for some rules. `unusable` are the rules whose needs could not even be told, with what they raised."""

    history: History
    unusable: Mapping[str, Exception]

    def require(self, rule: Rule) -> None:
        """Raise what the rule raised when it was asked what it needs."""
        if rule.name in self.unusable:
            raise self.unusable[rule.name]


def load(tx: Tx, intervals: Mapping[str, timedelta], rules: Sequence[Rule], source: str | None, now: datetime) -> Past:
    """The past as of `now` of one source; of all of them for rules over everything; without a source, only their states."""
    if source is None:
        # Where nobody polls, silence says nothing of the source: not at a start either, before the first poll was made.
        return Past(History(sources=sources.states(tx, intervals, watched_at=now), members={}), {})
    states = sources.states(tx, intervals)
    everywhere = any(rule.per == "all" for rule in rules)
    names = list(states) if everywhere else [source]
    read = {name for name in names if states[name].read_at is not None}
    frame = History(sources=states, members=snapshots.members(tx, names))
    wanted: dict[tuple[str, datetime], set[Counter]] = {}
    unusable: dict[str, Exception] = {}
    earliest = now
    for rule in rules:
        try:
            counters, asked = counters_of(rule), moments(rule, frame, now)
        except Exception as error:  # noqa: BLE001 — one rule's mistake must not stop the others; `require` tells it
            unusable[rule.name] = error
            continue
        for moment in asked:
            earliest = min(earliest, moment)
            for name in read if rule.per == "all" else read & {source}:
                wanted.setdefault((name, moment), set()).update(counters)
    loaded = snapshots.slices(tx, {key: frozenset(counters) for key, counters in wanted.items()})
    history = replace(frame, slices=loaded, falls=snapshots.falls_since(tx, names, earliest))
    return Past(history, unusable)


def counters_of(rule: Rule) -> set[Counter]:
    """The counters that a rule looks at."""
    condition = rule.condition
    wanted = set(SUMS[condition.metric]) if condition.metric is not None else set()
    return wanted | set(SUMS[condition.of]) if isinstance(condition, Ratio) else wanted
