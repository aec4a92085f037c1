"""A loopback server that answers every call to Slack with what it is told to: also what Slack itself would never say."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class ScriptedSlack:
    """Answers until its `with` block ends."""

    def __init__(self) -> None:
        self._answer: tuple[int, bytes, Mapping[str, str]] | None = None
        self._stopping = threading.Event()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted._reply(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is its base class's
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/"

    def will(self, status: int, body: str | bytes, headers: Mapping[str, str]) -> None:
        """Answer every call like this from now on."""
        self._answer = (status, body.encode() if isinstance(body, str) else body, headers)

    def will_be_silent(self) -> None:
        """Take every call and answer none."""
        self._answer = None

    def _reply(self, handler: BaseHTTPRequestHandler) -> None:
        if self._answer is None:
            self._stopping.wait(10)
            return
        status, body, headers = self._answer
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
