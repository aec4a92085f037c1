"""Text for Slack: escaped, cut to its limits, and with mentions that we mean."""

from datetime import datetime

from alertbot.domain.rules import Severity

SECTION_LIMIT = 3000
FIELD_LIMIT = 2000
CONTEXT_LIMIT = 2000
FALLBACK_LIMIT = 3900  # chat.update refuses text over 4,000 characters
ELLIPSIS = "…"
_BROADCASTS = {"@here": "<!here>", "@channel": "<!channel>", "@everyone": "<!everyone>"}


def escape(text: str) -> str:
    """Foreign text as Slack shows it literally: nothing in it pings, links or ends a markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """The text, at most `limit` code points long."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def literal(text: str, limit: int) -> str:
    """Foreign text, on one line, cut and escaped so that the result stays within the limit."""
    line = " ".join(text.split())
    while len(escape(line)) > limit:
        over = len(escape(line)) - limit
        line = line[: max(0, len(line) - max(1, over // 5) - 1)].rstrip() + ELLIPSIS
    return escape(line)


def mention(who: str) -> str:
    """A mention of a user, a user group, everybody here, or, where it is neither, the escaped name."""
    if who in _BROADCASTS:
        return _BROADCASTS[who]
    if who[:1] in {"U", "W"} and who[1:].isalnum() and who.isupper():
        return f"<@{who}>"
    if who[:1] == "S" and who[1:].isalnum() and who.isupper():
        return f"<!subteam^{who}>"
    return escape(who)


def moment(at: datetime) -> str:
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
