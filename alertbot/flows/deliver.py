"""Flow 3: claim due notifications → Sender → sent, later or never. What is sent is what the store says, at the moment of sending."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from alertbot.domain import operator_texts
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


def deliver(database: Database, delivery: Delivery, entry: OutboxEntry) -> None:
    """Send one claimed notification and mark what came of it. Never raises for what Slack does."""
    now = delivery.clock()
    if now >= entry.lease_until:
        # Sends before it were slow. Whoever claims it now, or has already, sends it.
        log.warning(
            "delivery_lease_lost",
            notification=entry.number,
            kind=entry.notification.kind.value,
            why="its lease is over",
        )
        return
    with database.transaction() as tx:
        if not deliveries.is_held(tx, entry, owner=delivery.owner):
            return
        is_closed = entry.action is not OutboxAction.RETURN and channels.is_closed(tx, entry.channel, now=now)
        if is_closed and _reroute(tx, delivery, entry, now):
            return
        late = _late_group(tx, entry)
        replies = outbox.replies_waiting(tx, entry.ordering_key) if late is not None else []
        if late is not None and late.route.forget_brief and not entry.uncertain:
            _give_up(tx, delivery, entry, "resolved before it could be sent, and the route forgets brief alerts", now)
            outbox.cancel(tx, replies, why="its message was forgotten", now=now)
            return
    try:
        message_ref, had_arrived = _send(database, delivery, entry, now)
    except SlackError as error:
        with database.transaction() as tx:
            _handle_error(tx, delivery, entry, error)
        return
    with database.transaction() as tx:
        # A message that had arrived shows the state of then: its thread has to tell how it went on.
        if _mark_sent(tx, delivery, entry, message_ref) and not had_arrived:
            outbox.cancel(tx, replies, why="told by the message itself", now=now)
    log.info(
        "notification_sent",
        notification=entry.number,
        kind=entry.notification.kind.value,
        channel=message_ref.channel,
        attempts=entry.attempts,
    )


def _late_group(tx: Tx, entry: OutboxEntry) -> Group | None:
    """The group of a first message that could not be sent before all of its alerts had resolved."""
    if (
        entry.notification.kind is not NotificationKind.FIRST
        or entry.group is None
        or groups.message_ref(tx, entry.group) is not None
    ):
        return None
    group = groups.load(tx, entry.group)
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


def _send(database: Database, delivery: Delivery, entry: OutboxEntry, now: datetime) -> tuple[MessageRef, bool]:
    """Where the notification is in Slack, and whether an earlier attempt had put it there. Raises SlackError."""
    if entry.action is OutboxAction.ALARM:
        delivery.alarm(entry.notification.lines[0])
        return MessageRef(entry.channel, ""), False
    message, target = _load(database, delivery, entry, now)
    if entry.action is OutboxAction.FILE and target is None:
        raise SlackGone("files.upload: the message is gone", code="message_not_found")
    posts = target is None or entry.action is OutboxAction.REPLY  # an edit or a file that comes twice does no harm
    arrived = _look_for(database, delivery, entry, thread=target) if posts and entry.uncertain else None
    if arrived is not None:
        log.info("notification_had_arrived", notification=entry.number, kind=entry.notification.kind.value)
        if message is None:
            return arrived, True
        target = arrived  # it is there, and may show an older state
    if message is not None and entry.action is not OutboxAction.FILE:
        message = _linked(database, delivery.sender, message)
    _require_lease(delivery, entry)
    return _write(delivery, entry, message, target, now), arrived is not None


def _require_lease(delivery: Delivery, entry: OutboxEntry) -> None:
    """Raise SlackUnavailable where another process may claim the notification before Slack has answered.

    Asked after everything else that waits: a process that was stopped, or waited long for Slack, must not write what is
    outdated by now.
    """
    if delivery.clock() > entry.lease_until - delivery.lease / 4:
        raise SlackUnavailable("nothing was sent: the lease of the notice is nearly over", code="lease_over")


def _write(
    delivery: Delivery, entry: OutboxEntry, message: AlertMessage | None, target: MessageRef | None, now: datetime
) -> MessageRef:
    """The one call that writes. `target` is the message to edit, or whose thread is added to; None posts to the channel."""
    sender = delivery.sender
    mention = resolve(entry.notification.mention, delivery.on_call, now)
    if message is None:
        notification = replace(entry.notification, mention=mention)
        if target is not None:
            return sender.reply(target, notification, number=entry.number)
        return sender.say(entry.channel, notification, number=entry.number)
    if target is None:
        if entry.notification.kind is NotificationKind.FIRST and message.group.closed_at is not None:
            mention = ()  # it is over: nobody is called for it
        return sender.post(entry.channel, message, notification=entry.number, mention=mention)
    if entry.action is OutboxAction.FILE:
        sender.attach(target, name=f"alerts-G{entry.group}.csv", text=alerts_csv(message.alerts))
    else:
        sender.edit(target, message)
    return target


def _look_for(
    database: Database, delivery: Delivery, entry: OutboxEntry, *, thread: MessageRef | None
) -> MessageRef | None:
    """What an earlier, uncertain attempt left. Where the history cannot be read, twice is better than never."""
    channel = thread.channel if thread else entry.channel
    try:
        return delivery.sender.find(channel, notification=entry.number, since=entry.created_at, thread=thread)
    except SlackRefused as error:
        if not concerns_some_calls(error.code):
            raise  # nothing can be posted either: it is looked for when Slack accepts the app again
        log.warning("history_not_readable", channel=channel, code=error.code)
        line = operator_texts.history_unreadable(error.code)
        with database.transaction() as tx:
            if channels.mark_broken(tx, _HISTORY, error.code, now=delivery.clock()):
                _notify_operators(tx, delivery, line)
    except (SlackDestination, SlackRejected, SlackGone) as error:
        log.warning("history_not_readable", channel=channel, code=error.code)
    return None


def _load(
    database: Database, delivery: Delivery, entry: OutboxEntry, now: datetime
) -> tuple[AlertMessage | None, MessageRef | None]:
    """The group's message as it should look now, if the entry shows it, and the message to edit or to add to, if any."""
    if entry.group is None or entry.action is OutboxAction.ALONE:
        return None, None
    with database.reading() as tx:
        message_ref = groups.message_ref(tx, entry.group)
        if entry.action is OutboxAction.REPLY:
            return None, message_ref
        group = groups.load(tx, entry.group)
        assert group is not None, "groups are not deleted while notifications of them wait"
        members = alerts.by_numbers(tx, groups.members(tx, entry.group))
        message = message_of(tx, group, members, rules=delivery.rules, on_call=delivery.on_call, now=now)
        message = with_growers(
            tx, message, members, rules=delivery.rules, intervals=delivery.intervals, prices=delivery.prices
        )
        # The message that stands in for it in the fallback channel stays: a return is posted.
        return message, None if entry.action is OutboxAction.RETURN else message_ref


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


def _mark_sent(tx: Tx, delivery: Delivery, entry: OutboxEntry, place: MessageRef) -> bool:
    """Mark a notification that Slack has; False if somebody else took it meanwhile."""
    now = delivery.clock()
    if not deliveries.mark_sent(tx, entry, owner=delivery.owner, ts=place.ts, now=now):
        # Somebody else took the notification meanwhile, so this process was stalled: what it wrote may be older than
        # what stood there. The message is brought up to date once more.
        if entry.group is not None:
            outbox.add(
                tx, Notification(NotificationKind.EDIT, ping=False), group=entry.group, channel=entry.channel, now=now
            )
        log.warning(
            "notification_overtaken", notification=entry.number, kind=entry.notification.kind.value, ts=place.ts
        )
        return False
    if entry.action is OutboxAction.ALARM:
        return True
    if entry.group is not None and entry.action in {OutboxAction.MESSAGE, OutboxAction.RETURN}:
        if entry.action is OutboxAction.RETURN:
            groups.bring_back(tx, entry.group)
        groups.set_message(tx, entry.group, place)
        groups.mark_edited(tx, entry.group, now)
    if channels.mark_working(tx, entry.channel):
        _welcome_back(tx, delivery, entry.channel, now)
    report_accepted(tx, operators=delivery.operators, now=now)
    return True


def _welcome_back(tx: Tx, delivery: Delivery, channel: str, now: datetime) -> None:
    """A broken channel works again: the messages that belong there are posted in their present state."""
    for number in channels.diverted_from(tx, channel):
        groups.bring_back(tx, number)
        outbox.add(tx, Notification(NotificationKind.EDIT, ping=False), group=number, channel=channel, now=now)
    _notify_operators(tx, delivery, operator_texts.channel_works(channel))


def _handle_error(tx: Tx, delivery: Delivery, entry: OutboxEntry, error: SlackError) -> None:
    """What becomes of a notification that was not sent: later, elsewhere, or never, as the type of the error says."""
    now = delivery.clock()
    if not deliveries.is_held(tx, entry, owner=delivery.owner):
        # Another process has claimed it: what becomes of it is decided there.
        log.warning(
            "notification_overtaken", notification=entry.number, kind=entry.notification.kind.value, code=error.code
        )
        return
    # A list is a convenience, and a return is tried again in an hour: neither follows the alerts to the fallback.
    follows = entry.action not in {OutboxAction.FILE, OutboxAction.RETURN}
    if isinstance(error, SlackDestination) and follows and _break(tx, delivery, entry, error, now):
        return
    reason, pause = f"{error.code}: {error.lines[0]}", _pause(tx, entry, error, now)
    if pause is None:
        _give_up(tx, delivery, entry, reason, now)
        return
    uncertain = entry.uncertain or isinstance(error, SlackUncertain)
    deliveries.mark_deferred(tx, entry, owner=delivery.owner, due_at=now + pause, error=reason, uncertain=uncertain)
    log.warning(
        "notification_postponed",
        notification=entry.number,
        kind=entry.notification.kind.value,
        code=error.code,
        attempts=entry.attempts,
        seconds=round(pause.total_seconds(), 1),
    )


def _pause(tx: Tx, entry: OutboxEntry, error: SlackError, now: datetime) -> timedelta | None:  # noqa: PLR0911 — one case each
    """How long to wait before the next attempt; None if there is none. Notes which other entries have to wait as well."""
    match error, entry.action:
        case SlackRejected(), _:
            return None
        case SlackBusy(retry_after=seconds), _:
            pause = timedelta(seconds=seconds)
            channels.hold(tx, entry.channel, until=now + pause)
            return pause
        case SlackRefused(), OutboxAction.FILE:
            return None
        case SlackRefused(), _:
            channels.hold(tx, EVERY_CHANNEL, until=now + _PROBE_PAUSE)
            report_refused(tx, error.code, now=now)
            return _PROBE_PAUSE
        case SlackDestination(), OutboxAction.FILE | OutboxAction.RETURN:
            channels.mark_broken(tx, entry.channel, error.code, now=now)
            return None
        case SlackDestination(), _:  # of the fallback channel itself
            return max(_backoff(entry), _PROBE_PAUSE)
        case SlackGone(), OutboxAction.MESSAGE if entry.group is not None and groups.reposts(tx, entry.group) == 0:
            groups.count_repost(tx, entry.group)
            return timedelta(0)
        case SlackGone(), OutboxAction.REPLY if entry.notification.ping:
            deliveries.post_to_channel(tx, entry)  # the thread is gone, the ping must not be
            return timedelta(0)
        case SlackGone(), _:  # deleted a second time, it is not wanted; and nobody misses a line below it
            return None
        case _:
            return _backoff(entry)


def _backoff(entry: OutboxEntry) -> timedelta:
    """Exponential, and spread by the notification's number, so that those that wait do not march in step."""
    pause = min(timedelta(seconds=2 ** min(entry.attempts, 10)), _LONGEST_PAUSE)
    return pause + pause * ((entry.number * 7919 + entry.attempts * 104_729) % 1000) / 2000


def _break(tx: Tx, delivery: Delivery, entry: OutboxEntry, error: SlackError, now: datetime) -> bool:
    """Note that a channel cannot be written to, notify the operators once, and send the entry to the fallback.

    False if the fallback is the broken channel.
    """
    if channels.mark_broken(tx, entry.channel, error.code, now=now):
        log.error("channel_broken", channel=entry.channel, code=error.code)
        line = operator_texts.channel_broken(entry.channel, error.code, fallback=delivery.fallback)
        _notify_operators(tx, delivery, line, but_not=entry.channel)
    return _reroute(tx, delivery, entry, now)


def _reroute(tx: Tx, delivery: Delivery, entry: OutboxEntry, now: datetime) -> bool:
    """Send a notification, and the message it belongs to, to the fallback channel; False if that is its channel already."""
    if entry.channel == delivery.fallback:
        return False
    if entry.group is not None and entry.action in {OutboxAction.MESSAGE, OutboxAction.REPLY}:
        groups.reroute(tx, entry.group, delivery.fallback)
    deliveries.reroute(tx, entry, owner=delivery.owner, to=delivery.fallback, now=now)
    return True


def _notify_operators(tx: Tx, delivery: Delivery, line: str, *, but_not: str = "") -> None:
    channel = delivery.fallback if delivery.operators == but_not else delivery.operators
    if channel == but_not:
        raise_alarm(tx, line, now=delivery.clock())
        return
    outbox.add_alone(
        tx, Notification(NotificationKind.OPERATOR, ping=False, lines=(line,)), channel=channel, now=delivery.clock()
    )


def _give_up(tx: Tx, delivery: Delivery, entry: OutboxEntry, reason: str, now: datetime) -> None:
    deliveries.mark_failed(tx, entry, owner=delivery.owner, error=reason, now=now)
    log.error("notification_given_up", notification=entry.number, kind=entry.notification.kind.value, why=reason)
