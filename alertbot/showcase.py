"""`alertbot demo`: the simulated Flashback, the Slack look-alike, and the real bot between them."""

import html
import re
import signal
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alertbot.app import Bot
from alertbot.clock import Clock
from alertbot.config import Config, load
from alertbot.demo.flashback import FlashbackServer
from alertbot.demo.scenarios import find_scenario
from alertbot.demo.slack import SlackServer
from alertbot.demo.slack_records import Change, Message
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
            self._slack.on_change(lambda change: _show(console, change))
            bot = Bot(self._config(Path(folder)), clock=self._clock, speed=self._clock.speed)
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


def _show(console: Console, change: Change) -> None:
    """Print a message as it stands now, with the word of its state."""
    message = change.message
    if message is None or message.visible_to is not None:
        return
    at = datetime.fromtimestamp(message.edits[-1].until if message.edits else float(message.ts), UTC)
    verb = "in the thread" if message.is_reply else "edits" if message.edits else "posts"
    word = _word(message)
    head = Text(f"{at:%H:%M:%S}  {_CHANNEL}  {verb:<13}  ") + Text(f"{word:<12}", style=_STYLES.get(word, ""))
    body = Text(_plain(message.text))
    if verb == "posts" or word == "resolved":
        body += Text("".join(f"\n{line}" for line in _details(message)), style="dim")
    row = Table.grid(padding=(0, 2))  # keeps what is folded in its own column
    row.add_row(head, body)
    console.print(row)


_STYLES = {"firing": "bold red", "acknowledged": "bold yellow", "resolved": "bold green"}
_EMOJI = {
    ":red_circle:": "●",
    ":large_orange_circle:": "●",
    ":large_blue_circle:": "●",
    ":white_check_mark:": "✓",
    ":arrow_up:": "↑",
    ":heavy_plus_sign:": "+",
    ":repeat:": "↻",
    ":eyes:": "@",
    ":speech_balloon:": "»",
}


def _plain(text: str) -> str:
    """Slack's markup as a terminal can show it."""
    text = re.sub(r"<!date\^[^|]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<[@#]([A-Z0-9]+)>", r"@\1", text)
    for name, sign in _EMOJI.items():
        text = text.replace(name, sign)
    return html.unescape(text.replace("*", ""))


def _details(message: Message) -> list[str]:
    """The fields of the message, one a line, and what stands below them."""
    lines = []
    for block in message.attachments[0].get("blocks", []) if message.attachments else []:
        lines += [": ".join(_plain(field["text"]).split("\n", 1)) for field in block.get("fields", [])]
        if block.get("type") == "section" and "text" in block:
            lines += _plain(block["text"]["text"]).splitlines()
        if block.get("type") == "context":
            lines.append(_plain(block["elements"][0]["text"]))
    return lines


def _word(message: Message) -> str:
    """firing, acknowledged or resolved; nothing for a reply in a thread."""
    if message.is_reply or not message.attachments:
        return ""
    first = _plain(message.text).split(":", 1)[0]
    return next((word.lower() for word in ("Resolved", "Acknowledged") if word in first), "firing")
