"""Runs ticks at intervals, each never twice at once. Knows nothing of alerts."""

import math
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from alertbot.errors import AlertbotError

log = structlog.get_logger()
_THREADS = (
    32  # more than there are ticks: those that wait for the database must not keep one from running that does not
)
_TICK_NAME = re.compile(r"[a-z][a-z_]*")


class _MonotonicTime(tzinfo):
    """A "time zone" whose present is counted in seconds that nobody can set.

    APScheduler 3 asks `datetime.now(timezone)` for the present, and waits for moments of it. By the wall clock nothing would
    run for an hour when somebody sets that back by an hour.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._begin = datetime(2000, 1, 1, tzinfo=self)

    def fromutc(self, _wall: datetime) -> datetime:
        return self._begin + timedelta(seconds=self._seconds())

    def utcoffset(self, _moment: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, _moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, _moment: datetime | None) -> str:
        return "seconds since boot"


class _Every(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 has no types
    """Fires at equal intervals from its start on. What was missed is left out: APScheduler would list it moment by moment."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        if previous_fire_time is None:
            return now + self._interval
        missed = math.floor((now - previous_fire_time) / self._interval)
        return previous_fire_time + self._interval * (max(0, missed) + 1)


class Scheduler:
    """Ticks. A tick that raises is logged and comes again; one that takes long is not started a second time."""

    def __init__(self, *, on_failure: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """`on_failure` is called with the name of a tick that raised; `monotonic` counts seconds, whatever is done to the clock."""
        self._on_failure = on_failure
        # misfire_grace_time None: after a stall (a laptop that slept, a blocked disk) the tick runs late, not never.
        self._scheduler = BackgroundScheduler(
            timezone=_MonotonicTime(monotonic),
            executors={"default": {"type": "threadpool", "max_workers": _THREADS}},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def every(self, seconds: float, name: str, tick: Callable[[], None]) -> None:
        """Call `tick` each so many seconds from the start on. `name`, in lower_snake_case, is a label of the metrics."""
        if not _TICK_NAME.fullmatch(name):
            raise ValueError(f"not a name for a tick: {name}")
        self._scheduler.add_job(Guarded(name, tick, self._on_failure), _Every(timedelta(seconds=seconds)), id=name)

    def start(self) -> None:
        self._scheduler.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread that starts the ticks runs."""
        thread = getattr(self._scheduler, "_thread", None)  # the library keeps it to itself
        return thread is not None and thread.is_alive()

    def stop(self) -> None:
        """Start no further tick, and wait for those that run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


class Guarded:
    """A tick whose failure does not end the ticks.

    The same failure, time after time, is logged in full only once, then in short after 2, 4, 8 … times: in an outage all ticks fail,
    four times a second.
    """

    def __init__(self, name: str, tick: Callable[[], None], on_failure: Callable[[str], None]) -> None:
        self._name, self._tick, self._on_failure = name, tick, on_failure
        self._last_failure, self._times = "", 0

    def __call__(self) -> None:
        try:
            self._tick()
        except Exception as error:
            self._on_failure(self._name)
            failure = f"{type(error).__name__}: {error}"
            self._times = self._times + 1 if failure == self._last_failure else 1
            self._last_failure = failure
            text = error.lines[0] if isinstance(error, AlertbotError) else failure[:300]
            if self._times == 1:
                says_it_all = isinstance(error, AlertbotError)
                log.error("tick_failed", tick=self._name, error=text, exc_info=not says_it_all)  # noqa: TRY400
            elif self._times.bit_count() == 1:
                log.error("tick_failed_again", tick=self._name, times=self._times, error=text)  # noqa: TRY400
        else:
            self._last_failure, self._times = "", 0
