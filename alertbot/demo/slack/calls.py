"""What every Web API method of the look-alike works with: its arguments, the installed app, and what content may be posted."""

import json
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from alertbot.demo.slack.limits import check_message, named_files
from alertbot.demo.slack.records import BOT_ID, BOT_USER_ID, Channel, JsonObject, Message, SlackError, User
from alertbot.demo.slack.shapes import Problem
from alertbot.demo.slack.world import World

# Slack publishes no size for metadata; what people report begins a little above this.
METADATA_CHARACTERS = 3000
POSTED_TEXT = 40_000
MARKDOWN_TEXT = 12_000

ALL_SCOPES = frozenset(
    {
        "app_mentions:read",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "chat:write.public",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "reactions:write",
        "usergroups:read",
        "users:read",
        "users:read.email",
    }
)


class Arguments:
    """The arguments of one call, read alike from a query, a form and JSON."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """Return an argument as a string."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """Return an argument that the method cannot do without."""
        if not self.text(name):
            problem = f"missing required field: {name} [json-pointer:/{name}]"
            raise SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {problem}"]})
        return self.text(name)

    def flag(self, name: str) -> bool:
        """Return a yes or no, whichever way it was written."""
        return str(self.values.get(name, "")).lower() in {"1", "true"}

    def integer(self, name: str, default: int) -> int:
        """Return a number."""
        try:
            return int(self.text(name) or default)
        except ValueError:
            raise SlackError("invalid_arguments") from None

    def json(self, name: str, error: str) -> Any:
        """Return an argument that is JSON, or JSON in a string; anything else is the given error."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise SlackError(error) from None


@dataclass(slots=True)
class Trigger:
    """The short right to open a modal, won by a command or a click."""

    user: str
    at: float
    view_id: str | None = None
    used: bool = False


@dataclass(slots=True)
class Installation:
    """The app as it is installed in the workspace."""

    bot_token: str = field(default_factory=lambda: f"xoxb-{secrets.token_hex(12)}")
    app_token: str = field(default_factory=lambda: f"xapp-1-{secrets.token_hex(12)}")
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    scopes: frozenset[str] = ALL_SCOPES
    home_tab_enabled: bool = True
    bot_token_error: str | None = None
    app_token_error: str | None = None


@dataclass(slots=True)
class Context:
    """What the methods share."""

    world: World
    installation: Installation
    open_socket: Callable[[], str]
    later: Callable[[float, Callable[[], None]], None]
    trigger_seconds: float = 3.0
    file_seconds: float = 0.1
    triggers: dict[str, Trigger] = field(default_factory=dict)

    def new_trigger(self, user: str, view_id: str | None = None) -> str:
        """Give somebody's act the right to open one modal."""
        trigger_id = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(user, self.world.clock(), view_id)
        return trigger_id

    def spend_trigger(self, trigger_id: str) -> Trigger:
        """Use up a trigger; it works once and for three seconds."""
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self.world.clock() - trigger.at > self.trigger_seconds:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger


@dataclass(frozen=True, slots=True)
class Method:
    """How a Web API method is done and who may call it."""

    run: Callable[[Context, Arguments], JsonObject]
    scopes: Collection[str] = ()
    token: str = "bot"  # noqa: S105  the kind of token, not a token: bot, app, any or none


@dataclass(frozen=True, slots=True)
class Content:
    """What a message is to say, found to be within Slack's limits."""

    text: str
    blocks: list[JsonObject]
    attachments: list[JsonObject]
    metadata: JsonObject | None
    warning: str | None = None


def read_content(context: Context, given: Arguments) -> Content:
    """Read text, blocks, attachments and metadata of a post, or refuse them as Slack does."""
    text = given.text("text")
    blocks = given.json("blocks", "invalid_blocks_format") or []
    attachments = given.json("attachments", "invalid_attachments") or []
    if markdown := given.text("markdown_text"):
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MARKDOWN_TEXT:
            raise SlackError("msg_too_long")
        text, blocks = markdown, [{"type": "markdown", "text": markdown}]
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if refusal := check_message(blocks, attachments):
        raise refused(refusal.error, refusal.problems)
    check_named_files(context.world, [blocks, attachments])
    if not (text.strip() or blocks or attachments):
        raise SlackError("no_text")
    warning = "message_truncated" if len(text) > POSTED_TEXT else None
    return Content(text[:POSTED_TEXT], blocks, attachments, read_metadata(given), warning)


def read_metadata(given: Arguments) -> JsonObject | None:
    """Read a message's metadata; an empty object means none."""
    metadata = given.json("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(metadata, ensure_ascii=False)) > METADATA_CHARACTERS:
        raise SlackError("metadata_too_large")
    return metadata


def check_named_files(world: World, blocks: object) -> None:
    """Refuse blocks which show a file that is not there, not an image, or not yet worked on."""
    problems = []
    for pointer, reference in named_files(blocks):
        wanted = reference.get("id") or reference.get("url", "")
        known = [f for f in world.files.values() if wanted == f.id or (f.id in wanted and wanted.startswith("http"))]
        if not known or not known[0].mimetype.startswith("image/"):
            problems.append(Problem(f"{pointer}/slack_file", "invalid_slack_file", "invalid slack file"))
    if problems:
        raise refused("invalid_blocks", problems)


def refused(error: str, problems: list[Problem]) -> SlackError:
    """Make the refusal of a payload, naming each place."""
    if not problems:
        return SlackError(error)
    told = [str(problem) for problem in problems]
    return SlackError(error, errors=told, response_metadata={"messages": [f"[ERROR] {each}" for each in told]})


def channel_by_id(context: Context, given: Arguments, name: str = "channel") -> Channel:
    """Find the channel of a call that takes only ids."""
    channel = context.world.find_channel(given.required(name), by_name=False)
    if channel is None or (channel.is_private and not channel.bot_is_member):
        raise SlackError("channel_not_found")
    return channel


def channel_to_post(context: Context, given: Arguments) -> Channel:
    """Find the channel of a post, by id or name, and see that the app may post there."""
    channel = context.world.find_channel(given.required("channel"))
    if channel is None or (channel.is_private and not channel.bot_is_member):
        raise SlackError("channel_not_found")
    if channel.is_archived:
        raise SlackError("is_archived")
    if not channel.bot_is_member and "chat:write.public" not in context.installation.scopes:
        raise SlackError("not_in_channel")
    return channel


def user_by_id(context: Context, given: Arguments, name: str = "user") -> User:
    """Find the user of a call."""
    user = context.world.users.get(given.required(name))
    if user is None:
        raise SlackError("user_not_found")
    return user


def thread_of(world: World, channel: Channel, thread_ts: str) -> str | None:
    """Return the head of the thread that a reply goes to; a reply to a reply goes to its thread."""
    if not thread_ts:
        return None
    parent = world.message(channel.id, thread_ts)
    if parent is not None and parent.visible_to is not None:
        raise SlackError("cannot_reply_to_message")
    # Slack takes replies to a message that is gone, too: nobody sees them.
    return (parent.thread_ts or parent.ts) if parent is not None else thread_ts


def post_content(
    world: World,
    channel: Channel,
    content: Content,
    *,
    thread_ts: str | None = None,
    reply_broadcast: bool = False,
    visible_to: str | None = None,
    user: str = BOT_USER_ID,
    by_webhook: bool = False,
) -> Message:
    """Post content that was read with `read_content`."""
    with world.changing():
        return world.post(
            Message(
                channel.id,
                world.new_ts(channel.id),
                user,
                text=content.text,
                blocks=content.blocks,
                attachments=content.attachments,
                metadata=content.metadata,
                thread_ts=thread_ts,
                reply_broadcast=reply_broadcast,
                visible_to=visible_to,
                by_webhook=by_webhook,
            )
        )


def message_json(world: World, message: Message, *, with_metadata: bool = False) -> JsonObject:
    """Give a message as the Web API and interactive payloads do."""
    shown: JsonObject = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    if message.user == BOT_USER_ID:
        shown |= {"bot_id": BOT_ID, "app_id": "A0ALERTBOT"}
    shown["team"] = "T0ACME0001"
    if message.blocks:
        shown["blocks"] = message.blocks
    if message.attachments:
        shown["attachments"] = message.attachments
    if message.files:
        shown["files"] = [{"id": file_id, "name": world.files[file_id].name} for file_id in message.files]
    if message.edited_at is not None:
        shown["edited"] = {"user": message.user, "ts": f"{message.edited_at:.6f}"}
    if message.reactions:
        shown["reactions"] = [{"name": name, "users": [BOT_USER_ID], "count": 1} for name in message.reactions]
    if with_metadata and message.metadata:
        shown["metadata"] = message.metadata
    if message.reply_broadcast:
        shown["subtype"] = "thread_broadcast"
    return shown | _thread_json(world, message)


def _thread_json(world: World, message: Message) -> JsonObject:
    replies = [] if message.is_reply else world.replies(message)
    if replies:
        return {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users_count": len({reply.user for reply in replies}),
            "reply_users": sorted({reply.user for reply in replies}),
            "latest_reply": replies[-1].ts,
        }
    return {"thread_ts": message.thread_ts} if message.thread_ts else {}
