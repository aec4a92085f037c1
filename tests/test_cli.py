"""The command line: what it prints, how it ends, and one line for each mistake of its user."""

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
import yaml
from click.testing import CliRunner

from alertbot import __version__
from alertbot.cli import main
from alertbot.demo.facts import Configuration
from alertbot.demo.flashback import FlashbackServer
from alertbot.demo.slack import SlackServer
from alertbot.demo.slack_faults import FaultKind
from alertbot.demo.traffic import World
from alertbot.domain.rules import SUMS

pytestmark = pytest.mark.xdist_group("cli")
LONG = "a-configuration-with-a-very-long-name-that-no-narrow-terminal-can-show-in-one-line"


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def mistakes(self) -> list[str]:
        return self.errors.splitlines()


class Desk:
    """A folder with a configuration, between the simulated Flashback and the Slack look-alike."""

    def __init__(self, folder: Path, keys: dict[str, Any]) -> None:
        self.folder = folder
        self.keys = keys

    @property
    def path(self) -> Path:
        return self.folder / "config.yaml"

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.keys, sort_keys=False), encoding="utf-8")

    def run(self, *arguments: str, **environ: str) -> Ended:
        """Run a command in this process."""
        self.write()
        return run("--config", str(self.path), *arguments, **environ)

    def json(self, *arguments: str) -> Any:
        ended = self.run(*arguments, "--json")
        assert ended.code == 0, ended.errors
        return json.loads(ended.output)

    def spawn(self, *arguments: str) -> Ended:
        """Run a command as a process of its own, to its end."""
        self.write()
        done = subprocess.run(
            [sys.executable, "-m", "alertbot", "--config", str(self.path), *arguments],
            env=_environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def run(*arguments: str, **environ: str) -> Ended:
    result = CliRunner().invoke(main, arguments, env=environ)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback would have reached the user
    return Ended(result.exit_code, result.stdout, result.stderr)


def _environ(**more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "ALERTBOT_", "FLASHBACK_"))
    }
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[1]), **more}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands configure the log of their process; and nothing of the surroundings may configure them."""
    for name in os.environ:
        if name.startswith(("SLACK_", "ALERTBOT_", "FLASHBACK_")):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def flashback() -> Iterator[FlashbackServer]:
    names = [
        Configuration("llm-1", "support-chat"),
        Configuration("llm-2", LONG),
        Configuration("llm-3", "[red]x\x1b[31m\u202e"),
    ]
    world = World.still(names, start=datetime.now(UTC) - timedelta(hours=1))
    with FlashbackServer(world, clock=lambda: datetime.now(UTC)) as server:
        yield server


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    with SlackServer(page=False) as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, flashback: FlashbackServer, slack: SlackServer) -> Iterator[Desk]:
    yield Desk(tmp_path, _keys(tmp_path, flashback, slack))
    flashback.clear()
    slack.clear_faults()
    slack.restore_token()


def _keys(folder: Path, flashback: FlashbackServer, slack: SlackServer) -> dict[str, Any]:
    return {
        "database": {"url": f"sqlite:///{folder / 'alertbot.db'}"},
        "sources": [{"name": "acme", "base_url": flashback.url, "access_token": flashback.token, "timeout": "1s"}],
        "slack": {"bot_token": slack.bot_token, "app_token": slack.app_token, "api_url": slack.api_url},
        "rules": [{"name": "burst", "metric": "policy_violations", "window": "1h", "above": {"warning": 5}}],
        "http": {"listen": "127.0.0.1:0"},
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, flashback: FlashbackServer, slack: SlackServer) -> Path:
    """A database with an alert that was told: A1 of G1, ten violations of support-chat."""
    folder = tmp_path_factory.mktemp("told")
    desk = Desk(folder, _keys(folder, flashback, slack))
    desk.keys["routes"] = [{"group_wait": "0s"}]
    assert desk.run("poll").code == 0
    flashback.world.bump("llm-1", "policy_violations", 10)
    assert desk.run("poll").code == 0
    return folder / "alertbot.db"


@pytest.fixture
def firing(desk: Desk, told: Path) -> Desk:
    """A desk whose database has the alert."""
    shutil.copyfile(told, desk.folder / "alertbot.db")
    return desk


# --- help and version


HEAVY = (
    "sqlalchemy",
    "slack_sdk",
    "slack_bolt",
    "httpx",
    "pydantic",
    "yaml",
    "rich",
    "aiohttp",
    "alembic",
    "structlog",
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["nonsense"]], ids=" ".join)
def test_help_and_version_load_nothing_heavy(arguments):
    script = (
        "import sys\nfrom alertbot.cli import main\n"
        f"try: main({arguments})\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=_environ(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_that_of_the_package():
    assert run("--version") == Ended(0, f"alertbot, version {__version__}\n", "")


def test_every_command_says_what_it_is_for():
    listed = run("--help")
    assert listed.code == 0
    for name, command in main.commands.items():
        assert name in listed.output
        assert command.get_short_help_str(), name
        assert run(name, "--help").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--only", "half"],
        ["ack"],
        ["snooze", "A1", "soon"],
        ["snooze", "A1", "2d"],
        ["stats", "--window", "x"],
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2(arguments):
    ended = run(*arguments)
    assert (ended.code, ended.output) == (2, "")
    assert "Error: " in ended.errors


# --- mistakes


def _closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


def _newer(desk: Desk) -> None:
    assert desk.run("migrate").code == 0
    engine = sa.create_engine(desk.keys["database"]["url"])
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()


def _no_database(desk: Desk) -> None:
    (desk.folder / "alertbot.db").write_text("this is not a database, however long it is\n" * 100, encoding="utf-8")


def _changed(path: str, value: Any) -> Callable[[Desk], None]:
    """Set a key; `None` takes it away."""

    def change(desk: Desk) -> None:
        *sections, key = path.split(".")
        keys: Any = desk.keys
        for section in sections:
            keys = keys[int(section) if section.isdigit() else section]
        if value is None:
            del keys[key]
        else:
            keys[key] = value

    return change


def _postgres(desk: Desk) -> None:
    desk.keys["database"]["url"] = f"postgresql://alertbot:hush@127.0.0.1:{_closed_port()}/alertbot"


MISTAKES: dict[str, tuple[Callable[[Desk], None], list[str], list[str]]] = {
    "an unknown key": (_changed("rulez", []), ["check"], ["rulez: ", "rules"]),
    "an unknown key in a section": (_changed("slack.chanel", "#x"), ["check"], ["slack.chanel: ", "channel"]),
    "a duration without a unit": (
        _changed("rules.0.window", "15"),
        ["check"],
        ['rules[0].window: expected a duration such as 15m, got "15"'],
    ),
    "a variable that is not set": (
        _changed("slack.bot_token", "${NO_SUCH_VARIABLE}"),
        ["check"],
        ["slack.bot_token: ", "NO_SUCH_VARIABLE"],
    ),
    "no server behind the address of postgres": (_postgres, ["migrate"], ["postgresql", "refused"]),
    "no server behind the address of postgres, for run": (_postgres, ["run"], ["postgresql", "refused"]),
    "no folder for the file": (
        _changed("database.url", "sqlite:///no/such/folder/x.db"),
        ["migrate"],
        ["no/such/folder"],
    ),
    "a file that is something else": (_no_database, ["status"], ["alertbot.db", "not a database"]),
    "a file that is something else, for migrate": (_no_database, ["migrate"], ["alertbot.db", "not a database"]),
    "a database of a newer release": (_newer, ["status"], ["9999", "newer than this release"]),
    "a database of a newer release, for migrate": (_newer, ["migrate"], ["9999", "newer release"]),
    "a database of a newer release, for run": (_newer, ["run"], ["9999", "newer release"]),
    "an empty database": (lambda _desk: None, ["status"], ["empty", "alertbot migrate"]),
    "an empty database that is not to be migrated": (
        lambda _desk: None,
        ["run", "--no-migrate"],
        ["empty", "alertbot migrate"],
    ),
    "no token of the bot, for poll": (_changed("slack.bot_token", None), ["poll"], ["SLACK_BOT_TOKEN"]),
    "no token of the app": (_changed("slack.app_token", None), ["run"], ["SLACK_APP_TOKEN"]),
    "no signing secret": (_changed("slack.mode", "http"), ["run"], ["SLACK_SIGNING_SECRET"]),
    "no tokens at all": (_changed("slack", {}), ["run"], ["SLACK_BOT_TOKEN and SLACK_APP_TOKEN", "--dry-run"]),
    "no token of the bot for half of it": (_changed("slack", {}), ["run", "--only", "collector"], ["SLACK_BOT_TOKEN"]),
    "no sources": (_changed("sources", []), ["run"], ["sources: ", "FLASHBACK_TOKEN"]),
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


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(desk):
    for path, value in {
        "database.url": "oracle://x",
        "slack.mode": "pigeon",
        "rules.0.window": "15",
        "rulez": 1,
    }.items():
        _changed(path, value)(desk)
    ended = desk.run("check")
    assert ended.code == 1
    assert len(ended.mistakes) == 4


REFUSALS: dict[str, tuple[Callable[[Desk, SlackServer], Any], str]] = {
    "a bot token that slack does not know": (
        lambda desk, _: _changed("slack.bot_token", "xoxb-nobody")(desk),
        "slack.bot_token: Slack refuses it: invalid_auth",
    ),
    "a bot token that was revoked": (
        lambda _, slack: slack.revoke_token(),
        "slack.bot_token: Slack refuses it: token_revoked",
    ),
    "an app token that slack does not know": (
        lambda desk, _: _changed("slack.app_token", "xapp-1-nobody")(desk),
        "slack.app_token: Slack refuses it: invalid_auth",
    ),
}


@pytest.mark.parametrize(("befalls", "told_of"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_token_that_slack_refuses_ends_the_start(desk, slack, befalls, told_of):
    befalls(desk, slack)
    ended = desk.spawn("run")
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


def test_a_reader_that_goes_away_is_no_failure(firing):
    firing.write()
    done = subprocess.run(
        f'"{sys.executable}" -m alertbot --config "{firing.path}" config schema | head -1',
        shell=True,
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


# --- looking up


def _isotime(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None


def test_status_as_json_has_the_shape_that_scripts_rely_on(firing):
    status = firing.json("status")
    (source,) = status.pop("sources")
    assert _isotime(source.pop("last_reading_at"))
    assert source == {"name": "acme", "state": "ok", "configurations": 3}
    assert status == {
        "version": __version__,
        "alerts": {"pending": 0, "firing": 1, "acknowledged": 0},
        "outbox": {"waiting": 0, "oldest_at": None},
        "silences": 0,
        "on_call": {},
    }


def test_alerts_as_json_have_the_shape_that_scripts_rely_on(firing, slack):
    (alert,) = firing.json("alerts")
    assert _isotime(alert.pop("started_at"))
    assert re.fullmatch(r"\d+\.\d{6}", alert.pop("message_ts"))
    assert alert == {
        "id": "A1",
        "group": "G1",
        "rule": "burst",
        "source": "acme",
        "ai_llm": "llm-1",
        "name": "support-chat",
        "series": "acme/llm-1",
        "state": "firing",
        "severity": "warning",
        "value": 10,
        "threshold": 5,
        "unit": "violations",
        "resolved_at": None,
        "acknowledged_by": None,
        "acknowledged_at": None,
        "channel": slack.channel("#ai-alerts").id,
    }
    firing.run("ack", "A1", "--by", "ana")
    (alert,) = firing.json("alerts")
    assert alert["acknowledged_by"] == "ana"
    assert _isotime(alert["acknowledged_at"])


def test_stats_as_json_have_the_shape_that_scripts_rely_on(firing):
    rows = {row["ai_llm"]: row for row in firing.json("stats")}
    assert set(rows) == {"llm-1", "llm-2", "llm-3"}
    row = rows["llm-1"]
    assert set(row) == {"source", "ai_llm", "name", "from", "to", "baseline_at", *SUMS}
    assert all(_isotime(row[name]) for name in ("from", "to", "baseline_at"))
    assert (row["source"], row["name"], row["policy_violations"], row["api_calls"]) == ("acme", "support-chat", 10, 0)
    assert firing.json("stats", "support-*", "--window", "1h")[0]["ai_llm"] == "llm-1"
    assert firing.run("stats", "nobody").mistakes == [
        'no configuration is called "nobody" (a name, an id, or a pattern such as support-*)'
    ]


def test_counts_larger_than_any_float_are_exact_in_json(firing, flashback):
    huge = 2**64 + 1
    flashback.world.set_total("llm-2", "tokens_in", huge)
    assert firing.run("poll").code == 0
    (row,) = firing.json("stats", "llm-2")
    assert row["tokens_in"] == huge


def test_nothing_to_show_is_said_and_is_an_empty_list_for_scripts(desk):
    assert desk.run("migrate").code == 0
    assert desk.run("alerts").output == "Nothing is pending or firing.\n"
    assert desk.run("stats").output == "No configuration was read yet.\n"
    assert (desk.json("alerts"), desk.json("stats")) == ([], [])
    assert "never read" in desk.run("status").output


WIDTHS = {"narrow": 60, "usual": 100, "wide": 200}


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("command", ["status", "stats", "alerts"])
def test_tables_fit_the_terminal_and_lose_no_letter(firing, command, width):
    shown = _in_terminal(firing, command, width)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown.splitlines()]
    assert all(len(line) <= width for line in lines), lines
    if command == "stats":
        first = "".join(line.split("  ")[0].strip() for line in lines)
        assert LONG in first
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown


def _in_terminal(desk: Desk, command: str, width: int) -> str:
    """What a command prints in a terminal of that width."""
    import fcntl
    import pty
    import struct
    import termios

    desk.write()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "alertbot", "--config", str(desk.path), command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={name: value for name, value in _environ(TERM="xterm").items() if name != "COLUMNS"},
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how a terminal says that its other end was closed
        pass
    os.close(ours)
    assert process.wait(30) == 0, shown.decode()
    return shown.decode()


def test_into_a_pipe_nothing_is_folded(firing):
    assert LONG in firing.run("stats").output


# --- acting


def test_an_alert_is_taken_given_back_snoozed_assigned_and_commented(firing, slack):
    for arguments, said in (
        (["ack", "A1", "--by", "ana"], "done"),
        (["ack", "G1", "--by", "ben"], "it was so already"),
        (["unack", "A1", "--by", "ana"], "done"),
        (["unack", "A1", "--by", "ana"], "it was so already"),
        (["snooze", "G1", "2h", "--by", "ana"], "done"),
        (["assign", "A1", "ben", "--by", "ana"], "done"),
        (["comment", "A1", "rolled", "back", "--by", "ana"], "done"),
    ):
        ended = firing.run(*arguments)
        assert ended.output == f"A1 support-chat: {said}\n"
        assert ended.code == (0 if said == "done" else 1)
    before = len(slack.messages("#ai-alerts"))
    assert firing.run("poll").code == 0
    lines = [message.text for message in slack.messages("#ai-alerts")[before:]]
    assert ":speech_balloon: ana: rolled back" in lines
    assert ":speech_balloon: ana assigned it to ben: support-chat" in lines
    assert any(line.startswith(":speech_balloon: ana snoozed it until ") for line in lines)


@pytest.mark.parametrize("wanted", ["A9", "G9", "nonsense", "A", "A1x", "99999999999999999999"])
def test_an_id_that_means_nothing_is_told_so(firing, wanted):
    ended = firing.run("ack", wanted)
    assert ended.code == 1
    assert len(ended.mistakes) == 1
    assert wanted in ended.mistakes[0]


# --- poll, dry run and check


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
    desk.write()
    calls = len(slack.calls)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "alertbot", "--config", str(desk.path), "run", "--dry-run"],
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    asked = flashback.count("/ai/llm/stats")
    _wait(lambda: flashback.count("/ai/llm/stats") >= asked + 2)
    flashback.world.bump("llm-1", "policy_violations", 10)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert re.fullmatch(r"\d\d:\d\d:\d\d #ai-alerts  posts G1 firing\n", lines[0])
    assert lines[1] == "  A1 warning: 10 violations in 1 h on support-chat (acme), above 5, worst 10 violations\n"
    assert len(slack.calls) == calls
    assert not (desk.folder / "alertbot.db").exists()


def _wait(predicate: Callable[[], bool], seconds: float = 20.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if predicate():
            return
        pause.wait(0.05)
    raise AssertionError(f"not true within {seconds:g} s")


def test_check_says_what_it_read(desk):
    assert desk.run("check").code == 0
    assert f"{desk.path}: 1 sources, 1 rules, 1 routes" in desk.run("check").output


def test_check_online_asks_everything(desk):
    ended = desk.run("check", "--online")
    assert (ended.code, ended.errors) == (0, "")
    for line in (
        "ok    source acme: 3 configurations at",
        "ok    slack.bot_token: Acme",
        "ok    slack.app_token: Socket Mode can be opened",
        "ok    slack: #ai-alerts",
        "ok    slack: #ai-alerts-fallback",
    ):
        assert line in ended.output
    assert "empty; alertbot run or alertbot migrate makes its schema" in ended.output


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
        lambda desk, _f, _s: _no_database(desk),
        {},
        ["fault database sqlite:", "ok    source acme", "ok    slack.bot_token"],
    ),
    "a database of another release": (lambda desk, _f, _s: _newer(desk), {}, ["fault database sqlite:", "9999"]),
}


@pytest.mark.parametrize(("befalls", "changes", "told_of"), FAULTS.values(), ids=FAULTS.keys())
def test_check_online_names_what_is_wrong_and_goes_on(desk, flashback, slack, befalls, changes, told_of):
    befalls(desk, flashback, slack)
    for path, value in changes.items():
        _changed(path, value)(desk)
    ended = desk.run("check", "--online")
    assert ended.code == 1
    for part in told_of:
        assert part in ended.output + ended.errors


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
    assert "fault slack.bot_token: scopes are missing: channels:history" in ended.errors
    assert "fault slack: #ai-alerts: the bot is not a member" in ended.errors
    assert "ok    slack: #ai-alerts-fallback" in ended.output


def test_migrate_says_where_the_schema_is(desk):
    first, second = desk.run("migrate"), desk.run("migrate")
    assert first.code == second.code == 0
    assert first.output == second.output
    assert re.search(r"alertbot\.db is at \d{4}\n$", first.output)
