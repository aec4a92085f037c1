"""The threads that answer people: acts, answers and slow work each have their own, so that none waits for another kind."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from time import monotonic
from typing import Any

from alertbot.errors import UsageError


class Busy(UsageError):
    """The work was not begun: too much is under way already."""


class BoundedExecutor(Executor):
    """A few threads and a short queue. What does not fit is refused at once; nobody waits for room."""

    def __init__(self, name: str, *, threads: int, waiting: int, each: int) -> None:
        """`each` is how many pieces of work one person may have under way."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._each = each
        self._lock = threading.Lock()
        self._is_closing = False
        self._keys: set[str] = set()
        self._people: Counter[str] = Counter()
        self._futures: set[Future[Any]] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start the work, as Bolt calls it. Raises Busy."""
        return self.start(lambda: work(*args, **kwargs))

    def start(self, work: Callable[[], Any], *, person: str = "", key: str = "") -> Future[Any]:
        """Start the work, or queue it. Raises Busy.

        Only one piece of work with the same `key` is in progress at a time. The future is cancelled if the process stops
        before the work was started.
        """
        with self._lock:
            self._require_room(person, key)
            future = self._pool.submit(work)
            self._futures.add(future)
            self._people[person] += 1
            if key:
                self._keys.add(key)
        future.add_done_callback(lambda done: self._leave(done, person, key))
        return future

    def close(self, *, within: float, drop_queue: bool) -> None:
        """Refuse new work, and give running work `within` seconds; the queue is finished too, or dropped."""
        with self._lock:
            self._is_closing = True
        self._pool.shutdown(wait=False, cancel_futures=drop_queue)
        with self._lock:
            running = list(self._futures)
        wait(running, timeout=max(0.0, within))

    def _require_room(self, person: str, key: str) -> None:
        if self._is_closing:
            raise Busy("the bot is restarting; try again in a minute")
        if key and key in self._keys:
            raise Busy("this is already in progress; please wait a moment")
        if person and self._people[person] >= self._each:
            raise Busy(f"{self._each} of your requests are being worked on; try again when they are answered")
        if len(self._futures) >= self._most:
            raise Busy("too many people are asking at once; try again in a minute")

    def _leave(self, future: Future[Any], person: str, key: str) -> None:
        with self._lock:
            self._futures.discard(future)
            self._keys.discard(key)
            self._people[person] -= 1
            if not self._people[person]:
                del self._people[person]


class Executors:
    """`acts` write what a person did, `answers` call Slack, `look_ups` read, and `slow` draws, uploads and tries rules.

    An act waits for the database at most. A full queue of answers means that Slack itself does not answer.
    """

    def __init__(self) -> None:
        self.acts = BoundedExecutor("act", threads=6, waiting=200, each=200)
        self.answers = BoundedExecutor("answer", threads=8, waiting=100, each=20)
        self.look_ups = BoundedExecutor("look-up", threads=4, waiting=40, each=4)
        self.slow = BoundedExecutor("slow", threads=3, waiting=12, each=2)

    def close(self, *, within: float) -> None:
        """Finish actions, then their answers. Slow work that has not begun is dropped, and people are told so."""
        ends_at = monotonic() + within
        self.acts.close(within=within, drop_queue=False)
        self.look_ups.close(within=ends_at - monotonic(), drop_queue=True)
        self.slow.close(within=ends_at - monotonic(), drop_queue=True)
        self.answers.close(within=ends_at - monotonic(), drop_queue=False)
