"""The watcher outside gets its ping, and what it answers does not hold anything up."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta

import pytest

from alertbot.app.heartbeat import Heartbeat
from alertbot.errors import SlackError
from alertbot.slack import bot
from tests.captured_log import CapturedLog, captured_log


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    with captured_log() as captured:
        yield captured


class Watcher:
    """A server that answers each request with the same bytes, and then with one byte now and then."""

    def __init__(self, answer: bytes, *, drips: bytes = b"") -> None:
        self.answer, self._drips = answer, drips
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/secret-path"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            connection.recv(65536)
            connection.sendall(self.answer)
            while self._drips and not self._stopped.wait(0.05):
                connection.sendall(self._drips)

    def stop(self) -> None:
        self._stopped.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def watcher() -> Iterator[Callable[..., Watcher]]:
    watchers: list[Watcher] = []

    def start(answer: bytes, **more: bytes) -> Watcher:
        watchers.append(Watcher(answer, **more))
        return watchers[-1]

    yield start
    for each in watchers:
        each.stop()


FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
ANSWERS = {
    "that is no HTTP": (b"\x16\x03\x01 rubbish\r\n\r\n", "the answer is no HTTP"),
    "that ends at once": (b"", "RemoteDisconnected"),
    "of an error": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
    "that is gone": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404"),
}


@pytest.mark.parametrize(("answer", "error"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_other_than_success_is_logged_once_and_when_it_is_over(watcher, log, answer, error):
    server = watcher(answer)
    heartbeat = Heartbeat(server.url)
    heartbeat.ping()
    heartbeat.ping()
    server.answer = FINE
    heartbeat.ping()
    heartbeat.ping()
    assert [(line["event"], line.get("error")) for line in log.lines()] == [
        ("heartbeat_failed", error),
        ("heartbeat_works", None),
    ]
    assert "secret-path" not in log.text


DRIPS = {
    "in its status": (b"", b"H"),
    "in its headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "in its body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"."),
}


@pytest.mark.parametrize(("begins", "drips"), DRIPS.values(), ids=DRIPS.keys())
def test_an_answer_that_drips_ends_in_time(watcher, log, begins, drips):
    Heartbeat(watcher(begins, drips=drips).url, timeout=0.5).ping()
    assert [line["error"] for line in log.lines()] == ["no complete answer in time"]


@pytest.mark.parametrize(("begins", "drips"), DRIPS.values(), ids=DRIPS.keys())
def test_a_slack_that_drips_holds_no_thread(watcher, begins, drips):
    server = watcher(begins, drips=drips)
    client = bot.web_client("xoxb-1", api_url=f"{server.url}/", timeout=timedelta(seconds=1))
    with pytest.raises(SlackError):
        bot.identify(client)
    with pytest.raises(SlackError):
        bot.post_webhook(server.url, "hello", timeout=timedelta(seconds=1))
