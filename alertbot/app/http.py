"""Health, readiness and metrics over HTTP, and Slack's deliveries where its HTTP mode is used."""

import json
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol, cast
from urllib.parse import parse_qs

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from alertbot.app.threads import Supervisor
from alertbot.errors import AlertbotError

Environ = dict[str, Any]
Respond = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[Environ, Respond], Iterable[bytes]]
_SLACK_PATH = "/slack/events"
_KIBIBYTE = 1024
_LARGEST_BODY = 512 * _KIBIBYTE  # a delivery of Slack's is some kilobytes
_LARGEST_HEADER = 64 * _KIBIBYTE
_LARGEST_ANSWER = 16 * _KIBIBYTE * _KIBIBYTE  # the metrics of thousands of sources are one
_CONNECTIONS = 200  # at the same time; above it the one that has kept us waiting longest is dropped for each new one
_PATIENCE = 10.0  # seconds; an honest client needs a fraction of one
_KEPT_ALIVE = 75.0  # seconds that a connection may idle between requests: longer than a scrape interval of Prometheus
_SLACK_THREADS, _PROBE_THREADS = 8, 2


class Metrics:
    """What Prometheus reads. Counters are counted where things happen; gauges are filled when they are read."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for
        self.registry = CollectorRegistry()
        registry = self.registry
        self.polls = Counter(
            "alertbot_polls", "Polls of a source, by outcome", ["source", "outcome"], registry=registry
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
        self.outbox_depth = Gauge("alertbot_outbox_depth", "Notifications waiting to be sent", registry=registry)
        self.outbox_age = Gauge(
            "alertbot_outbox_oldest_age_seconds",
            "Seconds that the oldest notification has been waiting",
            registry=registry,
        )
        self.gauges_filled = Gauge(
            "alertbot_gauges_timestamp_seconds",
            "When the gauges of alerts, readings and the outbox were last filled",
            registry=registry,
        )
        self.slack_calls = Counter("alertbot_slack_calls", "Calls to Slack", ["method", "outcome"], registry=registry)
        self.ticks_failed = Counter("alertbot_ticks_failed", "Scheduler ticks that failed", ["tick"], registry=registry)


class ProbeAnswers(Protocol):
    """What is answered without waiting for anything. An empty text, or mapping, says that nothing is wrong."""

    def unhealthy_reasons(self) -> str: ...
    def not_ready_reasons(self, exclude: Collection[str] = ()) -> Mapping[str, str]: ...
    def why_gauges_are_old(self) -> str: ...


class HttpServer:
    """Serves `/healthz`, `/readyz` and `/metrics`; `slack` answers `/slack/events` where it is given.

    Raises AlertbotError where the address cannot be listened on.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        metrics: Metrics,
        probes: ProbeAnswers,
        supervisor: Supervisor,
        slack: Wsgi | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        """`patience` is how many seconds a client gets for a whole request, and for taking an answer."""
        self._metrics = metrics
        self._probes = probes
        self._supervisor = supervisor
        self._slack = slack
        self._lanes = _Lanes(supervisor)
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
            )
            self._server = create_server(
                self._answer,
                _dispatcher=cast("Any", self._lanes),
                sockets=[self._socket],
                asyncore_use_poll=True,  # select() fails with file number 1024, and ends the thread with it
                connection_limit=2 * _CONNECTIONS,
                ident=None,
                max_request_header_size=_LARGEST_HEADER,
                max_request_body_size=_LARGEST_BODY,
                # In memory: there may be no folder to write to.
                inbuf_overflow=2 * _LARGEST_BODY,
                outbuf_overflow=_LARGEST_ANSWER,
                outbuf_high_watermark=_LARGEST_ANSWER,
                clear_untrusted_proxy_headers=True,
            )
        except OSError as error:
            raise AlertbotError(f"http.listen: cannot listen on {host}:{port}: {error.strerror or error}") from error
        server = cast("Any", self._server)  # its annotations do not know what it is with one socket
        server.channel_class, server.patience = _Channel, patience
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; of interest where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        self._lanes.start()
        self._thread = self._supervisor.start("http", self._server.run)

    def stop(self) -> None:
        """Finish the answers under way, and close."""
        self._lanes.shutdown(cancel_pending=True, timeout=2)
        server = cast("Any", self._server)  # its annotations do not know what it is with one socket

        def close() -> None:
            server.close()
            for channel in list(server.active_channels.values()):
                channel.handle_close()

        # By the server's own thread, which would stumble over a socket that is closed while it waits for it. The lock
        # is held for as long as that thread must not run `close`: it closes the pipe by which it is woken, too.
        with server.trigger.lock:
            server.trigger.thunks.append(close)
            server.trigger._physical_pull()  # noqa: SLF001 — pull_trigger() lets go of the lock before it pulls
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _answer(self, environ: Environ, respond: Respond) -> Iterable[bytes]:
        body = self._body(environ, respond)
        # The body of an answer to HEAD would be read as the beginning of the next answer.
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else body

    def _body(self, environ: Environ, respond: Respond) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == _SLACK_PATH and self._slack is not None:
            return self._deliver(environ, respond)
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _text(respond, "405 Method Not Allowed", "only GET\n")
        if path == "/healthz":
            reason = self._probes.unhealthy_reasons()
            return _text(respond, "503 Service Unavailable" if reason else "200 OK", f"{reason or 'ok'}\n")
        if path == "/readyz":
            return self._tell_readiness(environ, respond)
        if path == "/metrics":
            return self._measure(respond)
        return _text(respond, "404 Not Found", "there is /healthz, /readyz and /metrics\n")

    def _tell_readiness(self, environ: Environ, respond: Respond) -> Iterable[bytes]:
        excluded = parse_qs(environ.get("QUERY_STRING", "")).get("exclude", [])
        reasons = self._probes.not_ready_reasons(frozenset(excluded))
        status = "503 Service Unavailable" if reasons else "200 OK"
        body = json.dumps({"ready": not reasons, "reasons": dict(reasons)}).encode()
        respond(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _measure(self, respond: Respond) -> Iterable[bytes]:
        reason = self._probes.why_gauges_are_old()
        if reason:
            return _text(respond, "503 Service Unavailable", f"{reason}\n")
        body = generate_latest(self._metrics.registry)
        respond("200 OK", [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(body)))])
        return [body]

    def _deliver(self, environ: Environ, respond: Respond) -> Iterable[bytes]:
        assert self._slack is not None, "asked only where Slack's HTTP mode is on"
        if environ.get("REQUEST_METHOD") != "POST":
            return _text(respond, "405 Method Not Allowed", "only POST\n")
        return self._slack(environ, respond)


class _Channel(HTTPChannel):
    """A connection that does not keep us waiting: neither for its request nor while it takes the answer.

    Waitress drops a connection only when nothing at all came for a while: a byte now and then keeps it open for ever.
    Connections wait in the one thread that runs them all, so however many they are they hold no thread.
    """

    def __init__(self, server: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(server, *arguments, **more)
        self._patience: float = server.patience
        self.waits_since = time.monotonic()
        self._was_answered = self._has_sent_ahead = False
        self._unread_since: float | None = None
        channels: list[_Channel] = list(server.active_channels.values())
        waiting = [channel for channel in channels if not channel.requests and not channel.will_close]
        if len(channels) > _CONNECTIONS and waiting:
            min(waiting, key=lambda channel: channel.waits_since).will_close = True

    def received(self, data: bytes) -> bool:
        if self._was_answered and self.request is None:  # the next request begins
            self._was_answered = False
            self.waits_since = time.monotonic()
        was_taken = bool(super().received(data))
        channel = cast("Any", self)  # its annotations do not know its lock
        with channel.requests_lock:
            if len(channel.requests) > 1:  # no client of ours does so, and hundreds of answers would wait in memory
                self._has_sent_ahead = True
                del channel.requests[1:]
        return was_taken

    def service(self) -> None:
        super().service()
        self._was_answered = True
        self.waits_since = time.monotonic()
        if self._has_sent_ahead:
            self.close_when_flushed = True

    def writable(self) -> bool:
        """Asked each second at least."""
        now = time.monotonic()
        if not self.total_outbufs_len:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        if self._unread_since is not None and now - self._unread_since > self._patience:
            self.handle_close()  # not by `will_close`, for which waitress waits until it can be written to
            return False
        patience = _KEPT_ALIVE if self._was_answered and self.request is None else self._patience
        if not self.requests and now - self.waits_since > patience:
            self.will_close = True
        return bool(super().writable())


class _Lanes:
    """Threads for complete requests. Slack's may wait for the database; probes have threads of their own."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._slack = _Lane("http-slack", supervisor)
        self._probes = _Lane("http-probe", supervisor)

    def start(self) -> None:
        self._slack.set_thread_count(_SLACK_THREADS)
        self._probes.set_thread_count(_PROBE_THREADS)

    def add_task(self, channel: Any) -> None:
        lane = self._slack if getattr(channel.requests[0], "path", "") == _SLACK_PATH else self._probes
        lane.add_task(channel)

    def shutdown(self, *, cancel_pending: bool = True, timeout: int = 5) -> None:
        for lane in (self._probes, self._slack):
            lane.shutdown(cancel_pending, timeout)


class _Lane(ThreadedTaskDispatcher):
    def __init__(self, name: str, supervisor: Supervisor) -> None:
        super().__init__()
        self._name = name
        self._supervisor = supervisor

    def start_new_thread(self, target: Callable[[int], object], thread_no: int) -> None:
        self._supervisor.start(f"{self._name}-{thread_no}", lambda: target(thread_no))


def _text(respond: Respond, status: str, text: str) -> list[bytes]:
    body = text.encode()
    respond(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
