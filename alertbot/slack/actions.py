"""Buttons and menus of a message: click → flow → what the person has to know."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import structlog

from alertbot.domain.alerts import Act, ActKind, Outcome
from alertbot.domain.times import parse_duration
from alertbot.errors import AlertbotError, SlackError
from alertbot.flows import look_up, operate
from alertbot.slack.commands import Desk
from alertbot.slack.views import answers
from alertbot.slack.views.answers import Answer
from alertbot.slack.views.details import View, details_view

log = structlog.get_logger()


def clicked_acknowledge(desk: Desk, body: Mapping[str, Any]) -> Answer | None:
    """Take all alerts of the message. The message itself shows it; an answer comes only where it was too late."""
    action = body["actions"][0]
    return _do(desk, body, str(action.get("value") or ""), ActKind.ACKNOWLEDGE, until=None)


def clicked_snooze(desk: Desk, body: Mapping[str, Any], offset_of: Callable[[str], timedelta]) -> Answer | None:
    """Hear nothing of the message for the chosen time; `offset_of` tells how far a person's clock is ahead of UTC."""
    chosen = str((body["actions"][0].get("selected_option") or {}).get("value") or "")
    target, _, length = chosen.partition(" ")
    now = desk.clock()
    try:
        until = _tomorrow(now, _user(body), offset_of) if length == "tomorrow" else now + parse_duration(length)
    except ValueError as error:
        return answers.complaint(str(error))
    return _do(desk, body, target, ActKind.SNOOZE, until=until)


def _tomorrow(now: datetime, user: str, offset_of: Callable[[str], timedelta]) -> datetime:
    """Tomorrow 9:00 on the person's own clock; on UTC's where Slack does not say which that is."""
    try:
        zone = timezone(offset_of(user))
    except SlackError as error:
        log.warning("time_zone_unknown", user=user, code=error.code)
        zone = timezone(timedelta(0))
    day = now.astimezone(zone) + timedelta(days=1)
    return day.replace(hour=9, minute=0, second=0, microsecond=0)


def _do(desk: Desk, body: Mapping[str, Any], target: str, kind: ActKind, *, until: datetime | None) -> Answer | None:
    action, user = body["actions"][0], _user(body)
    key = f"click {action.get('action_ts')} {action.get('action_id')} {user}"
    deed = Act(kind=kind, who=user, at=desk.clock(), key=key, until=until)
    try:
        acted = operate.act(desk.database, operate.find(desk.database, target), deed)
    except AlertbotError as error:
        return answers.complaint(error.lines[0])
    desk.wake()
    late = any(outcome is not Outcome.DONE for _, outcome in acted.outcomes)
    return answers.acted_answer(acted) if late else None


def _user(body: Mapping[str, Any]) -> str:
    return str((body.get("user") or {}).get("id") or "somebody")


def details_of(desk: Desk, name: str, *, page: int = 0) -> View:
    """The modal with every alert of a message, such as `G17`. Raises UsageError where there is none."""
    numbers = operate.find(desk.database, name)
    return details_view(int(name[1:]), look_up.alerts_by_number(desk.database, numbers), page=page)


def clicked_details(desk: Desk, body: Mapping[str, Any]) -> View:
    """What Details opens, or a page of it: the button's value is `G17`, or `G17 2` for the third page."""
    name, _, page = str(body["actions"][0].get("value") or "").partition(" ")
    return details_of(desk, name, page=int(page) if page.isdigit() else 0)


def shown_details(desk: Desk, body: Mapping[str, Any]) -> View | None:
    """The page of details that the person looks at, as it is now; None where the click was not in one."""
    view = body.get("view") or {}
    if view.get("callback_id") != "details":
        return None
    name, _, page = str(view.get("private_metadata") or "").partition(" ")
    return details_of(desk, name, page=int(page) if page.isdigit() else 0)
