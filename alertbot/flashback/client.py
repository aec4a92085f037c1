"""Questions to one Flashback server: with the access token, within its quota, asked again where that can help.

Every answer that cannot be used becomes one of the FlashbackErrors; whether to ask again is in its type. No text of theirs
holds the base URL or the token, not even where the server quotes the token back.
"""

import functools
import http
import importlib.metadata
import re
import ssl
import time
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Protocol, Self, TypeVar

import stamina

from alertbot.domain.points import Dataset, Point, Resolution
from alertbot.domain.snapshots import Configuration, Snapshot
from alertbot.errors import (
    FlashbackBusy,
    FlashbackError,
    FlashbackForbidden,
    FlashbackMissing,
    FlashbackRefused,
    FlashbackRejected,
    FlashbackUnavailable,
)
from alertbot.flashback.evidence_pages import EvidenceFound, walk
from alertbot.flashback.evidence_payloads import PAGE, EvidencePage, parse_policy_alerts, parse_violations
from alertbot.flashback.payloads import (
    StatsPage,
    one_line,
    parse_configurations,
    parse_names,
    parse_organisations,
    parse_stats,
    server_words,
)
from alertbot.flashback.point_payloads import parse_points
from alertbot.flashback.wire import Answer, Wire

STATS = "/ai/llm/stats"
CONFIGURATIONS = "/ai/llm"
WORKSPACES = "/workspace"
POLICIES = "/policy"
VIOLATIONS = "/policy/violations"
POLICY_ALERTS = "/policy/alerts"
POINTS = {
    (Dataset.AI, Resolution.MINUTE): "/aistats/minute",
    (Dataset.AI, Resolution.DAY): "/aistats/daily",
    (Dataset.STORAGE, Resolution.MINUTE): "/stats/minute",
    (Dataset.STORAGE, Resolution.DAY): "/stats/daily",
}

# stamina would log each attempt that is made again, on the stderr of every command; `on_request` hears of all of them.
stamina.instrumentation.set_on_retry_hooks([])

ATTEMPTS = 3
MOST_CONNECTIONS = (
    10  # httpx spends more CPU on each request, the larger its pool: 0.8 ms with 1, 1.4 with 10, 3 with 50
)
LARGEST_BODY = 48 * 1024 * 1024  # half as much again as the totals of all LLMs that a source may have take, unpacked
LONGEST_RETRY_AFTER = 86400.0  # more than a day is a mistake of the server's, and would silence a source for good

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")

_Read_co = TypeVar("_Read_co", covariant=True)
_Read = TypeVar("_Read")


class Reader(Protocol[_Read_co]):
    """A function that makes a domain value of an answer's body, as those in payloads.py."""

    def __call__(self, body: bytes, *, endpoint: str) -> _Read_co: ...


class FlashbackClient:
    """Asks one Flashback server; made once a source, used by any number of threads, closed at the end.

    `access_token` is called before each request. After a 401 `on_refused` is called with the token that was refused and
    says whether `access_token` has a fresh one now; then the request is made once more. Both may raise a FlashbackError.
    `timeout` limits each request as a whole, `budget` all attempts and pauses of one call (three time-outs unless given).
    `now` serves to read a Retry-After which names a time, where the server does not say what time it thinks it is.
    `on_request` hears of each request: its endpoint, "ok" or the `kind` of the error, and the seconds it took.
    """

    def __init__(
        self,
        base_url: str,
        *,
        access_token: Callable[[], str],
        timeout: timedelta,
        now: Callable[[], datetime],
        on_refused: Callable[[str], bool] | None = None,
        on_request: Callable[[str, str, float], None] | None = None,
        budget: timedelta | None = None,
        concurrency: int = 8,
        largest_body: int = LARGEST_BODY,
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._wire = Wire(
            base_url,
            headers={"User-Agent": f"alertbot/{importlib.metadata.version('alertbot')}", "Accept": "application/json"},
            connections=min(concurrency, MOST_CONNECTIONS),
            largest_body=largest_body,
            monotonic=monotonic,
            tls=tls,
        )
        self._access_token = access_token
        self._timeout = timeout.total_seconds()
        self._budget = (budget or 3 * timeout).total_seconds()
        self._now = now
        self._on_refused = on_refused
        self._on_request = on_request
        self._monotonic = monotonic

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a request that is under way in another thread fails."""
        self._wire.close()

    def totals(self) -> StatsPage:
        """The totals of every configuration that the token may read, or the one sum of them all (`is_one_sum`)."""
        return self._ask(STATS, parse_stats)

    def totals_of(self, ai_llm: str) -> Snapshot | None:
        """The totals of one configuration; None if a good answer does not hold it."""
        return self._ask(STATS, parse_stats, {"aiLlmId": ai_llm}).snapshot_of(ai_llm)

    def configurations(self) -> tuple[Configuration, ...]:
        """The configurations that the token may read, with their names."""
        return self._ask(CONFIGURATIONS, parse_configurations)

    def workspaces(self) -> dict[str, str]:
        """What the workspaces that the token may see are called, by id. Asked once only: nothing is to wait for names."""
        return self._ask(WORKSPACES, functools.partial(parse_names, key="workspaces"), attempts=1)

    def policies(self) -> dict[str, str]:
        """What the policies are called, by id, of every organisation that has a configuration and may be looked into."""
        names: dict[str, str] = {}
        refused: FlashbackForbidden | None = None
        read = functools.partial(parse_names, key="policies")
        for organisation in self._ask(CONFIGURATIONS, parse_organisations, attempts=1):
            try:
                names |= self._ask(POLICIES, read, {"orgId": organisation}, attempts=1)
            except FlashbackForbidden as error:
                refused = error
        if refused is not None and not names:
            raise refused
        return names

    def violations(self, *, since: datetime, within: timedelta) -> EvidenceFound:
        """The violations from a moment on, the newest first; as many as can be asked for `within` a time."""
        return self._walk(VIOLATIONS, parse_violations, since, within)

    def policy_alerts(self, *, since: datetime, within: timedelta) -> EvidenceFound:
        """The alerts that policies raised from a moment on, the newest first; as many as can be asked for `within` a time."""
        return self._walk(POLICY_ALERTS, parse_policy_alerts, since, within)

    def _walk(self, endpoint: str, read: Reader[EvidencePage], since: datetime, within: timedelta) -> EvidenceFound:
        ends_at = self._monotonic() + within.total_seconds()
        start = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

        def ask(skip: int) -> EvidencePage:
            return self._ask(endpoint, read, {"from": start, "skip": str(skip), "take": str(PAGE)})

        return walk(ask, has_time=lambda: self._monotonic() < ends_at)

    def points(self, dataset: Dataset, resolution: Resolution, start: datetime, end: datetime) -> tuple[Point, ...]:
        """The points of the buckets that began in [start, end]."""
        read = functools.partial(parse_points, dataset=dataset)
        return self._ask(POINTS[dataset, resolution], read, {"startDate": _iso(start), "endDate": _iso(end)})

    def _ask(
        self, endpoint: str, read: Reader[_Read], query: Mapping[str, str] | None = None, *, attempts: int = ATTEMPTS
    ) -> _Read:
        """Ask, and ask again after FlashbackUnavailable and FlashbackBusy as long as the budget allows a pause for it."""
        ends_at = self._monotonic() + self._budget
        # The longest pause is three of these, and a fourth is left for the attempt that follows it.
        pause = min(0.5, self._budget / 20)

        def whether_or_when(error: Exception) -> bool | float:
            left = ends_at - self._monotonic()
            match error:
                case FlashbackBusy(retry_after=float(seconds)):
                    return seconds if seconds + pause <= left else False
                case FlashbackBusy() | FlashbackUnavailable():
                    return left >= 4 * pause
            return False

        for attempt in stamina.retry_context(
            on=whether_or_when,
            attempts=attempts,
            timeout=None,  # whether_or_when sees to that: stamina's own limit does not count the pause to come
            wait_initial=pause,
            wait_jitter=pause,
            wait_max=3 * pause,
        ):
            with attempt:
                return self._ask_with_fresh_token(endpoint, read, query or {}, ends_at)
        raise AssertionError("stamina leaves its loop with a value or an error")

    def _ask_with_fresh_token(
        self, endpoint: str, read: Reader[_Read], query: Mapping[str, str], ends_at: float
    ) -> _Read:
        token = self._access_token().strip()  # a token from a file ends with a line break
        try:
            return self._ask_once(endpoint, read, query, ends_at, token)
        except FlashbackRefused:
            if self._on_refused is None or not self._on_refused(token):
                raise
        fresh = self._access_token().strip()
        try:
            return self._ask_once(endpoint, read, query, ends_at, fresh)
        except FlashbackRefused:
            self._on_refused(fresh)  # who exchanges tokens learns that the newest one is of no use either
            raise

    def _ask_once(
        self, endpoint: str, read: Reader[_Read], query: Mapping[str, str], ends_at: float, token: str
    ) -> _Read:
        if not _HEADER_SAFE.fullmatch(token):
            # The HTTP library would refuse it, too, and print it.
            what = "holds a space, a line break or a letter that no token has" if token else "is empty"
            raise FlashbackRefused(f"the access token {what}", endpoint=endpoint)
        began = self._monotonic()
        outcome = "error"
        try:
            answer = self._wire.get(
                endpoint,
                query=query,
                headers={"Authorization": f"Bearer {token}"},
                seconds=min(self._timeout, ends_at - began),
            )
            raise_for_status(answer, endpoint, now=self._now)
            value = read(answer.body, endpoint=endpoint)
            outcome = "ok"
        except FlashbackError as error:
            outcome = error.kind
            error.redact(lambda text: without(token, text))
            raise
        finally:
            if self._on_request is not None:
                self._on_request(endpoint, outcome, self._monotonic() - began)
        return value


def raise_for_status(answer: Answer, endpoint: str, *, now: Callable[[], datetime]) -> None:
    """Nothing for a 2xx; what an answer of any other status means, otherwise."""
    status = answer.status
    if 200 <= status < 300:
        return
    said = server_words(answer.body)
    said = f": {said}" if said else ""  # an error of theirs may name their machines
    match status:
        case 401:
            raise FlashbackRefused("the access token is wrong or has expired (401)", endpoint=endpoint, detail=said)
        case 403:
            raise FlashbackForbidden(f"the access token may not read {endpoint} (403)", endpoint=endpoint, detail=said)
        case 404:
            raise FlashbackMissing(f"this server has no {endpoint} (404)", endpoint=endpoint, detail=said)
        case 429:
            retry_after = _retry_after(answer, now)
            pause = "" if retry_after is None else f", asks for a pause of {retry_after:.0f} s"
            text = f"the server's quota is used up (429){pause}"
            raise FlashbackBusy(text, endpoint=endpoint, retry_after=retry_after, detail=said)
    named = one_line(f"{status} {answer.reason or _standard_reason(status)}", 60)
    if status == 408 or status >= 500:
        raise FlashbackUnavailable(f"the server failed ({named})", endpoint=endpoint, detail=said)
    if 300 <= status < 400:
        # The token must not travel to wherever an answer points, so nothing is followed.
        target = _target(answer.headers.get("location", ""))
        raise FlashbackRejected(
            f"the server redirects ({named}), which is not followed",
            endpoint=endpoint,
            detail=f", to {target}: correct base_url",
        )
    raise FlashbackRejected(f"the server rejected the request ({named})", endpoint=endpoint, detail=said)


def _iso(moment: datetime) -> str:
    """As JavaScript writes a time, which every server of theirs reads."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _standard_reason(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _target(location: str) -> str:
    """Where a redirect leads, without the query, user and password that may stand in it."""
    try:
        parts = urllib.parse.urlsplit(location)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an unreadable address"
    return one_line(urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", "")), 200) or "nowhere"


def _retry_after(answer: Answer, now: Callable[[], datetime]) -> float | None:
    """The pause in seconds that a 429 asks for, as a number or as a time; None if it names none that can be read."""
    wanted = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(wanted):
        seconds = float(wanted)
    elif until := _http_date(wanted):
        # Measured on the server's own clock, which may differ from ours.
        server_time = _http_date(answer.headers.get("date", ""))
        seconds = (until - (server_time or now())).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def without(secret: str, text: str, *, shown: str = "[access token]") -> str:
    """The text without the secret, and without what a cut has left of it.

    Eight characters are the least that counts: a token is far longer, and a short beginning stands in many a word.
    """
    for length in range(len(secret), 7, -1):
        text = text.replace(secret[:length], shown)
    return text
