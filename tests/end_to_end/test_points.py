"""A Flashback server without totals, and what only points know, with the real process."""

import json

from alertbot.demo.slack.transcript import plain_text
from tests.end_to_end.stage import TARGET, Stage

OPERATORS = "#leads"


def test_a_server_without_totals_is_watched_by_its_points(stage: Stage):
    stage.flashback.fail("/ai/llm/stats", 404)
    stage.config["slack"]["operator_channel"] = OPERATORS
    stage.config["rules"][0]["window"] = "2m"  # points tell minutes
    stage.start()
    stage.bump(10)
    message = stage.wait_for_message()
    assert "10 violations in 2 min on config-7 (acme)" in message.text
    (told,) = stage.slack.messages(OPERATORS, replies=False)
    assert "this server has no /ai/llm/stats (404)" in plain_text(told)
    assert stage.flashback.count("/ai/llm/stats") == 1
    code, body = stage.ready()
    assert (code, json.loads(body)["reasons"]) == (200, {})
    (row,) = [one for one in stage.run_json("stats", "--window", "1h") if one["ai_llm"] == TARGET]
    assert row["policy_violations"] == 10


def test_a_rule_by_model_tells_the_model(stage: Stage):
    stage.config["rules"] = [
        {
            "name": "models",
            "metric": "policy_violations",
            "window": "2m",
            "above": {"warning": 5},
            "per": "model",
        }
    ]
    stage.start()
    stage.bump(10)
    message = stage.wait_for_message()
    assert "10 violations in 2 min on model gpt-4o (acme)" in message.text
    assert "1 gpt-4o  10" in stage.command("top violations 1h model")
