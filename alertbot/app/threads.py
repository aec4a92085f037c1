"""Threads that are looked after: one that ends although nobody asked it to is noticed."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

import structlog

log = structlog.get_logger()


class Supervisor:
    """Starts threads and watches those of libraries; `dead` names the ones without which the process is not whole."""

    def __init__(self) -> None:
        self._watched: dict[str, Callable[[], bool]] = {}
        self._failed: set[str] = set()
        self._is_stopping = False

    def start(self, name: str, run: Callable[[], object], *, is_endless: bool = True) -> threading.Thread:
        """Call `run` in a thread of its own. Unless it `is_endless` it may return; it must never raise."""
        thread = threading.Thread(target=self._run, args=(name, run), name=name, daemon=True)
        thread.start()
        if is_endless:
            self.watch(name, thread.is_alive)
        return thread

    def watch(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Look after a thread that a library started."""
        self._watched[name] = is_alive

    def expect_ends(self) -> None:
        """From now on threads end because the process stops."""
        self._is_stopping = True

    def dead(self) -> list[str]:
        """The threads that ended although nobody asked them to. Empty while the process stops."""
        if self._is_stopping:
            return []
        ended = {name for name, is_alive in list(self._watched.items()) if not is_alive()}
        return sorted(ended | self._failed)

    def _run(self, name: str, run: Callable[[], object]) -> None:
        try:
            run()
        except BaseException:  # whatever it is: nobody else would hear of it
            self._failed.add(name)
            log.exception("thread_failed", thread=name)


class WokenThread:
    """Acts in a thread of its own each time it is woken, and every so often; calls that come meanwhile become one."""

    def __init__(self, act: Callable[[], None]) -> None:
        """`act` must not raise."""
        self._act = act
        self._every: float | None = None
        self._woken = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self, name: str, supervisor: Supervisor, *, every: float | None = None) -> None:
        """`every` is in seconds, by the monotonic clock; None: act only when it is woken."""
        self._every = every
        self._thread = supervisor.start(name, self._run)

    def wake(self) -> None:
        """Act soon. Never waits."""
        self._woken.set()

    def stop(self, *, within: float) -> None:
        """Act no more, and give what is under way so many seconds."""
        self._is_stopping = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(max(0.0, within))

    def _run(self) -> None:
        while True:
            self._woken.wait(self._every)
            self._woken.clear()
            if self._is_stopping:
                return
            self._act()


def log_failure(future: Future[None]) -> None:
    """For a future whose result nobody reads: `add_done_callback(log_failure)`."""
    error = None if future.cancelled() else future.exception()
    if error is not None:
        log.error("thread_failed", thread=threading.current_thread().name, exc_info=error)
