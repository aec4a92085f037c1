"""Buttons and menus: click → flow → answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alertbot.domain.alerts import Action, ActionType, Outcome
from alertbot.domain.privacy import redact_alert
from alertbot.domain.times import parse_count, parse_duration
from alertbot.domain.windows import tomorrow_at_nine
from alertbot.errors import UsageError
from alertbot.flows import alert_actions
from alertbot.queries.violations import behind
from alertbot.slack.context import RequestContext
from alertbot.slack.views import responses
from alertbot.slack.views.details import View, details_view
from alertbot.slack.views.private_metadata import decode_private_metadata
from alertbot.slack.views.responses import Response
from alertbot.slack.views.text import literal

_MENU_SNOOZE = timedelta(hours=1)  # what the menu of one alert offers


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a click. `answer` is shown if it `is_news`: otherwise the message or view shows the result already."""

    answer: Response
    is_news: bool = True


def clicked_acknowledge(context: RequestContext, body: Mapping[str, Any]) -> Done:
    """Acknowledge an alert, or all of a message. The message shows that; it is news only if it was too late."""
    return _do(context.for_whom(body), body, _value(body), ActionType.ACKNOWLEDGE)


def clicked_give_back(context: RequestContext, body: Mapping[str, Any]) -> Done:
    """Undo an acknowledgement."""
    return _do(context.for_whom(body), body, _value(body), ActionType.UNACKNOWLEDGE)


def chosen(body: Mapping[str, Any]) -> tuple[str, str]:
    """What was chosen in a menu, such as `A42` and `assign`."""
    name, _, what = str((body["actions"][0].get("selected_option") or {}).get("value") or "").partition(" ")
    return name, what


def clicked_snooze(context: RequestContext, body: Mapping[str, Any]) -> Done:
    """Snooze the message for the chosen time; "tomorrow" is in the person's time zone."""
    target, length = chosen(body)
    here, now = context.for_whom(body), context.clock()
    try:
        is_tomorrow = length == "tomorrow"
        until = tomorrow_at_nine(now, here.zone_of(here.user)) if is_tomorrow else now + parse_duration(length)
    except ValueError as error:
        return Done(responses.error_response(str(error)))
    return _do(here, body, target, ActionType.SNOOZE, until=until, has_fixed_end=is_tomorrow)


def clicked_menu(context: RequestContext, body: Mapping[str, Any]) -> Done:
    """Do what was chosen in the menu of an alert."""
    target, what = chosen(body)
    here, kind = context.for_whom(body), ActionType(what)
    until = context.clock() + _MENU_SNOOZE if kind is ActionType.SNOOZE else None
    return _do(here, body, target, kind, until=until, text=here.user if kind is ActionType.ASSIGN else "")


def _do(
    context: RequestContext,
    body: Mapping[str, Any],
    target: str,
    kind: ActionType,
    *,
    until: datetime | None = None,
    has_fixed_end: bool = False,
    text: str = "",
) -> Done:
    click = body["actions"][0]
    key = f"click {click.get('action_ts')} {click.get('action_id')} {context.user}"
    action = Action(
        kind=kind, who=context.user, at=context.clock(), key=key, until=until, has_fixed_end=has_fixed_end, text=text
    )
    try:
        result = context.act(target, action)
    except UsageError as error:
        return Done(responses.error_response(error.public))
    return Done(
        responses.action_response(result), is_news=any(outcome is not Outcome.DONE for _, outcome in result.outcomes)
    )


def clicked_end_silence(context: RequestContext, body: Mapping[str, Any]) -> Done:
    """End a silence. It is no error if it has ended already: a click may be delivered twice."""
    here, number = context.for_whom(body), _value(body)
    try:
        here.require_operator()
        for silence in here.silences():
            if str(silence.number) == number:
                here.require_may_end(silence)
                alert_actions.end_silence(here.database, silence.number, by=here.user, now=here.clock())
    except UsageError as error:
        return Done(responses.error_response(error.public))
    here.wake()
    return Done(responses.text_response(f":white_check_mark: Silence {literal(number, 20)} has ended."), is_news=False)


def details_of(context: RequestContext, name: str, *, page: int = 0, note: str = "") -> View:
    """The modal with every alert of a message, such as `G17`. Raises UsageError where there is none."""
    alerts = context.whole_alerts(name)
    evidence = behind(context.database, int(name[1:]), alerts, context.rules)
    return details_view(
        int(name[1:]),
        [redact_alert(alert, evidence.privacy) for alert in alerts],
        now=context.clock(),
        page=page,
        channel=context.message_ref,
        note=note,
        evidence=evidence.summary,
        doubts=evidence.notes,
    )


def clicked_details(context: RequestContext, body: Mapping[str, Any]) -> View:
    """What Details opens, or a page of it: the button's value is `G17`, or `G17 2` for the third page."""
    name, _, page = _value(body).partition(" ")
    return details_of(context.for_whom(body), name, page=parse_count(page or "0"))


def shown_details(context: RequestContext, body: Mapping[str, Any], *, note: str = "") -> View:
    """The page of details that is open, with the present state and a `note`."""
    metadata = decode_private_metadata(body)
    return details_of(
        context.for_whom(body), str(metadata.get("about")), page=int(metadata.get("page") or 0), note=note
    )


def _value(body: Mapping[str, Any]) -> str:
    return str(body["actions"][0].get("value") or "")
