"""Buttons and menus: click → flow → what the person has to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alertbot.domain.alerts import Act, ActKind, Outcome
from alertbot.domain.privacy import redact_alert
from alertbot.domain.times import parse_count, parse_duration
from alertbot.domain.windows import tomorrow_at_nine
from alertbot.errors import UsageError
from alertbot.flows import operate
from alertbot.flows.look_up_evidence import behind
from alertbot.slack.desk import Desk
from alertbot.slack.views import answers
from alertbot.slack.views.answers import Answer
from alertbot.slack.views.details import View, details_view
from alertbot.slack.views.remembered import remembered
from alertbot.slack.views.text import literal

_MENU_SNOOZE = timedelta(hours=1)  # what the menu of one alert offers


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a click. It is told where it `is_news`: else the person sees it by what they look at."""

    answer: Answer
    is_news: bool = True


def clicked_acknowledge(desk: Desk, body: Mapping[str, Any]) -> Done:
    """Take an alert, or all of a message. The message itself shows it; it is news only where it was too late."""
    return _do(desk.for_whom(body), body, _value(body), ActKind.ACKNOWLEDGE)


def clicked_give_back(desk: Desk, body: Mapping[str, Any]) -> Done:
    """Give back what was taken."""
    return _do(desk.for_whom(body), body, _value(body), ActKind.UNACKNOWLEDGE)


def chosen(body: Mapping[str, Any]) -> tuple[str, str]:
    """What was chosen in a menu, such as `A42` and `assign`."""
    name, _, what = str((body["actions"][0].get("selected_option") or {}).get("value") or "").partition(" ")
    return name, what


def clicked_snooze(desk: Desk, body: Mapping[str, Any]) -> Done:
    """Hear nothing of the message for the chosen time; "tomorrow" is that of the person's own clock."""
    target, length = chosen(body)
    here, now = desk.for_whom(body), desk.clock()
    try:
        is_tomorrow = length == "tomorrow"
        until = tomorrow_at_nine(now, here.zone_of(here.user)) if is_tomorrow else now + parse_duration(length)
    except ValueError as error:
        return Done(answers.complaint(str(error)))
    return _do(here, body, target, ActKind.SNOOZE, until=until)


def clicked_menu(desk: Desk, body: Mapping[str, Any]) -> Done:
    """Do to one alert what was chosen in its menu."""
    target, what = chosen(body)
    here, kind = desk.for_whom(body), ActKind(what)
    until = desk.clock() + _MENU_SNOOZE if kind is ActKind.SNOOZE else None
    return _do(here, body, target, kind, until=until, text=here.user if kind is ActKind.ASSIGN else "")


def _do(
    desk: Desk, body: Mapping[str, Any], target: str, kind: ActKind, *, until: datetime | None = None, text: str = ""
) -> Done:
    action = body["actions"][0]
    key = f"click {action.get('action_ts')} {action.get('action_id')} {desk.user}"
    deed = Act(kind=kind, who=desk.user, at=desk.clock(), key=key, until=until, text=text)
    try:
        acted = desk.act(target, deed)
    except UsageError as error:
        return Done(answers.complaint(error.public))
    return Done(answers.acted_answer(acted), is_news=any(outcome is not Outcome.DONE for _, outcome in acted.outcomes))


def clicked_end_silence(desk: Desk, body: Mapping[str, Any]) -> Done:
    """End a silence. One that is over already, by this very click or by somebody else's, needs no complaint."""
    here, number = desk.for_whom(body), _value(body)
    try:
        here.require_operator()
        for silence in here.silences():
            if str(silence.number) == number:
                here.require_may_end(silence)
                operate.end_silence(here.database, silence.number, by=here.user, now=here.clock())
    except UsageError as error:
        return Done(answers.complaint(error.public))
    here.wake()
    return Done(answers.sentence(f":white_check_mark: Silence {literal(number, 20)} is over."), is_news=False)


def details_of(desk: Desk, name: str, *, page: int = 0, note: str = "") -> View:
    """The modal with every alert of a message, such as `G17`. Raises UsageError where there is none."""
    alerts = desk.whole_alerts(name)
    found = behind(desk.database, int(name[1:]), alerts, desk.rules)
    return details_view(
        int(name[1:]),
        [redact_alert(alert, found.privacy) for alert in alerts],
        now=desk.clock(),
        page=page,
        channel=desk.place,
        note=note,
        evidence=found.summary,
        doubts=found.notes,
    )


def clicked_details(desk: Desk, body: Mapping[str, Any]) -> View:
    """What Details opens, or a page of it: the button's value is `G17`, or `G17 2` for the third page."""
    name, _, page = _value(body).partition(" ")
    return details_of(desk.for_whom(body), name, page=parse_count(page or "0"))


def shown_details(desk: Desk, body: Mapping[str, Any], *, note: str = "") -> View:
    """The page of details that the person looks at, as it is now, with what they have to know."""
    kept = remembered(body)
    return details_of(desk.for_whom(body), str(kept.get("about")), page=int(kept.get("page") or 0), note=note)


def _value(body: Mapping[str, Any]) -> str:
    return str(body["actions"][0].get("value") or "")
