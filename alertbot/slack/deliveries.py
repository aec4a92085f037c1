"""Deliveries from Slack that change something: acknowledged when the work is done, or shortly before Slack's timeout."""

import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 2.0  # seconds: Slack waits for three, and the acknowledgement has to travel


class Delivery:
    """One click, command or submitted form in progress.

    If the process is killed before the work is done, nothing is acknowledged and Slack shows an error. Work that takes
    longer is acknowledged early: the person is told that it is not done yet, and sees the result later.
    """

    def __init__(
        self, ack: Callable[..., Any], *, patience: float, late: Callable[[], None], left: Callable[[], None]
    ) -> None:
        """After `patience` seconds without `acknowledge`, `late` acknowledges instead. `left` is called at the end."""
        self.patience = patience
        self._ack = ack
        self._late = late
        self._left = left
        self._lock = threading.Lock()
        self._is_acknowledged = self._is_over = False
        self._timer = threading.Timer(patience, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def acknowledge(self, **reply: Any) -> bool:
        """Acknowledge with this reply. False if that was done early: then the person waits for an answer."""
        with self._lock:
            self._end()
            if self._is_acknowledged:
                return False
            self._is_acknowledged = True
            self._ack(**reply)
            return True

    def drop(self) -> None:
        """Leave the answer to the caller: the work was not begun, or its listener failed."""
        with self._lock:
            self._end()
            self._is_acknowledged = True

    def _end(self) -> None:
        self._timer.cancel()
        if not self._is_over:
            self._is_over = True
            self._left()

    def _give_up(self) -> None:
        with self._lock:
            if not self._is_acknowledged:
                self._is_acknowledged = True
                self._late()


class Deliveries:
    """The deliveries in progress. The more there are, the sooner each is acknowledged.

    Each holds one of the few threads that receive deliveries: while the database is locked, two seconds for each would
    be too long for those in the queue.
    """

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._under_way = 0

    def arrive(self, ack: Callable[..., Any], *, late: Callable[[], None]) -> Delivery:
        """Register a delivery. It is in progress until it is acknowledged or dropped."""
        with self._lock:
            self._under_way += 1
            patience = self._patience / self._under_way
        return Delivery(ack, patience=patience, late=late, left=self._leave)

    def _leave(self) -> None:
        with self._lock:
            self._under_way -= 1
