"""The text of a slash command → what is asked. Pure."""

import re
import shlex
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from alertbot.domain.silences import SilenceRequest, parse_silence
from alertbot.domain.times import parse_duration
from alertbot.errors import UsageError


@dataclass(frozen=True, slots=True)
class Command:
    """A sub-command as `help` shows it."""

    name: str
    arguments: str
    summary: str
    example: str


COMMANDS = (
    Command("status", "", "how the bot and its sources are, and what is firing", "status"),
    Command(
        "stats", "[llm] [window]", "growth of each counter, for all configurations or one", "stats support-chat 1h"
    ),
    Command("alerts", "", "the alerts that are pending or firing", "alerts"),
    Command("why", "<rule> [llm]", "why a rule did or did not fire", "why violation-burst support-chat"),
    Command("ack", "<id>", "take an alert (A42) or all of a message (G17)", "ack A42"),
    Command("unack", "<id>", "give it back", "unack A42"),
    Command("snooze", "<id> <duration>", "hear nothing of it for a while", "snooze G17 2h"),
    Command(
        "silence",
        "<matchers> <duration> [comment]",
        "hear nothing of what fits",
        'silence rule=violation-burst ai_llm="support *" 2h planned test',
    ),
    Command("silences", "", "the silences that hold now or will", "silences"),
    Command("unsilence", "<number>", "end a silence before its time", "unsilence 3"),
    Command("rules", "", "what is watched", "rules"),
    Command("oncall", "", "who is on call now", "oncall"),
    Command("assign", "<id> @user", "give it to somebody", "assign A42 @ana"),
    Command("comment", "<id> <text>", "write into its thread", "comment A42 rolled back the prompt"),
    Command("help", "[command]", "this list, or one command with an example", "help stats"),
)
NAMES = {command.name: command for command in COMMANDS}
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_WINDOW = re.compile(r"(?:[0-9]+[smhdw])+")


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for: the sub-command and its arguments."""

    command: str
    target: str = ""
    window: timedelta | None = None
    text: str = ""
    silence: SilenceRequest | None = None


def parse(text: str, *, command: str = "/alertbot") -> Request:
    """Read the text behind the slash command; nothing at all is `status`.

    Raises UsageError with the nearest sub-command and an example.
    """
    words = _words(text)
    if not words:
        return Request("status")
    name, rest = words[0].lower(), words[1:]
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=3, cutoff=0.5)
        # Swapped letters are the commonest slip: "stauts" is status, though "stats" is one letter nearer.
        near.sort(key=lambda known: sorted(known) != sorted(name))
        guess = near[0] if near else "help"
        raise UsageError(f'there is no "{name}"; did you mean {guess}? For example: {command} {NAMES[guess].example}')
    try:
        return _read(name, rest, text)
    except ValueError as error:
        known = NAMES[name]
        usage = f"{command} {name} {known.arguments}".strip()
        raise UsageError(f"{error}. Usage: {usage}, for example: {command} {known.example}") from error


def plain(text: str) -> str:
    """What a person typed, of what Slack made of it: `<@U1|ana>` was @ana, `<#C1|general>` #general, `&amp;` an ampersand."""
    text = re.sub(r"<@([A-Z0-9]+)\|([^>]*)>", r"@\2", text)
    text = re.sub(r"<#([A-Z0-9]+)\|([^>]*)>", r"#\2", text)
    text = re.sub(r"<([a-z]+:[^|>]*)(?:\|[^>]*)?>", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text.replace("\u201c", '"').replace("\u201d", '"'))
    except ValueError:  # a quotation mark that is never closed, such as an apostrophe
        return text.split()


def _read(name: str, rest: list[str], text: str) -> Request:
    if name in {"status", "alerts", "silences", "rules", "oncall"}:
        if rest:
            raise ValueError(f'{name} takes nothing more, got "{" ".join(rest)}"')
        return Request(name)
    if name == "silence":
        return Request(name, silence=parse_silence(_words(plain(text))[1:]))
    if name == "unsilence":
        if len(rest) != 1 or not rest[0].isdigit():
            raise ValueError("the number of a silence is missing; see silences")
        return Request(name, target=rest[0])
    if name == "help":
        if rest and rest[0].lower() not in NAMES:
            raise ValueError(f'there is no "{rest[0]}"')
        return Request(name, target=rest[0].lower() if rest else "")
    if name == "why":
        if not 1 <= len(rest) <= 2:
            raise ValueError("a rule, and perhaps a configuration, in quotation marks if its name has spaces")
        return Request(name, target=rest[0], text=rest[1] if len(rest) == 2 else "")
    return _read_stats(rest) if name == "stats" else _read_act(name, rest, text)


_SECOND = {"snooze": "a duration such as 2h", "assign": "a user", "comment": "a text"}


def _read_act(name: str, rest: list[str], text: str) -> Request:
    if not rest:
        raise ValueError("an id such as A42 or G17 is missing")
    if name in _SECOND and len(rest) < 2:
        raise ValueError(f"{_SECOND[name]} is missing")
    if name == "snooze":
        return Request(name, target=rest[0], window=_snooze(rest[1]))
    if name == "assign":
        user = _USER.fullmatch(rest[1])
        return Request(name, target=rest[0], text=user[1] if user else rest[1].removeprefix("@"))
    return Request(name, target=rest[0], text=plain(text.split(None, 2)[2]) if name == "comment" else "")


def _read_stats(rest: list[str]) -> Request:
    window = None
    if rest and _WINDOW.fullmatch(rest[-1]):
        window = parse_duration(rest[-1])
        rest = rest[:-1]
        if not window:
            raise ValueError("the window has to be longer than nothing")
    if len(rest) > 1:
        raise ValueError(
            f'one configuration at a time, in quotation marks if its name has spaces; got "{" ".join(rest)}"'
        )
    return Request("stats", target=rest[0] if rest else "", window=window)


def _snooze(text: str) -> timedelta:
    duration = parse_duration(text)
    if not timedelta(0) < duration <= timedelta(days=1):
        raise ValueError(f"a snooze lasts up to a day, got {text}")
    return duration
