"""Slash commands: parse → flow → view."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import Enum, auto
from typing import Any

import structlog

from alertbot.domain.alerts import Act, ActKind
from alertbot.domain.silences import Matcher, Sign, SilenceRequest
from alertbot.domain.windows import Span, tomorrow_at_nine
from alertbot.errors import ConfigError, UsageError
from alertbot.flows import look_up, operate
from alertbot.flows.chart import chart
from alertbot.flows.edit_rules import list_rules
from alertbot.flows.explain import explain
from alertbot.flows.look_up_evidence import violations
from alertbot.slack.desk import Desk
from alertbot.slack.parse import NAMES, Request, parse
from alertbot.slack.pictures import pictured
from alertbot.slack.rule_modals import remove
from alertbot.slack.spoken import TOMORROW
from alertbot.slack.views import answers, evidence, figures
from alertbot.slack.views.answers import Answer
from alertbot.slack.views.rules import rules_answer
from alertbot.slack.views.sharing import shared, with_share_button
from alertbot.slack.views.text import is_user_group

log = structlog.get_logger()
_SHORT_ID = re.compile(r"[AaGg][0-9]+")


class Pace(Enum):
    """What answering a command takes."""

    ACTS = auto()
    LOOKS = auto()
    DRAWS = auto()


def pace_of(desk: Desk, body: Mapping[str, Any]) -> Pace:
    """What answering takes, by the text alone."""
    try:
        request = parse(str(body.get("text") or ""), command=desk.command)
    except UsageError:
        return Pace.LOOKS
    if request.command == "chart":
        return Pace.DRAWS
    return Pace.LOOKS if _only_looks(request) or request.command == "help" else Pace.ACTS


def answer(desk: Desk, body: Mapping[str, Any]) -> Answer:
    """The answer to one slash command; a mistake in it is answered too. Raises what is no mistake of the person's."""
    text = str(body.get("text") or "")
    try:
        request = parse(text, command=desk.command)
        found = _ANSWERS[request.command](desk.for_whom(body), request, body)
    except (UsageError, ConfigError) as error:
        return answers.complaint(error.public)
    return with_share_button(found, text) if _only_looks(request) else found


def answer_for_all(desk: Desk, body: Mapping[str, Any]) -> Answer:
    """The answer whose Share button somebody clicked, made anew for everybody to see. Raises AlertbotError."""
    text = str(body["actions"][0].get("value") or "")
    request = parse(text, command=desk.command)
    if not _only_looks(request):
        raise UsageError(f"what {request.command} answers is not for sharing")
    here = desk.for_channel(body)
    if desk.for_whom(body).sight.shows_more_of(text, here.sight):
        raise UsageError("this names what not everybody in this channel may see, so it is not shared")
    return shared(_ANSWERS[request.command](here, request, body), by=here.user, asked=f"{desk.command} {text}".strip())


def _only_looks(request: Request) -> bool:
    """Whether to answer it a second time does nothing a second time."""
    return request.command in _SHAREABLE and not (request.command == "rules" and request.target)


def _status(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.status_answer(desk.status(), desk.command)


def _stats(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    window = desk.window(request.window)
    stats = look_up.stats(desk.database, intervals=desk.intervals, wanted=request.target or None, window=window)
    return figures.stats_answer(stats)


def _top(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    assert request.question is not None, "parsed with the command"
    window = desk.window(request.question.span)
    ranking = look_up.top(
        desk.database,
        intervals=desk.intervals,
        question=request.question,
        window=window,
        prices=desk.prices,
        privacy=desk.privacy(),
    )
    return figures.top_answer(ranking)


def _violations(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    assert request.wanted is not None, "parsed with the command"
    window = desk.window(request.wanted.span)
    listing = violations(
        desk.database,
        sources=list(desk.intervals),
        wanted=request.wanted,
        window=window,
        privacy=desk.privacy(),
        most=evidence.MOST_ROWS,
    )
    return evidence.violations_answer(listing, window, desk.zone_of(desk.user))


def _budget(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return figures.budget_answer(desk.budgets())


def _spend(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    assert request.question is not None, "parsed with the command"
    found = look_up.spending(
        desk.database,
        intervals=desk.intervals,
        prices=desk.prices,
        window=desk.window(request.question.span),
        by=request.question.by,
        privacy=desk.privacy(),
    )
    return figures.spend_answer(found)


def _chart(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    curve = chart(
        desk.database,
        rules=desk.rules,
        intervals=desk.intervals,
        subject=request.target,
        wanted=request.text or None,
        window=desk.window(request.window),
        prices=desk.prices,
        privacy=desk.privacy(),
    )
    return figures.chart_answer(curve, pictured(curve, desk.upload, desk.zone_of(desk.user)))


def _alerts(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.alerts_answer(desk.open_alerts())


def _help(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.help_answer(desk.command, request.target)


def _silence(desk: Desk, request: Request, body: Mapping[str, Any]) -> Answer:
    desk.require_operator()
    if request.silence is None:
        raise UsageError(f"what, and for how long? For example: {desk.command} {NAMES['silence'].example}")
    wanted = _meant(desk, request.silence, request.text) if request.text else request.silence
    wanted = replace(wanted, matchers=desk.confined(wanted.matchers))
    made = operate.add_silence(
        desk.database, wanted, author=desk.user, now=desk.clock(), key=f"command {body.get('trigger_id')}"
    )
    desk.wake()
    return answers.silenced_answer(made, desk.preview_silence(made.matchers))


def _meant(desk: Desk, wanted: SilenceRequest, name: str) -> SilenceRequest:
    """The silence of what stood there by its name alone: a rule, or a configuration that has an open alert."""
    labels = [row.alert.labels for row in desk.open_alerts()]
    if name not in {rule.name for rule in desk.rules} and any(
        name in {one.get("name"), one.get("ai_llm")} for one in labels
    ):
        return replace(wanted, matchers=(Matcher("ai_llm", Sign.IS, name),))
    _require_rule(desk, name)
    return wanted


def _unsilence(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    desk.require_operator()
    number = int(request.target)
    silence = next((silence for silence in desk.silences() if silence.number == number), None)
    if silence is None:
        raise UsageError(f"there is no silence {number} that has not ended")
    desk.require_may_end(silence)
    operate.end_silence(desk.database, number, by=desk.user, now=desk.clock())
    desk.wake()
    return answers.sentence(f":white_check_mark: Silence {number} is over.")


def _mute(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    desk.require_operator()
    _require_rule(desk, request.target)
    matchers = desk.confined((Matcher("rule", Sign.IS, request.target),))
    made = operate.mute_rule(desk.database, matchers, by=desk.user, now=desk.clock())
    desk.wake()
    return answers.silenced_answer(made, desk.preview_silence(made.matchers))


def _unmute(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    desk.require_operator()
    mutes = [silence for silence in desk.silences() if silence.muted_rule == request.target]
    if not mutes:
        _require_rule(desk, request.target)
        raise UsageError(f"{request.target} is not muted")
    theirs = [silence for silence in mutes if desk.may_end(silence)]
    if not theirs:
        desk.require_may_end(mutes[0])
    for silence in theirs:
        operate.end_silence(desk.database, silence.number, by=desk.user, now=desk.clock())
    desk.wake()
    return answers.unmuted_answer(request.target)


def _require_rule(desk: Desk, name: str) -> None:
    """Raise UsageError unless there is such a rule."""
    known = [rule.name for rule in desk.rules]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        guess = f"; did you mean {near[0]}?" if near else f"; see {desk.command} rules"
        raise UsageError(f'there is no rule "{name}"{guess}')


def _silences(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    return answers.silences_answer(desk.silences())


def _rules(desk: Desk, request: Request, body: Mapping[str, Any]) -> Answer:
    if request.target == "delete":
        return remove(desk, request.text, key=f"command {body.get('trigger_id')}")
    if request.target:
        raise UsageError("this opens a form; type it as a command")
    in_sight = {rule.name: desk.rule_without_people(rule) for rule in desk.rules}
    is_whole = desk.sight.sources is None  # else nobody can say what a rule that cannot be read is about
    listed = [
        replace(one, rule=in_sight.get(one.name))
        for one in list_rules(desk.database, desk.book)
        if (one.name in in_sight if one.rule is not None else is_whole)
    ]
    # What is shared is looked at by everybody: it has no buttons.
    may_edit = desk.may_operate() and "actions" not in body
    muted = {silence.muted_rule for silence in desk.silences()}
    return rules_answer(listed, muted=muted, may_edit=may_edit, fixed=desk.fixed)


def _oncall(desk: Desk, _request: Request, _body: Mapping[str, Any]) -> Answer:
    now = desk.clock()
    return answers.oncall_answer({name: one.who(now) for name, one in desk.on_call.items()})


def _why(desk: Desk, request: Request, _body: Mapping[str, Any]) -> Answer:
    name, llm = request.target, request.text
    if _SHORT_ID.fullmatch(name) and all(rule.name != name for rule in desk.rules):
        alert = desk.alerts(name)[0]  # people ask why an alert fired by what its message calls it
        name, llm = alert.rule, llm or alert.labels.get("ai_llm", "")
    found = explain(
        desk.database,
        desk.rules,
        desk.intervals,
        name=name,
        llm=llm or None,
        at=desk.clock(),
        prices=desk.prices,
        privacy=desk.privacy(),
    )
    return answers.why_answer(found)


def _later(now: datetime, length: Span | None) -> datetime | None:
    return now + length if isinstance(length, timedelta) else None


_KINDS = {
    "ack": ActKind.ACKNOWLEDGE,
    "unack": ActKind.UNACKNOWLEDGE,
    "snooze": ActKind.SNOOZE,
    "assign": ActKind.ASSIGN,
    "comment": ActKind.COMMENT,
}


def _act(desk: Desk, request: Request, body: Mapping[str, Any]) -> Answer:
    if request.command == "assign" and is_user_group(request.text) and not desk.may_operate():
        raise UsageError("only operators may give an alert to a whole user group; name a person")
    now = desk.clock()
    is_tomorrow = request.command == "snooze" and request.text == TOMORROW
    deed = Act(
        kind=_KINDS[request.command],
        who=str(body.get("user_id") or "somebody"),
        at=now,
        key=f"command {body.get('trigger_id')}",
        text="" if is_tomorrow else request.text,
        until=tomorrow_at_nine(now, desk.zone_of(desk.user)) if is_tomorrow else _later(now, request.window),
    )
    return answers.acted_answer(desk.act(request.target, deed))


_ANSWERS: Mapping[str, Callable[[Desk, Request, Mapping[str, Any]], Answer]] = {
    "status": _status,
    "stats": _stats,
    "top": _top,
    "spend": _spend,
    "violations": _violations,
    "budget": _budget,
    "chart": _chart,
    "alerts": _alerts,
    "help": _help,
    "why": _why,
    "silence": _silence,
    "unsilence": _unsilence,
    "silences": _silences,
    "mute": _mute,
    "unmute": _unmute,
    "rules": _rules,
    "oncall": _oncall,
    **dict.fromkeys(_KINDS, _act),
}
# What only looks; `rules` also does.
_SHAREABLE = frozenset(
    {"status", "stats", "top", "violations", "spend", "budget", "chart", "alerts", "why", "silences", "rules", "oncall"}
)
