"""Probes are answered from what ticks have kept, whatever the database does."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from alertbot.app.http import Metrics
from alertbot.app.probes import Probes
from alertbot.errors import StoreError
from alertbot.store import sources
from alertbot.store.database import Database
from tests.builders import START


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def build(sqlite: Database, seconds: Seconds) -> Callable[..., Probes]:
    def build(database: Database = sqlite, clock=lambda: START, *, needs_sources: bool = True) -> Probes:
        return Probes(
            database,
            Metrics(),
            {"acme": timedelta(seconds=60)},
            needs_sources=needs_sources,
            clock=clock,
            database_error=lambda: "",
            slack_error=lambda refused: refused,
            monotonic=seconds,
        )

    return build


def test_health_fails_when_ticks_stand_still_for_a_minute(build, seconds):
    probes = build()
    seconds.now += 59
    assert probes.unhealthy_reasons() == ""
    seconds.now += 2
    assert probes.unhealthy_reasons() == "no tick for 61 s"
    probes.note_tick()
    assert probes.unhealthy_reasons() == ""


def test_a_bot_that_has_not_looked_yet_is_not_ready(build):
    assert build().not_ready_reasons() == {"database": "not asked yet"}


def test_a_source_that_was_never_read_is_named_and_can_be_left_out(build, sqlite):
    with sqlite.transaction() as tx:
        sources.register(tx, ["acme"])
    probes = build()
    probes.check_readiness()
    assert probes.not_ready_reasons() == {"source acme": "never read"}
    assert probes.not_ready_reasons({"sources"}) == {}
    without = build(needs_sources=False)
    without.check_readiness()
    assert without.not_ready_reasons() == {}


def test_probes_are_answered_while_a_check_waits_for_the_database_and_say_so_after_a_while(build, seconds):
    waits, answers, is_slow = threading.Event(), threading.Event(), threading.Event()

    def clock():
        if is_slow.is_set():
            waits.set()
            answers.wait(60)
        return START

    probes = build(clock=clock, needs_sources=False)
    probes.check_readiness()
    is_slow.set()
    checking = threading.Thread(target=probes.check_readiness)
    checking.start()
    assert waits.wait(60)
    assert (probes.not_ready_reasons(), probes.why_gauges_are_old()) == ({}, "")
    seconds.now += 16
    assert probes.not_ready_reasons() == {"database": "no answer for 16 s"}
    assert probes.why_gauges_are_old() == "no answer for 16 s"
    answers.set()
    checking.join()
    assert (probes.not_ready_reasons(), probes.why_gauges_are_old()) == ({}, "")


def test_a_database_that_fails_is_the_reason_and_the_gauges_are_not_shown(build):
    def fail():
        raise StoreError("database x: it does not answer")

    probes = build(clock=fail)
    with pytest.raises(StoreError):
        probes.check_readiness()
    assert probes.not_ready_reasons() == {"database": "the database is not available; try again in a minute"}
    assert probes.why_gauges_are_old() == "the database is not available; try again in a minute"
