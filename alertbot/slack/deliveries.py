"""Deliveries of Slack's that change something: acknowledged when it is done, or before Slack loses its patience."""

import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 2.0  # seconds: Slack waits for three, and the acknowledgement has to travel


class Delivery:
    """One click, command or submitted form that is being dealt with.

    A process that is killed before has acknowledged nothing: Slack tells the person, instead of showing a click that
    worked. What takes longer is acknowledged all the same: the person hears that it is not done yet, and later what
    became of it.
    """

    def __init__(
        self, ack: Callable[..., Any], *, patience: float, late: Callable[[], None], left: Callable[[], None]
    ) -> None:
        """After `patience` seconds without `acknowledge`, `late` does it in its place. `left` is called at the end."""
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
        """Acknowledge with this reply. False where the person was told to wait before: now they wait for an answer."""
        with self._lock:
            self._end()
            if self._is_acknowledged:
                return False
            self._is_acknowledged = True
            self._ack(**reply)
            return True

    def drop(self) -> None:
        """Leave it to others to answer it: it was not begun, or its listener failed."""
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
    """The deliveries that are being dealt with. The more of them there are, the less patience each gets.

    Each holds one of the few threads that take deliveries in: while the database is locked, two seconds for each would
    be too long for those that queue behind.
    """

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._under_way = 0

    def arrive(self, ack: Callable[..., Any], *, late: Callable[[], None]) -> Delivery:
        """One more. It is under way until it is acknowledged or dropped."""
        with self._lock:
            self._under_way += 1
            patience = self._patience / self._under_way
        return Delivery(ack, patience=patience, late=late, left=self._leave)

    def _leave(self) -> None:
        with self._lock:
            self._under_way -= 1
