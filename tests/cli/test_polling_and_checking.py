"""One cycle for cron, a run that only prints, and the check of everything that the bot depends on."""

import io
import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.server import SlackServer
from alertbot.logs import is_for_people
from tests.cli.desk import Desk, Ended, environ, run


def test_a_poll_says_what_came_of_each_source(desk, flashback):
    assert desk.run("poll") == Ended(0, "acme: read\n", "")
    flashback.fail("/ai/llm/stats", 403)
    ended = desk.run("poll")
    assert (ended.code, ended.output) == (1, "acme: failed\n")
    assert ended.mistakes[-1] == "could not be read: acme; see alertbot status"


def test_a_poll_does_not_wait_for_others_that_might_fire(told, slack):
    (first,) = slack.messages("#ai-alerts", replies=False)[:1]
    assert "10 violations" in first.text


def test_a_dry_run_prints_what_it_would_say_and_says_nothing(desk, flashback, slack):
    desk.keys["sources"][0]["interval"] = "1s"
    desk.keys["routes"] = [{"group_wait": "0s"}]
    desk.keys["slack"] = {}
    desk.keys["rules"][0]["where"] = {"ai_llm": ["*", "suport-*"]}
    taken = socket.create_server(("127.0.0.1", 0))
    desk.keys["http"] = {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}  # the port of the bot that runs beside it
    calls = len(slack.calls)
    with running(desk.command("run", "--dry-run")) as process:
        asked = flashback.count("/ai/llm/stats")
        _wait(lambda: flashback.count("/ai/llm/stats") >= asked + 2)
        flashback.world.bump("llm-1", "policy_violations", 10)
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert errors.count('ai_llm \\"suport-*\\" fits none of the 3 LLMs; did you mean support-chat?') == 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d #ai-alerts  posts G1 firing\n", lines[0])
    assert lines[1] == "  A1 warning: 10 violations in 1 h on support-chat (acme), above 5, worst 10 violations\n"
    taken.close()
    assert len(slack.calls) == calls
    assert not (desk.folder / "alertbot.db").exists()


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test, however that ends."""
    process = subprocess.Popen(command, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait(predicate: Callable[[], bool], seconds: float = 120.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if predicate():
            return
        pause.wait(0.05)
    raise AssertionError(f"not true within {seconds:g} s")


def test_check_says_what_it_read(desk):
    assert desk.run("check").code == 0
    assert desk.run("check") == Ended(0, f"ok    {desk.path}: 1 source, 1 rule, 1 route\n", "")
    desk.keys["routes"] = [{"match": {"rule": "x"}}]
    assert "1 source, 1 rule, 2 routes" in desk.run("check").output


def test_check_names_slack_tokens_that_are_missing_without_asking_anybody(desk):
    desk.keys["slack"] = {}
    ended = desk.run("check")
    assert (ended.code, ended.errors) == (1, "")
    assert "fault slack: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN" in ended.output.splitlines()


def test_check_tells_scripts_all_that_it_tells_people(desk, flashback):
    flashback.fail("/ai/llm/stats", 503)
    ended = desk.run("check", "--online", "--json")
    assert (ended.code, ended.errors) == (1, "")
    listed = json.loads(ended.output)
    assert {line["result"] for line in listed} == {"ok", "fault"}
    assert any(line["result"] == "fault" and line["text"].startswith("source acme: ") for line in listed)
    desk.change("rules.0.window", "15")
    mistaken = desk.run("check", "--json")
    assert mistaken.code == 1
    (line,) = json.loads(mistaken.output)
    assert line == {"result": "fault", "text": 'rules[0].window: expected a duration such as 15m, got "15"'}


def test_the_configuration_may_be_named_behind_the_command_too(desk):
    desk.write()
    before, behind = run("--config", str(desk.path), "check"), run("check", "--config", str(desk.path))
    assert before == behind
    assert (behind.code, behind.output) == (0, f"ok    {desk.path}: 1 source, 1 rule, 1 route\n")
    assert run("migrate", "--config", str(desk.path)).code == 0
    assert run("silence", "list", "--config", str(desk.path)).output == "Nothing is silenced.\n"
    assert run("--config", "elsewhere.yaml", "rules", "list", "--config", str(desk.path)).code == 0


def test_check_online_asks_everything(desk):
    ended = desk.run("check", "--online")
    assert (ended.code, ended.errors) == (0, "")
    for line in (
        "ok    source acme: 3 LLMs at",
        "ok    slack.bot_token: Acme",
        "ok    slack.app_token: Socket Mode works",
        "ok    slack: #ai-alerts",
        "ok    slack: #ai-alerts-fallback",
    ):
        assert line in ended.output
    assert "/alertbot.db: does not exist yet; alertbot run creates it" in ended.output


def test_check_online_names_a_glob_that_fits_no_llm(desk):
    desk.keys["rules"][0]["where"] = {"ai_llm": ["suport-*", "llm-1"], "provider": "*"}
    desk.keys["prices"] = [{"match": {"provider": "nobody"}, "usd_per_million_in": 1, "usd_per_million_out": 1}]
    ended = desk.run("check", "--online")
    assert (ended.code, ended.errors) == (0, "")
    assert [line for line in ended.output.splitlines() if line.startswith("note  rule") or "prices" in line] == [
        'note  rule burst: where: ai_llm "suport-*" fits none of the 3 LLMs; did you mean support-chat?',
        'note  prices[0].match: provider "nobody" fits none of the 3 LLMs',
    ]


Befalls = Callable[[Desk, FlashbackServer, SlackServer], Any]
FAULTS: dict[str, tuple[Befalls, Mapping[str, Any], list[str]]] = {
    "a source that is down": (
        lambda _d, flashback, _s: flashback.fail("/ai/llm/stats", 503),
        {},
        ["fault source acme: "],
    ),
    "a source that lacks an endpoint": (
        lambda _d, flashback, _s: flashback.fail("/ai/llm/stats", 404),
        {},
        ["fault source acme: /ai/llm/stats is missing (404)"],
    ),
    "a token that the source refuses": (
        lambda _d, _f, _s: None,
        {"sources.0.access_token": "wrong"},
        ["fault source acme: "],
    ),
    "a bot token that slack refuses": (
        lambda _d, _f, _s: None,
        {"slack.bot_token": "xoxb-wrong"},
        ["fault slack.bot_token: ", "invalid_auth"],
    ),
    "an app token that slack refuses": (
        lambda _d, _f, _s: None,
        {"slack.app_token": "xapp-wrong"},
        ["fault slack.app_token: ", "invalid_auth", "ok    slack: #ai-alerts"],
    ),
    "no tokens": (lambda _d, _f, _s: None, {"slack": {}}, ["fault slack: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN"]),
    "a channel that does not exist": (
        lambda _d, _f, _s: None,
        {"slack.channel": "#nowhere"},
        ["fault slack: there is no channel #nowhere"],
    ),
    "a slack that is down": (
        lambda _d, _f, slack: slack.fault(FaultKind.SERVER_ERROR, "*", times=None),
        {},
        ["fault slack.bot_token: "],
    ),
    "a database that is something else": (
        lambda desk, _f, _s: desk.use_no_database(),
        {},
        ["fault database sqlite:", "ok    source acme", "ok    slack.bot_token"],
    ),
    "a database of another release": (
        lambda desk, _f, _s: desk.use_newer_database(),
        {},
        ["fault database sqlite:", "9999"],
    ),
}


@pytest.mark.parametrize(("befalls", "changes", "told_of"), FAULTS.values(), ids=FAULTS.keys())
def test_check_online_names_what_is_wrong_and_goes_on(desk, flashback, slack, befalls, changes, told_of):
    befalls(desk, flashback, slack)
    for path, value in changes.items():
        desk.change(path, value)
    ended = desk.run("check", "--online")
    assert ended.code == 1
    assert ended.errors == ""
    for part in told_of:
        assert part in ended.output


def test_check_online_names_scopes_that_are_missing_and_channels_that_cannot_be_written_to(desk, slack):
    every = slack.installation.scopes
    slack.grant_scopes(every - {"chat:write.public", "channels:history"})
    slack.remove_bot("#ai-alerts")
    try:
        ended = desk.run("check", "--online")
    finally:
        slack.grant_scopes(every)
        slack.invite_bot("#ai-alerts")
    assert ended.code == 1
    assert "fault slack.bot_token: scopes are missing: channels:history" in ended.output
    assert "fault slack: #ai-alerts: the bot is not a member" in ended.output
    assert "ok    slack: #ai-alerts-fallback" in ended.output


def test_migrate_says_where_the_schema_is(desk):
    first, second = desk.run("migrate"), desk.run("migrate")
    assert first.code == second.code == 0
    assert first.output == second.output
    assert re.search(r"alertbot\.db is at \d{4}\n$", first.output)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("console", re.compile(r"connected to Acme as @alertbot, 3 LLMs, type /alertbot")),
        (None, re.compile(r'\{.*"event": "connected".*\}')),  # this is no terminal
    ],
)
def test_a_start_says_once_what_it_is_connected_to_and_its_notes_are_in_the_log(desk, form, line):
    desk.keys["log"] = {} if form is None else {"format": form}
    desk.keys["slack"]["signing_secret"] = "not-needed"
    process = subprocess.Popen(desk.command("run"), env=environ(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = []
    for written in process.stderr:
        told.append(written.rstrip())
        if line.fullmatch(told[-1]):
            break
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert not any(line.fullmatch(later) for later in rest.splitlines())
    (note,) = [each for each in told if "signing_secret is not used" in each]
    if form is None:
        assert json.loads(note)["event"] == "configuration_note"
        connected = json.loads(told[-1])
        assert (connected["team"], connected["name"], connected["llms"]) == ("Acme", "alertbot", 3)


def test_without_a_word_the_log_is_for_people_on_a_terminal_and_for_machines_elsewhere():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    cases = [(None, Terminal(), True), (None, io.StringIO(), False), ("json", Terminal(), False)]
    for form, stream, people in (*cases, ("console", io.StringIO(), True)):
        assert is_for_people(form, stream=stream) is people
