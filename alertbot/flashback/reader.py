"""Reads a source whole: every configuration's totals, and from time to time their names."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog

from alertbot.domain.snapshots import Configuration, Snapshot
from alertbot.errors import FlashbackError, FlashbackForbidden, FlashbackMissing
from alertbot.flashback.client import FlashbackClient

log = structlog.get_logger()
_NAMES_EVERY = timedelta(minutes=10)  # names change seldom, and each request counts against a quota


class SourceReader:
    """One source's answers, put together. `clock` tells when names were last asked for; not shared between threads."""

    def __init__(self, client: FlashbackClient, *, clock: Callable[[], datetime], concurrency: int) -> None:
        self._client = client
        self._clock = clock
        self._concurrency = concurrency
        self._named: frozenset[str] = frozenset()
        self._named_at: datetime | None = None

    def read(self) -> tuple[tuple[Snapshot, ...], tuple[Configuration, ...] | None]:
        """Every configuration's totals; the configurations themselves where they were asked for and came.

        Raises FlashbackError where the totals are not whole: a part of a reading is no reading.
        """
        page = self._client.totals()
        if page.is_one_sum:
            configurations = self._client.configurations()
            self._note(configurations)
            return self._one_by_one(configurations), configurations
        return page.snapshots, self._names({snapshot.ai_llm for snapshot in page.snapshots})

    def close(self) -> None:
        self._client.close()

    def _one_by_one(self, configurations: tuple[Configuration, ...]) -> tuple[Snapshot, ...]:
        with ThreadPoolExecutor(max_workers=self._concurrency) as pool:
            found = list(pool.map(self._totals_of, [configuration.ai_llm for configuration in configurations]))
        return tuple(snapshot for snapshot in found if snapshot is not None)

    def _totals_of(self, ai_llm: str) -> Snapshot | None:
        """One configuration's totals; None where the server says that it is not there, or not for us."""
        try:
            return self._client.totals_of(ai_llm)
        except (FlashbackForbidden, FlashbackMissing):
            return None

    def _names(self, seen: set[str]) -> tuple[Configuration, ...] | None:
        """The configurations, asked for where an unknown one was seen or the names are old. Without them a reading counts too."""
        now = self._clock()
        if self._named_at is not None and now - self._named_at < _NAMES_EVERY and seen <= self._named:
            return None
        try:
            configurations = self._client.configurations()
        except FlashbackError as error:
            log.warning("names_not_read", endpoint=error.endpoint, kind=error.kind, error=error.lines[0])
            return None
        self._note(configurations, seen)
        return configurations

    def _note(self, configurations: tuple[Configuration, ...], seen: set[str] | None = None) -> None:
        # Those that were seen but have no name are not asked for again before the names are old.
        self._named = frozenset({configuration.ai_llm for configuration in configurations} | (seen or set()))
        self._named_at = self._clock()
