"""Flow 3: claim due notices → Sender → sent, later or never. What is sent is what the store says, at the moment of sending."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from alertbot.domain.notices import Face, Group, Notice, Place
from alertbot.errors import (
    SlackBusy,
    SlackDestination,
    SlackError,
    SlackGone,
    SlackRefused,
    SlackRejected,
    SlackUncertain,
)
from alertbot.store import alerts, groups, outbox
from alertbot.store.database import Database
from alertbot.store.outbox import EVERY_CHANNEL, Form, Row

log = structlog.get_logger()
LEASE = timedelta(minutes=2)  # longer than one send with its look into the history can take
_MATTERS_FOR = timedelta(hours=24)
_LONGEST_PAUSE = timedelta(minutes=5)
_PROBE_PAUSE = timedelta(minutes=1)


class Sender(Protocol):
    """Says things in Slack. Each call raises a SlackError that tells whether to try again.

    `notice` is the number by which `find` recognises what an uncertain call left behind.
    """

    def post(self, channel: str, face: Face, *, notice: int, mention: Iterable[str]) -> Place: ...
    def edit(self, place: Place, face: Face) -> None: ...
    def reply(self, place: Place, notice: Notice, *, number: int) -> Place: ...
    def say(self, channel: str, notice: Notice, *, number: int) -> Place: ...
    def find(self, channel: str, *, notice: int, since: datetime, thread: Place | None) -> Place | None: ...
    def permalink(self, place: Place) -> str: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What delivering needs besides the database."""

    sender: Sender
    owner: str
    clock: Callable[[], datetime]


def claim_due(database: Database, delivery: Delivery, *, limit: int = 20) -> list[Row]:
    """Take the notices that may be sent now, at most one of each message."""
    with database.transaction() as tx:
        return outbox.claim(tx, owner=delivery.owner, lease=LEASE, now=delivery.clock(), limit=limit)


def deliver(database: Database, delivery: Delivery, row: Row) -> None:
    """Send one claimed notice and mark what came of it. Never raises for what Slack does."""
    now = delivery.clock()
    if now - row.created_at > _MATTERS_FOR:
        with database.transaction() as tx:
            outbox.mark_never(tx, row, owner=delivery.owner, error="older than 24 hours", now=now)
        log.error("notice_given_up", notice=row.number, kind=row.notice.kind.value, why="older than 24 hours")
        return
    try:
        place = _send(database, delivery, row, now)
    except SlackError as error:
        _postpone(database, delivery, row, error)
        return
    with database.transaction() as tx:
        sent_at = delivery.clock()
        if outbox.mark_sent(tx, row, owner=delivery.owner, ts=place.ts, now=sent_at) and row.form is Form.MESSAGE:
            assert row.group is not None, "a message belongs to a group"
            groups.put(tx, row.group, place)
            groups.mark_edited(tx, row.group, sent_at)
    log.info("notice_sent", notice=row.number, kind=row.notice.kind.value, channel=place.channel, attempts=row.attempts)


def _send(database: Database, delivery: Delivery, row: Row, now: datetime) -> Place:
    sender = delivery.sender
    face, place = _load(database, row, now)
    if row.form is Form.MESSAGE and place is not None and face is not None:
        sender.edit(place, _linked(database, sender, face))
        return place
    thread = place if row.form is Form.REPLY else None
    if row.uncertain:
        arrived = sender.find(
            thread.channel if thread else row.channel, notice=row.number, since=row.created_at, thread=thread
        )
        if arrived is not None:
            log.info("notice_had_arrived", notice=row.number, kind=row.notice.kind.value)
            if row.form is Form.MESSAGE and face is not None:
                sender.edit(arrived, _linked(database, sender, face))
            return arrived
    if row.form is Form.MESSAGE and face is not None:
        return sender.post(row.channel, _linked(database, sender, face), notice=row.number, mention=row.notice.mention)
    if thread is not None:
        return sender.reply(thread, row.notice, number=row.number)
    return sender.say(row.channel, row.notice, number=row.number)


def _look_for(sender: Sender, row: Row, thread: Place | None) -> Place | None:
    """What an earlier, uncertain try left. Where the history may not be read, said twice is better than never."""
    channel = thread.channel if thread else row.channel
    try:
        return sender.find(channel, notice=row.number, since=row.created_at, thread=thread)
    except (SlackRefused, SlackDestination, SlackRejected, SlackGone) as error:
        log.warning("history_not_readable", channel=channel, code=error.code)
        return None


def _load(database: Database, row: Row, now: datetime) -> tuple[Face | None, Place | None]:
    """The group's message as it should look now, and where it is."""
    if row.group is None:
        return None, None
    with database.reading() as tx:
        group = groups.load(tx, row.group)
        assert group is not None, "groups are not deleted while notices of them wait"
        members = alerts.by_numbers(tx, groups.members(tx, row.group))
        return Face(group, tuple(members), now), groups.place(tx, row.group)


def _linked(database: Database, sender: Sender, face: Face) -> Face:
    """With a link to the message before, where there is one. A link is not worth a notice: without it the message goes too."""
    group: Group = face.group
    if group.previous is None:
        return face
    with database.reading() as tx:
        before = groups.place(tx, group.previous)
    if before is None:
        return face
    try:
        return replace(face, previous=sender.permalink(before))
    except SlackError as error:
        log.info("no_link_to_message_before", group=f"G{group.number}", code=error.code)
        return face


def _postpone(database: Database, delivery: Delivery, row: Row, error: SlackError) -> None:
    now = delivery.clock()
    reason = f"{error.code}: {error.lines[0]}"
    pause = min(timedelta(seconds=2 ** min(row.attempts, 10)), _LONGEST_PAUSE)
    pause += (
        pause * ((row.number * 7919 + row.attempts * 104_729) % 1000) / 2000
    )  # spread, so that waiters do not march in step
    uncertain = row.uncertain or isinstance(error, SlackUncertain)
    with database.transaction() as tx:
        match error:
            case SlackBusy(retry_after=seconds):
                pause = timedelta(seconds=seconds)
                outbox.hold_channel(tx, row.channel, until=now + pause)
            case SlackRefused():
                pause = _PROBE_PAUSE
                outbox.hold_channel(tx, EVERY_CHANNEL, until=now + pause)
            case SlackDestination():
                pause = max(pause, _PROBE_PAUSE)
            case SlackGone() if row.form is Form.MESSAGE and row.group is not None:
                pause = timedelta(0)
                groups.put(tx, row.group, None)
            case SlackGone() | SlackRejected():
                outbox.mark_never(tx, row, owner=delivery.owner, error=reason, now=now)
                log.error("notice_given_up", notice=row.number, kind=row.notice.kind.value, why=reason)
                return
            case _:
                pass
        outbox.mark_later(tx, row, owner=delivery.owner, due_at=now + pause, error=reason, uncertain=uncertain)
    log.warning(
        "notice_postponed",
        notice=row.number,
        kind=row.notice.kind.value,
        code=error.code,
        attempts=row.attempts,
        seconds=round(pause.total_seconds(), 1),
    )
