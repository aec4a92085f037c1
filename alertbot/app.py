"""The only place that builds things and reads the clock; starts in order, stops in reverse."""

import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Flag, auto

import structlog

from alertbot import __version__
from alertbot.config import Config, Source
from alertbot.domain.alerts import State
from alertbot.domain.rules import Severity
from alertbot.errors import AlertbotError, SlackError, SlackRefused
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.reader import SourceReader
from alertbot.flows.collect import Polled, Polling, collect
from alertbot.flows.deliver import Delivery, Sender, claim_due, deliver
from alertbot.flows.evaluate import Watch, blind_rule, evaluate
from alertbot.flows.speak import speak_when_due
from alertbot.flows.thin import Keep, thin
from alertbot.http import HttpServer, Metrics, Wsgi
from alertbot.scheduler import Scheduler
from alertbot.slack import bot
from alertbot.slack.bot import Identity
from alertbot.slack.commands import Desk
from alertbot.slack.failures import translated
from alertbot.slack.sender import SlackSender
from alertbot.slack.signed import only_signed
from alertbot.store import alerts, migrate, outbox, sources
from alertbot.store.database import Database

log = structlog.get_logger()
_DRAIN = 8.0  # seconds that what is in flight gets at the end; service managers begin to kill after 10
_THIN_EVERY = 600.0  # seconds: each run has little to do then
_SLACK_TIMEOUT = timedelta(seconds=10)
_READINGS_MISSED = 3  # a source is not ready when it was not read for this many intervals


class Parts(Flag):
    """Which halves of the bot run in this process."""

    COLLECTOR = auto()
    SLACK = auto()
    ALL = COLLECTOR | SLACK


@dataclass(frozen=True, slots=True)
class Clock:
    """The time. A demo's clock runs `speed` times as fast from `origin` on."""

    speed: float = 1.0
    origin: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    started: float = 0.0

    @classmethod
    def fast(cls, speed: float) -> "Clock":
        """A clock that shows the present now, and then runs at this speed."""
        return cls(speed, datetime.now(UTC), time.monotonic())

    def __call__(self) -> datetime:
        if self.speed == 1.0:
            return datetime.now(UTC)
        return self.origin + timedelta(seconds=(time.monotonic() - self.started) * self.speed)


def open_database(config: Config) -> Database:
    """The configured database, whatever its schema. Raises StoreError if it cannot be opened."""
    return Database(config.database.url.get_secret_value())


def intervals_of(config: Config) -> dict[str, timedelta]:
    """How often each source is read, by its name."""
    return {source.name: source.interval for source in config.sources}


def watch_of(config: Config) -> Watch:
    """What evaluation needs of the configuration: its rules and the built-in ones, its routes, its sources."""
    blind = tuple(blind_rule(source.name, source.blind_after) for source in config.sources)
    return Watch((*config.rules, *blind), config.routes, intervals_of(config), config.slack.operator_channel)


def reader_of(source: Source, *, clock: Callable[[], datetime], metrics: Metrics) -> SourceReader:
    """A reader of one source."""

    def count(endpoint: str, outcome: str, _seconds: float) -> None:
        metrics.requests.labels(source.name, endpoint, outcome).inc()

    token = source.access_token.get_secret_value() if source.access_token else ""
    client = FlashbackClient(
        source.base_url,
        access_token=lambda: token,
        timeout=source.timeout,
        now=clock,
        on_request=count,
        concurrency=source.concurrency,
    )
    return SourceReader(client, clock=clock, concurrency=source.concurrency)


class Collector:
    """Polls, evaluates and delivers. `sender` says how things are said."""

    def __init__(
        self, config: Config, database: Database, sender: Sender, *, clock: Callable[[], datetime], metrics: Metrics
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._watch = watch_of(config)
        kept = config.database.keep
        self._keep = Keep(kept.raw, kept.hourly, kept.daily)
        # Whoever has taken a lease is known by this name; no two processes share one.
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._delivery = Delivery(sender, self._owner, clock)
        self._readers = {source.name: reader_of(source, clock=clock, metrics=metrics) for source in config.sources}
        self._pollings = [
            Polling(source.name, source.interval, source.interval + 3 * source.timeout, self._readers[source.name])
            for source in config.sources
        ]
        self._pool = ThreadPoolExecutor(max_workers=max(4, min(32, len(self._pollings))), thread_name_prefix="poll")
        self._senders = ThreadPoolExecutor(max_workers=4, thread_name_prefix="send")
        self._polling: dict[str, Future[None]] = {}
        self._sending: list[Future[None]] = []
        self._evaluating = threading.Lock()
        self._delivering = threading.Lock()
        self._stopping = threading.Event()
        with database.transaction() as tx:
            sources.remember(tx, [polling.name for polling in self._pollings])

    def poll_due(self) -> None:
        """Start a poll of each source that is not being polled; whether it is due is decided in the database."""
        for polling in self._pollings:
            running = self._polling.get(polling.name)
            if not self._stopping.is_set() and (running is None or running.done()):
                self._polling[polling.name] = self._pool.submit(self._poll, polling)

    def cycle(self) -> dict[str, Polled]:
        """Poll every source at once, evaluate, say what is to be said without waiting, and deliver it."""
        outcomes = {polling.name: self._collect(polling, at_once=True) for polling in self._pollings}
        self.evaluate()
        self.listen()
        self.deliver()
        return outcomes

    def _poll(self, polling: Polling) -> None:
        try:
            if self._collect(polling) is Polled.READ:
                self.evaluate()
                self.deliver()
        except Exception:  # one source's failure must not end the polls of the others
            log.exception("poll_broke", source=polling.name)
            self._metrics.polls.labels(polling.name, "broke").inc()

    def _collect(self, polling: Polling, *, at_once: bool = False) -> Polled:
        outcome = collect(self._database, polling, owner=self._owner, now=self._clock(), at_once=at_once)
        if outcome is not Polled.NOT_DUE:
            self._metrics.polls.labels(polling.name, outcome.value).inc()
        return outcome

    def evaluate(self) -> None:
        """Evaluate what was read, and what depends on the clock."""
        with self._evaluating:
            started = time.monotonic()
            if evaluate(self._database, self._watch, now=self._clock()):
                self._metrics.evaluation.observe(time.monotonic() - started)

    def listen(self) -> None:
        """Say what has come due though nothing happened."""
        speak_when_due(self._database, now=self._clock())

    def thin(self) -> None:
        """Delete the readings that are no longer wanted."""
        thin(self._database, self._keep, list(self._watch.intervals), now=self._clock())

    def deliver(self) -> None:
        """Send what waits, until nothing does that may be sent now."""
        if not self._delivering.acquire(blocking=False):
            return
        try:
            while not self._stopping.is_set():
                rows = claim_due(self._database, self._delivery)
                if not rows:
                    return
                self._sending = [self._senders.submit(deliver, self._database, self._delivery, row) for row in rows]
                for sent in self._sending:
                    sent.result()
        finally:
            self._delivering.release()

    def wake(self) -> None:
        """Send soon what a person's act has caused."""
        if not self._stopping.is_set():
            self._pool.submit(self.deliver)

    def refrain(self) -> None:
        """Claim nothing more, neither a source nor a notice."""
        self._stopping.set()

    def stop(self, *, within: float = _DRAIN) -> None:
        """Give what is in flight its seconds; what is not done then is found out by whoever starts next."""
        self.refrain()
        wait([*self._polling.values(), *self._sending], timeout=within)
        self._senders.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for reader in self._readers.values():
            reader.close()
        with self._database.transaction() as tx:
            outbox.release_all(tx, owner=self._owner)


class Bot:
    """The whole bot in one process. `start` raises AlertbotError for what an operator has to mend first."""

    def __init__(
        self,
        config: Config,
        *,
        parts: Parts = Parts.ALL,
        clock: Clock | None = None,
        sender: Sender | None = None,
        with_migrations: bool = True,
    ) -> None:
        self._config = config
        self._parts = parts
        self._clock = clock or Clock()
        self._metrics = Metrics()
        self._identity: Identity | None = None
        self._database = open_database(config)
        self._scheduler = Scheduler()
        self._socket: bot.Socket | None = None
        self._collector: Collector | None = None
        self._given_sender = sender
        self._with_migrations = with_migrations
        token = config.slack.bot_token.get_secret_value() if config.slack.bot_token else ""
        self._client = bot.web_client(token, api_url=config.slack.api_url, timeout=_SLACK_TIMEOUT)

    def start(self) -> None:
        """Open the database, greet Slack, and begin."""
        if self._with_migrations:
            migrate.upgrade(self._database)
        else:
            migrate.require_newest(self._database)
        if self._given_sender is None:
            self._greet()
        if Parts.COLLECTOR in self._parts:
            self._collector = Collector(
                self._config,
                self._database,
                self._given_sender or SlackSender(self._client, on_call=self._count_call),
                clock=self._clock,
                metrics=self._metrics,
            )
        wsgi = self._answer_slack() if Parts.SLACK in self._parts and self._given_sender is None else None
        listen = self._config.http.listen
        self._http = HttpServer(
            host=listen.host,
            port=listen.port,
            metrics=self._metrics,
            unready=self.unready,
            refresh=self._refresh,
            slack=wsgi,
        )
        self._http.start()
        self._schedule()
        log.info("started", version=__version__, database=self._database.place, http_port=self._http.port)

    def _schedule(self) -> None:
        pace = 1.0 / self._clock.speed if self._clock.speed > 1 else 1.0
        pace = max(0.05, pace)
        if self._collector is not None:
            self._scheduler.every(pace, "poll", self._collector.poll_due)
            self._scheduler.every(pace, "evaluate", self._collector.evaluate)
            self._scheduler.every(pace, "listen", self._collector.listen)
            self._scheduler.every(min(pace, 0.5), "deliver", self._collector.deliver)
            self._scheduler.every(_THIN_EVERY * pace, "thin", self._collector.thin)
        if self._given_sender is None:
            self._scheduler.every(60.0, "greet", self._greet_again)
        self._scheduler.start()

    def stop(self) -> None:
        """Stop claiming, finish what is in flight, close."""
        log.info("stopping")
        ends_at = time.monotonic() + _DRAIN
        if self._collector is not None:
            self._collector.refrain()
        closing = [threading.Thread(target=self._scheduler.stop, daemon=True)]
        if self._socket is not None:
            closing.append(threading.Thread(target=self._socket.close, daemon=True))
        for thread in closing:
            thread.start()
        if self._collector is not None:
            self._collector.stop(within=ends_at - time.monotonic())
        for thread in closing:
            thread.join(max(0.0, ends_at - time.monotonic()))
        self._http.stop()
        self._database.close()
        log.info("stopped")

    @property
    def http_port(self) -> int:
        return self._http.port

    def _greet(self) -> None:
        """Learn who we are. A refused token ends the start; a Slack that cannot be reached does not: alerts are kept."""
        try:
            self._identity = bot.identify(self._client)
        except SlackRefused as error:
            raise AlertbotError(f"slack.bot_token: Slack refuses it: {error.code}") from error
        except SlackError as error:
            log.warning("slack_not_reached", code=error.code)

    def _greet_again(self) -> None:
        try:
            self._identity = bot.identify(self._client)
        except SlackError as error:
            self._identity = None
            log.warning("slack_not_reached", code=error.code)

    def _known_identity(self) -> Identity:
        return self._identity or bot.identify(self._client)

    def _answer_slack(self) -> Wsgi | None:
        """Begin to answer commands and clicks, by the socket or by HTTP."""
        slack = self._config.slack
        desk = Desk(
            database=self._database,
            clock=self._clock,
            wake=self._collector.wake if self._collector is not None else lambda: None,
            command=slack.command,
            intervals=intervals_of(self._config),
            blind_after={source.name: source.blind_after for source in self._config.sources},
            rules=watch_of(self._config).rules,
        )
        secret = slack.signing_secret.get_secret_value() if slack.signing_secret else None
        app = bot.build(self._client, identity=self._known_identity, signing_secret=secret, desk=desk)
        if slack.mode == "http":
            assert secret is not None, "asked for before the start"
            return only_signed(app, signing_secret=secret)
        assert slack.app_token is not None, "asked for before the start"
        app_token = slack.app_token.get_secret_value()
        self._check_app_token(app_token)
        self._socket = bot.Socket(app, app_token)
        threading.Thread(target=self._connect, name="socket", daemon=True).start()
        return None

    def _check_app_token(self, app_token: str) -> None:
        """A refused app token has to be found out here: the SDK would try it for ever."""
        try:
            with translated("apps.connections.open"):
                self._client.apps_connections_open(app_token=app_token)
        except SlackRefused as error:
            raise AlertbotError(f"slack.app_token: Slack refuses it: {error.code}") from error
        except SlackError as error:
            log.warning("slack_not_reached", code=error.code)

    def _connect(self) -> None:
        """Open the socket, however long Slack cannot be reached; afterwards the SDK keeps it open by itself."""
        assert self._socket is not None, "made before the thread"
        pause = 1.0
        while True:
            try:
                self._socket.connect()
            except SlackError as error:
                log.warning("socket_not_open", code=error.code, seconds=pause)
                time.sleep(pause)
                pause = min(pause * 2, 60.0)
            else:
                log.info("socket_open")
                return

    def unready(self) -> Mapping[str, str]:
        """Why the bot is not ready to be relied on, by what is wrong; empty when it is."""
        reasons: dict[str, str] = {}
        now = self._clock()
        try:
            with self._database.reading() as tx:
                states = sources.states(tx, intervals_of(self._config))
                held = outbox.held_until(tx, now=now)
        except AlertbotError as error:
            return {"database": error.lines[0]}
        if Parts.COLLECTOR in self._parts:
            for name, interval in intervals_of(self._config).items():
                state = states.get(name)
                if state is None or state.read_at is None:
                    reasons[f"source {name}"] = "never read" + (f": {state.error}" if state and state.error else "")
                elif now - state.read_at > interval * _READINGS_MISSED:
                    reasons[f"source {name}"] = f"last read at {state.read_at.isoformat()}: {state.error or 'no error'}"
        if self._given_sender is None:
            if self._identity is None:
                reasons["slack"] = "not reached, or the token is refused"
            elif held is not None:
                reasons["slack"] = "Slack refuses the app; sending waits"
            elif self._socket is not None and not self._socket.is_connected():
                reasons["slack"] = "the socket is not connected"
        return reasons

    def _count_call(self, method: str, outcome: str) -> None:
        self._metrics.slack_calls.labels(method, outcome).inc()

    def _refresh(self) -> None:
        """Fill the gauges."""
        now = self._clock()
        with self._database.reading() as tx:
            counted = alerts.counts(tx)
            depth, oldest_at = outbox.depth(tx)
            states = sources.states(tx, intervals_of(self._config))
        for state in (State.PENDING, State.FIRING):
            for severity in Severity:
                self._metrics.alerts.labels(state.value, severity.value).set(counted.get((state, severity), 0))
        self._metrics.outbox_depth.set(depth)
        self._metrics.outbox_age.set((now - oldest_at).total_seconds() if oldest_at else 0)
        for name, source in states.items():
            if source.read_at is not None:
                self._metrics.reading_age.labels(name).set((now - source.read_at).total_seconds())


def poll_once(config: Config, clock: Clock) -> dict[str, Polled]:
    """One cycle of everything but Slack's questions: collect, evaluate, deliver. Raises AlertbotError."""
    database = open_database(config)
    migrate.upgrade(database)
    token = config.slack.bot_token.get_secret_value() if config.slack.bot_token else ""
    client = bot.web_client(token, api_url=config.slack.api_url, timeout=_SLACK_TIMEOUT)
    collector = Collector(config, database, SlackSender(client), clock=clock, metrics=Metrics())
    try:
        return collector.cycle()
    finally:
        collector.stop()
        database.close()


def run_until_stopped(running: Bot) -> None:
    """Run until SIGTERM or SIGINT; what is in flight is finished then."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    running.start()
    try:
        stopped.wait()
    finally:
        running.stop()
    # Threads that still wait for an answer would hold the process up; what they claimed is found out at the next start.
    sys.stdout.flush()
    sys.stderr.flush()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(0)
