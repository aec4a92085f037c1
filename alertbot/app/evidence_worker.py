"""Fetches evidence in threads of its own, so that no poll, no evaluation and no delivery ever waits for it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime

import structlog

from alertbot.app.threads import log_failure
from alertbot.config import SourceConfig
from alertbot.domain.datasets import feed_of
from alertbot.domain.rules import Rule
from alertbot.errors import StoreError
from alertbot.flows.fetch_evidence import EvidenceFetch, Lister, fetch_evidence
from alertbot.store.database import Database

log = structlog.get_logger()
_AT_ONCE = 2  # sources: it is a few requests each, and what is late is no less of use


class EvidenceWorker:
    """Fetches the evidence of those sources whose `collect` says so."""

    def __init__(
        self, database: Database, *, rules: Callable[[], Sequence[Rule]], owner: str, clock: Callable[[], datetime]
    ) -> None:
        """`rules` tells those that hold now: what is new is shown with the messages of their alerts."""
        self._database = database
        self._rules = rules
        self._owner = owner
        self._clock = clock
        self._evidence_fetches: dict[str, EvidenceFetch] = {}
        self._running: dict[str, Future[None]] = {}
        self._prompting = threading.Lock()
        self._is_stopping = False
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="evidence")

    def add(self, source: SourceConfig, lister: Lister) -> None:
        """Fetch the evidence of a source, if it is collected."""
        if "evidence" in source.collect:
            self._evidence_fetches[source.name] = EvidenceFetch(source.name, lister)

    def prompt(self, feed: str) -> None:
        """Look soon whether there is evidence to fetch: a feed of the source was just polled."""
        name, _ = feed_of(feed)
        with self._prompting:  # two feeds of a source may end at the same time
            running = self._running.get(name)
            is_free = not self._is_stopping and (running is None or running.done())
            if is_free and name in self._evidence_fetches:
                self._running[name] = self._pool.submit(self._fetch, self._evidence_fetches[name])
                self._running[name].add_done_callback(log_failure)

    def fetch_all(self) -> None:
        """Fetch what there is now, one source after another."""
        for evidence_fetch in self._evidence_fetches.values():
            self._fetch(evidence_fetch)

    def _fetch(self, evidence_fetch: EvidenceFetch) -> None:
        try:
            fetch_evidence(
                self._database, replace(evidence_fetch, rules=self._rules()), owner=self._owner, clock=self._clock
            )
        except StoreError as error:  # told by those who cannot do their work without the database
            log.debug("evidence_not_stored", source=evidence_fetch.name, error=error.lines[0])
        except Exception:  # one source's failure must not end what is done for the others
            if not self._is_stopping:  # else its connections were closed on purpose
                log.exception("evidence_fetch_failed", source=evidence_fetch.name)

    def stop(self, *, within: float) -> None:
        """Give what is under way so many seconds; what is not done then is fetched by whoever starts next."""
        with self._prompting:
            self._is_stopping = True
            self._pool.shutdown(wait=False, cancel_futures=True)
        wait(self._running.values(), timeout=within)
