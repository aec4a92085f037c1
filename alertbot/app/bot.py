"""The whole bot in one process: starts in order, stops in reverse."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Flag, auto
from queue import Empty, SimpleQueue

import structlog

from alertbot import __version__
from alertbot.app.http import HttpServer, Metrics, Wsgi
from alertbot.app.probes import Probes
from alertbot.app.process_id import end_process, name_of_this_process
from alertbot.app.scheduler import Scheduler
from alertbot.app.threads import Supervisor
from alertbot.app.wiring import (
    blind_after_of,
    book_of,
    intervals_of,
    on_call_of,
    open_database,
    prices_of,
    visibility_of,
)
from alertbot.app.worker import DRAIN, Worker
from alertbot.clock import SteadyClock
from alertbot.config import Config
from alertbot.domain.reports import count_llms
from alertbot.errors import AlertbotError, SlackError, SlackRefused
from alertbot.flows.clock_steps import check_clock
from alertbot.flows.collect import PollOutcome
from alertbot.flows.deliver import Sender
from alertbot.flows.operator_alerts import note_greeting
from alertbot.slack import bot, home
from alertbot.slack.bot import Identity
from alertbot.slack.chart_upload import uploader
from alertbot.slack.context import RequestContext
from alertbot.slack.directory import members_of, name_of_channel, zone_of
from alertbot.slack.errors import translate_errors
from alertbot.slack.executors import Executors
from alertbot.slack.sender import SlackSender
from alertbot.slack.signature import verify_signature
from alertbot.store import configurations, migrate, sources

log = structlog.get_logger()
_THIN_EVERY = 600.0  # seconds: each run has little to do then
_CHECK_CLOCK_EVERY = 1.0  # seconds: for so long a process whose machine stood still may take its leases for valid
_HOMES_EVERY = 2.0  # seconds; one Home is published less often, see flows/app_home.py
_SLACK_TIMEOUT = timedelta(seconds=10)
_DIRECTORY_TIMEOUT = timedelta(seconds=2)  # who clicked waits for it, and Slack for the click no longer than three
_PATIENCE = timedelta(minutes=5)
_TICK_SECONDS = 1.0  # between two looks at whether the bot is ready


class Role(Flag):
    """Which halves of the bot run in this process."""

    WORKER = auto()
    SLACK = auto()
    ALL = WORKER | SLACK


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a bot is connected to: empty where it is not connected to Slack, or takes no commands."""

    team: str
    name: str
    llms: int
    command: str

    def __str__(self) -> str:
        slack = f"connected to {self.team} as @{self.name}, " if self.team else ""
        return f"{slack}{count_llms(self.llms)}" + (f", type {self.command}" if self.command else "")


class Bot:
    """The whole bot in one process. `start` raises AlertbotError for what an operator has to mend first."""

    def __init__(
        self,
        config: Config,
        *,
        role: Role = Role.ALL,
        clock: Callable[[], datetime] | None = None,
        speed: float = 1.0,
        sender: Sender | None = None,
        with_migrations: bool = True,
        listens: bool = True,
    ) -> None:
        self._config = config
        self._listens = listens
        self._http: HttpServer | None = None
        self._role = role
        self._speed = speed
        self._metrics = Metrics()
        self._identity: Identity | None = None
        self._last_identity: Identity | None = None
        self._executors = Executors()
        self._database = open_database(config)
        self._clock = clock or SteadyClock(self._database.now)
        self._steady = self._clock if isinstance(self._clock, SteadyClock) else None
        self._owner = name_of_this_process()
        self._patience = min(blind_after_of(config).values(), default=_PATIENCE)
        self._unanswered_since: datetime | None = None
        self._scheduler = Scheduler(on_failure=lambda tick: self._metrics.ticks_failed.labels(tick).inc())
        self._supervisor = Supervisor()
        self._probes = Probes(
            self._database,
            self._metrics,
            intervals_of(config),
            needs_sources=Role.WORKER in role,
            clock=self._clock,
            database_error=lambda: self._worker.database_error if self._worker is not None else "",
            slack_error=self._slack_error,
        )
        self._socket: bot.Socket | None = None
        self._request_context: RequestContext | None = None
        self._worker: Worker | None = None
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
        if Role.WORKER in self._role:
            self._worker = Worker(
                self._config,
                self._database,
                self._given_sender or SlackSender(self._client, on_call=self._count_call),
                clock=self._clock,
                metrics=self._metrics,
                alarm=self._alarm,
                speed=self._speed,
            )
            if self._database.is_sqlite:
                self._worker.release_stale_claims()
        wsgi = self._answer_slack() if Role.SLACK in self._role and self._given_sender is None else None
        self._probes.check_readiness()
        if self._listens:
            self._http = self._listen(wsgi)
        self._schedule()
        log.info("started", version=__version__, database=self._database.place, http_port=self.http_port)

    def _listen(self, slack: Wsgi | None) -> HttpServer:
        """Answer probes, Prometheus, and Slack where it calls us."""
        listen = self._config.http.listen
        server = HttpServer(
            host=listen.host,
            port=listen.port,
            metrics=self._metrics,
            probes=self._probes,
            supervisor=self._supervisor,
            slack=slack,
        )
        server.start()
        return server

    def _schedule(self) -> None:
        # Four looks an interval, at most one a second: a source that is due waits little, and an idle bot does little.
        shortest = min((source.interval for source in self._config.sources), default=timedelta(seconds=60))
        pace = max(0.05, min(1.0, shortest.total_seconds() / 4) / self._speed)
        if self._worker is not None:
            self._scheduler.every(pace, "poll", self._worker.poll_due)
            self._scheduler.every(pace, "renew_leases", self._worker.renew_leases)
            self._scheduler.every(pace, "notify_due", self._worker.notify_due)
            self._scheduler.every(60.0 * pace, "probe_channels", self._worker.probe_channels)
            self._scheduler.every(60.0 * pace, "give_up_old", self._worker.give_up_old)
            self._scheduler.every(_THIN_EVERY * pace, "thin", self._worker.apply_retention)
            self._scheduler.every(
                self._worker.check_stalled_every / self._speed, "check_stalled_pollers", self._worker.check_stalled
            )
        if self._request_context is not None:
            self._scheduler.every(_HOMES_EVERY, "homes", self._refresh_homes)
        if self._given_sender is None:
            self._scheduler.every(min(60.0, self._patience.total_seconds() / 4), "check_slack_auth", self._greet_again)
        self._scheduler.every(_TICK_SECONDS, "note_tick", self._probes.note_tick)
        self._scheduler.every(min(_TICK_SECONDS, pace), "check_readiness", self._probes.check_readiness)
        if self._steady is not None:
            self._scheduler.every(_CHECK_CLOCK_EVERY, "check_clock", self._check_clock)
        if self._worker is not None:
            self._worker.start(self._supervisor, every=pace)
        self._scheduler.start()
        self._supervisor.watch("scheduler", lambda: self._scheduler.is_alive)

    def dead_threads(self) -> list[str]:
        """The threads that ended unexpectedly: without them the process is not whole."""
        return self._supervisor.dead()

    def stop(self) -> None:
        """Stop claiming, finish what is in flight, close."""
        log.info("stopping")
        self._supervisor.expect_ends()
        ends_at = time.monotonic() + DRAIN
        if self._worker is not None:
            self._worker.stop_claiming()
        closing = [threading.Thread(target=self._scheduler.stop, daemon=True)]
        if self._socket is not None:
            closing.append(threading.Thread(target=self._socket.close, daemon=True))
        for thread in closing:
            thread.start()
        if self._worker is not None:
            self._worker.stop(within=ends_at - time.monotonic())
        for thread in closing:
            thread.join(max(0.0, ends_at - time.monotonic()))
        self._executors.close(within=ends_at - time.monotonic())
        if self._http is not None:
            self._http.stop()
        self._database.close()
        log.info("stopped")

    @property
    def http_port(self) -> int | None:
        """The port that the bot listens on, if it does."""
        return None if self._http is None else self._http.port

    def introduction(self) -> Introduction | None:
        """What the bot is connected to; None before Slack has answered and each source was read or has failed."""
        if self._given_sender is None and self._identity is None:
            return None
        intervals = intervals_of(self._config)
        try:
            with self._database.reading() as tx:
                states = sources.states(tx, intervals)
                llms = {
                    (member.source, member.labels["ai_llm"])
                    for member in configurations.members(tx, intervals).values()
                }
        except AlertbotError:  # the database is away, which the ticks log
            return None
        if any(name not in states or not (states[name].read_at or states[name].failing) for name in intervals):
            return None
        command = self._config.slack.command if self._request_context is not None else ""
        return Introduction(
            self._identity.team if self._identity else "",
            self._identity.name if self._identity else "",
            len(llms),
            command,
        )

    def _greet(self) -> None:
        """Learn who we are. A refused token ends the start; a Slack that cannot be reached does not: alerts are kept."""
        try:
            self._identity = bot.identify(self._client)
        except SlackRefused as error:
            raise AlertbotError(f"slack.bot_token: Slack refuses it: {error.code}") from error
        except SlackError as error:
            log.warning("slack_unreachable", code=error.code)

    def _greet_again(self) -> None:
        """Find out that Slack is away, or refuses us, also while there is nothing to send."""
        failure: SlackError | None = None
        try:
            self._identity = bot.identify(self._client)
        except SlackError as error:
            failure, self._identity = error, None
            log.warning("slack_unreachable", code=error.code)
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
        """Who we are, without asking for each click while Slack is slow to say it again."""
        self._last_identity = self._identity or self._last_identity or bot.identify(self._client)
        return self._last_identity

    def _answer_slack(self) -> Wsgi | None:
        """Begin to answer commands and clicks, by the socket or by HTTP."""
        slack = self._config.slack
        directory = bot.web_client(self._client.token or "", api_url=slack.api_url, timeout=_DIRECTORY_TIMEOUT)
        request_context = RequestContext(
            database=self._database,
            clock=self._clock,
            wake=self._worker.wake if self._worker is not None else lambda: None,
            command=slack.command,
            intervals=intervals_of(self._config),
            blind_after=blind_after_of(self._config),
            book=book_of(self._config),
            on_call=on_call_of(self._config),
            operators=frozenset(slack.operators),
            members_of=members_of(directory),
            executors=self._executors,
            zone_of=zone_of(directory),
            upload=uploader(self._client),
            prices=prices_of(self._config),
            visibility=visibility_of(self._config),
            routes=self._config.routes,
            name_of_channel=name_of_channel(directory),
        )
        secret = slack.signing_secret.get_secret_value() if slack.signing_secret else None
        self._request_context = request_context
        app = bot.build(
            self._client, identity=self._known_identity, signing_secret=secret, request_context=request_context
        )
        if slack.mode == "http":
            assert secret is not None, "asked for before the start"
            return verify_signature(app, signing_secret=secret)
        assert slack.app_token is not None, "asked for before the start"
        app_token = slack.app_token.get_secret_value()
        self._check_app_token(app_token)
        self._socket = bot.Socket(app, app_token)
        self._supervisor.start("socket", self._connect, is_endless=False)
        self._supervisor.watch("socket mode", self._socket.is_alive)
        return None

    def _refresh_homes(self) -> None:
        """Bring up to date what people may look at."""
        assert self._request_context is not None, "made before the ticks"
        home.refresh(self._request_context, self._client)

    def _check_app_token(self, app_token: str) -> None:
        """A refused app token has to be found out here: the SDK would try it for ever."""
        try:
            with translate_errors("apps.connections.open"):
                self._client.apps_connections_open(app_token=app_token)
        except SlackRefused as error:
            raise AlertbotError(f"slack.app_token: Slack refuses it: {error.code}") from error
        except SlackError as error:
            log.warning("slack_unreachable", code=error.code)

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

    def _slack_error(self, refused: str) -> str:
        """Why Slack cannot be relied on, as far as this process knows; empty where it can."""
        if self._given_sender is not None:
            return ""
        if self._identity is None:
            return "not reached, or the token is refused"
        if refused:
            return f"Slack refuses the app ({refused}); notifications are waiting"
        if self._socket is not None and not self._socket.is_connected():
            return "the socket is not connected"
        return ""

    def _alarm(self, text: str) -> None:
        raise_alarm(self._config, text)

    def _count_call(self, method: str, outcome: str) -> None:
        self._metrics.slack_calls.labels(method, outcome).inc()


def raise_alarm(config: Config, text: str) -> None:
    """Tell the operators by the webhook, which needs no token. Raises a SlackError if that fails."""
    if config.slack.operator_webhook is not None:
        try:
            bot.post_webhook(config.slack.operator_webhook.get_secret_value(), text, timeout=_SLACK_TIMEOUT)
        except SlackError as error:
            log.warning("operator_webhook_failed", code=error.code)
            raise


def poll_once(config: Config) -> tuple[dict[str, PollOutcome], list[str]]:
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
    worker = Worker(
        config,
        database,
        SlackSender(client),
        clock=clock,
        metrics=Metrics(),
        alarm=lambda text: raise_alarm(config, text),
    )
    try:
        return worker.run_once()
    finally:
        worker.stop()
        database.close()


def _came(signals: SimpleQueue[int]) -> int | None:
    """The signal that came. Asked again and again: one that comes just before the wait begins does not end it."""
    try:
        return signals.get(timeout=1.0)
    except Empty:
        return None


def run_until_stopped(running: Bot, *, introduce: Callable[[], bool] = lambda: True) -> None:
    """Run until SIGTERM or SIGINT; what is in flight is finished then.

    `introduce` is called each second until it says that it is done. Where one of its threads ended, the process ends
    with 1: whoever started it starts a whole one.
    """
    # Not an Event: its lock may be held by the very thread that the signal interrupts.
    signals: SimpleQueue[int] = SimpleQueue()
    for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signal_number, lambda number, _frame: signals.put(number))
    running.start()
    dead: list[str] = []
    is_introduced = False
    try:
        while not dead:
            is_introduced = is_introduced or introduce()
            number = _came(signals)
            if number == signal.SIGHUP:
                log.info("sighup_ignored", why="the configuration is read only at startup")
            elif number is not None:
                break
            dead = running.dead_threads()
        if dead:
            log.critical("threads_ended", threads=dead)
    finally:
        running.stop()
    end_process(1 if dead else 0)
