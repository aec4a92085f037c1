"""The only place that reads the clock; everywhere else time is an argument."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def seconds_since_boot() -> float:
    """Seconds that nobody can set. Where the system tells it, the time in which the machine was suspended counts."""
    return time.clock_gettime(_SECONDS_SINCE_BOOT)


_SECONDS_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


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


# How fast our time runs while it is ahead of the reference clock: slow enough for that one to catch up, fast enough for
# windows to stay what they are called.
_AHEAD_RATE = 0.9
_STEP = timedelta(seconds=5)  # no clock drifts this far between two checks: somebody has set it


@dataclass(frozen=True, slots=True)
class _Line:
    """The time as a function of the seconds since boot."""

    reference: datetime  # the reference clock's time at `at`
    at: float
    ahead: timedelta = timedelta(0)  # how far our time was ahead of it at `at`

    def reference_at(self, at: float) -> datetime:
        return self.reference + timedelta(seconds=at - self.at)

    def ahead_at(self, at: float) -> timedelta:
        caught_up = timedelta(seconds=(at - self.at) * (1 - _AHEAD_RATE))
        return max(timedelta(0), self.ahead - caught_up)

    def time_at(self, at: float) -> datetime:
        return self.reference_at(at) + self.ahead_at(at)


class SteadyClock:
    """A reference clock's time that never goes back, and that costs nothing to ask for.

    Between two checks the time runs by the seconds since boot, so whoever asks never waits for the reference clock, which
    may be a database's. Readings are applied in order, and windows, leases and pauses are lengths of time: if the reference
    clock is set back by an hour, our time goes on a little slower until the clock has caught up. A step forward is followed
    at once. The first check is made by whoever builds it; until then it shows the machine's time.
    """

    def __init__(
        self, reference: Callable[[], datetime], *, monotonic: Callable[[], float] = seconds_since_boot
    ) -> None:
        """`monotonic` counts seconds, whatever is done to the clock."""
        self._reference = reference
        self._monotonic = monotonic
        self._line: _Line | None = None  # replaced as a whole: readers take no lock
        self._stepped_forward_at = -math.inf
        # The last of the corrections to what is stored (store/redating.py) that this time has followed.
        self.correction = 0

    def __call__(self) -> datetime:
        line = self._line
        return datetime.now(UTC) if line is None else line.time_at(self._monotonic())

    def check(self) -> timedelta:
        """Compare with the reference clock; by how much that one was set since the last check, or zero.

        Asks the reference clock, so it may raise what that raises. Never call it while a connection is held.
        """
        asked_at = self._monotonic()
        reference = self._reference()
        answered_at = self._monotonic()
        at, uncertainty = (asked_at + answered_at) / 2, timedelta(seconds=(answered_at - asked_at) / 2)
        line = self._line
        if line is None:
            self._line = _Line(reference, at)
            return timedelta(0)
        drift = reference - line.reference_at(at)
        if abs(drift) <= uncertainty:
            return timedelta(0)  # the answer took longer than the difference
        self._line = _Line(reference, at, max(timedelta(0), line.time_at(at) - reference))
        if abs(drift) <= _STEP + uncertainty:
            return timedelta(0)
        if drift > timedelta(0):
            self._stepped_forward_at = at
        return drift

    def not_before(self, moment: datetime) -> None:
        """Show no earlier time than this, such as that of the newest reading."""
        at = self._monotonic()
        line = self._line or _Line(datetime.now(UTC), at)
        ahead = moment - line.reference_at(at)
        if ahead > line.ahead_at(at):
            self._line = _Line(line.reference_at(at), at, ahead)

    def follow(self, correction: int) -> None:
        """Show the reference clock's time from now on, though ours goes back by that: what is stored was dated back."""
        line = self._line
        if line is not None:
            at = self._monotonic()
            self._line = _Line(line.reference_at(at), at)
        self.correction = correction

    @property
    def ahead(self) -> timedelta:
        """How far this time is ahead of the reference clock's."""
        line = self._line
        return timedelta(0) if line is None else line.ahead_at(self._monotonic())

    def since_leap(self) -> float:
        """Seconds since the clock was seen to be set forward: what has ended since may have ended by that alone."""
        return self._monotonic() - self._stepped_forward_at
