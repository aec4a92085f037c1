"""The only place that reads the clock; everywhere else time is an argument."""

import time
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
