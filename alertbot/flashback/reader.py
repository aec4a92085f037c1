"""Reads the feeds of a source whole: every configuration's totals, or the points since the last look; and the names."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog

from alertbot.domain.points import Dataset, PointsReading, Resolution, floor
from alertbot.domain.snapshots import MOST_LLMS, MOST_REPOS, Configuration, Snapshot
from alertbot.errors import FlashbackBusy, FlashbackError, FlashbackForbidden, FlashbackMissing
from alertbot.flashback.client import FlashbackClient

log = structlog.get_logger()
_NAMES_EVERY = timedelta(minutes=10)  # names change seldom, and each request counts against a quota
_DAYS_EVERY = timedelta(minutes=10)  # day statistics beside those of minutes: late points of days that are over
_ONE_ANSWER = timedelta(days=1)  # that one request asks for; a month of minutes would be cut off somewhere
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LONGEST_GAP = timedelta(days=31)  # further back only `backfill` looks


class Names:
    """The configurations of a source, asked for where an unknown one was seen or the names are old; their workspaces too."""

    def __init__(self, client: FlashbackClient, *, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._named: frozenset[str] = frozenset()
        self._named_at: datetime | None = None
        self._workspaces: dict[str, str] = {}
        self._workspaces_at: datetime | None = None
        self._told: set[str] = set()  # what was logged, and need not again

    def ask(self) -> tuple[Configuration, ...]:
        """The configurations, whatever is known. Raises FlashbackError."""
        configurations = self._client.configurations()
        self._note(configurations, set())
        return self._with_workspaces(configurations)

    def ask_if_new(self, seen: set[str]) -> tuple[Configuration, ...] | None:
        """The configurations, or None where they need not be asked for or do not come: without them a reading counts too."""
        now = self._clock()
        if self._named_at is not None and _is_younger(self._named_at, now, _NAMES_EVERY) and seen <= self._named:
            return None
        try:
            configurations = self._client.configurations()
        except FlashbackError as error:
            log.warning("names_not_read", endpoint=error.endpoint, kind=error.kind, error=error.lines[0])
            return None
        self._note(configurations, seen)
        return self._with_workspaces(configurations)

    def _note(self, configurations: tuple[Configuration, ...], seen: set[str]) -> None:
        # Those that were seen but have no name are not asked for again before the names are old.
        self._named = frozenset({configuration.ai_llm for configuration in configurations} | seen)
        self._named_at = self._clock()

    def _with_workspaces(self, configurations: tuple[Configuration, ...]) -> tuple[Configuration, ...]:
        """The same with what their workspaces are called, as far as the server tells: not everybody may see them."""
        now = self._clock()
        is_due = self._workspaces_at is None or not _is_younger(self._workspaces_at, now, _NAMES_EVERY)
        if is_due and any(one.workspace for one in configurations):
            self._workspaces_at = now
            try:
                self._workspaces = self._client.workspaces()
            except FlashbackError as error:
                if error.kind not in self._told:
                    self._told.add(error.kind)
                    log.warning("names_not_read", endpoint=error.endpoint, kind=error.kind, error=error.lines[0])
        longest = max((len(one.repos) for one in configurations), default=0)
        if longest > MOST_REPOS:
            self._warn_once("too_many_repos", most=MOST_REPOS, repos=longest)
        return tuple(
            replace(one, workspace_name=self._workspaces.get(one.workspace, ""), repos=one.repos[:MOST_REPOS])
            for one in configurations
        )

    def oldest(self, configurations: tuple[Configuration, ...]) -> tuple[Configuration, ...]:
        """As many as are counted of a source, those that were made first: each of them is a request where they are asked one by one."""
        if len(configurations) <= MOST_LLMS:
            return configurations
        self._warn_once("too_many_llms", most=MOST_LLMS, left_out=len(configurations) - MOST_LLMS)
        return tuple(sorted(configurations, key=lambda one: (one.created_at or _LONG_AGO, one.ai_llm))[:MOST_LLMS])

    def _warn_once(self, event: str, **fields: int) -> None:
        if event not in self._told:
            self._told.add(event)
            log.warning(event, **fields)


def _is_younger(asked_at: datetime, now: datetime, limit: timedelta) -> bool:
    """Whether something is still fresh. What was asked after `now` was dated by a clock that was set back since: it is not."""
    return timedelta(0) <= now - asked_at < limit


@dataclass(slots=True)
class _Round:
    """Configurations that are asked one by one, and what was found of those that were, and when.

    `last_at` is when the source had been read last, by whomever. A `limited` one met a quota.
    """

    configurations: tuple[Configuration, ...]
    last_at: datetime | None
    began_at: datetime
    found: dict[str, tuple[datetime, Snapshot | None]] = field(default_factory=dict)
    limited: bool = False


class SourceReader:
    """One source's totals, put together; not shared between threads. `clock` tells when something was last asked for.

    Where a quota ends a round of asking one by one, the next reading goes on with the rest: who began again each time would
    never get to the end. What was asked longer than `fresh_for` ago is asked again: it would pass for what is true now.
    """

    def __init__(
        self, client: FlashbackClient, *, clock: Callable[[], datetime], concurrency: int, fresh_for: timedelta
    ) -> None:
        self.client = client
        self._names = Names(client, clock=clock)
        self._clock = clock
        self._concurrency = concurrency
        self._fresh_for = fresh_for
        self._round: _Round | None = None

    def read(self, last_at: datetime | None) -> tuple[Sequence[Snapshot], tuple[Configuration, ...] | None]:
        """Every configuration's totals; the configurations themselves where they were asked for and came.

        `last_at` is when the source was last read, perhaps by another process: older than that nothing may be, or counters
        would seem to fall. Raises FlashbackError where the totals are not whole: a part of a reading is no reading.
        """
        asked = self._kept(last_at)
        if asked is None:
            page = self.client.totals()
            if not page.is_total:
                return page.snapshots, self._names.ask_if_new(page.ids)
            asked = _Round(self._names.oldest(self._names.ask()), last_at, self._clock())
        return self._go_on(asked), asked.configurations

    def close(self) -> None:
        """Close the client's connections."""
        self.client.close()

    def _kept(self, last_at: datetime | None) -> _Round | None:
        """What is left of a round that a quota has ended, if any of it is still of use."""
        kept, now = self._round, self._clock()
        if kept is None or kept.last_at != last_at:
            return None
        fresh = {ai_llm: one for ai_llm, one in kept.found.items() if _is_younger(one[0], now, self._fresh_for)}
        if not fresh:
            return None
        if _is_younger(kept.began_at, now, self._fresh_for):
            return replace(kept, found=fresh)
        return _Round(self._names.oldest(self._names.ask()), last_at, now, fresh, limited=True)

    def _go_on(self, asked: _Round) -> tuple[Snapshot, ...]:
        """What the round found, once it is whole."""
        rest = [one.ai_llm for one in asked.configurations if one.ai_llm not in asked.found]
        pool = ThreadPoolExecutor(max_workers=self._concurrency)
        asking = [pool.submit(self._note_totals, asked, ai_llm) for ai_llm in rest]
        try:
            for one in wait(asking, return_when=FIRST_EXCEPTION).not_done:
                one.cancel()
            wait(asking)
        finally:  # whoever is interrupted meanwhile does not wait for the answers
            pool.shutdown(wait=False, cancel_futures=True)
        errors = [error for one in asking if not one.cancelled() and (error := one.exception()) is not None]
        busy = next((error for error in errors if isinstance(error, FlashbackBusy)), None)
        asked.limited |= busy is not None
        self._round = asked if errors and asked.limited else None
        if errors:
            raise busy or errors[0]
        found = [asked.found[one.ai_llm][1] for one in asked.configurations]
        return tuple(snapshot for snapshot in found if snapshot is not None)

    def _note_totals(self, asked: _Round, ai_llm: str) -> None:
        """Ask for one configuration's totals; there are none where the server says that it is not there, or not for us."""
        now = self._clock()
        try:
            snapshot = self.client.totals_of(ai_llm)
        except (FlashbackForbidden, FlashbackMissing):
            snapshot = None
        asked.found[ai_llm] = now, snapshot


class PointsReader:
    """One source's points of one dataset, of minutes or of days or both; not shared between threads.

    `reread` is how far back minutes are read again: the newest bucket is still filling when it is read, and some are
    late.
    """

    def __init__(
        self,
        client: FlashbackClient,
        *,
        dataset: Dataset,
        resolutions: frozenset[Resolution],
        reread: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._dataset = dataset
        self._resolutions = resolutions
        self._reread = reread
        self._names = Names(client, clock=clock)
        self._days_at: datetime | None = None

    def read(
        self, now: datetime, last_at: datetime | None
    ) -> tuple[tuple[PointsReading, ...], tuple[Configuration, ...] | None]:
        """What there is since the last good look, or since the beginning of yesterday; and the names where they are needed.

        That covers today in every time zone, so that today's budgets are complete. Raises FlashbackError.
        """
        readings = []
        if Resolution.MINUTE in self._resolutions:
            back = (
                floor(now, Resolution.DAY) - Resolution.DAY.length
                if last_at is None
                else min(last_at, now) - self._reread
            )
            readings.append(self._minutes(floor(max(back, now - _LONGEST_GAP), Resolution.MINUTE), now))
        if Resolution.DAY in self._resolutions and self._days_are_due(now):
            back = now - _LONGEST_GAP if last_at is None else min(last_at, now) - self._reread
            start = floor(back, Resolution.DAY)
            readings.append(
                PointsReading(
                    start, now, self._client.points(self._dataset, Resolution.DAY, start, now), Resolution.DAY
                )
            )
            self._days_at = now
        seen = {point.label_set.ai_llm for one in readings for point in one.points} - {""}
        return tuple(readings), self._names.ask_if_new(seen) if seen else None

    def _minutes(self, start: datetime, end: datetime) -> PointsReading:
        found = [
            point
            for first, last in in_parts(start, end)
            for point in self._client.points(self._dataset, Resolution.MINUTE, first, last)
        ]
        return PointsReading(start, end, tuple(found))

    def _days_are_due(self, now: datetime) -> bool:
        return Resolution.MINUTE not in self._resolutions or self._days_at is None or now - self._days_at >= _DAYS_EVERY


def in_parts(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[start, end] in parts that one answer holds. No bucket is in two of them."""
    while end - start > _ONE_ANSWER:
        yield start, start + _ONE_ANSWER - timedelta(seconds=1)
        start += _ONE_ANSWER
    yield start, end
