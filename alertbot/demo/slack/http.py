"""The look-alike's HTTP side that apps see: Web API, uploads, response_urls, an incoming webhook; with faults on demand."""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from alertbot.demo.slack.calls import Arguments, Context, Method, post_content, read_content
from alertbot.demo.slack.deliveries import Deliveries
from alertbot.demo.slack.faults import Fault, FaultKind, Faults, RateLimits
from alertbot.demo.slack.records import JsonObject, Message, SlackError
from alertbot.demo.slack.web_api import METHODS, authorize

logger = logging.getLogger(__name__)

# A demo may run for days.
CALLS = 20_000
MOST_BYTES = 32 * 1024 * 1024
HTML = "<!DOCTYPE html><html><head><title>Server Error</title></head><body>Something went wrong</body></html>"
_WEBHOOK_STATUS = {"invalid_token": 403, "no_service": 404, "channel_not_found": 404, "channel_is_archived": 410}
_RESPONSE_STATUS = {"expired_url": 404, "used_url": 404}


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the app, as it was answered."""

    method: str
    arguments: Mapping[str, Any]
    # ok, Slack's error, or the fault that it met: ratelimited, http_503, html, cut_json, lost_answer, refused.
    outcome: str
    at: float
    channel: str | None = None
    # Whether the look-alike did what was asked; an answer may be lost all the same.
    done: bool = False


class ApiSide:
    """Answers the app's requests. Runs on the server's event loop."""

    def __init__(
        self,
        context: Context,
        deliveries: Deliveries,
        faults: Faults,
        *,
        limits: RateLimits | None,
        webhook_channel: str,
        webhook_path: str,
    ) -> None:
        self._context = context
        self._deliveries = deliveries
        self._faults = faults
        self._limits = limits
        self._webhook_channel = webhook_channel
        self._webhook_path = webhook_path
        self.calls: deque[Call] = deque(maxlen=CALLS)
        self.webhook_messages: list[Message] = []

    def add_routes(self, app: web.Application) -> None:
        """Serve what apps ask for."""
        app.router.add_route("*", "/api/{method}", self._web_api)
        app.router.add_get("/link/", self._deliveries.sockets.accept)
        app.router.add_post("/upload/v1/{ticket}", self._upload)
        app.router.add_get("/files-pri/{file}/{name}", self._download)
        app.router.add_post("/{kind:commands|actions}/{path}", self._response_url)
        app.router.add_post("/services/{path:.*}", self._webhook)

    async def _web_api(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        given = await read_arguments(request)
        token = bearer(request) or given.values.pop("token", None)
        method = METHODS.get(name)

        def run() -> JsonObject:
            if method is None:
                raise SlackError("unknown_method", req_method=name)
            authorize(self._context, method, token)
            return method.run(self._context, given)

        async def answer() -> tuple[web.Response, str]:
            try:
                body, outcome = {"ok": True, **run()}, "ok"
            except SlackError as refusal:
                body, outcome = {"ok": False, "error": refusal.error, **refusal.details}, refusal.error
            return web.json_response(body, headers=self._headers(method, token)), outcome

        return await self._answer(request, name, given, self._channel_of(given), answer)

    def _headers(self, method: Method | None, token: object) -> dict[str, str]:
        if token != self._context.installation.bot_token:
            return {}
        accepted = ",".join(sorted(method.scopes)) if method else ""
        provided = ",".join(sorted(self._context.installation.scopes))
        return {"x-oauth-scopes": provided, "x-accepted-oauth-scopes": accepted}

    def _channel_of(self, given: Arguments) -> str | None:
        reference = given.text("channel") or given.text("channel_id")
        with self._context.world.condition:
            known = {channel.name: channel.id for channel in self._context.world.channels.values()}
        return known.get(reference.removeprefix("#"), reference or None)

    async def _answer(
        self,
        request: web.Request,
        name: str,
        given: Arguments,
        channel: str | None,
        answer: Callable[[], Awaitable[tuple[web.Response, str]]],
    ) -> web.StreamResponse:
        """Answer a call, or let it meet the fault that is set for it; remember it either way."""
        fault = self._faults.take(name, channel)
        at = self._context.world.clock()
        if fault is not None:
            await self._hold(fault)
        wait = 0 if fault is not None or self._limits is None else self._limits.seconds_to_wait(name, channel)
        if wait:
            fault = Fault(FaultKind.RATE_LIMITED, retry_after=wait)
        response, outcome, done = (None, "", False) if fault is None else _refusal(fault)
        if response is None and outcome != FaultKind.REFUSED:
            response, result = await answer()
            done, outcome = result == "ok", outcome or result
        if fault is not None and fault.kind is FaultKind.CUT_JSON and response is not None:
            response = web.Response(body=_half(response), content_type="application/json")
        with self._context.world.changing():
            self.calls.append(Call(name, dict(given.values), outcome, at, channel, done))
        if response is None or outcome == FaultKind.LOST_ANSWER:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return response

    async def _hold(self, fault: Fault) -> None:
        if fault.kind is FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
        # Released from any thread, which an asyncio.Event cannot be.
        while fault.kind is FaultKind.HOLD and not fault.released:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        content = await _uploaded_bytes(request)
        world = self._context.world
        given = Arguments({"length": len(content)})

        async def answer() -> tuple[web.Response, str]:
            with world.changing():
                known = [file for file in world.files.values() if file.ticket == request.match_info["ticket"]]
                if not known:
                    return web.Response(status=404, text="no such upload"), "not_found"
                if known[0].length != len(content):
                    return web.Response(status=400, text="length differs"), "length_differs"
                world.save_file(replace(known[0], content=content))
            return web.Response(text=f"OK - {len(content)}"), "ok"

        return await self._answer(request, "upload", given, None, answer)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        uploaded = self._context.world.files.get(request.match_info["file"])
        allowed = bearer(request) == self._context.installation.bot_token
        if uploaded is None or not uploaded.mimetype or not allowed:
            # Slack shows its sign-in page here, with 200.
            return web.Response(text=HTML, content_type="text/html")
        return web.Response(body=uploaded.content, content_type=uploaded.mimetype)

    async def _response_url(self, request: web.Request) -> web.StreamResponse:
        given = await read_arguments(request)
        path = request.match_info["path"]

        async def answer() -> tuple[web.Response, str]:
            try:
                self._deliveries.respond(path, given.values)
            except SlackError as refusal:
                status = _RESPONSE_STATUS.get(refusal.error, 400)
                body = {"ok": False, "error": refusal.error}
                return web.json_response(body, status=status), refusal.error
            return web.Response(text="ok"), "ok"

        return await self._answer(request, "response_url", given, None, answer)

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        given = await read_arguments(request)

        async def answer() -> tuple[web.Response, str]:
            try:
                self._post_by_webhook(request.path, given)
            except SlackError as refusal:
                return web.Response(status=_WEBHOOK_STATUS.get(refusal.error, 400), text=refusal.error), refusal.error
            return web.Response(text="ok"), "ok"

        return await self._answer(request, "webhook", given, None, answer)

    def _post_by_webhook(self, path: str, given: Arguments) -> None:
        world = self._context.world
        with world.changing():
            if path != self._webhook_path:
                raise SlackError("no_service")
            channel = world.find_channel(self._webhook_channel)
            if channel is None:
                raise SlackError("channel_not_found")
            if channel.is_archived:
                raise SlackError("channel_is_archived")
            content = read_content(self._context, given)
            self.webhook_messages.append(post_content(world, channel, content, by_webhook=True))


async def read_arguments(request: web.Request) -> Arguments:
    """Read the arguments of a request from its query and its body, whatever the body's form."""
    values: dict[str, Any] = dict(request.query)
    if request.method == "POST" and request.can_read_body:
        if request.content_type == "application/json":
            try:
                body = json.loads(await request.read())
            except ValueError:
                body = None
            values |= body if isinstance(body, dict) else {}
        elif request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            form = await request.post()
            values |= {name: value for name, value in form.items() if isinstance(value, str)}
            if isinstance(form.get("payload"), str) and request.path.startswith("/services/"):
                values |= Arguments(form).json("payload", "invalid_payload") or {}
    return Arguments(values)


def bearer(request: web.Request) -> str | None:
    """Return the token of the Authorization header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


@web.middleware
async def log_failures(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Name the request in the log when the look-alike itself fails."""
    started = time.monotonic()
    try:
        return await handler(request)
    except (web.HTTPException, asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        logger.exception("look-alike failed", extra={"path": request.path, "seconds": time.monotonic() - started})
        raise


def _refusal(fault: Fault) -> tuple[web.Response | None, str, bool]:
    """Return the answer that a fault gives instead of ours, and what to call it; no answer means that ours is made."""
    if fault.kind is FaultKind.RATE_LIMITED:
        headers = {"Retry-After": str(fault.retry_after)}
        return (
            web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers),
            "ratelimited",
            False,
        )
    if fault.kind is FaultKind.SERVER_ERROR:
        return web.Response(text=HTML, status=fault.status, content_type="text/html"), f"http_{fault.status}", False
    if fault.kind is FaultKind.ERROR:
        return web.json_response({"ok": False, "error": fault.error, **fault.details}), fault.error, False
    if fault.kind is FaultKind.HTML:
        return web.Response(text=HTML, content_type="text/html"), "html", False
    if fault.kind in {FaultKind.DELAY, FaultKind.HOLD}:
        return None, "", False
    return None, fault.kind.value, False


def _half(response: web.Response) -> bytes:
    body = response.body
    assert isinstance(body, bytes)
    return body[: len(body) // 2]


async def _uploaded_bytes(request: web.Request) -> bytes:
    if request.content_type == "multipart/form-data":
        form = await request.post()
        for part in form.values():
            if isinstance(part, web.FileField):
                return part.file.read()
        return b""
    return await request.read()
