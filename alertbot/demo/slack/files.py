"""The look-alike's uploads: an address is given, bytes are sent, the upload is completed, and a moment later it is there."""

import mimetypes
import secrets
from collections.abc import Mapping
from dataclasses import replace

from alertbot.demo.slack.calls import Arguments, Context, Method
from alertbot.demo.slack.records import BOT_USER_ID, Channel, JsonObject, Message, SlackError, UploadedFile

ALT_TEXT = 1000
CHANNELS = 100


def get_upload_url(context: Context, given: Arguments) -> JsonObject:
    """Give the address to which a file's bytes are sent."""
    world = context.world
    name, length = given.text("filename"), given.integer("length", 0)
    if not name or length <= 0:
        raise SlackError("missing_argument")
    if len(given.text("alt_txt")) > ALT_TEXT:
        raise SlackError("alt_txt_too_large")
    uploaded = world.save_file(
        UploadedFile(
            world.new_id("F"),
            name,
            length,
            ticket=secrets.token_urlsafe(24),
            created=int(world.clock()),
            alt_text=given.text("alt_txt"),
        )
    )
    return {"upload_url": f"{world.base_url}/upload/v1/{uploaded.ticket}", "file_id": uploaded.id}


def complete_upload(context: Context, given: Arguments) -> JsonObject:
    """Finish uploads and share them; Slack answers before it has worked on them."""
    world = context.world
    named = given.json("files", "invalid_arguments")
    if not isinstance(named, list) or not named:
        raise SlackError("invalid_arguments")
    channels = _channels(context, given)
    files = []
    for each in named:
        uploaded = world.files.get(str(each.get("id"))) if isinstance(each, dict) else None
        if uploaded is None or uploaded.content is None:
            raise SlackError("file_not_found")
        files.append(replace(uploaded, completed=True, title=each.get("title") or uploaded.name))
    for uploaded in files:
        world.save_file(uploaded)
    comment, thread_ts = given.text("initial_comment"), given.text("thread_ts") or None

    def finish() -> None:
        _share([uploaded.id for uploaded in files], channels, comment, thread_ts, context)

    context.later(context.file_seconds, finish)
    return {"files": [{"id": uploaded.id, "title": uploaded.title} for uploaded in files]}


def info(context: Context, given: Arguments) -> JsonObject:
    """Tell about a file; while Slack works on it, type and shares are missing."""
    uploaded = context.world.files.get(given.text("file"))
    if uploaded is None or not uploaded.completed:
        raise SlackError("file_not_found")
    return {"file": file_json(context, uploaded), "comments": [], "response_metadata": {"next_cursor": ""}}


def file_json(context: Context, uploaded: UploadedFile) -> JsonObject:
    """Give a file as files.info does."""
    link = f"{context.world.base_url}/files-pri/{uploaded.id}/{uploaded.name}"
    shares: dict[str, list[JsonObject]] = {}
    for channel_id, ts in uploaded.shares:
        shares.setdefault(channel_id, []).append({"ts": ts})
    return {
        "id": uploaded.id,
        "created": uploaded.created,
        "name": uploaded.name,
        "title": uploaded.title,
        "mimetype": uploaded.mimetype,
        "filetype": uploaded.name.rpartition(".")[2] if uploaded.mimetype else "",
        "size": uploaded.length,
        "user": BOT_USER_ID,
        "url_private": link,
        "url_private_download": link,
        "permalink": f"{context.world.base_url}/files/{BOT_USER_ID}/{uploaded.id}/{uploaded.name}",
        "alt_txt": uploaded.alt_text,
        "channels": sorted(shares),
        "shares": {"public": shares} if shares else {},
    }


def _channels(context: Context, given: Arguments) -> list[Channel]:
    wanted = [part.strip() for part in given.text("channels").split(",") if part.strip()]
    wanted = ([given.text("channel_id")] if "channel_id" in given else []) + wanted
    if len(wanted) > CHANNELS:
        raise SlackError("channels_limit_exceeded")
    found = []
    for channel_id in wanted:
        channel = context.world.find_channel(channel_id, by_name=channel_id in context.world.users)
        if channel is None:
            raise SlackError("channel_not_found")
        if not channel.bot_is_member:
            raise SlackError("not_in_channel")
        if channel.is_archived:
            raise SlackError("posting_to_channel_denied")
        found.append(channel)
    return found


def _share(file_ids: list[str], channels: list[Channel], comment: str, thread_ts: str | None, context: Context) -> None:
    """Give completed files their type, and post the message that shows them."""
    world = context.world
    with world.changing():
        shares = []
        for channel in channels:
            if channel.id not in world.channels:
                continue
            message = Message(
                channel.id,
                world.new_ts(channel.id),
                BOT_USER_ID,
                text=comment,
                thread_ts=thread_ts,
                files=tuple(file_ids),
            )
            shares.append((channel.id, world.post(message).ts))
        for file_id in file_ids:
            uploaded = world.files[file_id]
            kind = mimetypes.guess_type(uploaded.name)[0] or "application/octet-stream"
            world.save_file(replace(uploaded, mimetype=kind, shares=tuple(shares)))


METHODS: Mapping[str, Method] = {
    "files.getUploadURLExternal": Method(get_upload_url, {"files:write"}),
    "files.completeUploadExternal": Method(complete_upload, {"files:write"}),
    "files.info": Method(info, {"files:read"}),
}
