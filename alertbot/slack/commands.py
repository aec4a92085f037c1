"""Slash commands: parse → flow → view."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from alertbot import __version__
from alertbot.domain.alerts import Act, ActKind
from alertbot.domain.oncall import OnCall
from alertbot.domain.rules import Rule
from alertbot.errors import AlertbotError, UsageError
from alertbot.flows import look_up, operate
from alertbot.flows.explain import explain
from alertbot.slack.parse import Request, parse
from alertbot.slack.views import answers
from alertbot.slack.views.answers import Answer
from alertbot.store.database import Database

log = structlog.get_logger()
_STATS_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs: the store, the clock, what is configured. `wake` has fresh notices sent at once."""

    database: Database
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    command: str
    intervals: Mapping[str, timedelta]
    blind_after: Mapping[str, timedelta]
    rules: Sequence[Rule]
    on_call: Mapping[str, OnCall]
    operators: frozenset[str]
    members_of: Callable[[str], frozenset[str]]

    def operators_now(self) -> frozenset[str]:
        """The users who are operators, those of user groups too."""
        groups = [name for name in self.operators if name.startswith("S")]
        return self.operators.union(*(self.members_of(name) for name in groups))


def answer(desk: Desk, body: Mapping[str, Any]) -> Answer:
    """The answer to one slash command; every mistake is answered too, nothing is raised for it."""
    try:
        request = parse(str(body.get("text") or ""), command=desk.command)
        return _ANSWERS[request.command](desk, request, body)
    except AlertbotError as error:
        return answers.complaint(error.lines[0])


def _status(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    report = look_up.status(
        desk.database,
        version=__version__,
        intervals=desk.intervals,
        blind_after=desk.blind_after,
        now=desk.clock(),
    )
    return answers.status_answer(report)


def _stats(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    rows = look_up.stats(
        desk.database,
        intervals=desk.intervals,
        wanted=request.target or None,
        window=request.window or _STATS_WINDOW,
        now=desk.clock(),
    )
    return answers.stats_answer(rows)


def _alerts(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.alerts_answer(look_up.list_alerts(desk.database))


def _help(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.help_answer(desk.command, request.target)


def _silence(desk: Desk, request: Request, body: Mapping[str, Any]) -> Answer:
    assert request.silence is not None, "parsed with the command"
    _require_operator(desk, body)
    made = operate.add_silence(
        desk.database, request.silence, author=str(body.get("user_id") or "somebody"), now=desk.clock()
    )
    desk.wake()
    return answers.silences_answer([made])


def _unsilence(desk: Desk, request: Request, body: Mapping[str, Any]) -> Answer:
    _require_operator(desk, body)
    number = int(request.target)
    operate.end_silence(desk.database, number, by=str(body.get("user_id") or "somebody"), now=desk.clock())
    desk.wake()
    return answers.sentence(f":white_check_mark: Silence {number} is over.")


def _silences(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.silences_answer(operate.list_silences(desk.database, now=desk.clock()))


def _rules(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.rules_answer(desk.rules)


def _oncall(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    now = desk.clock()
    return answers.oncall_answer({name: one.who(now) for name, one in desk.on_call.items()})


def _require_operator(desk: Desk, body: Mapping[str, Any]) -> None:
    """Raise UsageError unless the person may silence. Nobody configured means everybody."""
    user = str(body.get("user_id") or "")
    if desk.operators and user not in desk.operators_now():
        raise UsageError("only operators may do this; ask one of them, or snooze the alert for up to a day")


def _why(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    found = explain(
        desk.database, desk.rules, desk.intervals, name=request.target, llm=request.text or None, at=desk.clock()
    )
    return answers.why_answer(found)


_KINDS = {
    "ack": ActKind.ACKNOWLEDGE,
    "unack": ActKind.UNACKNOWLEDGE,
    "snooze": ActKind.SNOOZE,
    "assign": ActKind.ASSIGN,
    "comment": ActKind.COMMENT,
}


def _act(desk: Desk, request: Request, body: Mapping[str, Any]) -> Answer:
    now = desk.clock()
    deed = Act(
        kind=_KINDS[request.command],
        who=str(body.get("user_id") or "somebody"),
        at=now,
        key=f"command {body.get('trigger_id')}",
        text=request.text,
        until=None if request.window is None else now + request.window,
    )
    acted = operate.act(desk.database, operate.find(desk.database, request.target), deed)
    desk.wake()
    return answers.acted_answer(acted)


_ANSWERS: Mapping[str, Callable[[Desk, Request, Mapping[str, Any]], Answer]] = {
    "status": _status,
    "stats": _stats,
    "alerts": _alerts,
    "help": _help,
    "why": _why,
    "silence": _silence,
    "unsilence": _unsilence,
    "silences": _silences,
    "rules": _rules,
    "oncall": _oncall,
    **dict.fromkeys(_KINDS, _act),
}
