# ruff: noqa: INP001
"""Take the pictures in `docs/images` anew, by hand: `.venv/bin/python docs/pictures.py`.

They show what the demo's page shows, so this runs the demo, does what a person would do there, and has Debian's chromium
take the pictures, with fonts-noto-color-emoji for the emoji. It takes about three minutes. Named scenarios take only theirs:
`docs/pictures.py storm`.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
from PIL import Image

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
LARGEST = 100_000  # bytes; the pictures are part of every clone
PATIENCE = 150.0  # seconds; the demo's burst is over after 100
WIDTH = 720
COLOURS = 128  # of a picture: as good as all of them to the eye, and half as large
QUIET = [
    "--headless",
    "--no-sandbox",  # chromium refuses to start as root with it, and sees nothing but this machine's own page
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Message = dict[str, Any]


class Page:
    """The demo's page, as somebody's browser would use it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url)

    def wait_for(self, wanted: Callable[[Message], bool]) -> Message:
        """The first message that is as wanted."""
        return dict(self._wait(lambda: next((one for one in self._state()["messages"] if wanted(one)), None)))

    def _wait(self, found: Callable[[], Any]) -> Any:
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            if (value := found()) is not None and value != []:
                return value
            time.sleep(0.1)
        raise TimeoutError("the demo did not show what was waited for")

    def click(self, message: Message, action: str) -> None:
        """Press a button of a message as it is now."""
        message = self.wait_for(lambda one: one["ts"] == message["ts"])
        buttons = [
            element
            for attachment in message["attachments"]
            for block in attachment["blocks"]
            for element in block.get("elements", [])
        ]
        (button,) = [element for element in buttons if element.get("action_id") == action]
        self._act("click", {"ts": message["ts"], "action_id": action, "value": button["value"]}, message["channel"])

    def type(self, text: str, channel: str) -> None:
        """Send a slash command, and wait for the answer."""
        before = [message["ts"] for message in self._state()["messages"]]
        self._act("command", {"text": f"/alertbot {text}"}, self._id_of(channel))
        self.wait_for(lambda message: message["ts"] not in before and message["visible_to"] is not None)

    def open_home(self) -> None:
        """Look at Home, and wait until it is there."""
        self._act("home", {}, "")
        self._wait(lambda: self._state()["home"])

    @contextmanager
    def modal(self, message: Message, action: str) -> Iterator[None]:
        """The modal behind a button, while it is open."""
        self.click(message, action)
        self._wait(lambda: self._state()["modals"])
        yield
        for view in self._state()["modals"]:
            self._act("close", {"view": view["id"]}, "")

    def _state(self) -> dict[str, Any]:
        return dict(self._client.get("/_page/state").json())

    def _id_of(self, channel: str) -> str:
        return next(str(one["id"]) for one in self._state()["channels"] if one["name"] == channel)

    def _act(self, name: str, content: dict[str, str], channel: str) -> None:
        answer = self._client.post(f"/_page/{name}", json={"user": "U1", "channel": channel, **content}).json()
        if not answer["ok"]:
            raise RuntimeError(answer["problem"])

    def picture(self, name: str, *, height: int, **place: str) -> None:
        """Take one picture on a light and one on a dark ground, both at once, so that they show the same."""
        with tempfile.TemporaryDirectory() as folder:
            cameras = [self._camera(name, theme, height, place, Path(folder)) for theme in ("light", "dark")]
            for camera in cameras:
                camera.wait(PATIENCE)
        for theme in ("light", "dark"):
            path = IMAGES / f"{name}-{theme}.png"
            with Image.open(path) as taken:
                taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
            size = path.stat().st_size
            sys.stdout.write(f"{name}-{theme}.png: {size / 1000:.0f} kB\n")
            if size > LARGEST:
                raise ValueError(f"a picture may have {LARGEST} bytes")

    def _camera(
        self, name: str, theme: str, height: int, place: dict[str, str], folder: Path
    ) -> subprocess.Popen[bytes]:
        # live=off: the stream of changes never ends, and chromium would wait for its end.
        url = self._client.base_url.copy_with(params={"theme": theme, "live": "off", **place})
        options = [
            f"--user-data-dir={folder / theme}",
            f"--window-size={WIDTH},{height}",
            "--force-device-scale-factor=1.5",
            "--virtual-time-budget=4000",
            f"--screenshot={IMAGES / f'{name}-{theme}.png'}",
        ]
        return subprocess.Popen([CHROMIUM, *QUIET, *options, str(url)], stderr=subprocess.DEVNULL)  # noqa: S603


@contextmanager
def demo(scenario: str, *, speed: int) -> Iterator[Page]:
    """The demo, so many times as fast as life."""
    command = [sys.executable, "-m", "alertbot", "demo", "--seed", "1", "--speed", str(speed), "--scenario", scenario]
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stdout=said) as process:  # noqa: S603
        try:
            yield Page(_page_url(said))
        finally:
            process.terminate()


def _page_url(said: IO[str]) -> str:
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        said.seek(0)
        if found := re.search(r"^page: (\S+)$", said.read(), re.MULTILINE):
            return found[1]
        time.sleep(0.1)
    raise TimeoutError("the demo did not say where its page is")


def take_burst() -> None:
    """An alert from its beginning to its end, and what people do meanwhile."""
    with demo("burst", speed=20) as page:
        alert = page.wait_for(lambda message: "*Critical*" in message["text"] and "violations" in message["text"])
        thread = {"channel": "ai-alerts", "thread": alert["ts"]}
        page.wait_for(lambda message: message["thread_ts"] == alert["ts"] and "Rose" in message["text"])
        page.picture("alert", height=620, **thread)
        page.click(alert, "acknowledge")
        page.wait_for(lambda message: message["ts"] == alert["ts"] and "*Acknowledged*" in message["text"])
        page.wait_for(lambda message: message["thread_ts"] == alert["ts"] and "acknowledged" in message["text"])
        page.picture("acknowledged", height=700, **thread)
        page.click(alert, "chart")
        page.wait_for(lambda message: message["thread_ts"] == alert["ts"] and "image" in str(message["blocks"]))
        page.picture("chart", height=700, **thread)
        with page.modal(alert, "details"):
            page.picture("details", height=330, channel="ai-alerts")
        with page.modal(alert, "silence"):
            page.picture("silence", height=735, channel="ai-alerts")
        page.open_home()
        page.picture("home", height=860, view="home")
        page.type("top violators yesterday", "ai-oncall")
        page.type("violations yesterday user=nadia*", "ai-oncall")
        page.picture("top", height=900, channel="ai-oncall")
        page.type("spend yesterday", "ai-alerts-fallback")
        page.type("budget", "ai-alerts-fallback")
        page.picture("spend", height=700, channel="ai-alerts-fallback")
        over = page.wait_for(lambda message: "*Resolved*" in message["text"])  # the one without the chart in its thread
        page.wait_for(lambda message: message["thread_ts"] == over["ts"] and "Resolved" in message["text"])
        page.picture("resolved", height=530, channel="ai-alerts", thread=over["ts"])


def take_storm() -> None:
    """Hundreds of alerts in one message."""
    with demo("storm", speed=20) as page:
        page.wait_for(lambda message: re.search(r"and [0-9]{3} more", message["text"]) is not None)
        page.picture("storm", height=830, channel="ai-alerts")


def main() -> None:
    """Take them all, or those of the scenarios that are named."""
    scenarios = {"burst": take_burst, "storm": take_storm}
    for name in sys.argv[1:] or scenarios:
        scenarios[name]()


if __name__ == "__main__":
    main()
