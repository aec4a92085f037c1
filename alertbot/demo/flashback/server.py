"""A simulated Flashback API on loopback: the endpoints of the reference over a simulated world, with faults on demand.

    world = World.still(["llm-1", "llm-2"], start=start)
    with FlashbackServer(world, clock=lambda: now) as server:
        world.bump("llm-1", "policy_violations", 7)
        server.fail("/ai/llm/stats", 429, times=1, retry_after=3)
        httpx.get(f"{server.url}/ai/llm", headers={"Authorization": f"Bearer {server.token}"})

The world is brought to `clock()` (aware UTC) at each request, so that the simulated time may run at any speed.

Another process can drive it by `POST /_control/…` with a JSON object, without a token, answered by `{"success": true}` or
400 with a `message`. Numbers may be JSON integers or decimal strings. An `ai_llm` is an id or a name.

    /_control/bump       {"ai_llm", "counter", "amount"}                      adds to a counter, with points and evidence
    /_control/violate    {"ai_llm", "count"?, "policy"?, "severity"?, "block"?, "explanation"?}
    /_control/set_total  {"ai_llm", "counter", "value"}                       null hides the counter
    /_control/reset      {"ai_llm"}                                           its totals start again at 0
    /_control/remove     {"ai_llm"}                                           deletes the configuration
    /_control/add        {"id"}                                               creates one, without traffic of its own
    /_control/expire     {}                                                   ends all access tokens
    /_control/fail       {"path", "kind"?, "status"?, "body"?, "times"?, "retry_after"?, "message"?, "seconds"?}
                         kind: status (the default), html, empty, refuse (200 with success false), cut_off, broken_off,
                         drip (a byte per `seconds`), reset (of the connection), delay (by `seconds`)
    /_control/limit      {"requests", "seconds"?}                             a quota, of a minute unless told; null ends it
    /_control/clear      {"path"?}                                            takes back the faults of a path, or all
    GET /_control/requests                                                    how often each path was asked for
"""

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from aiohttp import web

from alertbot.demo.flashback.facts import Resolution, Severity
from alertbot.demo.flashback.faults import MESSAGES, Fault, FaultyServer, Spoiling
from alertbot.demo.flashback.tokens import EMAIL, PASSWORD, Tokens
from alertbot.demo.flashback.traffic import World
from alertbot.demo.flashback.wire import (
    ORGANISATION,
    BadQuery,
    Dialect,
    Json,
    Query,
    alerts_answer,
    configurations_answer,
    issued_answer,
    points_answer,
    policies_answer,
    policies_of,
    stats_answer,
    storage_answer,
    violations_answer,
    workspaces_answer,
)

OPEN_PATHS = frozenset({"/user/login", "/user/refresh"})
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: the kernel sends RST in place of FIN


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request that reached the API, faults included. `body` is its JSON, None if it had none."""

    method: str
    path: str
    query: Query
    body: Any = None


class FlashbackServer(FaultyServer):
    """The simulated API in a thread of its own, from `start` to `stop` or as a context manager; it may start again on its port."""

    email = EMAIL
    password = PASSWORD

    def __init__(
        self,
        world: World,
        *,
        clock: Callable[[], datetime],
        token: str = "flashback-demo-token",  # noqa: S107 - opens nothing but this simulator
        port: int = 0,
        dialect: Dialect | None = None,
        token_lifetime: timedelta = timedelta(hours=1),
    ) -> None:
        super().__init__()
        self.world = world
        self.token = token
        self.refresh_token = f"{token}-refresh"  # the first one: works once
        self.dialect = dialect or Dialect()  # may be changed while the server runs
        self.requests: list[SeenRequest] = []
        self._clock = clock
        self._port = port
        self._tokens = Tokens(token, self.refresh_token, lifetime=token_lifetime)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None
        world.follow(clock)

    @property
    def url(self) -> str:
        """The base URL, known once the server was started (or from the beginning, with a `port` of one's own)."""
        return f"http://127.0.0.1:{self._port}"

    def count(self, path: str) -> int:
        """How many requests reached exactly this path."""
        return sum(seen.path == path for seen in list(self.requests))

    def expire_tokens(self) -> None:
        """Ends every access token issued so far, `token` as well."""
        self._tokens.expire_all()

    # ---- life

    def start(self) -> None:
        """Listens on loopback; an OSError if the port is taken, an OverflowError if there is no such port."""
        if self._thread is not None:
            raise RuntimeError("the simulated Flashback API is running already")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="simulated-flashback", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread
        try:
            self._port = asyncio.run_coroutine_threadsafe(self._listen(), loop).result()
        except (OSError, OverflowError):
            self.stop()
            raise

    def stop(self) -> None:
        """Closes the port and every connection; does nothing where it is stopped already."""
        if self._loop is None or self._thread is None:
            return
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._runner = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _listen(self) -> int:
        application = web.Application(client_max_size=2**20)
        application.router.add_route("*", "/_control/{act}", self._control)
        application.router.add_route("*", "/{rest:.*}", self._serve)
        # Connections that drip or wait are not waited for: whoever stops a simulator wants it gone.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    # ---- one request

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.path.strip("/")
        query = {name: ",".join(request.query.getall(name)) for name in request.query}
        body = _parse(await request.read())
        self.requests.append(SeenRequest(request.method, path, query, body))
        now = self._clock()
        fault = self._next_fault(path, request.query_string, now)
        if fault is None:
            return self._answer(request, path, query, body, now)
        await asyncio.sleep(fault.delay)
        if fault.spoiling is Spoiling.RESET:
            return _reset(request)
        if fault.status is None:
            response = self._answer(request, path, query, body, self._clock())
        else:
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            response = web.Response(status=fault.status, body=fault.body, headers=headers)
            response.headers["Content-Type"] = fault.content_type
        return await _spoil(request, response, fault)

    def _answer(self, request: web.Request, path: str, query: Query, body: Any, now: datetime) -> web.Response:
        """What the API says when nothing is wrong with it."""
        scheme, _, access = request.headers.get("Authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and self._tokens.accept(access.strip(), now)
        if path not in OPEN_PATHS and not known:
            return _refuse(401, error_code="UNAUTHORIZED")
        self.world.advance(now)
        try:
            match request.method, path.split("/")[1:]:
                case "POST", ["user", "login"]:
                    return self._log_in(body, now)
                case "POST", ["user", "refresh"]:
                    return self._refresh(body, now)
                case "GET", parts:
                    answer = self._look_up(parts, query)
                case _:
                    answer = None
        except BadQuery as problem:
            return _refuse(400, str(problem))
        if answer is None:
            return _refuse(404, f"Cannot {request.method} {path}")
        return _reply(answer)

    def _look_up(self, parts: list[str], query: Query) -> Json | None:
        world, dialect = self.world, self.dialect
        answer: Json | None = None
        match parts:
            case ["ai", "llm"]:
                answer = configurations_answer(world, query)
            case ["ai", "llm", "stats"]:
                answer = stats_answer(world, query, dialect)
            case ["workspace"]:
                answer = workspaces_answer(world)
            case ["aistats", "minute" | "daily" as resolution]:
                answer = points_answer(world, Resolution(resolution), query, dialect)
            case ["stats", "minute" | "daily" as resolution]:
                answer = storage_answer(world, Resolution(resolution), query, dialect)
            case ["policy", *rest]:
                answer = _look_up_policies(world, rest, query)
        return answer

    def _log_in(self, body: Any, now: datetime) -> web.Response:
        if not isinstance(body, dict) or not {"email", "password"} <= body.keys():
            return _refuse(400, "email and password are required")
        issued = self._tokens.log_in(body["email"], body["password"], now)
        if issued is None:
            return _refuse(401, "Invalid credentials", error_code="INVALID_CREDENTIALS")
        user = {"id": "operator", "email": EMAIL, "name": "Operator", "orgId": ORGANISATION.id, "orgRole": 0}
        return _reply({**issued_answer(issued, self.dialect), "user": user})

    def _refresh(self, body: Any, now: datetime) -> web.Response:
        fields = body if isinstance(body, dict) else {}
        token = fields.get("refreshToken") or fields.get("refresh_token")
        if not isinstance(token, str):
            return _refuse(400, "refreshToken is required")
        issued = self._tokens.refresh(token, now)
        if issued is None:
            return _refuse(401, "Invalid refresh token", error_code="INVALID_REFRESH_TOKEN")
        return _reply(issued_answer(issued, self.dialect))

    # ---- the control surface

    async def _control(self, request: web.Request) -> web.Response:
        act = request.match_info["act"]
        if "Origin" in request.headers:  # a page in somebody's browser, whoever wrote it
            return _refuse(403, "not for web pages")
        if (request.method, act) == ("GET", "requests"):
            counts = Counter(f"{seen.method} {seen.path}" for seen in self.requests)
            return _reply({"success": True, "requests": counts})
        if request.method != "POST":
            return _refuse(404)
        raw = await request.read()
        body = _parse(raw) if raw else {}
        try:
            if not isinstance(body, dict):
                raise TypeError("expected a JSON object")  # noqa: TRY301 - answered as every other mistake is
            self._act(act, body)
        except KeyError as missing:
            return _refuse(400, f"{act}: {missing} is required")
        except (LookupError, TypeError, ValueError, AttributeError) as problem:
            return _refuse(400, f"{act}: {problem}")
        return _reply({"success": True})

    def _act(self, act: str, fields: Json) -> None:
        match act:
            case "expire":
                self.expire_tokens()
            case "fail":
                self._fail_as_told(**fields)
            case "limit":
                requests = fields["requests"]
                seconds = timedelta(seconds=float(fields.get("seconds", 60)))
                self.limit(None if requests is None else int(requests), seconds)
            case "clear":
                self.clear(fields.get("path"))
            case _:
                self._change_world(act, fields)

    def _change_world(self, act: str, fields: Json) -> None:
        world = self.world
        match act:
            case "bump":
                world.bump(fields["ai_llm"], fields["counter"], int(fields["amount"]))
            case "violate":
                named: Json = {name: fields[name] for name in ("policy", "block", "explanation") if name in fields}
                severity = fields.get("severity", Severity.MEDIUM)
                named["severity"] = None if severity is None else Severity(severity)
                world.violate(fields["ai_llm"], int(fields.get("count", 1)), **named)
            case "set_total":
                value = fields["value"]
                world.set_total(fields["ai_llm"], fields["counter"], None if value is None else int(value))
            case "reset":
                world.reset(fields["ai_llm"])
            case "remove":
                world.remove(fields["ai_llm"])
            case "add":
                world.add(str(fields["id"]))
            case _:
                raise ValueError("there is no such act")

    def _fail_as_told(
        self,
        path: str,
        kind: str = "status",
        *,
        status: int | None = None,
        body: Any = None,
        times: int | None = None,
        retry_after: float | str | None = None,
        message: str = "Something went wrong",
        seconds: float = 1.0,
    ) -> None:
        """The fault that a JSON object asks for."""
        if times is not None and not isinstance(times, int):
            raise TypeError(f"times: expected a whole number, got {times!r}")
        match kind:
            case "status":
                self.fail(path, int(status or 503), body=body, times=times, retry_after=retry_after)
            case "html":
                self.answer_html(path, int(status or 502), times=times)
            case "empty":
                self.answer_nothing(path, int(status or 200), times=times)
            case "refuse":
                self.refuse(path, message, times=times)
            case "cut_off" | "broken_off":
                self.cut_off(path, announced=kind == "broken_off", times=times)
            case "drip":
                self.drip(path, seconds, times=times)
            case "reset":
                self.reset_connection(path, times=times)
            case "delay":
                self.delay(path, seconds, times=times)
            case _:
                raise ValueError(f"kind: there is no {kind!r}")


def _look_up_policies(world: World, parts: list[str], query: Query) -> Json | None:
    match parts:
        case []:
            return policies_answer(world, query)
        case ["violations"]:
            return violations_answer(world, query)
        case ["alerts"]:
            return alerts_answer(world, query)
        case [policy, "violations"] if policy in policies_of(world):
            return violations_answer(world, query, policy=policy)
        case [policy, "alerts"] if policy in policies_of(world):
            return alerts_answer(world, query, policy=policy)
    return None


def _parse(raw: bytes) -> Any:
    """The JSON of a request's body; None where there is none that can be read."""
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _refuse(status: int, message: str = "", *, error_code: str = "") -> web.Response:
    body = {
        "success": False,
        "message": message or MESSAGES[status],
        **({"error_code": error_code} if error_code else {}),
    }
    return _reply(body, status=status)


def _reply(answer: Json, *, status: int = 200) -> web.Response:
    body = json.dumps(answer, ensure_ascii=False).encode()
    return web.Response(status=status, body=body, content_type="application/json")


def _reset(request: web.Request) -> web.Response:
    """Ends the connection with RST; the response that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


async def _spoil(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    """The answer as it arrives: whole, cut, broken off or byte by byte."""
    body = response.body if isinstance(response.body, bytes) else b""
    if fault.spoiling is Spoiling.CUT_OFF:
        response.body = body[: len(body) // 2]
    if fault.spoiling not in {Spoiling.BROKEN_OFF, Spoiling.DRIP}:
        return response
    stream = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    stream.content_length = len(body)
    with contextlib.suppress(ConnectionError):  # the client may lose its patience: that is what a drip is for
        await stream.prepare(request)
        if fault.spoiling is Spoiling.BROKEN_OFF:
            await stream.write(body[: len(body) // 2])
            stream.force_close()
            if request.transport is not None:
                request.transport.close()
            return stream
        for place in range(len(body)):
            await stream.write(body[place : place + 1])
            await asyncio.sleep(fault.interval)
        await stream.write_eof()
    return stream
