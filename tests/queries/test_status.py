"""Whoever asks how the bot is learns when it was last alive, at once and not when its sources count as blind."""

from collections.abc import Mapping
from datetime import timedelta

from alertbot.domain.reports import Health, StatusReport, status_json
from alertbot.domain.rule_files import RuleFile
from alertbot.domain.times import format_moment
from alertbot.queries.status import status_report
from alertbot.store import rule_files
from alertbot.store.database import Database
from tests.builders import at, rule, threshold
from tests.flows.scene import Scene

INTERVALS: Mapping[str, timedelta] = {"acme": timedelta(minutes=1)}


def _status(database: Database, minute: float) -> StatusReport:
    return status_report(
        database,
        version="1",
        intervals=INTERVALS,
        blind_after={"acme": timedelta(minutes=5)},
        now=at(minute),
    )


def test_a_bot_that_runs_is_said_to_run_and_a_dead_one_to_be_dead_long_before_its_sources_are_blind(database: Database):
    Scene(database, "0 9", rule(threshold(window="2m", above=5))).until(1)
    alive = _status(database, 1.5)
    assert (alive.is_running, alive.alive_at) == (True, at(1))
    dead = _status(database, 3)
    assert dead.sources[0].state is Health.OK
    assert (dead.is_running, dead.alive_at) == (False, at(1))
    assert status_json(dead)["alive_at"] == format_moment(at(1))


def test_a_bot_whose_sources_are_read_rarely_is_alive_between_two_readings(database: Database):
    scene = Scene(database, "0 9", rule(threshold(window="2m", above=5))).until(1)
    with scene.database.transaction() as tx:
        rule_files.register(tx, RuleFile("p1", {}, frozenset()), now=at(30))
    assert (_status(database, 30.5).is_running, _status(database, 30.5).alive_at) == (True, at(30))


def test_a_database_that_no_bot_has_used_says_so(database: Database):
    never = _status(database, 1)
    assert (never.is_running, never.alive_at, status_json(never)["alive_at"]) == (False, None, None)
