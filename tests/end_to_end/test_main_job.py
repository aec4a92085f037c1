"""What the bot is for: a configuration breaks a rule, people hear of it once, take it, and see it end."""

import re
import time

from tests.end_to_end.stage import TARGET

INTERVAL, WINDOW = 1.0, 20.0
POST = "chat.postMessage"


def test_people_hear_once_when_an_alert_fires_see_who_took_it_and_when_it_ends(stage):
    stage.config["routes"] = [{"group_wait": "1s", "mention": ["U3"]}]
    stage.start()
    stage.wait_for_readings(2)
    bumped = time.monotonic()
    stage.bump(10)
    message = stage.wait_for_message()
    seconds = time.monotonic() - bumped
    assert seconds <= 2 * INTERVAL + 1, f"posted after {seconds:.1f} s"
    assert "10 violations in 20 s on config-7 (acme)" in message.text
    assert message.text.endswith("<@U3>")
    assert [call.channel for call in stage.slack.calls_of(POST)] == [stage.slack.channel("#ai-alerts").id]

    clicked = time.monotonic()
    stage.click("acknowledge", "U2")
    taken = stage.wait_for_word("Acknowledged")
    assert time.monotonic() - clicked <= 5
    assert "Acknowledged by <@U2>" in str(taken.attachments)
    (alert,) = stage.run_json("alerts")
    assert (alert["id"], alert["ai_llm"], alert["state"], alert["value"]) == ("A1", TARGET, "firing", 10)
    assert (alert["acknowledged_by"], alert["message_ts"]) == ("U2", message.ts)

    stage.wait_for_word("Resolved", WINDOW + 5)
    assert time.monotonic() - bumped >= WINDOW
    stage.wait_for(lambda: stage.replies(":white_check_mark:"))
    acknowledged, resolved = stage.thread()
    assert acknowledged == ":eyes: <@U2> acknowledged: config-7"
    assert re.fullmatch(r":white_check_mark: Resolved after 2[0-3] s: config-7, peak 10 violations in 20 s", resolved)
    stage.wait_for_silence()
    stage.assert_said_once()


def test_the_next_firing_is_a_new_message_that_links_to_the_last(new_stage):
    stage = new_stage(window="3s")
    stage.start()
    stage.wait_for_readings(2)
    stage.bump(10)
    first = stage.wait_for_word("Resolved")
    stage.bump(7)
    stage.wait_for(lambda: len(stage.slack.messages("#ai-alerts", replies=False)) == 2)
    second = stage.slack.messages("#ai-alerts", replies=False)[1]
    assert "7 violations" in second.text
    assert f"{first.ts.replace('.', '')}|previous alert>" in str(second.attachments)


def test_a_poll_that_fails_changes_no_alert(new_stage):
    stage = new_stage(window="4s")
    stage.start()
    stage.wait_for_readings(2)
    stage.bump(10)
    stage.wait_for_word("Warning")
    stage.flashback.fail("/ai/llm/stats", 503)
    fired = time.monotonic()
    # Far beyond its window: were it judged by the clock, it would have ended.
    stage.wait_for(lambda: time.monotonic() - fired > 6 and stage.bot.events("poll_failed"))
    assert stage.reads("Warning")
    stage.wait_for(lambda: 'alertbot_alerts{severity="warning",state="firing"} 1.0' in stage.get("/metrics")[1])
    code, reasons = stage.ready()
    assert (code, "source acme" in reasons) == (503, True)
    stage.flashback.clear()
    stage.wait_for_word("Resolved")
    stage.assert_said_once()
