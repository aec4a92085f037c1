"""The look-alike's Socket Mode: connections over which envelopes go out and acknowledgements come back."""

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from alertbot.demo.slack.records import APP_ID, JsonObject

# "Up to 10 connections an app".
MOST_CONNECTIONS = 10
# Slack pings every few seconds. Here it is more often: the SDK's own client closes a connection only after its read of
# up to 3 s returned, and a ping lets it return.
PING_SECONDS = 0.2
CLOSE_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Connection:
    """One websocket of the app."""

    id: str
    socket: web.WebSocketResponse
    # Told to go away: gets nothing more as soon as there is another connection.
    retiring: bool = False
    envelopes: int = 0


class Sockets:
    """The app's Socket Mode connections. Everything here runs on the server's event loop."""

    def __init__(
        self, on_acknowledgement: Callable[[str, JsonObject | None], None], on_change: Callable[[], None]
    ) -> None:
        self._on_acknowledgement = on_acknowledgement
        self._on_change = on_change
        self._tickets: set[str] = set()
        self.connections: list[Connection] = []

    def new_address(self, base_url: str) -> str:
        """Make the address of a connection; it works once."""
        ticket = secrets.token_urlsafe(24)
        self._tickets.add(ticket)
        return f"{base_url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={APP_ID}"

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """Serve a connection until one side closes it."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404, text="this address was used or never given")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(timeout=CLOSE_SECONDS, compress=False)
        try:
            await socket.prepare(request)
        except ConnectionError:
            # The client went away while it knocked.
            return socket
        if len(self.connections) >= MOST_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        connection = Connection(secrets.token_hex(4), socket)
        await socket.send_json(self._hello(connection))
        self.connections.append(connection)
        self._on_change()
        pings = asyncio.create_task(self._ping(socket))
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._take(frame.data)
        finally:
            pings.cancel()
            self.connections.remove(connection)
            self._on_change()
        return socket

    async def send(self, envelope: JsonObject) -> bool:
        """Send an envelope over one connection, whichever; False when there is none."""
        fresh = [connection for connection in self.connections if not connection.retiring]
        for connection in _shuffled(fresh or self.connections):
            try:
                await connection.socket.send_json(envelope)
            except (ConnectionError, RuntimeError):
                # It closed a moment ago; its own task takes it off the list.
                continue
            connection.envelopes += 1
            return True
        return False

    async def disconnect(self, reason: str, *, close: bool = False) -> int:
        """Tell all present connections to go away, and close them if asked; returns how many there were."""
        present = list(self.connections)
        for connection in present:
            connection.retiring = True
            frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-acme"}}
            await connection.socket.send_json(frame)
        if close:
            await self.close()
        return len(present)

    async def close(self) -> None:
        """Close all connections, with a close frame."""
        present = list(self.connections)
        await asyncio.gather(*(connection.socket.close() for connection in present))

    def cut(self) -> None:
        """Break all connections without a word, as a network does."""
        for connection in list(self.connections):
            # aiohttp keeps the request's transport to itself once it is a websocket.
            transport = connection.socket._req.transport if connection.socket._req else None  # noqa: SLF001
            if transport is not None:
                transport.abort()

    async def _ping(self, socket: web.WebSocketResponse) -> None:
        # A client that is gone without a word is noticed by its socket, not by a missing pong.
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                # With a payload, as Slack's have: the SDK waits for more bytes after a frame of two.
                await socket.ping(b"Ping from applink-acme")
                await asyncio.sleep(PING_SECONDS)

    def _take(self, data: str) -> None:
        try:
            frame = json.loads(data)
        except ValueError:
            return
        if isinstance(frame, dict) and isinstance(frame.get("envelope_id"), str):
            payload = frame.get("payload")
            self._on_acknowledgement(frame["envelope_id"], payload if isinstance(payload, dict) else None)

    def _hello(self, connection: Connection) -> JsonObject:
        return {
            "type": "hello",
            "num_connections": len(self.connections) + 1,
            "debug_info": {
                "host": f"applink-{connection.id}",
                "build_number": 1,
                "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": APP_ID},
        }


def _shuffled(connections: list[Connection]) -> list[Connection]:
    return random.sample(connections, len(connections))
