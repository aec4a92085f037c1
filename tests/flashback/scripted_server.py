"""A loopback HTTP server that misbehaves as told: cuts bodies off, drips, resets, says nothing.

    with ScriptedServer() as server:
        server.will(status(503), json_body({"success": True, "stats": []}))

Each request takes the next step of the script; the last step stays for all that follow. What was asked is in `requests`.
"""

import contextlib
import http
import json
import socket
import socketserver
import struct
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

CUT_OFF = b'{"success": true, "stats": [{"aiLlmId"'


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it; the names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]


@dataclass
class Line:
    """The server's end of one connection."""

    socket: socket.socket
    stopping: threading.Event
    open: bool = True

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def drip(self, content: bytes, every: float) -> None:
        """A byte now and then, until the client has enough or the server stops."""
        for position in range(len(content)):
            if self.stopping.wait(every):
                return
            self.send(content[position : position + 1])

    def close(self) -> None:
        self.open = False


Step = Callable[[Line], None]


def answer(status: int, body: bytes = b"", *, reason: str | None = None, **headers: str) -> Step:
    """A whole answer; `retry_after="5"` is the header Retry-After."""
    return lambda line: line.send(_head(status, len(body), reason=reason, **headers) + body)


def json_body(value: Any, *, status: int = 200, **headers: str) -> Step:
    return answer(status, json.dumps(value).encode(), content_type="application/json", **headers)


def raw(content: bytes) -> Step:
    """These bytes and the end of the connection."""

    def step(line: Line) -> None:
        line.send(content)
        line.close()

    return step


def cut_off(body: bytes, *, after: int) -> Step:
    """The length of the whole body is announced, and only its beginning is sent."""
    return raw(_head(200, len(body)) + body[:after])


def drip_body(body: bytes, *, every: float) -> Step:
    def step(line: Line) -> None:
        line.send(_head(200, len(body)))
        line.drip(body, every)

    return step


def drip_head(*, every: float) -> Step:
    return lambda line: line.drip(_head(200, 2, x_padding="-" * 10_000) + b"{}", every)


def silence(line: Line) -> None:
    """No answer until the server stops or the client goes away."""
    line.socket.settimeout(0.02)
    while not line.stopping.is_set():
        with contextlib.suppress(TimeoutError):
            line.socket.recv(1)
            break
    line.close()


def reset(line: Line) -> None:
    """The connection is torn down with an RST."""
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.socket.close()
    line.close()


def _head(status: int, length: int, *, reason: str | None = None, **headers: str) -> bytes:
    phrase = http.HTTPStatus(status).phrase if reason is None else reason
    lines = [f"HTTP/1.1 {status} {phrase}", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class ScriptedServer:
    """Serves on a free port of 127.0.0.1 inside its `with` block."""

    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    greeting: bytes = b""  # sent to whoever connects, in place of HTTP
    _steps: list[Step] = field(default_factory=lambda: [answer(500)])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def will(self, *steps: Step) -> None:
        """Replace the script."""
        with self._lock:
            self._steps = list(steps)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        scripted = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                scripted._serve(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, connection: socketserver.StreamRequestHandler) -> None:
        with self._lock:
            self.connections += 1
        line = Line(connection.request, self._stopping)
        if self.greeting:
            line.send(self.greeting)
            return
        with contextlib.suppress(OSError):  # the client went away, which is what many of these tests are about
            while line.open and (asked := _read_request(connection)):
                with self._lock:
                    self.requests.append(asked)
                    step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
                step(line)


def _read_request(connection: socketserver.StreamRequestHandler) -> Asked | None:
    first = connection.rfile.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while line := connection.rfile.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    target = urllib.parse.urlsplit(first[1])
    return Asked(first[0], target.path, urllib.parse.parse_qs(target.query), headers)
