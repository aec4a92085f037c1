"""A folder with a configuration, and commands that are run in it: in this process, or as processes of their own."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from click.testing import CliRunner

from alertbot.cli import main
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.slack.server import SlackServer

OURS = ("SLACK_", "ALERTBOT_", "FLASHBACK_")  # variables that would configure a command
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


def environ(**more: str) -> dict[str, str]:
    """The surroundings of a process, without what would configure it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **more}


def run(*arguments: str, **variables: str) -> Ended:
    """Run a command in this process."""
    result = CliRunner().invoke(main, arguments, env=variables)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback would have reached the user
    return Ended(result.exit_code, result.stdout, result.stderr)


class Desk:
    """A folder with a configuration, between the simulated Flashback and the Slack look-alike."""

    def __init__(self, folder: Path, flashback: FlashbackServer, slack: SlackServer) -> None:
        self.folder = folder
        source = {"name": "acme", "base_url": flashback.url, "access_token": flashback.token, "timeout": "1s"}
        self.keys: dict[str, Any] = {
            "database": {"url": f"sqlite:///{folder / 'alertbot.db'}"},
            "sources": [source | {"collect": ["llm_stats", "evidence"]}],
            "slack": {"bot_token": slack.bot_token, "app_token": slack.app_token, "api_url": slack.api_url},
            "rules": [{"name": "burst", "metric": "policy_violations", "window": "1h", "above": {"warning": 5}}],
            "http": {"listen": "127.0.0.1:0"},
        }

    @property
    def path(self) -> Path:
        return self.folder / "config.yaml"

    def write(self) -> None:
        self.path.write_text(yaml.safe_dump(self.keys, sort_keys=False), encoding="utf-8")

    def change(self, path: str, value: Any) -> None:
        """Set a key; None takes it away."""
        *sections, key = path.split(".")
        keys: Any = self.keys
        for section in sections:
            keys = keys[int(section) if section.isdigit() else section]
        if value is None:
            del keys[key]
        else:
            keys[key] = value

    def run(self, *arguments: str) -> Ended:
        """Run a command in this process."""
        self.write()
        return run("--config", str(self.path), *arguments)

    def json(self, *arguments: str) -> Any:
        ended = self.run(*arguments, "--json")
        assert ended.code == 0, ended.errors
        return json.loads(ended.output)

    def command(self, *arguments: str) -> list[str]:
        """The command as a process would be started with it."""
        self.write()
        return [sys.executable, "-u", "-m", "alertbot", "--config", str(self.path), *arguments]

    def spawn(self, *arguments: str) -> Ended:
        """Run a command as a process of its own, to its end."""
        done = subprocess.run(
            self.command(*arguments), env=environ(), capture_output=True, text=True, timeout=60, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    # --- what may be wrong with it

    def use_newer_database(self) -> None:
        assert self.run("migrate").code == 0
        engine = sa.create_engine(self.keys["database"]["url"])
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        engine.dispose()

    def use_empty_database(self) -> None:
        (self.folder / "alertbot.db").touch()

    def use_no_database(self) -> None:
        text = "this is not a database, however long it is\n" * 100
        (self.folder / "alertbot.db").write_text(text, encoding="utf-8")

    def use_no_postgres(self) -> None:
        self.keys["database"]["url"] = f"postgresql://alertbot:hush@127.0.0.1:{closed_port()}/alertbot"


def closed_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])
