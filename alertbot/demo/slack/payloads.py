"""The payloads that Slack sends to an app: commands, clicks, submitted views and events; pure but for the world they read."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from alertbot.demo.slack.calls import message_json
from alertbot.demo.slack.records import APP_ID, BOT_USER_ID, TEAM_ID, Channel, JsonObject, Message, User, View
from alertbot.demo.slack.views import view_json
from alertbot.demo.slack.world import World

VERIFICATION_TOKEN = "deprecated"  # noqa: S105  Slack sends one still; nobody may trust it

# How each stateful element carries what was chosen, and the key of its initial value.
_CHOSEN: Mapping[str, tuple[str, str]] = {
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "checkboxes": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "plain_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
}
_LISTS = ("selected_options", "selected_users", "selected_conversations", "selected_channels")


def elements_of(blocks: Sequence[JsonObject]) -> Iterator[tuple[JsonObject, JsonObject]]:
    """Yield each element that people can use, with its block."""
    for block in blocks:
        candidates = [block.get("accessory"), block.get("element")]
        candidates += block.get("elements") or [] if block.get("type") in {"actions", "context_actions"} else []
        for element in candidates:
            if isinstance(element, dict) and "action_id" in element:
                yield block, element


def find_element(
    blocks: Sequence[JsonObject], action_id: str, value: object = None, block_id: str | None = None
) -> tuple[JsonObject, JsonObject]:
    """Find what somebody clicks; where several have the action id, the one which offers the value."""
    present = list(elements_of(blocks))
    found = [
        (block, element)
        for block, element in present
        if element["action_id"] == action_id and block_id in {None, block["block_id"]}
    ]
    if not found:
        names = sorted({str(element["action_id"]) for _, element in present})
        raise LookupError(f"nothing here has the action id {action_id!r}; there is {', '.join(names) or 'nothing'}")
    offering = [pair for pair in found if value is not None and value in _offers(pair[1])]
    return (offering or found)[0]


def action_of(block: JsonObject, element: JsonObject, value: Any, action_ts: str) -> JsonObject:
    """Describe the use of one element as block_actions does."""
    action = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": action_ts,
    }
    if element["type"] == "button":
        return action | {name: element[name] for name in ("text", "value", "style", "url") if name in element}
    if element["type"] == "overflow":
        return action | {"selected_option": _option(element, value)}
    return action | chosen(element, value)


def chosen(element: JsonObject, value: Any) -> JsonObject:
    """Describe what a stateful element holds; None means what it held at first."""
    kind = element["type"]
    key, initial = _CHOSEN[kind]
    if value is None:
        held = element.get(initial)
        if held is None and key in _LISTS:
            held = []
    elif key == "selected_option":
        held = _option(element, value)
    elif key == "selected_options":
        held = [_option(element, each) for each in value]
    elif key in _LISTS:
        held = list(value)
    else:
        held = value if key in {"selected_date_time", "rich_text_value"} else str(value)
    return {key: held if held != "" else None}


def state_values(blocks: Sequence[JsonObject], given: Mapping[str, Any]) -> JsonObject:
    """Describe all stateful elements as `state.values` does; values are given by action id, block id, or `block/action`."""
    values: JsonObject = {}
    for block, element in elements_of(blocks):
        if element["type"] in _CHOSEN:
            block_id, action_id = block["block_id"], element["action_id"]
            names = (f"{block_id}/{action_id}", action_id, block_id)
            value = next((given[name] for name in names if name in given), None)
            state = {"type": element["type"]} | chosen(element, value)
            values.setdefault(block_id, {})[action_id] = state
    return values


def missing_inputs(blocks: Sequence[JsonObject], values: JsonObject) -> dict[str, str]:
    """Tell what Slack's own client asks for before it submits a view, by block id."""
    errors = {}
    for block, element in elements_of(blocks):
        if block.get("type") != "input" or element["type"] not in _CHOSEN:
            continue
        held = values[block["block_id"]][element["action_id"]].get(_CHOSEN[element["type"]][0])
        if not held and not block.get("optional"):
            errors[block["block_id"]] = "Please complete this required field."
        elif isinstance(held, str) and len(held) > element.get("max_length", 3000):
            errors[block["block_id"]] = f"No more than {element.get('max_length', 3000)} characters, please."
        elif isinstance(held, str) and held and len(held) < element.get("min_length", 0):
            errors[block["block_id"]] = f"At least {element['min_length']} characters, please."
    return errors


def command(user: User, channel: Channel, name: str, text: str, reply: Mapping[str, str]) -> dict[str, str]:
    """Build the form fields of a slash command."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "team_domain": "acme",
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.with_user else channel.name,
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        **reply,
    }


_ADDRESS = re.compile(r"(?<![\w.@/-])(?:https?://)?(?:[a-z0-9-]+\.)+(?:com|dev|io|net|org|tech)\b(?:/[^\s&<>|]*)?")


def escape_typed(text: str, world: World) -> str:
    """Write what was typed as Slack does for a command with should_escape: addresses, `@name` and `#channel` become links."""
    words = []
    for word in _ADDRESS.sub(_linked, escape_entities(text)).split(" "):
        user = next((u for u in world.users.values() if word == f"@{u.name}"), None)
        group = next((g for g in world.groups.values() if word == f"@{g.handle}"), None)
        channel = next((c for c in list(world.channels.values()) if word == f"#{c.name}"), None)
        if user is not None:
            words.append(f"<@{user.id}|{user.name}>")
        elif group is not None:
            words.append(f"<!subteam^{group.id}|@{group.handle}>")
        elif channel is not None:
            words.append(f"<#{channel.id}|{channel.name}>")
        else:
            words.append(word)
    return " ".join(words)


def escape_entities(text: str) -> str:
    """Write the three characters that mean something to Slack as it does."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _linked(address: re.Match[str]) -> str:
    return f"<{address[0]}>" if "://" in address[0] else f"<http://{address[0]}|{address[0]}>"


def escape_fields(values: JsonObject) -> JsonObject:
    """The state of a view's elements with the text of its fields as Slack sends it."""
    return {
        block_id: {
            action_id: {**state, "value": escape_entities(state["value"])}
            if state["type"] == "plain_text_input" and state.get("value")
            else state
            for action_id, state in elements.items()
        }
        for block_id, elements in values.items()
    }


def click_on_message(
    world: World, user: User, message: Message, *, action: JsonObject, values: JsonObject, reply: Mapping[str, str]
) -> JsonObject:
    """Build the block_actions of a click in a message."""
    channel = world.channels[message.channel]
    ephemeral = message.visible_to is not None
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
        **({"thread_ts": message.thread_ts} if message.thread_ts else {}),
    }
    return {
        **_interaction("block_actions", user),
        "container": container,
        "channel": {"id": channel.id, "name": "directmessage" if channel.with_user else channel.name},
        **({} if ephemeral else {"message": message_json(world, message)}),
        "state": {"values": values},
        "actions": [action],
        **reply,
    }


def click_in_view(user: User, view: View, action: JsonObject, values: JsonObject, trigger_id: str) -> JsonObject:
    """Build the block_actions of a click in a modal or on the Home tab."""
    return {
        **_interaction("block_actions", user),
        "container": {"type": "view", "view_id": view.id},
        "view": view_json(view, values),
        "hash": view.hash,
        "actions": [action],
        "trigger_id": trigger_id,
    }


def view_submission(user: User, view: View, values: JsonObject, trigger_id: str) -> JsonObject:
    """Build what a submitted modal sends."""
    shown = view_json(view, values)
    return {**_interaction("view_submission", user), "view": shown, "trigger_id": trigger_id, "response_urls": []}


def view_closed(user: User, view: View) -> JsonObject:
    """Build what a closed modal sends when it asked for that."""
    return {**_interaction("view_closed", user), "view": view_json(view), "is_cleared": False}


def event_callback(event: JsonObject, event_id: str, at: float) -> JsonObject:
    """Wrap an event as the Events API does."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(at),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }


def home_opened(world: World, user: User, event_ts: str, new_id: Callable[[str], str]) -> JsonObject:
    """Build the event of somebody who looks at the app's Home."""
    view = world.homes.get(user.id)
    event = {
        "type": "app_home_opened",
        "user": user.id,
        "channel": world.direct_messages(user.id).id,
        "tab": "home",
        "event_ts": event_ts,
        **({"view": view_json(view)} if view is not None else {}),
    }
    return event_callback(event, new_id("Ev"), float(event_ts))


def _interaction(kind: str, user: User) -> JsonObject:
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": TEAM_ID},
        "api_app_id": APP_ID,
        "token": VERIFICATION_TOKEN,
        "team": {"id": TEAM_ID, "domain": "acme"},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _options(element: JsonObject) -> list[JsonObject]:
    groups = element.get("option_groups") or []
    return [*(element.get("options") or []), *(option for group in groups for option in group["options"])]


def _offers(element: JsonObject) -> list[object]:
    return [element.get("value"), *(option["value"] for option in _options(element))]


def _option(element: JsonObject, value: object) -> JsonObject:
    for option in _options(element):
        if option["value"] == value:
            return option
    offered = ", ".join(str(option["value"]) for option in _options(element))
    raise LookupError(f"{element['action_id']} does not offer {value!r}; it offers {offered}")
