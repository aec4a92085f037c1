"""The look-alike's views: modals, three of them in a stack, and each user's Home tab."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alertbot.demo.slack.calls import Arguments, Context, Method, check_named_files, refused
from alertbot.demo.slack.limits import VIEW_BYTES, check_view, view_bytes
from alertbot.demo.slack.records import APP_ID, BOT_ID, TEAM_ID, JsonObject, SlackError, View
from alertbot.demo.slack.world import World

MODAL_STACK = 3


def open_view(context: Context, given: Arguments) -> JsonObject:
    """Open a modal for whoever pulled the trigger."""
    return _show_on_top(context, given)


def push_view(context: Context, given: Arguments) -> JsonObject:
    """Put a modal above the one in which the trigger was pulled."""
    return _show_on_top(context, given)


def update_view(context: Context, given: Arguments) -> JsonObject:
    """Replace what an open view shows."""
    content = read_view(context, given)
    with context.world.changing():
        view = find_view(context.world, given)
        if "hash" in given and given.text("hash") != view.hash:
            raise SlackError("hash_conflict")
        return {"view": view_json(replace_content(context.world, view, content))}


def publish_view(context: Context, given: Arguments) -> JsonObject:
    """Replace a user's Home tab."""
    if not context.installation.home_tab_enabled:
        raise SlackError("not_enabled")
    content = read_view(context, given)
    user = given.required("user_id")
    if user not in context.world.users:
        raise SlackError("user_not_found")
    if content["type"] != "home":
        raise SlackError("invalid_arguments")
    with context.world.changing():
        present = context.world.homes.get(user)
        if present is not None and "hash" in given and given.text("hash") != present.hash:
            raise SlackError("hash_conflict")
        if present is None:
            view = context.world.save_view(context.world.new_view(user, content))
        else:
            view = replace_content(context.world, present, content)
    return {"view": view_json(view)}


def read_view(context: Context, given: Arguments) -> JsonObject:
    """Read a view within Slack's limits."""
    content = given.json("view", "invalid_arguments")
    check_content(context, content)
    assert isinstance(content, dict)
    return content


def check_content(context: Context, content: Any) -> None:
    """Refuse a view that Slack refuses."""
    if view_bytes(content) > VIEW_BYTES:
        raise SlackError("view_too_large")
    if problems := check_view(content):
        raise refused("invalid_arguments", problems)
    check_named_files(context.world, content["blocks"])


def find_view(world: World, given: Arguments) -> View:
    """Find an open view by its id or the app's own id for it."""
    if "view_id" in given:
        view = world.views.get(given.text("view_id"))
    else:
        wanted = given.required("external_id")
        view = next((each for each in world.views.values() if each.open and external_id(each) == wanted), None)
    if view is None or not view.open:
        raise SlackError("not_found")
    return view


def external_id(view: View) -> str:
    """Return the app's own id for a view."""
    return str(view.content.get("external_id") or "")


def replace_content(world: World, view: View, content: JsonObject) -> View:
    """Show other content in an open view."""
    return world.save_view(replace(view, content=world.view_content(content), errors={}))


def push_content(world: World, user: str, content: JsonObject) -> View:
    """Show a modal above the user's others."""
    stack = world.modals(user)
    if len(stack) >= MODAL_STACK:
        raise SlackError("push_limit_reached")
    return world.save_view(world.new_view(user, content, stack[-1] if stack else None))


def close_modal(world: World, view: View, *, whole_stack: bool = False) -> None:
    """Close a modal, or all of its user's."""
    with world.changing():
        for each in world.modals(view.user) if whole_stack else [view]:
            world.save_view(replace(each, open=False, errors={}))


def view_json(view: View, values: JsonObject | None = None) -> JsonObject:
    """Give a view as the Web API and interactive payloads do."""
    content = view.content
    shown: JsonObject = {
        "id": view.id,
        "team_id": TEAM_ID,
        "type": content["type"],
        "blocks": content["blocks"],
        "private_metadata": content.get("private_metadata", ""),
        "callback_id": content.get("callback_id", ""),
        "external_id": content.get("external_id", ""),
        "state": {"values": values or {}},
        "hash": view.hash,
        "clear_on_close": content.get("clear_on_close", False),
        "notify_on_close": content.get("notify_on_close", False),
        "root_view_id": view.root_id,
        "previous_view_id": view.previous_id,
        "app_id": APP_ID,
        "app_installed_team_id": TEAM_ID,
        "bot_id": BOT_ID,
    }
    if view.is_modal:
        shown |= {name: content.get(name) for name in ("title", "submit", "close")}
    return shown


def _show_on_top(context: Context, given: Arguments) -> JsonObject:
    content = read_view(context, given)
    if content["type"] != "modal":
        raise SlackError("invalid_arguments")
    with context.world.changing():
        wanted = content.get("external_id")
        if wanted and any(view.open and external_id(view) == wanted for view in context.world.views.values()):
            raise SlackError("duplicate_external_id")
        trigger = context.spend_trigger(given.required("trigger_id"))
        return {"view": view_json(push_content(context.world, trigger.user, content))}


METHODS: Mapping[str, Method] = {
    "views.open": Method(open_view),
    "views.push": Method(push_view),
    "views.update": Method(update_view),
    "views.publish": Method(publish_view),
}
