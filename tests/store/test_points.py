"""Points in the store: buckets are replaced, never added, and every window is the sum of its buckets."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.points import Combination, Plane, Point, Span, floor
from alertbot.store import expiry, migrate, points, sources
from alertbot.store.database import Database
from alertbot.store.tables import ai_points, combinations
from tests.builders import START, at, patiently

GPT, CLAUDE = Combination("llm-1", model="gpt-4o"), Combination("llm-1", model="claude")


@pytest.fixture
def acme(database: Database) -> Database:
    with database.transaction() as tx:
        sources.remember(tx, ["acme", "acme/ai", "acme/storage"])
    return database


def write(database: Database, *drawn: Point, span: Span = Span.MINUTE) -> int:
    with database.transaction() as tx:
        return points.write(tx, sources.number_of(tx, "acme"), Plane.AI, span, drawn)


def calls(minute: float, amount: int, of: Combination = GPT) -> Point:
    return Point(at(minute), of, {"api_calls": amount})


def grown(database: Database, start: datetime, end: datetime, name: str = "api_calls") -> int:
    """How much of it everything together has in the buckets that began in [start, end)."""
    with database.reading() as tx:
        found = points.slices(tx, "acme", Plane.AI, [start, end], amounts=[name], known=(START, end))
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


def test_combinations_are_counted_apart(acme):
    write(acme, calls(0, 3), calls(0, 4, CLAUDE))
    with acme.reading() as tx:
        found = points.slices(tx, "acme", Plane.AI, [at(0), at(9)], amounts=["api_calls"], known=(START, at(9)))
        members = points.members(tx, ["acme"], Plane.AI)
    by_model = {members[number].labels["model"]: amount for number, amount in found[at(9)].grown["api_calls"].items()}
    assert by_model == {"gpt-4o": 3, "claude": 4}
    assert all(number < 0 for number in members)


@pytest.mark.parametrize("amount", [2**53 + 1, 2**63 - 1, 2**63, 2**64 + 1, 10**30], ids=str)
def test_numbers_of_any_size_are_exact(acme, amount):
    write(acme, calls(0, amount), calls(1, amount), calls(2, 1, CLAUDE))
    assert grown(acme, at(0), at(60)) == 2 * amount + 1
    assert grown(acme, at(0), at(1)) == amount


def test_what_can_be_negative_is(acme):
    shrunk = Point(at(0), Combination(repo="r1"), {"size_change_bytes": -(2**40)})
    grew = Point(at(1), Combination(repo="r1"), {"size_change_bytes": 5})
    with acme.transaction() as tx:
        points.write(tx, sources.number_of(tx, "acme"), Plane.STORAGE, Span.MINUTE, [shrunk, grew])
        found = points.slices(
            tx, "acme", Plane.STORAGE, [at(0), at(60)], amounts=["size_change_bytes"], known=(START, at(60))
        )
    assert list(found[at(60)].grown["size_change_bytes"].values()) == [5 - 2**40]


def test_before_there_were_points_stands_their_beginning(acme):
    write(acme, calls(0, 3))
    with acme.reading() as tx:
        found = points.slices(
            tx, "acme", Plane.AI, [START - timedelta(days=1), at(9)], amounts=["api_calls"], known=(START, at(9))
        )
    assert found[START - timedelta(days=1)].taken_at == START


def test_days_can_be_had_without_their_minutes(acme):
    write(acme, calls(0, 7), span=Span.DAY)
    write(acme, calls(24 * 60 + 1, 2))
    assert grown(acme, at(0), at(48 * 60)) == 9


def test_old_minutes_go_and_their_sums_stay(acme):
    write(acme, calls(0, 3), calls(61, 4), calls(24 * 60, 5))
    with acme.transaction() as tx:
        minutes, _ = expiry.buckets(Span.MINUTE, before=at(24 * 60))
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
        sources.remember(tx, ["acme"])
        for table in (ai_points, combinations):
            tx.execute(table.delete())
    held: dict[tuple[datetime, Combination], int] = {}
    for drawn in reads:
        mine = {(at(minute), of): amount for minute, amount, of in drawn}
        write(database, *(Point(bucket, of, {"api_calls": amount}) for (bucket, of), amount in mine.items()))
        held |= mine
    start, end = at(min(one, other)), at(max(one, other))
    assert grown(database, start, end) == sum(amount for (bucket, _), amount in held.items() if start <= bucket < end)
    assert all(floor(bucket, Span.MINUTE) == bucket for bucket, _ in held)
