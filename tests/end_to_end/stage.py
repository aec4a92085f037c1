"""A stage for the whole bot: the simulated Flashback, the Slack look-alike, and `alertbot` as a process of its own.

stage.start()
stage.bump(10)
message = stage.wait_for(stage.posted)
stage.kill()
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

import sqlalchemy as sa
import yaml

from alertbot.demo.flashback.facts import Configuration
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.http import Call
from alertbot.demo.slack.records import Message
from alertbot.demo.slack.server import CHANNELS, SlackServer
from alertbot.demo.slack.transcript import plain_text
from alertbot.store.database import Database
from alertbot.store.tables import channels, outbox

T = TypeVar("T")
CHANNEL = "#ai-alerts"
CONFIGURATIONS = 50
TARGET = "llm-7"  # the configuration that misbehaves; its name is config-7
PATIENCE = 60.0  # seconds that anything may take on a busy machine before a test gives up


class Process:
    """One `alertbot` process, its logs in files."""

    def __init__(self, arguments: list[str], folder: Path, environ: Mapping[str, str], number: int) -> None:
        self._paths = [folder / f"{number}-{name}.log" for name in ("out", "err")]
        files = [path.open("wb") for path in self._paths]
        self._popen = _spawn(arguments, folder, environ, *files)
        for file in files:
            file.close()

    @property
    def output(self) -> str:
        return self._paths[0].read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        return self._paths[1].read_text(encoding="utf-8")

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """The log's lines, those of one event if named. A last line that is not written to its end is left out."""
        found = []
        for line in self.errors.splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and name in {"", event.get("event")}:
                    found.append(event)
        return found

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended hears nothing."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.send(signal.SIGKILL)
        self._popen.wait()

    def terminate(self, *, number: signal.Signals = signal.SIGTERM, timeout: float = PATIENCE) -> tuple[int, float]:
        """Ask it to stop, and wait for it: its exit code, and after how many seconds."""
        started = time.monotonic()
        self._popen.send_signal(number)
        return self.wait(timeout), time.monotonic() - started

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait until it ends by itself: its exit code."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s\n{self.errors[-4000:]}") from None


def _spawn(
    arguments: list[str], folder: Path, environ: Mapping[str, str], output: IO[bytes], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "alertbot", *arguments]
    return subprocess.Popen(command, cwd=folder, env=dict(environ), stdout=output, stderr=errors)


class Stage:
    """Everything that one test needs; `config` may be changed before a start. `bot` is the one that was started last."""

    bot: Process

    def __init__(self, folder: Path, *, configurations: int = CONFIGURATIONS, window: str = "20s") -> None:
        self.folder = folder
        names = [Configuration(f"llm-{number}", f"config-{number}") for number in range(configurations)]
        self.world = World.still(names, start=datetime.now(UTC) - timedelta(hours=1))
        self.flashback = FlashbackServer(self.world, clock=lambda: datetime.now(UTC))
        self.slack = SlackServer(page=False)
        self.processes: list[Process] = []
        self.config: dict[str, Any] = {}
        self._window = window

    def open(self) -> None:
        self.flashback.start()
        self.slack.start()
        self.config = {
            "database": {"url": "sqlite:///alertbot.db"},
            "sources": [
                {
                    "name": "acme",
                    "base_url": self.flashback.url,
                    "access_token": self.flashback.token,
                    "interval": "1s",
                    "timeout": "2s",
                }
            ],
            "slack": {
                "bot_token": self.slack.bot_token,
                "app_token": self.slack.app_token,
                "api_url": self.slack.api_url,
                "channel": CHANNEL,
            },
            "routes": [{"group_wait": "0s"}],
            "rules": [
                {
                    "name": "violation-burst",
                    "metric": "policy_violations",
                    "window": self._window,
                    "above": {"warning": 5},
                }
            ],
            "http": {"listen": "127.0.0.1:0"},
            "log": {"format": "json", "level": "info"},
        }

    def close(self) -> None:
        for process in self.processes:
            if process.is_running():
                process.kill()
        self.slack.stop()
        self.flashback.stop()

    # --- the process

    def write_config(self) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config), encoding="utf-8")

    def spawn(self, *arguments: str, **environ: str) -> Process:
        """Start `alertbot` with these arguments, and do not wait for anything."""
        self.write_config()
        # Nothing of the surroundings may change what is tested, but what Python itself needs.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
        root = str(Path(__file__).parents[2])
        process = Process(list(arguments), self.folder, {**kept, "PYTHONPATH": root, **environ}, len(self.processes))
        self.processes.append(process)
        return process

    def start(self, *arguments: str) -> Process:
        """Start `alertbot run`, and wait until it has read its sources and answers in Slack."""
        self.bot = self.spawn("run", *arguments)
        self.wait_for(lambda: _has_started(self.bot))
        self.wait_for(lambda: self.ready()[0] == 200)
        return self.bot

    def run(self, *arguments: str, timeout: float = PATIENCE, **environ: str) -> tuple[int, str, str]:
        """Run a command to its end: exit code, stdout, stderr."""
        process = self.spawn(*arguments, **environ)
        return process.wait(timeout), process.output, process.errors

    def run_json(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        code, output, errors = self.run(*arguments, "--json")
        assert code == 0, errors
        return json.loads(output)

    def url(self, path: str) -> str:
        """An address of the bot's own HTTP server."""
        (started,) = self.bot.events("started")
        return f"http://127.0.0.1:{started['http_port']}{path}"

    def get(self, path: str) -> tuple[int, str]:
        """A page of the bot's own HTTP server; status 0 where it does not answer."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> tuple[int, str]:
        return self.get("/readyz")

    def forget_pauses(self) -> None:
        """As if the time that Slack asked to wait had gone by."""
        database = Database(f"sqlite:///{self.folder / 'alertbot.db'}")
        with database.transaction() as tx:
            tx.execute(sa.update(channels).values(wait_until=None))
            tx.execute(sa.update(outbox).values(due_at=datetime.now(UTC)))
        database.close()

    # --- what happens, and what is seen

    def bump(self, violations: int = 10, ai_llm: str = TARGET) -> None:
        self.world.bump(ai_llm, "policy_violations", violations)

    def wait_for_readings(self, count: int = 2) -> None:
        """Until so many more polls have been answered."""
        asked = self.flashback.count("/ai/llm/stats")
        self.wait_for(lambda: self.flashback.count("/ai/llm/stats") >= asked + count)

    def wait_for(self, predicate: Callable[[], T], timeout: float = PATIENCE) -> T:
        """Wait until it is true; a failure shows the channels, and the end of the bot's log."""
        try:
            return self.slack.wait_for(predicate, timeout)
        except AssertionError as error:
            log = self.processes[-1].errors[-3000:] if self.processes else ""
            raise AssertionError(f"{error}\nlog:\n{log}") from None

    def posted(self) -> Message | None:
        """The one message in the channel, as it stands now; None while there is none."""
        messages = self.slack.messages(CHANNEL, replies=False)
        assert len(messages) <= 1, self.slack.transcript()
        return messages[0] if messages else None

    def reads(self, word: str) -> Message | None:
        """The one message, once it begins with this word."""
        message = self.posted()
        return message if message is not None and f"*{word}*:" in message.text else None

    def wait_for_message(self, timeout: float = PATIENCE) -> Message:
        message = self.wait_for(self.posted, timeout)
        assert message is not None
        return message

    def wait_for_word(self, word: str, timeout: float = PATIENCE) -> Message:
        """Wait until the one message begins with this word: Warning, Critical, Acknowledged, Snoozed, Resolved."""
        message = self.wait_for(lambda: self.reads(word), timeout)
        assert message is not None
        return message

    def wait_for_silence(self) -> None:
        """Until nothing waits to be said any more, and another reading brought nothing new."""
        begun_at = time.time()
        self.wait_for(lambda: self._outbox_is_empty(begun_at))
        self.wait_for_readings(1)

    def _outbox_is_empty(self, since: float) -> bool:
        """Whether nothing waited when the gauges were last filled, if that was after a moment."""
        lines = dict(line.rsplit(" ", 1) for line in self.get("/metrics")[1].splitlines() if not line.startswith("#"))
        is_new = float(lines.get("alertbot_gauges_timestamp_seconds", 0)) > since
        return is_new and lines.get("alertbot_outbox_depth") == "0.0"

    def click(self, action_id: str, user: str = "U1", **more: Any) -> Delivery:
        """Use a button or menu of the one message, and see that it is acknowledged."""
        delivery = self.slack.click(self.wait_for_message(), action_id, user, **more)
        assert delivery.acknowledged, delivery.problem
        return delivery

    def command(self, text: str, user: str = "U1") -> str:
        """Type `/alertbot …`, and wait for the answer: all that it shows."""
        delivery = self.slack.command(f"/alertbot {text}".strip(), user)
        assert delivery.acknowledged, delivery.problem
        (answer,) = self.wait_for(lambda: self.slack.answers(delivery))
        assert answer.visible_to == user
        return plain_text(answer)

    def replies(self, begins: str) -> list[str]:
        """The lines in the message's thread that begin with this mark."""
        return [line for line in self.thread() if line.startswith(begins)]

    def assert_said_once(self, *, operators_hear: Collection[str] = ()) -> None:
        """One message, posted once, with each line in its thread once; and nothing else anywhere.

        The operators hear the lines with these words, each once.
        """
        message = self.posted()
        assert message is not None, self.slack.transcript()
        others = [each.text for each in self._every() if not each.is_reply and each.ts != message.ts]
        assert len(others) == len(operators_hear), self.slack.transcript()
        assert all(any(words in text for text in others) for words in operators_hear), self.slack.transcript()
        lines = self.thread()
        assert len(set(lines)) == len(lines), self.slack.transcript()
        # A call is noted when it was answered, which is after what it posted can be seen.
        self.wait_for(lambda: len(self._posts()) == len(self._every()))

    def _every(self) -> list[Message]:
        return [each for name in CHANNELS for each in self.slack.messages(name)]

    def _posts(self) -> list[Call]:
        return [call for call in self.slack.calls_of("chat.postMessage") if call.done]

    def thread(self) -> list[str]:
        message = self.posted()
        return [] if message is None else [reply.text for reply in self.slack.thread(message)]


def _has_started(process: Process) -> bool:
    assert process.is_running(), f"ended with {process.wait()}\n{process.output}\n{process.errors}"
    return bool(process.events("started"))
