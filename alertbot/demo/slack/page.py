"""What the look-alike's page in the browser asks for: its own files, the workspace as one user sees it, and that user's acts."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from importlib import resources
from typing import Any

from aiohttp import web

from alertbot.demo.slack.actions import Acts
from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.records import (
    BOT_USER_ID,
    Change,
    ChangeKind,
    Channel,
    JsonObject,
    Message,
    UploadedFile,
    View,
)
from alertbot.demo.slack.world import World

# The page has no outside resource and no inline script; a message cannot bring one in.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "page_blocks.js": "text/javascript",
    "page_dialogs.js": "text/javascript",
    "page_inputs.js": "text/javascript",
    "page_markdown.js": "text/javascript",
    "page_messages.js": "text/javascript",
    "page_text.js": "text/javascript",
}
# The newest messages of each channel that a page is given when it opens.
SHOWN = 300
KEEP_ALIVE_SECONDS = 15.0


class Page:
    """Serves the page. Runs on the server's event loop."""

    def __init__(self, world: World, acts: Acts, loop: asyncio.AbstractEventLoop) -> None:
        self._world = world
        self._acts = acts
        self._loop = loop
        self._readers: dict[asyncio.Queue[JsonObject | None], str] = {}

    def add_routes(self, app: web.Application) -> None:
        """Serve the page and what it asks for."""
        app.router.add_get("/", self._page)
        app.router.add_get("/{file:page[a-z_]*\\.(css|js)}", self._static)
        app.router.add_get("/archives/{channel}/{message}", self._permalink)
        app.router.add_get("/_page/state", self._state)
        app.router.add_get("/_page/changes", self._stream)
        app.router.add_get("/_page/files/{file}", self._file)
        app.router.add_post("/_page/{act:command|click|submit|close|home|say|delete}", self._act)

    def tell(self, change: Change) -> None:
        """Pass a change on to the open pages that may see it; called from any thread."""
        for reader, user in list(self._readers.items()):
            if (shown := self._shown(change, user)) is not None:
                self._loop.call_soon_threadsafe(reader.put_nowait, shown)

    def close(self) -> None:
        """End the streams of all open pages."""
        for reader in list(self._readers):
            reader.put_nowait(None)

    async def _page(self, _: web.Request) -> web.Response:
        return _own_file("page.html", "text/html")

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        if name not in _FILES:
            raise web.HTTPNotFound
        return _own_file(name, _FILES[name])

    async def _permalink(self, request: web.Request) -> web.Response:
        digits = request.match_info["message"].removeprefix("p")
        channel = request.match_info["channel"]
        thread = f"&thread={request.query['thread_ts']}" if "thread_ts" in request.query else ""
        raise web.HTTPFound(f"/?channel={channel}&ts={digits[:-6]}.{digits[-6:]}{thread}")

    async def _state(self, request: web.Request) -> web.Response:
        user = self._user(request)
        world = self._world
        with world.condition:
            channels = [each for each in world.channels.values() if each.with_user in {None, user}]
            state = {
                "me": user,
                "bot": BOT_USER_ID,
                "commands": list(self._acts.commands),
                "usage_hint": self._acts.usage_hint,
                "users": [
                    {"id": u.id, "name": u.name, "real_name": u.real_name, "tz": u.timezone}
                    for u in world.users.values()
                ],
                "groups": [{"id": g.id, "handle": g.handle} for g in world.groups.values()],
                "channels": [_channel_json(channel) for channel in channels],
                "messages": [
                    self._message_json(message)
                    for channel in channels
                    for message in [m for m in world.messages(channel.id) if _may_see(m, user)][-SHOWN:]
                ],
                "modals": [_view_json(view) for view in world.modals(user)],
                "home": _view_json(world.homes[user]) if user in world.homes else None,
                "files": [_file_json(file) for file in world.files.values() if file.completed],
            }
        return web.json_response(state, headers=_HEADERS)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Send changes as server-sent events until the page is closed."""
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        reader: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        with self._world.condition:
            self._readers[reader] = self._user(request)
        try:
            await response.write(b"retry: 1000\n\n")
            while True:
                try:
                    change = await asyncio.wait_for(reader.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if change is None:
                    return response
                await response.write(f"data: {json.dumps(change)}\n\n".encode())
        except ConnectionError:
            return response
        finally:
            with self._world.condition:
                del self._readers[reader]

    async def _file(self, request: web.Request) -> web.Response:
        uploaded = self._world.files.get(request.match_info["file"])
        if uploaded is None or not uploaded.mimetype:
            raise web.HTTPNotFound
        headers = {**_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
        if not uploaded.mimetype.startswith("image/"):
            headers["Content-Disposition"] = "attachment"
        return web.Response(body=uploaded.content, content_type=uploaded.mimetype, headers=headers)

    async def _act(self, request: web.Request) -> web.Response:
        """Do what the person at the page did, and tell how the app took it."""
        refuse_strangers(request)
        given = await request.json()
        act: Callable[[JsonObject], Awaitable[Delivery | None]] = getattr(self, f"_{request.match_info['act']}")
        try:
            delivery = await act(given)
        except LookupError as mistake:
            return web.json_response({"ok": False, "problem": str(mistake)}, headers=_HEADERS)
        problem = delivery.problem if delivery else None
        return web.json_response({"ok": problem is None, "problem": problem}, headers=_HEADERS)

    async def _command(self, given: JsonObject) -> Delivery:
        return await self._acts.command(given["text"], given["user"], given["channel"])

    async def _click(self, given: JsonObject) -> Delivery:
        if "view" in given:
            place: Message | View = self._world.views[given["view"]]
        else:
            message = self._world.message(given["channel"], given["ts"])
            if message is None:
                raise LookupError("this message is gone")
            place = message
        return await self._acts.click(
            place,
            given["action_id"],
            given["user"],
            value=given.get("value"),
            block_id=given.get("block_id"),
            state=given.get("state"),
        )

    async def _submit(self, given: JsonObject) -> Delivery:
        return await self._acts.submit(self._world.views[given["view"]], given["user"], given.get("state") or {})

    async def _close(self, given: JsonObject) -> Delivery | None:
        return await self._acts.close(self._world.views[given["view"]], given["user"])

    async def _home(self, given: JsonObject) -> Delivery:
        return await self._acts.open_home(given["user"])

    async def _say(self, given: JsonObject) -> Delivery | None:
        _, delivery = await self._acts.say(
            given["text"], given["user"], given["channel"], given.get("thread_ts") or None
        )
        return delivery

    async def _delete(self, given: JsonObject) -> None:
        message = self._world.message(given["channel"], given["ts"])
        if message is None:
            raise LookupError("this message is gone already")
        self._world.save_message(replace(message, deleted=True), ChangeKind.DELETED)

    def _user(self, request: web.Request) -> str:
        wanted = request.query.get("user", "")
        people = [user.id for user in self._world.users.values() if not user.is_bot]
        return wanted if wanted in people else people[0]

    def _shown(self, change: Change, user: str) -> JsonObject | None:
        """Return what one user's page is told of a change; None when that user may not see it."""
        hidden = change.channel is not None and change.channel.with_user not in {None, user}
        if hidden or (change.view is not None and change.view.user != user):
            return None
        if change.message is not None:
            return self._message_shown(change.kind.value, change.message, user)
        if change.view is not None:
            return self._view_shown(change.view)
        if change.file is not None:
            return {"kind": "file", "file": _file_json(change.file)}
        assert change.channel is not None
        gone = change.channel.id not in self._world.channels
        return {"kind": "channel", "channel": _channel_json(change.channel), "gone": gone}

    def _message_shown(self, kind: str, message: Message, user: str) -> JsonObject | None:
        return {"kind": kind, "message": self._message_json(message)} if _may_see(message, user) else None

    def _view_shown(self, view: View) -> JsonObject:
        if view.is_modal:
            return {"kind": "modal", "modals": [_view_json(each) for each in self._world.modals(view.user)]}
        return {"kind": "home", "home": _view_json(view)}

    def _message_json(self, message: Message) -> JsonObject:
        return {
            "channel": message.channel,
            "ts": message.ts,
            "user": message.user,
            "text": message.text,
            "blocks": message.blocks,
            "attachments": message.attachments,
            "thread_ts": message.thread_ts,
            "reply_broadcast": message.reply_broadcast,
            "visible_to": message.visible_to,
            "files": list(message.files),
            "reactions": list(message.reactions),
            "edited_at": message.edited_at,
            "edits": len(message.edits),
            "deleted": message.deleted,
            "by_webhook": message.by_webhook,
        }


def refuse_strangers(request: web.Request) -> None:
    """Refuse an act that a page of another site brings about in the user's browser."""
    origin = request.headers.get("Origin")
    if request.content_type != "application/json" or (origin is not None and origin.partition("//")[2] != request.host):
        raise web.HTTPForbidden(text="only this server's own page may do that")


def _may_see(message: Message, user: str) -> bool:
    return message.visible_to in {None, user}


def _own_file(name: str, kind: str) -> web.Response:
    content = resources.files("alertbot.demo").joinpath("page", name).read_bytes()
    return web.Response(body=content, content_type=kind, charset="utf-8", headers=_HEADERS)


def _channel_json(channel: Channel) -> Mapping[str, Any]:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_private": channel.is_private,
        "is_archived": channel.is_archived,
        "is_direct": channel.with_user is not None,
        "bot_is_member": channel.bot_is_member,
        "members": len(channel.members),
    }


def _view_json(view: View) -> Mapping[str, Any]:
    content = {name: view.content.get(name) for name in ("type", "title", "submit", "close", "blocks")}
    return {"id": view.id, "hash": view.hash, "errors": view.errors, **content}


def _file_json(uploaded: UploadedFile) -> Mapping[str, Any]:
    return {
        "id": uploaded.id,
        "name": uploaded.name,
        "title": uploaded.title,
        "mimetype": uploaded.mimetype,
        "size": uploaded.length,
        "alt_text": uploaded.alt_text,
        "url": f"/_page/files/{uploaded.id}",
    }
