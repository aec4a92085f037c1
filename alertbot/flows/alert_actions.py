"""What a person does: acknowledge, unacknowledge, snooze, assign, comment."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from alertbot.domain.alerts import Action, ActionType, Alert, act_on
from alertbot.domain.evidence import Privacy
from alertbot.domain.formatting import name_of
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.domain.privacy import redact_alert
from alertbot.domain.reports import ActionResult
from alertbot.domain.silences import ENDLESS, Matcher, Silence, SilenceRequest
from alertbot.domain.visibility import FULL_ACCESS, AccessScope
from alertbot.errors import UsageError
from alertbot.flows.notify import notify_groups
from alertbot.store import alerts, groups, outbox, silences
from alertbot.store.database import Database, Tx

log = structlog.get_logger()
_MOST_SILENCES = 500  # that have not ended: each decision holds all of them against its alerts
_LONGEST_COMMENT = 2000  # characters, as in the form
_NAME = re.compile(r"\s*([AaGg])([0-9]{1,18})\s*")


def find(database: Database, name: str, *, access: AccessScope = FULL_ACCESS) -> tuple[int, ...]:
    """The alerts that a short id means: `A42` one, `G17` all of a message. Raises UsageError where there is none.

    What somebody may not see does not exist: the answer is the same.
    """
    matched = _NAME.fullmatch(name)
    if matched is None:
        raise UsageError(
            f'"{name}" is not an id: expected one such as A42 (an alert) or G17 (a message with all its alerts)'
        )
    letter, number = matched[1].upper(), int(matched[2])
    with database.reading() as tx:
        meant = alerts.by_numbers(tx, [number] if letter == "A" else groups.members(tx, number))
    found = [alert.number for alert in meant if access.shows(alert.labels)]
    if not found:
        raise UsageError(f"there is no {'alert' if letter == 'A' else 'message'} {letter}{number}")
    return tuple(found)


def act(database: Database, numbers: Sequence[int], deed: Action) -> ActionResult:
    """Do what a person asked for to these alerts; people hear of it in the same transaction.

    Raises UsageError for a text that is too long.
    """
    if len(deed.text) > _LONGEST_COMMENT:
        raise UsageError(f"expected a text of at most {_LONGEST_COMMENT} characters, got {len(deed.text)}")
    with database.transaction() as tx:
        found = alerts.by_numbers(tx, numbers, lock=True)
        before = alerts.already_acted_on(tx, deed.key, numbers)
        fresh = [alert for alert in found if alert.number not in before]
        outcomes = [act_on(alert, deed) for alert in fresh]
        alerts.record_action(tx, deed, outcomes)
        changed = [after for alert, (after, _) in zip(fresh, outcomes, strict=True) if after != alert]
        saved = {alert.number: alert for alert in alerts.save_action_results(tx, changed)}
        done = tuple((saved.get(alert.number, alert), outcome) for alert, outcome in outcomes)
        acted = ActionResult(deed, done, again=bool(before))
        _tell(tx, acted)
    log.info(
        "person_acted",
        kind=deed.kind.value,
        who=deed.who,
        alerts=[f"A{alert.number}" for alert in acted.done],
        again=acted.again,
    )
    return acted


def _tell(tx: Tx, acted: ActionResult) -> None:
    """In the thread, and by bringing the message up to date."""
    concerned = groups.of_alerts(tx, [alert.number for alert in acted.done], open_only=False)
    for number in concerned:
        members, group = set(groups.members(tx, number)), groups.load(tx, number)
        if group is None:
            continue
        about = [alert for alert in acted.done if alert.number in members]
        line = _line(acted, [redact_alert(alert, Privacy(group.route.privacy)) for alert in about])
        if line and group.notified.first_at is not None:  # else the first message will show it
            people = (
                (acted.action.who, acted.action.text) if acted.action.kind is ActionType.ASSIGN else (acted.action.who,)
            )
            notification = Notification(
                NotificationKind.ACTION, ping=False, about=_numbers(acted.done), lines=(line,), people=people
            )
            outbox.add(tx, notification, group=number, channel=group.route.channel, now=acted.action.at)
    notify_groups(tx, groups.of_alerts(tx, [alert.number for alert in acted.done]), now=acted.action.at)


def _numbers(found: Sequence[Alert]) -> tuple[int, ...]:
    return tuple(alert.number for alert in found)


def _line(acted: ActionResult, about: Sequence[Alert]) -> str:
    """What the thread says of an act; an acknowledgement is worded where the group is decided about."""
    act_done, names = acted.action, ", ".join(name_of(alert) for alert in about[:5])
    match act_done.kind:
        case ActionType.UNACKNOWLEDGE:
            return f"{{0}} unacknowledged it: {names}"
        case ActionType.SNOOZE:
            assert act_done.until is not None, "a snooze has an end"
            return f"{{0}} snoozed it until {act_done.until:%Y-%m-%d %H:%M} UTC: {names}"
        case ActionType.ASSIGN:
            return f"{{0}} assigned it to {{1}}: {names}"
        case ActionType.COMMENT:
            return f"{{0}}: {act_done.text}"
        case ActionType.ACKNOWLEDGE:
            return ""


def add_silence(
    database: Database, request: SilenceRequest, *, author: str, now: datetime, key: str | None = None
) -> Silence:
    """Silence what the request means from now on; what fires already is looked at again at once.

    An act that is delivered again, with the same `key`, makes no second silence. Raises UsageError for one too many.
    """
    ends_at = now + request.duration
    silence = Silence(request.matchers, now, ends_at, author, request.comment, has_fixed_end=request.has_fixed_end)
    if silence.problem:
        raise UsageError(silence.problem)
    with database.transaction() as tx:
        made = silences.add(tx, silence, key=key)
        if made is None:
            return silences.made_by(tx, key or "")
        _require_room(tx, now)
        notify_groups(tx, groups.open_ones(tx), now=now)
    _log_silence(made)
    return made


def mute_rule(database: Database, matchers: tuple[Matcher, ...], *, by: str, now: datetime) -> Silence:
    """Say nothing of a rule until somebody unmutes it; the silence that does it, which may have been there before.

    The first of the matchers is the rule's name; the others say for which of its alerts.
    Raises UsageError for one silence too many.
    """
    with database.transaction() as tx:
        known = [
            silence for silence in silences.not_over(tx, now) if silence.muted_rule and silence.matchers == matchers
        ]
        if known:
            return known[0]
        made = silences.add(tx, Silence(matchers, now, ENDLESS, by, has_fixed_end=True))
        assert made is not None, "it has no key that another one could have"
        _require_room(tx, now)
        notify_groups(tx, groups.open_ones(tx), now=now)
    _log_silence(made)
    return made


def _require_room(tx: Tx, now: datetime) -> None:
    """Raise UsageError, which takes the new silence back, where there are more than there may be."""
    if silences.count(tx, now) > _MOST_SILENCES:
        raise UsageError(f"there are {_MOST_SILENCES} silences that have not ended, which is the most; end some first")


def _log_silence(made: Silence) -> None:
    log.info("silence_added", silence=made.number, author=made.author, until=made.ends_at.isoformat())


def end_silence(database: Database, number: int, *, by: str, now: datetime) -> None:
    """End a silence before its time; what still fires speaks once. Raises UsageError if there is none that holds."""
    with database.transaction() as tx:
        if not silences.end(tx, number, by=by, now=now):
            raise UsageError(f"there is no active silence {number}")
        # At its last moment a silence still holds: what it kept quiet speaks just after.
        notify_groups(tx, groups.open_ones(tx), now=now + timedelta(milliseconds=1))
    log.info("silence_ended", silence=number, by=by)


def list_silences(database: Database, *, now: datetime) -> list[Silence]:
    """The silences that hold now or will."""
    with database.reading() as tx:
        return silences.not_over(tx, now)
