"""What a group's message shows besides its alerts: the rule's description, who is on call, how it was lately, the evidence.

Below the other flows: whatever shows a group uses it alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from alertbot.domain.alerts import Alert, State
from alertbot.domain.chart_data import growths
from alertbot.domain.datasets import datasets_of
from alertbot.domain.evidence import Privacy, Summary, has_evidence, redact, scopes_of
from alertbot.domain.metrics import parts_of
from alertbot.domain.notifications import AlertMessage, Group
from alertbot.domain.oncall import OnCall, named_in
from alertbot.domain.points import Dataset
from alertbot.domain.privacy import redact_alert
from alertbot.domain.rules import Absence, Rate, Rule, Spike, Threshold
from alertbot.store import evidence, series_slices
from alertbot.store.database import Tx

TREND = 12  # windows


def message_of(
    tx: Tx,
    group: Group,
    members: Sequence[Alert],
    *,
    rules: Sequence[Rule],
    on_call: Mapping[str, OnCall],
    now: datetime,
) -> AlertMessage:
    """The group's message as it should look now. Costs few queries, however many alerts it is about."""
    named = {alert.rule for alert in members}
    rule = next((rule for rule in rules if named == {rule.name}), None)
    mentioned = named_in((*group.route.mention, *(who for step in group.route.escalate for who in step.mention)))
    privacy = Privacy(group.route.privacy)
    return AlertMessage(
        group,
        tuple(redact_alert(alert, privacy) for alert in members),
        now,
        trend=_trend(tx, rule, members[0], now) if rule is not None and len(members) == 1 else (),
        description=rule.description if rule is not None else "",
        # Without a rotation in the route, all of them: somebody will be meant.
        on_call={name: one.who(now) for name, one in on_call.items() if not mentioned or name in mentioned},
        evidence=evidence_of(tx, members, rules, privacy),
    )


def evidence_of(tx: Tx, members: Sequence[Alert], rules: Sequence[Rule], privacy: Privacy) -> Summary | None:
    """What is known of the evidence behind alerts, and may be told; of those that fire, if any does. None where nothing is."""
    about = [alert for alert in members if has_evidence(alert)]
    about = [alert for alert in about if alert.state is State.FIRING] or about
    if not about:
        return None
    named = {alert.labels.get("source") for alert in about}
    only = about[0].labels.get("ai_llm") if len(about) == 1 else None
    known = evidence.owners(tx, None if None in named else {name for name in named if name}, ai_llm=only)
    scopes = scopes_of(about, rules, known)
    summary = evidence.summary(tx, scopes)
    if summary is None:
        return None
    ends = [scope.end for scope in scopes if scope.end is not None]
    since, until = min(scope.start for scope in scopes), max(ends) if len(ends) == len(scopes) else None
    return redact(replace(summary, since=since, until=until), privacy)


def _trend(tx: Tx, rule: Rule, alert: Alert, now: datetime) -> tuple[int | None, ...]:
    """How far the metric grew in each of the last windows; empty where the rule has no window, or counts many together."""
    condition, source, ai_llm = rule.condition, alert.labels.get("source"), alert.labels.get("ai_llm")
    if not isinstance(condition, Threshold | Rate | Spike | Absence) or condition.metric is None:
        return ()
    # Only the totals, which most rules count: two queries for each edit of a message are enough.
    if not source or not ai_llm or datasets_of(rule)[:1] != (Dataset.TOTALS,):
        return ()
    moments = [now - condition.window * turn for turn in range(TREND, -1, -1)]
    counters = parts_of(condition.metric)
    slices = series_slices.trail(tx, source, ai_llm, moments, counters)
    seen = [one if one.taken_at <= moment else None for one, moment in zip(slices, moments, strict=False)]
    trend = tuple(None if amount is None else int(amount) for amount in growths(seen, counters))
    return trend if any(trend) else ()
