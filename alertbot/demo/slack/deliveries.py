"""How the look-alike reaches the app: envelopes or signed requests, their acknowledgements, and answers to a response_url."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import aiohttp

from alertbot.demo.slack.calls import Arguments, Context, post_content, read_content
from alertbot.demo.slack.records import ChangeKind, Channel, JsonObject, Message, SlackError, View
from alertbot.demo.slack.sockets import Sockets
from alertbot.demo.slack.views import check_content, close_modal, push_content, replace_content

RESPONSE_USES = 5
RESPONSE_SECONDS = 30 * 60


class DeliveryKind(StrEnum):
    """What is delivered; the values are Socket Mode's envelope types."""

    COMMAND = "slash_commands"
    INTERACTIVE = "interactive"
    EVENT = "events_api"


@dataclass(slots=True, eq=False)
class Delivery:
    """One thing that was brought to the app, and what the app made of it. Kept up to date as answers come."""

    id: str
    kind: DeliveryKind
    payload: JsonObject
    user: str
    at: float
    channel: Channel | None = None
    message: Message | None = None
    view: View | None = None
    response_path: str | None = None
    attempts: int = 0
    acknowledgements: int = 0
    # What the app acknowledged with; None when that was empty.
    ack: JsonObject | None = None
    seconds: float | None = None
    # operation_timeout, dispatch_failed, or the refusal of what the app acknowledged with.
    problem: str | None = None
    status: int | None = None
    uses: int = 0
    answers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        """Tell whether the app acknowledged in time."""
        return self.acknowledgements > 0 and self.problem not in {"operation_timeout", "dispatch_failed"}

    @property
    def is_submission(self) -> bool:
        """Tell whether a modal was submitted."""
        return self.payload.get("type") == "view_submission"


class Deliveries:
    """Brings payloads to the app. Everything here runs on the server's event loop."""

    def __init__(self, context: Context, target: str | None, ack_seconds: float) -> None:
        self._context = context
        # Where an app in HTTP mode listens; None for Socket Mode.
        self.target = target
        self._ack_seconds = ack_seconds
        self._waiting: dict[str, asyncio.Event] = {}
        self.sockets = Sockets(self._acknowledged, self._changed)
        self.sent: dict[str, Delivery] = {}
        self._by_response_path: dict[str, Delivery] = {}
        self.session: aiohttp.ClientSession | None = None

    async def deliver(self, delivery: Delivery) -> Delivery:
        """Bring something to the app, once more if it was brought before, and wait for the acknowledgement."""
        with self._context.world.changing():
            self.sent[delivery.id] = delivery
            if delivery.response_path is not None:
                self._by_response_path[delivery.response_path] = delivery
            delivery.attempts += 1
            delivery.problem = None
        started = time.monotonic()
        try:
            if self.target is not None:
                await asyncio.wait_for(self._post(delivery, self.target, started), self._ack_seconds)
            else:
                await self._send(delivery, started)
        except TimeoutError:
            self._fail(delivery, "operation_timeout")
        return delivery

    async def _send(self, delivery: Delivery, started: float) -> None:
        envelope: JsonObject = {
            "envelope_id": delivery.id,
            "type": delivery.kind.value,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind is not DeliveryKind.EVENT,
        }
        if delivery.attempts > 1:
            envelope |= {"retry_attempt": delivery.attempts - 1, "retry_reason": "timeout"}
        acknowledged = self._waiting[delivery.id] = asyncio.Event()
        try:
            if not await self.sockets.send(envelope):
                self._fail(delivery, "dispatch_failed")
                return
            await asyncio.wait_for(acknowledged.wait(), self._ack_seconds)
        finally:
            del self._waiting[delivery.id]
        self._settle(delivery, started)

    async def _post(self, delivery: Delivery, target: str, started: float) -> None:
        headers = {"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
        if delivery.kind is DeliveryKind.EVENT:
            body, kind = json.dumps(delivery.payload), "application/json"
        elif delivery.kind is DeliveryKind.COMMAND:
            body, kind = urlencode(delivery.payload), "application/x-www-form-urlencoded"
        else:
            body, kind = urlencode({"payload": json.dumps(delivery.payload)}), "application/x-www-form-urlencoded"
        headers |= {"Content-Type": kind} | sign(self._context.installation.signing_secret, body, int(time.time()))
        if delivery.attempts > 1:
            headers |= {"X-Slack-Retry-Num": str(delivery.attempts - 1), "X-Slack-Retry-Reason": "http_timeout"}
        assert self.session is not None
        try:
            async with self.session.post(target, data=body.encode(), headers=headers) as answer:
                text = await answer.text()
                status = answer.status
        except aiohttp.ClientError:
            self._fail(delivery, "dispatch_failed")
            return
        with self._context.world.changing():
            delivery.status = status
        if status != 200:
            self._fail(delivery, "dispatch_failed")
            return
        self._acknowledged(delivery.id, _read_body(text))
        self._settle(delivery, started)

    def _acknowledged(self, delivery_id: str, payload: JsonObject | None) -> None:
        delivery = self.sent.get(delivery_id)
        if delivery is None:
            return
        with self._context.world.changing():
            delivery.acknowledgements += 1
            if delivery.acknowledgements == 1:
                delivery.ack = payload or None
        if delivery_id in self._waiting:
            self._waiting[delivery_id].set()

    def _settle(self, delivery: Delivery, started: float) -> None:
        """Do what the first acknowledgement asks for."""
        with self._context.world.changing():
            settled_before = delivery.seconds is not None
            delivery.seconds = time.monotonic() - started
            if settled_before:
                return
            try:
                if delivery.kind is DeliveryKind.COMMAND and delivery.ack:
                    self.answer(delivery, delivery.ack)
                elif delivery.is_submission:
                    self._after_submission(delivery, delivery.ack or {})
            except SlackError as refusal:
                self._fail(delivery, f"{refusal.error} {refusal.details.get('errors', '')}".strip())

    def _after_submission(self, delivery: Delivery, ack: JsonObject) -> None:
        world, view = self._context.world, delivery.view
        assert view is not None
        action = ack.get("response_action")
        if action == "errors":
            known = {block["block_id"] for block in view.blocks if block.get("type") == "input"}
            errors = {name: str(text) for name, text in (ack.get("errors") or {}).items()}
            if not errors or not errors.keys() <= known:
                raise SlackError("invalid_errors", errors=[f"no input block is called {sorted(errors.keys() - known)}"])
            world.save_view(replace(view, errors=errors))
        elif action in {"update", "push"}:
            check_content(self._context, ack.get("view"))
            if action == "push":
                push_content(world, view.user, ack["view"])
            else:
                replace_content(world, view, ack["view"])
        else:
            close_modal(world, view, whole_stack=action == "clear")

    def respond(self, path: str, payload: JsonObject) -> None:
        """Take what the app sends to a response_url; five times within half an hour."""
        delivery = self._by_response_path.get(path)
        if delivery is None or self._context.world.clock() - delivery.at > RESPONSE_SECONDS:
            raise SlackError("expired_url")
        if delivery.uses >= RESPONSE_USES:
            raise SlackError("used_url")
        with self._context.world.changing():
            self.answer(delivery, payload)
            delivery.uses += 1

    def answer(self, delivery: Delivery, payload: JsonObject) -> None:
        """Post, replace or delete as an answer to a command or click asks for."""
        world, given = self._context.world, Arguments(payload)
        origin = delivery.message and world.message(delivery.message.channel, delivery.message.ts)
        if given.flag("delete_original"):
            if origin is None:
                raise SlackError("message_not_found")
            world.save_message(replace(origin, deleted=True), ChangeKind.DELETED)
            return
        content = read_content(self._context, given)
        if given.flag("replace_original") and origin is not None:
            message = world.edit(origin, text=content.text, blocks=content.blocks, attachments=content.attachments)
        else:
            assert delivery.channel is not None
            visible_to = None if given.text("response_type") == "in_channel" else delivery.user
            thread_ts = given.text("thread_ts") or None
            if origin is not None and visible_to is not None:
                thread_ts = thread_ts or origin.thread_ts
            message = post_content(world, delivery.channel, content, thread_ts=thread_ts, visible_to=visible_to)
        delivery.answers.append((message.channel, message.ts))

    def _fail(self, delivery: Delivery, problem: str) -> None:
        with self._context.world.changing():
            delivery.problem = problem

    def _changed(self) -> None:
        with self._context.world.changing():
            pass


def new_delivery(context: Context, kind: DeliveryKind, payload: JsonObject, user: str, **about: Any) -> Delivery:
    """Make a delivery that was not brought yet."""
    return Delivery(secrets.token_hex(16), kind, payload, user, context.world.clock(), **about)


def sign(secret: str, body: str, at: int) -> dict[str, str]:
    """Sign a request as Slack does (v0)."""
    signature = hmac.new(secret.encode(), f"v0:{at}:{body}".encode(), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={signature}"}


def _read_body(text: str) -> JsonObject | None:
    if not text.strip():
        return None
    try:
        body = json.loads(text)
    except ValueError:
        return {"text": text}
    return body if isinstance(body, dict) else {"text": text}
