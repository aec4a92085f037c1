"""The look-alike's conversations.* methods: channels, their members and what was said in them."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from alertbot.demo.slack.calls import Arguments, Context, Method, channel_by_id, message_json
from alertbot.demo.slack.records import BOT_USER_ID, Channel, JsonObject, Message, SlackError

_READ = {"channels:read", "groups:read", "im:read"}
_HISTORY = {"channels:history", "groups:history", "im:history"}
MOST_MESSAGES = 999


def page_of(name: str, every: list[JsonObject], given: Arguments, default: int = 100) -> JsonObject:
    """Cut a list to the page that a cursor and a limit ask for."""
    start, limit = _offset(given.text("cursor")), min(given.integer("limit", default) or default, MOST_MESSAGES)
    more = start + limit < len(every)
    cursor = base64.b64encode(f"offset:{start + limit}".encode()).decode() if more else ""
    return {name: every[start : start + limit], "response_metadata": {"next_cursor": cursor}}


def info(context: Context, given: Arguments) -> JsonObject:
    """Tell about a channel."""
    return {"channel": channel_by_id(context, given).as_json()}


def list_channels(context: Context, given: Arguments) -> JsonObject:
    """List the channels that the app can see."""
    types = {part.strip() for part in given.text("types", "public_channel").split(",")}
    found = []
    for channel in list(context.world.channels.values()):
        kind = "im" if channel.with_user else "private_channel" if channel.is_private else "public_channel"
        hidden = channel.is_private and not channel.bot_is_member
        if kind in types and not hidden and not (channel.is_archived and given.flag("exclude_archived")):
            found.append(channel.as_json())
    return page_of("channels", found, given)


def join(context: Context, given: Arguments) -> JsonObject:
    """Join a public channel."""
    with context.world.changing():
        channel = channel_by_id(context, given)
        if channel.is_private:
            raise SlackError("method_not_supported_for_channel_type")
        if channel.is_archived:
            raise SlackError("is_archived")
        return {"channel": context.world.save_channel(_joined(channel)).as_json()}


def members(context: Context, given: Arguments) -> JsonObject:
    """List who is in a channel."""
    page = page_of("members", [{"id": member} for member in sorted(channel_by_id(context, given).members)], given)
    return {**page, "members": [member["id"] for member in page["members"]]}


def open_direct_messages(context: Context, given: Arguments) -> JsonObject:
    """Open the direct messages with a user."""
    if "channel" in given:
        channel = channel_by_id(context, given)
        return {"no_op": True, "already_open": True, "channel": {"id": channel.id}}
    users = [part.strip() for part in given.text("users").split(",") if part.strip()]
    if not users:
        raise SlackError("users_list_not_supplied")
    if len(users) > 1 or users[0] not in context.world.users:
        raise SlackError("user_not_found" if len(users) == 1 else "too_many_users")
    channel = context.world.direct_messages(users[0])
    return {"channel": channel.as_json() if given.flag("return_im") else {"id": channel.id}}


def history(context: Context, given: Arguments) -> JsonObject:
    """List what was said in a channel, the newest first; replies are in their threads."""
    channel = _readable(context, given)
    found = [
        message
        for message in context.world.messages(channel.id)
        if _is_public(message) and (not message.is_reply or message.reply_broadcast) and _is_between(message, given)
    ]
    return _page_of_messages(context, list(reversed(found)), given)


def replies(context: Context, given: Arguments) -> JsonObject:
    """List a thread, its head first."""
    channel = _readable(context, given)
    asked = context.world.message(channel.id, given.required("ts"))
    if asked is None or asked.visible_to is not None:
        raise SlackError("thread_not_found")
    head = context.world.message(channel.id, asked.thread_ts or asked.ts)
    if head is None:
        raise SlackError("thread_not_found")
    found = [reply for reply in context.world.replies(head) if _is_public(reply) and _is_between(reply, given)]
    return _page_of_messages(context, [head, *found], given, default=1000)


def _page_of_messages(context: Context, messages: list[Message], given: Arguments, default: int = 100) -> JsonObject:
    with_metadata = given.flag("include_all_metadata")
    shown = [message_json(context.world, message, with_metadata=with_metadata) for message in messages]
    page = page_of("messages", shown, given, default)
    more = bool(page["response_metadata"]["next_cursor"])
    answer: JsonObject = {"messages": page["messages"], "has_more": more, "pin_count": 0}
    if more:
        answer["response_metadata"] = page["response_metadata"]
    return answer


def _readable(context: Context, given: Arguments) -> Channel:
    channel = channel_by_id(context, given)
    if not channel.bot_is_member:
        raise SlackError("not_in_channel")
    return channel


def _is_public(message: Message) -> bool:
    return not message.deleted and message.visible_to is None


def _is_between(message: Message, given: Arguments) -> bool:
    at = Decimal(message.ts)
    oldest = _moment(given.text("oldest") or "0", "invalid_ts_oldest")
    latest = _moment(given.text("latest") or "9" * 12, "invalid_ts_latest")
    if given.flag("inclusive"):
        return oldest <= at <= latest
    return oldest < at < latest


def _moment(text: str, error: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise SlackError(error) from None


def _offset(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("offset:"))
    except (binascii.Error, ValueError):
        raise SlackError("invalid_cursor") from None


def _joined(channel: Channel) -> Channel:
    return replace(channel, members=channel.members | {BOT_USER_ID})


METHODS: Mapping[str, Method] = {
    "conversations.info": Method(info, _READ),
    "conversations.list": Method(list_channels, _READ),
    "conversations.join": Method(join, {"channels:join"}),
    "conversations.members": Method(members, _READ),
    "conversations.open": Method(open_direct_messages, {"im:write"}),
    "conversations.history": Method(history, _HISTORY),
    "conversations.replies": Method(replies, _HISTORY),
}
