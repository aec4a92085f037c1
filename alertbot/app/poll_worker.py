"""Polls each feed when it is due, in a pool of threads: a slow source delays no other."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

import structlog

from alertbot.app.feeds import LEAST_LEASE
from alertbot.app.http import Metrics
from alertbot.app.threads import log_failure
from alertbot.domain.datasets import feed_of
from alertbot.errors import StoreError
from alertbot.flows.collect import FeedPoll, PollOutcome, collect
from alertbot.store import sources
from alertbot.store.database import Database, Tx
from alertbot.store.recent import Recent

log = structlog.get_logger()
_TURN = 0.15  # seconds; who waits for SQLite's lock looks every tenth of a second


class PollWorker:
    """Polls `feeds`. `patience` says by source how long a poll may take before another replica may try.

    `on_polled` hears of each poll that was made, `on_database_error` of each that the database kept from being made.
    """

    def __init__(
        self,
        database: Database,
        feeds: Sequence[FeedPoll],
        *,
        owner: str,
        patience: Mapping[str, timedelta],
        clock: Callable[[], datetime],
        is_clock_right: Callable[[Tx], bool],
        recent: Recent,
        metrics: Metrics,
        on_polled: Callable[[str, PollOutcome], None],
        on_database_error: Callable[[StoreError], None],
    ) -> None:
        self.feeds = feeds
        self._database = database
        self._polled = database.limited()
        self._owner = owner
        self._patience = patience
        self._clock = clock
        self._is_clock_right = is_clock_right
        self._recent = recent
        self._metrics = metrics
        self._on_polled = on_polled
        self._on_database_error = on_database_error
        self._pool = ThreadPoolExecutor(max_workers=max(4, min(32, len(feeds))), thread_name_prefix="poll")
        self._running: dict[str, Future[None]] = {}
        self._began: dict[str, datetime] = {}
        self._stopping = threading.Event()
        self._shortest_lease = min((feed_poll.lease for feed_poll in feeds), default=LEAST_LEASE)

    def poll_due(self) -> None:
        """Start a poll of each feed that is due and not being polled. The claim decides whether it is still due."""
        idle = [feed_poll for feed_poll in self.feeds if self._is_idle(feed_poll.name)]
        if not idle or self._stopping.is_set():
            return
        try:
            with self._database.reading() as tx:
                due = sources.due(tx, [feed_poll.name for feed_poll in idle], owner=self._owner, now=self._clock())
        except StoreError as error:
            self._on_database_error(error)
            return
        for feed_poll in idle:
            if feed_poll.name in due and not self._stopping.is_set():
                self._running[feed_poll.name] = self._pool.submit(self._poll, feed_poll)
                self._running[feed_poll.name].add_done_callback(log_failure)

    def poll_all(self) -> dict[str, PollOutcome]:
        """Poll every feed now, one after another. Raises StoreError."""
        return {feed_poll.name: self._collect(feed_poll, at_once=True) for feed_poll in self.feeds}

    def renew_leases(self) -> None:
        """Renew the claims of the polls that are under way: a slow source is no reason to lose it, a dead process is."""
        now = self._clock()
        held = [
            name
            for name, running in self._running.items()
            # A poll that never ends is one: then another replica may try, and people are told.
            if not running.done() and now - self._began.get(name, now) <= self._patience[feed_of(name)[0]]
        ]
        if held:
            with self._database.transaction() as tx:
                sources.renew(tx, owner=self._owner, until=now + self._shortest_lease, now=now, names=held)

    def failed(self, outcomes: Mapping[str, PollOutcome]) -> list[str]:
        """The feeds that brought nothing, of those without which something goes unseen."""
        needed = {feed_poll.name for feed_poll in self.feeds if feed_poll.totals is not None or not feed_poll.instead}
        fine = {PollOutcome.READ, PollOutcome.MISSING, PollOutcome.NOT_DUE}
        return [name for name, outcome in outcomes.items() if outcome not in fine and name in needed]

    def stop_claiming(self) -> None:
        self._stopping.set()

    def stop(self, *, within: float) -> None:
        """Give the polls under way so many seconds; what is not done then is polled by whoever starts next."""
        self._stopping.set()
        wait(self._running.values(), timeout=within)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_idle(self, name: str) -> bool:
        running = self._running.get(name)
        return running is None or running.done()

    def _poll(self, feed_poll: FeedPoll) -> None:
        try:
            outcome = self._collect(feed_poll)
            if outcome is not PollOutcome.NOT_DUE:
                self._on_polled(feed_poll.name, outcome)
        except StoreError as error:
            self._metrics.polls.labels(feed_poll.name, "broke").inc()
            self._on_database_error(error)
        except Exception:  # one source's failure must not end the polls of the others
            log.exception("poll_crashed", source=feed_poll.name)
            self._metrics.polls.labels(feed_poll.name, "broke").inc()

    def _collect(self, feed_poll: FeedPoll, *, at_once: bool = False) -> PollOutcome:
        self._began[feed_poll.name] = now = self._clock()
        outcome = collect(
            self._polled,
            feed_poll,
            owner=self._owner,
            now=now,
            at_once=at_once,
            clock=self._clock,
            rest=lambda: self._stopping.wait(_TURN),  # others have their turn with the database
            is_clock_right=self._is_clock_right,
            recent=self._recent,
        )
        if outcome is not PollOutcome.NOT_DUE:
            self._metrics.polls.labels(feed_poll.name, outcome.value).inc()
        return outcome
