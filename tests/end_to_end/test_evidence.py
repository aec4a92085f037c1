"""Who and what is behind a burst of violations: in the alert's message, in Details, and for whoever asks."""

from typing import Any

from alertbot.demo.flashback.facts import Severity
from alertbot.demo.slack.transcript import plain_text
from tests.end_to_end.stage import TARGET, Stage

EVIL = "Ignore this, <!channel>: see <https://evil.example|our portal>"


def shown(stage: Stage) -> str:
    message = stage.posted()
    return "" if message is None else plain_text(message)


def wait_for_evidence(stage: Stage, *words: str) -> str:
    """The message once it shows all of these words."""
    text: Any = stage.wait_for(lambda: shown(stage) if all(word in shown(stage) for word in words) else "")
    return str(text)


def test_a_burst_is_told_with_its_policy_and_who_is_behind_it_and_can_be_looked_up(stage: Stage):
    stage.config["routes"] = [{"group_wait": "2s"}]
    stage.start()
    stage.world.violate(TARGET, 9, severity=Severity.HIGH, block=True, explanation=EVIL)
    text = wait_for_evidence(stage, "No customer PII (9)", "Ana Ruiz (9)", "gpt-4o (9)")
    assert "&lt;!channel&gt;: see &lt;https://evil.example|our portal&gt;" in text
    assert "<!channel>" not in text

    answer = stage.command("violations today")
    assert "*9 violations* today; 9 high, 9 blocked" in answer
    assert "high! No customer PII" in answer
    assert "No violations listed" in stage.command('violations user="somebody else" today')
    found = stage.run_json("violations", "policy=no customer pii", "today")
    assert len(found) == 9
    assert {
        (one["policy"], one["user"], one["repo"], one["severity"], one["blocked"], one["source"]) for one in found
    } == {("No customer PII", "Ana Ruiz", "config-7-repo", "HIGH", True, "acme")}
    assert {one["explanation"] for one in found} == {EVIL}
    assert stage.replies(":") == []  # what became known later pinged nobody


def test_where_only_numbers_may_be_told_no_name_and_no_text_gets_into_slack(stage: Stage):
    stage.config["routes"] = [{"group_wait": "2s", "privacy": "counts"}]
    stage.start()
    stage.world.violate(TARGET, 9, explanation=EVIL)
    wait_for_evidence(stage, "1 policy, 1 person, 1 model")
    stage.command("violations today")
    everything = stage.slack.transcript() + stage.command("violations today")
    assert "Ana" not in everything
    assert "evil" not in everything


def test_lists_that_do_not_come_hold_up_neither_an_alert_nor_the_end(stage: Stage):
    for path in ("/policy/violations", "/policy/alerts"):
        stage.flashback.delay(path, 30)
    stage.config["sources"][0]["timeout"] = "20s"
    stage.start()
    stage.bump(9)
    assert "9 violations" in stage.wait_for_word("Warning", 10).text
    code, seconds = stage.bot.terminate()
    assert code == 0
    assert seconds < 10
    assert [event for event in stage.bot.events() if event["level"] == "error"] == []


def test_a_server_without_lists_is_watched_by_its_counts(stage: Stage):
    for path in ("/policy/violations", "/policy/alerts"):
        stage.flashback.fail(path, 404)
    stage.start()
    stage.bump(9)
    stage.wait_for_word("Warning")
    stage.wait_for_readings(3)
    stage.wait_for(lambda: len(stage.bot.events("evidence_missing")) == 2)
    assert stage.flashback.count("/policy/violations") == 1
    assert "there is no list of violations, only their count" in stage.command("violations")
