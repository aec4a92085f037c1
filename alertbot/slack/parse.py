"""The text of a slash command → what is asked. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from alertbot.domain.evidence import ViolationQuery, parse_violation_query
from alertbot.domain.rankings import RankingQuery, parse_ranking_query
from alertbot.domain.silences import SilenceRequest, parse_silence
from alertbot.domain.times import parse_count, parse_duration
from alertbot.domain.windows import TimeRange, take_time_range
from alertbot.errors import UsageError
from alertbot.slack.aliases import TOMORROW, bare_name, expand_aliases
from alertbot.slack.typed_text import split, typed_text


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command as `help` shows it."""

    name: str
    arguments: str
    summary: str
    example: str


COMMANDS = (
    Command("status", "", "the state of the bot and its sources, and what is firing", "status"),
    Command("stats", "[llm] [window]", "growth of each counter, for all LLMs or one", "stats support-chat 1h"),
    Command(
        "top",
        "[metric] [window] [by]",
        "the largest growth, by ai_llm, provider, model, user and more",
        "top violators yesterday",
    ),
    Command("spend", "[window] [by]", "the estimated cost of tokens, by model, user and more", "spend today model"),
    Command(
        "violations",
        "[filters] [window]",
        "the newest violations, and which people and policies lead",
        'violations policy="No customer PII" user=ana* today',
    ),
    Command("budget", "", "how much of each budget is used, and when it will run out", "budget"),
    Command(
        "chart",
        "<metric> [llm] [window]",
        "a chart of a metric, or of the value that a rule watches",
        "chart policy_violations support-chat 4h",
    ),
    Command("alerts", "", "the alerts that are pending or firing", "alerts"),
    Command("why", "<rule> [llm]", "why a rule did or did not fire", "why violation-burst support-chat"),
    Command("ack", "<id>", "acknowledge an alert (A42) or all of a message (G17)", "ack A42"),
    Command("unack", "<id>", "undo an acknowledgement", "unack A42"),
    Command("snooze", "<id> <duration>", "snooze an alert", "snooze G17 2h"),
    Command(
        "silence",
        "<matchers> <duration> [comment]",
        "mute matching alerts; opens a form if nothing follows",
        'silence rule=violation-burst ai_llm="support *" 2h planned test',
    ),
    Command("silences", "", "active and upcoming silences", "silences"),
    Command("unsilence", "<number>", "end a silence early", "unsilence 3"),
    Command("mute", "<rule>", "mute a rule until it is unmuted", "mute violation-burst"),
    Command("unmute", "<rule>", "unmute a rule", "unmute violation-burst"),
    Command(
        "rules", "[new | change <rule> | delete <rule>]", "list the rules; new and change open a form", "rules new"
    ),
    Command("oncall", "", "who is on call now", "oncall"),
    Command("assign", "<id> @user", "assign an alert to somebody", "assign A42 @ana"),
    Command("comment", "<id> <text>", "comment in the thread of an alert", "comment A42 rolled back the prompt"),
    Command("help", "[command]", "this list, or one command with an example", "help stats"),
)
NAMES = {command.name: command for command in COMMANDS}
_LONGEST_TEXT = 3000  # characters, as Slack lets a field of a form have
_SNOOZE_FILLERS = frozenset({"until", "for", "9:00", "09:00", "9am"})
_ENDERS = frozenset({"close", "resolve", "end", "finish", "clear", "fix", "fixed", "resolved", "delete"})
_ID = re.compile(r"[AG][0-9]+", re.IGNORECASE)
_MENTION = re.compile(r"<(?:@|!subteam\^)([UWS][A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for: the sub-command and its arguments."""

    command: str
    target: str = ""
    window: TimeRange | None = None
    text: str = ""
    silence: SilenceRequest | None = None
    question: RankingQuery | None = None
    violation_query: ViolationQuery | None = None


def parse(text: str, *, command: str = "/alertbot") -> Request:
    """Read the text behind the slash command; nothing at all is `status`.

    Raises UsageError with the nearest sub-command and an example.
    """
    if len(text) > _LONGEST_TEXT:
        raise UsageError(f"expected at most {_LONGEST_TEXT} characters, got {len(text)}")
    words = expand_aliases(split(typed_text(text)))
    if not words:
        return Request("status")
    name, rest = words[0].lower(), words[1:]
    if name not in NAMES:
        raise UsageError(_no_command(name, command))
    try:
        return _parse_words(name, rest, text)
    except ValueError as error:
        known = NAMES[name]
        usage = f"{command} {name} {known.arguments}".strip()
        raise UsageError(f"{error}. Usage: {usage}, for example: {command} {known.example}") from error


def _no_command(name: str, command: str) -> str:
    if name in _ENDERS:
        cure = f"to acknowledge one, {command} ack A42; to mute it, {command} snooze A42 2h"
        return f'there is no "{name}": alerts end by themselves; {cure}'
    near = get_close_matches(name, NAMES, n=3, cutoff=0.6)
    # Swapped letters are the commonest slip: "stauts" is status, though "stats" is one letter nearer.
    guess = min(near, key=lambda known: sorted(known) != sorted(name), default="help")
    return f'there is no "{name}"; did you mean {guess}? For example: {command} {NAMES[guess].example}'


def _parse_words(name: str, rest: list[str], text: str) -> Request:
    return _PARSERS[name](name, rest, text)


def _parse_alone(name: str, rest: list[str], _text: str) -> Request:
    if rest:
        raise ValueError(f'`{name}` takes no arguments, got "{" ".join(rest)}"')
    return Request(name)


def _parse_mute(name: str, rest: list[str], _text: str) -> Request:
    if not rest:
        raise ValueError("the name of a rule is missing; see rules")
    if len(rest) > 1:
        timed = "; for a length of time use silence" if name == "mute" else ""
        raise ValueError(
            f'expected the name of one rule, in quotation marks if it has spaces{timed}; got "{" ".join(rest)}"'
        )
    return Request(name, target=rest[0])


def _parse_rules(name: str, rest: list[str], _text: str) -> Request:
    if not rest:
        return Request(name)
    action, names = rest[0].lower(), rest[1:]
    if action not in {"new", "change", "delete"}:
        raise ValueError(f'expected new, change or delete, got "{rest[0]}"')
    if action == "new" and names:
        raise ValueError("no name is needed here: the form asks for it")
    if action != "new" and len(names) != 1:
        raise ValueError("expected the name of one rule, in quotation marks if it has spaces; see rules")
    return Request(name, target=action, text=names[0] if names else "")


def _parse_silence(name: str, rest: list[str], text: str) -> Request:
    if not rest:  # alone it opens a window that asks for what is missing
        return Request(name)
    words, bare = bare_name(split(typed_text(text))[1:])
    return Request(name, silence=parse_silence(words), text=bare)


def _parse_unsilence(name: str, rest: list[str], _text: str) -> Request:
    if not rest:
        raise ValueError("the number of a silence is missing; see silences")
    if len(rest) > 1:
        raise ValueError(f'one silence at a time; got "{" ".join(rest)}"')
    return Request(name, target=str(parse_count(rest[0], what="the number of a silence")))


def _parse_help(name: str, rest: list[str], _text: str) -> Request:
    if rest and rest[0].lower() not in NAMES:
        raise ValueError(f'there is no "{rest[0]}"')
    return Request(name, target=rest[0].lower() if rest else "")


def _parse_why(name: str, rest: list[str], _text: str) -> Request:
    if not 1 <= len(rest) <= 2:
        raise ValueError("expected a rule, and optionally an LLM, in quotation marks if its name has spaces")
    return Request(name, target=rest[0], text=rest[1] if len(rest) == 2 else "")


_SECOND = {"snooze": "a duration such as 2h", "assign": "a user", "comment": "a text"}


def _parse_act(name: str, rest: list[str], text: str) -> Request:
    if not rest:
        raise ValueError("an id such as A42 or G17 is missing")
    if name in {"ack", "unack"} and any(_ID.fullmatch(word) for word in rest[1:]):
        raise ValueError(
            f'one id at a time; that of a message, such as G17, means all of its alerts; got "{" ".join(rest)}"'
        )
    if name in _SECOND and len(rest) < 2:
        raise ValueError(f"{_SECOND[name]} is missing")
    if name == "snooze":
        lasts = [word for word in rest[1:] if word.lower() not in _SNOOZE_FILLERS]
        if [word.lower() for word in lasts] == [TOMORROW]:
            return Request(name, target=rest[0], text=TOMORROW)
        return Request(name, target=rest[0], window=_snooze(" ".join(lasts or rest[1:])))
    if name == "assign":
        mention = _MENTION.search(text)
        return Request(name, target=rest[0], text=mention[1] if mention else rest[1].removeprefix("@"))
    return Request(name, target=rest[0], text=typed_text(text).split(None, 2)[2] if name == "comment" else "")


def _parse_stats(name: str, rest: list[str], _text: str) -> Request:
    window, rest = take_time_range(rest)
    return Request(name, target=_one_configuration(rest), window=window)


def _parse_top(name: str, rest: list[str], _text: str) -> Request:
    return Request(name, question=parse_ranking_query(rest))


def _parse_spend(name: str, rest: list[str], _text: str) -> Request:
    try:
        return Request(name, question=parse_ranking_query(["spend", *rest]))
    except ValueError as error:
        raise ValueError(str(error).replace("one metric, ", "")) from error


def _parse_violations(name: str, rest: list[str], _text: str) -> Request:
    return Request(name, violation_query=parse_violation_query(rest))


def _parse_chart(name: str, rest: list[str], _text: str) -> Request:
    window, rest = take_time_range(rest)
    if not rest:
        raise ValueError("a metric is missing")
    return Request(name, target=rest[0], text=_one_configuration(rest[1:]), window=window)


def _one_configuration(rest: list[str]) -> str:
    if len(rest) > 1:
        raise ValueError(f'one LLM at a time, in quotation marks if its name has spaces; got "{" ".join(rest)}"')
    return rest[0] if rest else ""


def _snooze(text: str) -> timedelta:
    duration = parse_duration(text)
    if not timedelta(0) < duration <= timedelta(days=1):
        raise ValueError(f"a snooze lasts up to a day, got {text}")
    return duration


_PARSERS: Mapping[str, Callable[[str, list[str], str], Request]] = {
    **dict.fromkeys(("status", "budget", "alerts", "silences", "oncall"), _parse_alone),
    **dict.fromkeys(("mute", "unmute"), _parse_mute),
    **dict.fromkeys(("ack", "unack", "snooze", "assign", "comment"), _parse_act),
    "stats": _parse_stats,
    "top": _parse_top,
    "spend": _parse_spend,
    "violations": _parse_violations,
    "chart": _parse_chart,
    "rules": _parse_rules,
    "silence": _parse_silence,
    "unsilence": _parse_unsilence,
    "why": _parse_why,
    "help": _parse_help,
}
