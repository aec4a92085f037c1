"""Health, readiness and metrics over HTTP, and Slack's deliveries where its HTTP mode is used."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from waitress.server import create_server

from alertbot.errors import AlertbotError

Environ = dict[str, Any]
Respond = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[Environ, Respond], Iterable[bytes]]
_LARGEST_BODY = 1024 * 1024  # a delivery of Slack's is some kilobytes


class Metrics:
    """What Prometheus reads. Counters are counted where things happen; gauges are filled when they are read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.polls = Counter(
            "alertbot_polls", "Polls of a source, by what came of them", ["source", "outcome"], registry=registry
        )
        self.requests = Counter(
            "alertbot_flashback_requests", "Requests to Flashback", ["source", "endpoint", "outcome"], registry=registry
        )
        self.reading_age = Gauge(
            "alertbot_reading_age_seconds",
            "Seconds since the last good reading of a source",
            ["source"],
            registry=registry,
        )
        self.evaluation = Histogram(
            "alertbot_evaluation_seconds",
            "Seconds that the evaluation of all rules took",
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30),
            registry=registry,
        )
        self.alerts = Gauge("alertbot_alerts", "Alerts by state and severity", ["state", "severity"], registry=registry)
        self.outbox_depth = Gauge("alertbot_outbox_depth", "Notices that wait to be sent", registry=registry)
        self.outbox_age = Gauge(
            "alertbot_outbox_oldest_age_seconds", "Seconds that the oldest notice has waited", registry=registry
        )
        self.slack_calls = Counter("alertbot_slack_calls", "Calls to Slack", ["method", "outcome"], registry=registry)
        self.ticks_failed = Counter(
            "alertbot_ticks_failed", "Ticks of the scheduler that raised", ["tick"], registry=registry
        )


class HttpServer:
    """Serves `/healthz`, `/readyz` and `/metrics`; `slack` answers `/slack/events` where it is given.

    `unready` names the reasons why the bot is not ready; `refresh` fills the gauges before they are read.
    Raises AlertbotError where the address cannot be listened on.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        metrics: Metrics,
        unready: Callable[[], Mapping[str, str]],
        refresh: Callable[[], None],
        slack: Wsgi | None = None,
    ) -> None:
        self._metrics = metrics
        self._unready = unready
        self._refresh = refresh
        self._slack = slack
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
            )
            self._server = create_server(
                self._answer,
                sockets=[self._socket],
                threads=8,
                ident=None,
                max_request_body_size=_LARGEST_BODY,
                clear_untrusted_proxy_headers=True,
            )
        except OSError as error:
            raise AlertbotError(f"http.listen: cannot listen on {host}:{port}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on; of interest where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the answers under way, and close."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=2)
        server = cast("Any", self._server)  # its annotations do not know what it is with one socket

        def close() -> None:
            server.close()
            for channel in list(server.active_channels.values()):
                channel.handle_close()

        # By the server's own thread, which would stumble over a socket that is closed while it waits for it. The lock is
        # held for as long as that thread must not run `close`: it closes the pipe by which it is woken, too.
        with server.trigger.lock:
            server.trigger.thunks.append(close)
            server.trigger._physical_pull()  # noqa: SLF001 — pull_trigger() lets go of the lock before it pulls
        self._thread.join(timeout=2)

    def _answer(self, environ: Environ, respond: Respond) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/slack/events" and self._slack is not None:
            return self._deliver(environ, respond)
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _text(respond, "405 Method Not Allowed", "only GET\n")
        if path == "/healthz":
            return _text(respond, "200 OK", "ok\n")
        if path == "/readyz":
            reasons = dict(self._unready())
            status = "503 Service Unavailable" if reasons else "200 OK"
            body = json.dumps({"ready": not reasons, "reasons": reasons}).encode()
            respond(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        if path == "/metrics":
            return self._measure(respond)
        return _text(respond, "404 Not Found", "there is /healthz, /readyz and /metrics\n")

    def _measure(self, respond: Respond) -> Iterable[bytes]:
        try:
            self._refresh()
        except AlertbotError as error:  # stale gauges would say that all is well
            return _text(respond, "503 Service Unavailable", f"{error.lines[0]}\n")
        body = generate_latest(self._metrics.registry)
        respond("200 OK", [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(body)))])
        return [body]

    def _deliver(self, environ: Environ, respond: Respond) -> Iterable[bytes]:
        assert self._slack is not None, "asked only where Slack's HTTP mode is on"
        if environ.get("REQUEST_METHOD") != "POST":
            return _text(respond, "405 Method Not Allowed", "only POST\n")
        return self._slack(environ, respond)


def _text(respond: Respond, status: str, text: str) -> list[bytes]:
    body = text.encode()
    respond(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
