"""Other words for the commands: `cost yesterday`, `take A42`, `who is on call`. Pure."""

import re
from collections.abc import Sequence

from alertbot.domain.times import DURATION, short_form

TOMORROW = "tomorrow"
_CALLED = {
    **dict.fromkeys(("take", "acknowledge", "claim"), "ack"),
    **dict.fromkeys(("release", "unacknowledge"), "unack"),
    **dict.fromkeys(("cost", "costs", "spending", "money"), "spend"),
    **dict.fromkeys(("on-call", "pager"), "oncall"),
    **dict.fromkeys(("alert", "firing", "open"), "alerts"),
    **dict.fromkeys(("graph", "plot"), "chart"),
    **dict.fromkeys(("?", "commands"), "help"),
    "budgets": "budget",
    "explain": "why",
    "rule": "rules",
    "stat": "stats",
    "violation": "violations",
}
_VIOLATORS = frozenset({"violator", "violators", "offender", "offenders"})
_ASKING = frozenset({"who", "who's", "whos", "on"})
_LONGEST_DURATION = 9  # words, such as "1 week, 2 days, 3 hours and 4 minutes"
_MATCHER = re.compile(r"[A-Za-z_]+(?:!=|!~|=~|=).*", re.DOTALL)


def expand_aliases(words: Sequence[str]) -> list[str]:
    """The words with an alias replaced by its sub-command. Other words stay as they are."""
    if not words:
        return []
    first = words[0].lower()
    if first in _ASKING and any(word.lower().strip("?") in {"call", "oncall", "duty"} for word in words[1:]):
        return ["oncall"]
    if first in _VIOLATORS:
        return ["top", *words]
    if first == "who":
        return ["help", "top"]
    return [_CALLED.get(first, words[0]), *(words[1:] if first == "comment" else _in_short(words[1:]))]


def _in_short(words: Sequence[str]) -> list[str]:
    """The words with the first duration as it is written here: `2 hours` is 2h, `1 hour 30 minutes` is 1h30m."""
    for place in range(len(words)):
        for end in range(min(len(words), place + _LONGEST_DURATION), place, -1):
            short = short_form(" ".join(words[place:end]))
            if DURATION.fullmatch(short):
                return [*words[:place], short, *words[end:]]
    return list(words)


def bare_name(words: Sequence[str]) -> tuple[list[str], str]:
    """The words of a silence with a bare name, as in `violation-burst 2h`, made a matcher of a rule; and that name, or "".

    The duration may stand in front, and `for` before it.
    """
    short = _in_short(words)
    fillers = {
        place for place, word in enumerate(short[:-1]) if word.lower() == "for" and DURATION.fullmatch(short[place + 1])
    }
    typed = [word for place, word in enumerate(short) if place not in fillers]
    if len(typed) > 1 and DURATION.fullmatch(typed[0]):
        matchers = next((place for place, word in enumerate(typed[1:]) if not _MATCHER.fullmatch(word)), len(typed) - 1)
        last = 1 + max(matchers, 1)
        typed = [*typed[1:last], typed[0], *typed[last:]]
    if len(typed) > 1 and typed[0] != "all" and not _MATCHER.fullmatch(typed[0]) and DURATION.fullmatch(typed[1]):
        return [f"rule={typed[0]}", *typed[1:]], typed[0]
    return typed, ""
