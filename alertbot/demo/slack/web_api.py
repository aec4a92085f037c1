"""The Web API methods of the look-alike: who one is, people, chat; `METHODS` lists all of them by name."""

import dataclasses
from collections.abc import Mapping

from alertbot.demo.slack import conversations, files, views
from alertbot.demo.slack.calls import (
    Arguments,
    Context,
    Method,
    channel_by_id,
    channel_to_post,
    message_json,
    post_content,
    read_content,
    thread_of,
    user_by_id,
)
from alertbot.demo.slack.limits import Surface, check_blocks, check_message, check_view
from alertbot.demo.slack.records import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    TEAM_ID,
    ChangeKind,
    JsonObject,
    Message,
    SlackError,
)

UPDATED_TEXT = 4000


def authorize(context: Context, method: Method, token: str | None) -> None:
    """Refuse a call whose token is missing, wrong, revoked, of the wrong kind, or lacks a scope."""
    if method.token == "none":  # noqa: S105  a kind of token
        return
    installation = context.installation
    if not token:
        raise SlackError("not_authed")
    if token == installation.app_token:
        if installation.app_token_error:
            raise SlackError(installation.app_token_error)
        if method.token == "bot":  # noqa: S105  a kind of token
            raise SlackError("not_allowed_token_type")
        return
    if token != installation.bot_token:
        raise SlackError("invalid_auth")
    if installation.bot_token_error:
        raise SlackError(installation.bot_token_error)
    if method.token == "app":  # noqa: S105  a kind of token
        raise SlackError("not_allowed_token_type")
    if method.scopes and not installation.scopes.intersection(method.scopes):
        provided = ",".join(sorted(installation.scopes))
        raise SlackError("missing_scope", needed=",".join(sorted(method.scopes)), provided=provided)


def api_test(_: Context, given: Arguments) -> JsonObject:
    """Answer what was asked; fail when asked to."""
    if "error" in given:
        raise SlackError(given.text("error"), args=given.values)
    return {"args": given.values}


def auth_test(context: Context, _: Arguments) -> JsonObject:
    """Tell whose token it is."""
    return {
        "url": f"{context.world.base_url}/",
        "team": "Acme",
        "user": "alertbot",
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "is_enterprise_install": False,
    }


def apps_connections_open(context: Context, _: Arguments) -> JsonObject:
    """Give the address of a Socket Mode connection; it can be used once."""
    return {"url": context.open_socket()}


def chat_post_message(context: Context, given: Arguments) -> JsonObject:
    """Post into a channel or a thread."""
    world = context.world
    with world.changing():
        channel = channel_to_post(context, given)
        content = read_content(context, given)
        thread_ts = thread_of(world, channel, given.text("thread_ts"))
        broadcast = given.flag("reply_broadcast") and thread_ts is not None
        message = post_content(world, channel, content, thread_ts=thread_ts, reply_broadcast=broadcast)
        answer = {
            "channel": channel.id,
            "ts": message.ts,
            "message": message_json(world, message, with_metadata=True),
        }
    if content.warning:
        answer |= {"warning": content.warning, "response_metadata": {"warnings": [content.warning]}}
    return answer


def chat_post_ephemeral(context: Context, given: Arguments) -> JsonObject:
    """Post what one user sees."""
    world = context.world
    with world.changing():
        channel = channel_to_post(context, given)
        if given.required("user") not in channel.members:
            raise SlackError("user_not_in_channel")
        content = read_content(context, given)
        if content.warning:
            raise SlackError("msg_too_long")
        message = post_content(
            world,
            channel,
            content,
            thread_ts=thread_of(world, channel, given.text("thread_ts")),
            visible_to=given.text("user"),
        )
    return {"message_ts": message.ts}


def chat_update(context: Context, given: Arguments) -> JsonObject:
    """Replace the content of one of the app's messages; what is not given stays."""
    world = context.world
    with world.changing():
        channel = channel_by_id(context, given)
        message = _own_message(context, channel.id, given.required("ts"), "cant_update_message")
        if channel.is_archived:
            raise SlackError("is_inactive")
        if len(given.text("text")) > UPDATED_TEXT:
            raise SlackError("msg_too_long")
        content = read_content(context, given)
        message = world.edit(
            message,
            text=content.text if "text" in given or "markdown_text" in given else message.text,
            blocks=content.blocks if "blocks" in given or "markdown_text" in given else message.blocks,
            attachments=content.attachments if "attachments" in given else message.attachments,
            metadata=content.metadata if "metadata" in given else message.metadata,
        )
        shown = message_json(world, message, with_metadata=True)
        return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def chat_delete(context: Context, given: Arguments) -> JsonObject:
    """Delete one of the app's messages."""
    world = context.world
    with world.changing():
        channel = channel_by_id(context, given)
        message = _own_message(context, channel.id, given.required("ts"), "cant_delete_message")
        world.save_message(dataclasses.replace(message, deleted=True), ChangeKind.DELETED)
    return {"channel": channel.id, "ts": message.ts}


def chat_get_permalink(context: Context, given: Arguments) -> JsonObject:
    """Give a message's address."""
    channel = channel_by_id(context, given)
    message = context.world.message(channel.id, given.required("message_ts"))
    if message is None:
        raise SlackError("message_not_found")
    link = f"{context.world.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def reactions_add(context: Context, given: Arguments) -> JsonObject:
    """React to a message."""
    world = context.world
    with world.changing():
        channel = channel_by_id(context, given)
        message = world.message(channel.id, given.required("timestamp"))
        if message is None:
            raise SlackError("message_not_found")
        name = given.required("name").strip(":")
        if name in message.reactions:
            raise SlackError("already_reacted")
        reactions = (*message.reactions, name)
        world.save_message(dataclasses.replace(message, reactions=reactions), ChangeKind.EDITED)
    return {}


def users_info(context: Context, given: Arguments) -> JsonObject:
    """Tell about a user."""
    return {"user": user_by_id(context, given).as_json(context.world.clock())}


def users_list(context: Context, given: Arguments) -> JsonObject:
    """List the users."""
    members = [user.as_json(context.world.clock()) for user in context.world.users.values()]
    return conversations.page_of("members", members, given)


def users_lookup_by_email(context: Context, given: Arguments) -> JsonObject:
    """Find a user by address."""
    for user in context.world.users.values():
        if user.email == given.text("email") and not user.is_bot:
            return {"user": user.as_json(context.world.clock())}
    raise SlackError("users_not_found")


def usergroups_list(context: Context, _: Arguments) -> JsonObject:
    """List the user groups."""
    return {"usergroups": [group.as_json() for group in context.world.groups.values()]}


def usergroups_users_list(context: Context, given: Arguments) -> JsonObject:
    """List the members of a user group."""
    group = context.world.groups.get(given.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def blocks_validate(_: Context, given: Arguments) -> JsonObject:
    """Tell what Slack would refuse in blocks, a message or a view."""
    present = [name for name in ("blocks", "message", "view") if name in given]
    if len(present) != 1:
        raise SlackError("invalid_arguments")
    value = given.json(present[0], "invalid_arguments")
    error = f"invalid_{present[0]}"
    if present[0] == "blocks":
        problems = check_blocks(value, Surface.MESSAGE)
    elif present[0] == "view":
        problems = check_view(value, "")
    elif isinstance(value, dict) and value.keys() <= {"blocks", "attachments"}:
        refusal = check_message(value.get("blocks"), value.get("attachments"))
        if refusal is None:
            return {}
        problems = refusal.problems
    else:
        raise SlackError("invalid_message")
    if problems:
        raise SlackError(error, errors=[problem.as_json() for problem in problems])
    return {}


def _own_message(context: Context, channel_id: str, ts: str, error: str) -> Message:
    message = context.world.message(channel_id, ts)
    if message is None or message.visible_to is not None:
        raise SlackError("message_not_found")
    if message.user != BOT_USER_ID or message.by_webhook:
        raise SlackError(error)
    return message


METHODS: Mapping[str, Method] = {
    "api.test": Method(api_test, token="none"),  # noqa: S106  a kind of token
    "blocks.validate": Method(blocks_validate, token="none"),  # noqa: S106  a kind of token
    "auth.test": Method(auth_test, token="any"),  # noqa: S106  a kind of token
    "apps.connections.open": Method(apps_connections_open, token="app"),  # noqa: S106  a kind of token
    "chat.postMessage": Method(chat_post_message, {"chat:write"}),
    "chat.postEphemeral": Method(chat_post_ephemeral, {"chat:write"}),
    "chat.update": Method(chat_update, {"chat:write"}),
    "chat.delete": Method(chat_delete, {"chat:write"}),
    "chat.getPermalink": Method(chat_get_permalink),
    "reactions.add": Method(reactions_add, {"reactions:write"}),
    "users.info": Method(users_info, {"users:read"}),
    "users.list": Method(users_list, {"users:read"}),
    "users.lookupByEmail": Method(users_lookup_by_email, {"users:read.email"}),
    "usergroups.list": Method(usergroups_list, {"usergroups:read"}),
    "usergroups.users.list": Method(usergroups_users_list, {"usergroups:read"}),
    **conversations.METHODS,
    **files.METHODS,
    **views.METHODS,
}
