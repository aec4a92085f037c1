"""How the simulated API is made to fail: faults by path, a number of times, for a while or until they are cleared.

A path is a glob: `/ai/llm/stats`, `/policy/*`, `*`. One that holds a `?` is held against path and query
(`/ai/llm/stats?aiLlmId=llm-2`). Faults of one path take turns in the order in which they were asked for:
`fail(path, 500, times=1)` then `fail(path, 429, times=1)` is a 500, a 429, and good answers from then on.
"""

import json
import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase

MESSAGES = {
    400: "Invalid parameters",
    401: "Invalid or expired token",
    403: "Insufficient permissions",
    404: "Not found",
    429: "Too many requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}
PAGE = (
    "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>{status} {message}</h1><hr>proxy</body></html>"
)


class Spoiling(StrEnum):
    """What happens to an answer on its way."""

    NOTHING = "nothing"
    CUT_OFF = "cut_off"  # the JSON ends in its middle, as if that were all
    BROKEN_OFF = "broken_off"  # the connection ends before the announced length
    RESET = "reset"  # the connection is reset before a byte is answered
    DRIP = "drip"  # a byte at a time


@dataclass(slots=True)
class Fault:
    """One way in which answers go wrong. `status` None leaves the true answer, to be spoilt or delayed."""

    path: str
    status: int | None = None
    body: bytes = b""
    content_type: str = "application/json"
    retry_after: str | None = None
    spoiling: Spoiling = Spoiling.NOTHING
    delay: float = 0.0  # seconds before the answer begins
    interval: float = 0.0  # seconds between two bytes of a drip
    times: int | None = None  # None: until cleared
    start: datetime | None = None
    end: datetime | None = None

    def concerns(self, path: str, query: str, now: datetime) -> bool:
        """Whether a request at that time goes wrong in this way."""
        if self.times == 0 or (self.start and now < self.start) or (self.end and now >= self.end):
            return False
        if "?" not in self.path:
            return fnmatchcase(path, self.path)
        return fnmatchcase(f"{path}?{query}", self.path.replace("?", "[?]"))


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault that a scenario brings: so long after its beginning, for so long, in simulated time."""

    path: str
    status: int
    after: timedelta
    lasting: timedelta


@dataclass(slots=True)
class Quota:
    """So many requests are answered in any stretch of this length."""

    requests: int
    per: timedelta
    answered: deque[datetime] = field(default_factory=deque)

    def spend(self, now: datetime) -> int:
        """0 where the request is within the quota, which it is counted to; else after how many seconds the next one is."""
        while self.answered and now - self.answered[0] >= self.per:
            self.answered.popleft()
        if len(self.answered) < self.requests:
            self.answered.append(now)
            return 0
        return math.ceil((self.answered[0] + self.per - now).total_seconds())


class FaultyServer:
    """The methods that make answers go wrong. `times` None is until `clear`."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._faults_lock = threading.Lock()
        self._quota: Quota | None = None

    def fail(
        self,
        path: str,
        status: int = 503,
        *,
        body: str | bytes | Mapping[str, object] | None = None,
        times: int | None = None,
        retry_after: float | str | None = None,
        content_type: str | None = None,
    ) -> None:
        """Answers with a status. The body is the API's error of that status, or a mapping as JSON, or a text as HTML."""
        if body is None:
            body = {"success": False, "message": MESSAGES.get(status, "Error")}
        kind = "text/html" if isinstance(body, str) else "application/json"
        raw = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
        pause = None if retry_after is None else str(retry_after)
        self._inject(Fault(path, status, raw, content_type or kind, pause, times=times))

    def answer_html(self, path: str, status: int = 502, *, times: int | None = None) -> None:
        """Answers with the page of a proxy that stands in front; with 200 too, if asked."""
        self.fail(path, status, body=PAGE.format(status=status, message=MESSAGES.get(status, "OK")), times=times)

    def answer_nothing(self, path: str, status: int = 200, *, times: int | None = None) -> None:
        """Answers with an empty body."""
        self.fail(path, status, body=b"", times=times)

    def refuse(self, path: str, message: str = "Something went wrong", *, times: int | None = None) -> None:
        """Answers 200 with `"success": false`."""
        self.fail(path, 200, body={"success": False, "message": message, "error_code": "UNKNOWN"}, times=times)

    def cut_off(self, path: str, *, announced: bool = False, times: int | None = None) -> None:
        """Ends the true answer in its middle; `announced` promises the whole length first and breaks the connection off."""
        spoiling = Spoiling.BROKEN_OFF if announced else Spoiling.CUT_OFF
        self._inject(Fault(path, spoiling=spoiling, times=times))

    def drip(self, path: str, interval: float, *, times: int | None = None) -> None:
        """Sends the true answer one byte per `interval` seconds: no single read is slow, the whole is."""
        self._inject(Fault(path, spoiling=Spoiling.DRIP, interval=interval, times=times))

    def reset_connection(self, path: str, *, times: int | None = None) -> None:
        """Resets the connection in place of an answer."""
        self._inject(Fault(path, spoiling=Spoiling.RESET, times=times))

    def delay(self, path: str, seconds: float, *, times: int | None = None) -> None:
        """Gives the true answer, so many (real) seconds late."""
        self._inject(Fault(path, delay=seconds, times=times))

    def schedule(self, faults: Iterable[ScheduledFault], *, origin: datetime) -> None:
        """Brings a scenario's faults, counted from `origin`, at their simulated times."""
        for each in faults:
            body = json.dumps({"success": False, "message": MESSAGES.get(each.status, "Error")}).encode()
            start = origin + each.after
            self._inject(Fault(each.path, each.status, body, start=start, end=start + each.lasting))

    def clear(self, path: str | None = None) -> None:
        """Takes back the faults that were given for exactly this path, or all of them."""
        with self._faults_lock:
            self._faults = [] if path is None else [each for each in self._faults if each.path != path]

    def _inject(self, fault: Fault) -> None:
        if fault.times is not None and fault.times < 1:
            raise ValueError(f"times: expected 1 or more, got {fault.times}")
        with self._faults_lock:
            self._faults.append(fault)

    def limit(self, requests: int | None, per: timedelta = timedelta(minutes=1)) -> None:
        """Has a quota for all requests together: what is beyond it is answered 429 with Retry-After; None has none."""
        if requests is not None and requests < 1:
            raise ValueError(f"requests: expected 1 or more, got {requests}")
        with self._faults_lock:
            self._quota = None if requests is None else Quota(requests, per)

    def _next_fault(self, path: str, query: str, now: datetime) -> Fault | None:
        """The fault that this request meets, counted as used."""
        with self._faults_lock:
            if self._quota is not None and (pause := self._quota.spend(now)):
                body = json.dumps({"success": False, "message": MESSAGES[429]}).encode()
                return Fault(path, 429, body, retry_after=str(pause))
            fault = next((each for each in self._faults if each.concerns(path, query, now)), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
                self._faults = [each for each in self._faults if each.times != 0]
            return fault
