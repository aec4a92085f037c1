"""Who is behind the growth that an alert is about: the users, models and keys that grew most.

What policies find has evidence, which says more; this is for tokens, money and calls, as far as points tell who used them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from alertbot.domain.alerts import Alert, State
from alertbot.domain.evidence import Privacy, identified, period_of_evidence
from alertbot.domain.history import Member
from alertbot.domain.metrics import METRICS, TOTALS
from alertbot.domain.notifications import AlertMessage, Grower, Growers
from alertbot.domain.points import SPEND, Dataset
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import PERSONAL, alias
from alertbot.domain.rankings import RankingQuery, RankingRow, rank
from alertbot.domain.rules import Rule
from alertbot.domain.spending import Spent
from alertbot.domain.windows import Window
from alertbot.flows.load_history import load_window
from alertbot.store import evidence
from alertbot.store.database import Tx

Row = TypeVar("Row", RankingRow, Spent)
DIMENSIONS = ("user", "model", "api_key")
_FIRST = 3
_METRICS = frozenset({*TOTALS, SPEND}) - {"policy_violations", "policy_alerts", "policy_blocks"}


def with_growers(
    tx: Tx,
    message: AlertMessage,
    members: Sequence[Alert],
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    prices: Prices = NOTHING_PRICED,
) -> AlertMessage:
    """The message with who grew most in what its alerts count; of those that fire, if any does.

    `members` are its alerts with the names that the message may keep back. Costs what one look-up costs, and nothing for
    other metrics.
    """
    about = [alert for alert in members if alert.state is State.FIRING] or list(members)
    about = [alert for alert in about if alert.kind != "absence" and alert.comparison not in {"below", "at most"}]
    metrics = {identified(alert)[1] for alert in about}
    names = {alert.labels.get("source", "") for alert in about}
    if len(metrics) != 1 or not metrics <= _METRICS or not names <= intervals.keys():
        return message
    (metric,) = metrics
    if Dataset.AI not in METRICS[metric].datasets_with(DIMENSIONS):
        return message
    rule_of = {rule.name: rule for rule in rules}
    spans = [period_of_evidence(alert, rule_of.get(alert.rule)) for alert in about]
    ends = [end for _, end in spans if end is not None]
    until = max(ends) if len(ends) == len(spans) else None
    window = Window(min(start for start, _ in spans), until or message.shown_at, "")
    watched = {name: intervals[name] for name in names}
    history, coverage = load_window(tx, watched, (metric,), DIMENSIONS, window=window, prices=prices)
    counted = {
        number: member
        for number, member in history.members.items()
        if any(_counts(alert, rule_of.get(alert.rule), member) for alert in about)
    }
    history = replace(history, members=counted)
    privacy = Privacy(message.group.route.privacy)
    found = []
    for by in DIMENSIONS:
        rows = [
            row for row in rank(history, RankingQuery(metric, by), window, coverage).grown if _identity(row.key, by)
        ]
        first = [] if privacy is Privacy.COUNTS else rows[:_FIRST]
        named = named_rows(tx, by, first, dict.fromkeys(names, privacy))
        found.append(Growers(by, tuple(Grower(row.name, row.value) for row in named), len(rows)))
    if not any(growers.in_all for growers in found):
        return message
    return replace(message, growers=tuple(found), growers_since=window.start, growers_until=until)


def _counts(alert: Alert, rule: Rule | None, member: Member) -> bool:
    """Whether what a member grows by is in the value of an alert."""
    per = identified(alert)[2]
    if rule is not None and not rule.where.selects(member.labels):
        return False
    named = ("source",) if per == "source" else ("source", per)
    return all(member.labels.get(name, "") == alert.labels.get(name, "") for name in named)


def _identity(key: str, by: str) -> str:
    """The id in the key of a series: see history.group."""
    return key.partition(f"/{by}=")[2]


def named_rows(tx: Tx, by: str, rows: Sequence[Row], privacy: Mapping[str, Privacy]) -> Iterator[Row]:
    """The rows as they may be called. People get their names: Flashback counts by ids, and only the evidence tells whose."""
    ids = {source: {row.name for row in rows if row.source == source} for source in {row.source for row in rows}}
    people = {source: evidence.people(tx, source, users) for source, users in ids.items() if by == "user"}
    for row in rows:
        identity = _identity(row.key, by)
        careful = privacy.get(row.source, Privacy.FULL)
        if by not in PERSONAL or not identity:
            yield row
            continue
        name = people.get(row.source, {}).get(identity) or row.name
        if careful is not Privacy.FULL:
            name = alias(row.source, by, identity, name=name if name != identity else "", privacy=careful)
        yield replace(row, name=name)
