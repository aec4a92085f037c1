"""Slash commands and buttons, over Socket Mode and over signed HTTP, to the real process."""

import re
from collections.abc import Callable

import pytest

from tests.end_to_end.stage import Stage


@pytest.fixture(params=["socket", "http"])
def stage_of_mode(request: pytest.FixtureRequest, new_stage: Callable[..., Stage]) -> Stage:
    stage = new_stage(window="60s")
    if request.param == "http":
        del stage.config["slack"]["app_token"]
        stage.config["slack"] |= {"mode": "http", "signing_secret": stage.slack.signing_secret}
    stage.start()
    if request.param == "http":
        stage.slack.deliver_to(stage.url("/slack/events"))
    else:
        stage.slack.wait_for_connection()
    return stage


def test_people_look_things_up_and_act_with_commands_and_buttons(stage_of_mode):
    stage = stage_of_mode
    assert "Nothing is pending or firing" in stage.command("alerts")
    stage.bump(10)
    stage.wait_for_message()

    status = stage.command("")
    assert "*1 firing* (0 acknowledged)" in status
    assert "*acme*: ok" in status
    assert "50 LLMs" in status
    assert re.search(r"config-7 +0 +0 +10 +0 +0", stage.command("stats config-7 1h"))
    assert "`A1 G1` 10 violations in 1 min on config-7 (acme), above 5: firing" in stage.command("alerts")
    assert "did you mean alerts?" in stage.command("alrts")
    assert "`/alertbot snooze &lt;id&gt; &lt;duration&gt;`" in stage.command("help")
    assert "there is no alert A9" in stage.command("ack A9")

    assert ":white_check_mark: Done: `A1` config-7" in stage.command("ack A1", "U2")
    assert "Acknowledged by <@U2>" in str(stage.wait_for_word("Acknowledged").attachments)
    assert "No change" in stage.command("ack G1", "U3")
    stage.command("unack A1")
    stage.wait_for_word("Warning")
    stage.command("comment A1 rolled back <the prompt>")
    stage.command("assign A1 @ben")
    stage.wait_for(lambda: stage.replies(":speech_balloon: <@U1>: rolled back &lt;the prompt&gt;"))
    stage.wait_for(lambda: stage.replies(":speech_balloon: <@U1> assigned it to <@U2>"))

    stage.click("snooze", "U3", value="G1 30m")
    stage.wait_for_word("Snoozed")

    # Slack brings a click a second time: late, and to no effect, since it was done.
    delivery = stage.click("acknowledge", "U3")
    stage.wait_for_word("Acknowledged")
    stage.command("unack A1", "U3")
    stage.wait_for_word("Snoozed")
    assert stage.slack.redeliver(delivery).acknowledged
    assert "*1 firing* (0 acknowledged)" in stage.command("status")
    assert len(stage.slack.messages("#ai-alerts", replies=False)) == 1
