# ruff: noqa: INP001
"""Take the pictures in `docs/images` anew, by hand: `.venv/bin/python docs/pictures.py`.

They show what the demo's page shows, so this runs the demo, does what a person would do there, and has Debian's chromium
take the pictures. It takes about a minute.
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

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
LARGEST = 150_000  # bytes; the pictures are part of every clone
PATIENCE = 60.0  # seconds; the demo's burst is over after 30
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
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            for message in self._client.get("/_page/state").json()["messages"]:
                if wanted(message):
                    return dict(message)
            time.sleep(0.1)
        raise TimeoutError("the demo did not show what was waited for")

    def click(self, message: Message, action: str) -> None:
        """Press a button of a message."""
        buttons = [
            element
            for attachment in message["attachments"]
            for block in attachment["blocks"]
            for element in block.get("elements", [])
        ]
        (button,) = [element for element in buttons if element.get("action_id") == action]
        self._act("click", {"ts": message["ts"], "action_id": action, "value": button["value"]}, message["channel"])

    def type(self, text: str, channel: str) -> None:
        """Send a slash command."""
        self._act("command", {"text": text}, channel)

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
            size = (IMAGES / f"{name}-{theme}.png").stat().st_size
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
            f"--window-size=720,{height}",
            "--force-device-scale-factor=1.5",
            "--virtual-time-budget=4000",
            f"--screenshot={IMAGES / f'{name}-{theme}.png'}",
        ]
        return subprocess.Popen([CHROMIUM, *QUIET, *options, str(url)], stderr=subprocess.DEVNULL)  # noqa: S603


@contextmanager
def demo() -> Iterator[Page]:
    """The demo, an hour a minute."""
    command = [sys.executable, "-m", "alertbot", "demo", "--seed", "1", "--speed", "60"]
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


def main() -> None:
    """Take them all."""
    with demo() as page:
        alert = page.wait_for(lambda message: "*Critical*" in message["text"])
        channel, thread = alert["channel"], alert["ts"]
        page.wait_for(lambda message: message["thread_ts"] == thread and "Rose" in message["text"])
        page.picture("alert", height=470, channel="ai-alerts", thread=thread)
        page.click(alert, "acknowledge")
        page.type("/alertbot stats 1h", channel)
        page.wait_for(lambda message: message["visible_to"] is not None)
        page.picture("stats", height=509, channel="ai-alerts")
        page.wait_for(lambda message: message["ts"] == thread and "Resolved" in message["text"])
        page.wait_for(lambda message: message["thread_ts"] == thread and "Resolved" in message["text"])
        page.picture("thread", height=600, channel="ai-alerts", thread=thread)


if __name__ == "__main__":
    main()
