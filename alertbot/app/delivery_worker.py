"""Sends what waits in the outbox, several notifications at a time: one channel that hangs delays no other."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

import structlog

from alertbot.app.threads import log_failure
from alertbot.domain.rules import Rule
from alertbot.errors import AlertbotError
from alertbot.flows.deliver import Delivery, claim_due, deliver
from alertbot.store import deliveries
from alertbot.store.database import Database
from alertbot.store.deliveries import OutboxEntry

log = structlog.get_logger()
_SENDERS = 8
_AT_ONCE = 2  # notifications of one channel that are being sent: it takes about one message a second, and may hang
_MOMENT = 0.25  # seconds


class DeliveryWorker:
    """Claims notifications and sends them in a pool of threads. `rules` are those that hold now."""

    def __init__(self, database: Database, delivery: Delivery, *, rules: Callable[[], Sequence[Rule]]) -> None:
        self._database = database
        self._delivery = delivery
        self._rules = rules
        self._pool = ThreadPoolExecutor(max_workers=_SENDERS, thread_name_prefix="send")
        self._sending: dict[Future[None], OutboxEntry] = {}
        self._unmarked: set[int] = set()
        self._stopping = threading.Event()

    def deliver(self) -> None:
        """Send everything that may be sent now, unless the calls in progress hang."""
        self._release_unmarked()
        while not self._stopping.is_set() and (self._send_next() or self._one_was_sent()):
            pass

    def deliver_all(self) -> None:
        """Deliver, and wait until everything that may be sent was answered."""
        self.deliver()
        while self._sending and not self._stopping.is_set():
            wait(self._sending, return_when=FIRST_COMPLETED)
            self.deliver()

    def stop_claiming(self) -> None:
        self._stopping.set()

    def stop(self, *, within: float) -> list[int]:
        """Give what is being sent so many seconds; returns the notifications of which nobody knows then."""
        self._stopping.set()
        wait(self._sending, timeout=within)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return [entry.number for sending, entry in list(self._sending.items()) if not sending.done()]

    def _release_unmarked(self) -> None:
        """Release what could not be marked while the database was away, instead of waiting for its lease to expire."""
        if unmarked := set(self._unmarked):
            with self._database.transaction() as tx:
                deliveries.release(tx, unmarked, owner=self._delivery.owner)
            self._unmarked -= unmarked

    def _send_next(self) -> bool:
        """Start sending one notification, if a thread is free and a channel that is not busy has one."""
        self._sending = {sending: entry for sending, entry in self._sending.items() if not sending.done()}
        if len(self._sending) >= _SENDERS:
            return False
        in_flight = Counter(entry.channel for entry in self._sending.values())
        busy = [channel for channel, count in in_flight.items() if count >= _AT_ONCE]
        entries = claim_due(self._database, self._delivery, limit=1, busy=busy)
        for entry in entries:
            sending = self._pool.submit(self._send, entry)
            sending.add_done_callback(log_failure)
            self._sending[sending] = entry
        return bool(entries)

    def _one_was_sent(self) -> bool:
        """Whether something under way was done within a moment: then there may be more to do."""
        return bool(self._sending and wait(self._sending, timeout=_MOMENT, return_when=FIRST_COMPLETED).done)

    def _send(self, entry: OutboxEntry) -> None:
        try:
            deliver(self._database, replace(self._delivery, rules=self._rules()), entry)
        except AlertbotError as error:
            log.error("delivery_failed", notification=entry.number, error=error.lines[0])  # noqa: TRY400 — its text says it all
            self._unmarked.add(entry.number)
        except Exception:  # one notification's failure must not end the others
            log.exception("delivery_crashed", notification=entry.number)
