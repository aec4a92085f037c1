"""Several processes on one Postgres share the work; whoever dies is replaced, and whoever was frozen writes nothing stale."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from alertbot.demo.slack.faults import FaultKind
from alertbot.store.database import Database
from tests.end_to_end.chaos import (
    SkewedClock,
    alter,
    double,
    end_leases,
    freeze,
    frozen,
    held_up,
    reconnect,
    thaw,
    url_of,
)
from tests.end_to_end.stage import Process, Stage

INTERVAL = 1.0
BUSY = 2.0  # seconds that a busy machine takes longer
OPERATORS = "#ai-alerts-fallback"
STATS, POST = "/ai/llm/stats", "chat.postMessage"
SOURCES = "SELECT * FROM sources FOR UPDATE"


@pytest.fixture
def pair(new_stage: Callable[..., Stage], postgres: Database, postgres_server: sa.Engine) -> Iterator[Stage]:
    """A stage for several processes on one Postgres."""
    stage = new_stage(window="4s", configurations=10)
    stage.config["database"]["url"] = url_of(postgres)
    # Whoever is frozen may be in a transaction. The bot's own limit for that is half a minute; the server's goes before it.
    alter(postgres_server, postgres, "SET idle_in_transaction_session_timeout = '2s'")
    yield stage
    alter(postgres_server, postgres, "RESET idle_in_transaction_session_timeout")


def start_two(stage: Stage) -> tuple[Process, Process]:
    one, two = stage.start(), stage.start()
    stage.slack.wait_for_connection(2)
    return one, two


def seconds_of(stage: Stage, polls: int) -> float:
    """How long so many polls take from now on."""
    began = time.monotonic()
    stage.wait_for_readings(polls)
    return time.monotonic() - began


def test_two_share_the_work_and_when_one_is_killed_the_other_goes_on(pair, postgres):
    one, two = start_two(pair)
    # A poll that is late may come just before the next one.
    assert seconds_of(pair, 5) >= 3 * INTERVAL, "each source is read once an interval, not once by each process"
    held = pair.slack.fault(FaultKind.HOLD, POST)
    pair.bump(10)
    pair.wait_for(lambda: held.hits)
    dead, alive = (one, two) if is_sending(postgres, one) else (two, one)
    asked, killed = pair.flashback.count(STATS), time.monotonic()
    dead.kill()
    pair.slack.clear_faults(held)
    pair.wait_for(lambda: pair.flashback.count(STATS) > asked)
    assert time.monotonic() - killed <= 2 * INTERVAL + BUSY, "a source is taken over within two intervals"
    # What the dead one has sent is found, not said again.
    pair.wait_for(lambda: alive.events("notification_had_arrived"))
    pair.wait_for_word("Resolved")
    pair.wait_for(lambda: pair.replies(":white_check_mark:"))
    pair.assert_said_once()
    assert alive.terminate()[0] == 0


def test_whoever_freezes_in_the_middle_of_a_poll_writes_nothing_when_it_wakes(pair, postgres):
    one = pair.start()
    asked = pair.flashback.count(STATS)
    pair.flashback.delay(STATS, 1.5)  # which a poll just waits for
    pair.wait_for(lambda: pair.flashback.count(STATS) > asked)
    freeze(one)
    pair.flashback.clear()
    pair.start()
    pair.bump(10)
    pair.wait_for_message()
    readings = number_of(postgres, "readings")
    thaw(one)
    pair.wait_for(lambda: one.events("reading_refused") or one.events("poll_failed"))
    pair.wait_for(lambda: number_of(postgres, "readings") > readings)
    assert in_order(postgres)
    pair.assert_said_once()


def test_whoever_freezes_while_it_sends_says_nothing_again_when_it_wakes(pair, postgres):
    one = pair.start()
    held = pair.slack.fault(FaultKind.HOLD, POST)
    pair.bump(10)
    pair.wait_for(lambda: held.hits)
    with frozen(one):
        two = pair.start()
        pair.slack.clear_faults(held)
        pair.wait_for_message()
        end_leases(postgres)
        pair.wait_for(lambda: two.events("notification_had_arrived"))
        pair.wait_for_word("Resolved")
    pair.wait_for(lambda: one.events("notification_overtaken"))
    pair.wait_for(lambda: waiting(postgres) == 0)
    assert pair.reads("Resolved")
    pair.assert_said_once()


def test_whoever_freezes_in_a_transaction_does_not_hold_the_others_up(pair, postgres):
    one = pair.start()
    with held_up(pair, postgres, SOURCES):
        freeze(one)
    two = pair.start()
    pair.bump(10)
    pair.wait_for_message()
    thaw(one)
    two.kill()
    pair.wait_for_word("Resolved")
    pair.wait_for(lambda: pair.replies(":white_check_mark:"))
    pair.assert_said_once()
    assert "Traceback" not in one.errors


def test_an_act_that_is_delivered_to_several_happens_once(pair, postgres):
    pair.config["rules"][0]["window"] = "2m"  # it must not end before everybody has done something
    one, _ = start_two(pair)
    pair.bump(10)
    double(pair, pair.click("acknowledge", "U2"))
    pair.wait_for_word("Acknowledged")
    double(pair, pair.slack.command("/alertbot silence rule=other 2h planned", "U1"))
    comment = pair.slack.command("/alertbot comment A1 seen", "U1")
    reconnect(pair, 2)
    double(pair, comment)

    with frozen(one):
        # One of the two connections is deaf: what it does not acknowledge is delivered again.
        given_back = pair.slack.command("/alertbot unack A1", "U3")
        while not given_back.acknowledged:
            pair.slack.redeliver(given_back)
    pair.wait_for(lambda: acts(postgres) == {"acknowledge": 1, "comment": 1, "unacknowledge": 1})
    double(pair, given_back)
    pair.wait_for(lambda: waiting(postgres) == 0)
    assert acts(postgres) == {"acknowledge": 1, "comment": 1, "unacknowledge": 1}
    assert number_of(postgres, "silences") == 1
    assert len(pair.replies(":eyes:")) == 1
    assert len(pair.replies(":speech_balloon:")) == len(set(pair.replies(":speech_balloon:")))


def test_the_time_is_that_of_the_database_also_when_its_clock_is_set(pair, postgres, postgres_server):
    clock = SkewedClock(postgres_server, postgres)
    try:
        clock.set("3 hours")
        one = pair.start()
        assert newest(postgres) - datetime.now(UTC) > timedelta(hours=2, minutes=59)
        clock.set("2 hours")  # an hour back: everything that was stored is of the future
        pair.wait_for_readings(3)
        two = pair.start()
        pair.bump(10)
        pair.wait_for_message()
        pair.wait_for_word("Resolved")
        clock.set("5 hours")
        pair.wait_for_readings(2)
        pair.wait_for(lambda: pair.replies(":white_check_mark:"))
        pair.wait_for(lambda: len(pair.slack.messages(OPERATORS)) == 2)
        pair.assert_said_once(operators_hear=["set back by 1 h", "set forward by 3 h"])
        for process in (one, two):
            assert not process.events("reading_refused")
    finally:
        for process in pair.processes:
            if process.is_running():
                process.kill()
        clock.remove()


def test_a_second_process_on_sqlite_is_refused_in_a_line(new_stage):
    stage = new_stage(configurations=1)
    stage.start()
    for command in ("run", "poll"):
        code, output, errors = stage.run(command)
        assert (code, output) == (1, "")
        (line,) = errors.splitlines()
        assert "another alertbot runs on it; several need Postgres" in line
    assert json.loads(stage.ready()[1])["ready"]


def number_of(postgres: Database, table: str) -> int:
    with postgres.reading() as tx:
        return int(tx.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def acts(postgres: Database) -> dict[str, int]:
    with postgres.reading() as tx:
        counted = tx.execute(sa.text("SELECT kind, count(*) FROM actions GROUP BY kind")).all()
    return {str(kind): int(count) for kind, count in counted}


def is_sending(postgres: Database, process: Process) -> bool:
    """Whether it is this one of the two that has claimed a notice."""
    with postgres.reading() as tx:
        owner: str = tx.execute(sa.text("SELECT owner FROM outbox WHERE owner <> ''")).scalar_one()
    return str(process._popen.pid) in owner.split(":")


def in_order(postgres: Database) -> bool:
    """Whether no reading of a feed is older than one that was written before it."""
    with postgres.reading() as tx:
        rows = tx.execute(sa.text("SELECT source, taken_at FROM readings ORDER BY source, number")).all()
    return rows == sorted(rows)


def newest(postgres: Database) -> datetime:
    with postgres.reading() as tx:
        moment: datetime = tx.execute(sa.text("SELECT max(taken_at) FROM readings")).scalar_one()
        return moment


def waiting(postgres: Database) -> int:
    with postgres.reading() as tx:
        return int(tx.execute(sa.text("SELECT count(*) FROM outbox WHERE state = 'waiting'")).scalar_one())
