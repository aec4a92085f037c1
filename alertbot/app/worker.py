"""One half of the bot: polls, evaluates and delivers, with a pool of threads for each."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from queue import SimpleQueue

import structlog

from alertbot.app.access import readers_of
from alertbot.app.database_outage import DatabaseOutage
from alertbot.app.evidence_worker import EvidenceWorker
from alertbot.app.feeds import LEAST_LEASE, feed_polls_of
from alertbot.app.heartbeat import Heartbeat
from alertbot.app.http import Metrics
from alertbot.app.process_id import is_gone, name_of_this_process
from alertbot.app.scheduler import Guarded
from alertbot.app.threads import Supervisor, WokenThread, log_failure
from alertbot.app.wiring import evaluation_context_of, on_call_of, wheres_of
from alertbot.clock import SteadyClock
from alertbot.config import Config
from alertbot.domain.datasets import feed_of
from alertbot.domain.rules import Rule, unmatched_globs
from alertbot.domain.times import format_duration
from alertbot.errors import AlertbotError, StoreError
from alertbot.flows.collect import FeedPoll, PollOutcome, collect
from alertbot.flows.deliver import LEASE, Delivery, Sender, claim_due, deliver, is_drained, no_clock_step, probe_broken
from alertbot.flows.evaluate import evaluate
from alertbot.flows.give_up import give_up_old
from alertbot.flows.notify import notify_due, notify_now
from alertbot.flows.operator_alerts import notify_operators, report_stalls
from alertbot.flows.retention import Retention, apply_retention
from alertbot.store import configurations, credentials, deliveries, leases, redating, rule_files, sources
from alertbot.store.database import Database, Tx
from alertbot.store.deliveries import OutboxEntry

log = structlog.get_logger()
_SENDERS = 8
_AT_ONCE = 2  # notifications of one channel that are being sent: it takes about one message a second, and may hang
_MOMENT = 0.25  # seconds
_WARY = 86_400.0  # seconds after the clock was set forward in which nothing is deleted for its age
_TURN = 0.15  # seconds; who waits for SQLite's lock looks every tenth of a second
_INTERVALS_MISSED = 3  # a source that nobody tried to read for so many intervals is not watched
_DELIVER_EVERY = 0.5  # seconds at most between two looks at whether a notification has come due
_PATIENCE = timedelta(minutes=5)
_STILL_UNDER_WAY = (
    1 / 9
)  # of a notification's lease: how long after its claim a call of a dead process may still arrive at Slack
DRAIN = 8.0  # seconds that what is in flight gets at the end; service managers begin to kill after 10


class Worker:
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
        self._polled = database.limited()
        self._clock = clock
        self._metrics = metrics
        self._wheres = wheres_of(config)  # until they are held against what is read
        kept = config.database.keep
        self._keep = Retention(kept.raw, kept.hourly, kept.daily, kept.evidence, kept.audit)
        self._owner = name_of_this_process()
        self._watch = replace(evaluation_context_of(config), process=self._owner)
        slack = config.slack
        self._delivery = Delivery(
            sender,
            self._owner,
            clock,
            fallback=slack.fallback_channel,
            operators=slack.operator_channel,
            on_call=on_call_of(config),
            intervals=self._watch.intervals,
            prices=self._watch.prices,
            lease=LEASE * speed,  # on a demo's fast clock, too, a send gets its real seconds
            alarm=alarm,
            since_leap=clock.since_leap if isinstance(clock, SteadyClock) else no_clock_step,
        )
        self._heartbeat = Heartbeat(config.heartbeat.url.get_secret_value()) if config.heartbeat.url else None
        self._readers = readers_of(config, database, owner=self._owner, clock=clock, metrics=metrics)
        operators, rules = slack.operator_channel, self._rules()
        self._feed_polls = [
            feed_poll
            for source in config.sources
            for feed_poll in feed_polls_of(
                source, self._readers[source.name], rules=rules, operators=operators, clock=clock
            )
        ]
        self._evidence_worker = EvidenceWorker(database, rules=self._rules, owner=self._owner, clock=clock)
        for source in config.sources:
            self._evidence_worker.add(source, self._readers[source.name].client)
        self._pool = ThreadPoolExecutor(max_workers=max(4, min(32, len(self._feed_polls))), thread_name_prefix="poll")
        self._senders = ThreadPoolExecutor(max_workers=_SENDERS, thread_name_prefix="send")
        self._sending: dict[Future[None], OutboxEntry] = {}
        self._unmarked: set[int] = set()
        self._feed_poll: dict[str, Future[None]] = {}
        self._began: dict[str, datetime] = {}
        self._outcomes: dict[str, PollOutcome] = {}
        self._read: SimpleQueue[str] = SimpleQueue()  # sources that were read and not evaluated yet
        self._evaluated: SimpleQueue[str] = (
            SimpleQueue()
        )  # those that were evaluated since notifications were last sent
        self._evaluator = self._thread("evaluate", self._evaluate_news)
        self._deliverer = self._thread("deliver", self._deliver_news)
        self._pinger = self._thread("heartbeat", self._heartbeat.ping) if self._heartbeat else None
        self._stopping = threading.Event()
        self._shortest_lease = min((feed_poll.lease for feed_poll in self._feed_polls), default=LEAST_LEASE)
        # Nobody waits for longer before people are told that nothing is seen.
        self._patience = {
            source.name: max(source.blind_after, source.interval * _INTERVALS_MISSED) for source in config.sources
        }
        self._outage = DatabaseOutage(
            alarm, patience=min((source.blind_after for source in config.sources), default=_PATIENCE)
        )
        # In seconds of this machine's time: so soon a source that cannot be read has to be told of.
        self._blind_within = (
            min((source.blind_after for source in config.sources), default=_PATIENCE).total_seconds() / speed
        )
        self._awake_since: datetime | None = None
        self._looked_at: datetime | None = None
        self._longest_nap = timedelta(seconds=max(5.0, 3 * self.check_stalled_every)) * speed
        with database.transaction() as tx:
            sources.register(tx, [feed_poll.name for feed_poll in self._feed_polls])
            self._release_dead_leases(tx)

    def start(self, supervisor: Supervisor, *, every: float) -> None:
        """Evaluate and deliver from now on, each so many seconds and at once when there is news.

        What depends on the clock alone is evaluated a fifth as often: it is about minutes, and each time asks twenty queries.
        """
        self._evaluator.start("evaluate", supervisor, every=max(every, min(5 * every, self._blind_within / 20)))
        self._deliverer.start("deliver", supervisor, every=min(every, _DELIVER_EVERY))
        if self._pinger is not None:
            self._pinger.start("heartbeat", supervisor)

    def _thread(self, name: str, act: Callable[[], None]) -> WokenThread:
        return WokenThread(Guarded(name, act, lambda tick: self._metrics.ticks_failed.labels(tick).inc()))

    def _rules(self) -> Sequence[Rule]:
        """The rules that hold now: people may make others at any time, at any replica."""
        with self._database.reading() as tx:
            return self._watch.present(tx).rules

    @property
    def check_stalled_every(self) -> float:
        """How many seconds lie between two looks at whether the sources are polled."""
        return max(0.25, min([15.0, *(patience.total_seconds() / 4 for patience in self._patience.values())]))

    @property
    def database_error(self) -> str:
        """Why the database cannot be written to, as anybody may read it; empty where it can."""
        return self._outage.public

    def _release_dead_leases(self, tx: Tx) -> None:
        """After a kill -9 nobody waits for the leases of the dead to run out, where it is certain that they are dead."""
        self._release(tx, [owner for owner in leases.holders(tx) if is_gone(owner)])

    def _release(self, tx: Tx, owners: Collection[str]) -> None:
        if owners:
            leases.release(tx, owners, earlier=self._delivery.lease * (1 - _STILL_UNDER_WAY))

    def poll_due(self) -> None:
        """Start a poll of each feed that is due and not being polled. The claim decides whether it is still due."""
        idle = [feed_poll for feed_poll in self._feed_polls if self._is_idle(feed_poll.name)]
        if not idle or self._stopping.is_set():
            return
        try:
            with self._database.reading() as tx:
                due = sources.due(tx, [feed_poll.name for feed_poll in idle], owner=self._owner, now=self._clock())
        except StoreError as error:
            self._outage.note(error)  # logged there, not each second
            return
        for feed_poll in idle:
            if feed_poll.name in due and not self._stopping.is_set():
                self._feed_poll[feed_poll.name] = self._pool.submit(self._poll, feed_poll)
                self._feed_poll[feed_poll.name].add_done_callback(log_failure)

    def _is_idle(self, name: str) -> bool:
        running = self._feed_poll.get(name)
        return running is None or running.done()

    def renew_leases(self) -> None:
        """Renew the claims of the polls that are under way: a slow source is no reason to lose it, a dead process is."""
        now = self._clock()
        held = [
            name
            for name, feed_poll in self._feed_poll.items()
            # A poll that never ends is one: then another replica may try, and people are told.
            if not feed_poll.done() and now - self._began.get(name, now) <= self._patience[feed_of(name)[0]]
        ]
        if held:
            with self._database.transaction() as tx:
                sources.renew(tx, owner=self._owner, until=now + self._shortest_lease, now=now, names=held)
        if not self._database.is_sqlite:
            with self._database.transaction() as tx:
                self._release_dead_leases(tx)

    def release_stale_claims(self) -> None:
        """On a database that only this process uses: forget what a process that was killed had claimed."""
        with self._database.transaction() as tx:
            self._release(tx, leases.holders(tx))
            credentials.release_everyone(tx)

    def run_once(self) -> dict[str, PollOutcome]:
        """Poll every source at once, evaluate, say what is to be said without waiting, and deliver it."""
        outcomes = {feed_poll.name: self._collect(feed_poll, at_once=True) for feed_poll in self._feed_polls}
        self.evaluate()
        notify_now(self._database, now=self._clock())
        self.give_up_old()
        self._deliver_all()
        self._evidence_worker.fetch_all()
        self._deliver_all()
        return outcomes

    def failed(self, outcomes: Mapping[str, PollOutcome]) -> list[str]:
        """The feeds that brought nothing, of those without which something goes unseen."""
        needed = {
            feed_poll.name for feed_poll in self._feed_polls if feed_poll.totals is not None or not feed_poll.instead
        }
        fine = {PollOutcome.READ, PollOutcome.MISSING, PollOutcome.NOT_DUE}
        return [name for name, outcome in outcomes.items() if outcome not in fine and name in needed]

    def _poll(self, feed_poll: FeedPoll) -> None:
        try:
            outcome = self._collect(feed_poll)
            if outcome is not PollOutcome.NOT_DUE:
                self._outcomes[feed_poll.name] = outcome
            if outcome is PollOutcome.READ:
                self._read.put(feed_of(feed_poll.name)[0])
                self._evaluator.wake()
                self._name_unmatched_globs()
            if outcome is not PollOutcome.NOT_DUE:
                self._evidence_worker.prompt(feed_poll.name)
        except StoreError as error:
            self._metrics.polls.labels(feed_poll.name, "broke").inc()
            self._outage.note(error)  # logged there, not each second
        except Exception:  # one source's failure must not end the polls of the others
            log.exception("poll_broke", source=feed_poll.name)
            self._metrics.polls.labels(feed_poll.name, "broke").inc()

    def _name_unmatched_globs(self) -> None:
        """Log each glob of the configuration that fits no LLM, once after the start, when every source was read."""
        if not self._wheres:
            return
        with self._database.reading() as tx:
            states = sources.states(tx, self._watch.intervals)
            members = configurations.members(tx, self._watch.intervals)
        if all(name in states and states[name].read_at is not None for name in self._watch.intervals):
            wheres, self._wheres = self._wheres, []
            for line in unmatched_globs(wheres, [member.labels for member in members.values()]):
                log.warning("where_fits_no_llm", where=line)

    def _collect(self, feed_poll: FeedPoll, *, at_once: bool = False) -> PollOutcome:
        self._began[feed_poll.name] = now = self._clock()
        outcome = collect(
            self._polled,
            feed_poll,
            owner=self._owner,
            now=now,
            at_once=at_once,
            clock=self._clock,
            rest=self._rest,
            is_clock_right=self._is_clock_right,
            recent=self._watch.recent,
        )
        if outcome is not PollOutcome.NOT_DUE:
            self._end_outage()
            self._metrics.polls.labels(feed_poll.name, outcome.value).inc()
        return outcome

    def _is_clock_right(self, tx: Tx) -> bool:
        """Whether our time has followed the last correction; if not, the next check of the clock does."""
        return not isinstance(self._clock, SteadyClock) or self._clock.correction == redating.last_correction(tx)

    def _beat(self, source: str) -> None:
        """Ping the watcher, if the cycle was whole: read, evaluated, and nothing left that could have been sent."""
        mine = {name: outcome for name, outcome in self._outcomes.items() if feed_of(name)[0] == source}
        if self.failed(mine):
            return
        if self._pinger is not None and not self._stopping.is_set() and is_drained(self._database, now=self._clock()):
            self._pinger.wake()  # the watcher may be slow

    def _end_outage(self) -> None:
        lasted = self._outage.lasts
        if lasted is not None:
            text = (
                f"The database can be used again, after {format_duration(lasted)}. What grew meanwhile is counted now."
            )
            with self._database.transaction() as tx:
                notify_operators(tx, text, operators=self._delivery.operators, now=self._clock())
        if self._outage.text:
            self._outage.end()

    def check_stalled(self) -> None:
        """Tell of sources that nobody polls."""
        try:
            self._check_stalled(self._clock())
        except StoreError:
            self._awake_since = None  # while the database is away nobody can poll; that is told by itself
            raise

    def _check_stalled(self, now: datetime) -> None:
        if (
            self._awake_since is None
            or self._looked_at is None
            or not timedelta(0) <= now - self._looked_at <= self._longest_nap
        ):
            self._awake_since = now
        self._looked_at = now
        report_stalls(
            self._database,
            self._patience,
            self._watch.intervals,
            owner=self._owner,
            operators=self._delivery.operators,
            awake_since=self._awake_since,
            now=now,
        )

    def _evaluate_news(self) -> None:
        """Evaluate, and have sent what there is to say. A poll's thread does neither: a backlog must not delay the next poll."""
        read = _taken(self._read)
        if self.evaluate() or read:
            for source in read:
                self._evaluated.put(source)
            self._deliverer.wake()

    def evaluate(self) -> bool:
        """Evaluate what was read, and what depends on the clock; whether there was anything to evaluate."""
        started = time.monotonic()
        has_evaluated = bool(
            evaluate(
                self._database,
                self._watch,
                now=self._clock(),
                clock=self._clock,
                is_clock_right=self._is_clock_right,
            )
        )
        if has_evaluated:
            self._metrics.evaluation.observe(time.monotonic() - started)
        return has_evaluated

    def notify_due(self) -> None:
        """Say what has come due though nothing happened."""
        notify_due(self._database, now=self._clock())

    def give_up_old(self) -> None:
        """Give up what could not be sent while it mattered."""
        give_up_old(self._database, operators=self._delivery.operators, now=self._clock())

    def probe_channels(self) -> None:
        """Try the broken channels whose hour has come."""
        probe_broken(self._database, self._delivery)

    def apply_retention(self) -> None:
        """Delete what is older than it is kept."""
        if self._delivery.since_leap() < _WARY:
            return  # it may have been set too far: what is deleted does not come back
        apply_retention(
            self._database,
            self._keep,
            list(self._watch.intervals),
            now=self._clock(),
            rest=self._rest,
            is_stopping=self._stopping.is_set,
        )

    def _rest(self) -> None:
        """Let others have their turn with the database."""
        self._stopping.wait(_TURN)

    def _deliver_news(self) -> None:
        evaluated = set(_taken(self._evaluated))
        self.deliver()
        for source in evaluated:
            self._beat(source)

    def deliver(self) -> None:
        """Send what waits, until nothing does that may be sent now, or what is being sent hangs: it delays no other channel."""
        self._give_back()
        while not self._stopping.is_set() and (self._send_next() or self._one_was_sent()):
            pass

    def _give_back(self) -> None:
        """Claim anew what could not be marked while the database was away, without waiting for the end of its lease."""
        if unmarked := set(self._unmarked):
            with self._database.transaction() as tx:
                deliveries.release(tx, unmarked, owner=self._owner)
            self._unmarked -= unmarked

    def _send_next(self) -> bool:
        """Hand one notification to a sender, if one is free, and one waits of a channel that is not busy."""
        self._sending = {sent: row for sent, row in self._sending.items() if not sent.done()}
        if len(self._sending) >= _SENDERS:
            return False
        in_flight = Counter(row.channel for row in self._sending.values())
        busy = [channel for channel, count in in_flight.items() if count >= _AT_ONCE]
        rows = claim_due(self._database, self._delivery, limit=1, busy=busy)
        for row in rows:
            sending = self._senders.submit(self._send, row)
            sending.add_done_callback(log_failure)
            self._sending[sending] = row
        return bool(rows)

    def _one_was_sent(self) -> bool:
        """Whether something under way was done within a moment: then there may be more to do."""
        return bool(self._sending and wait(self._sending, timeout=_MOMENT, return_when=FIRST_COMPLETED).done)

    def _send(self, row: OutboxEntry) -> None:
        try:
            deliver(self._database, replace(self._delivery, rules=self._rules()), row)
        except AlertbotError as error:
            log.error("delivery_failed", notification=row.number, error=error.lines[0])  # noqa: TRY400 — its text says it all
            self._unmarked.add(row.number)
        except Exception:  # one notification's failure must not end the others
            log.exception("delivery_broke", notification=row.number)

    def _deliver_all(self) -> None:
        """Deliver, and wait until everything that may be sent was answered."""
        self.deliver()
        while self._sending and not self._stopping.is_set():
            wait(self._sending, return_when=FIRST_COMPLETED)
            self.deliver()

    def wake(self) -> None:
        """Send soon what a person's act has caused."""
        self._deliverer.wake()

    def stop_claiming(self) -> None:
        """Claim nothing more, neither a source nor a notification."""
        self._stopping.set()

    def stop(self, *, within: float = DRAIN) -> None:
        """Give what is in flight its seconds; what is not done then is found out by whoever starts next."""
        self.stop_claiming()
        ends_at = time.monotonic() + within
        for thread in (self._evaluator, self._deliverer):  # nobody hands anything out any more
            thread.stop(within=ends_at - time.monotonic())
        wait([*self._feed_poll.values(), *self._sending], timeout=max(0.0, ends_at - time.monotonic()))
        self._evidence_worker.stop(within=_MOMENT)
        if self._pinger is not None:
            self._pinger.stop(within=0.0)
        self._senders.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for reader in self._readers.values():
            reader.close()
        # A call that is still at Slack may arrive yet: whoever had its notification before the lease is over would post
        # it twice.
        in_flight = [row.number for sending, row in list(self._sending.items()) if not sending.done()]
        try:
            with self._database.transaction() as tx:
                deliveries.release_all(tx, owner=self._owner, but_not=in_flight)
                rule_files.remove(tx, [self._owner])
        except StoreError as error:  # it is gone, and we go: what was claimed is free when its lease is over
            log.warning("not_released", error=error.lines[0])


def _taken(queue: SimpleQueue[str]) -> list[str]:
    """All that is in a queue now, which only this thread empties."""
    return [queue.get() for _ in range(queue.qsize())]
