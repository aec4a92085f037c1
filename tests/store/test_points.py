"""Points in the store: buckets are replaced, never added, and every window is the sum of its buckets."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import combinations as label_sets_of_length
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.points import Dataset, LabelSet, Point, Resolution, floor
from alertbot.store import expiry, migrate, points, sources
from alertbot.store.database import Database, Tx
from alertbot.store.tables import ai_points, label_sets
from tests.builders import START, at, patiently

GPT, CLAUDE = LabelSet("llm-1", model="gpt-4o"), LabelSet("llm-1", model="claude")


@pytest.fixture
def acme(database: Database) -> Database:
    with database.transaction() as tx:
        sources.register(tx, ["acme", "acme/ai", "acme/storage"])
    return database


def write(database: Database, *drawn: Point, resolution: Resolution = Resolution.MINUTE) -> int:
    with database.transaction() as tx:
        return points.write(tx, sources.number_of(tx, "acme"), Dataset.AI, resolution, drawn)


def calls(minute: float, amount: int, of: LabelSet = GPT) -> Point:
    return Point(at(minute), of, {"api_calls": amount})


def grown(database: Database, start: datetime, end: datetime, name: str = "api_calls") -> int:
    """How much of it everything together has in the buckets that began in [start, end)."""
    with database.reading() as tx:
        found = points.slices(tx, "acme", Dataset.AI, [start, end], amounts=[name], known=(START, end))
    return int(sum(found[end].grown[name].values()) - sum(found[start].grown[name].values()))


def test_a_bucket_that_is_read_again_is_replaced_and_not_added(acme):
    assert write(acme, calls(0, 3)) == 1
    assert write(acme, calls(0, 5), calls(1, 1)) == 2
    assert write(acme, calls(0, 5), calls(1, 1)) == 0
    assert grown(acme, at(0), at(60)) == 6


def test_a_bucket_that_shrinks_when_it_is_read_again_counts_what_it_holds_now(acme):
    write(acme, calls(0, 9))
    write(acme, calls(0, 2))
    assert [grown(acme, at(0), at(minute)) for minute in (1, 60, 60 * 24)] == [2, 2, 2]


def test_a_bucket_that_comes_late_counts_where_it_belongs(acme):
    write(acme, calls(100, 1))
    write(acme, calls(5, 4))
    assert [grown(acme, at(0), at(10)), grown(acme, at(10), at(200))] == [4, 1]


def test_label_sets_are_counted_apart(acme):
    write(acme, calls(0, 3), calls(0, 4, CLAUDE))
    with acme.reading() as tx:
        found = points.slices(tx, "acme", Dataset.AI, [at(0), at(9)], amounts=["api_calls"], known=(START, at(9)))
        members = points.members(tx, ["acme"], Dataset.AI)
    by_model = {members[number].labels["model"]: amount for number, amount in found[at(9)].grown["api_calls"].items()}
    assert by_model == {"gpt-4o": 3, "claude": 4}
    assert all(number < 0 for number in members)


@pytest.mark.parametrize("amount", [2**53 + 1, 2**63 - 1, 2**63, 2**64 + 1, 10**30], ids=str)
def test_numbers_of_any_size_are_exact(acme, amount):
    write(acme, calls(0, amount), calls(1, amount), calls(2, 1, CLAUDE))
    assert grown(acme, at(0), at(60)) == 2 * amount + 1
    assert grown(acme, at(0), at(1)) == amount


def test_what_can_be_negative_is(acme):
    shrunk = Point(at(0), LabelSet(repo="r1"), {"size_change_bytes": -(2**40)})
    grew = Point(at(1), LabelSet(repo="r1"), {"size_change_bytes": 5})
    with acme.transaction() as tx:
        points.write(tx, sources.number_of(tx, "acme"), Dataset.STORAGE, Resolution.MINUTE, [shrunk, grew])
        found = points.slices(
            tx, "acme", Dataset.STORAGE, [at(0), at(60)], amounts=["size_change_bytes"], known=(START, at(60))
        )
    assert list(found[at(60)].grown["size_change_bytes"].values()) == [5 - 2**40]


def test_before_there_were_points_stands_their_beginning(acme):
    write(acme, calls(0, 3))
    with acme.reading() as tx:
        found = points.slices(
            tx, "acme", Dataset.AI, [START - timedelta(days=1), at(9)], amounts=["api_calls"], known=(START, at(9))
        )
    assert found[START - timedelta(days=1)].taken_at == START


def test_days_can_be_had_without_their_minutes(acme):
    write(acme, calls(0, 7), resolution=Resolution.DAY)
    write(acme, calls(24 * 60 + 1, 2))
    assert grown(acme, at(0), at(48 * 60)) == 9


def test_old_minutes_go_and_their_sums_stay(acme):
    write(acme, calls(0, 3), calls(61, 4), calls(24 * 60, 5))
    with acme.transaction() as tx:
        minutes, _ = expiry.buckets(Resolution.MINUTE, before=at(24 * 60))
        assert expiry.delete_some(tx, minutes) == 2
    assert [grown(acme, at(0), at(60)), grown(acme, at(60), at(120)), grown(acme, at(0), at(25 * 60))] == [3, 4, 12]


@pytest.fixture(scope="module")
def a_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('points') / 'points.db'}", durable=False)
    migrate.upgrade(database)
    yield database
    database.close()


WRITES = st.lists(
    st.tuples(st.integers(0, 3 * 24 * 60), st.integers(0, 2**65), st.sampled_from([GPT, CLAUDE])),
    min_size=1,
    max_size=9,
)


@given(st.lists(WRITES, min_size=1, max_size=4), st.integers(0, 4000), st.integers(0, 4000))
@patiently
def test_any_window_is_the_sum_of_what_its_buckets_held_last(a_sqlite, reads, one, other):
    """However often buckets are read again, in whichever order."""
    database = a_sqlite
    with database.transaction() as tx:
        sources.register(tx, ["acme"])
        for table in (ai_points, label_sets):
            tx.execute(table.delete())
    held: dict[tuple[datetime, LabelSet], int] = {}
    for drawn in reads:
        mine = {(at(minute), of): amount for minute, amount, of in drawn}
        write(database, *(Point(bucket, of, {"api_calls": amount}) for (bucket, of), amount in mine.items()))
        held |= mine
    start, end = at(min(one, other)), at(max(one, other))
    assert grown(database, start, end) == sum(amount for (bucket, _), amount in held.items() if start <= bucket < end)
    assert all(floor(bucket, Resolution.MINUTE) == bucket for bucket, _ in held)


# --- a sum does not depend on the other moments that are asked for

MINUTES = st.integers(0, 5 * 24 * 60)


@given(
    minutes=st.lists(st.tuples(st.integers(2 * 24 * 60, 4 * 24 * 60 - 1), st.integers(1, 2**65)), max_size=9),
    days=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2**65)), max_size=4),
    thinned=st.tuples(MINUTES, MINUTES),
    asked=st.lists(MINUTES, min_size=2, max_size=7),
)
@patiently
def test_the_sum_between_two_moments_is_the_same_whatever_else_is_asked(a_sqlite, minutes, days, thinned, asked):
    """Of minutes, of days that came as days, and of what thinning left of both; and it misses nothing that lies inside."""
    database = a_sqlite
    with database.transaction() as tx:
        sources.register(tx, ["acme"])
        for table in (ai_points, label_sets):
            tx.execute(table.delete())
    write(database, *(calls(minute, amount) for minute, amount in minutes))
    with_minutes = {minute // (24 * 60) for minute, _ in minutes}
    write(database, *(calls(day * 24 * 60, n) for day, n in days if day not in with_minutes), resolution=Resolution.DAY)
    with database.transaction() as tx:
        thin(tx, Resolution.MINUTE, before=at(max(thinned)))
        thin(tx, Resolution.HOUR, before=at(min(thinned)))
    moments = sorted(asked)
    with database.reading() as tx:
        found = points.slices(
            tx, "acme", Dataset.AI, [at(minute) for minute in moments], amounts=["api_calls"], known=(START, at(9999))
        )
        stored = tx.execute(sa.select(ai_points.c.resolution, ai_points.c.bucket, ai_points.c.api_calls)).all()
    for start, end in label_sets_of_length(moments, 2):
        together = sum(found[at(end)].grown["api_calls"].values()) - sum(found[at(start)].grown["api_calls"].values())
        assert together == grown(database, at(start), at(end))
        assert together >= whole_inside(stored, at(start), at(end))


def thin(tx: Tx, resolution: Resolution, *, before: datetime) -> None:
    """Delete the buckets of a length as thinning does; the sums of longer buckets stay."""
    tx.execute(ai_points.delete().where(ai_points.c.resolution == resolution.value, ai_points.c.bucket < before))


def whole_inside(stored: Sequence[sa.Row[Any]], start: datetime, end: datetime) -> int:
    """What is stored in buckets that lie in [start, end) from their beginning to their end; the coarsest of each time."""
    inside: list[tuple[datetime, datetime]] = []
    together = 0
    for resolution in reversed(Resolution):
        mine = [
            (row.bucket, row.bucket + resolution.length, row.api_calls)
            for row in stored
            if row.resolution == resolution.value and start <= row.bucket and row.bucket + resolution.length <= end
        ]
        fresh = [one for one in mine if not any(first <= one[0] < last for first, last in inside)]
        inside += [(first, last) for first, last, _ in fresh]
        together += sum(amount for _, _, amount in fresh)
    return together


def test_a_moment_inside_of_a_day_that_is_known_as_a_day_only_loses_nothing_of_it(acme):
    for day in range(3):
        write(acme, calls(day * 24 * 60, 100), resolution=Resolution.DAY)
    noon, end = at(36 * 60), at(3 * 24 * 60)
    with acme.reading() as tx:
        found = points.slices(tx, "acme", Dataset.AI, [at(0), noon, end], amounts=["api_calls"], known=(START, end))
    assert [sum(found[moment].grown["api_calls"].values()) for moment in (at(0), noon, end)] == [0, 200, 300]


def test_an_hour_whose_minutes_are_gone_loses_nothing_either(acme):
    write(acme, calls(5, 3), calls(45, 4), calls(65, 8))
    with acme.transaction() as tx:
        thin(tx, Resolution.MINUTE, before=at(60))
    assert grown(acme, at(0), at(30)) + grown(acme, at(30), at(120)) == 15
