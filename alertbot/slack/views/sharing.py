"""Shares an answer with everybody in the channel."""

from typing import Any

from alertbot.slack.views.blocks import action_row, button, context_line
from alertbot.slack.views.text import literal, mention_user

_VALUE_LIMIT = 2000
Answer = dict[str, Any]


def with_share_button(answer: Answer, text: str) -> Answer:
    """The answer with a Share button that holds the command, if that fits into one."""
    if len(text) > _VALUE_LIMIT:
        return answer
    share = button("share", "Share in channel", text.strip() or "status")
    return {**answer, "blocks": [*answer["blocks"], action_row(share)]}


def shared(answer: Answer, *, by: str, asked: str) -> Answer:
    """The answer for everybody, with who shared it and how to ask for it."""
    line = f"shared by {mention_user(by)}: {literal(asked, 500)}"
    return {**answer, "blocks": [*answer["blocks"], context_line(line)]}
