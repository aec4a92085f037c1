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

from alertbot.app.bot import Bot, poll_once
from alertbot.clock import Clock
from alertbot.config import WRITTEN_DEFAULT_RULES, Config, load
from alertbot.demo.flashback.scenarios import find_scenario
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.slack.records import Change, Message
from alertbot.demo.slack.server import USERS, SlackServer
from alertbot.logs import configure

_CHANNEL = "#ai-alerts"
# What an ordinary day of Acme stays below.
_BUDGETS = (
    {
        "name": "token-budget",
        "type": "budget",
        "metric": "tokens",
        "amount": 50_000_000,
        "period": "day",
        "at": {"warning": 80, "critical": 100},
        "per": "source",
        "description": "All that Acme may use in a day.",
    },
)


class _StoryClock:
    """The time: as it is until the story begins, and from then on so many times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed, self._clock = speed, Clock()

    def begin(self) -> None:
        self._clock = Clock.fast(self._speed)

    def __call__(self) -> datetime:
        return self._clock()


class Showcase:
    """Everything that the demo runs, on loopback and in a folder of its own that goes when it ends."""

    def __init__(self, *, speed: float, seed: int, port: int, scenario: str, with_page: bool) -> None:
        self._clock = _StoryClock(speed)
        self._speed = speed
        self._scenario = find_scenario(scenario)
        self._with_page = with_page
        self._start = self._clock()
        world = self._scenario.world(seed, self._start, history=self._history())
        self._flashback = FlashbackServer(world, clock=self._clock)
        self._slack = SlackServer(
            port=port,
            clock=lambda: self._clock().timestamp(),
            trigger_seconds=3 * speed,
            auto_create_channels=True,
            page=with_page,
        )
        self._stopped = threading.Event()
        self._last_told: dict[tuple[str, str], str] = {}

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
            self._slack.on_change(lambda change: self._tell(console, change))
            config = self._config(Path(folder))
            if self._history():
                # At its own pace: while the day before is read, no hour may pass in which nobody looks.
                poll_once(config)
            self._clock.begin()
            bot = Bot(config, clock=self._clock, speed=self._speed)
            bot.start()
            try:
                self._stopped.wait(seconds)
            finally:
                bot.stop()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped.set()

    def _history(self) -> timedelta:
        """How far back the simulated Flashback remembers: what people who can ask do ask about first is yesterday."""
        if not (self._with_page and self._scenario.has_past):
            return timedelta(0)
        midnight = self._start.replace(hour=0, minute=0, second=0, microsecond=0)
        return self._start - midnight + timedelta(days=1)

    def _tell(self, console: Console, change: Change) -> None:
        """Print a message as it stands now, if its line says something new."""
        message = change.message
        if message is None or message.visible_to is not None or message.deleted:
            return
        place = (message.channel, message.ts)
        if self._last_told.get(place) == message.text:
            return
        self._last_told[place] = message.text
        channel = self._slack.channel(message.channel)
        _show(console, message, f"#{channel.name}")

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
            "rules": [*WRITTEN_DEFAULT_RULES, *_BUDGETS],
            "oncall": [
                {
                    "name": "primary",
                    "rotation": {
                        "every": "1w",
                        "start": "2026-01-05T09:00",
                        "timezone": "Europe/Madrid",
                        "people": ["U2", "U3", "U1"],
                    },
                }
            ],
            "routes": [
                {
                    "match": {"severity": "critical"},
                    "escalate": [{"after": "15m", "channel": "#leads", "mention": ["@oncall:primary"]}],
                }
            ],
            "http": {"listen": "127.0.0.1:0"},
        }
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(keys), encoding="utf-8")
        return load(path, {})


def _show(console: Console, message: Message, channel: str) -> None:
    """Print a message as it stands now, with the word of its state."""
    at = datetime.fromtimestamp(message.edits[-1].until if message.edits else float(message.ts), UTC)
    verb = "in the thread" if message.is_reply else "edits" if message.edits else "posts"
    word = _word(message)
    head = Text(f"{at:%H:%M:%S}  {channel}  {verb:<13}  ") + Text(f"{word:<13}", style=_STYLES.get(word, ""))
    body = Text(_plain(message.text))
    if verb == "posts" or word == "resolved":
        body += Text("".join(f"\n{line}" for line in _details(message)), style="dim")
    if not console.is_terminal:  # whoever reads a pipe wants no column that is filled up with blanks
        first, *others = body.split("\n")
        indent = Text(" " * len(head))
        for line in (head + first, *(indent + other for other in others)):
            console.print(line, soft_wrap=True)
        return
    row = Table.grid(padding=(0, 2))  # keeps what is folded in its own column
    row.add_row(head, body)
    console.print(row)


_NAMES = {user.id: user.name for user in USERS}
_STYLES = {"firing": "bold red", "acknowledged": "bold yellow", "snoozed": "bold yellow", "resolved": "bold green"}
_EMOJI = {
    ":red_circle:": "●",
    ":large_orange_circle:": "●",
    ":large_blue_circle:": "●",
    ":white_check_mark:": "✓",
    ":arrow_up:": "↑",
    ":heavy_plus_sign:": "+",
    ":repeat:": "↻",
    ":eyes:": "@",
    ":zzz:": "z",
    ":rotating_light:": "!",
    ":pager:": "",
    ":speech_balloon:": "»",
}


def _plain(text: str) -> str:
    """Slack's markup as a terminal can show it."""
    text = re.sub(r"<!date\^[^|]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<[@#]([A-Z0-9]+)>", lambda found: f"@{_NAMES.get(found[1], found[1])}", text)
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
    return next((word.lower() for word in ("Resolved", "Acknowledged", "Snoozed") if word in first), "firing")
