"""The bot's own HTTP server: health, readiness, metrics, and Slack's signed deliveries."""

import http.client
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from alertbot.app.bot import Bot
from alertbot.app.http import HttpServer, Metrics
from alertbot.app.threads import Supervisor
from alertbot.config import load
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.demo.slack.deliveries import sign
from alertbot.demo.slack.server import SlackServer
from alertbot.demo.slack.transcript import plain_text
from alertbot.errors import AlertbotError
from tests.fakes import FakeProbes

EVENTS = "/slack/events"
FORM = "application/x-www-form-urlencoded"


def ask(
    port: int, method: str, path: str, body: str | bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body if isinstance(body, bytes) else body.encode(), dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


# --- the server by itself


@pytest.fixture
def answers() -> FakeProbes:
    return FakeProbes()


@pytest.fixture
def serve(answers: FakeProbes) -> Iterator[Callable[..., HttpServer]]:
    """Starts servers, and stops them at the end."""
    servers: list[HttpServer] = []

    def start(**more: Any) -> HttpServer:
        server = HttpServer(
            host="127.0.0.1", port=0, metrics=Metrics(), probes=answers, supervisor=Supervisor(), **more
        )
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def port(serve: Callable[..., HttpServer]) -> int:
    return serve().port


def test_health_is_told_while_the_process_lives_and_fails_when_its_ticks_stand_still(port, answers):
    assert ask(port, "GET", "/healthz") == (200, "ok\n")
    answers.unhealthy = "no tick for 61 s"
    assert ask(port, "GET", "/healthz") == (503, "no tick for 61 s\n")


def test_readiness_names_what_is_missing(port, answers):
    assert ask(port, "GET", "/readyz") == (200, '{"ready": true, "reasons": {}}')
    answers.reasons = {"sources": {"source acme": "never read"}}
    code, body = ask(port, "GET", "/readyz")
    assert (code, json.loads(body)) == (503, {"ready": False, "reasons": {"source acme": "never read"}})


def test_readiness_can_be_asked_for_without_some_checks(port, answers):
    answers.reasons = {"sources": {"source acme": "never read"}}
    assert ask(port, "GET", "/readyz?exclude=sources")[0] == 200
    assert ask(port, "GET", "/readyz?exclude=source")[0] == 503, "a name that is not known leaves nothing out"
    answers.reasons["slack"] = {"slack": "the socket is not connected"}
    code, body = ask(port, "GET", "/readyz?exclude=sources")
    assert (code, list(json.loads(body)["reasons"])) == (503, ["slack"])
    assert ask(port, "GET", "/readyz?exclude=sources&exclude=slack")[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing", EVENTS])
def test_an_answer_to_head_has_no_body_so_the_connection_can_be_used_again(port, path):
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        stream = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert stream.readline().startswith(b"HTTP/1.1 ")
            while stream.readline() != b"\r\n":
                pass
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert stream.read().endswith(b"\r\n\r\nok\n")


def test_a_client_that_does_not_wait_for_its_answers_gets_the_first_and_is_dropped(port):
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 150)
        sent = b"".join(iter(lambda: connection.recv(65536), b""))
    assert 1 <= sent.count(b"HTTP/1.1 200 OK") < 10, "some may be answered before the next are seen"


def half_open(port: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Connections that begin a request and never end it."""
    connections = []
    for _ in range(count):
        connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=30)))
        connection.sendall(b"POST /slack/events HTTP/1.1\r\nHost: x\r\n")
        connections.append(connection)
    return connections


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_it_goes_on_when_the_process_has_more_than_1024_files_open(port):
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(Path("/dev/null").open("rb"))
        assert ask(port, "GET", "/healthz") == (200, "ok\n")
        assert ask(port, "GET", "/healthz") == (200, "ok\n")


@pytest.mark.usefixtures("many_files")
def test_clients_that_never_end_their_request_shut_nobody_out(port):
    with ExitStack() as stack:
        half_open(port, 450, stack)
        assert ask(port, "GET", "/healthz") == (200, "ok\n")


def wait_until_dropped(connection: socket.socket) -> None:
    """Send a byte now and then until the other side has closed."""
    ends_at = time.monotonic() + 60
    connection.settimeout(0.05)
    while time.monotonic() < ends_at:
        try:
            connection.sendall(b"x")
            time.sleep(0.05)  # as slow a client as it is
        except TimeoutError:
            continue
        except ConnectionError:
            return
    pytest.fail("it is still connected")


def test_a_client_that_sends_a_byte_now_and_then_is_dropped(serve):
    server = serve(patience=1.0)
    with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        wait_until_dropped(connection)


def test_a_client_that_does_not_take_its_answer_is_dropped(serve, answers):
    answers.reasons = {"sources": {"source acme": "x" * 15_000_000}}  # more than fits between the two
    server = serve(patience=1.0)
    with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until_dropped(connection)


def test_probes_are_answered_while_every_thread_for_slack_waits(serve):
    go, waiting = threading.Event(), threading.Semaphore(0)

    def slow_slack(_environ: Any, respond: Any) -> list[bytes]:
        waiting.release()
        go.wait(60)
        respond("200 OK", [("Content-Length", "0")])
        return []

    server = serve(slack=slow_slack)
    posting = [threading.Thread(target=ask, args=(server.port, "POST", EVENTS, "x")) for _ in range(20)]
    for thread in posting:
        thread.start()
    for _ in range(8):
        assert waiting.acquire(timeout=60)
    assert ask(server.port, "GET", "/healthz")[0] == 200
    assert ask(server.port, "GET", "/readyz")[0] == 200
    go.set()
    for thread in posting:
        thread.join()


OTHERS = {
    "an unknown page": ("GET", "/nothing", 404),
    "the root": ("GET", "/", 404),
    "a post to the health": ("POST", "/healthz", 405),
    "a delete": ("DELETE", "/readyz", 405),
    "slack, where it uses the socket": ("GET", EVENTS, 404),
    "a post of slack's, where it uses the socket": ("POST", EVENTS, 405),
    "a page that wants to climb": ("GET", "/../healthz", 404),
}


@pytest.mark.parametrize(("method", "path", "code"), OTHERS.values(), ids=OTHERS.keys())
def test_anything_else_is_refused(port, method, path, code):
    assert ask(port, method, path)[0] == code


def test_metrics_are_not_given_where_they_would_be_old(port, answers):
    answers.old_gauges = "the database was last read 20 s ago"
    assert ask(port, "GET", "/metrics") == (503, "the database was last read 20 s ago\n")


def test_an_address_that_is_in_use_is_told_in_a_line():
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = other.getsockname()[1]
        with pytest.raises(AlertbotError, match=f"http.listen: cannot listen on 127.0.0.1:{taken}: .*in use"):
            HttpServer(host="127.0.0.1", port=taken, metrics=Metrics(), probes=FakeProbes(), supervisor=Supervisor())


# --- the server of a bot in HTTP mode


class Office:
    """A bot in HTTP mode, between the simulated Flashback and the Slack look-alike."""

    def __init__(self, folder: Path) -> None:
        start = datetime.now(UTC) - timedelta(hours=1)
        self.world = World.still(["llm-1", "llm-2"], start=start)
        self.flashback = FlashbackServer(self.world, clock=lambda: datetime.now(UTC))
        self.slack = SlackServer(page=False)
        self._folder = folder

    def open(self) -> None:
        self.flashback.start()
        self.slack.start()
        keys = {
            "database": {"url": f"sqlite:///{self._folder / 'alertbot.db'}"},
            "sources": [
                {"name": "acme", "base_url": self.flashback.url, "access_token": self.flashback.token, "interval": "1s"}
            ],
            "slack": {
                "bot_token": self.slack.bot_token,
                "signing_secret": self.slack.signing_secret,
                "mode": "http",
                "api_url": self.slack.api_url,
            },
            "routes": [{"group_wait": "0s"}],
            "rules": [{"name": "burst", "metric": "policy_violations", "window": "1h", "above": 5}],
            "http": {"listen": "127.0.0.1:0"},
        }
        path = self._folder / "config.yaml"
        path.write_text(yaml.safe_dump(keys), encoding="utf-8")
        self.bot = Bot(load(path, {}))
        self.bot.start()
        self.slack.deliver_to(f"http://127.0.0.1:{self.port}{EVENTS}")

    def close(self) -> None:
        self.bot.stop()
        self.slack.stop()
        self.flashback.stop()

    @property
    def port(self) -> int:
        port = self.bot.http_port
        assert port is not None
        return port

    def ready(self) -> tuple[int, dict[str, Any]]:
        code, body = ask(self.port, "GET", "/readyz")
        return code, json.loads(body)

    def send(self, body: str, *, headers: Mapping[str, str] | None = None, kind: str = FORM) -> tuple[int, str]:
        """A delivery, signed as Slack does unless other headers are given."""
        signed = sign(self.slack.signing_secret, body, int(time.time())) if headers is None else headers
        return ask(self.port, "POST", EVENTS, body, {"Content-Type": kind, **signed})

    def command(self, text: str, trigger: str = "1.2.3") -> str:
        """The body of a slash command whose answer nobody waits for."""
        return urlencode(
            {
                "command": "/alertbot",
                "text": text,
                "user_id": "U2",
                "team_id": "T0ACME0001",
                "trigger_id": trigger,
                "response_url": f"{self.slack.url}/commands/none",
            }
        )


@pytest.fixture
def new_office(tmp_path: Path) -> Iterator[Office]:
    """An office of one's own, which is not open yet."""
    office = Office(tmp_path)
    yield office
    office.close()


def test_a_bot_is_not_ready_before_its_first_reading_and_ready_after_it(new_office):
    office = new_office
    office.flashback.fail("/ai/llm/stats", 503)
    office.open()
    code, answer = office.ready()
    assert (code, answer["ready"]) == (503, False)
    assert answer["reasons"]["source acme"].startswith("never read")
    office.slack.wait_for(lambda: "503" in office.ready()[1]["reasons"]["source acme"])
    assert ask(office.port, "GET", "/healthz")[0] == 200
    office.flashback.clear()
    office.slack.wait_for(lambda: office.ready()[0] == 200)


def test_a_bot_whose_token_is_revoked_is_not_ready(new_office):
    office = new_office
    office.open()
    office.slack.wait_for(lambda: office.ready()[0] == 200)
    office.slack.revoke_token()
    office.world.bump("llm-2", "policy_violations", 10)
    office.slack.wait_for(lambda: "slack" in office.ready()[1]["reasons"])


@pytest.fixture(scope="module")
def firing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """With one alert that fires, A1, after a poll that failed."""
    office = Office(tmp_path_factory.mktemp("office"))
    office.flashback.fail("/ai/llm/stats", 503)
    office.open()
    office.slack.wait_for(lambda: 'outcome="failed"' in ask(office.port, "GET", "/metrics")[1])
    office.flashback.clear()
    office.slack.wait_for(lambda: office.ready()[0] == 200)
    office.world.bump("llm-1", "policy_violations", 10)
    office.slack.wait_for(lambda: "A1" in _seen(office, "alerts"))
    yield office
    office.close()


def _seen(office: Office, text: str) -> str:
    delivery = office.slack.command(f"/alertbot {text}")
    assert delivery.acknowledged, delivery.problem
    (answer,) = office.slack.wait_for(lambda: office.slack.answers(delivery))
    return plain_text(answer)


METRICS = (
    'alertbot_polls_total{outcome="failed",source="acme"}',
    'alertbot_polls_total{outcome="read",source="acme"}',
    'alertbot_flashback_requests_total{endpoint="/ai/llm/stats"',
    'alertbot_reading_age_seconds{source="acme"}',
    "alertbot_evaluation_seconds_count",
    'alertbot_alerts{severity="warning",state="firing"}',
    'alertbot_alerts{severity="critical",state="pending"} 0.0',
    "alertbot_outbox_depth",
    "alertbot_outbox_oldest_age_seconds",
    'alertbot_slack_calls_total{method="chat.postMessage"',
)


def test_metrics_tell_of_polls_ages_alerts_the_outbox_and_slack(firing):
    firing.slack.wait_for(lambda: METRICS[-1] in ask(firing.port, "GET", "/metrics")[1])
    code, body = ask(firing.port, "GET", "/metrics")
    assert code == 200
    for metric in METRICS:
        assert f"\n{metric}" in body, body
    assert "_created" not in body


def test_a_signed_command_is_answered(firing):
    assert firing.send(firing.command("help")) == (200, "")
    assert "/alertbot snooze" in _seen(firing, "help")


def _signed_as(office: Office, body: str, **changed: str) -> dict[str, str]:
    return {**sign(office.slack.signing_secret, body, int(time.time())), **changed}


FORGERIES: dict[str, Callable[[Office, str], dict[str, str]]] = {
    "unsigned": lambda _office, _body: {},
    "signed with another secret": lambda _office, body: sign("another secret", body, int(time.time())),
    "signed for another body": lambda office, body: sign(office.slack.signing_secret, f"{body}x", int(time.time())),
    "six minutes old": lambda office, body: sign(office.slack.signing_secret, body, int(time.time()) - 360),
    "six minutes ahead": lambda office, body: sign(office.slack.signing_secret, body, int(time.time()) + 360),
    "with a time that is no number": lambda office, body: _signed_as(office, body, **{STAMP: "yesterday"}),
    "with a time in other digits": lambda office, body: _signed_as(
        office, body, **{STAMP: "1٢3".encode().decode("latin-1")}
    ),
    "with a time of five thousand digits": lambda office, body: _signed_as(office, body, **{STAMP: "9" * 5000}),
    "with a negative time": lambda office, body: _signed_as(office, body, **{STAMP: "-5"}),
    "with an empty time": lambda office, body: _signed_as(office, body, **{STAMP: ""}),
    "with a signature that is not ASCII": lambda office, body: _signed_as(
        office, body, **{"X-Slack-Signature": "v0=\xe9"}
    ),
    "with the version left out": lambda office, body: _signed_as(office, body, **{"X-Slack-Signature": "abc"}),
}
STAMP = "X-Slack-Request-Timestamp"


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
@pytest.mark.parametrize("broken", [False, True], ids=["a command", "a broken payload"])
def test_what_slack_did_not_sign_just_now_is_refused_whatever_it_holds(firing, forge, broken):
    body = "payload=%7Bbroken" if broken else firing.command("ack A1")
    code, _ = firing.send(body, headers=forge(firing, body))
    assert code == 401
    assert ":eyes:" not in _seen(firing, "alerts")


BROKEN = {
    "a payload that is cut": ("payload=%7B%22type%22%3A", FORM),
    "a payload that is a list": ("payload=%5B1%5D", FORM),
    "a payload that is a number": ("payload=7", FORM),
    "an empty payload": ("payload=", FORM),
    "two payloads, one of them broken": ("payload=%7B%7D&payload=%7B", FORM),
    "JSON that is cut": ('{"type": "event_callback"', "application/json"),
    "a list": ("[1, 2]", "application/json"),
    "JSON of another shape": ('{"authorizations": 3}', "application/json"),
    "JSON without end": ("[" * 50_000, "application/json"),
    "nothing": ("", "application/json"),
}


@pytest.mark.parametrize(("body", "kind"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_signed_and_cannot_be_read_is_a_mistake_of_the_sender(firing, body, kind):
    code, _ = firing.send(body, kind=kind)
    assert 400 <= code < 500


def test_bytes_that_are_not_utf_8_are_refused(firing):
    code, _ = ask(
        firing.port, "POST", EVENTS, b"payload=\xff\xfe", {"Content-Type": FORM, STAMP: str(int(time.time()))}
    )
    assert code == 401


def test_slack_may_look_at_the_certificate_without_a_signature(firing):
    assert firing.send("ssl_check=1&token=x", headers={}) == (200, "")


def test_a_challenge_is_answered(firing):
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "x"})
    code, answer = firing.send(body, kind="application/json")
    assert (code, "abc" in answer) == (200, True)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_deliveries_are_posted(firing, method):
    assert ask(firing.port, method, EVENTS)[0] == 405


def test_a_body_larger_than_any_of_slacks_is_not_read(firing):
    with closing(http.client.HTTPConnection("127.0.0.1", firing.port, timeout=10)) as connection:
        connection.putrequest("POST", EVENTS)
        connection.putheader("Content-Length", str(2 * 1024 * 1024))
        connection.endheaders(b"payload=")  # the answer comes before the body
        assert connection.getresponse().status == 413


def test_an_unknown_command_button_or_event_is_acknowledged_or_refused_but_no_failure_of_ours(firing):
    click = {"type": "block_actions", "actions": [{"action_id": "unknown", "type": "button"}], "user": {"id": "U1"}}
    event = {"type": "event_callback", "event": {"type": "app_mention", "user": "U1"}, "team_id": "T0ACME0001"}
    assert firing.send(urlencode({"payload": json.dumps(click)}))[0] == 200
    assert firing.send(json.dumps(event), kind="application/json")[0] == 200
    assert firing.send(urlencode({"command": "/other", "text": ""}))[0] < 500


def test_the_same_signed_request_sent_again_acts_once(firing):
    body = firing.command("ack A1", trigger="9.9.9")
    headers = sign(firing.slack.signing_secret, body, int(time.time()))
    assert firing.send(body, headers=headers)[0] == 200
    firing.slack.wait_for(lambda: ":eyes: <@U2>" in _seen(firing, "alerts"))
    assert firing.send(firing.command("unack A1", trigger="9.9.10"))[0] == 200
    firing.slack.wait_for(lambda: ":eyes:" not in _seen(firing, "alerts"))
    assert firing.send(body, headers=headers)[0] == 200
    assert ":eyes:" not in _seen(firing, "alerts")
