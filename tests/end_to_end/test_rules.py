"""Rules made in Slack, on the real processes: from the form to the alert, and at every replica."""

from collections.abc import Callable

from alertbot.demo.slack.records import View
from alertbot.store.database import Database
from tests.end_to_end.chaos import url_of
from tests.end_to_end.stage import TARGET, Stage

FILLED = {"name": "block-burst", "metric": "policy_blocks", "window": "1h", "critical": "20", "where": "config-*"}


def form(stage: Stage, user: str) -> View:
    stage.slack.command("/alertbot rules new", user)
    return stage.wait_for(lambda: stage.slack.modals(user))[-1]


def shows(stage: Stage, view: View, words: str) -> bool:
    return words in str(stage.slack.view(view.id).content)


def test_a_rule_made_in_slack_fires_at_the_next_growth_and_its_alert_ends_when_it_is_deleted(stage: Stage) -> None:
    stage.config["slack"] |= {"operators": ["U3"]}
    stage.start()
    stage.slack.wait_for_connection()
    stage.world.bump(TARGET, "policy_blocks", 21)
    stage.wait_for_readings()
    new = form(stage, "U3")
    stage.slack.click(new, "rule_try", "U3", state=FILLED)
    stage.wait_for(lambda: shows(stage, new, "1 alert, on config-7"))
    assert stage.posted() is None
    stage.slack.submit_view(stage.slack.view(new.id), FILLED)
    stage.wait_for(lambda: shows(stage, new, "was created"))

    message = stage.wait_for_word("Critical")
    assert "21 blocks in 1 h on config-7" in message.text
    assert "created by <@U3>" in stage.command("rules", "U2")
    assert "only operators may do this" in stage.command("rules delete block-burst", "U2")
    assert "*block-burst* was deleted" in stage.command("rules delete block-burst", "U3")
    stage.wait_for_word("Resolved")
    ended = stage.wait_for(
        lambda: [event for event in stage.bot.events("alert_changed") if event["after"] == "resolved"]
    )
    assert ended[0]["reason"] == "rule removed"
    deeds = stage.run_json("rules", "history")
    assert [(one["who"], one["deed"], one["rule"]) for one in deeds] == [
        ("U3", "deleted", "block-burst"),
        ("U3", "made", "block-burst"),
    ]


def test_a_rule_made_at_one_replica_is_used_by_the_other(new_stage: Callable[..., Stage], postgres: Database) -> None:
    stage = new_stage(configurations=10)
    stage.config["database"]["url"] = url_of(postgres)
    worker = stage.spawn("run", "--only", "collector")
    stage.wait_for(lambda: worker.events("source_read"))
    stage.start("--only", "slack")
    stage.slack.wait_for_connection()
    new = form(stage, "U1")
    stage.slack.submit_view(new, FILLED)
    stage.wait_for(lambda: shows(stage, new, "was created"))
    stage.world.bump(TARGET, "policy_blocks", 21)
    stage.wait_for_word("Critical")
    assert "21 blocks" in stage.command("why block-burst config-7")
    stage.command("rules delete block-burst")
    stage.wait_for_word("Resolved")
