"""Slices of odometers: exact at any size, and as of any moment."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.domain.history import CounterReset, Slice
from alertbot.domain.series import UNKNOWN, Odometer, Odometers, Reset, ResetKind
from alertbot.domain.snapshots import Configuration, Counter
from alertbot.store import configurations, slices, snapshots, sources
from alertbot.store.database import Database, Tx
from alertbot.store.snapshots import Counted
from tests.builders import START, at, write_slice

VIOLATIONS, CALLS = Counter.POLICY_VIOLATIONS, Counter.API_CALLS
LARGE = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**38]
CHAT = Configuration(
    "llm-1",
    "support – “chat” 🤖",
    "OPENAI",
    "workspace-1",
    START.astimezone(ZoneInfo("Asia/Tokyo")) - timedelta(microseconds=1),
    (("repo-1", "files, %s"), ("repo-2", "{more}")),
)


@pytest.fixture
def database(database: Database) -> Database:
    with database.transaction() as tx:
        sources.register(tx, ["acme", "globex"])
    return database


def begin(tx: Tx, minute: float, *, source: int = 1) -> int:
    return snapshots.begin_reading(tx, source, at(minute))


def add(tx: Tx, *new: str, source: int = 1, minute: float = 0) -> dict[str, int]:
    return configurations.add(tx, source, [Configuration(ai_llm, ai_llm) for ai_llm in new], at(minute))


def odometers(**grown: int) -> Odometers:
    known = {Counter(name): Odometer(amount, amount) for name, amount in grown.items()}
    return dict.fromkeys(Counter, UNKNOWN) | known


def read(database: Database, minute: float, grown: Mapping[int, int], *, source: int = 1, absent: int = 0) -> None:
    """A reading in which configurations have grown so far."""
    with database.transaction() as tx:
        counted = [
            Counted(number, odometers(policy_violations=amount), absent=number == absent)
            for number, amount in grown.items()
        ]
        write_slice(tx, begin(tx, minute, source=source), counted, at(minute))


def slice_at(database: Database, minute: float, *, source: str = "acme") -> Slice | None:
    key = (source, at(minute))
    with database.reading() as tx:
        return slices.slices(tx, {key: frozenset({VIOLATIONS})}).get(key)


counts = st.integers(0, 10**39 - 1)
any_odometer = st.builds(Odometer, counts, counts, st.none() | counts)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({counter: any_odometer | st.just(UNKNOWN) for counter in Counter}))
def test_totals_growth_and_held_steps_come_back_as_they_went(database: Database, written: Odometers) -> None:
    keep_and_compare(database, written)


@pytest.mark.parametrize("amount", LARGE)
def test_counters_are_exact_at_every_edge_of_the_machine(database: Database, amount: int) -> None:
    keep_and_compare(database, dict.fromkeys(Counter, Odometer(amount, amount, held=amount - 1)))


def keep_and_compare(database: Database, written: Odometers) -> None:
    with database.engine.connect() as tx:  # and it is rolled back
        number = add(tx, "llm-1")["llm-1"]
        reading = begin(tx, 0)
        write_slice(tx, reading, [Counted(number, written)], START)
        (known,) = snapshots.known(tx, 1).values()
        assert known.odometers == {
            counter: UNKNOWN if odometer.total is None else odometer for counter, odometer in written.items()
        }
        found = slices.slices(tx, {("acme", START): frozenset(Counter)})["acme", START]
        known_ones = {counter: odometer for counter, odometer in written.items() if odometer.total is not None}
        assert {counter: dict(grown) for counter, grown in found.grown.items() if grown} == {
            counter: {number: odometer.grown} for counter, odometer in known_ones.items()
        }


@pytest.mark.parametrize("amount", LARGE)
def test_falls_are_exact_at_every_edge_of_the_machine(database: Database, amount: int) -> None:
    step = Reset(VIOLATIONS, ResetKind.CORRECTION, amount + 1, amount)
    with database.transaction() as tx:
        number = add(tx, "llm-1")["llm-1"]
        counted = Counted(number, odometers(), resets=(step,))
        write_slice(tx, begin(tx, 5), [counted], at(5))
        assert snapshots.resets_since(tx, ["acme"], at(4)) == (
            CounterReset(number, VIOLATIONS, ResetKind.CORRECTION, at(5), amount + 1, amount),
        )
        assert snapshots.resets_since(tx, ["acme"], at(5)) == ()
        assert snapshots.resets_since(tx, ["globex"], START) == ()


def test_one_counter_past_all_bounds_changes_no_other(database: Database) -> None:
    with database.transaction() as tx:
        numbers = add(tx, "llm-1", "llm-2")
        counted = [
            Counted(numbers["llm-1"], odometers(api_calls=10**38, policy_violations=3)),
            Counted(numbers["llm-2"], odometers(api_calls=7, policy_violations=2**63)),
        ]
        write_slice(tx, begin(tx, 0), counted, START)
        assert {
            ai_llm: {
                counter: odometer.total for counter, odometer in known.odometers.items() if odometer.total is not None
            }
            for ai_llm, known in snapshots.known(tx, 1).items()
        } == {"llm-1": {CALLS: 10**38, VIOLATIONS: 3}, "llm-2": {CALLS: 7, VIOLATIONS: 2**63}}


def test_a_counter_that_was_never_given_stays_unknown(database: Database) -> None:
    with database.transaction() as tx:
        number = add(tx, "llm-1")["llm-1"]
        counted = Counted(number, odometers(policy_violations=0))
        write_slice(tx, begin(tx, 0), [counted], START)
        found = slices.slices(tx, {("acme", START): frozenset({VIOLATIONS, CALLS})})["acme", START]
    assert found.grown == {VIOLATIONS: {number: 0}, CALLS: {}}


@pytest.mark.parametrize(
    ("minute", "taken", "after"),
    [
        pytest.param(-60, 10, 20, id="before the first reading, the first reading"),
        pytest.param(9.99, 10, 20, id="just before the first reading, the first reading"),
        pytest.param(10, 10, 20, id="at the first reading, the first reading"),
        pytest.param(19.99, 10, 20, id="between two readings, the older one"),
        pytest.param(20, 20, 80, id="at a reading, that reading"),
        pytest.param(79, 20, 80, id="inside a gap, the reading before it and when the gap ended"),
        pytest.param(80, 80, None, id="at the newest reading, the newest"),
        pytest.param(6000, 80, None, id="long after the newest reading, the newest"),
    ],
)
def test_a_slice_is_as_of_a_moment(database: Database, minute: float, taken: float, after: float | None) -> None:
    with database.transaction() as tx:
        number = add(tx, "llm-1", minute=10)["llm-1"]
    for minutes in (10, 20, 80):
        read(database, minutes, {number: minutes})
    found = slice_at(database, minute)
    assert found == Slice(at(taken), None if after is None else at(after), {VIOLATIONS: {number: int(taken)}})


def test_a_source_without_a_reading_has_no_slice(database: Database) -> None:
    assert slice_at(database, 0) is None


def test_sources_do_not_mix(database: Database) -> None:
    with database.transaction() as tx:
        mine, other = add(tx, "llm-1")["llm-1"], add(tx, "llm-1", source=2)["llm-1"]
    read(database, 0, {mine: 5})
    read(database, 1, {other: 9}, source=2)
    found, others = slice_at(database, 2), slice_at(database, 2, source="globex")
    assert found is not None
    assert others is not None
    assert (found.taken_at, found.next_at, found.grown) == (at(0), None, {VIOLATIONS: {mine: 5}})
    assert (others.taken_at, others.grown) == (at(1), {VIOLATIONS: {other: 9}})
    with database.reading() as tx:
        assert {number: member.source for number, member in configurations.members(tx, ["globex"]).items()} == {
            other: "globex"
        }


def test_a_configuration_that_is_absent_carries_its_growth_and_is_marked(database: Database) -> None:
    with database.transaction() as tx:
        here, gone = add(tx, "llm-1", "llm-2").values()
    read(database, 0, {here: 1, gone: 2})
    read(database, 1, {here: 3, gone: 2}, absent=gone)
    before, after = slice_at(database, 0), slice_at(database, 1)
    assert before is not None
    assert after is not None
    assert before.absent == frozenset()
    assert after.absent == frozenset({gone})
    assert after.grown == {VIOLATIONS: {here: 3, gone: 2}}
    with database.reading() as tx:
        assert {ai_llm: one.absent for ai_llm, one in snapshots.known(tx, 1).items()} == {
            "llm-1": False,
            "llm-2": True,
        }


def test_a_configuration_is_described_as_the_source_described_it(database: Database) -> None:
    with database.transaction() as tx:
        number = configurations.add(tx, 1, [CHAT], START)["llm-1"]
        write_slice(tx, begin(tx, 0), [Counted(number, odometers())], START)
        known = snapshots.known(tx, 1)["llm-1"].configuration
        assert known == CHAT
        assert known.created_at is not None
        assert known.created_at.tzname() == "UTC"
        configurations.update(tx, {number: replace(CHAT, name="another", repos=())})
        assert snapshots.known(tx, 1)["llm-1"].configuration == replace(CHAT, name="another", repos=())
        (member,) = configurations.members(tx, ["acme"]).values()
        assert member.labels["name"] == "another"
        assert member.seen_at == START


def test_a_reading_of_thousands_of_configurations_is_kept_whole(database: Database) -> None:
    amount = 2001
    with database.transaction() as tx:
        numbers = add(tx, *(f"llm-{place}" for place in range(amount)))
    assert len(numbers) == amount
    read(database, 0, {number: number for number in numbers.values()})
    found = slice_at(database, 0)
    assert found is not None
    assert found.grown[VIOLATIONS] == {number: number for number in numbers.values()}


def test_the_reading_that_the_next_one_is_counted_from_cannot_be_deleted(database: Database) -> None:
    with database.transaction() as tx:
        number = add(tx, "llm-1")["llm-1"]
    for minute in range(3):
        read(database, minute, {number: minute})
    with database.transaction() as tx:
        snapshots.delete_readings(tx, [1, 2, 3])
        assert snapshots.last_reading(tx, 1) == (3, at(2))
        assert snapshots.known(tx, 1)["llm-1"].odometers[VIOLATIONS] == Odometer(2, 2)
