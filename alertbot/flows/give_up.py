"""Gives up notifications that could not be sent while they mattered, and tells the operators how many and which."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import outbox
from alertbot.store.database import Database
from alertbot.store.outbox import GivenUp

log = structlog.get_logger()
_MATTERS_FOR = timedelta(hours=24)
_MOST_NAMED = 10  # messages; a line that nobody reads to its end says less


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
            notify_operators(tx, _in_words(given_up), operators=operators, now=now)
    for notification in given_up:
        log.error(
            "notification_given_up",
            notification=notification.number,
            kind=notification.kind.value,
            why="older than 24 hours",
        )


def _in_words(given_up: Sequence[GivenUp]) -> str:
    """Says how many they are, and which, such as `G3 (escalation, resolved)`."""
    kinds: dict[str, list[str]] = {}
    for notification in given_up:
        kinds.setdefault(
            "about alertbot itself" if notification.group is None else f"G{notification.group}", []
        ).append(notification.kind.value)
    named = [f"{name} ({', '.join(dict.fromkeys(of_it))})" for name, of_it in kinds.items()]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    were = "notification was" if len(given_up) == 1 else "notifications were"
    return (
        f"{len(given_up)} {were} given up, as Slack took nothing for 24 hours: {', '.join(named[:_MOST_NAMED])}{more}. "
        "Alerts that still fire are sent."
    )
