"""A semaphore that serves threads in the order in which they come."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets at most `places` threads in; the one that has waited longest is next.

    threading.Semaphore and SQLAlchemy's pool give a free place to whoever asks first, so on a busy machine a thread may
    starve beside others that come again and again. Here a place is handed over.
    """

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self.places = self._free = places
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, *, within: float) -> Iterator[None]:
        """Hold a place. Raises TimeoutError if none is free `within` so many seconds."""
        if not self._enter(within):
            raise TimeoutError(f"no place within {within:g} s")
        try:
            yield
        finally:
            self._leave()

    def _enter(self, within: float) -> bool:
        with self._lock:
            if self._free:  # nobody waits
                self._free -= 1
                return True
            called = threading.Event()
            self._waiting.append(called)
        if called.wait(within):
            return True
        with self._lock:
            if called.is_set():  # handed over at the last moment
                return True
            self._waiting.remove(called)
            return False

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
