"""Access that is exchanged while the bot runs: once, over kills and replicas, and told when it cannot be."""

import stat
from collections.abc import Callable

import pytest

from alertbot.demo.slack.transcript import plain_text
from tests.end_to_end.chaos import url_of
from tests.end_to_end.stage import Process, Stage

OPERATORS = "#leads"
LOGIN, REFRESH, STATS = "/user/login", "/user/refresh", "/ai/llm/stats"


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    """A stage whose source has a refresh token only."""
    stage = new_stage(window="60s", configurations=5)
    stage.config["slack"]["operator_channel"] = OPERATORS
    give(stage, refresh_token=stage.flashback.refresh_token)
    return stage


def give(stage: Stage, **credentials: str) -> None:
    source = stage.config["sources"][0]
    for name in ("access_token", "refresh_token", "email", "password"):
        source.pop(name, None)
    source |= credentials


def told(stage: Stage) -> list[str]:
    return [plain_text(message) for message in stage.slack.messages(OPERATORS, replies=False)]


def issued(stage: Stage) -> set[str]:
    """Every token that was given out and still is one."""
    tokens = stage.flashback._tokens
    return {stage.flashback.refresh_token, *tokens._access, *tokens._refresh}


def expire(stage: Stage) -> None:
    """End every access token, and wait until the bot reads again."""
    stage.flashback.expire_tokens()
    stage.wait_for_readings(3)
    stage.wait_for(lambda: stage.ready()[0] == 200)


def assert_holds_none_of(stage: Stage, secrets: set[str]) -> None:
    written = b"".join(path.read_bytes() for path in stage.folder.iterdir() if path.name != "config.yaml")
    pages = "".join(stage.get(path)[1] for path in ("/metrics", "/readyz"))
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in pages


def test_a_refresh_token_lasts_over_expiry_kill_and_restart_and_a_refusal_is_told_and_taken_back(stage):
    stage.start()
    assert stat.S_IMODE((stage.folder / "alertbot.db.key").stat().st_mode) == 0o600
    secrets = issued(stage)
    expire(stage)
    stage.bot.kill()
    stage.start()
    stage.wait_for_readings(1)
    assert stage.flashback.count(REFRESH) == 2, "the stored token was used, not the used-up one of the configuration"
    expire(stage)
    assert stage.flashback.count(REFRESH) == 3
    assert told(stage) == []

    stage.flashback.fail(REFRESH, 401, body={"success": False, "message": "<!channel> Session was revoked"})
    stage.flashback.expire_tokens()
    stage.wait_for(lambda: told(stage))
    asked = stage.flashback.count(REFRESH)
    assert "was used before or has expired (401)" in stage.wait_for(lambda: failing(stage))
    (message,) = stage.slack.messages(OPERATORS, replies=False)
    assert "<!channel>" not in message.text
    stage.flashback.clear()
    stage.wait_for(lambda: len(told(stage)) == 2)
    assert stage.flashback.count(REFRESH) <= asked + 2
    stage.wait_for(lambda: stage.ready()[0] == 200)
    assert "acme cannot be read now" in told(stage)[0]
    assert "Flashback gives acme access tokens again" in told(stage)[1]
    assert_holds_none_of(stage, secrets | issued(stage))


def failing(stage: Stage) -> str:
    code, body = stage.ready()
    return body if code == 503 else ""


def test_who_is_killed_between_the_answer_and_our_note_of_it_logs_in_where_it_can(stage):
    give(stage, email=stage.flashback.email, password=stage.flashback.password)
    stage.start()
    stage.flashback.drip(REFRESH, 1.0)
    stage.flashback.expire_tokens()
    stage.wait_for(lambda: stage.flashback.count(REFRESH))
    stage.bot.kill()  # the answer is on its way: the refresh token that is stored is used up
    stage.flashback.clear()
    stage.start()
    stage.wait_for(lambda: stage.flashback.count(LOGIN) == 2)
    stage.wait_for_readings(2)
    assert (stage.flashback.count(LOGIN), stage.flashback.count(REFRESH)) == (2, 2)
    assert told(stage) == []
    assert_holds_none_of(stage, issued(stage) | {stage.flashback.password})


def test_processes_on_one_database_exchange_once_and_whoever_is_killed_takes_nothing_with_it(stage, postgres):
    stage.config["database"]["url"] = url_of(postgres)
    one, two = stage.start(), stage.start()
    assert stage.flashback.count(REFRESH) == 1
    for number in (2, 3):
        expire(stage)
        assert stage.flashback.count(REFRESH) == number
    victim = one if one.events("tokens_exchanged") else two
    victim.kill()
    expire(stage)
    assert stage.flashback.count(REFRESH) == 4
    assert told(stage) == []
    assert exchanges(one) + exchanges(two) == 4


def exchanges(process: Process) -> int:
    return len(process.events("tokens_exchanged"))


def test_a_dry_run_uses_no_refresh_token_up(stage):
    give(stage, access_token=stage.flashback.token, refresh_token=stage.flashback.refresh_token)
    process = stage.spawn("run", "--dry-run")
    stage.wait_for_readings(1)
    stage.flashback.expire_tokens()
    stage.wait_for(lambda: process.events("poll_failed"))
    assert process.terminate()[0] == 0
    assert stage.flashback.count(REFRESH) == 0
