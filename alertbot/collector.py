"""One half of the bot: polls, evaluates and delivers, with a pool of threads for each."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

import structlog

from alertbot.config import Config, Source
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.reader import SourceReader
from alertbot.flows.collect import Polled, Polling, collect
from alertbot.flows.deliver import LEASE, Delivery, Sender, claim_due, deliver, is_drained, probe_broken
from alertbot.flows.evaluate import evaluate
from alertbot.flows.speak import speak_at_once, speak_when_due
from alertbot.flows.thin import Keep, thin
from alertbot.heartbeat import ping
from alertbot.http import Metrics
from alertbot.store import leases, outbox, sources
from alertbot.store.database import Database
from alertbot.wiring import on_call_of, watch_of

log = structlog.get_logger()
DRAIN = 8.0  # seconds that what is in flight gets at the end; service managers begin to kill after 10


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


_LEAST_LEASE = timedelta(seconds=2)


def _lease_of(source: Source) -> timedelta:
    """How long a claim on a source holds without being renewed: another replica has to be there within two intervals."""
    return max(source.interval * 1.5, _LEAST_LEASE)


def _start(pool: ThreadPoolExecutor, act: Callable[[str], None], text: str) -> None:
    pool.submit(act, text)


def _is_gone(owner: str) -> bool:
    """Whether a process of this machine that took a lease has ended. Of other machines nothing is known."""
    host, _, process = owner.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    if int(process) == os.getpid():  # in a container every process is number 1: it was our predecessor
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


class Collector:
    """Polls, evaluates and delivers. `sender` says how things are said."""

    def __init__(
        self,
        config: Config,
        database: Database,
        sender: Sender,
        *,
        clock: Callable[[], datetime],
        metrics: Metrics,
        alarm: Callable[[str], None],
        speed: float = 1.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._watch = watch_of(config)
        kept = config.database.keep
        self._keep = Keep(kept.raw, kept.hourly, kept.daily)
        # Whoever has taken a lease is known by this name; no two processes share one.
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        slack = config.slack
        self._delivery = Delivery(
            sender,
            self._owner,
            clock,
            fallback=slack.fallback_channel,
            operators=slack.operator_channel,
            on_call=on_call_of(config),
            lease=LEASE * speed,  # on a demo's fast clock, too, a send gets its real seconds
            # By a thread of its own: it is raised inside a transaction, which must not wait for the network.
            alarm=lambda text: _start(self._pool, alarm, text),
        )
        self._heartbeat = config.heartbeat.url.get_secret_value() if config.heartbeat.url else ""
        self._readers = {source.name: reader_of(source, clock=clock, metrics=metrics) for source in config.sources}
        self._pollings = [
            Polling(source.name, source.interval, _lease_of(source), self._readers[source.name])
            for source in config.sources
        ]
        self._pool = ThreadPoolExecutor(max_workers=max(4, min(32, len(self._pollings))), thread_name_prefix="poll")
        self._senders = ThreadPoolExecutor(max_workers=4, thread_name_prefix="send")
        self._polling: dict[str, Future[None]] = {}
        self._evaluating = threading.Lock()
        self._delivering = threading.Lock()
        self._stopping = threading.Event()
        self._shortest_lease = min((polling.lease for polling in self._pollings), default=_LEAST_LEASE)
        with database.transaction() as tx:
            sources.remember(tx, [polling.name for polling in self._pollings])
            # After a kill -9 nobody waits for the leases of the dead to run out, where it is certain that they are dead.
            leases.release(tx, [owner for owner in leases.holders(tx) if _is_gone(owner)])

    def poll_due(self) -> None:
        """Start a poll of each source that is not being polled; whether it is due is decided in the database."""
        for polling in self._pollings:
            running = self._polling.get(polling.name)
            if not self._stopping.is_set() and (running is None or running.done()):
                self._polling[polling.name] = self._pool.submit(self._poll, polling)

    def hold_on(self) -> None:
        """Renew the claims of the polls that are under way: a slow source is no reason to lose it, a dead process is."""
        if any(not polling.done() for polling in self._polling.values()):
            now = self._clock()
            with self._database.transaction() as tx:
                sources.renew(tx, owner=self._owner, until=now + self._shortest_lease, now=now)

    def take_over(self) -> None:
        """On a database that only this process uses: forget what a process that was killed had claimed."""
        with self._database.transaction() as tx:
            sources.release_everyone(tx)
            outbox.release_everyone(tx)

    def cycle(self) -> dict[str, Polled]:
        """Poll every source at once, evaluate, say what is to be said without waiting, and deliver it."""
        outcomes = {polling.name: self._collect(polling, at_once=True) for polling in self._pollings}
        self.evaluate()
        speak_at_once(self._database, now=self._clock())
        self.deliver()
        return outcomes

    def _poll(self, polling: Polling) -> None:
        try:
            if self._collect(polling) is Polled.READ:
                self.evaluate()
                self.deliver()
                self._beat()
        except Exception:  # one source's failure must not end the polls of the others
            log.exception("poll_broke", source=polling.name)
            self._metrics.polls.labels(polling.name, "broke").inc()

    def _collect(self, polling: Polling, *, at_once: bool = False) -> Polled:
        outcome = collect(self._database, polling, owner=self._owner, now=self._clock(), at_once=at_once)
        if outcome is not Polled.NOT_DUE:
            self._metrics.polls.labels(polling.name, outcome.value).inc()
        return outcome

    def _beat(self) -> None:
        """Ping the watcher, if the cycle was whole: read, evaluated, and nothing left that could have been sent."""
        if self._heartbeat and not self._stopping.is_set() and is_drained(self._database, now=self._clock()):
            ping(self._heartbeat)

    def evaluate(self) -> None:
        """Evaluate what was read, and what depends on the clock."""
        with self._evaluating:
            started = time.monotonic()
            if evaluate(self._database, self._watch, now=self._clock()):
                self._metrics.evaluation.observe(time.monotonic() - started)

    def listen(self) -> None:
        """Say what has come due though nothing happened."""
        speak_when_due(self._database, now=self._clock())

    def probe(self) -> None:
        """Try the broken channels whose hour has come."""
        probe_broken(self._database, self._delivery)

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
                for sent in [self._senders.submit(deliver, self._database, self._delivery, row) for row in rows]:
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

    def stop(self, *, within: float = DRAIN) -> None:
        """Give what is in flight its seconds; what is not done then is found out by whoever starts next."""
        self.refrain()
        ends_at = time.monotonic() + within
        wait(list(self._polling.values()), timeout=within)
        # Whoever delivers holds this until the last answer came; nobody can begin anew once it is taken.
        self._delivering.acquire(timeout=max(0.0, ends_at - time.monotonic()))
        self._senders.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for reader in self._readers.values():
            reader.close()
        with self._database.transaction() as tx:
            outbox.release_all(tx, owner=self._owner)
