"""Why did it (not) fire? Evaluates a rule as of a stored time, and adds the decisions recorded then."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from alertbot.domain.alerts import Reason, State
from alertbot.domain.datasets import dataset_for, feed_name
from alertbot.domain.decisions import announced
from alertbot.domain.evidence import Privacy
from alertbot.domain.findings import Finding, Verdict, check
from alertbot.domain.history import History, Series
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import NAMES_ALL, redact_series
from alertbot.domain.reports import Explanation
from alertbot.domain.rules import Rule, glob, is_called
from alertbot.domain.suggestions import did_you_mean
from alertbot.domain.times import format_moment
from alertbot.errors import UsageError
from alertbot.flows.load_history import load_history
from alertbot.store import alerts, configurations, groups, slices, sources
from alertbot.store.alerts import Change
from alertbot.store.database import Database, Tx

_MOST = 20  # series that are explained when nobody names one


def explain(
    database: Database,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    *,
    name: str,
    llm: str | None,
    at: datetime,
    prices: Prices = NOTHING_PRICED,
    privacy: Mapping[str, Privacy] = NAMES_ALL,
) -> list[Explanation]:
    """Explain a rule as of the newest reading at or before `at`, for the series that `llm` fits (an id, a name or a glob).

    Without `llm`: those that are not simply false, else the largest. `privacy` says by source how series may be called,
    also to be found. Raises UsageError where nothing can be explained.
    """
    rule = _find(rules, name)
    with database.reading() as tx:
        explanations: list[Explanation] = []
        for source in intervals:
            taken_at = _judged_at(tx, rule, intervals, source, at)
            if taken_at is not None:
                history = load_history(tx, intervals, [rule], source, taken_at, prices=prices).of(rule)
                careful = privacy.get(source, Privacy.FULL)
                explanations += _explain_source(tx, rule, history, source, llm=llm, at=taken_at, privacy=careful)
        if not explanations:
            raise UsageError(_nothing(tx, rule, intervals, llm, at))
    unique = {explanation.finding.series.key: explanation for explanation in explanations}
    return _chosen(list(unique.values()), llm)


def _find(rules: Sequence[Rule], name: str) -> Rule:
    known = {rule.name: rule for rule in rules}
    if name not in known:
        raise UsageError(f'there is no rule "{name}"{did_you_mean(name, known) or "; there are " + ", ".join(known)}')
    return known[name]


def _nothing(tx: Tx, rule: Rule, intervals: Iterable[str], llm: str | None, at: datetime) -> str:
    hint = ""
    if llm is not None:
        known = [member.labels for member in configurations.members(tx, intervals).values()]
        if not any(is_called(labels, llm) for labels in known):
            hint = did_you_mean(llm, {labels[label] for labels in known for label in ("ai_llm", "name")})
    return f"there is no data for {llm or rule.name} before {format_moment(at.replace(microsecond=0))}{hint}"


def _chosen(explanations: list[Explanation], llm: str | None) -> list[Explanation]:
    order = sorted(
        explanations,
        key=lambda explanation: (
            explanation.finding.verdict is not Verdict.TRUE,
            -float(explanation.finding.value or 0),
        ),
    )
    if llm is not None:
        return order
    telling = [
        explanation
        for explanation in order
        if explanation.finding.verdict is Verdict.TRUE or explanation.after is not State.NONE
    ]
    return (telling or order[:1])[:_MOST]


def _judged_at(tx: Tx, rule: Rule, intervals: Mapping[str, timedelta], source: str, at: datetime) -> datetime | None:
    """When the newest reading was taken, at or before `at`, of the feed that the rule is judged by; None without one."""
    dataset = dataset_for(rule, sources.feeds(tx, intervals).get(source, {}), at)
    read = None if dataset is None else slices.as_of(tx, feed_name(source, dataset), [at]).get(at)
    return None if read is None or read.taken_at > at else read.taken_at


def _explain_source(
    tx: Tx, rule: Rule, history: History, source: str, *, llm: str | None, at: datetime, privacy: Privacy
) -> list[Explanation]:
    members = [member for member in history.members.values() if rule.per == "all" or member.source == source]
    findings = check(rule, history, at, members=members)
    redacted = [(finding, redact_series(finding.series, privacy)) for finding in findings]
    return [_explain(tx, rule, finding, series, at) for finding, series in redacted if _is_meant(series, llm)]


def _is_meant(series: Series, llm: str | None) -> bool:
    if llm is None:
        return True
    pattern = glob(llm.lower())
    return any(pattern.fullmatch(value.lower()) for value in (series.key, *series.labels.values()))


def _explain(tx: Tx, rule: Rule, finding: Finding, shown_series: Series, at: datetime) -> Explanation:
    changes = alerts.changes_of(tx, rule.name, finding.series.key, until=at)
    now = [change for change in changes if change.at == at]
    earlier = [change for change in changes if change.at < at]
    before = now[-1].before if now else (earlier[0].after if earlier else State.NONE)
    after = now[0].after if now else before
    newest = changes[0] if changes else None
    return Explanation(
        rule=rule,
        finding=finding._replace(series=shown_series),
        at=at,
        before=_standing(before),
        after=_standing(after),
        reason=now[0].reason if now else _reason(finding, after).value,
        alert=newest.alert if newest else None,
        heard=_heard(tx, newest, at),
    )


def _standing(state: State) -> State:
    """A resolved alert counts as none."""
    return state if state.is_open else State.NONE


def _reason(finding: Finding, state: State) -> Reason:
    """Why the alert did not change at this evaluation."""
    if finding.verdict is Verdict.UNKNOWN:
        return Reason.UNKNOWN
    if state is State.PENDING:
        return Reason.WAITS
    if state is State.FIRING:
        if finding.verdict is Verdict.TRUE:
            return Reason.STILL_TRUE
        return Reason.STAYS if finding.stays else Reason.KEPT
    return Reason.ALREADY_NOTIFIED if finding.verdict is Verdict.TRUE else Reason.STILL_FALSE


def _heard(tx: Tx, newest: Change | None, at: datetime) -> str:
    decided = groups.last_decision(tx, newest.alert, until=at) if newest else None
    if decided is None:
        return ""
    group, when, why, kinds = decided
    return f"G{group} at {format_moment(when)}: {announced(why, kinds)}"
