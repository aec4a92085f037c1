"""A line in a thread, or a message that stands alone."""

from typing import Any

from alertbot.domain.notices import Kind, Notice
from alertbot.slack.views.text import FALLBACK_LIMIT, cut, literal, mention

_MARKS = {
    Kind.RISE: ":arrow_up:",
    Kind.MEMBER: ":heavy_plus_sign:",
    Kind.REPEAT: ":repeat:",
    Kind.ESCALATION: ":rotating_light:",
    Kind.ACKNOWLEDGED: ":eyes:",
    Kind.RESOLVED: ":white_check_mark:",
    Kind.ACT: ":speech_balloon:",
    Kind.OPERATOR: ":wrench:",
}
_MOST_LINES = 10


def notice_line(notice: Notice) -> dict[str, Any]:
    """The text of a notice: its mentions, and a line for each alert it is about."""
    mark = _MARKS.get(notice.kind, ":bell:")
    shown = [_peopled(literal(line, 300), notice) for line in notice.lines[:_MOST_LINES]]
    if len(notice.lines) > _MOST_LINES:
        shown.append(f"… and {len(notice.lines) - _MOST_LINES} more")
    whom = " ".join(mention(who) for who in notice.mention)
    body = "\n".join([f"{mark} {shown[0] if shown else notice.kind.value}", *shown[1:]])
    text = cut(f"{whom} {body}".strip(), FALLBACK_LIMIT)
    return {"text": text}


def _peopled(line: str, notice: Notice) -> str:
    for place, who in enumerate(notice.people):
        line = line.replace(f"{{{place}}}", mention(who))
    return line
