"""What is over goes after its time, some rows at a time; what is open stays, and what it refers to."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from alertbot.domain.points import Resolution
from alertbot.flows.retention import Retention, apply_retention
from alertbot.store import expiry, sources
from alertbot.store.database import Database
from alertbot.store.tables import (
    actions,
    ai_points,
    alerts,
    channels,
    decisions,
    groups,
    homes,
    label_sets,
    memberships,
    metadata,
    outbox,
    silences,
    transitions,
)
from tests.builders import START
from tests.store.counting import deleted_rows

DAY = timedelta(days=1)
KEEP = Retention(raw=DAY, hourly=2 * DAY, daily=10 * DAY, evidence=5 * DAY, audit=20 * DAY)
NOW = START + 1000 * DAY
OLD, RECENT = NOW - 21 * DAY, NOW - 19 * DAY


def put(database: Database, table: sa.Table, *rows: dict[str, Any]) -> None:
    """Rows of which only what matters is given; what has to be there besides is empty."""
    empty = {sa.String: "", sa.JSON: {}, sa.Integer: 0, sa.BigInteger: 0, sa.Boolean: False}
    needed = {
        column.name: next((value for kind, value in empty.items() if isinstance(column.type, kind)), OLD)
        for column in table.columns
        if not column.nullable and not column.primary_key and column.server_default is None
    }
    given: dict[str, Any] = dict.fromkeys(name for row in rows for name in row)
    with database.transaction() as tx:
        tx.execute(sa.insert(table), [needed | given | row for row in rows])


def kept(database: Database, table: sa.Table, name: str = "number") -> set[Any]:
    with database.reading() as tx:
        return set(tx.execute(sa.select(table.c[name])).scalars())


def alert(number: int, resolved_at: datetime | None, **more: Any) -> dict[str, Any]:
    state = "firing" if resolved_at is None else "resolved"
    return {"number": number, "state": state, "series": str(number), "resolved_at": resolved_at} | more


def group(number: int, closed_at: datetime | None, previous: int | None = None) -> dict[str, Any]:
    return {"number": number, "key": str(number), "channel": "#c", "closed_at": closed_at, "previous": previous}


def test_what_is_over_goes_and_what_is_open_stays_with_what_it_refers_to(database: Database) -> None:
    with database.transaction() as tx:
        sources.register(tx, ["acme"])
    put(
        database,
        alerts,
        alert(1, OLD),  # in a closed message
        alert(2, OLD),  # in an open one, with one that fires
        alert(3, None),
        alert(4, RECENT),
        alert(5, OLD, period=NOW + DAY),  # the memory of a budget's period
        alert(6, None, state="none"),  # was pending once, and never fired
    )
    put(database, groups, group(1, OLD), group(2, None, previous=3), group(3, OLD), group(4, RECENT), group(5, OLD))
    put(database, memberships, *({"group": each, "alert": number} for each, number in ((1, 1), (2, 2), (2, 3), (4, 4))))
    put(
        database,
        outbox,
        {"number": 1, "group": 1, "state": "sent", "done_at": OLD},
        {"number": 2, "group": 5, "state": "waiting"},
    )
    put(database, decisions, *({"number": each, "group": each} for each in (1, 2, 3, 4, 5)))
    put(database, transitions, *({"number": each, "alert": each} for each in range(1, 7)))
    put(database, actions, *({"number": each, "alert": each, "key": str(each)} for each in range(1, 7)))
    put(database, silences, {"number": 1, "ends_at": OLD}, {"number": 2, "ends_at": RECENT})
    put(
        database,
        channels,
        {"name": "#fine", "broken": ""},
        {"name": "#c", "broken": "x", "broken_at": OLD},
        {"name": "#waits", "broken": "", "wait_until": NOW + DAY},
    )
    put(database, homes, {"user": "U1", "opened_at": OLD}, {"user": "U2", "opened_at": RECENT})

    apply_retention(database, KEEP, ["acme"], now=NOW)

    assert kept(database, groups) == {2, 3, 4, 5}, "open, linked to by an open one, recent, about to be told"
    assert kept(database, decisions) == {2, 3, 4, 5}
    assert kept(database, alerts) == {2, 3, 4, 5}
    assert kept(database, transitions) == kept(database, actions) == {2, 3, 4, 5}
    assert kept(database, outbox) == {2}
    assert kept(database, silences) == {2}
    assert kept(database, channels, "name") == {"#c", "#waits"}, "#c is broken, and an open message belongs there"
    assert kept(database, homes, "user") == {"U2"}


def a_long_past(database: Database) -> None:
    """Two batches and a half of rows in several tables, and those below one alert and one message."""
    many = range(expiry.BATCH * 5 // 2)
    with database.transaction() as tx:
        sources.register(tx, ["acme"])
    put(database, label_sets, {"source": 1, "last_at": OLD, "seen_at": OLD})
    minutes = [OLD + timedelta(minutes=number) for number in many]
    put(database, ai_points, *({"resolution": "minute", "bucket": minute, "label_set": 1} for minute in minutes))
    put(database, alerts, alert(1, OLD))
    put(database, groups, group(1, OLD))
    put(database, memberships, {"group": 1, "alert": 1})
    put(database, transitions, *({"alert": 1} for _ in many))
    put(database, decisions, *({"group": 1} for _ in many))
    with database.transaction() as tx:
        tx.execute(sa.text("ANALYZE"))  # a server does so within a minute; the plan for empty tables takes minutes


def test_no_transaction_deletes_more_than_a_batch_and_others_have_their_turn_after_each(database: Database) -> None:
    a_long_past(database)
    rests: list[int] = []
    with deleted_rows(database) as deleted:
        apply_retention(database, KEEP, ["acme"], now=NOW, rest=lambda: rests.append(1))
    assert max(deleted) == expiry.BATCH, "also counting what goes by a foreign key"
    assert len(rests) >= len(deleted)
    assert kept(database, transitions) == kept(database, decisions) == kept(database, alerts) == set()
    assert kept(database, ai_points, "bucket") == set()
    assert kept(database, label_sets) == set(), "none of its points is kept any more"


def test_thinning_ends_with_the_batch_it_is_at_when_the_process_has_to_stop(sqlite: Database) -> None:
    a_long_past(sqlite)
    stopping: list[int] = []
    with deleted_rows(sqlite) as deleted:
        apply_retention(
            sqlite, KEEP, ["acme"], now=NOW, rest=lambda: stopping.append(1), is_stopping=lambda: bool(stopping)
        )
    assert deleted == [expiry.BATCH]
    apply_retention(sqlite, KEEP, ["acme"], now=NOW)
    assert kept(sqlite, ai_points, "bucket") == set(), "the rest goes the next time"


def test_every_table_is_thinned_or_is_known_to_have_an_end() -> None:
    """Whoever adds a table says here why it does not grow for ever, or what deletes its rows."""
    few = {
        "backfills": "two a source",
        "clock_corrections": "one each time that a clock was wrong",
        "counters": "one a configuration",
        "rule_errors": "those of rules that are no more go at the next evaluation",
        "evidence_fetches": "one a source",
        "rule_files": "those of processes that no longer run go with the next one that is told",
        "rules": "made and deleted by people",
        "operator_alerts": "some a source",
    }
    everything = (
        *expiry.buckets(Resolution.DAY, before=NOW),
        *expiry.of_evidence(before=NOW),
        *expiry.of_counting(before=NOW),
        *expiry.of_the_trail(before=NOW),
        *expiry.of_gone_sources([], tokens_before=NOW, before=NOW),
    )
    assert {rows.table.name for rows in everything} | few.keys() == metadata.tables.keys()
