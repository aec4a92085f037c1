"""Flow 3: claim due notifications → Sender → sent, later or never. What is sent is what the store says, at the moment of sending."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from alertbot.domain.notifications import AlertMessage, Group, MessageRef, Notification, NotificationKind
from alertbot.domain.oncall import OnCall, resolve
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.reports import alerts_csv
from alertbot.domain.rules import Rule
from alertbot.errors import (
    SlackBusy,
    SlackDestination,
    SlackError,
    SlackGone,
    SlackRefused,
    SlackRejected,
    SlackUnavailable,
    SlackUncertain,
)
from alertbot.flows.growers import with_growers
from alertbot.flows.message_content import message_of
from alertbot.flows.operator_alerts import concerns_some_calls, raise_alarm, report_accepted, report_refused
from alertbot.store import alerts, channels, deliveries, groups, outbox
from alertbot.store.channels import EVERY_CHANNEL
from alertbot.store.database import Database, Tx
from alertbot.store.deliveries import OutboxEntry
from alertbot.store.outbox import OutboxAction

log = structlog.get_logger()
LEASE = timedelta(seconds=45)  # longer than one send with its look into the history takes; then another may try
_LONGEST_PAUSE = timedelta(minutes=5)
_PROBE_PAUSE = timedelta(minutes=1)
_HISTORY = "history"  # the row of `channels` that remembers that the history may not be read


class Sender(Protocol):
    """Says things in Slack. Each call raises a SlackError that tells whether to try again.

    `notification` is the number by which `find` recognises what an uncertain call left behind.
    """

    def post(self, channel: str, message: AlertMessage, *, notification: int, mention: Iterable[str]) -> MessageRef: ...
    def edit(self, place: MessageRef, message: AlertMessage) -> None: ...
    def reply(self, place: MessageRef, notification: Notification, *, number: int) -> MessageRef: ...
    def say(self, channel: str, notification: Notification, *, number: int) -> MessageRef: ...
    def find(
        self, channel: str, *, notification: int, since: datetime, thread: MessageRef | None
    ) -> MessageRef | None: ...
    def attach(self, place: MessageRef, *, name: str, text: str) -> None: ...
    def permalink(self, place: MessageRef) -> str: ...


def no_clock_step() -> float:
    """How long ago a clock was set forward that nobody sets."""
    return math.inf


def _ignore(_text: str) -> None:
    """Where no webhook is configured: the log has it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What delivering needs besides the database.

    `fallback` takes the notifications of broken channels, `operators` those about the bot itself; `alarm` is the way
    out that needs no token, for when Slack refuses the whole app. It raises a SlackError, too, where that does not
    work. `intervals` are those of the sources, and `prices` tell what is spent there. `since_leap` says how many
    seconds ago the clock was set forward.
    """

    sender: Sender
    owner: str
    clock: Callable[[], datetime]
    fallback: str
    operators: str
    on_call: Mapping[str, OnCall] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    intervals: Mapping[str, timedelta] = field(default_factory=dict)
    prices: Prices = NOTHING_PRICED
    alarm: Callable[[str], None] = _ignore
    lease: timedelta = LEASE
    since_leap: Callable[[], float] = no_clock_step


def claim_due(
    database: Database, delivery: Delivery, *, limit: int = 20, busy: Collection[str] = ()
) -> list[OutboxEntry]:
    """Take the notifications that may be sent now, at most one of each message, none of the channels that are `busy`."""
    with database.transaction() as tx:
        now = delivery.clock()
        # A clock that is set forward ends every lease at once, while the calls of their holders are still on their way.
        ended = delivery.since_leap() >= delivery.lease.total_seconds()
        return deliveries.claim(
            tx, owner=delivery.owner, lease=delivery.lease, now=now, limit=limit, busy=busy, ended_leases=ended
        )


def deliver(database: Database, delivery: Delivery, row: OutboxEntry) -> None:
    """Send one claimed notification and mark what came of it. Never raises for what Slack does."""
    now = delivery.clock()
    if now >= row.lease_until:
        # Others were slow before it; whoever has it by now, or takes it next, sends it.
        log.warning(
            "delivery_lease_lost", notification=row.number, kind=row.notification.kind.value, why="its lease is over"
        )
        return
    with database.transaction() as tx:
        if not deliveries.is_held(tx, row, owner=delivery.owner):
            return
        if (
            row.action is not OutboxAction.RETURN
            and channels.is_closed(tx, row.channel, now=now)
            and _divert(tx, delivery, row, now)
        ):
            return
        late = _late_group(tx, row)
        told_by_it = outbox.replies_waiting(tx, row.ordering_key) if late is not None else []
        if late is not None and late.route.forget_brief and not row.uncertain:
            _give_up(tx, delivery, row, "resolved before it could be sent, and the route forgets brief alerts", now)
            outbox.cancel(tx, told_by_it, why="its message was forgotten", now=now)
            return
    try:
        place, had_arrived = (
            _sound(delivery, row) if row.action is OutboxAction.ALARM else _send(database, delivery, row, now)
        )
    except SlackError as error:
        with database.transaction() as tx:
            _postpone(tx, delivery, row, error)
        return
    with database.transaction() as tx:
        # A message that had arrived was read as it stood then: its thread has to tell how it went on.
        if _settle(tx, delivery, row, place) and not had_arrived:
            outbox.cancel(tx, told_by_it, why="told by the message itself", now=now)
    log.info(
        "notification_sent",
        notification=row.number,
        kind=row.notification.kind.value,
        channel=place.channel,
        attempts=row.attempts,
    )


def _late_group(tx: Tx, row: OutboxEntry) -> Group | None:
    """The group of a first message that could not be sent before all of its alerts had resolved."""
    if (
        row.notification.kind is not NotificationKind.FIRST
        or row.group is None
        or groups.message_ref(tx, row.group) is not None
    ):
        return None
    group = groups.load(tx, row.group)
    return group if group is not None and group.closed_at is not None else None


def is_drained(database: Database, *, now: datetime) -> bool:
    """Whether nothing waits that should have been sent by now, nor for another try."""
    with database.reading() as tx:
        return not outbox.has_overdue(tx, now=now)


def probe_broken(database: Database, delivery: Delivery) -> None:
    """Try broken channels again, each hourly: with the message of a group that belongs there."""
    now = delivery.clock()
    with database.transaction() as tx:
        for broken in channels.broken(tx):
            waiting = channels.diverted_from(tx, broken.name)
            if waiting and channels.take_probe(tx, broken.name, now=now):
                outbox.add_return(tx, group=waiting[0], channel=broken.name, now=now)


def _require_lease(delivery: Delivery, row: OutboxEntry) -> None:
    """Raise SlackUnavailable where another process may take the notification before Slack has answered.

    Asked just before each call: whoever was stopped, or waited long for another answer, must not write what is old by
    now.
    """
    if delivery.clock() > row.lease_until - delivery.lease / 4:
        raise SlackUnavailable("nothing was sent: the lease of the notice is nearly over", code="lease_over")


def _sound(delivery: Delivery, row: OutboxEntry) -> tuple[MessageRef, bool]:
    delivery.alarm(row.notification.lines[0])
    return MessageRef(row.channel, ""), False


def _send(database: Database, delivery: Delivery, row: OutboxEntry, now: datetime) -> tuple[MessageRef, bool]:
    """Where it stands now, and whether an earlier try had put it there."""
    sender = delivery.sender
    message, place = _load(database, delivery, row, now)
    if row.action is OutboxAction.FILE and message is not None:
        if place is None:
            raise SlackGone("files.upload: the message is gone", code="message_not_found")
        _require_lease(delivery, row)
        sender.attach(place, name=f"alerts-G{row.group}.csv", text=alerts_csv(message.alerts))
        return place, False
    if row.action is OutboxAction.MESSAGE and place is not None and message is not None:
        linked = _linked(database, sender, message)
        _require_lease(delivery, row)
        sender.edit(place, linked)
        return place, False
    thread = place if row.action is OutboxAction.REPLY else None
    arrived = _look_for(database, delivery, row, thread) if row.uncertain else None
    if arrived is not None:
        log.info("notification_had_arrived", notification=row.number, kind=row.notification.kind.value)
        if row.action in {OutboxAction.MESSAGE, OutboxAction.RETURN} and message is not None:
            linked = _linked(database, sender, message)
            _require_lease(delivery, row)
            sender.edit(arrived, linked)
        return arrived, True
    mention = resolve(row.notification.mention, delivery.on_call, now)
    if message is not None and message.group.closed_at is not None and row.notification.kind is NotificationKind.FIRST:
        mention = ()  # it is over: told, but nobody is called for it
    if row.action in {OutboxAction.MESSAGE, OutboxAction.RETURN} and message is not None:
        linked = _linked(database, sender, message)
        _require_lease(delivery, row)
        return sender.post(row.channel, linked, notification=row.number, mention=mention), False
    notification = replace(row.notification, mention=mention)
    _require_lease(delivery, row)
    if thread is not None:
        return sender.reply(thread, notification, number=row.number), False
    return sender.say(row.channel, notification, number=row.number), False


def _look_for(database: Database, delivery: Delivery, row: OutboxEntry, thread: MessageRef | None) -> MessageRef | None:
    """What an earlier, uncertain try left. Where the history may not be read, said twice is better than never."""
    channel = thread.channel if thread else row.channel
    try:
        return delivery.sender.find(channel, notification=row.number, since=row.created_at, thread=thread)
    except (SlackRefused, SlackDestination, SlackRejected, SlackGone) as error:
        if isinstance(error, SlackRefused) and not concerns_some_calls(error.code):
            raise  # nothing can be posted either: it is looked for when the app is taken again
        log.warning("history_not_readable", channel=channel, code=error.code)
        if isinstance(error, SlackRefused):
            line = (
                f"Slack's history cannot be read ({error.code}): a message whose answer was lost may be posted twice."
            )
            with database.transaction() as tx:
                if channels.mark_broken(tx, _HISTORY, error.code, now=delivery.clock()):
                    _tell_operators(tx, delivery, line)
        return None


def _load(
    database: Database, delivery: Delivery, row: OutboxEntry, now: datetime
) -> tuple[AlertMessage | None, MessageRef | None]:
    """The group's message as it should look now, and where it is."""
    if row.group is None:
        return None, None
    with database.reading() as tx:
        group = groups.load(tx, row.group)
        assert group is not None, "groups are not deleted while notices of them wait"
        members = alerts.by_numbers(tx, groups.members(tx, row.group))
        message = message_of(tx, group, members, rules=delivery.rules, on_call=delivery.on_call, now=now)
        message = with_growers(
            tx, message, members, rules=delivery.rules, intervals=delivery.intervals, prices=delivery.prices
        )
        return message, groups.message_ref(tx, row.group)


def _linked(database: Database, sender: Sender, message: AlertMessage) -> AlertMessage:
    """With a link to the message before, where there is one. A link is not worth a notification: without it the message goes too."""
    group: Group = message.group
    if group.previous is None:
        return message
    with database.reading() as tx:
        before = groups.message_ref(tx, group.previous)
    if before is None:
        return message
    try:
        return replace(message, previous=sender.permalink(before))
    except SlackError as error:
        log.info("no_link_to_message_before", group=f"G{group.number}", code=error.code)
        return message


def _settle(tx: Tx, delivery: Delivery, row: OutboxEntry, place: MessageRef) -> bool:
    """Mark a notification that Slack has; False if somebody else took it meanwhile."""
    now = delivery.clock()
    if not deliveries.mark_sent(tx, row, owner=delivery.owner, ts=place.ts, now=now):
        # Somebody else took the notification meanwhile, so this process was stalled: what it wrote may be older than
        # what stood there. The message is brought up to date once more.
        if row.group is not None:
            outbox.add(
                tx, Notification(NotificationKind.EDIT, ping=False), group=row.group, channel=row.channel, now=now
            )
        log.warning("notification_overtaken", notification=row.number, kind=row.notification.kind.value, ts=place.ts)
        return False
    if row.action is OutboxAction.ALARM:
        return True
    if row.group is not None and row.action in {OutboxAction.MESSAGE, OutboxAction.RETURN}:
        if row.action is OutboxAction.RETURN:
            groups.bring_back(tx, row.group)
        groups.set_message(tx, row.group, place)
        groups.mark_edited(tx, row.group, now)
    if channels.mark_working(tx, row.channel):
        _welcome_back(tx, delivery, row.channel, now)
    report_accepted(tx, operators=delivery.operators, now=now)
    return True


def _welcome_back(tx: Tx, delivery: Delivery, channel: str, now: datetime) -> None:
    """A broken channel works again: the messages that belong there are posted in their present state."""
    for number in channels.diverted_from(tx, channel):
        groups.bring_back(tx, number)
        outbox.add(tx, Notification(NotificationKind.EDIT, ping=False), group=number, channel=channel, now=now)
    _tell_operators(tx, delivery, f"{channel} can be written to again; its alerts are told there.")


def _postpone(tx: Tx, delivery: Delivery, row: OutboxEntry, error: SlackError) -> None:
    """A send that failed: later, elsewhere, or never. By a process that was overtaken: of no consequence."""
    now = delivery.clock()
    if not deliveries.is_held(tx, row, owner=delivery.owner):
        log.warning(
            "notification_overtaken", notification=row.number, kind=row.notification.kind.value, code=error.code
        )
        return
    reason = f"{error.code}: {error.lines[0]}"
    if _is_hopeless(tx, row, error):
        if isinstance(error, SlackDestination):
            channels.mark_broken(tx, row.channel, error.code, now=now)
        _give_up(tx, delivery, row, reason, now)
        return
    if isinstance(error, SlackDestination) and _break(tx, delivery, row, error, now):
        return
    pause = _pause(tx, row, error, now)
    uncertain = row.uncertain or isinstance(error, SlackUncertain)
    deliveries.mark_deferred(tx, row, owner=delivery.owner, due_at=now + pause, error=reason, uncertain=uncertain)
    log.warning(
        "notification_postponed",
        notification=row.number,
        kind=row.notification.kind.value,
        code=error.code,
        attempts=row.attempts,
        seconds=round(pause.total_seconds(), 1),
    )


def _is_hopeless(tx: Tx, row: OutboxEntry, error: SlackError) -> bool:
    """Whether the same notification will never pass, or is not worth another try."""
    match error:
        case SlackRejected():
            return True
        case SlackRefused() | SlackDestination() if row.action in {OutboxAction.FILE, OutboxAction.RETURN}:
            # A list is a convenience, and a return is tried again in an hour: the alerts themselves go on without them.
            return row.action is OutboxAction.FILE or isinstance(error, SlackDestination)
        case SlackGone() if row.action is OutboxAction.MESSAGE and row.group is not None:
            return groups.reposts(tx, row.group) > 0  # deleted a second time: it is not wanted
        case SlackGone():
            return not (row.action is OutboxAction.REPLY and row.notification.ping)
        case _:
            return False


def _pause(tx: Tx, row: OutboxEntry, error: SlackError, now: datetime) -> timedelta:
    """How long to wait before the next try, and whom else the failure holds up."""
    match error:
        case SlackBusy(retry_after=seconds):
            pause = timedelta(seconds=seconds)
            channels.hold(tx, row.channel, until=now + pause)
        case SlackRefused():
            pause = _PROBE_PAUSE
            channels.hold(tx, EVERY_CHANNEL, until=now + pause)
            report_refused(tx, error.code, now=now)
        case SlackDestination():
            pause = max(_backoff(row), _PROBE_PAUSE)
        case SlackGone():
            pause = timedelta(0)
            if row.action is OutboxAction.MESSAGE and row.group is not None:
                groups.count_repost(tx, row.group)
            else:  # the thread is gone, the ping must not be: it is said in the channel
                deliveries.post_to_channel(tx, row)
        case _:
            pause = _backoff(row)
    return pause


def _backoff(row: OutboxEntry) -> timedelta:
    """Exponential, and spread by the notification's number, so that those that wait do not march in step."""
    pause = min(timedelta(seconds=2 ** min(row.attempts, 10)), _LONGEST_PAUSE)
    return pause + pause * ((row.number * 7919 + row.attempts * 104_729) % 1000) / 2000


def _break(tx: Tx, delivery: Delivery, row: OutboxEntry, error: SlackError, now: datetime) -> bool:
    """A channel cannot be written to: told once, and its notifications go to the fallback. False if that is the broken one."""
    if channels.mark_broken(tx, row.channel, error.code, now=now):
        log.error("channel_broken", channel=row.channel, code=error.code)
        line = f"{row.channel} cannot be written to ({error.code}). Its alerts go to {delivery.fallback}; it is tried hourly."
        _tell_operators(tx, delivery, line, but_not=row.channel)
    return _divert(tx, delivery, row, now)


def _divert(tx: Tx, delivery: Delivery, row: OutboxEntry, now: datetime) -> bool:
    """Let a notification, and the message it belongs to, go to the fallback channel; False if it was meant for that already."""
    if row.channel == delivery.fallback:
        return False
    if row.group is not None and row.action in {OutboxAction.MESSAGE, OutboxAction.REPLY}:
        groups.reroute(tx, row.group, delivery.fallback)
    deliveries.reroute(tx, row, owner=delivery.owner, to=delivery.fallback, now=now)
    return True


def _tell_operators(tx: Tx, delivery: Delivery, line: str, *, but_not: str = "") -> None:
    channel = delivery.fallback if delivery.operators == but_not else delivery.operators
    if channel == but_not:
        raise_alarm(tx, line, now=delivery.clock())
        return
    outbox.add_alone(
        tx, Notification(NotificationKind.OPERATOR, ping=False, lines=(line,)), channel=channel, now=delivery.clock()
    )


def _give_up(tx: Tx, delivery: Delivery, row: OutboxEntry, reason: str, now: datetime) -> None:
    deliveries.mark_failed(tx, row, owner=delivery.owner, error=reason, now=now)
    log.error("notification_given_up", notification=row.number, kind=row.notification.kind.value, why=reason)
