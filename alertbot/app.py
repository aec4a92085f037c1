"""The whole bot in one process: starts in order, stops in reverse."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Flag, auto
from queue import Empty, SimpleQueue

import structlog

from alertbot import __version__
from alertbot.clock import SteadyClock
from alertbot.collector import DRAIN, Collector
from alertbot.config import Config
from alertbot.domain.alerts import State
from alertbot.domain.history import SourceState
from alertbot.domain.rules import Severity
from alertbot.errors import AlertbotError, SlackError, SlackRefused
from alertbot.flows.clock_steps import check_clock
from alertbot.flows.collect import Polled
from alertbot.flows.deliver import Sender
from alertbot.flows.trouble import note_greeting
from alertbot.http import HttpServer, Metrics, Wsgi
from alertbot.processes import name_of_this_process
from alertbot.scheduler import Scheduler
from alertbot.slack import bot, home
from alertbot.slack.bot import Identity
from alertbot.slack.desk import Desk
from alertbot.slack.failures import translated
from alertbot.slack.pictures import uploader
from alertbot.slack.sender import SlackSender
from alertbot.slack.signed import only_signed
from alertbot.store import alerts, channels, migrate, outbox, sources
from alertbot.wiring import blind_after_of, book_of, intervals_of, on_call_of, open_database, prices_of, visibility_of

log = structlog.get_logger()
_THIN_EVERY = 600.0  # seconds: each run has little to do then
_CHECK_CLOCK_EVERY = 1.0  # seconds: for so long a process whose machine stood still may take its leases for valid
_HOMES_EVERY = 2.0  # seconds; one Home is published less often, see flows/homes.py
_SLACK_TIMEOUT = timedelta(seconds=10)
_PATIENCE = timedelta(minutes=5)
_READINGS_MISSED = 3  # a source is not ready when it was not read for this many intervals


class Parts(Flag):
    """Which halves of the bot run in this process."""

    COLLECTOR = auto()
    SLACK = auto()
    ALL = COLLECTOR | SLACK


class Bot:
    """The whole bot in one process. `start` raises AlertbotError for what an operator has to mend first."""

    def __init__(
        self,
        config: Config,
        *,
        parts: Parts = Parts.ALL,
        clock: Callable[[], datetime] | None = None,
        speed: float = 1.0,
        sender: Sender | None = None,
        with_migrations: bool = True,
    ) -> None:
        self._config = config
        self._parts = parts
        self._speed = speed
        self._metrics = Metrics()
        self._identity: Identity | None = None
        self._database = open_database(config)
        self._clock = clock or SteadyClock(self._database.now)
        self._steady = self._clock if isinstance(self._clock, SteadyClock) else None
        self._owner = name_of_this_process()
        self._patience = min(blind_after_of(config).values(), default=_PATIENCE)
        self._unanswered_since: datetime | None = None
        self._scheduler = Scheduler(on_failure=lambda tick: self._metrics.ticks_failed.labels(tick).inc())
        self._socket: bot.Socket | None = None
        self._desk: Desk | None = None
        self._collector: Collector | None = None
        self._given_sender = sender
        self._with_migrations = with_migrations
        token = config.slack.bot_token.get_secret_value() if config.slack.bot_token else ""
        self._client = bot.web_client(token, api_url=config.slack.api_url, timeout=_SLACK_TIMEOUT)

    def start(self) -> None:
        """Open the database, greet Slack, and begin."""
        self._database.lock()
        if self._with_migrations:
            migrate.upgrade(self._database)
        else:
            migrate.require_newest(self._database)
        if self._steady is not None:
            self._check_clock()
        if self._given_sender is None:
            self._greet()
        if Parts.COLLECTOR in self._parts:
            self._collector = Collector(
                self._config,
                self._database,
                self._given_sender or SlackSender(self._client, on_call=self._count_call),
                clock=self._clock,
                metrics=self._metrics,
                alarm=self._alarm,
                speed=self._speed,
            )
            if self._database.is_sqlite:
                self._collector.take_over()
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
        # Four looks an interval, at most one a second: a source that is due waits little, and an idle bot does little.
        shortest = min((source.interval for source in self._config.sources), default=timedelta(seconds=60))
        pace = max(0.05, min(1.0, shortest.total_seconds() / 4) / self._speed)
        if self._collector is not None:
            self._scheduler.every(pace, "poll", self._collector.poll_due)
            self._scheduler.every(pace, "hold on", self._collector.hold_on)
            self._scheduler.every(pace, "evaluate", self._collector.evaluate)
            self._scheduler.every(pace, "listen", self._collector.listen)
            self._scheduler.every(min(pace, 0.5), "deliver", self._collector.deliver)
            self._scheduler.every(60.0 * pace, "probe", self._collector.probe)
            self._scheduler.every(_THIN_EVERY * pace, "thin", self._collector.thin)
            self._scheduler.every(self._collector.watch_every / self._speed, "watch", self._collector.watch_over)
        if self._desk is not None:
            self._scheduler.every(_HOMES_EVERY, "homes", self._refresh_homes)
        if self._given_sender is None:
            self._scheduler.every(min(60.0, self._patience.total_seconds() / 4), "greet", self._greet_again)
        if self._steady is not None:
            self._scheduler.every(_CHECK_CLOCK_EVERY, "check_clock", self._check_clock)
        self._scheduler.start()

    def stop(self) -> None:
        """Stop claiming, finish what is in flight, close."""
        log.info("stopping")
        ends_at = time.monotonic() + DRAIN
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
        """Find out that Slack is away, or refuses us, also while there is nothing to say."""
        failure: SlackError | None = None
        try:
            self._identity = bot.identify(self._client)
        except SlackError as error:
            failure, self._identity = error, None
            log.warning("slack_not_reached", code=error.code)
        self._count_call("auth.test", failure.code if failure else "ok")
        now = self._clock()
        self._unanswered_since = (self._unanswered_since or now) if failure else None
        note_greeting(
            self._database,
            failure,
            owner=self._owner,
            operators=self._config.slack.operator_channel,
            unanswered_since=self._unanswered_since,
            patience=self._patience,
            now=now,
        )

    def _check_clock(self) -> None:
        assert self._steady is not None, "asked for only then"
        operators = self._config.slack.operator_channel
        check_clock(self._database, self._steady, owner=self._owner, operators=operators)

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
            blind_after=blind_after_of(self._config),
            book=book_of(self._config),
            on_call=on_call_of(self._config),
            operators=frozenset(slack.operators),
            members_of=bot.members_of(self._client),
            zone_of=bot.zone_of(self._client),
            upload=uploader(self._client),
            prices=prices_of(self._config),
            visibility=visibility_of(self._config),
            routes=self._config.routes,
            name_of_channel=bot.name_of_channel(self._client),
        )
        secret = slack.signing_secret.get_secret_value() if slack.signing_secret else None
        self._desk = desk
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

    def _refresh_homes(self) -> None:
        """Bring up to date what people may look at."""
        assert self._desk is not None, "made before the ticks"
        home.refresh(self._desk, self._client)

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
        try:
            now = self._clock()
            with self._database.reading() as tx:
                states = sources.states(tx, intervals_of(self._config))
                refused = channels.reason_of(tx, channels.EVERY_CHANNEL)
        except AlertbotError as error:
            return {"database": error.lines[0]}
        if self._collector is not None and self._collector.database_error:
            reasons["database"] = self._collector.database_error
        if Parts.COLLECTOR in self._parts:
            reasons |= dict(self._unread(states, now))
        if self._given_sender is None:
            if self._identity is None:
                reasons["slack"] = "not reached, or the token is refused"
            elif refused:
                reasons["slack"] = f"Slack refuses the app ({refused}); sending waits"
            elif self._socket is not None and not self._socket.is_connected():
                reasons["slack"] = "the socket is not connected"
        return reasons

    def _unread(self, states: Mapping[str, SourceState], now: datetime) -> Iterator[tuple[str, str]]:
        """The sources that were not read as often as they should have been, and why."""
        for name, interval in intervals_of(self._config).items():
            state = states.get(name)
            if state is None or state.read_at is None:
                yield f"source {name}", "never read" + (f": {state.error}" if state and state.error else "")
            elif now - state.read_at > interval * _READINGS_MISSED:
                yield f"source {name}", f"last read at {state.read_at.isoformat()}: {state.error or 'no error'}"

    def _alarm(self, text: str) -> None:
        raise_alarm(self._config, text)

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


def raise_alarm(config: Config, text: str) -> None:
    """Tell an operator by the way that needs no token. Raises a SlackError where that does not work."""
    if config.slack.operator_webhook is not None:
        try:
            bot.post_webhook(config.slack.operator_webhook.get_secret_value(), text, timeout=_SLACK_TIMEOUT)
        except SlackError as error:
            log.warning("operator_webhook_failed", code=error.code)
            raise


def poll_once(config: Config) -> tuple[dict[str, Polled], list[str]]:
    """One cycle of everything but Slack's questions: collect, evaluate, deliver. Raises AlertbotError.

    Returns what came of each feed, and those without which something goes unseen and that could not be read.
    """
    database = open_database(config)
    database.lock()
    migrate.upgrade(database)
    clock = SteadyClock(database.now)
    check_clock(database, clock, owner=name_of_this_process(), operators=config.slack.operator_channel)
    token = config.slack.bot_token.get_secret_value() if config.slack.bot_token else ""
    client = bot.web_client(token, api_url=config.slack.api_url, timeout=_SLACK_TIMEOUT)
    collector = Collector(
        config,
        database,
        SlackSender(client),
        clock=clock,
        metrics=Metrics(),
        alarm=lambda text: raise_alarm(config, text),
    )
    try:
        outcomes = collector.cycle()
        return outcomes, collector.failed(outcomes)
    finally:
        collector.stop()
        database.close()


def _came(signals: SimpleQueue[None]) -> bool:
    """Whether a signal came. Asked again and again: one that comes just before the wait begins does not end it."""
    try:
        signals.get(timeout=1.0)
    except Empty:
        return False
    return True


def run_until_stopped(running: Bot) -> None:
    """Run until SIGTERM or SIGINT; what is in flight is finished then."""
    # Not an Event: its lock may be held by the very thread that the signal interrupts.
    signals: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signals.put(None))
    running.start()
    try:
        while not _came(signals):
            pass
    finally:
        running.stop()
    # Threads that still wait for an answer would hold the process up; what they claimed is found out at the next start.
    sys.stdout.flush()
    sys.stderr.flush()
    ends_at = time.monotonic() + 0.5
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, ends_at - time.monotonic()))
    if threading.active_count() > 1:  # at the end Python waits for the threads of pools, even where they are daemons
        os._exit(0)
