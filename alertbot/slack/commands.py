"""Slash commands: parse → flow → view."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import structlog

from alertbot.domain.alerts import Action, ActionType
from alertbot.domain.silences import Matcher, MatchType, SilenceRequest
from alertbot.domain.suggestions import did_you_mean
from alertbot.domain.windows import TimeRange, tomorrow_at_nine
from alertbot.errors import ConfigError, UsageError
from alertbot.flows import alert_actions
from alertbot.flows.rule_actions import list_rules
from alertbot.queries.chart import chart
from alertbot.queries.explain import explain
from alertbot.queries.spend import spending
from alertbot.queries.stats import llm_stats
from alertbot.queries.top import top_ranking
from alertbot.queries.violations import violations
from alertbot.slack.aliases import TOMORROW
from alertbot.slack.chart_upload import pictured
from alertbot.slack.context import RequestContext
from alertbot.slack.parse import NAMES, Request, parse
from alertbot.slack.rule_modals import remove
from alertbot.slack.views import analytics, evidence, responses
from alertbot.slack.views.responses import Response
from alertbot.slack.views.rules import rules_response
from alertbot.slack.views.sharing import shared, with_share_button
from alertbot.slack.views.text import is_user_group

log = structlog.get_logger()
_SHORT_ID = re.compile(r"[AaGg][0-9]+")


class Pace(Enum):
    """The kind of work that answering a command takes."""

    ACTS = auto()
    LOOKS = auto()
    DRAWS = auto()


def pace_of(context: RequestContext, body: Mapping[str, Any]) -> Pace:
    """The kind of work, by the text alone."""
    try:
        request = parse(str(body.get("text") or ""), command=context.command)
    except UsageError:
        return Pace.LOOKS
    if request.command == "chart":
        return Pace.DRAWS
    return Pace.LOOKS if _only_looks(request) or request.command == "help" else Pace.ACTS


def answer(context: RequestContext, body: Mapping[str, Any]) -> Response:
    """The answer to one slash command, also to a wrong one. Raises errors that are not the person's mistake."""
    text = str(body.get("text") or "")
    try:
        request = parse(text, command=context.command)
        response = _ANSWERS[request.command](context.for_whom(body), request, body)
    except (UsageError, ConfigError) as error:
        return responses.error_response(error.public)
    return with_share_button(response, text) if _only_looks(request) else response


def answer_for_all(context: RequestContext, body: Mapping[str, Any]) -> Response:
    """The answer whose Share button somebody clicked, for everybody in the channel. Raises AlertbotError."""
    text = str(body["actions"][0].get("value") or "")
    request = parse(text, command=context.command)
    if not _only_looks(request):
        raise UsageError(f"the answer to {request.command} cannot be shared")
    here = context.for_channel(body)
    if context.for_whom(body).access.shows_more_of(text, here.access):
        raise UsageError("this names something that not everybody in this channel may see, so it cannot be shared")
    return shared(
        _ANSWERS[request.command](here, request, body), by=here.user, asked=f"{context.command} {text}".strip()
    )


def _only_looks(request: Request) -> bool:
    """Whether the command only reads, so that it can be answered again."""
    return request.command in _SHAREABLE and not (request.command == "rules" and request.target)


def _status(context: RequestContext, _request: Request, _body: Mapping[str, Any]) -> Response:
    return responses.status_response(context.status(), context.command)


def _stats(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    window = context.window(request.window)
    stats = llm_stats(context.database, intervals=context.intervals, llm=request.target or None, window=window)
    return analytics.stats_response(stats)


def _top(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    assert request.question is not None, "parsed with the command"
    window = context.window(request.question.time_range)
    ranking = top_ranking(
        context.database,
        intervals=context.intervals,
        question=request.question,
        window=window,
        prices=context.prices,
        privacy=context.privacy(),
    )
    return analytics.top_response(ranking)


def _violations(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    assert request.violation_query is not None, "parsed with the command"
    window = context.window(request.violation_query.time_range)
    listing = violations(
        context.database,
        sources=list(context.intervals),
        query=request.violation_query,
        window=window,
        privacy=context.privacy(),
        most=evidence.MOST_ROWS,
    )
    return evidence.violations_response(listing, window, context.zone_of(context.user))


def _budget(context: RequestContext, _request: Request, _body: Mapping[str, Any]) -> Response:
    return analytics.budget_response(context.budgets())


def _spend(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    assert request.question is not None, "parsed with the command"
    spent = spending(
        context.database,
        intervals=context.intervals,
        prices=context.prices,
        window=context.window(request.question.time_range),
        by=request.question.by,
        privacy=context.privacy(),
    )
    return analytics.spend_response(spent)


def _chart(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    chart_series = chart(
        context.database,
        rules=context.rules,
        intervals=context.intervals,
        subject=request.target,
        llm=request.text or None,
        window=context.window(request.window),
        prices=context.prices,
        privacy=context.privacy(),
    )
    return analytics.chart_response(chart_series, pictured(chart_series, context.upload, context.zone_of(context.user)))


def _alerts(context: RequestContext, _request: Request, _body: Mapping[str, Any]) -> Response:
    return responses.alerts_response(context.open_alerts())


def _help(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    return responses.help_response(context.command, request.target)


def _silence(context: RequestContext, request: Request, body: Mapping[str, Any]) -> Response:
    context.require_operator()
    if request.silence is None:
        raise UsageError(
            f"say what to silence, and for how long. For example: {context.command} {NAMES['silence'].example}"
        )
    silence_request = _meant(context, request.silence, request.text) if request.text else request.silence
    silence_request = replace(silence_request, matchers=context.confined(silence_request.matchers))
    silence = alert_actions.add_silence(
        context.database,
        silence_request,
        author=context.user,
        now=context.clock(),
        key=f"command {body.get('trigger_id')}",
    )
    context.wake()
    return responses.silenced_response(silence, context.preview_silence(silence.matchers))


def _meant(context: RequestContext, silence_request: SilenceRequest, name: str) -> SilenceRequest:
    """The silence that a bare name means: a rule, or an LLM that has an open alert."""
    labels = [row.alert.labels for row in context.open_alerts()]
    if name not in {rule.name for rule in context.rules} and any(
        name in {alert_labels.get("name"), alert_labels.get("ai_llm")} for alert_labels in labels
    ):
        return replace(silence_request, matchers=(Matcher("ai_llm", MatchType.IS, name),))
    _require_rule(context, name)
    return silence_request


def _unsilence(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    context.require_operator()
    number = int(request.target)
    silence = next((silence for silence in context.silences() if silence.number == number), None)
    if silence is None:
        raise UsageError(f"there is no active silence {number}")
    context.require_may_end(silence)
    alert_actions.end_silence(context.database, number, by=context.user, now=context.clock())
    context.wake()
    return responses.text_response(f":white_check_mark: Silence {number} has ended.")


def _mute(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    context.require_operator()
    _require_rule(context, request.target)
    matchers = context.confined((Matcher("rule", MatchType.IS, request.target),))
    silence = alert_actions.mute_rule(context.database, matchers, by=context.user, now=context.clock())
    context.wake()
    return responses.silenced_response(silence, context.preview_silence(silence.matchers))


def _unmute(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    context.require_operator()
    mutes = [silence for silence in context.silences() if silence.muted_rule == request.target]
    if not mutes:
        _require_rule(context, request.target)
        raise UsageError(f"{request.target} is not muted")
    theirs = [silence for silence in mutes if context.may_end(silence)]
    if not theirs:
        context.require_may_end(mutes[0])
    for silence in theirs:
        alert_actions.end_silence(context.database, silence.number, by=context.user, now=context.clock())
    context.wake()
    return responses.unmuted_response(request.target)


def _require_rule(context: RequestContext, name: str) -> None:
    """Raise UsageError unless there is such a rule."""
    known = [rule.name for rule in context.rules]
    if name not in known:
        guess = did_you_mean(name, known) or f"; see {context.command} rules"
        raise UsageError(f'there is no rule "{name}"{guess}')


def _silences(context: RequestContext, _request: Request, _body: Mapping[str, Any]) -> Response:
    return responses.silences_response(context.silences())


def _rules(context: RequestContext, request: Request, body: Mapping[str, Any]) -> Response:
    if request.target == "delete":
        return remove(context, request.text, key=f"command {body.get('trigger_id')}")
    if request.target:
        raise UsageError("this opens a form; type it as a command")
    in_access = {rule.name: context.rule_without_people(rule) for rule in context.rules}
    is_whole = context.access.sources is None  # else nobody can say what a rule that cannot be read is about
    listed = [
        replace(entry, rule=in_access.get(entry.name))
        for entry in list_rules(context.database, context.book)
        if (entry.name in in_access if entry.rule is not None else is_whole)
    ]
    # What is shared is looked at by everybody: it has no buttons.
    may_edit = context.may_operate() and "actions" not in body
    muted = {silence.muted_rule for silence in context.silences()}
    return rules_response(listed, muted=muted, may_edit=may_edit, fixed=context.fixed)


def _oncall(context: RequestContext, _request: Request, _body: Mapping[str, Any]) -> Response:
    now = context.clock()
    return responses.oncall_response({name: rotation.who(now) for name, rotation in context.on_call.items()})


def _why(context: RequestContext, request: Request, _body: Mapping[str, Any]) -> Response:
    name, llm = request.target, request.text
    if _SHORT_ID.fullmatch(name) and all(rule.name != name for rule in context.rules):
        alert = context.alerts(name)[0]  # people ask why an alert fired by what its message calls it
        name, llm = alert.rule, llm or alert.labels.get("ai_llm", "")
    explanations = explain(
        context.database,
        context.rules,
        context.intervals,
        name=name,
        llm=llm or None,
        at=context.clock(),
        prices=context.prices,
        privacy=context.privacy(),
    )
    return responses.why_response(explanations)


def _later(now: datetime, length: TimeRange | None) -> datetime | None:
    return now + length if isinstance(length, timedelta) else None


_KINDS = {
    "ack": ActionType.ACKNOWLEDGE,
    "unack": ActionType.UNACKNOWLEDGE,
    "snooze": ActionType.SNOOZE,
    "assign": ActionType.ASSIGN,
    "comment": ActionType.COMMENT,
}


def _act(context: RequestContext, request: Request, body: Mapping[str, Any]) -> Response:
    if request.command == "assign" and is_user_group(request.text) and not context.may_operate():
        raise UsageError("only operators may assign an alert to a user group; name a person")
    now = context.clock()
    is_tomorrow = request.command == "snooze" and request.text == TOMORROW
    action = Action(
        kind=_KINDS[request.command],
        who=str(body.get("user_id") or "somebody"),
        at=now,
        key=f"command {body.get('trigger_id')}",
        text="" if is_tomorrow else request.text,
        until=tomorrow_at_nine(now, context.zone_of(context.user)) if is_tomorrow else _later(now, request.window),
        has_fixed_end=is_tomorrow,
    )
    return responses.action_response(context.act(request.target, action))


_ANSWERS: Mapping[str, Callable[[RequestContext, Request, Mapping[str, Any]], Response]] = {
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
