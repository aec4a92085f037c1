"""A Slack that takes whatever the bot says and keeps it, for tests that look for a word in everything that is said.

with overheard(here.desk) as slack:
    slack.command("status", "U2")
    assert "globex" not in slack.said()
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import unquote_plus

from slack_bolt import App, BoltRequest

from alertbot.slack import bot
from alertbot.slack.bot import Identity
from alertbot.slack.context import RequestContext
from alertbot.slack.executors import BoundedExecutor, Executors

CHANNEL = ("C0AIALERTS", "ai-alerts")
_numbers = count(1)


class _InPlace(BoundedExecutor):
    """Does everything at once, in the thread that asks for it."""

    def start(self, work: Callable[[], Any], *, person: str = "", key: str = "") -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work())
        return done


class AtOnce(Executors):
    def __init__(self) -> None:
        in_place = _InPlace("test", threads=1, waiting=0, each=1)
        self.acts = self.answers = self.look_ups = self.slow = in_place


class Overheard:
    """The bot's app, to which anything can be delivered, and all that it said."""

    def __init__(self, app: App, url: str, heard: list[str]) -> None:
        self.app, self._url, self._heard = app, url, heard

    @property
    def listeners(self) -> set[str]:
        """Every listener by its name."""
        return {listener.ack_function.__qualname__ for listener in self.app._listeners}

    def said(self) -> str:
        """Everything since it was asked last."""
        text, self._heard[:] = "\n".join(self._heard), []
        return text

    def command(self, text: str, user: str, channel: tuple[str, str] = CHANNEL) -> None:
        self._deliver({**self._asked(user, channel), "command": "/alertbot", "text": text})

    def click(self, action: str, value: str, user: str, channel: tuple[str, str] = CHANNEL, **view: Any) -> None:
        """Click a button, or choose `value` in a menu, of a message or of a view."""
        option = {"selected_option": {"value": value, "text": {"type": "plain_text", "text": value}}}
        actions = [{"action_id": action, "block_id": "b", "value": value, "action_ts": str(next(_numbers)), **option}]
        place: dict[str, Any] = (
            {"view": _view(view)} if view else {"channel": _channel(channel), "message": {"ts": "1.1"}}
        )
        told = {"type": "block_actions", "user": {"id": user}, "actions": actions, "container": {"message_ts": "1.1"}}
        self._deliver({**self._asked(user, channel), **told, **place})

    def submit(self, user: str, **view: Any) -> None:
        told = {"type": "view_submission", "user": {"id": user}, "view": _view(view)}
        self._deliver({"trigger_id": f"t{next(_numbers)}", "team": {"id": "T1"}, **told})

    def look_at_home(self, user: str) -> None:
        event = {"type": "app_home_opened", "user": user, "tab": "home", "channel": "D1"}
        self._deliver({"type": "event_callback", "team_id": "T1", "event": event})

    def _asked(self, user: str, channel: tuple[str, str]) -> dict[str, Any]:
        where = {"channel_id": channel[0], "channel_name": channel[1]}
        return {
            "user_id": user,
            "trigger_id": f"t{next(_numbers)}",
            "response_url": self._url,
            "team_id": "T1",
            **where,
        }

    def _deliver(self, body: Mapping[str, Any]) -> None:
        answered = self.app.dispatch(BoltRequest(body=dict(body), mode="socket_mode"))
        self._heard.append(str(answered.body))


def _channel(channel: tuple[str, str]) -> dict[str, str]:
    return {"id": channel[0], "name": channel[1]}


def _view(view: Mapping[str, Any]) -> dict[str, Any]:
    """A view with its fields by their names: what is chosen and what is typed look alike here."""
    fields = {
        name: {"x": {"selected_option": {"value": text}} if name in view["menus"] else {"value": text}}
        for name, text in view.get("fields", {}).items()
    }
    return {
        "id": f"V{next(_numbers)}",
        "type": view.get("type", "modal"),
        "hash": str(next(_numbers)),
        "callback_id": view["callback"],
        "private_metadata": json.dumps(view.get("remembers", {})),
        "state": {"values": fields},
    }


@contextmanager
def overheard(context: RequestContext) -> Iterator[Overheard]:
    """Open the bot's app on this desk."""
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            heard.append(unquote_plus(self.rfile.read(length).decode(errors="replace")))
            self._answer(
                {"ok": True, "ts": "2.2", "channel": CHANNEL[0], "view": {"id": "V0"}, "user": {"tz_offset": 0}}
            )

        do_GET = do_POST  # noqa: N815 — the name that http.server looks for

        def _answer(self, answer: Mapping[str, Any]) -> None:
            sent = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    client = bot.web_client("xoxb-1", api_url=url, timeout=timedelta(seconds=5))
    identity = Identity("team", "T1", "B1", "U0", frozenset())
    # Charts are told in words: drawing takes long, and nothing can be read from a picture here.
    mute = replace(context, upload=None, wake=lambda: None, executors=AtOnce())
    app = bot.build(client, identity=lambda: identity, signing_secret="s", request_context=mute, patience=3600)
    app.listener_runner.process_before_response = True  # each delivery is answered before the next one
    try:
        yield Overheard(app, url, heard)
    finally:
        server.shutdown()
        server.server_close()
