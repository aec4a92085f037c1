"""The pieces of Block Kit that views are made of. See Slack's reference of blocks and block elements."""

from collections.abc import Sequence
from typing import Any

Block = dict[str, Any]
DIVIDER: Block = {"type": "divider"}


def plain_text(text: str) -> Block:
    """A text object in which nothing is markup."""
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Block:
    """A text object of safe mrkdwn; verbatim: Slack makes no links and mentions of its own from what stands in it."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def section(text: str, *, block_id: str = "") -> Block:
    """A paragraph of safe mrkdwn."""
    return {"type": "section", **_identified(block_id), "text": mrkdwn(text)}


def context_line(text: str) -> Block:
    """A small, grey line of safe mrkdwn."""
    return {"type": "context", "elements": [mrkdwn(text)]}


def header(text: str) -> Block:
    return {"type": "header", "text": plain_text(text)}


def preformatted(text: str) -> Block:
    """Text that Slack shows letter by letter: nothing in it is markup."""
    block = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [block]}


def action_row(*elements: Block, block_id: str = "") -> Block:
    """A row of buttons and menus."""
    return {"type": "actions", **_identified(block_id), "elements": list(elements)}


def button(action_id: str, words: str, value: str = "", *, style: str = "") -> Block:
    """A button; `style` is Slack's: primary or danger."""
    more = {name: text for name, text in (("value", value), ("style", style)) if text}
    return {"type": "button", "action_id": action_id, "text": plain_text(words), **more}


def page_buttons(action_id: str, page: int, last: int, *, value: str = "{page}") -> list[Block]:
    """Buttons to the page before and the page after, where there is one; `value` says how they name it."""
    return [
        button(f"{action_id}_{words.lower()}", f"{words} ({target + 1} of {last + 1})", value.format(page=target))
        for words, target in (("Previous", page - 1), ("Next", page + 1))
        if 0 <= target <= last
    ]


def select(action_id: str, options: Sequence[Block], *, chosen: str = "") -> Block:
    """A menu of `options`; at first it shows that of the value `chosen`, if there is one."""
    menu: Block = {"type": "static_select", "action_id": action_id, "options": list(options)}
    initial = next((choice for choice in options if choice["value"] == chosen), None)
    return {**menu, "initial_option": initial} if initial else menu


def option(value: str, words: str) -> Block:
    """One entry of a menu or of checkboxes."""
    return {"text": plain_text(words), "value": value}


def _identified(block_id: str) -> Block:
    return {"block_id": block_id} if block_id else {}
