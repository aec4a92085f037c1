"""The only place that reads the clock; everywhere else time is an argument."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """The time. A demo's clock runs `speed` times as fast from `origin` on."""

    speed: float = 1.0
    origin: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    started: float = 0.0

    @classmethod
    def fast(cls, speed: float) -> "Clock":
        """A clock that shows the present now, and then runs at this speed."""
        return cls(speed, datetime.now(UTC), time.monotonic())

    def __call__(self) -> datetime:
        if self.speed == 1.0:
            return datetime.now(UTC)
        return self.origin + timedelta(seconds=(time.monotonic() - self.started) * self.speed)


# How fast our own time goes while it is ahead: slow enough to be met, fast enough that windows stay what they are called.
_AHEAD_RATE = 0.9
_LEAP = timedelta(seconds=5)  # the clock has not only run on by so much between two looks: somebody has set it


class SteadyClock:
    """Another clock's time that never goes back.

    Readings are applied in order, and windows, leases and pauses are lengths of time. If the clock is set back by an hour,
    time goes on here, a little slower than it should, until the clock has caught up: else nothing would be due, and no
    reading newer than the last, for an hour. A step forward is followed at once: a machine that slept looks the same.
    """

    def __init__(self, clock: Callable[[], datetime], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` counts seconds, whatever is done to the clock."""
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._shown: datetime | None = None
        self._shown_at = 0.0
        self._ahead = timedelta(0)
        self._leapt_at = -math.inf

    def __call__(self) -> datetime:
        moment = self._clock()  # outside of the lock: it may be a question to a database
        with self._lock:
            return self._show(moment)

    def not_before(self, moment: datetime) -> None:
        """Begin no earlier than this, where the clock was set back while nobody ran."""
        now = self._clock()
        with self._lock:
            self._show(now)
            self._show(moment)
            self._ahead = max(timedelta(0), moment - now)

    @property
    def ahead(self) -> timedelta:
        """How far this time was ahead of the clock's when it was last asked for."""
        return self._ahead

    def since_leap(self) -> float:
        """Seconds since the clock was seen to be set forward: what has ended since may have ended by that alone."""
        return self._monotonic() - self._leapt_at

    def _show(self, moment: datetime) -> datetime:
        at = self._monotonic()
        if self._shown is not None:
            passed = max(0.0, at - self._shown_at)
            if moment - self._shown - timedelta(seconds=passed) > _LEAP:
                self._leapt_at = at
            own = self._shown + timedelta(seconds=passed * _AHEAD_RATE)
            self._ahead = max(timedelta(0), own - moment)
            moment = max(moment, own)
        self._shown, self._shown_at = moment, at
        return moment
