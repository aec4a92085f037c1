"""Requests by the standard library that end by their deadline, whatever the server does.

The time-out of urllib holds for one `recv` each: a server that sends a byte now and then keeps a request alive for hours. Here
it holds for the whole request, from the connection on. (Only the look-up of the host's name has a limit of its own.)
"""

import http.client
import io
import math
import socket
import time
import urllib.request
from typing import Any, cast

from alertbot.proxies import ProxyHandler


def open_url(request: urllib.request.Request, *, timeout: float) -> http.client.HTTPResponse:
    """The answer, to be read within `timeout` seconds from now. Raises what urllib raises, TimeoutError when it is late."""
    return cast("http.client.HTTPResponse", _opener().open(request, timeout=timeout))


def make_timeouts_total() -> None:
    """Let the time-outs of everything in this process that uses urllib, such as the Slack SDK, hold for whole requests."""
    urllib.request.install_opener(_opener())


class _PunctualReader(io.RawIOBase):
    """What a socket receives, until a deadline."""

    def __init__(self, stream: io.RawIOBase, sock: socket.socket, ends_at: float) -> None:
        self._stream = stream
        self._sock = sock
        self._ends_at = ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        self._sock.settimeout(None if math.isinf(left) else left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _PunctualSocket:
    """A connected socket as http.client uses it."""

    def __init__(self, sock: socket.socket, ends_at: float) -> None:
        self._sock = sock
        self._ends_at = ends_at

    def makefile(self, _mode: str) -> io.BufferedReader:
        raw = cast("io.RawIOBase", self._sock.makefile("rb", buffering=0))
        return io.BufferedReader(_PunctualReader(raw, self._sock, self._ends_at))

    def sendall(self, data: Any) -> None:
        left = self._ends_at - time.monotonic()
        self._sock.settimeout(None if math.isinf(left) else max(0.001, left))  # which holds for all of it
        self._sock.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _PlainConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        ends_at = _end_of(self)
        super().connect()
        self.sock = cast("Any", _PunctualSocket(self.sock, ends_at))


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        ends_at = _end_of(self)
        super().connect()
        self.sock = cast("Any", _PunctualSocket(self.sock, ends_at))


def _end_of(connection: http.client.HTTPConnection) -> float:
    return math.inf if connection.timeout is None else time.monotonic() + connection.timeout


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PlainConnection, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(ProxyHandler, _PlainHandler, _SecureHandler)
