"""A line in a thread, or a message that stands alone."""

import re
from typing import Any

from alertbot.domain.notices import Kind, Notice
from alertbot.slack.views.text import FALLBACK_LIMIT, fit, literal, mention, person

_MARKS = {
    Kind.RISE: ":arrow_up:",
    Kind.MEMBER: ":heavy_plus_sign:",
    Kind.REPEAT: ":repeat:",
    Kind.ESCALATION: ":rotating_light:",
    Kind.ACKNOWLEDGED: ":eyes:",
    Kind.RESOLVED: ":white_check_mark:",
    Kind.ACT: ":speech_balloon:",
    Kind.OPERATOR: ":wrench:",
    Kind.FLAPPING: ":ocean:",
}
_MOST_LINES = 10
_PLACE = re.compile(r"\{([0-9]+)\}")


def notice_line(notice: Notice) -> dict[str, Any]:
    """The text of a notice: its mentions, and a line for each alert it is about."""
    mark = _MARKS.get(notice.kind, ":bell:")
    shown = [_peopled(literal(line, 300), notice) for line in notice.lines[:_MOST_LINES]]
    whom = " ".join(mention(who) for who in notice.mention)
    first = f"{whom} {mark} {shown[0] if shown else notice.kind.value}".strip()
    return {"text": fit([first, *shown[1:]], FALLBACK_LIMIT, hidden=len(notice.lines) - len(shown))}


def _peopled(line: str, notice: Notice) -> str:
    """The line with its people. They stand before the first colon; what is behind it was written by others."""

    def name(found: re.Match[str]) -> str:
        place = int(found[1])
        return person(notice.people[place]) if place < len(notice.people) else found[0]

    head, colon, rest = line.partition(":")
    return _PLACE.sub(name, head) + colon + rest
