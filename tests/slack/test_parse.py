"""What people type behind /alertbot, and what it means or what is wrong with it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.errors import UsageError
from alertbot.slack.parse import COMMANDS, NAMES, Request, parse

HOUR = timedelta(hours=1)
UNDERSTOOD = {
    "": Request("status"),
    "   ": Request("status"),
    "status": Request("status"),
    "STATUS": Request("status"),
    "alerts": Request("alerts"),
    "stats": Request("stats"),
    "stats 1h": Request("stats", window=HOUR),
    "stats 1h30m": Request("stats", window=timedelta(minutes=90)),
    "stats support-chat": Request("stats", target="support-chat"),
    "stats support-* 7d": Request("stats", target="support-*", window=timedelta(days=7)),
    'stats "support chat" 1h': Request("stats", target="support chat", window=HOUR),
    "stats \u201csupport chat\u201d 1h": Request("stats", target="support chat", window=HOUR),
    "stats o'neill": Request("stats", target="o'neill"),
    "ack A42": Request("ack", target="A42"),
    "ack A42 rolled back": Request("ack", target="A42"),
    "ack g17": Request("ack", target="g17"),
    "unack A42": Request("unack", target="A42"),
    "snooze A42 2h": Request("snooze", target="A42", window=timedelta(hours=2)),
    "snooze A42 1d": Request("snooze", target="A42", window=timedelta(days=1)),
    "assign A42 <@U012AB3CD|ana>": Request("assign", target="A42", text="U012AB3CD"),
    "assign A42 <@U012AB3CD>": Request("assign", target="A42", text="U012AB3CD"),
    "assign A42 @ana": Request("assign", target="A42", text="ana"),
    "comment A42 rolled back the prompt": Request("comment", target="A42", text="rolled back the prompt"),
    "comment A42 it's  \"odd\"\nisn't it": Request("comment", target="A42", text="it's  \"odd\"\nisn't it"),
    "help": Request("help"),
    "help stats": Request("help", target="stats"),
    "help STATS": Request("help", target="stats"),
}


@pytest.mark.parametrize(("text", "request_"), UNDERSTOOD.items())
def test_is_understood(text, request_):
    assert parse(text) == request_


COMPLAINTS = {
    "stauts": ('"stauts"', "did you mean status?", "/alertbot status"),
    "akc A42": ("did you mean ack?", "/alertbot ack A42"),
    "sooze A42": ("did you mean snooze?", "/alertbot snooze G17 2h"),
    "zzzzzz": ("did you mean help?",),
    "close A42": ('there is no "close": alerts end by themselves', "/alertbot ack A42"),
    "history A42": ("did you mean help?",),
    "snooze A42 1 hour 30": ("expected a duration such as 15m", '"1h 30"'),
    "silence violation-burst until tomorrow": ("then a duration such as 2h", '"violation-burst until tomorrow"'),
    "mute violation-burst 2h": ("the name of one rule", "use silence"),
    "status now": ("takes no arguments", '"now"'),
    "ack": ("an id such as A42 or G17 is missing", "/alertbot ack <id>", "/alertbot ack A42"),
    "ack A42 A43": ("one id at a time", "G17"),
    "take a42 and a43": ("one id at a time",),
    "unsilence 1 2": ("one silence at a time",),
    "snooze A42": ("a duration such as 2h is missing",),
    "snooze A42 soon": ("expected a duration such as 15m", '"soon"'),
    "snooze A42 2d": ("a snooze lasts up to a day", "2d"),
    "snooze A42 0s": ("a snooze lasts up to a day",),
    "assign A42": ("a user is missing",),
    "comment A42": ("a text is missing",),
    "stats 0m": ("longer than 0 seconds",),
    "stats support chat": ("one LLM at a time", "quotation marks"),
    "stats 99999999999999999999d": ("ten years long at most", "stats"),
    "help nothing": ('there is no "nothing"',),
}


@pytest.mark.parametrize(("text", "told"), COMPLAINTS.items())
def test_is_answered_with_what_would_work(text, told):
    with pytest.raises(UsageError) as caught:
        parse(text)
    for part in told:
        assert part in str(caught.value)


def test_the_command_is_called_as_it_is_configured():
    with pytest.raises(UsageError, match="/watch status"):
        parse("stauts", command="/watch")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_example_of_the_help_is_understood(command):
    assert parse(command.example).command == command.name


@given(st.one_of(st.text(), st.builds(lambda name, rest: f"{name} {rest}", st.sampled_from(sorted(NAMES)), st.text())))
def test_whatever_is_typed_is_understood_or_complained_about_in_a_line(text):
    understood = _understood(text)
    if isinstance(understood, Request):
        assert understood.command in NAMES
    else:
        assert len(understood.lines) == 1


def _understood(text: str) -> Request | UsageError:
    try:
        return parse(text)
    except UsageError as error:
        return error
