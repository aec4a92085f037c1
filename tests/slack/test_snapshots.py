"""The messages that people see most, as JSON in `snapshots/`: a change of their looks is seen in a review.

After a change that is meant, write them anew and look at the difference:

    ALERTBOT_WRITE_SNAPSHOTS=1 pytest -n 0 tests/slack/test_snapshots.py
    git diff tests/slack/snapshots
"""

import difflib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alertbot.domain.alerts import ActKind, Outcome
from alertbot.domain.history import Series
from alertbot.domain.notices import Kind
from alertbot.domain.reports import Health, SourceRow
from alertbot.domain.rules import Severity
from alertbot.slack.views import answers, figures
from alertbot.slack.views.message import notice_message
from alertbot.slack.views.notice import notice_line
from alertbot.slack.views.sharing import shared, with_share_button
from tests.slack.faces import (
    LINK,
    NOW,
    acted,
    alert,
    curve,
    face,
    failing,
    many,
    notice,
    ranking,
    resolved,
    row,
    stat,
    status,
    taken,
    usage,
)
from tests.slack.payloads import assert_harmless, assert_sendable

FOLDER = Path(__file__).parent / "snapshots"
CRITICAL = alert(43, "code-review", severity=Severity.CRITICAL, value=21, peak=24, threshold=20)

SNAPSHOTS: dict[str, Callable[[], dict[str, Any]]] = {
    "message-firing": lambda: notice_message(face(), mentioned=["U2", "@here"]),
    "message-acknowledged": lambda: notice_message(face(taken(alert()))),
    "message-snoozed": lambda: notice_message(face(alert(snoozed_until=NOW + timedelta(hours=1)))),
    "message-assigned": lambda: notice_message(face(alert(assigned_to="U3"))),
    "message-resolved": lambda: notice_message(face(resolved(taken(alert())))),
    "message-linked": lambda: notice_message(face(previous=LINK)),
    "message-with-a-note": lambda: notice_message(face(alert(note="seen across a gap of 58 min"))),
    "message-dressed": lambda: notice_message(
        replace(
            face(),
            trend=(None, 0, 2, 1, 0, 0, 3, 1, 0, 2, 4, 9),
            description="Somebody probes the guard rails",
            on_call={"primary": "U3"},
        )
    ),
    "message-several": lambda: notice_message(face(taken(alert()), CRITICAL, resolved(alert(44, "docs-helper")))),
    "message-several-resolved": lambda: notice_message(face(resolved(alert()), resolved(CRITICAL))),
    "message-many": lambda: notice_message(face(*many(50))),
    "message-brief": lambda: notice_message(face(resolved(alert(started_at=NOW - timedelta(seconds=40))))),
    "thread-acknowledged": lambda: notice_line(
        notice(Kind.ACKNOWLEDGED, "{0} acknowledged: support-chat", people=("U1",))
    ),
    "thread-act": lambda: notice_line(notice(Kind.ACT, "{0} assigned it to {1}: support-chat", people=("U1", "U2"))),
    "thread-rise": lambda: notice_line(
        notice(Kind.RISE, "Rose to critical: 21 violations in 15 min on support-chat (acme)", mention=("S0123TEAM",))
    ),
    "thread-resolved": lambda: notice_line(notice(Kind.RESOLVED, "Resolved after 7 min: support-chat")),
    "thread-long": lambda: notice_line(notice(Kind.REPEAT, *(f"Still firing: {number}" for number in range(14)))),
    "operator": lambda: notice_line(notice(Kind.OPERATOR, "The rule x cannot be evaluated (ValueError)")),
    "answer-status": lambda: answers.status_answer(
        status(
            SourceRow("acme", Health.OK, NOW, 50),
            failing("globex", "HTTP 503"),
            SourceRow("new", Health.NEVER_READ, None, 0),
            waiting=2,
        )
    ),
    "answer-alerts": lambda: answers.alerts_answer([row(), row(taken(CRITICAL))]),
    "answer-alerts-none": lambda: answers.alerts_answer([]),
    "answer-stats": lambda: answers.stats_answer(
        [stat(), stat("code-review", 9_007_199_254_740_993), stat("new", None)]
    ),
    "answer-top": lambda: figures.top_answer(ranking()),
    "answer-top-none": lambda: figures.top_answer(replace(ranking(), rows=())),
    "answer-budget": lambda: figures.budget_answer(
        [
            usage(exhausted_at=NOW + timedelta(hours=8)),
            usage(
                54_000_000, severity=Severity.CRITICAL, series=Series("globex", {"source": "globex"}, (2,), ("globex",))
            ),
            usage(None, rule=replace(usage().rule, name="other-budget")),
        ]
    ),
    "answer-chart": lambda: figures.chart_answer(curve(), "F0123ABCDE"),
    "answer-chart-in-words": lambda: figures.chart_answer(curve(), None),
    "answer-chart-of-growth": lambda: figures.chart_answer(
        curve(what="tokens per 5 min", bucket=timedelta(minutes=5), thresholds=()), "F0123ABCDE"
    ),
    "answer-to-share": lambda: with_share_button(figures.top_answer(ranking()), "top violations 24h"),
    "answer-shared": lambda: shared(figures.top_answer(ranking()), by="U2", asked="/alertbot top violations 24h"),
    "answer-acted": lambda: answers.acted_answer(acted(ActKind.ACKNOWLEDGE, Outcome.DONE)),
    "answer-too-late": lambda: answers.acted_answer(acted(ActKind.ACKNOWLEDGE, Outcome.TOO_LATE)),
    "answer-already": lambda: answers.acted_answer(acted(ActKind.ACKNOWLEDGE, Outcome.ALREADY)),
    "answer-complaint": lambda: answers.complaint('there is no "stauts"; did you mean status?'),
    "answer-help": lambda: answers.help_answer("/alertbot", ""),
    "answer-help-snooze": lambda: answers.help_answer("/alertbot", "snooze"),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_looks_as_it_did(name):
    payload = SNAPSHOTS[name]()
    shown = json.dumps(payload, indent=2, ensure_ascii=False) + "\n"
    path = FOLDER / f"{name}.json"
    if os.environ.get("ALERTBOT_WRITE_SNAPSHOTS"):
        path.write_text(shown, encoding="utf-8")
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    changed = "\n".join(difflib.unified_diff(kept.splitlines(), shown.splitlines(), f"{name}.json", "now", lineterm=""))
    assert not changed, f"{changed}\n\nIf this is meant, write the snapshots anew (see the top of this file)."


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_what_is_shown_may_be_sent(name):
    payload = SNAPSHOTS[name]()
    assert_sendable(payload)
    meant = {"<@U1>", "<@U2>", "<@U3>", "<!here>", "<!subteam^S0123TEAM>", f"<{LINK}|the one before>"}
    assert_harmless(payload, markup=meant)


def test_no_snapshot_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SNAPSHOTS)
