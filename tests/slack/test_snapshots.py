"""The messages that people see most, as JSON in `__snapshots__/`: a change of their looks is seen in a review.

After a change that is meant, write them anew and look at the difference:

    pytest --snapshot-update tests/slack/test_snapshots.py
    git diff tests/slack/__snapshots__
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from alertbot.domain.alerts import Action, ActionType, Outcome
from alertbot.domain.evidence import Privacy, ViolationReport, mask, redact
from alertbot.domain.history import Series
from alertbot.domain.notifications import AlertMessage, Grower, Growers, NotificationKind
from alertbot.domain.reports import Health, ListedRule, SourceRow
from alertbot.domain.rules import Severity
from alertbot.domain.silences import ENDLESS, Matcher, MatchType, Silence
from alertbot.domain.spending import Spending, Spent
from alertbot.domain.stored_rules import StoredRule
from alertbot.domain.windows import Window
from alertbot.slack.views import analytics, responses
from alertbot.slack.views.evidence import violations_response
from alertbot.slack.views.message import notification_message
from alertbot.slack.views.notification import notification_line
from alertbot.slack.views.rules import rules_response
from alertbot.slack.views.sharing import shared, with_share_button
from tests.builders import rule
from tests.slack.messages import (
    IN_PART,
    LINK,
    NOT_KNOWN,
    NOW,
    WHOLE,
    acted,
    alert,
    alert_message,
    budgets_of,
    chart_series,
    explained,
    failing,
    listing,
    many,
    notification,
    ranking,
    resolved,
    row,
    stat,
    stats_of,
    status,
    summary,
    taken,
    usage,
)
from tests.slack.payloads import assert_harmless, assert_sendable

CRITICAL = alert(43, "code-review", severity=Severity.CRITICAL, value=21, peak=24, threshold=20)
SILENCE = Silence(
    (Matcher("rule", MatchType.IS, "violation-burst"),), NOW, NOW + timedelta(hours=2), "U1", "planned <test>", number=3
)
DAY = Window(NOW - timedelta(hours=24), NOW, "in the last 24 h")
MADE = StoredRule("night-calls", {}, "U1", NOW - timedelta(days=2), "U2", NOW)
WATCHED = replace(rule(), name="block-burst", description="Ask <who> did it & why.")


def growers() -> tuple[Growers, ...]:
    people = (Grower("Ana Ruiz", 1_204_000), Grower("Bo Chen", 90_500), Grower("Cy", 12))
    models = (Grower("claude-sonnet-4-5", 1_294_512),)
    return Growers("user", people, 5), Growers("model", models, 1), Growers("api_key", (), 0)


def grown(growers: tuple[Growers, ...], until: datetime | None = None) -> AlertMessage:
    tokens = alert(identity="threshold/tokens/ai_llm", unit="tokens", value=Fraction(1_294_512))
    since = NOW - timedelta(minutes=15)
    return replace(alert_message(tokens), growers=growers, growers_since=since, growers_until=until)


def _escalated(one: AlertMessage) -> AlertMessage:
    return replace(one, group=replace(one.group, notified=replace(one.group.notified, steps=1)))


SNAPSHOTS: dict[str, Callable[[], dict[str, Any]]] = {
    "message-firing": lambda: notification_message(alert_message(), mentioned=["U2", "@here"]),
    "message-acknowledged": lambda: notification_message(alert_message(taken(alert()))),
    "message-snoozed": lambda: notification_message(alert_message(alert(snoozed_until=NOW + timedelta(hours=1)))),
    "message-assigned": lambda: notification_message(alert_message(alert(assigned_to="U3"))),
    "message-resolved": lambda: notification_message(alert_message(resolved(taken(alert())))),
    "message-escalated": lambda: notification_message(
        _escalated(alert_message(alert(value=Fraction(9), peak=Fraction(24))))
    ),
    "message-linked": lambda: notification_message(alert_message(previous=LINK)),
    "message-with-a-note": lambda: notification_message(alert_message(alert(note="seen across a gap of 58 min"))),
    "message-dressed": lambda: notification_message(
        replace(
            alert_message(),
            trend=(None, 0, 2, 1, 0, 0, 3, 1, 0, 2, 4, 9),
            description="Somebody probes the guard rails",
            on_call={"primary": "U3"},
        )
    ),
    "message-with-evidence": lambda: notification_message(replace(alert_message(), evidence=summary())),
    "message-with-evidence-masked": lambda: notification_message(
        replace(alert_message(), evidence=redact(summary(), Privacy.MASKED))
    ),
    "message-with-evidence-counted": lambda: notification_message(
        replace(alert_message(), evidence=redact(summary(), Privacy.COUNTS))
    ),
    "message-with-growers": lambda: notification_message(grown(growers())),
    "message-with-growers-counted": lambda: notification_message(
        grown(tuple(replace(each, first=()) for each in growers()), until=NOW)
    ),
    "message-several": lambda: notification_message(
        alert_message(taken(alert()), CRITICAL, resolved(alert(44, "docs-helper")))
    ),
    "message-several-resolved": lambda: notification_message(alert_message(resolved(alert()), resolved(CRITICAL))),
    "message-many": lambda: notification_message(alert_message(*many(50))),
    "message-brief": lambda: notification_message(
        alert_message(resolved(alert(started_at=NOW - timedelta(seconds=40))))
    ),
    "thread-acknowledged": lambda: notification_line(
        notification(NotificationKind.ACKNOWLEDGED, "{0} acknowledged: support-chat", people=("U1",))
    ),
    "thread-act": lambda: notification_line(
        notification(NotificationKind.ACTION, "{0} assigned it to {1}: support-chat", people=("U1", "U2"))
    ),
    "thread-rise": lambda: notification_line(
        notification(
            NotificationKind.RISE,
            "Rose to critical: 21 violations in 15 min on support-chat (acme)",
            mention=("S0123TEAM",),
        )
    ),
    "thread-resolved": lambda: notification_line(
        notification(NotificationKind.RESOLVED, "Resolved after 7 min: support-chat")
    ),
    "thread-long": lambda: notification_line(
        notification(NotificationKind.REPEAT, *(f"Still firing: {number}" for number in range(14)))
    ),
    "thread-escalated": lambda: notification_line(
        notification(
            NotificationKind.ESCALATION,
            "Nobody has acknowledged this for 15 min: 9 violations in 15 min on support-chat",
            mention=("U2",),
        )
    ),
    "operator": lambda: notification_line(
        notification(NotificationKind.OPERATOR, "The rule x cannot be evaluated (ValueError)")
    ),
    "answer-status": lambda: responses.status_response(
        status(
            SourceRow("acme", Health.OK, NOW, 50),
            failing("globex", "HTTP 503"),
            SourceRow("new", Health.NEVER_READ, None, 0),
            waiting=2,
        )
    ),
    "answer-status-not-running": lambda: responses.status_response(
        replace(status(), is_running=False, alive_at=NOW - timedelta(minutes=20))
    ),
    "answer-alerts": lambda: responses.alerts_response([row(), row(taken(CRITICAL))]),
    "answer-alerts-none": lambda: responses.alerts_response([]),
    "answer-stats": lambda: analytics.stats_response(
        stats_of([stat(), stat("code-review", 9_007_199_254_740_993), stat("new", None)])
    ),
    "answer-top": lambda: analytics.top_response(ranking()),
    "answer-top-none": lambda: analytics.top_response(replace(ranking(), rows=())),
    "answer-top-not-known": lambda: analytics.top_response(replace(ranking("user"), rows=(), coverage=NOT_KNOWN)),
    "answer-top-in-part": lambda: analytics.top_response(replace(ranking("user"), coverage=IN_PART)),
    "answer-violations": lambda: violations_response(listing("globex: no evidence was fetched yet"), DAY, UTC),
    "answer-violations-masked": lambda: violations_response(
        ViolationReport(tuple(map(mask, listing().violations)), redact(summary(), Privacy.MASKED)), DAY, UTC
    ),
    "answer-violations-counted": lambda: violations_response(
        ViolationReport((), redact(summary(), Privacy.COUNTS)), DAY, UTC
    ),
    "answer-violations-none": lambda: violations_response(ViolationReport((), replace(summary(), total=0)), DAY, UTC),
    "answer-spend": lambda: analytics.spend_response(
        Spending(
            DAY,
            "ai_llm",
            "genai-prices 0.2.3",
            10,
            (
                Spent("acme/1", "support-chat", "acme", Fraction(1234, 100), 2_650_000, 300_000),
                Spent("acme/2", "home-made", "acme", Fraction(0), 5, 5),
            ),
            WHOLE,
        )
    ),
    "answer-why": lambda: responses.why_response([explained(rule(), "support-chat")]),
    "answer-silences": lambda: responses.silences_response(
        [SILENCE, replace(SILENCE, number=4, ends_at=ENDLESS, comment="")]
    ),
    "answer-silences-none": lambda: responses.silences_response([]),
    "answer-unmuted": lambda: responses.unmuted_response("violation-burst"),
    "answer-oncall": lambda: responses.oncall_response({"primary": "U2", "second line": "S0123TEAM"}),
    "answer-oncall-none": lambda: responses.oncall_response({}),
    "answer-snoozed": lambda: responses.action_response(
        replace(
            acted(ActionType.SNOOZE, Outcome.DONE),
            action=Action(ActionType.SNOOZE, "U1", NOW, "k", until=NOW + timedelta(hours=2)),
        )
    ),
    "answer-budget": lambda: analytics.budget_response(
        budgets_of(
            usage(exhausted_at=NOW + timedelta(hours=8), known_since=NOW - timedelta(hours=2)),
            usage(
                54_000_000, severity=Severity.CRITICAL, series=Series("globex", {"source": "globex"}, (2,), ("globex",))
            ),
            usage(None, rule=replace(usage().rule, name="other-budget")),
        )
    ),
    "answer-chart": lambda: analytics.chart_response(chart_series(), "F0123ABCDE"),
    "answer-chart-in-words": lambda: analytics.chart_response(chart_series(), None),
    "answer-chart-of-growth": lambda: analytics.chart_response(
        chart_series(what="tokens per 5 min", bucket=timedelta(minutes=5), thresholds=()), "F0123ABCDE"
    ),
    "answer-to-share": lambda: with_share_button(analytics.top_response(ranking()), "top violations 24h"),
    "answer-shared": lambda: shared(analytics.top_response(ranking()), by="U2", asked="/alertbot top violations 24h"),
    "answer-acted": lambda: responses.action_response(acted(ActionType.ACKNOWLEDGE, Outcome.DONE)),
    "answer-too-late": lambda: responses.action_response(acted(ActionType.ACKNOWLEDGE, Outcome.TOO_LATE)),
    "answer-already": lambda: responses.action_response(acted(ActionType.ACKNOWLEDGE, Outcome.ALREADY)),
    "answer-complaint": lambda: responses.error_response('there is no "stauts"; did you mean status?'),
    "answer-rules": lambda: rules_response([ListedRule("block-burst", WATCHED)]),
    "answer-rules-to-edit": lambda: rules_response(
        [
            ListedRule("block-burst", WATCHED),
            ListedRule("night-calls", replace(WATCHED, name="night-calls"), MADE),
            ListedRule("old", None, replace(MADE, name="old"), 'it cannot be read: window: expected …, got "x"'),
        ],
        muted={"night-calls"},
        may_edit=True,
    ),
    "answer-help": lambda: responses.help_response("/alertbot", ""),
    "answer-help-snooze": lambda: responses.help_response("/alertbot", "snooze"),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_looks_as_it_did(name, snapshot):
    assert SNAPSHOTS[name]() == snapshot


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_what_is_shown_may_be_sent(name):
    payload = SNAPSHOTS[name]()
    assert_sendable(payload)
    meant = {"<@U1>", "<@U2>", "<@U3>", "<!here>", "<!subteam^S0123TEAM>", f"<{LINK}|previous alert>"}
    assert_harmless(payload, markup=meant)


def test_no_snapshot_is_left_over(kept):
    assert kept <= {f"test_looks_as_it_did[{name}]" for name in SNAPSHOTS}
