"""Home and the modals, as JSON in `__snapshots__/`: a change of their looks is seen in a review.

After a change that is meant, write them anew and look at the difference:

    pytest --snapshot-update tests/slack/test_view_snapshots.py
    git diff tests/slack/__snapshots__
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alertbot.demo.slack.limits import check_view
from alertbot.domain.alerts import State
from alertbot.domain.backtest import BacktestAlert, BacktestResult
from alertbot.domain.reports import Health, SilencePreview, SourceRow
from alertbot.domain.rules import Severity
from alertbot.domain.silences import ENDLESS, Silence, parse_matcher
from alertbot.slack.rule_drafts import new_draft
from alertbot.slack.views.details import details_view
from alertbot.slack.views.home import HomeData, home_view
from alertbot.slack.views.modals import Draft, comment_modal, silence_modal, silenced_modal, snooze_modal
from alertbot.slack.views.private_metadata import encode_private_metadata
from alertbot.slack.views.rule_form import rule_form, saved_rule_view
from tests.slack.messages import NOW, alert, failing, many, resolved, row, status, summary, taken
from tests.slack.payloads import assert_harmless

CRITICAL = alert(43, "code-review", severity=Severity.CRITICAL, value=21, peak=24, threshold=20)
SILENCE = Silence(
    (parse_matcher("rule=violation-burst"), parse_matcher("ai_llm=support *")),
    NOW - timedelta(hours=1),
    NOW + timedelta(hours=1),
    "U2",
    "planned test",
    3,
)
MUTED = Silence((parse_matcher("rule=slow-burn"),), NOW, ENDLESS, "U3", number=4)
METADATA = encode_private_metadata(about="G17", channel="C1")
QUIET = HomeData(
    user="U1",
    rows=[],
    status=status(firing=0),
    silences=[],
    on_call={},
    may_operate=False,
    command="/alertbot",
    now=NOW,
)
BUSY = HomeData(
    user="U1",
    rows=[
        row(CRITICAL, 18),
        row(taken(alert(44, "docs-helper")), 18),
        row(taken(alert()), 17),
        row(alert(45, "translator", state=State.PENDING), None),
    ],
    status=status(SourceRow("acme", Health.OK, NOW, 50), failing("globex", "HTTP 503"), firing=3),
    silences=[SILENCE, MUTED],
    on_call={"primary": "U1", "platform": "S0123TEAM"},
    may_operate=True,
    may_end=frozenset({3, 4}),
    command="/alertbot",
    now=NOW,
)
BACKTEST_RESULT = BacktestResult(
    "ai_llm",
    NOW - timedelta(hours=20),
    NOW,
    300,
    1200,
    (
        BacktestAlert("acme/1", "support-chat", Severity.WARNING, NOW - timedelta(hours=9), NOW - timedelta(hours=8)),
        BacktestAlert("acme/2", "<code> & review", Severity.CRITICAL, NOW - timedelta(minutes=18)),
    ),
)
BUDGET_RULE = new_draft("budget", timezone="Europe/Madrid")

SNAPSHOTS: dict[str, Callable[[], dict[str, Any]]] = {
    "home": lambda: home_view(BUSY),
    "home-quiet": lambda: home_view(QUIET),
    "home-after-a-click": lambda: home_view(
        replace(QUIET, note=":hourglass: Too late, already resolved: `A42` support-chat")
    ),
    "home-second-page": lambda: home_view(
        replace(QUIET, rows=[row(one, one.number) for one in many(13)], status=status(firing=13), page=1)
    ),
    "silence": lambda: silence_modal(
        Draft(rule="violation-burst", source="acme", llm="support-chat"),
        SilencePreview([alert()], 3, llms=14),
        rules=["violation-burst", "token-budget"],
        sources=["acme", "globex"],
        metadata=METADATA,
    ),
    "silence-until": lambda: silence_modal(
        Draft(
            rule="violation-burst", lasts="until", until=NOW + timedelta(days=1), more="severity=warning", comment="x"
        ),
        SilencePreview([], 0, llms=14),
        rules=["violation-burst"],
        sources=["acme"],
        metadata=METADATA,
    ),
    "silence-of-everything": lambda: silence_modal(
        Draft(),
        SilencePreview([], 3, problem="this would silence everything"),
        rules=["a"],
        sources=["b"],
        metadata=METADATA,
    ),
    "silenced": lambda: silenced_modal(SILENCE, SilencePreview([alert()], 3, llms=14)),
    "snooze": lambda: snooze_modal([alert()], until=NOW + timedelta(hours=4), may_operate=False, metadata=METADATA),
    "snooze-of-operators": lambda: snooze_modal(
        many(7), until=NOW + timedelta(hours=4), may_operate=True, metadata=METADATA
    ),
    "comment": lambda: comment_modal(alert(), metadata=METADATA),
    "comment-after-the-end": lambda: comment_modal(resolved(alert()), metadata=METADATA),
    "rule": lambda: rule_form(new_draft("threshold", timezone="Europe/Madrid"), metadata=METADATA),
    "rule-that-was-tried": lambda: rule_form(
        replace(BUDGET_RULE, about="token-budget", version=3), metadata=METADATA, backtest_result=BACKTEST_RESULT
    ),
    "rule-with-mistakes": lambda: rule_form(
        new_draft("absence", timezone="UTC"), metadata=METADATA, problems=["name: expected a name, got nothing"]
    ),
    "rule-saved": lambda: saved_rule_view(
        "block-burst", is_new=True, notes=["It is disabled, so it is not evaluated."]
    ),
    "details": lambda: details_view(17, [taken(alert(assigned_to="U2")), CRITICAL, resolved(alert(44))], now=NOW),
    "details-with-evidence": lambda: details_view(
        17, [alert()], now=NOW, evidence=summary(), doubts=["acme: 2 violations are not listed"]
    ),
    "details-after-a-click": lambda: details_view(
        17, [alert(note="seen across a gap of 58 min")], now=NOW, note="It was so."
    ),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_view_looks_as_it_did(name, snapshot):
    assert SNAPSHOTS[name]() == snapshot


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_view_may_be_shown(name):
    view = SNAPSHOTS[name]()
    assert check_view(view) == []
    assert_harmless(view, markup={"<@U1>", "<@U2>", "<@U3>", "<!subteam^S0123TEAM>"})


@pytest.mark.parametrize("name", [name for name, make in SNAPSHOTS.items() if make()["type"] == "modal"])
def test_the_words_on_a_modal_are_short_enough_for_slack(name):
    view = SNAPSHOTS[name]()
    assert all(len(view[part]["text"]) <= 24 for part in ("title", "submit", "close") if part in view)
    assert len(view.get("private_metadata", "")) <= 100


def test_no_view_snapshot_is_left_over(kept):
    assert kept <= {f"test_a_view_looks_as_it_did[{name}]" for name in SNAPSHOTS}
