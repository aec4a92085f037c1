"""Text for Slack: escaped, cut to its limits, and with mentions that we mean."""

import re
from collections.abc import Sequence
from datetime import datetime

from alertbot.domain.rules import Severity

SECTION_LIMIT = 3000
FIELD_LIMIT = 2000
CONTEXT_LIMIT = 2000
FALLBACK_LIMIT = 3900  # chat.update refuses text over 4,000 characters
ELLIPSIS = "…"
# What no reader sees but what changes what is read: control characters, half a character, and turns of the direction.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WRITTEN_MOMENT = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?Z")
# Real ids are long and hold a digit; a name in capitals, such as one that was typed on the command line, is neither.
_PERSON = re.compile(r"[UW](?:[A-Z0-9]{7,}|[A-Z]*[0-9][A-Z0-9]*)")
_TEAM = re.compile(r"S(?:[A-Z0-9]{7,}|[A-Z]*[0-9][A-Z0-9]*)")
_BROADCASTS = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}


def escape(text: str) -> str:
    """Foreign text as Slack shows it literally: nothing in it pings, links or ends a markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """The text, at most `limit` code points long."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def cut_between_words(text: str, limit: int) -> str:
    """The text, at most `limit` code points long; cut behind a word where that leaves most of it."""
    if len(text) <= limit:
        return text
    words = text[:limit].rpartition(" ")[0].rstrip()
    return words + ELLIPSIS if len(words) * 2 >= limit else cut(text, limit)


def fit(lines: Sequence[str], limit: int, *, hidden: int = 0) -> str:
    """As many whole lines as stay within the limit, so that no entity and no `<…>` is cut, and how many are not shown.

    `hidden` counts those that are left out already.
    """
    kept = len(lines)
    while True:
        left_out = hidden + len(lines) - kept
        text = "\n".join([*lines[:kept], *([f"… and {left_out} more"] if left_out else [])])
        if len(text) <= limit or not kept:
            return text
        kept -= 1


def visible(text: str) -> str:
    """Foreign text on one line, without the characters that nobody sees."""
    return _UNSEEN.sub("", " ".join(text.split()))


def literal(text: str, limit: int) -> str:
    """Foreign text, on one line, cut and escaped so that the result stays within the limit."""
    line = visible(text)
    while len(escape(line)) > limit:
        over = len(escape(line)) - limit
        line = line[: max(0, len(line) - max(1, over // 5) - 1)].rstrip() + ELLIPSIS
    return escape(line)


def mention(who: str) -> str:
    """A mention of whom the configuration names: a user, a user group, everybody here."""
    return _BROADCASTS.get(who) or mention_user(who)


def mention_user(who: str) -> str:
    """A mention of somebody who did something or was named by somebody; never of everybody here. A name stays a name."""
    if _PERSON.fullmatch(who):
        return f"<@{who}>"
    return f"<!subteam^{who}>" if _TEAM.fullmatch(who) else literal(who, 100)


def is_user_group(who: str) -> bool:
    """Whether a mention of this would reach a whole group."""
    return bool(_TEAM.fullmatch(who))


def with_moments(text: str) -> str:
    """Safe mrkdwn with every moment that is written in it, such as `2026-01-05T10:02:03Z`, in the reader's own time zone."""
    return _WRITTEN_MOMENT.sub(_shown_moment, text)


def _shown_moment(found: re.Match[str]) -> str:
    try:
        return slack_date(datetime.fromisoformat(found[0]))
    except (ValueError, OverflowError):  # it was written by others, and only looks like one
        return found[0]


def slack_date(at: datetime) -> str:
    """A moment in the reader's own time zone."""
    fallback = f"{at:%Y-%m-%d %H:%M} UTC"
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>"


COLOURS = {Severity.INFO: "#3d7dca", Severity.WARNING: "#d9902f", Severity.CRITICAL: "#c9302c"}
RESOLVED_COLOUR = "#3f9c5a"
QUIET_COLOUR = "#8b8f98"
MARKS = {
    Severity.INFO: ":large_blue_circle:",
    Severity.WARNING: ":large_orange_circle:",
    Severity.CRITICAL: ":red_circle:",
}
