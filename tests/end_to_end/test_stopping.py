"""SIGTERM ends the bot in time and cleanly; what waits to be said is said after the next start."""

import signal

import pytest

from alertbot.demo.slack.faults import FaultKind

POST = "chat.postMessage"
PATIENCE = 10.0  # seconds, after which service managers begin to kill


def test_what_waits_is_said_after_the_next_start(new_stage):
    stage = new_stage(window="10m")
    stage.config["sources"][0]["collect"] = ["llm_stats"]  # evidence would want to be shown, too
    stage.slack.fault(FaultKind.RATE_LIMITED, POST, retry_after=3600)
    stage.start()
    stage.bump(10)
    stage.wait_for(lambda: stage.bot.events("notification_postponed"))
    code, seconds = stage.bot.terminate()
    assert (code, seconds < PATIENCE) == (0, True)
    assert stage.posted() is None
    assert stage.run_json("status")["outbox"]["waiting"] == 1
    # The pause that Slack asked for was kept over the restart; it is over for whoever asks the database to forget it.
    stage.forget_pauses()
    stage.start()
    stage.wait_for_message()
    stage.assert_said_once()


def test_what_slack_is_still_busy_with_does_not_hold_the_end_up_and_is_not_said_twice(stage):
    held = stage.slack.fault(FaultKind.HOLD, POST)
    stage.start()
    stage.bump(10)
    stage.wait_for(lambda: held.hits)
    code, seconds = stage.bot.terminate()
    assert (code, seconds < PATIENCE) == (0, True), stage.bot.errors
    stage.slack.clear_faults(held)
    stage.wait_for_message()
    stage.start()
    stage.wait_for(lambda: stage.bot.events("notification_had_arrived"))
    stage.assert_said_once()


def test_an_idle_bot_ends_when_it_is_interrupted(new_stage):
    stage = new_stage(configurations=1)
    stage.start()
    code, seconds = stage.bot.terminate(number=signal.SIGINT)
    assert (code, seconds < PATIENCE) == (0, True)
    assert stage.bot.events("stopped")
    assert "Traceback" not in stage.bot.errors


def test_a_source_that_does_not_answer_does_not_hold_the_end_up(new_stage):
    stage = new_stage(configurations=1)
    stage.config["sources"][0]["timeout"] = "30s"
    stage.start()
    asked = stage.flashback.count("/ai/llm/stats")
    stage.flashback.delay("/ai/llm/stats", 30)
    stage.wait_for(lambda: stage.flashback.count("/ai/llm/stats") > asked)
    code, seconds = stage.bot.terminate()
    assert (code, seconds < PATIENCE) == (0, True)


@pytest.mark.parametrize("command", [["poll"], ["backfill", "--since", "2d"]], ids=["poll", "backfill"])
def test_a_command_that_waits_for_a_source_ends_in_a_line_when_it_is_terminated(new_stage, command):
    stage = new_stage(configurations=3)
    stage.config["sources"][0] |= {"timeout": "30s", "collect": ["llm_stats", "ai_days"]}
    for path in ("/ai/llm/stats", "/aistats/daily"):
        stage.flashback.delay(path, 30)
    process = stage.spawn(*command)
    stage.wait_for(lambda: stage.flashback.count("/ai/llm/stats") + stage.flashback.count("/aistats/daily"))
    code, seconds = process.terminate()
    assert (code, seconds < PATIENCE) == (1, True), process.errors
    assert "interrupted; what was done until then is kept" in process.errors
    assert "Traceback" not in process.errors


def test_a_bot_that_is_told_to_reload_goes_on_and_says_that_it_does_not(new_stage):
    stage = new_stage(configurations=1)
    stage.start()
    stage.bot.send(signal.SIGHUP)
    stage.wait_for(lambda: stage.bot.events("sighup_ignored"))
    stage.wait_for_readings(2)
    code, _ = stage.bot.terminate()
    assert code == 0
