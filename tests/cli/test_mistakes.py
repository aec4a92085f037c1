"""Each mistake of a user is told in one line, without a traceback, and the command ends with 1."""

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from alertbot.demo.slack.server import SlackServer
from tests.cli.desk import Desk, run


def changed(path: str, value: Any) -> Callable[[Desk], None]:
    """A desk with one key set otherwise; None takes it away."""
    return lambda desk: desk.change(path, value)


MISTAKES: dict[str, tuple[Callable[[Desk], None], list[str], list[str]]] = {
    "an unknown key": (changed("rulez", []), ["check"], ["rulez: ", "rules"]),
    "an unknown key in a section": (changed("slack.chanel", "#x"), ["check"], ["slack.chanel: ", "channel"]),
    "a duration without a unit": (
        changed("rules.0.window", "15"),
        ["check"],
        ['rules[0].window: expected a duration such as 15m, got "15"'],
    ),
    "a variable that is not set": (
        changed("slack.bot_token", "${NO_SUCH_VARIABLE}"),
        ["check"],
        ["slack.bot_token: ", "NO_SUCH_VARIABLE"],
    ),
    "no server behind the address of postgres": (Desk.use_no_postgres, ["migrate"], ["postgresql", "refused"]),
    "no server behind the address of postgres, for run": (Desk.use_no_postgres, ["run"], ["postgresql", "refused"]),
    "no folder for the file": (
        changed("database.url", "sqlite:///no/such/folder/x.db"),
        ["migrate"],
        ["no/such/folder"],
    ),
    "a file that is something else": (Desk.use_no_database, ["status"], ["alertbot.db", "not a database"]),
    "a file that is something else, for migrate": (
        Desk.use_no_database,
        ["migrate"],
        ["alertbot.db", "not a database"],
    ),
    "a database of a newer release": (Desk.use_newer_database, ["status"], ["9999", "newer than this release"]),
    "a database of a newer release, for migrate": (Desk.use_newer_database, ["migrate"], ["9999", "newer release"]),
    "a database of a newer release, for run": (Desk.use_newer_database, ["run"], ["9999", "newer release"]),
    "no database": (
        lambda _desk: None,
        ["status"],
        ["no database", "/alertbot.db yet", "alertbot run", "/config.yaml"],
    ),
    "an empty database": (Desk.use_empty_database, ["status"], ["empty", "alertbot migrate", "/config.yaml"]),
    "an empty database that is not to be migrated": (
        Desk.use_empty_database,
        ["run", "--no-migrate"],
        ["empty", "alertbot migrate"],
    ),
    "no token of the bot, for poll": (changed("slack.bot_token", None), ["poll"], ["SLACK_BOT_TOKEN"]),
    "no token of the app": (changed("slack.app_token", None), ["run"], ["SLACK_APP_TOKEN"]),
    "no signing secret": (changed("slack.mode", "http"), ["run"], ["SLACK_SIGNING_SECRET"]),
    "no tokens at all": (changed("slack", {}), ["run"], ["SLACK_BOT_TOKEN and SLACK_APP_TOKEN", "--dry-run"]),
    "no token of the bot for half of it": (changed("slack", {}), ["run", "--only", "collector"], ["SLACK_BOT_TOKEN"]),
    "no sources": (changed("sources", []), ["run"], ["sources: ", "FLASHBACK_TOKEN"]),
    "no such configuration": (lambda _desk: None, ["--config", "nowhere.yaml", "status"], ["nowhere.yaml"]),
    "no such scenario": (lambda _desk: None, ["demo", "--scenario", "nonsense"], ["nonsense", "burst"]),
}


@pytest.mark.parametrize(("change", "arguments", "told_of"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_in_one_line_and_ends_with_1(desk, change, arguments, told_of):
    change(desk)
    ended = desk.run(*arguments)
    assert ended.code == 1
    (mistake,) = [line for line in ended.mistakes if not line.startswith("{")]
    for part in told_of:
        assert part in mistake
    assert "Traceback" not in ended.errors
    assert "hush" not in ended.errors


LOOK_UPS = [
    ["status"],
    ["stats"],
    ["top"],
    ["violations"],
    ["spend"],
    ["budget"],
    ["alerts"],
    ["why", "violation-burst"],
    ["rules", "list"],
    ["rules", "history"],
    ["rules", "delete", "x", "--by", "ana"],
    ["silence", "list"],
    ["silence", "end", "1", "--by", "ana"],
    ["silence", "add", "all", "1h", "--by", "ana"],
    ["ack", "A1", "--by", "ana"],
]


@pytest.mark.parametrize("command", LOOK_UPS, ids=" ".join)
def test_a_look_up_in_the_wrong_folder_makes_no_database_and_names_what_it_looked_for(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    ended = run(*command)
    assert (ended.code, ended.output) == (1, "")
    (told,) = ended.mistakes
    assert told == (
        f"there is no database {tmp_path}/alertbot.db yet; `alertbot run` makes it "
        f"(no configuration file, as there is no {tmp_path}/config.yaml)"
    )
    assert list(tmp_path.iterdir()) == []


def test_checks_and_starts_without_migrations_make_no_database_either(desk):
    for command in (["check", "--online"], ["run", "--no-migrate"]):
        desk.run(*command)
        assert not (desk.folder / "alertbot.db").exists()


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(desk):
    for path, value in {
        "database.url": "oracle://x",
        "slack.mode": "pigeon",
        "rules.0.window": "15",
        "rulez": 1,
    }.items():
        desk.change(path, value)
    ended = desk.run("check")
    assert ended.code == 1
    assert len(ended.mistakes) == 4


REFUSALS: dict[str, tuple[Callable[[Desk, SlackServer], Any], str]] = {
    "a bot token that slack does not know": (
        lambda desk, _: desk.change("slack.bot_token", "xoxb-nobody"),
        "slack.bot_token: Slack refuses it: invalid_auth",
    ),
    "a bot token that was revoked": (
        lambda _, slack: slack.revoke_token(),
        "slack.bot_token: Slack refuses it: token_revoked",
    ),
    "an app token that slack does not know": (
        lambda desk, _: desk.change("slack.app_token", "xapp-1-nobody"),
        "slack.app_token: Slack refuses it: invalid_auth",
    ),
}


@pytest.mark.parametrize(("befalls", "told_of"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_token_that_slack_refuses_ends_the_start(desk, slack, befalls, told_of):
    befalls(desk, slack)
    ended = desk.run("run")
    assert (ended.code, ended.output) == (1, "")
    assert ended.mistakes[-1] == told_of
    assert "Traceback" not in ended.errors


def test_an_address_that_is_in_use_ends_the_start(desk):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        desk.keys["http"]["listen"] = address
        ended = desk.spawn("run")
    assert ended.code == 1
    assert f"http.listen: cannot listen on {address}: " in ended.errors
    assert "Traceback" not in ended.errors
