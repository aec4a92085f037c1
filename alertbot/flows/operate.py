"""What a person does: acknowledge, unacknowledge, snooze, assign, comment."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from alertbot.domain.alerts import Act, ActKind, Alert, Outcome, act_on
from alertbot.domain.notices import Kind, Notice
from alertbot.domain.reports import Acted
from alertbot.domain.silences import Silence, SilenceRequest
from alertbot.domain.wording import name_of
from alertbot.errors import UsageError
from alertbot.flows.speak import speak
from alertbot.store import alerts, groups, outbox, silences
from alertbot.store.database import Database, Tx

log = structlog.get_logger()
_NAME = re.compile(r"\s*([AaGg])([0-9]{1,18})\s*")


def find(database: Database, name: str) -> tuple[int, ...]:
    """The alerts that a short id means: `A42` one, `G17` all of a message. Raises UsageError where there is none."""
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise UsageError(
            f'"{name}" is not an id: expected one such as A42 (an alert) or G17 (a message with all its alerts)'
        )
    letter, number = matched[1].upper(), int(matched[2])
    with database.reading() as tx:
        found = (
            [alert.number for alert in alerts.by_numbers(tx, [number])] if letter == "A" else groups.members(tx, number)
        )
    if not found:
        raise UsageError(f"there is no {'alert' if letter == 'A' else 'message'} {letter}{number}")
    return tuple(found)


def act(database: Database, numbers: Sequence[int], deed: Act) -> Acted:
    """Do what a person asked for to these alerts; people hear of it in the same transaction."""
    with database.transaction() as tx:
        outcomes: list[tuple[Alert, Outcome]] = []
        again = False
        for alert in alerts.by_numbers(tx, numbers, lock=True):
            changed, outcome = act_on(alert, deed)
            if not alerts.record_act(tx, alert, deed, outcome):
                again = True
                continue
            if changed != alert:
                changed = alerts.save_acted(tx, changed)
            outcomes.append((changed, outcome))
        acted = Acted(deed, tuple(outcomes), again)
        _tell(tx, acted)
    log.info(
        "person_acted",
        kind=deed.kind.value,
        who=deed.who,
        alerts=[f"A{alert.number}" for alert in acted.done],
        again=again,
    )
    return acted


def _tell(tx: Tx, acted: Acted) -> None:
    """In the thread, and by bringing the message up to date."""
    concerned = groups.of_alerts(tx, [alert.number for alert in acted.done], open_only=False)
    for number in concerned:
        line = _line(acted, [alert for alert in acted.done if alert.number in groups.members(tx, number)])
        group = groups.load(tx, number)
        if line and group is not None and group.told.first_at is not None:  # else the first message will show it
            people = (acted.act.who, acted.act.text) if acted.act.kind is ActKind.ASSIGN else (acted.act.who,)
            notice = Notice(Kind.ACT, ping=False, about=_numbers(acted.done), lines=(line,), people=people)
            outbox.add(tx, notice, group=number, channel=group.route.channel, now=acted.act.at)
    speak(tx, groups.of_alerts(tx, [alert.number for alert in acted.done]), now=acted.act.at)


def _numbers(found: Sequence[Alert]) -> tuple[int, ...]:
    return tuple(alert.number for alert in found)


def _line(acted: Acted, about: Sequence[Alert]) -> str:
    """What the thread says of an act; an acknowledgement is worded where the group is decided about."""
    act_done, names = acted.act, ", ".join(name_of(alert) for alert in about[:5])
    match act_done.kind:
        case ActKind.UNACKNOWLEDGE:
            return f"{{0}} gave it back: {names}"
        case ActKind.SNOOZE:
            assert act_done.until is not None, "a snooze has an end"
            return f"{{0}} snoozed it until {act_done.until:%Y-%m-%d %H:%M} UTC: {names}"
        case ActKind.ASSIGN:
            return f"{{0}} assigned it to {{1}}: {names}"
        case ActKind.COMMENT:
            return f"{{0}}: {act_done.text}"
        case ActKind.ACKNOWLEDGE:
            return ""


def add_silence(database: Database, request: SilenceRequest, *, author: str, now: datetime) -> Silence:
    """Silence what the request means from now on; what fires already is looked at again at once."""
    silence = Silence(request.matchers, now, now + request.duration, author, request.comment)
    with database.transaction() as tx:
        number = silences.add(tx, silence)
        speak(tx, groups.open_ones(tx), now=now)
    log.info("silence_added", silence=number, author=author, until=silence.ends_at.isoformat())
    return replace(silence, number=number)


def end_silence(database: Database, number: int, *, by: str, now: datetime) -> None:
    """End a silence before its time; what still fires speaks once. Raises UsageError if there is none that holds."""
    with database.transaction() as tx:
        if not silences.end(tx, number, by=by, now=now):
            raise UsageError(f"there is no silence {number} that has not ended")
        # At its last moment a silence still holds: what it kept quiet speaks just after.
        speak(tx, groups.open_ones(tx), now=now + timedelta(milliseconds=1))
    log.info("silence_ended", silence=number, by=by)


def list_silences(database: Database, *, now: datetime) -> list[Silence]:
    """The silences that hold now or will."""
    with database.reading() as tx:
        return silences.not_over(tx, now)
