"""Alerts, messages and notices in the shapes that people meet, with fixed times, for the tests of what Slack shows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from alertbot.domain.alerts import Action, ActionType, Alert, Outcome, State
from alertbot.domain.chart_data import ChartSeries
from alertbot.domain.coverage import Coverage
from alertbot.domain.evidence import Count, Evidence, EvidenceKind, Summary, TopN, ViolationReport
from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.history import Series
from alertbot.domain.metrics import TOTALS
from alertbot.domain.notifications import AlertMessage, Group, Notification, NotificationKind
from alertbot.domain.rankings import Ranking, RankingRow
from alertbot.domain.reports import ActionResult, AlertRow, Explanation, Health, SourceRow, StatRow, Stats, StatusReport
from alertbot.domain.routes import Route
from alertbot.domain.rules import Budget, Comparison, Levels, Period, Rule, Severity, Threshold
from alertbot.domain.usage import Budgets, Usage
from alertbot.domain.windows import Window

FIRED = datetime(2026, 1, 5, 10, 2, tzinfo=UTC)
NOW = FIRED + timedelta(minutes=7)
LINK = "https://acme.slack.com/archives/C1/p1767607320000100"


def alert(number: int = 42, name: str = "support-chat", **changed: Any) -> Alert:
    """An alert that fires since 10:02 with nine violations, more than the five that are allowed."""
    plain = Alert(
        rule="violation-burst",
        identity="threshold/policy_violations/ai_llm",
        series=f"acme/llm-{number}",
        labels={"source": "acme", "ai_llm": f"llm-{number}", "name": name, "rule": "violation-burst"},
        kind="threshold",
        state=State.FIRING,
        severity=Severity.WARNING,
        unit="violations",
        pending_since=FIRED,
        comparison="above",
        over="in 15 min",
        value=Fraction(9),
        peak=Fraction(9),
        threshold=Fraction(5),
        started_at=FIRED,
        baseline_at=FIRED - timedelta(minutes=15),
        number=number,
    )
    return replace(plain, **changed)


def resolved(one: Alert) -> Alert:
    return replace(one, state=State.RESOLVED, resolved_at=NOW, value=Fraction(0))


def taken(one: Alert, by: str = "U1") -> Alert:
    return replace(one, acknowledged_by=by, acknowledged_at=FIRED + timedelta(minutes=1))


def alert_message(*alerts: Alert, previous: str = "", number: int = 17) -> AlertMessage:
    group = Group("rule=violation-burst source=acme", Route("#ai-alerts"), FIRED, number=number)
    return AlertMessage(group, alerts or (alert(),), NOW, previous)


def notification(kind: NotificationKind, *lines: str, **more: Any) -> Notification:
    return Notification(kind, ping=more.pop("ping", False), about=(42,), lines=lines, **more)


def acted(kind: ActionType, outcome: Outcome, *about: Alert) -> ActionResult:
    deed = Action(kind, "U1", NOW, key="k")
    return ActionResult(deed, tuple((each, outcome) for each in about or (alert(),)))


def row(one: Alert | None = None, group: int | None = 17) -> AlertRow:
    return AlertRow(one or alert(), group, "C1", "1767607320.000100")


def stat(name: str = "support-chat", calls: int | None = 1523, **metrics: int | None) -> StatRow:
    counted: dict[str, int | None] = dict.fromkeys(TOTALS, 0) | {"api_calls": calls, "tokens": 134_690} | metrics
    return StatRow("acme", "llm-42", name, NOW - timedelta(hours=24), NOW, NOW - timedelta(hours=24), counted)


def status(*rows: SourceRow, firing: int = 2, waiting: int = 0) -> StatusReport:
    return StatusReport(
        version="0.1.0",
        sources=rows or (SourceRow("acme", Health.OK, NOW - timedelta(seconds=20), 50),),
        pending=1,
        firing=firing,
        acknowledged=1,
        waiting=waiting,
        oldest_at=NOW - timedelta(minutes=3) if waiting else None,
        alive_at=NOW - timedelta(seconds=5),
        is_running=True,
    )


def failing(name: str, error: str) -> SourceRow:
    return SourceRow(name, Health.FAILING, NOW - timedelta(minutes=2), 50, error)


def many(count: int, name: str = "support-chat") -> Sequence[Alert]:
    return [alert(number, f"{name}-{number}", value=Fraction(number), peak=Fraction(number)) for number in range(count)]


def rule(name: str = "violation-burst", description: str = "") -> Rule:
    levels = Levels(Comparison.ABOVE, ((Severity.WARNING, Fraction(5)),))
    return Rule(name, Threshold("policy_violations", timedelta(minutes=15), levels), description=description)


def explained(watched: Rule, name: str) -> Explanation:
    """Why the rule fired for a configuration of this name."""
    series = Series(f"acme/{name}", {"source": "acme", "ai_llm": name, "name": name}, (1,), ("acme",))
    finding = Finding(series, Verdict.TRUE, 9, Fraction(5), Severity.WARNING, note=name)
    return Explanation(watched, finding, NOW, State.NONE, State.FIRING, "the condition became true", 42, name)


WHOLE = Coverage(NOW - timedelta(hours=24))
DAY_WINDOW = Window(NOW - timedelta(hours=24), NOW, "in the last 24 h")


def stats_of(rows: Sequence[StatRow], coverage: Coverage = WHOLE) -> Stats:
    return Stats(tuple(rows), DAY_WINDOW, coverage)


def ranking(by: str = "ai_llm") -> Ranking:
    """The violations of the last day."""
    rows = (
        RankingRow(1, "acme/llm-42", "support-chat", "acme", 1_204_331),
        RankingRow(2, "acme/llm-43", "code-review", "acme", 97),
        RankingRow(3, "acme/llm-44", "docs-helper", "acme", 0),
    )
    return Ranking("policy_violations", by, DAY_WINDOW, rows, WHOLE)


def usage(used: int | None = 31_000_000, **changed: Any) -> Usage:
    """Tokens of a day, of which there are fifty million."""
    levels = Levels(Comparison.AT_LEAST, ((Severity.WARNING, Fraction(80)), (Severity.CRITICAL, Fraction(100))))
    condition = Budget("tokens", Fraction(50_000_000), Period.DAY, levels, forecast=True)
    plain = Usage(
        rule=Rule("token-budget", condition, per="source"),
        condition=condition,
        series=Series("acme", {"source": "acme"}, (1,), ("acme",)),
        start=NOW.replace(hour=0, minute=0),
        end=NOW.replace(hour=0, minute=0) + timedelta(days=1),
        used=used,
    )
    return replace(plain, **changed)


def budgets_of(*usages: Usage) -> Budgets:
    return Budgets(usages)


NOT_KNOWN = Coverage(None, ("acme: not known by user; its minute statistics were never read (HTTP 503)",))
IN_PART = Coverage(
    NOW - timedelta(hours=3),
    ("globex: not known by user; its minute statistics are not collected (`collect: ai_minutes`)",),
    ("initech: counted since 2026-01-05T09:00:00Z; `alertbot backfill` reads earlier data",),
)


def chart_series(**changed: Any) -> ChartSeries:
    """An hour in which violations rose from 3 to 9, with polls that were missed in between."""
    seen = [3, 3, 4, 3, None, None, 3, 4, 6, 9, 9, 8]
    moments = [NOW - timedelta(minutes=5) * turn for turn in reversed(range(len(seen)))]
    plain = ChartSeries(
        what="policy violations in 15 min",
        subject="support-chat (acme)",
        key="acme/llm-42",
        unit="violations",
        start=NOW - timedelta(hours=1),
        end=NOW,
        points=tuple(zip(moments, seen, strict=True)),
        rule="violation-burst",
        thresholds=((Severity.WARNING, Fraction(5)), (Severity.CRITICAL, Fraction(20))),
        fired_at=NOW - timedelta(minutes=15),
    )
    return replace(plain, **changed)


def found(**changed: Any) -> Evidence:
    """A violation of three minutes after the alert began."""
    plain = Evidence(
        id="v-1",
        kind=EvidenceKind.VIOLATION,
        at=FIRED + timedelta(minutes=3),
        source="acme",
        policy="policy-1",
        policy_name="No customer PII",
        severity="HIGH",
        blocked=True,
        repo="customers-repo-1",
        repo_name="customers-repo",
        user="user-0001",
        user_name="Ana Ruiz",
        model="claude-sonnet-4-5",
        provider="ANTHROPIC",
        explanation="The prompt holds a card number ending in 4242.",
    )
    return replace(plain, **changed)


def summary() -> Summary:
    """The evidence behind nine violations."""
    return Summary(
        EvidenceKind.VIOLATION,
        9,
        blocked=4,
        severities={"HIGH": 6, "LOW": 1},
        policies=TopN((Count("No customer PII", 7, "policy-1"), Count("Prompt injection", 2, "policy-2")), 2),
        people=TopN(
            (Count("Ana Ruiz", 5, "user-0001"), Count("Bo Chen", 3, "user-0002"), Count("Cy", 1, "user-0003")), 5
        ),
        models=TopN((Count("claude-sonnet-4-5", 9, "claude-sonnet-4-5"),), 1),
        newest=found(),
        since=FIRED - timedelta(minutes=15),
    )


def listing(*notes: str) -> ViolationReport:
    """What somebody who asks is shown of it."""
    shown = (
        found(),
        found(severity="LOW", blocked=False, policy_name="Prompt injection", user_name="Bo Chen-Featherstonehaugh"),
        found(severity="", blocked=None, user_name="", user="user-0003", at=FIRED),
    )
    return ViolationReport(shown, replace(summary(), since=None), notes)
