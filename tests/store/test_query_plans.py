"""What is done in each cycle, or while others wait for the writer, finds its rows by an index: years of what is over cost nothing."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from alertbot.domain.alerts import State
from alertbot.domain.decisions import Decision, NotifyReason
from alertbot.domain.notifications import Group, NotifiedState
from alertbot.domain.points import Resolution
from alertbot.domain.routes import Route
from alertbot.domain.rules import Severity
from alertbot.store import alerts, channels, deliveries, expiry, groups, homes, outbox, silences
from alertbot.store.database import Database, Tx
from alertbot.store.expiry import Expired
from tests.builders import START
from tests.store.counting import statements

ROUTE = Route("#ai-alerts")
GROUP = Group(key="rule=r", route=ROUTE, opened_at=START, number=1)
# Tables that keep years of what is over. A walk through one of them is what these tests find.
LONG = {
    "acts",
    "ai_points",
    "alerts",
    "decisions",
    "evidence",
    "groups",
    "memberships",
    "outbox",
    "readings",
    "snapshots",
    "storage_points",
    "transitions",
}
HOT: dict[str, Callable[[Tx], object]] = {
    "the open alerts": lambda tx: alerts.open_ones(tx, now=START),
    "how many alerts are open": alerts.counts,
    "the list of open alerts": lambda tx: alerts.listed(tx, states=(State.PENDING, State.FIRING)),
    "the message of an alert": lambda tx: groups.open_for(tx, ROUTE, "rule=r", now=START),
    "a worse alert's route": lambda tx: groups.upgrade_route(tx, ROUTE, 1, Severity.CRITICAL),
    "who is in a message": lambda tx: groups.members(tx, 1),
    "the messages of alerts": lambda tx: groups.of_alerts(tx, [1, 2]),
    "the channels of alerts": lambda tx: groups.channels_of(tx, [1, 2]),
    "what changed in an hour": lambda tx: groups.changes(tx, GROUP, since=START),
    "messages to look at": lambda tx: groups.due(tx, START),
    "when to look at a message": groups.next_check_at,
    "the open messages": groups.open_ones,
    "what was decided": lambda tx: groups.save(
        tx, GROUP, Decision((), NotifiedState(), NotifyReason.NOTIFIES), now=START
    ),
    "the last decision": lambda tx: groups.last_decision(tx, 1, until=START),
    "where messages are": lambda tx: groups.messages_of(tx, [1]),
    "messages that stand elsewhere": lambda tx: channels.diverted_from(tx, "#ai-alerts"),
    "what to send next": lambda tx: deliveries.claim(tx, owner="me", now=START, lease=timedelta(minutes=1)),
    "what a thread waits for": lambda tx: outbox.replies_waiting(tx, "G1"),
    "how much waits": outbox.depth,
    "whether something is late": lambda tx: outbox.has_overdue(tx, now=START),
    "what was put off": lambda tx: outbox.retry_now(tx, now=START),
    "silences in force": lambda tx: silences.in_force(tx, START),
    "what a Home shows": lambda tx: homes.fingerprint(tx, START),
}
DELETED = [
    rows
    for rows in (*expiry.buckets(Resolution.MINUTE, before=START), *expiry.of_the_trail(before=START))
    if rows.table.name in LONG
]


def walks(database: Database, tx: Tx, asked: list[tuple[str, object]]) -> list[str]:
    """The tables that the database would walk through from end to end for one of these statements."""
    found = []
    for statement, parameters in asked:
        if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")):
            continue
        if database.is_sqlite:
            plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]  # type: ignore[arg-type]
            found += [line for line in plan if line.startswith("SCAN") and " USING " not in line]
        else:
            tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # small tables are walked through whatever there is
            plan = [row[0] for row in tx.exec_driver_sql(f"EXPLAIN {statement}", parameters)]  # type: ignore[arg-type]
            found += [line for line in plan if "Seq Scan on" in line]
    return [line for line in found if set(line.replace('"', " ").split()) & LONG]


@pytest.mark.parametrize("ask", HOT.values(), ids=HOT.keys())
def test_what_each_cycle_asks_walks_through_no_table_that_keeps_years(
    database: Database, ask: Callable[[Tx], object]
) -> None:
    with database.engine.connect() as tx:  # and it is rolled back
        number = groups.open_for(tx, ROUTE, GROUP.key, now=START)
        assert number == GROUP.number
        with statements(database) as asked:
            ask(tx)
        assert asked, "it asks the database something"
        assert walks(database, tx, asked) == []


@pytest.mark.parametrize("rows", DELETED, ids=lambda rows: rows.table.name)
def test_what_is_over_is_deleted_without_a_walk_through_what_is_kept(database: Database, rows: Expired) -> None:
    with database.engine.connect() as tx:
        with statements(database) as asked:
            expiry.exist(tx, rows)
            expiry.delete_some(tx, rows)
        assert walks(database, tx, asked) == []
