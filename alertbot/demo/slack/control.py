"""The look-alike's faults and acts over HTTP, for checks that run outside of its process: POST /_control/ACT with JSON."""

import asyncio
import dataclasses
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.page import refuse_strangers
from alertbot.demo.slack.records import JsonObject, Message, View

if TYPE_CHECKING:
    from alertbot.demo.slack.server import SlackServer

# Public functions of SlackServer that take plain values.
_PLAIN = (
    "add_channel",
    "archive",
    "clear_faults",
    "command",
    "cut_connections",
    "delete_channel",
    "deliver_to",
    "disconnect",
    "fault",
    "grant_scopes",
    "invite_bot",
    "open_home",
    "refuse_app_token",
    "remove_bot",
    "restore_token",
    "revoke_token",
    "say",
    "send_event",
)


class Control:
    """Serves the control of a look-alike."""

    def __init__(self, server: "SlackServer") -> None:
        self._server = server
        self._acts: dict[str, Callable[..., Any]] = {name: getattr(server, name) for name in _PLAIN}
        self._acts |= {
            "click": self._click,
            "close_view": self._close_view,
            "delete_message": self._delete_message,
            "redeliver": self._redeliver,
            "submit_view": self._submit_view,
        }

    def add_routes(self, app: web.Application) -> None:
        """Serve the acts, and what is there."""
        app.router.add_post("/_control/{act}", self._act)
        app.router.add_get("/_control/state", self._state)

    async def _act(self, request: web.Request) -> web.Response:
        refuse_strangers(request)
        act = self._acts.get(request.match_info["act"])
        if act is None:
            return web.json_response(
                {"ok": False, "problem": f"the acts are {', '.join(sorted(self._acts))}"}, status=404
            )
        given = await request.json() if request.can_read_body else {}
        try:
            bound = inspect.signature(act).bind(**given)
        except TypeError as mistake:
            return web.json_response({"ok": False, "problem": str(mistake)}, status=400)
        try:
            # The server's functions wait for its event loop, on which this one runs.
            result = await asyncio.to_thread(act, *bound.args, **bound.kwargs)
        except (LookupError, ValueError, TypeError) as mistake:
            return web.json_response({"ok": False, "problem": str(mistake)}, status=400)
        return web.json_response({"ok": True, "result": _plain(self._server, result)})

    async def _state(self, _: web.Request) -> web.Response:
        server = self._server
        with server.world.condition:
            channels = {
                channel.name: [_plain(server, message) for message in server.world.messages(channel.id)]
                for channel in server.world.channels.values()
            }
            state = {
                "channels": channels,
                "calls": [_plain(server, call) for call in server.calls],
                "modals": {user: [_plain(server, view) for view in server.modals(user)] for user in server.world.users},
                "homes": {user: _plain(server, view) for user, view in server.world.homes.items()},
                "connections": server.connections,
            }
        return web.json_response(state)

    def _click(self, action_id: str, user: str = "U1", **place: Any) -> Delivery:
        value, block_id, state = place.get("value"), place.get("block_id"), place.get("state")
        found: Message | View
        if "view" in place:
            found = self._server.view(place["view"])
        else:
            found = self._server.message(place["channel"], place["ts"])
        return self._server.click(found, action_id, user, value=value, block_id=block_id, state=state)

    def _submit_view(self, view: str, values: JsonObject | None = None) -> Delivery:
        return self._server.submit_view(self._server.view(view), values)

    def _close_view(self, view: str) -> Delivery | None:
        return self._server.close_view(self._server.view(view))

    def _delete_message(self, channel: str, ts: str) -> None:
        self._server.delete_message(self._server.message(channel, ts))

    def _redeliver(self, envelope_id: str) -> Delivery:
        return self._server.redeliver(self._server.deliveries.sent[envelope_id])


def _plain(server: "SlackServer", value: Any) -> Any:
    """Turn a record into JSON."""
    if isinstance(value, Delivery):
        answers = [_plain(server, message) for message in server.answers(value)]
        about = {"acknowledged": value.acknowledged, "ack": value.ack, "seconds": value.seconds}
        return {"envelope_id": value.id, "problem": value.problem, "answers": answers, **about}
    if isinstance(value, tuple | list):
        return [_plain(server, part) for part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            part.name: _plain(server, getattr(value, part.name))
            for part in dataclasses.fields(value)
            if part.name != "content" or isinstance(value, View)
        }
    if isinstance(value, frozenset | set):
        return sorted(value)
    return value
