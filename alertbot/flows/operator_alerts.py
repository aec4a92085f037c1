"""What keeps the bot from its work: told once, by a way that still works, and taken back when it is over.

Below the other flows, inside their transactions: what was noted as told is on its way to people.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import structlog

from alertbot.domain import operator_texts
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.errors import SlackBusy, SlackError, SlackRefused
from alertbot.store import channels, operator_alerts, outbox, sources
from alertbot.store.channels import EVERY_CHANNEL
from alertbot.store.database import Database, Tx
from alertbot.store.operator_alerts import OperatorAlert

log = structlog.get_logger()
_UNREACHABLE = "slack"
_FORGOTTEN_AFTER = 5  # times the patience: whoever saw a trouble and has not looked for so long is dead
# Refusals that only a call which sends something meets: that Slack knows our token does not mean that they are over.
_OF_SENDING = frozenset({"missing_scope", "no_permission", "ekm_access_denied", "not_allowed_token_type"})


def concerns_some_calls(code: str) -> bool:
    """Whether a refusal is about some calls only, such as those that need a scope: the token itself is accepted."""
    return code in _OF_SENDING


def raise_alarm(tx: Tx, text: str, *, now: datetime) -> None:
    """Tell the operators by the way that needs no token, and in the log."""
    log.error("operator_alert", text=text)
    outbox.add_alarm(tx, text, now=now)


def report_refused(tx: Tx, code: str, *, now: datetime) -> None:
    """Slack refuses the app as a whole."""
    if channels.mark_broken(tx, EVERY_CHANNEL, code, now=now):
        raise_alarm(tx, operator_texts.slack_refuses(code), now=now)


def report_accepted(tx: Tx, *, operators: str, now: datetime) -> None:
    """Slack takes the app's calls; told where it did not."""
    if channels.mark_working(tx, EVERY_CHANNEL):
        outbox.retry_now(tx, now=now)
        notify_operators(tx, operator_texts.slack_accepts(), operators=operators, now=now)


def note_greeting(
    database: Database,
    error: SlackError | None,
    *,
    owner: str,
    operators: str,
    unanswered_since: datetime | None,
    patience: timedelta,
    now: datetime,
) -> None:
    """What follows from asking Slack who we are: found out also while there is nothing to send.

    `unanswered_since` is when this process was first not answered; that is told after `patience`.
    """
    if isinstance(error, SlackRefused):
        with database.transaction() as tx:
            report_refused(tx, error.code, now=now)
        return
    if error is not None and not isinstance(error, SlackBusy):
        if unanswered_since is not None and now - unanswered_since >= patience:
            with database.transaction() as tx:
                _begin_unreachable(tx, OperatorAlert(_UNREACHABLE, error.code, unanswered_since, owner, now))
        return
    with database.reading() as tx:
        operator_alert = operator_alerts.standing(tx).get(_UNREACHABLE)
        refused = channels.reason_of(tx, EVERY_CHANNEL)
    if refused and not concerns_some_calls(refused):
        with database.transaction() as tx:
            report_accepted(tx, operators=operators, now=now)
    if operator_alert is not None and (
        operator_alert.owner == owner or now - operator_alert.seen_at > patience * _FORGOTTEN_AFTER
    ):
        with database.transaction() as tx:
            _end_unreachable(tx, operator_alert, operators=operators, now=now)


def _begin_unreachable(tx: Tx, operator_alert: OperatorAlert) -> None:
    if operator_alerts.begin(tx, operator_alert):
        text = operator_texts.slack_unreachable(operator_alert.reason, since=operator_alert.since)
        raise_alarm(tx, text, now=operator_alert.seen_at)


def _end_unreachable(tx: Tx, operator_alert: OperatorAlert, *, operators: str, now: datetime) -> None:
    if operator_alerts.end(tx, operator_alert):
        outbox.drop_alarms(tx, why="it is over", now=now)  # what could not be told in time is told now, as past
        outbox.retry_now(tx, now=now)
        text = operator_texts.slack_reachable(since=operator_alert.since, now=now)
        notify_operators(tx, text, operators=operators, now=now)


def report_stalls(
    database: Database,
    patience: Mapping[str, timedelta],
    intervals: Mapping[str, timedelta],
    *,
    owner: str,
    operators: str,
    awake_since: datetime,
    now: datetime,
) -> Collection[str]:
    """Tell of each source that nobody has tried to read for its `patience` though this process runs; their names.

    `awake_since` is since when this process has not slept: what it slept through is no stall.
    """
    with database.reading() as tx:
        last = sources.expected(tx, intervals)
        known = operator_alerts.standing(tx)
    stalled = {
        name: last.get(name, awake_since)
        for name, longest in patience.items()
        if now - max(last.get(name, awake_since), awake_since) >= longest
    }
    for name in patience:
        operator_alert = known.get(_poller(name))
        if name in stalled and operator_alert is None:
            _begin_stall(
                database, name, OperatorAlert(_poller(name), "", stalled[name], owner, now), operators=operators
            )
        # Whoever wakes up says nothing of it before somebody has tried again.
        elif (
            name not in stalled
            and operator_alert is not None
            and last.get(name, operator_alert.since) > operator_alert.since
        ):
            _end_stall(database, name, operator_alert, operators=operators, now=now)
    return tuple(stalled)


def _poller(name: str) -> str:
    return f"poller {name}"


def _begin_stall(database: Database, name: str, operator_alert: OperatorAlert, *, operators: str) -> None:
    log.error("poller_stalled", source=name, since=operator_alert.since.isoformat())
    with database.transaction() as tx:
        if operator_alerts.begin(tx, operator_alert):
            text = operator_texts.source_not_polled(name, since=operator_alert.since)
            notify_operators(tx, text, operators=operators, now=operator_alert.seen_at)


def _end_stall(database: Database, name: str, operator_alert: OperatorAlert, *, operators: str, now: datetime) -> None:
    log.info("poller_recovered", source=name)
    with database.transaction() as tx:
        if operator_alerts.end(tx, operator_alert):
            text = operator_texts.source_polled_again(name, since=operator_alert.since, now=now)
            notify_operators(tx, text, operators=operators, now=now)


def notify_operators(tx: Tx, text: str, *, operators: str, now: datetime) -> None:
    """Tell those who run the bot something about the bot itself."""
    outbox.add_alone(tx, Notification(NotificationKind.OPERATOR, ping=False, lines=(text,)), channel=operators, now=now)
