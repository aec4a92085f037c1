"""Commands use the tokens that are stored, use none up where its successor would be lost, and tell what does not fit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.demo.slack.server import SlackServer
from tests.cli.desk import Desk

REFRESH = "/user/refresh"
READ = "ok    source acme: 1 LLM"


@pytest.fixture
def own_flashback() -> Iterator[FlashbackServer]:
    """One whose first refresh token was not used yet."""
    now = datetime.now(UTC)
    with FlashbackServer(World.still(["llm-1"], start=now), clock=lambda: datetime.now(UTC)) as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, own_flashback: FlashbackServer, slack: SlackServer) -> Desk:
    """A desk whose source has a refresh token only."""
    desk = Desk(tmp_path, own_flashback, slack)
    give(desk, refresh_token=own_flashback.refresh_token)
    return desk


def give(desk: Desk, **credentials: str) -> None:
    source = desk.keys["sources"][0]
    for name in ("access_token", "refresh_token", "email", "password"):
        source.pop(name, None)
    source |= credentials


def test_a_check_uses_the_stored_tokens_and_none_before_there_is_a_place_for_its_successor(desk, own_flashback):
    ended = desk.run("check", "--online")
    assert "source acme: refresh_token is not tried until there is a database to store its successor" in ended.output
    assert own_flashback.count(REFRESH) == 0
    assert desk.run("migrate").code == 0
    for _ in range(2):
        assert READ in desk.run("check", "--online").output
    assert desk.run("poll").code == 0
    assert own_flashback.count(REFRESH) == 1


def test_a_check_tells_a_refusal_and_tries_again_each_time(desk, own_flashback):
    assert desk.run("migrate").code == 0
    own_flashback.fail(REFRESH, 401, times=1)
    told = "fault source acme: the refresh token is wrong, was used before or has expired (401)"
    assert told in desk.run("check", "--online").output
    assert READ in desk.run("check", "--online").output


def test_a_login_is_checked_without_a_database_too(desk, own_flashback):
    give(desk, email=own_flashback.email, password=own_flashback.password)
    assert READ in desk.run("check", "--online").output
    give(desk, email=own_flashback.email, password="guessed wrongly")
    assert "fault source acme: email or password is wrong (401)" in desk.run("check", "--online").output


@pytest.mark.parametrize("command", [("run",), ("poll",), ("check", "--online")], ids=" ".join)
def test_a_key_that_does_not_fit_is_one_line_and_uses_nothing_up(desk, own_flashback, command):
    desk.change("database.key", "the key of this test")
    assert desk.run("poll").code == 0
    assert not (desk.folder / "alertbot.db.key").exists()
    desk.change("database.key", "another key altogether")
    # The lock on the database goes with the process.
    ended = desk.spawn(*command) if command == ("run",) else desk.run(*command)
    assert ended.code == 1
    (line,) = [line for line in (ended.output + ended.errors).splitlines() if "database.key" in line]
    assert "database.key: the tokens of acme were stored with another key" in line
    assert "Traceback" not in ended.errors
    desk.change("database.key", "the key of this test")
    assert desk.run("poll").code == 0
    assert own_flashback.count(REFRESH) == 1


def test_a_source_with_an_access_token_only_needs_no_key(desk, own_flashback):
    give(desk, access_token=own_flashback.token)
    assert desk.run("poll").code == 0
    assert not (desk.folder / "alertbot.db.key").exists()
