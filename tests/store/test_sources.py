"""Who may poll a source, and when: one process at a time, at the configured pace, and nobody with an outdated right."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from alertbot.domain.history import SourceState
from alertbot.store import migrate, sources
from alertbot.store.database import Database
from alertbot.store.sources import Claim
from tests.builders import MINUTE, START, at
from tests.store.racing import in_threads, until_waiting

LEASE = 2 * MINUTE


@pytest.fixture
def database(database: Database) -> Database:
    remember(database, "acme")
    return database


def remember(database: Database, *names: str) -> None:
    with database.transaction() as tx:
        sources.register(tx, names)


def claim(database: Database, minute: float, *, owner: str = "one", at_once: bool = False) -> Claim | None:
    with database.transaction() as tx:
        due = sources.due(tx, ["acme"], owner=owner, now=at(minute))
        right = sources.claim(tx, "acme", owner=owner, interval=MINUTE, lease=LEASE, now=at(minute), at_once=at_once)
    assert at_once or (right is not None) == (due == {"acme"}), "what is due can be claimed, and nothing else can"
    return right


def claimed(database: Database, minute: float, *, owner: str = "one", at_once: bool = False) -> Claim:
    found = claim(database, minute, owner=owner, at_once=at_once)
    assert found is not None
    return found


def read(database: Database, right: Claim, minute: float) -> bool:
    with database.transaction() as tx:
        return sources.mark_read(tx, right, at(minute))


def fail(database: Database, right: Claim, *, pause_until: float | None = None) -> None:
    with database.transaction() as tx:
        sources.mark_failed(tx, right, "it broke", pause_until=None if pause_until is None else at(pause_until))


def state(database: Database) -> SourceState:
    with database.reading() as tx:
        return sources.states(tx, {"acme": MINUTE})["acme"]


def is_watched(database: Database, minute: float) -> bool:
    with database.reading() as tx:
        return "acme" in sources.states(tx, {"acme": MINUTE}, watched_at=at(minute))


def test_a_source_is_due_at_once_and_then_once_an_interval(database: Database) -> None:
    assert read(database, claimed(database, 0), 0)
    assert claim(database, 0.99) is None
    assert claim(database, 1) is not None


def test_a_poll_that_was_late_does_not_move_the_ones_after_it(database: Database) -> None:
    claimed(database, 0)
    assert claimed(database, 1.4).due_at == at(2)
    assert claim(database, 1.9) is None
    assert claimed(database, 2).due_at == at(3)


def test_after_a_long_stop_polls_are_not_made_up_for(database: Database) -> None:
    claimed(database, 0)
    assert claimed(database, 60.5).due_at == at(61.5)


def test_a_poll_at_once_does_not_wait_until_it_is_due(database: Database) -> None:
    assert read(database, claimed(database, 0), 0)
    assert claimed(database, 0.5, at_once=True).due_at == at(1.5)


def test_nobody_else_polls_until_the_lease_is_over(database: Database) -> None:
    claimed(database, 0, owner="one")
    assert claim(database, 1.99, owner="two") is None
    assert claim(database, 1.99, owner="two", at_once=True) is None
    assert claim(database, 2, owner="two") is not None


@pytest.mark.parametrize("good", [True, False], ids=["after a reading", "after a failure"])
def test_a_poll_that_is_over_leaves_the_source_to_anybody(database: Database, *, good: bool) -> None:
    right = claimed(database, 0, owner="one")
    if good:
        read(database, right, 0)
    else:
        fail(database, right)
    assert claim(database, 1, owner="two") is not None


def test_whoever_lost_the_claim_can_neither_write_a_reading_nor_a_failure(database: Database) -> None:
    late = claimed(database, 0, owner="one")
    right = claimed(database, 2, owner="two")
    assert right.generation == late.generation + 1
    assert not read(database, late, 0)
    fail(database, late, pause_until=30)
    assert not state(database).failing
    assert claim(database, 3, owner="one") is None, "the failure of the late one has not ended the other's lease"
    assert read(database, right, 2)
    assert state(database).read_at == at(2)


def test_the_same_process_claims_again_and_its_older_poll_counts_no_more(database: Database) -> None:
    older = claimed(database, 0)
    newer = claimed(database, 1)
    assert not read(database, older, 0)
    assert read(database, newer, 1)


@pytest.mark.parametrize("minute", [0.5, 1], ids=["an older one", "the same one again"])
def test_a_reading_that_is_not_newer_is_refused_and_counted(database: Database, minute: float) -> None:
    assert read(database, claimed(database, 0), 1)
    right = claimed(database, 1)
    assert not read(database, right, minute)
    with database.transaction() as tx:
        sources.mark_refused(tx, right)
    assert state(database).read_at == at(1)
    with database.reading() as tx:
        assert tx.execute(sa.text("SELECT refused FROM sources")).scalar_one() == 1


def test_a_failure_changes_nothing_but_that_it_failed(database: Database) -> None:
    read(database, claimed(database, 0), 0)
    fail(database, claimed(database, 1))
    after = state(database)
    assert (after.first_at, after.read_at, after.tried_at) == (START, START, at(1))
    assert (after.failing, after.error) == (True, "it broke")
    read(database, claimed(database, 2), 2)
    assert (state(database).failing, state(database).error) == (False, "")


def test_a_pause_that_the_source_asks_for_holds_for_everybody_and_everything(database: Database) -> None:
    fail(database, claimed(database, 0), pause_until=10)
    for owner in ("one", "two"):
        assert claim(database, 9.99, owner=owner) is None
        assert claim(database, 9.99, owner=owner, at_once=True) is None
    assert claim(database, 10, owner="two") is not None


def test_a_pause_shorter_than_the_interval_hastens_nothing(database: Database) -> None:
    fail(database, claimed(database, 0), pause_until=0.2)
    assert claim(database, 0.9) is None
    assert claim(database, 1) is not None


def test_the_first_reading_stays_the_first_one_whatever_the_time_zone(database: Database) -> None:
    elsewhere = START.astimezone(ZoneInfo("Asia/Tokyo"))
    with database.transaction() as tx:
        right = sources.claim(tx, "acme", owner="one", interval=MINUTE, lease=LEASE, now=elsewhere)
        assert right is not None
        assert sources.mark_read(tx, right, elsewhere)
    read(database, claimed(database, 1), 1)
    assert (state(database).first_at, state(database).read_at) == (START, at(1))


def test_the_first_reading_is_exact_also_where_the_server_keeps_local_time(empty_postgres: Database) -> None:
    with empty_postgres.transaction() as tx:
        tx.exec_driver_sql(f"ALTER DATABASE {empty_postgres.url.database} SET timezone = 'Europe/Madrid'")
    empty_postgres.close()
    migrate.upgrade(empty_postgres)
    remember(empty_postgres, "acme")
    first_of_two = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 2:30 in Madrid, an hour before the clock shows it again
    with empty_postgres.transaction() as tx:
        right = sources.claim(tx, "acme", owner="one", interval=MINUTE, lease=LEASE, now=first_of_two)
        assert right is not None
        assert sources.mark_read(tx, right, first_of_two)
    assert state(empty_postgres).first_at == first_of_two


def test_a_poller_is_at_work_while_it_tries_and_not_when_it_has_missed_three_intervals(database: Database) -> None:
    assert not is_watched(database, 0), "nobody has ever tried"
    fail(database, claimed(database, 0))
    assert is_watched(database, 3)
    assert not is_watched(database, 3.01)


def test_what_was_silent_while_nobody_polled_is_watched_from_the_next_poll_on(database: Database) -> None:
    for minute in (0, 1, 3):
        fail(database, claimed(database, minute))
    assert state(database).watched_since == START
    fail(database, claimed(database, 60))
    assert state(database).watched_since == at(60)


def test_a_source_that_asked_for_a_pause_was_watched_all_the_time(database: Database) -> None:
    read(database, claimed(database, 0), 0)
    fail(database, claimed(database, 1), pause_until=31)
    assert is_watched(database, 31)
    fail(database, claimed(database, 31))
    assert state(database).watched_since == START


def test_of_many_who_claim_at_once_one_polls(database: Database) -> None:
    def race(turn: int) -> Claim | None:
        with database.transaction() as tx:
            return sources.claim(tx, "acme", owner=f"process {turn}", interval=MINUTE, lease=LEASE, now=at(0))

    assert len([right for right in in_threads(8, race) if right is not None]) == 1


def test_two_replicas_that_start_together_remember_each_source_once(postgres: Database) -> None:
    names = ["acme", "globex"]
    with ThreadPoolExecutor(1) as pool:
        with postgres.transaction() as tx:
            sources.register(tx, names)
            other = pool.submit(remember, postgres, *names)
            until_waiting(postgres)
        other.result(30)
    with postgres.reading() as tx:
        assert sorted(sources.states(tx, dict.fromkeys(names, timedelta(minutes=1)))) == names
