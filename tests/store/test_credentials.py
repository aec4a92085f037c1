"""Tokens that were given in exchange are stored once, by whoever has the right to, and no right outlives its time."""

import pytest

from alertbot.store import credentials, sources
from alertbot.store.credentials import NewTokens, StoredCredentials
from alertbot.store.database import Database
from tests.builders import MINUTE, at
from tests.store.racing import in_threads

LEASE = MINUTE


@pytest.fixture
def database(database: Database) -> Database:
    with database.transaction() as tx:
        sources.register(tx, ["acme", "globex"])
        credentials.begin(tx, "acme", "seed")
    return database


def stored(database: Database) -> StoredCredentials:
    with database.reading() as tx:
        found = credentials.find(tx, "acme")
    assert found is not None
    return found


def claim(
    database: Database, minute: float, owner: str = "one", *, seen: StoredCredentials | None = None
) -> StoredCredentials | None:
    with database.transaction() as tx:
        found = seen or credentials.find(tx, "acme")
        assert found is not None
        return credentials.claim(tx, found, owner=owner, lease=LEASE, now=at(minute))


def claimed(database: Database, minute: float, owner: str = "one") -> StoredCredentials:
    found = claim(database, minute, owner)
    assert found is not None
    return found


def exchanged(name: str, minute: float = 0) -> NewTokens:
    return NewTokens(f"access {name}", f"refresh {name}", at(minute + 60), at(minute))


def keep(database: Database, right: StoredCredentials, name: str, minute: float = 0) -> bool:
    with database.transaction() as tx:
        return credentials.keep(tx, right, exchanged(name, minute))


def refuse(database: Database, right: StoredCredentials, minute: float) -> bool:
    with database.transaction() as tx:
        return credentials.refuse(tx, right, "used before", retry_at=at(minute))


def test_a_source_without_credentials_has_none(database: Database) -> None:
    with database.reading() as tx:
        assert credentials.find(tx, "globex") is None
        assert credentials.fingerprints(tx) == {}, "acme has a row, but no token yet"


def test_whoever_begins_second_finds_what_the_first_began(database: Database) -> None:
    with database.transaction() as tx:
        assert credentials.begin(tx, "acme", "another seed").fingerprint == "seed"


def test_what_came_of_an_exchange_is_stored_and_ends_the_claim(database: Database) -> None:
    assert keep(database, claimed(database, 0), "A", minute=0.5)
    found = stored(database)
    assert (found.access_token, found.refresh_token) == ("access A", "refresh A")
    assert (found.expires_at, found.refreshed_at, found.lease_until) == (at(60.5), at(0.5), None)
    with database.reading() as tx:
        assert credentials.fingerprints(tx) == {"acme": "seed"}


def test_only_one_of_many_may_exchange(database: Database) -> None:
    won = in_threads(6, lambda turn: claim(database, 0, f"owner {turn}"))
    assert sum(found is not None for found in won) == 1


def test_the_right_of_one_who_died_is_free_when_its_time_is_over(database: Database) -> None:
    claimed(database, 0, "dead")
    assert claim(database, 0.9, "other") is None
    assert claim(database, 1, "other") is not None


def test_a_right_from_before_the_clock_was_set_back_holds_nobody_up(database: Database) -> None:
    claimed(database, 60, "one")
    assert claim(database, 0, "other") is not None


def test_a_right_that_was_given_back_is_free_at_once(database: Database) -> None:
    right = claimed(database, 0)
    with database.transaction() as tx:
        credentials.release(tx, right)
    assert claim(database, 0, "other") is not None


def test_a_start_on_a_database_of_one_s_own_frees_the_right_of_the_dead(database: Database) -> None:
    dead = claimed(database, 0, "dead")
    with database.transaction() as tx:
        credentials.release_everyone(tx)
    assert not refuse(database, dead, 1), "should it not be dead after all"
    assert claim(database, 0, "other") is not None


def test_whoever_has_seen_older_tokens_gets_no_right(database: Database) -> None:
    seen = stored(database)
    assert keep(database, claimed(database, 0), "A")
    assert claim(database, 0, "other", seen=seen) is None


def test_tokens_that_came_late_are_kept_where_nobody_else_has_brought_any(database: Database) -> None:
    frozen = claimed(database, 0, "frozen")
    other = claimed(database, 2, "other")
    assert refuse(database, other, 10)
    assert keep(database, frozen, "A"), "they are the only ones that work"
    assert (stored(database).refused, stored(database).retry_at) == ("", None)


def test_tokens_that_came_late_are_not_kept_where_somebody_else_has_brought_others(database: Database) -> None:
    frozen = claimed(database, 0, "frozen")
    assert keep(database, claimed(database, 2, "other"), "B")
    assert not keep(database, frozen, "A")
    assert stored(database).refresh_token == "refresh B"


def test_a_refusal_that_came_late_changes_nothing(database: Database) -> None:
    frozen = claimed(database, 0, "frozen")
    assert keep(database, claimed(database, 2, "other"), "B")
    assert not refuse(database, frozen, 10)
    assert stored(database).refused == ""


def test_refusals_are_counted_until_tokens_come(database: Database) -> None:
    assert refuse(database, claimed(database, 0), 2)
    assert refuse(database, claimed(database, 2), 4)
    assert (stored(database).refused, stored(database).attempts, stored(database).retry_at) == ("used before", 2, at(4))
    assert keep(database, claimed(database, 4), "A")
    assert (stored(database).refused, stored(database).attempts) == ("", 0)


def test_tokens_that_are_refused_as_soon_as_they_are_there_are_counted_over_exchanges(database: Database) -> None:
    for turn in (1, 2):
        assert keep(database, claimed(database, 0), f"token {turn}")
        before = stored(database)
        with database.transaction() as tx:
            credentials.put_off(tx, before, retry_at=at(1))
        assert credentials.is_put_off(stored(database))
        assert stored(database).attempts == turn
    for expected in (2, 0):  # the first that works is not yet known to; the next one has nothing to do with it
        assert keep(database, claimed(database, 0), "good")
        assert stored(database).attempts == expected


@pytest.mark.parametrize(("keeps", "refresh_token"), [(True, "refresh A"), (False, "")])
def test_another_configuration_begins_again(database: Database, keeps: bool, refresh_token: str) -> None:
    frozen = claimed(database, 0, "frozen")
    assert keep(database, claimed(database, 2), "A")
    seen = stored(database)
    with database.transaction() as tx:
        assert credentials.begin_again(tx, seen, "new seed", keeps_refresh_token=keeps)
        assert not credentials.begin_again(tx, seen, "newer seed", keeps_refresh_token=keeps)
    found = stored(database)
    assert (found.fingerprint, found.access_token, found.refresh_token) == ("new seed", "", refresh_token)
    assert (found.expires_at, found.refused, found.attempts, found.retry_at) == (None, "", 0, None)
    assert not keep(database, frozen, "B"), "they belong to what was configured before"


def test_nothing_that_is_stored_is_shown(database: Database) -> None:
    assert keep(database, claimed(database, 0), "A")
    shown = f"{stored(database)} {exchanged('A')}"
    assert "access A" not in shown
    assert "refresh A" not in shown
