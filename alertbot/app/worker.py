"""The half of the bot that watches: what is polled is evaluated, and what that brings is delivered."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from queue import SimpleQueue

import structlog

from alertbot.app.access import readers_of
from alertbot.app.database_outage import DatabaseOutage
from alertbot.app.delivery_worker import DeliveryWorker
from alertbot.app.evidence_worker import EvidenceWorker
from alertbot.app.feeds import feed_polls_of
from alertbot.app.heartbeat import Heartbeat
from alertbot.app.http import Metrics
from alertbot.app.poll_worker import PollWorker
from alertbot.app.process_id import is_gone, name_of_this_process
from alertbot.app.scheduler import Guarded
from alertbot.app.threads import Supervisor, WokenThread
from alertbot.app.wiring import evaluation_context_of, on_call_of, wheres_of
from alertbot.clock import SteadyClock
from alertbot.config import Config
from alertbot.domain import operator_texts
from alertbot.domain.datasets import feed_of
from alertbot.domain.rules import Rule, unmatched_globs
from alertbot.errors import StoreError
from alertbot.flows.collect import PollOutcome
from alertbot.flows.deliver import LEASE, Delivery, Sender, is_drained, no_clock_step, probe_broken
from alertbot.flows.evaluate import EvaluationContext, evaluate
from alertbot.flows.give_up import give_up_old
from alertbot.flows.notify import notify_due, notify_now
from alertbot.flows.operator_alerts import notify_operators, report_stalls
from alertbot.flows.retention import Retention, apply_retention
from alertbot.store import configurations, credentials, deliveries, leases, redating, rule_files, sources
from alertbot.store.database import Database, Tx

log = structlog.get_logger()
_MOMENT = 0.25  # seconds
_WARY = 86_400.0  # seconds after the clock was set forward in which nothing is deleted for its age
_TURN = 0.15  # seconds; who waits for SQLite's lock looks every tenth of a second
_INTERVALS_MISSED = 3  # a source that nobody tried to read for so many intervals is not watched
_DELIVER_EVERY = 0.5  # seconds at most between two looks at whether a notification has come due
_PATIENCE = timedelta(minutes=5)
# Of a notification's lease: how long after its claim a call of a dead process may still arrive at Slack.
_STILL_UNDER_WAY = 1 / 9
DRAIN = 8.0  # seconds that what is in flight gets at the end; service managers begin to kill after 10


class Worker:
    """Polls, evaluates and delivers. `sender` sends the notifications."""

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
        self._wheres = wheres_of(config)  # until they are held against what is read
        self._keep = _retention_of(config)
        self._owner = name_of_this_process()
        self._watch = replace(evaluation_context_of(config), process=self._owner)
        self._delivery = replace(
            _delivery_of(config, self._watch, sender, owner=self._owner, clock=clock, alarm=alarm),
            lease=LEASE * speed,  # on a demo's fast clock, too, a send gets its real seconds
        )
        self._heartbeat = Heartbeat(config.heartbeat.url.get_secret_value()) if config.heartbeat.url else None
        self._readers = readers_of(config, database, owner=self._owner, clock=clock, metrics=metrics)
        feed_polls = [
            feed_poll
            for source in config.sources
            for feed_poll in feed_polls_of(
                source,
                self._readers[source.name],
                rules=self._rules(),
                operators=config.slack.operator_channel,
                clock=clock,
            )
        ]
        self._evidence_worker = EvidenceWorker(database, rules=self._rules, owner=self._owner, clock=clock)
        for source in config.sources:
            self._evidence_worker.add(source, self._readers[source.name].client)
        self._outcomes: dict[str, PollOutcome] = {}
        self._read: SimpleQueue[str] = SimpleQueue()  # sources that were read and not evaluated yet
        self._evaluated: SimpleQueue[str] = SimpleQueue()  # those evaluated since notifications were last sent
        self._evaluator = self._thread("evaluate", self._evaluate_news)
        self._deliverer = self._thread("deliver", self._deliver_news)
        self._pinger = self._thread("heartbeat", self._heartbeat.ping) if self._heartbeat else None
        self._stopping = threading.Event()
        # Nobody waits for longer before people are told that nothing is seen.
        self._patience = {
            source.name: max(source.blind_after, source.interval * _INTERVALS_MISSED) for source in config.sources
        }
        blind_after = min((source.blind_after for source in config.sources), default=_PATIENCE)
        self._outage = DatabaseOutage(alarm, patience=blind_after)
        # In seconds of this machine's time: so soon people have to know of a source that cannot be read.
        self._blind_within = blind_after.total_seconds() / speed
        self._poll_worker = PollWorker(
            database,
            feed_polls,
            owner=self._owner,
            patience=self._patience,
            clock=clock,
            is_clock_right=self._is_clock_right,
            recent=self._watch.recent,
            metrics=metrics,
            on_polled=self._note_poll,
            on_database_error=self._outage.note,  # logged there, not each second
        )
        self._delivery_worker = DeliveryWorker(database, self._delivery, rules=self._rules)
        self._awake_since: datetime | None = None
        self._looked_at: datetime | None = None
        self._longest_nap = timedelta(seconds=max(5.0, 3 * self.check_stalled_every)) * speed
        with database.transaction() as tx:
            sources.register(tx, [feed_poll.name for feed_poll in feed_polls])
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
        """Release leases of processes on this host that no longer exist, instead of waiting for them to expire."""
        self._release(tx, [owner for owner in leases.holders(tx) if is_gone(owner)])

    def _release(self, tx: Tx, owners: Collection[str]) -> None:
        if owners:
            leases.release(tx, owners, earlier=self._delivery.lease * (1 - _STILL_UNDER_WAY))

    def poll_due(self) -> None:
        """Start the polls that are due."""
        self._poll_worker.poll_due()

    def renew_leases(self) -> None:
        """Renew the claims of the polls under way, and free what dead processes of this machine had claimed."""
        self._poll_worker.renew_leases()
        if not self._database.is_sqlite:
            with self._database.transaction() as tx:
                self._release_dead_leases(tx)

    def release_stale_claims(self) -> None:
        """On a database that only this process uses: forget what a process that was killed had claimed."""
        with self._database.transaction() as tx:
            self._release(tx, leases.holders(tx))
            credentials.release_everyone(tx)

    def run_once(self) -> tuple[dict[str, PollOutcome], list[str]]:
        """Poll every source at once, evaluate, notify without waiting, and deliver.

        Returns what came of each feed, and those without which something goes unseen and that could not be read.
        """
        outcomes = self._poll_worker.poll_all()
        self.evaluate()
        notify_now(self._database, now=self._clock())
        self.give_up_old()
        self._delivery_worker.deliver_all()
        self._evidence_worker.fetch_all()
        self._delivery_worker.deliver_all()
        return outcomes, self._poll_worker.failed(outcomes)

    def _note_poll(self, feed: str, outcome: PollOutcome) -> None:
        """Have what a poll brought evaluated, and its evidence fetched."""
        self._end_outage()
        self._outcomes[feed] = outcome
        if outcome is PollOutcome.READ:
            self._read.put(feed_of(feed)[0])
            self._evaluator.wake()
            self._name_unmatched_globs()
        self._evidence_worker.prompt(feed)

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
                log.warning("where_matches_no_llm", where=line)

    def _is_clock_right(self, tx: Tx) -> bool:
        """Whether our time has followed the last correction; if not, the next check of the clock does."""
        return not isinstance(self._clock, SteadyClock) or self._clock.correction == redating.last_correction(tx)

    def _beat(self, source: str) -> None:
        """Ping the watcher, if the cycle was whole: read, evaluated, and nothing left that could have been sent."""
        outcomes = {name: outcome for name, outcome in self._outcomes.items() if feed_of(name)[0] == source}
        if self._poll_worker.failed(outcomes):
            return
        if self._pinger is not None and not self._stopping.is_set() and is_drained(self._database, now=self._clock()):
            self._pinger.wake()  # the watcher may be slow

    def _end_outage(self) -> None:
        lasted = self._outage.lasts
        if lasted is not None:
            text = operator_texts.database_works(lasted=lasted)
            with self._database.transaction() as tx:
                notify_operators(tx, text, operators=self._delivery.operators, now=self._clock())
        if self._outage.text:
            self._outage.end()

    def check_stalled(self) -> None:
        """Tell the operators of sources that no process polls."""
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
        """Evaluate, and wake the deliverer. The threads that poll do neither: a backlog must not delay the next poll."""
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
        """Notify of what has come due without a new reading."""
        notify_due(self._database, now=self._clock())

    def give_up_old(self) -> None:
        """Give up what could not be sent while it mattered."""
        give_up_old(self._database, operators=self._delivery.operators, now=self._clock())

    def probe_channels(self) -> None:
        """Probe the broken channels that are due."""
        probe_broken(self._database, self._delivery)

    def apply_retention(self) -> None:
        """Delete what is older than its retention."""
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
        self._delivery_worker.deliver()
        for source in evaluated:
            self._beat(source)

    def wake(self) -> None:
        """Send soon what a person's action has caused."""
        self._deliverer.wake()

    def stop_claiming(self) -> None:
        """Claim nothing more, neither a source nor a notification."""
        self._stopping.set()
        self._poll_worker.stop_claiming()
        self._delivery_worker.stop_claiming()

    def stop(self, *, within: float = DRAIN) -> None:
        """Give what is in flight its seconds; what is not done then is found out by whoever starts next."""
        self.stop_claiming()
        ends_at = time.monotonic() + within
        for thread in (self._evaluator, self._deliverer):  # nobody hands anything out any more
            thread.stop(within=ends_at - time.monotonic())
        self._poll_worker.stop(within=max(0.0, ends_at - time.monotonic()))
        in_flight = self._delivery_worker.stop(within=max(0.0, ends_at - time.monotonic()))
        self._evidence_worker.stop(within=_MOMENT)
        if self._pinger is not None:
            self._pinger.stop(within=0.0)
        for reader in self._readers.values():
            reader.close()
        try:
            with self._database.transaction() as tx:
                # A call that is still at Slack may arrive yet: whoever had its notification before the lease is over
                # would post it twice.
                deliveries.release_all(tx, owner=self._owner, but_not=in_flight)
                rule_files.remove(tx, [self._owner])
        except StoreError as error:  # it is gone, and we go: what was claimed is free when its lease is over
            log.warning("leases_not_released", error=error.lines[0])


def _retention_of(config: Config) -> Retention:
    keep = config.database.keep
    return Retention(keep.raw, keep.hourly, keep.daily, keep.evidence, keep.audit)


def _delivery_of(
    config: Config,
    watch: EvaluationContext,
    sender: Sender,
    *,
    owner: str,
    clock: Callable[[], datetime],
    alarm: Callable[[str], None],
) -> Delivery:
    """How this process delivers."""
    return Delivery(
        sender,
        owner,
        clock,
        fallback=config.slack.fallback_channel,
        operators=config.slack.operator_channel,
        on_call=on_call_of(config),
        intervals=watch.intervals,
        prices=watch.prices,
        alarm=alarm,
        since_leap=clock.since_leap if isinstance(clock, SteadyClock) else no_clock_step,
    )


def _taken(queue: SimpleQueue[str]) -> list[str]:
    """All that is in a queue now, which only this thread empties."""
    return [queue.get() for _ in range(queue.qsize())]
