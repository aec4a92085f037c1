"""Thinning: what is deleted takes nothing with it that an hour- or day-aligned window counts."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.domain.columns import Amount
from alertbot.domain.series import UNKNOWN, Odometer
from alertbot.domain.snapshots import Configuration, Counter
from alertbot.flows.retention import Retention, apply_retention
from alertbot.store import configurations, slices, snapshots, sources
from alertbot.store.database import Database
from alertbot.store.snapshots import Counted
from tests.builders import START, write_slice

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KEEP = Retention(raw=2 * HOUR, hourly=DAY, daily=10 * DAY, evidence=3 * DAY, audit=20 * DAY)
VIOLATIONS = Counter.POLICY_VIOLATIONS


def read(database: Database, moments: list[datetime]) -> None:
    """A reading at each moment, the n-th of which saw n violations; evaluation has seen all of them."""
    with database.transaction() as tx:
        sources.register(tx, ["acme"])
        (number,) = configurations.add(tx, 1, [Configuration("llm-1", "llm-1")], moments[0]).values()
        for grown, moment in enumerate(moments):
            odometers = dict.fromkeys(Counter, UNKNOWN) | {VIOLATIONS: Odometer(grown, grown)}
            reading = snapshots.begin_reading(tx, 1, moment)
            write_slice(tx, reading, [Counted(number, odometers)], moment)
        while sources.next_to_evaluate(tx, "acme") is not None:
            pass


def grown_at(database: Database, moments: list[datetime]) -> list[Amount]:
    """Where the odometer stood as of each moment."""
    with database.reading() as tx:
        wanted = {("acme", moment): frozenset({VIOLATIONS}) for moment in moments}
        found = slices.slices(tx, wanted)
        return [next(iter(found[key].grown[VIOLATIONS].values())) for key in wanted]


def readings(database: Database) -> list[datetime]:
    with database.reading() as tx:
        return [taken_at for _, taken_at in snapshots.evaluated_readings(tx, "acme", before=START + 1000 * DAY)]


def boundaries(of: timedelta, start: datetime, end: datetime) -> list[datetime]:
    return [START + of * turn for turn in range((start - START) // of, (end - START) // of + 2)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.timedeltas(timedelta(seconds=1), timedelta(minutes=50)), min_size=2, max_size=60),
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_every_window_that_begins_and_ends_with_an_hour_or_a_day_counts_what_it_counted(
    sqlite: Database, steps: list[timedelta], later: timedelta
) -> None:
    moments = [START]
    for step in steps:
        moments.append(moments[-1] + step)
    with sqlite.transaction() as tx:  # what an earlier example left
        snapshots.delete_readings(tx, [])
        tx.exec_driver_sql("DELETE FROM sources")
        tx.exec_driver_sql("DELETE FROM sqlite_sequence")
    read(sqlite, moments)
    now = moments[-1] + later
    hours = [hour for hour in boundaries(HOUR, moments[0], moments[-1]) if hour > now - KEEP.hourly]
    days = boundaries(DAY, moments[0], moments[-1])
    before = grown_at(sqlite, [*hours, *days])
    apply_retention(sqlite, KEEP, ["acme"], now=now)
    assert grown_at(sqlite, [*hours, *days]) == before


def test_readings_thin_out_with_their_age(database: Database) -> None:
    read(database, [START + HOUR / 2 * turn for turn in range(2 * 24 * 3 + 1)])
    apply_retention(database, KEEP, ["acme"], now=START + 3 * DAY + HOUR / 12)
    daily = [START, START + DAY, START + 2 * DAY]
    hourly = [START + 2 * DAY + HOUR * hour for hour in range(1, 23)]
    every = [START + 3 * DAY - HOUR / 2 * turn for turn in (3, 2, 1, 0)]
    assert readings(database) == daily + hourly + every


def test_what_no_evaluation_has_seen_is_kept(database: Database) -> None:
    read(database, [START, START + timedelta(minutes=10), START + timedelta(minutes=20)])
    with database.transaction() as tx:
        tx.exec_driver_sql("UPDATE sources SET evaluated = 1")
    assert apply_retention(database, KEEP, ["acme"], now=START + 100 * DAY) == 0


@pytest.mark.parametrize("again", [1, 2], ids=["once", "twice"])
def test_the_first_and_the_newest_reading_are_never_deleted(database: Database, again: int) -> None:
    read(database, [START + HOUR * turn / 4 for turn in range(30)])
    for _ in range(again):
        apply_retention(database, KEEP, ["acme"], now=START + 1000 * DAY)
    kept = readings(database)
    assert (kept[0], kept[-1]) == (START, START + HOUR * 29 / 4)
