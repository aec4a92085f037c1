"""What probes are answered: updated by ticks, so that a probe never waits for the database."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertbot.app.http import Metrics
from alertbot.domain.alerts import State
from alertbot.domain.history import SourceState
from alertbot.domain.rules import Severity
from alertbot.errors import AlertbotError
from alertbot.store import alerts, channels, outbox, sources
from alertbot.store.database import Database

_READINGS_MISSED = 3  # a source is not ready when it was not read for this many intervals
_TICKS_STALLED = 60.0  # seconds; the ticks come each second
_CHECK_TOO_OLD = 15.0  # seconds; it is made each second, and takes as long as the database takes to answer


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why the bot was not ready when it was last looked, in seconds of the monotonic clock: reasons by check and name."""

    checked_at: float
    reasons: Mapping[str, Mapping[str, str]]
    has_failed: bool = False  # the gauges could not be filled


class Probes:
    """Answers for `/healthz`, `/readyz` and the gauges of `/metrics`.

    `database_error` and `slack_error` tell what the process knows by itself; `slack_error` takes the code with which Slack
    refuses the app, if it does. Both return an empty text where nothing is wrong.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        intervals: Mapping[str, timedelta],
        *,
        needs_sources: bool,
        clock: Callable[[], datetime],
        database_error: Callable[[], str],
        slack_error: Callable[[str], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._intervals = intervals
        self._needs_sources = needs_sources
        self._clock = clock
        self._database_error = database_error
        self._slack_error = slack_error
        self._monotonic = monotonic
        self._ticked_at = monotonic()
        self._readiness = Readiness(monotonic(), {"database": {"database": "not asked yet"}}, has_failed=True)

    def note_tick(self) -> None:
        """A tick: it needs nothing, so where it does not come no other does."""
        self._ticked_at = self._monotonic()

    def check_readiness(self) -> None:
        """A tick: look whether the bot is ready, and fill the gauges. Raises StoreError where the database does not answer."""
        try:
            reasons = self._look()
        except AlertbotError as error:
            self._readiness = Readiness(self._monotonic(), {"database": {"database": error.public}}, has_failed=True)
            raise
        self._readiness = Readiness(self._monotonic(), reasons)

    def unhealthy_reasons(self) -> str:
        """Why the process should be started anew; empty where it need not be."""
        stalled = self._monotonic() - self._ticked_at
        return f"no tick for {stalled:.0f} s" if stalled > _TICKS_STALLED else ""

    def not_ready_reasons(self, exclude: Collection[str] = ()) -> dict[str, str]:
        """What is wrong, by name, but for the checks that are left out: `database`, `sources`, `slack`."""
        readiness = self._readiness
        age = self._monotonic() - readiness.checked_at
        reasons = dict(readiness.reasons)
        if age > _CHECK_TOO_OLD:
            reasons["database"] = {"database": f"no answer for {age:.0f} s"}
        return {name: text for check, texts in reasons.items() if check not in exclude for name, text in texts.items()}

    def why_gauges_are_old(self) -> str:
        """Why the gauges are not to be shown: they would say that all is well. Empty where they may be."""
        age = self._monotonic() - self._readiness.checked_at
        is_old = self._readiness.has_failed or age > _CHECK_TOO_OLD
        return "; ".join(self.not_ready_reasons({"sources", "slack"}).values()) if is_old else ""

    def _look(self) -> dict[str, Mapping[str, str]]:
        now = self._clock()
        with self._database.reading() as tx:
            states = sources.states(tx, self._intervals)
            refused = channels.reason_of(tx, channels.EVERY_CHANNEL)
            counts = alerts.counts(tx)
            depth, oldest_at = outbox.depth(tx)
        self._fill_gauges(states, counts, depth, oldest_at, now)
        named = {"database": self._database_error(), "slack": self._slack_error(refused)}
        reasons: dict[str, Mapping[str, str]] = {name: {name: text} for name, text in named.items() if text}
        if self._needs_sources:
            reasons["sources"] = dict(self._unread(states, now))
        return reasons

    def _unread(self, states: Mapping[str, SourceState], now: datetime) -> Iterator[tuple[str, str]]:
        """The sources that were not read as often as they should have been, and why."""
        for name, interval in self._intervals.items():
            state = states.get(name)
            if state is None or state.read_at is None:
                yield f"source {name}", "never read" + (f": {state.error}" if state and state.error else "")
            elif now - state.read_at > interval * _READINGS_MISSED:
                yield f"source {name}", f"last read at {state.read_at.isoformat()}: {state.error or 'no error'}"

    def _fill_gauges(
        self,
        states: Mapping[str, SourceState],
        counts: Mapping[tuple[State, Severity], int],
        depth: int,
        oldest_at: datetime | None,
        now: datetime,
    ) -> None:
        for state in (State.PENDING, State.FIRING):
            for severity in Severity:
                self._metrics.alerts.labels(state.value, severity.value).set(counts.get((state, severity), 0))
        self._metrics.outbox_depth.set(depth)
        self._metrics.outbox_age.set((now - oldest_at).total_seconds() if oldest_at else 0)
        for name, source in states.items():
            if source.read_at is not None:
                self._metrics.reading_age.labels(name).set((now - source.read_at).total_seconds())
        self._metrics.gauges_filled.set(now.timestamp())
