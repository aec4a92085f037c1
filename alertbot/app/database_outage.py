"""Tells the operators that the database cannot be used: by a way that does not need it."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from alertbot.errors import SlackError, StoreError

log = structlog.get_logger()
_LOG_AGAIN = 60.0  # seconds after which it is logged again


class DatabaseOutage:
    """Since when the database fails, and whether the operators know. Asked by several threads."""

    def __init__(
        self, alarm: Callable[[str], None], *, patience: timedelta, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`alarm` is the way to the operators that needs no database; it is used once, after `patience`."""
        self._alarm = alarm
        self._patience = patience.total_seconds()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None
        self._logged_at = 0.0
        self._is_told = False
        self.text = self.public = ""

    @property
    def lasts(self) -> timedelta | None:
        """For how long it has failed, if the operators were told so."""
        with self._lock:
            if self._since is None or not self._is_told:
                return None
            return timedelta(seconds=self._monotonic() - self._since)

    def note(self, error: StoreError) -> None:
        """Note that it failed."""
        with self._lock:
            now = self._monotonic()
            self.text, self.public = error.lines[0], error.public
            is_new = self._since is None
            since = self._since = now if self._since is None else self._since
            if is_new or now - self._logged_at >= _LOG_AGAIN:
                self._logged_at = now
                log.error("database_failed", error=self.text, seconds=round(now - since))
            tells = not self._is_told and now - since >= self._patience
            self._is_told = self._is_told or tells
        if tells:
            self._tell()

    def end(self) -> None:
        """Note that it works."""
        with self._lock:
            if self._since is not None:
                log.info("database_works", seconds=round(self._monotonic() - self._since))
            self._since, self._is_told, self.text, self.public = None, False, "", ""

    def _tell(self) -> None:
        text = f"The database cannot be used: nothing is read and no notification is sent until it can. {self.text}"
        log.error("operator_alert", text=text)
        try:
            self._alarm(text)
        except SlackError:  # it is tried again with the next failure
            self._is_told = False
