"""LLMs come and go, and some come by the ten thousand: what was watched is counted as ever, and a cycle costs no more for good."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from alertbot.domain.snapshots import RESTS_AFTER, Configuration, Counter, Reading, Snapshot, within_limit
from alertbot.flows.count import apply
from alertbot.flows.retention import Retention, apply_retention
from alertbot.store import configurations, series_slices, slices, sources
from alertbot.store.database import Database
from tests.builders import START

MOST = 200  # as many LLMs of a source are counted in these tests
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CALLS = Counter.API_CALLS
KEEP = Retention(raw=7 * DAY, hourly=90 * DAY, daily=1000 * DAY, evidence=90 * DAY, audit=1000 * DAY)


@pytest.fixture
def acme(database: Database) -> Database:
    with database.transaction() as tx:
        sources.register(tx, ["acme"])
    return database


def llms(*totals: tuple[str, int]) -> tuple[Snapshot, ...]:
    return tuple(Snapshot(ai_llm, {CALLS: total}) for ai_llm, total in totals)


def flood(count: int, start: int = 0) -> tuple[Snapshot, ...]:
    return llms(*((f"flood-{number:06}", 7) for number in range(start, start + count)))


def read(
    database: Database, at: datetime, seen: Iterable[Snapshot], *, named: tuple[Configuration, ...] | None = None
) -> None:
    with database.transaction() as tx:
        claim = sources.claim(tx, "acme", owner="me", interval=HOUR, lease=HOUR, now=at, at_once=True)
        assert claim is not None
        assert apply(tx, claim, Reading("acme", at, tuple(seen), named), operators="#operators", most=MOST)


def grown(database: Database, ai_llm: str, start: datetime, end: datetime) -> int | None:
    """The increase of an LLM's calls, as evaluation and as a chart see it, which agree."""
    with database.reading() as tx:
        number = {one.labels["ai_llm"]: one.number for one in configurations.members(tx, ["acme"]).values()}[ai_llm]
        wanted = {("acme", moment): frozenset({CALLS}) for moment in (start, end)}
        found = slices.slices(tx, wanted)
        older, newer = (found["acme", moment].grown[CALLS] for moment in (start, end))
        along = series_slices.slices_along(tx, "acme", [start, end], [CALLS], [number])
        assert [along["acme", moment].grown[CALLS].get(number) for moment in (start, end)] == [
            older.get(number),
            newer.get(number),
        ]
    return None if number not in newer else int(newer[number]) - int(older.get(number, 0))


def rows(database: Database, table: str, which: str = "true") -> int:
    with database.reading() as tx:
        return int(tx.execute(sa.text(f"SELECT count(*) FROM {table} WHERE {which}")).scalar_one())


def told(database: Database) -> int:
    return rows(database, "outbox", "channel = '#operators'")


def test_an_llm_that_is_absent_for_long_costs_no_row_a_reading_and_is_counted_right_when_it_is_back(
    acme: Database,
) -> None:
    read(acme, START, llms(("a", 10), ("b", 10)))
    read(acme, START + HOUR, llms(("a", 15), ("b", 30)))
    gone_at = START + 2 * HOUR
    for day in range(20):
        read(acme, gone_at + day * DAY, llms(("a", 15)))
    resting = gone_at + RESTS_AFTER
    number = "configuration = 2"
    assert rows(acme, "snapshots", number) == 2 + RESTS_AFTER.days, "none since it rests"
    assert rows(acme, "rests", number) == 1
    back_at = gone_at + 30 * DAY
    read(acme, back_at, llms(("a", 15), ("b", 34)))
    read(acme, back_at + HOUR, llms(("a", 15), ("b", 35)))
    assert grown(acme, "b", START, resting + DAY) == 20, "what it grew before it went is not lost while it rests"
    assert grown(acme, "b", resting + DAY, back_at) == 4, "from where it stood, and not from 0"
    assert grown(acme, "b", START, back_at + HOUR) == 25
    assert grown(acme, "b", resting + DAY, resting + 2 * DAY) == 0
    for day in range(1, 10):
        read(acme, back_at + day * DAY, llms(("a", 15)))
    read(acme, back_at + 10 * DAY, llms(("a", 15), ("b", 40)))
    assert grown(acme, "b", resting + DAY, back_at + 10 * DAY) == 10, "also across two rests"


def test_an_llm_that_nothing_kept_has_seen_is_forgotten(acme: Database) -> None:
    read(acme, START, llms(("a", 10), ("b", 10)))
    for day in range(1, 30):
        read(acme, START + day * DAY, llms(("a", 10 + day)))
    apply_retention(acme, KEEP, ["acme"], now=START + 1000 * DAY)
    assert rows(acme, "configurations") == 2
    apply_retention(acme, KEEP, ["acme"], now=START + 1002 * DAY)
    assert rows(acme, "configurations") == rows(acme, "counters") == 1
    assert rows(acme, "rests") == 0


def test_a_flood_of_ids_takes_no_place_from_what_was_watched_and_is_told_once(acme: Database) -> None:
    read(acme, START, llms(("a", 10), ("b", 10)))
    read(acme, START + HOUR, llms(("a", 11), ("b", 12)))
    for hour in (2, 3):
        read(acme, START + hour * HOUR, [*flood(MOST + 50), *llms(("a", 13), ("b", 14 + hour), ("busy", 99))])
    assert rows(acme, "configurations") == MOST
    assert rows(acme, "configurations", "ai_llm = 'busy'") == 1, "of what is new, that with the most calls comes first"
    assert grown(acme, "b", START, START + 3 * HOUR) == 7
    assert told(acme) == 1


def test_ids_that_change_with_each_reading_make_room_for_one_another(acme: Database) -> None:
    read(acme, START, llms(("a", 10)))
    for hour in range(1, 4):
        read(acme, START + hour * HOUR, [*flood(120, hour * 120), *llms(("a", 10 + hour))])
    assert rows(acme, "configurations") == MOST
    assert grown(acme, "a", START, START + 3 * HOUR) == 3
    assert rows(acme, "configurations", "ai_llm = 'flood-000120'") == 0, "who is absent for longest goes first"
    assert told(acme) == 0, "each of them was counted"


def test_what_was_left_out_does_not_count_its_whole_past_when_there_is_room_for_it(acme: Database) -> None:
    read(acme, START, flood(MOST))
    late = llms(("left-out", 0))
    read(acme, START + HOUR, [*flood(MOST), *late])
    two, three = START + 2 * HOUR, START + 3 * HOUR
    made = Configuration("made", "made", created_at=START + HOUR + timedelta(minutes=1))
    read(acme, two, [*flood(10), *llms(("left-out", 500), ("made", 20))], named=(made,))
    read(acme, three, [*flood(10), *llms(("left-out", 501), ("made", 21), ("new", 3))])
    assert grown(acme, "left-out", START, three) == 1, "the 500 may be from any time"
    assert grown(acme, "made", START, three) == 21, "it was made since the last reading"
    assert grown(acme, "new", START, three) == 3, "all were counted before it"
    assert told(acme) == 2, "that some were left out, and that it is over"


def test_the_limit_keeps_those_that_are_known_and_the_busiest() -> None:
    seen = llms(("new", 5), ("busy", 9), ("known", 0))
    assert within_limit(seen, {"known"}, most=2) == (llms(("busy", 9), ("known", 0)), 1)
    assert within_limit(seen, {"known"}, most=3) == (seen, 0)
    assert within_limit(seen, {"known", "new", "busy"}, most=2) == (seen, 0), "whatever was known before it was lowered"
