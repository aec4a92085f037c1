"""The main job on Postgres, and a Postgres that goes away for a while."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest
from sqlalchemy.engine import URL

from alertbot.store.database import Database


class Line:
    """A port of 127.0.0.1 that leads to a Postgres, and can be cut."""

    def __init__(self, url: URL) -> None:
        # A host that is a folder holds the server's socket.
        host = str(url.query.get("host") or url.host or "127.0.0.1")
        port = url.port or 5432
        self._target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._url = url
        self._open: list[socket.socket] = []
        self._server: socket.socket | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address of the database through this line."""
        through = self._url.set(drivername="postgresql", host="127.0.0.1", port=self._port)
        return through.difference_update_query(["host"]).render_as_string(hide_password=False)

    def connect(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and take no new one."""
        if self._server is not None:
            self._server.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = server.accept()
                theirs = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
                theirs.connect(self._target)
                self._open += [ours, theirs]
                for source, target in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=_forward, args=(source, target), daemon=True).start()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(postgres: Database) -> Iterator[Line]:
    with Line(postgres.url) as line:
        yield line


def test_the_main_job_on_a_postgres_that_goes_away_and_comes_back(new_stage, line):
    stage = new_stage(window="8s")
    stage.config["database"]["url"] = line.url
    stage.start()
    stage.bump(10)
    stage.click("acknowledge", "U2")
    stage.wait_for_word("Acknowledged")

    line.cut()
    stage.wait_for(lambda: stage.ready()[0] == 503)
    assert "database" in json.loads(stage.ready()[1])["reasons"]
    assert stage.get("/healthz")[0] == 200
    assert stage.get("/metrics")[0] == 503
    line.connect()
    stage.wait_for(lambda: stage.ready()[0] == 200)

    stage.bot.kill()
    stage.start()
    stage.wait_for_word("Resolved")
    stage.wait_for(lambda: stage.replies(":white_check_mark:"))
    stage.assert_said_once()
    assert stage.bot.terminate()[0] == 0


def test_two_halves_of_the_bot_share_a_postgres(new_stage, postgres):
    stage = new_stage(window="60s")
    stage.config["database"]["url"] = postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)
    app_token = stage.config["slack"].pop("app_token")
    stage.start("--only", "collector")  # which needs the bot token only
    assert stage.slack.connections == 0
    stage.config["slack"]["app_token"] = app_token
    stage.start("--only", "slack")
    stage.slack.wait_for_connection()
    stage.bump(10)
    stage.click("acknowledge", "U2")  # the one half hears it, the other one says it
    stage.wait_for_word("Acknowledged")
    assert "*1 firing* (1 acknowledged)" in stage.command("status")
    stage.assert_said_once()
