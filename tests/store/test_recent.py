"""What is kept in memory is what the database says, and it is never too much."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from alertbot.domain.history import Member
from alertbot.domain.points import Dataset, LabelSet, Point, Resolution
from alertbot.domain.series import UNKNOWN, Odometer
from alertbot.domain.snapshots import Configuration, Counter
from alertbot.domain.standing import Standing
from alertbot.store import configurations, expiry, points, redating, slices, snapshots, sources
from alertbot.store.database import Database, Tx
from alertbot.store.recent import Recent
from tests.builders import START, at, minutes

VIOLATIONS, CALLS = Counter.POLICY_VIOLATIONS, Counter.API_CALLS


@pytest.fixture
def database(database: Database) -> Database:
    with database.transaction() as tx:
        sources.register(tx, ["acme", "globex"])
        configurations.add(tx, 1, [Configuration("llm-1", "chat")], at(10))
        points.write(tx, 1, Dataset.AI, Resolution.MINUTE, [point("ada", 20)])
    return database


def point(user: str, minute: float) -> Point:
    return Point(at(minute), LabelSet(ai_llm="llm-1", user=user), {"api_calls": 1})


def members(tx: Tx, recent: Recent) -> dict[int, Member]:
    def load() -> dict[int, Member]:
        return dict(configurations.members(tx, ["acme"])) | dict(points.members(tx, ["acme"], Dataset.AI))

    return dict(recent.members("acme", configurations.membership(tx, ["acme"]), load))


CHANGES: dict[str, Callable[[Tx], object]] = {
    "an LLM is new": lambda tx: configurations.add(tx, 1, [Configuration("llm-2", "code")], at(11)),
    "an LLM has another name": lambda tx: configurations.update(tx, {1: Configuration("llm-1", "code")}),
    "an LLM is deleted": lambda tx: configurations.delete(tx, [1]),
    "a user is new": lambda tx: points.write(tx, 1, Dataset.AI, Resolution.MINUTE, [point("bob", 21)]),
    "a user was there before": lambda tx: points.write(tx, 1, Dataset.AI, Resolution.MINUTE, [point("ada", 5)]),
    "what is long absent expires": lambda tx: [
        expiry.delete_some(tx, expired) for expired in expiry.of_counting(before=START + timedelta(days=400))
    ],
    "the clock was wrong": lambda tx: redating.move_back(tx, since=at(10), by=minutes(5), now=at(30)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_members_are_loaded_again_when_any_of_them_changed(database: Database, change: str) -> None:
    recent = Recent()
    with database.transaction() as tx:
        before = members(tx, recent)
        CHANGES[change](tx)
        now = members(tx, recent)
        assert now == members(tx, Recent())
        assert now != before, "the change was one"


def test_members_are_loaded_once_while_nobody_changes(database: Database) -> None:
    recent = Recent()
    with database.reading() as tx:
        assert recent.members(
            "acme", configurations.membership(tx, ["acme"]), lambda: configurations.members(tx, ["acme"])
        )
        version = configurations.membership(tx, ["acme"])
        assert recent.members("acme", version, lambda: pytest.fail("loaded again"))


def read(database: Database, minute: float, *grown: int) -> None:
    odometers = {
        number: dict.fromkeys(Counter, UNKNOWN) | {CALLS: Odometer(1, amount)}
        for number, amount in enumerate(grown, start=1)
    }
    listed = {f"llm-{number}": number for number in odometers if number != 2}
    with database.transaction() as tx:
        reading = snapshots.begin_reading(tx, 1, at(minute))
        snapshots.write_standing(tx, reading, Standing.of(odometers, listed))


@pytest.mark.parametrize("most_bytes", [0, 100, 10_000_000])
def test_slices_from_memory_are_those_of_the_database(database: Database, most_bytes: int) -> None:
    for minute, grown in enumerate([(1, 2), (7, 2**63), (9, 10**25, 3)]):
        read(database, minute, *grown)
    recent = Recent(most_bytes)
    with database.reading() as tx:
        for counters in ({CALLS}, {CALLS, VIOLATIONS}, {CALLS}):
            wanted = {("acme", at(minute)): frozenset(counters) for minute in (-1, 0, 1.5, 2, 9)}
            assert slices.slices(tx, wanted, recent) == slices.slices(tx, wanted)


def test_memory_is_bounded_whatever_is_asked_for(database: Database) -> None:
    for minute in range(20):
        read(database, minute, *range(100))
    recent = Recent(most_bytes=5_000)  # of 800 bytes each
    with database.reading() as tx:
        wanted = {("acme", at(minute)): frozenset({CALLS}) for minute in range(20)}
        slices.slices(tx, wanted, recent)
        kept = [number for number in range(1, 21) if recent.slice_of(number, {CALLS})]
    assert kept == list(range(15, 21))
