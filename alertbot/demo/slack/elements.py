"""Shapes of Block Kit's elements (buttons, menus, inputs, rich text) with their limits."""

from collections.abc import Collection, Iterator, Mapping

from alertbot.demo.slack.shapes import (
    Check,
    JsonObject,
    Problem,
    Shape,
    boolean,
    list_of,
    mapping,
    number,
    plain,
    problem,
    string,
    text,
    typed,
    values_in,
)


def _one_source(element: JsonObject, pointer: str) -> Iterator[Problem]:
    if ("image_url" in element) == ("slack_file" in element):
        yield problem(pointer, "one_of", "must provide exactly one of `image_url` or `slack_file`")


def _options_or_groups(element: JsonObject, pointer: str) -> Iterator[Problem]:
    if ("options" in element) == ("option_groups" in element):
        yield problem(pointer, "one_of", "must provide exactly one of `options` or `option_groups`")


def _id_or_url(element: JsonObject, pointer: str) -> Iterator[Problem]:
    if ("id" in element) == ("url" in element):
        yield problem(pointer, "one_of", "must provide exactly one of `id` or `url`")


SLACK_FILE = Shape({"id": string(20), "url": string(3000)}, also=_id_or_url)
CONFIRM = Shape(
    {
        "title": plain(100),
        "text": text(300),
        "confirm": plain(30),
        "deny": plain(30),
        "style": values_in("primary", "danger"),
    },
    required={"title", "text", "confirm", "deny"},
)
_OPTION_FIELDS: Mapping[str, Check] = {"value": string(150), "url": string(3000)}
PLAIN_OPTION = Shape(
    {**_OPTION_FIELDS, "text": plain(75), "description": plain(75)},
    required={"text", "value"},
)
ANY_OPTION = Shape(
    {**_OPTION_FIELDS, "text": text(75), "description": text(75)},
    required={"text", "value"},
)
_GROUP = Shape({"label": plain(75), "options": list_of(PLAIN_OPTION, 100)}, required={"label", "options"})
_ACTION: Mapping[str, Check] = {"action_id": string(255), "confirm": CONFIRM, "focus_on_load": boolean}
_MENU: Mapping[str, Check] = {**_ACTION, "placeholder": plain(150)}
_CHOICES: Mapping[str, Check] = {"options": list_of(PLAIN_OPTION, 100), "option_groups": list_of(_GROUP, 100)}
_TYPED: Mapping[str, Check] = {
    "action_id": string(255),
    "placeholder": plain(150),
    "focus_on_load": boolean,
    "dispatch_action_config": mapping,
}
_SEVERAL: Mapping[str, Check] = {"max_selected_items": number(1)}
_FILTERED: Mapping[str, Check] = {
    "default_to_current_conversation": boolean,
    "response_url_enabled": boolean,
    "filter": mapping,
}

ELEMENTS: Mapping[str, Shape] = {
    "button": Shape(
        {
            **_ACTION,
            "text": plain(75),
            "value": string(2000, least=0),
            "url": string(3000),
            "style": values_in("primary", "danger"),
            "accessibility_label": string(75),
        },
        required={"text"},
    ),
    "workflow_button": Shape({**_ACTION, "text": plain(75), "workflow": mapping}, required={"text"}, closed=False),
    "icon_button": Shape({**_ACTION, "icon": string(75), "text": plain(75)}, required={"icon", "text"}, closed=False),
    "feedback_buttons": Shape({**_ACTION, "positive_button": mapping, "negative_button": mapping}),
    "image": Shape(
        {"image_url": string(3000), "slack_file": SLACK_FILE, "alt_text": string(2000)},
        required={"alt_text"},
        also=_one_source,
    ),
    "overflow": Shape({**_ACTION, "options": list_of(PLAIN_OPTION, 5)}, required={"options"}),
    "static_select": Shape({**_MENU, **_CHOICES, "initial_option": PLAIN_OPTION}, also=_options_or_groups),
    "multi_static_select": Shape(
        {**_MENU, **_CHOICES, **_SEVERAL, "initial_options": list_of(PLAIN_OPTION, 100)}, also=_options_or_groups
    ),
    "external_select": Shape({**_MENU, "initial_option": PLAIN_OPTION, "min_query_length": number(0)}),
    "multi_external_select": Shape(
        {**_MENU, **_SEVERAL, "initial_options": list_of(PLAIN_OPTION, 100), "min_query_length": number(0)}
    ),
    "users_select": Shape({**_MENU, "initial_user": string(20)}),
    "multi_users_select": Shape({**_MENU, **_SEVERAL, "initial_users": list_of(string(20), 100)}),
    "conversations_select": Shape({**_MENU, **_FILTERED, "initial_conversation": string(20)}),
    "multi_conversations_select": Shape(
        {**_MENU, **_FILTERED, **_SEVERAL, "initial_conversations": list_of(string(20), 100)}
    ),
    "channels_select": Shape({**_MENU, "initial_channel": string(20), "response_url_enabled": boolean}),
    "multi_channels_select": Shape({**_MENU, **_SEVERAL, "initial_channels": list_of(string(20), 100)}),
    "checkboxes": Shape(
        {**_ACTION, "options": list_of(ANY_OPTION, 10), "initial_options": list_of(ANY_OPTION, 10)},
        required={"options"},
    ),
    "radio_buttons": Shape(
        {**_ACTION, "options": list_of(ANY_OPTION, 10), "initial_option": ANY_OPTION}, required={"options"}
    ),
    "datepicker": Shape({**_MENU, "initial_date": string(10)}),
    "timepicker": Shape({**_MENU, "initial_time": string(5), "timezone": string(100)}),
    "datetimepicker": Shape({**_ACTION, "initial_date_time": number(0)}),
    "plain_text_input": Shape(
        {
            **_TYPED,
            "initial_value": string(3000, least=0),
            "multiline": boolean,
            "min_length": number(0, 3000),
            "max_length": number(1, 3000),
        }
    ),
    "number_input": Shape(
        {
            **_TYPED,
            "is_decimal_allowed": boolean,
            "initial_value": string(100, least=0),
            "min_value": string(100),
            "max_value": string(100),
        },
        required={"is_decimal_allowed"},
    ),
    "email_text_input": Shape({**_TYPED, "initial_value": string(3000, least=0)}),
    "url_text_input": Shape({**_TYPED, "initial_value": string(3000, least=0)}),
    "rich_text_input": Shape({**_TYPED, "initial_value": mapping}),
    "file_input": Shape({"action_id": string(255), "filetypes": list_of(string(20), 100), "max_files": number(1, 10)}),
}

_MENUS = {"static_select", "external_select", "users_select", "conversations_select", "channels_select"}
_MULTI = {f"multi_{name}" for name in _MENUS}
_PICKERS = {"datepicker", "timepicker", "checkboxes", "radio_buttons"}
SECTION = frozenset({"button", "workflow_button", "image", "overflow"} | _MENUS | _MULTI | _PICKERS)
ACTIONS = frozenset({"button", "workflow_button", "overflow", "datetimepicker"} | _MENUS | _PICKERS)
INPUT = frozenset(
    {
        "plain_text_input",
        "number_input",
        "email_text_input",
        "url_text_input",
        "rich_text_input",
        "file_input",
        "datetimepicker",
    }
    | _MENUS
    | _MULTI
    | _PICKERS
)


def of(kinds: Collection[str]) -> Check:
    """Accept an element of one of these kinds."""
    return typed({kind: ELEMENTS[kind] for kind in kinds})


_STYLE = Shape(dict.fromkeys(("bold", "italic", "strike", "code", "underline", "highlight"), boolean), closed=False)
_INLINE: Mapping[str, Shape] = {
    "text": Shape({"text": string(40_000), "style": _STYLE}, required={"text"}),
    "link": Shape({"url": string(3000), "text": string(40_000), "unsafe": boolean, "style": _STYLE}, required={"url"}),
    "user": Shape({"user_id": string(20), "style": _STYLE}, required={"user_id"}),
    "usergroup": Shape({"usergroup_id": string(20), "style": _STYLE}, required={"usergroup_id"}),
    "channel": Shape({"channel_id": string(20), "style": _STYLE}, required={"channel_id"}),
    "team": Shape({"team_id": string(20), "style": _STYLE}, required={"team_id"}),
    "broadcast": Shape({"range": values_in("here", "channel", "everyone"), "style": _STYLE}, required={"range"}),
    "emoji": Shape(
        {"name": string(100), "unicode": string(100), "skin_tone": number(1, 6), "style": _STYLE}, required={"name"}
    ),
    "date": Shape(
        {"timestamp": number(0), "format": string(200), "url": string(3000), "fallback": string(3000), "style": _STYLE},
        required={"timestamp", "format"},
    ),
    "color": Shape({"value": string(20), "style": _STYLE}, required={"value"}),
}
_LITERAL = typed({name: _INLINE[name] for name in ("text", "link")})
_SECTION = Shape({"elements": list_of(typed(_INLINE), 1000, least=0)}, required={"elements"})
_RICH: Mapping[str, Shape] = {
    "rich_text_section": _SECTION,
    "rich_text_quote": Shape(
        {"elements": list_of(typed(_INLINE), 1000, least=0), "border": number(0, 1)}, required={"elements"}
    ),
    "rich_text_preformatted": Shape(
        {"elements": list_of(_LITERAL, 1000, least=0), "border": number(0, 1), "language": string(50)},
        required={"elements"},
    ),
    "rich_text_list": Shape(
        {
            "elements": list_of(typed({"rich_text_section": _SECTION}), 1000, least=0),
            "style": values_in("bullet", "ordered"),
            "indent": number(0, 8),
            "offset": number(0),
            "border": number(0, 1),
        },
        required={"elements", "style"},
    ),
}
RICH_TEXT = Shape({"elements": list_of(typed(_RICH), 1000, least=0)}, required={"elements"})
