"""A line in a thread, or a message that stands alone."""

import re
from typing import Any

from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.slack.views.text import FALLBACK_LIMIT, fit, literal, mention, mention_user

_MARKS = {
    NotificationKind.RISE: ":arrow_up:",
    NotificationKind.MEMBER: ":heavy_plus_sign:",
    NotificationKind.REPEAT: ":repeat:",
    NotificationKind.ESCALATION: ":rotating_light:",
    NotificationKind.ACKNOWLEDGED: ":eyes:",
    NotificationKind.RESOLVED: ":white_check_mark:",
    NotificationKind.ACTION: ":speech_balloon:",
    NotificationKind.OPERATOR: ":wrench:",
    NotificationKind.FLAPPING: ":ocean:",
}
_MOST_LINES = 10
_PLACE = re.compile(r"\{([0-9]+)\}")


def notification_line(notification: Notification) -> dict[str, Any]:
    """The text of a notification: its mentions, and a line for each alert it is about."""
    mark = _MARKS.get(notification.kind, ":bell:")
    shown = [_peopled(literal(line, 300), notification) for line in notification.lines[:_MOST_LINES]]
    whom = " ".join(mention(who) for who in notification.mention)
    first = f"{whom} {mark} {shown[0] if shown else notification.kind.value}".strip()
    return {"text": fit([first, *shown[1:]], FALLBACK_LIMIT, hidden=len(notification.lines) - len(shown))}


def _peopled(line: str, notification: Notification) -> str:
    """The line with people mentioned in place of `{0}`. Only before the first colon: what follows is foreign text."""

    def name(match: re.Match[str]) -> str:
        place = int(match[1])
        return mention_user(notification.people[place]) if place < len(notification.people) else match[0]

    head, colon, rest = line.partition(":")
    return _PLACE.sub(name, head) + colon + rest
