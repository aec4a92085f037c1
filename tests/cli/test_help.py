"""Help and version answer at once, and wrong use is told from what did not work."""

import subprocess
import sys

import pytest

from alertbot import __version__
from alertbot.cli import main
from tests.cli.desk import Ended, environ, run

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
        [sys.executable, "-c", script], env=environ(), capture_output=True, text=True, timeout=60, check=True
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


def test_a_reader_that_goes_away_is_no_failure(desk):
    desk.write()
    done = subprocess.run(
        f'"{sys.executable}" -m alertbot --config "{desk.path}" config schema | head -1',
        shell=True,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""
