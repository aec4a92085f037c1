"""Gives up notifications that could not be sent while they mattered, and tells the operators how many and which."""

from datetime import datetime, timedelta

import structlog

from alertbot.domain import operator_texts
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import outbox
from alertbot.store.database import Database

log = structlog.get_logger()
_MATTERS_FOR = timedelta(hours=24)


def give_up_old(database: Database, *, operators: str, now: datetime) -> None:
    """Give up what is older than 24 hours.

    Not the message of alerts that still fire, nor one that stands in Slack and would stay untrue there; not what operators
    have to know.
    """
    with database.reading() as tx:
        if not outbox.has_old(tx, before=now - _MATTERS_FOR, now=now):
            return
    with database.transaction() as tx:
        given_up = outbox.give_up_old(tx, before=now - _MATTERS_FOR, why="older than 24 hours", now=now)
        if given_up:
            text = operator_texts.given_up([(notification.group, notification.kind.value) for notification in given_up])
            notify_operators(tx, text, operators=operators, now=now)
    for notification in given_up:
        log.error(
            "notification_given_up",
            notification=notification.number,
            kind=notification.kind.value,
            why="older than 24 hours",
        )
