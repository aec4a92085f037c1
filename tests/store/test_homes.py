"""Whose Home is published anew, and by whom: once, however many processes there are."""

from datetime import timedelta

import pytest

from alertbot.domain.silences import Silence, parse_matcher
from alertbot.store import homes, silences, sources
from alertbot.store.database import Database
from tests.builders import at, rule
from tests.flows.scene import Scene

HOUR = timedelta(hours=1)


def fingerprint(database: Database, minute: float = 1) -> str:
    with database.reading() as tx:
        return homes.fingerprint(tx, at(minute))


def test_the_fingerprint_changes_with_what_every_home_shows(database):
    seen = [fingerprint(database)]
    scene = Scene(database, "0 9 12", rule()).until(1)
    seen.append(fingerprint(database))  # an alert began
    scene.until(2)
    seen.append(fingerprint(database, 2))  # it got worse
    with database.transaction() as tx:
        made = silences.add(tx, Silence((parse_matcher("rule=x"),), at(2), at(9), "U1"))
    assert made is not None
    seen.append(fingerprint(database, 2))  # something is silenced
    seen.append(fingerprint(database, 10))  # no longer: its end has come
    with database.transaction() as tx:
        claim = sources.claim(tx, "acme", owner="test", interval=HOUR, lease=HOUR, now=at(60), at_once=True)
        assert claim is not None
        sources.mark_failed(tx, claim, "no answer")
    seen.append(fingerprint(database, 10))  # a source cannot be read
    assert len(set(seen)) == len(seen)
    assert fingerprint(database, 10) == seen[-1]


def open_homes(database: Database, **minutes: float) -> None:
    with database.transaction() as tx:
        for user, minute in minutes.items():
            homes.opened(tx, user, page=0, shown="old", now=at(minute))


def stale(database: Database, *, shown: str = "new", since: float = 0, until: float = 100, most: int = 9) -> list[str]:
    with database.reading() as tx:
        found = homes.stale(tx, shown=shown, opened_since=at(since), published_until=at(until), most=most)
    return [home.user for home in found]


def test_those_that_have_waited_longest_come_first_and_not_all_at_once(database):
    open_homes(database, U1=3, U2=1, U3=2)
    assert stale(database) == ["U2", "U3", "U1"]
    assert stale(database, most=2) == ["U2", "U3"]


@pytest.mark.parametrize(("limits", "left"), [({"shown": "old"}, []), ({"since": 2}, ["U2"]), ({"until": 2}, ["U1"])])
def test_what_is_true_or_was_just_published_or_was_opened_long_ago_is_left_alone(database, limits, left):
    open_homes(database, U1=1, U2=3)
    assert stale(database, **limits) == left


def test_a_home_is_taken_once(database):
    open_homes(database, U1=1)
    with database.transaction() as tx:
        (home,) = homes.stale(tx, shown="new", opened_since=at(0), published_until=at(9), most=9)
        assert homes.claim(tx, home, shown="new", now=at(5))
        assert not homes.claim(tx, home, shown="new", now=at(5))
    assert stale(database) == []
    assert stale(database, shown="newer", until=4) == []


def test_a_home_that_failed_is_stale_again_or_forgotten(database):
    open_homes(database, U1=1, U2=1)
    with database.transaction() as tx:
        homes.mark_unpublished(tx, "U1")
        homes.forget(tx, "U2")
        assert homes.recently_opened(tx, since=at(1))
        assert not homes.recently_opened(tx, since=at(2))
    assert stale(database, shown="old") == ["U1"]


def test_the_page_is_remembered_until_the_home_is_opened_again(database):
    with database.transaction() as tx:
        homes.opened(tx, "U1", page=3, shown="", now=at(1))
        assert homes.page_of(tx, "U1", opened_since=at(1)) == 3
        assert homes.page_of(tx, "U1", opened_since=at(2)) is None
        homes.opened(tx, "U1", page=0, shown="", now=at(2))
        assert homes.page_of(tx, "U1", opened_since=at(1)) == 0


def test_the_same_submission_makes_one_silence(database):
    silence = Silence((parse_matcher("rule=x"),), at(0), at(9), "U1")
    with database.transaction() as tx:
        made = silences.add(tx, silence, key="view V1")
        assert silences.add(tx, silence, key="view V1") is None
        assert silences.made_by(tx, "view V1") == made
        assert silences.add(tx, silence) != silences.add(tx, silence)  # without a key each is one of its own


def test_what_somebody_has_ended_is_over_at_once(database):
    with database.transaction() as tx:
        made = silences.add(tx, Silence((parse_matcher("rule=x"),), at(0), at(9), "U1"))
        assert made is not None
        assert silences.end(tx, made.number, by="U2", now=at(3))
        assert silences.not_over(tx, at(3)) == []
        assert not silences.end(tx, made.number, by="U3", now=at(3))
