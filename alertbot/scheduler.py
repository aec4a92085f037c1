"""Calls things every so often, each never twice at once. Knows no word of alerts."""

from collections.abc import Callable
from datetime import UTC

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

log = structlog.get_logger()


class Scheduler:
    """Ticks. A tick that raises is logged and comes again; one that takes long is not started a second time."""

    def __init__(self) -> None:
        # misfire_grace_time None: after a stall (a laptop that slept, a blocked disk) the tick runs late, not never.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def every(self, seconds: float, name: str, tick: Callable[[], None]) -> None:
        """Call `tick` each so many seconds from the start on."""
        self._scheduler.add_job(_guarded(name, tick), IntervalTrigger(seconds=seconds, timezone=UTC), id=name)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Start no further tick, and wait for those that run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


def _guarded(name: str, tick: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            tick()
        except Exception:  # a tick's failure must not end the ticks
            log.exception("tick_failed", tick=name)

    return run
