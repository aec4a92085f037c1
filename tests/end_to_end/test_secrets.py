"""Whatever goes wrong, no token, no password and no message's body is in the log, on a page or in an error."""

import json

from alertbot.demo.slack.faults import FaultKind

BODY = "very-private-comment"


def test_the_log_holds_no_secret(new_stage):
    stage = new_stage(window="60s")
    stage.config["log"]["level"] = "debug"
    stage.config["routes"] = [{"group_wait": "0s", "group_by": ["ai_llm"]}]
    stage.slack.fault(FaultKind.HTML, "chat.postMessage")
    stage.slack.fault(FaultKind.ERROR, "chat.postMessage", error="invalid_attachments")
    stage.flashback.fail("/ai/llm/stats", 401, times=2)
    stage.start()
    stage.bump(10)
    stage.wait_for_message()
    stage.command(f"comment A1 {BODY}")
    stage.wait_for(lambda: stage.replies(":speech_balloon:"))
    stage.slack.revoke_token()
    stage.bump(10, "llm-8")
    stage.wait_for(lambda: stage.ready()[0] == 503)
    pages = [stage.get(path)[1] for path in ("/metrics", "/readyz", "/healthz")]
    assert stage.bot.terminate()[0] == 0

    seen = "\n".join([stage.bot.errors, stage.bot.output, *pages])
    slack = stage.slack
    for secret in (slack.bot_token, slack.app_token, slack.signing_secret, stage.flashback.token, BODY):
        assert secret not in seen
    assert "xoxb-" not in seen
    assert "xapp-" not in seen
    for line in stage.bot.errors.splitlines():
        if line.startswith("{"):
            assert json.loads(line)["event"]
    assert "Traceback" not in seen
