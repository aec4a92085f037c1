"""When the bot cannot see or cannot speak: told once, by the way that still works, shown to machines, and taken back."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.transcript import plain_text
from tests.end_to_end.chaos import Watcher, away, held_up, url_of
from tests.end_to_end.stage import CHANNEL, Stage

OPERATORS = "#leads"
STATS = "/ai/llm/stats"


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.close()


@pytest.fixture
def attended(new_stage: Callable[..., Stage], watcher: Watcher) -> Stage:
    """A stage with operators, a webhook to them and a heartbeat, where nobody waits long to be told."""
    stage = new_stage(window="60s", configurations=10)
    stage.config["sources"][0] |= {"blind_after": "3s", "timeout": "1s"}
    stage.config["slack"] |= {"operator_channel": OPERATORS, "operator_webhook": stage.slack.webhook_url}
    stage.config["heartbeat"] = {"url": watcher.url}
    return stage


def told(stage: Stage, channel: str = OPERATORS) -> list[str]:
    return [plain_text(message) for message in stage.slack.messages(channel, replies=False)]


def alarms(stage: Stage) -> list[str]:
    return [message.text for message in stage.slack.webhook_messages]


def reasons(stage: Stage) -> dict[str, str]:
    code, body = stage.ready()
    found: dict[str, str] = json.loads(body)["reasons"] if body else {"http": "no answer in time"}
    assert (code == 200) == (not found), body
    return found


def wait_for_reason(stage: Stage, name: str, *words: str) -> None:
    """Until /readyz names what is wrong, in one of these words."""
    stage.wait_for(lambda: any(word in reasons(stage).get(name, "") for word in words))


def measured(stage: Stage, name: str) -> float:
    """A metric's value; -1 where there is none."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", stage.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else -1.0


def pings_stop(stage: Stage, watcher: Watcher) -> bool:
    """Whether no ping comes any more, though the source is still asked; that of the last whole cycle may still be on its way."""
    stage.wait_for_readings(2)
    pings = watcher.pings
    stage.wait_for_readings(2)
    return watcher.pings == pings


def test_a_source_that_is_down_or_refuses_the_token_is_told_once_and_taken_back(attended, watcher):
    stage = attended
    stage.start()
    stage.wait_for(lambda: watcher.pings)
    stage.flashback.fail(STATS, 401, body={"success": False, "message": "Invalid or expired token"})
    message = stage.wait_for_message()
    assert "acme" in message.text
    assert "the access token is wrong or has expired (401)" in plain_text(message)
    wait_for_reason(stage, "source acme", "the access token is wrong or has expired (401)")
    assert measured(stage, 'alertbot_reading_age_seconds{source="acme"}') >= 3
    stage.wait_for(lambda: measured(stage, 'alertbot_polls_total{outcome="failed",source="acme"}') >= 3)
    assert pings_stop(stage, watcher)
    stage.flashback.fail(f"{STATS}*", 503)
    stage.flashback.clear(STATS)  # mended, and down, without a good answer in between: still one blindness
    stage.wait_for_readings(2)
    stage.flashback.clear()
    stage.wait_for_word("Resolved")
    pings = watcher.pings
    stage.wait_for(lambda: watcher.pings > pings)
    stage.wait_for(lambda: not reasons(stage))
    stage.wait_for(lambda: len(stage.thread()) == 1)
    stage.assert_said_once()
    assert alarms(stage) == []


def test_a_source_that_lets_every_poll_wait_for_long_is_blind_as_well(attended):
    stage = attended
    stage.config["sources"][0] |= {"timeout": "10s"}  # a poll takes longer than three intervals
    stage.start()
    stage.flashback.delay(STATS, 30)
    assert "acme" in stage.wait_for_message().text
    stage.flashback.clear()


def test_a_refused_token_is_told_by_the_webhook_though_there_is_nothing_to_say(attended, watcher):
    stage = attended
    stage.start()
    stage.wait_for(lambda: watcher.pings)
    stage.slack.revoke_token()
    stage.wait_for(lambda: alarms(stage))
    wait_for_reason(stage, "slack", "token_revoked", "refused")
    assert measured(stage, 'alertbot_slack_calls_total{method="auth.test",outcome="token_revoked"}') >= 1
    stage.bump(10)
    stage.wait_for(lambda: measured(stage, "alertbot_outbox_depth") >= 1)
    assert pings_stop(stage, watcher), "what cannot be sent is not drained"
    stage.slack.restore_token()
    stage.wait_for_message()
    stage.wait_for(lambda: told(stage))
    stage.wait_for(lambda: not reasons(stage))
    pings = watcher.pings
    stage.wait_for(lambda: watcher.pings > pings)
    assert told(stage) == [":wrench: Slack takes the bot's calls again; what waited is being sent."]
    (alarm,) = alarms(stage)
    assert "Slack refuses the bot (token_revoked)" in alarm
    assert stage.slack.messages(CHANNEL, replies=False) == [stage.posted()]


def test_a_slack_that_cannot_be_reached_is_told_by_the_webhook_and_taken_back(attended, watcher):
    stage = attended
    stage.start()
    # The webhook may be another way: its own host, its own proxy.
    away = [
        stage.slack.fault(FaultKind.REFUSED, method, times=None)
        for method in ("auth.test", "chat.postMessage", "chat.update", "apps.connections.open")
    ]
    stage.wait_for(lambda: alarms(stage))
    wait_for_reason(stage, "slack", "not reached")
    assert measured(stage, 'alertbot_slack_calls_total{method="auth.test",outcome="no_answer"}') >= 1
    stage.bump(10)
    stage.wait_for(lambda: stage.bot.events("notification_postponed"))
    assert pings_stop(stage, watcher)
    for fault in away:
        stage.slack.clear_faults(fault)
    stage.wait_for_message()
    stage.wait_for(lambda: told(stage))
    stage.wait_for(lambda: not reasons(stage))
    (alarm,), (taken_back,) = alarms(stage), told(stage)
    assert re.search(r"Slack cannot be reached since \d\d:\d\d UTC \(no_answer\)", alarm)
    assert re.search(r"Slack could not be reached from \d\d:\d\d UTC to \d\d:\d\d UTC", taken_back)


def test_a_poller_that_stalls_and_a_database_that_is_gone_are_told_and_taken_back(attended, postgres, postgres_server):
    stage = attended
    stage.config["database"]["url"] = url_of(postgres)
    # Longer than three intervals: who is not polled for so long is not watched, and nobody calls the source blind.
    stage.config["sources"][0]["blind_after"] = "4s"
    stage.start()
    # Every poll waits for this row; the rest of the bot is at work.
    with held_up(stage, postgres, "SELECT * FROM sources FOR UPDATE"):
        stage.wait_for(lambda: told(stage))
        assert "acme has not been polled since" in told(stage)[0]
        wait_for_reason(stage, "source acme", "last read at")
    stage.wait_for(lambda: len(told(stage)) == 2)
    assert "acme is polled again" in told(stage)[1]
    stage.wait_for(lambda: not reasons(stage))
    with away(postgres_server, postgres):
        stage.wait_for(lambda: alarms(stage))
        assert (
            "The database cannot be used: nothing is read and no notification is sent until it can" in alarms(stage)[0]
        )
        wait_for_reason(stage, "database", "the database is not available", "no answer")
        stage.wait_for(lambda: stage.get("/metrics")[0] == 503)
    stage.wait_for(lambda: len(told(stage)) == 3)
    assert "The database can be used again" in told(stage)[2]
    stage.wait_for(lambda: not reasons(stage))
    assert len(alarms(stage)) == 1
    assert stage.posted() is None
    assert "Traceback" not in stage.bot.errors
