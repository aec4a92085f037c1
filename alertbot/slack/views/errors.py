"""Errors on top of a view, and what replaces a form that takes longer."""

from collections.abc import Mapping
from typing import Any

from alertbot.slack.views.blocks import plain_text, section
from alertbot.slack.views.text import literal

View = dict[str, Any]
_MOST_BLOCKS = 100  # of a view
_BLOCK = "trouble"
# What Slack takes back of a view that it has sent.
_KEYS = ("type", "callback_id", "title", "submit", "close", "private_metadata", "blocks")


def with_trouble(view: Mapping[str, Any], text: str) -> View:
    """The view as Slack sent it, with a sentence on top; fields keep what was typed into them."""
    blocks = [block for block in view.get("blocks") or () if block.get("block_id") != _BLOCK][: _MOST_BLOCKS - 1]
    sentence = section(f":warning: {literal(text, 2000)}", block_id=_BLOCK)
    return {name: view[name] for name in _KEYS if view.get(name)} | {"blocks": [sentence, *blocks]}


def waiting_view() -> View:
    """Replaces a form whose submission takes longer than Slack waits."""
    return _note_view("Please wait", ":hourglass: This takes longer than usual. The result will appear here.")


def outcome_view(problems: Mapping[str, str]) -> View:
    """The result of a submission that took longer: done, or its problems."""
    if not problems:
        return _note_view("Done", ":white_check_mark: Your change was saved.")
    return _note_view("Not done", "\n".join(f":warning: {literal(problem, 500)}" for problem in problems.values()))


def _note_view(title: str, text: str) -> View:
    return {
        "type": "modal",
        "callback_id": "note",
        "title": plain_text(title),
        "close": plain_text("Close"),
        "blocks": [section(text)],
    }
