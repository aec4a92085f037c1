"""`alertbot demo`: the simulated Flashback, the Slack look-alike, and the real bot between them."""

import signal
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import yaml
from rich.console import Console
from rich.text import Text

from alertbot.app import Bot, Clock
from alertbot.config import Config, load
from alertbot.demo.flashback import FlashbackServer
from alertbot.demo.scenarios import find_scenario
from alertbot.demo.slack import SlackServer
from alertbot.demo.slack_records import Message
from alertbot.demo.slack_transcript import plain_text
from alertbot.logs import configure

_CHANNEL = "#ai-alerts"


class Showcase:
    """Everything that the demo runs, on loopback and in a folder of its own that goes when it ends."""

    def __init__(self, *, speed: float, seed: int, port: int, scenario: str, with_page: bool) -> None:
        self._clock = Clock.fast(speed)
        self._scenario = find_scenario(scenario)
        self._with_page = with_page
        self._start = self._clock()
        world = self._scenario.world(seed, self._start, history=timedelta(0))
        self._flashback = FlashbackServer(world, clock=self._clock)
        self._slack = SlackServer(
            port=port,
            clock=lambda: self._clock().timestamp(),
            trigger_seconds=3 * speed,
            auto_create_channels=True,
            page=with_page,
        )
        self._stopped = threading.Event()

    def run(self, console: Console, *, seconds: float | None) -> None:
        """Run for so long, or until interrupted."""
        configure(form="console", level="error")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory(prefix="alertbot-demo-") as folder, self._flashback, self._slack:
            self._flashback.schedule(self._scenario.faults, origin=self._start)
            if self._with_page:
                console.print(f"page: {self._slack.page_url}", soft_wrap=True)
            console.print(f"flashback: {self._flashback.url}", soft_wrap=True)
            console.print(f"token: {self._flashback.token}", soft_wrap=True)
            console.print(Text(self._scenario.summary, style="dim"))
            self._slack.on_change(lambda change: change.message and _show(console, change.message))
            bot = Bot(self._config(Path(folder)), clock=self._clock)
            bot.start()
            try:
                self._stopped.wait(seconds)
            finally:
                bot.stop()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped.set()

    def _config(self, folder: Path) -> Config:
        """The configuration, by the same way as an operator's: a YAML file."""
        keys = {
            "database": {"url": f"sqlite:///{folder / 'demo.db'}"},
            "sources": [{"name": "acme", "base_url": self._flashback.url, "access_token": self._flashback.token}],
            "slack": {
                "bot_token": self._slack.bot_token,
                "app_token": self._slack.app_token,
                "api_url": self._slack.api_url,
                "channel": _CHANNEL,
            },
            "http": {"listen": "127.0.0.1:0"},
        }
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(keys), encoding="utf-8")
        return load(path, {})


def _show(console: Console, message: Message) -> None:
    """Print a message as it stands now, with the word of its state."""
    at = datetime.fromtimestamp(float(message.ts), UTC)
    verb = "in the thread" if message.is_reply else "edited" if message.edits else "posted"
    word = _word(message)
    console.print(
        Text(f"{at:%H:%M:%S} {_CHANNEL} {verb}" + (f"  [{word}]" if word else ""), style=_STYLES.get(word, ""))
    )
    lines = [message.text, *([] if message.is_reply else plain_text(message).splitlines())]
    for line in lines:
        console.print(Text(f"    {line}"))


_STYLES = {"firing": "bold red", "acknowledged": "bold yellow", "resolved": "bold green"}


def _word(message: Message) -> str:
    """firing, acknowledged or resolved; nothing for a reply in a thread."""
    if message.is_reply or not message.attachments:
        return ""
    first = message.text.partition(":")[0] if not message.text.startswith(":") else message.text.split(" ", 1)[-1]
    for word in ("Resolved", "Acknowledged"):
        if word in first.partition(":")[0]:
            return word.lower()
    return "firing"
