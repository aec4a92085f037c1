"""Slack is slow, busy or broken: the message arrives once."""

from alertbot.demo.slack.faults import FaultKind

POST, EDIT = "chat.postMessage", "chat.update"


def test_messages_and_edits_arrive_once_after_429_and_500s_and_lost_answers(new_stage):
    stage = new_stage(window="60s")
    slack = stage.slack
    slack.fault(FaultKind.RATE_LIMITED, POST, retry_after=1)
    slack.fault(FaultKind.SERVER_ERROR, POST, status=500)
    slack.fault(FaultKind.LOST_ANSWER, POST)
    stage.start()
    stage.bump(10)
    stage.wait_for_message()
    stage.wait_for(lambda: stage.bot.events("notification_had_arrived"))
    stage.wait_for(lambda: stage.bot.events("notification_sent"))
    stage.assert_said_once()
    outcomes = [call.outcome for call in slack.calls_of(POST)]
    assert outcomes == ["ratelimited", "http_500", "lost_answer"]
    limited, after = slack.calls_of(POST)[:2]
    assert after.at - limited.at >= 1

    slack.fault(FaultKind.SERVER_ERROR, EDIT, status=503)
    stage.click("acknowledge", "U2")
    stage.wait_for_word("Acknowledged")
    stage.assert_said_once()


def test_alerts_are_kept_while_slack_cannot_be_reached(new_stage):
    stage = new_stage(window="60s")
    stage.slack.fault(FaultKind.REFUSED, "*", times=None)
    stage.bot = stage.spawn("run")
    stage.wait_for(lambda: stage.bot.events("started"))
    stage.wait_for(lambda: stage.get("/healthz")[0] == 200)
    stage.wait_for_readings(1)
    stage.bump(10)
    stage.wait_for(lambda: stage.bot.events("notification_postponed"))
    code, reasons = stage.ready()
    assert (code, "slack" in reasons) == (503, True)
    stage.slack.clear_faults()
    stage.wait_for_message()
    stage.slack.wait_for_connection()
    stage.assert_said_once()


def test_the_socket_is_opened_again_after_it_broke(new_stage):
    stage = new_stage(configurations=1)
    stage.start()
    stage.slack.wait_for_connection()
    stage.slack.cut_connections()
    stage.wait_for(lambda: stage.slack.connections == 0 or len(stage.slack.calls_of("apps.connections.open")) > 2)
    stage.slack.wait_for_connection()
    assert "acme" in stage.command("status")


def test_a_channel_that_hangs_delays_no_other(new_stage):
    stage = new_stage(window="60s")
    stage.config["routes"] = [
        {"match": {"ai_llm": "llm-8"}, "channel": "#leads", "group_wait": "0s"},
        {"group_wait": "0s", "group_by": ["ai_llm"]},
    ]
    held = stage.slack.fault(FaultKind.HOLD, POST, channel="#leads", times=None)
    stage.start()
    stage.bump(10, "llm-8")
    stage.wait_for(lambda: held.hits)
    stage.bump(10)
    stage.wait_for_message(5)  # the other call is given up after ten
    stage.click("acknowledge", "U2")
    stage.wait_for_word("Acknowledged")
    assert stage.slack.messages("#leads") == []
