"""What Slack's Block Kit accepts, so that a payload the real service refuses is refused here as well.

Each check yields Problems that name the place as Slack does, by a JSON pointer. Characters are Unicode code points.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from alertbot.demo.slack import elements
from alertbot.demo.slack.shapes import (
    Check,
    Problem,
    Shape,
    boolean,
    list_of,
    mapping,
    number,
    one_of,
    plain,
    problem,
    string,
    text,
    typed,
    values_in,
)

JsonObject = dict[str, Any]

# bolt-js#2509: refused from 13,170-13,300 characters on; the lower figure is the one to stay under.
MESSAGE_CHARACTERS = 13_170
TABLE_CHARACTERS = 10_000
MARKDOWN_CHARACTERS = 12_000
VIEW_BYTES = 250_000
ATTACHMENTS = 100
# bolt-python#914: more than 20 blocks in one attachment are refused although 50 are documented.
ATTACHMENT_BLOCKS = 20


class Surface(StrEnum):
    """Where blocks are shown."""

    MESSAGE = "message"
    MODAL = "modal"
    HOME = "home"


BLOCKS_ON: Mapping[Surface, int] = {Surface.MESSAGE: 50, Surface.MODAL: 100, Surface.HOME: 100}

_EVERYWHERE = frozenset(Surface)
_MESSAGES = frozenset({Surface.MESSAGE})
_SURFACES: Mapping[str, frozenset[Surface]] = {
    "alert": frozenset({Surface.MODAL}),
    "markdown": _MESSAGES,
    "table": _MESSAGES,
    "data_table": _MESSAGES,
    "data_visualization": _MESSAGES,
    "file": _MESSAGES,
    "context_actions": _MESSAGES,
    "plan": _MESSAGES,
    "task_card": _MESSAGES,
}


def _section_says_something(block: JsonObject, pointer: str) -> Iterator[Problem]:
    if "text" not in block and "fields" not in block:
        yield problem(pointer, "missing_field", "must define either `text` or `fields`")


def _image_has_one_source(block: JsonObject, pointer: str) -> Iterator[Problem]:
    if ("image_url" in block) == ("slack_file" in block):
        yield problem(pointer, "one_of", "must provide exactly one of `image_url` or `slack_file`")


def _action_ids_differ(block: JsonObject, pointer: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, element in enumerate(block.get("elements") or []):
        action_id = element.get("action_id") if isinstance(element, dict) else None
        if isinstance(action_id, str) and action_id in seen:
            yield problem(
                f"{pointer}/elements/{index}/action_id", "duplicate", f"`action_id` {action_id} already exists"
            )
        elif isinstance(action_id, str):
            seen.add(action_id)


_TABLE_CELL = typed(
    {
        "raw_text": Shape({"text": string(TABLE_CHARACTERS)}, required={"text"}),
        "raw_number": Shape({"value": number(), "text": string(TABLE_CHARACTERS)}),
        "rich_text": elements.RICH_TEXT,
    }
)
_COLUMN = Shape({"align": values_in("left", "center", "right"), "is_wrapped": boolean}, nullable=True)

BLOCKS: Mapping[str, Shape] = {
    "section": Shape(
        {
            "text": text(3000),
            "fields": list_of(text(2000), 10),
            "accessory": elements.of(elements.SECTION),
            "expand": boolean,
        },
        also=_section_says_something,
    ),
    "header": Shape({"text": plain(150), "level": number(1, 4)}, required={"text"}),
    "divider": Shape({}),
    "context": Shape({"elements": list_of(one_of(text(3000), elements.of({"image"})), 10)}, required={"elements"}),
    "actions": Shape(
        {"elements": list_of(elements.of(elements.ACTIONS), 25)}, required={"elements"}, also=_action_ids_differ
    ),
    "context_actions": Shape(
        {"elements": list_of(elements.of({"feedback_buttons", "icon_button"}), 5)}, required={"elements"}
    ),
    "image": Shape(
        {"image_url": string(3000), "slack_file": elements.SLACK_FILE, "alt_text": string(2000), "title": plain(2000)},
        required={"alt_text"},
        also=_image_has_one_source,
    ),
    "input": Shape(
        {
            "label": plain(2000),
            "element": elements.of(elements.INPUT),
            "hint": plain(2000),
            "optional": boolean,
            "dispatch_action": boolean,
        },
        required={"label", "element"},
    ),
    "rich_text": elements.RICH_TEXT,
    "markdown": Shape({"text": string(MARKDOWN_CHARACTERS)}, required={"text"}),
    "table": Shape(
        {"rows": list_of(list_of(_TABLE_CELL, 20), 100), "column_settings": list_of(_COLUMN, 20)}, required={"rows"}
    ),
    # Newer blocks, whose fields are still moving: the published counts are held, further fields are let through.
    "data_table": Shape(
        {"caption": string(3000), "rows": list_of(list_of(mapping, 20), 101), "page_size": number(1, 100)},
        required={"caption"},
        closed=False,
    ),
    "data_visualization": Shape({"title": string(50)}, closed=False),
    "alert": Shape(
        {"level": values_in("default", "info", "warning", "error", "success"), "text": text(200)},
        required={"text"},
    ),
    "video": Shape({"title": plain(200), "alt_text": string(2000)}, required={"alt_text", "title"}, closed=False),
    "file": Shape({"external_id": string(255), "source": string(20)}, required={"external_id", "source"}),
    "card": Shape({}, closed=False),
    "carousel": Shape({"elements": list_of(mapping, 10)}, closed=False),
    "container": Shape({}, closed=False),
    "plan": Shape({}, closed=False),
    "task_card": Shape({}, closed=False),
}


def check_blocks(blocks: object, surface: Surface, pointer: str = "/blocks", most: int | None = None) -> list[Problem]:
    """Tell every rule of Block Kit that a list of blocks breaks, each with its place; none means that Slack takes it."""
    most = BLOCKS_ON[surface] if most is None else most
    if not isinstance(blocks, list):
        return [problem(pointer, "type", "must be an array")]
    found: list[Problem] = []
    if len(blocks) > most:
        found.append(problem(pointer, "max_items", f"no more than {most} items allowed", max=most))
    for index, block in enumerate(blocks):
        found.extend(_check_block(block, surface, f"{pointer}/{index}"))
    if not found:
        found.extend(_check_together(blocks, pointer))
    return found


def check_view(view: object, pointer: str = "/view") -> list[Problem]:
    """Tell every rule that a modal or a Home view breaks."""
    if not isinstance(view, dict):
        return [problem(pointer, "type", "must be an object")]
    kind = str(view.get("type"))
    if kind not in _VIEWS:
        return [problem(f"{pointer}/type", "enum", "must be a valid enum value (modal, home)")]
    found = list(_VIEWS[kind](view, pointer))
    if isinstance(view.get("blocks"), list):
        found.extend(check_blocks(view["blocks"], Surface(kind), f"{pointer}/blocks"))
        inputs = any(isinstance(block, dict) and block.get("type") == "input" for block in view["blocks"])
        if kind == "modal" and inputs and "submit" not in view:
            found.append(problem(pointer, "missing_field", "missing required field: submit (the view has an input)"))
    return found


def view_bytes(view: object) -> int:
    """Measure a view as it travels."""
    return len(json.dumps(view, ensure_ascii=False).encode())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message's content is refused: Slack's error code and the places."""

    error: str
    problems: list[Problem] = field(default_factory=list)


def check_message(blocks: object, attachments: object) -> Refusal | None:
    """Judge the blocks and attachments of a message together, as chat.postMessage does."""
    blocks = blocks or []
    attachments = attachments or []
    if found := check_blocks(blocks, Surface.MESSAGE):
        return Refusal("invalid_blocks", found)
    assert isinstance(blocks, list)
    if not isinstance(attachments, list):
        return Refusal("invalid_attachments", [problem("/attachments", "type", "must be an array")])
    if len(attachments) > ATTACHMENTS:
        return Refusal("too_many_attachments")
    for index, attachment in enumerate(attachments):
        if found := _check_attachment(attachment, f"/attachments/{index}"):
            return Refusal("invalid_attachments", found)
    return _check_sum([*blocks, *(block for each in attachments for block in each.get("blocks") or [])])


def _check_sum(every: list[JsonObject]) -> Refusal | None:
    """Judge all blocks of a message by the limits that hold for them together."""
    tables = [block for block in every if block.get("type") == "table"]
    if len(tables) > 1:
        return Refusal("invalid_attachments", [problem("/blocks", "max_items", "only one table allowed")])
    if found := list(_check_together(every, "/blocks")):
        return Refusal("invalid_blocks", found)
    if characters_of(every) > MESSAGE_CHARACTERS:
        return Refusal("msg_blocks_too_long")
    return None


def characters_of(value: object) -> int:
    """Count the characters that people read in blocks, wherever they stand in them."""
    if isinstance(value, dict):
        return sum(
            len(part) if name in {"text", "alt_text"} and isinstance(part, str) else characters_of(part)
            for name, part in value.items()
        )
    if isinstance(value, list):
        return sum(characters_of(part) for part in value)
    return 0


def named_files(blocks: object) -> list[tuple[str, JsonObject]]:
    """List the uploaded files that blocks show, each with the pointer of its block."""
    found: list[tuple[str, JsonObject]] = []

    def walk(value: object, pointer: str) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("slack_file"), dict):
                found.append((pointer, value["slack_file"]))
            for name, part in value.items():
                walk(part, f"{pointer}/{name}")
        elif isinstance(value, list):
            for index, part in enumerate(value):
                walk(part, f"{pointer}/{index}")

    walk(blocks, "/blocks")
    return found


def _check_block(block: object, surface: Surface, pointer: str) -> Iterator[Problem]:
    if not isinstance(block, dict):
        yield problem(pointer, "type", "must be an object")
        return
    kind = str(block.get("type"))
    if kind not in BLOCKS or surface not in _SURFACES.get(kind, _EVERYWHERE):
        yield problem(f"{pointer}/type", "unsupported_type", f"unsupported type: {kind}")
        return
    yield from BLOCKS[kind](block, pointer, extra=_BLOCK_FIELDS)


def _check_attachment(attachment: object, pointer: str) -> list[Problem]:
    if not isinstance(attachment, dict):
        return [problem(pointer, "type", "must be an object")]
    if "blocks" not in attachment:
        return []
    return check_blocks(attachment["blocks"], Surface.MESSAGE, f"{pointer}/blocks", ATTACHMENT_BLOCKS)


def _check_together(blocks: Sequence[JsonObject], pointer: str) -> Iterator[Problem]:
    """Yield what is wrong with blocks that are right one by one."""
    seen: set[str] = set()
    markdown = cells = charts = 0
    for index, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id in seen:
            yield problem(f"{pointer}/{index}/block_id", "duplicate", f"`block_id` {block_id} already exists")
        elif block_id is not None:
            seen.add(block_id)
        kind = block.get("type")
        markdown += len(block["text"]) if kind == "markdown" else 0
        cells += characters_of(block["rows"]) if kind == "table" else 0
        charts += kind == "data_visualization"
    for count, most, what in (
        (markdown, MARKDOWN_CHARACTERS, "markdown characters"),
        (cells, TABLE_CHARACTERS, "characters in table cells"),
        (charts, 2, "data visualizations"),
    ):
        if count > most:
            yield problem(pointer, "max_total", f"no more than {most} {what} allowed", max=most)


_BLOCK_FIELDS: Mapping[str, Check] = {"type": string(255), "block_id": string(255)}
_VIEW_FIELDS: Mapping[str, Check] = {
    "type": string(20),
    "blocks": list_of(mapping, 100, least=0),
    "private_metadata": string(3000, least=0),
    "callback_id": string(255, least=0),
    "external_id": string(255, least=0),
}
_VIEWS: Mapping[str, Callable[[JsonObject, str], Iterator[Problem]]] = {
    "modal": Shape(
        {
            **_VIEW_FIELDS,
            "title": plain(24),
            "submit": plain(24),
            "close": plain(24),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
        required={"title", "blocks"},
    ),
    "home": Shape(_VIEW_FIELDS, required={"blocks"}),
}
