"""Ticks come again and again, never twice at once, whatever one of them does."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from alertbot.app.scheduler import Scheduler
from alertbot.errors import StoreError
from tests.captured_log import CapturedLog, captured_log

OFTEN = 0.02


@pytest.fixture
def failed() -> list[str]:
    return []


@pytest.fixture
def scheduler(failed: list[str]) -> Iterator[Scheduler]:
    scheduler = Scheduler(on_failure=failed.append)
    yield scheduler
    scheduler.stop()


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    with captured_log() as captured:
        yield captured


class Counted:
    """A tick that counts, and tells when it was called often enough."""

    def __init__(self, enough: int, act: Callable[[], None] = lambda: None) -> None:
        self.calls = 0
        self._enough, self._act = enough, act
        self.done = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls >= self._enough:
            self.done.set()
        self._act()


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_tick_comes_again_and_again(scheduler):
    tick = Counted(3)
    scheduler.every(OFTEN, "count", tick)
    scheduler.start()
    assert tick.done.wait(60)


def test_a_tick_that_takes_long_is_not_started_a_second_time(scheduler):
    going_on, let_go, at_once = threading.Event(), threading.Event(), []

    def slow() -> None:
        at_once.append(1)
        going_on.set()
        let_go.wait(60)
        at_once.pop()

    beside = Counted(10)
    scheduler.every(OFTEN, "slow", slow)
    scheduler.every(OFTEN, "beside", beside)
    scheduler.start()
    assert going_on.wait(60)
    assert beside.done.wait(60)  # the others go on meanwhile
    assert len(at_once) == 1
    let_go.set()


def test_a_tick_goes_on_while_twenty_others_hang(scheduler):
    hanging, let_go = threading.Semaphore(0), threading.Event()

    def hang() -> None:
        hanging.release()
        let_go.wait(60)

    for number in range(20):
        scheduler.every(OFTEN, f"hangs_{chr(ord('a') + number)}", hang)
    scheduler.start()
    for _ in range(20):
        assert hanging.acquire(timeout=60)
    beside = Counted(3)
    scheduler.every(OFTEN, "beside", beside)
    assert beside.done.wait(60)
    let_go.set()


def test_a_tick_that_raises_comes_again_and_is_counted_and_told_whole_once(scheduler, failed, log):
    tick = Counted(9, fail(RuntimeError("broken")))
    scheduler.every(OFTEN, "breaks", tick)
    scheduler.start()
    assert tick.done.wait(60)
    scheduler.stop()
    assert failed[:3] == ["breaks"] * 3
    assert log.text.count("Traceback") == 1
    assert log.text.count("tick_failed_again") == len(failed).bit_length() - 1, "after 2, 4, 8 … times"


def test_what_an_operator_has_to_know_is_told_in_a_line_without_a_traceback(scheduler, failed, log):
    tick = Counted(2, fail(StoreError("database x: it does not answer")))
    scheduler.every(OFTEN, "stores", tick)
    scheduler.start()
    assert tick.done.wait(60)
    scheduler.stop()
    assert "database x: it does not answer" in log.text
    assert "Traceback" not in log.text


def test_a_failure_of_one_tick_does_not_end_the_others(scheduler):
    good = Counted(3)
    scheduler.every(OFTEN, "breaks", fail(RuntimeError("broken")))
    scheduler.every(OFTEN, "good", good)
    scheduler.start()
    assert good.done.wait(60)


def test_stopping_waits_for_the_tick_that_runs_and_starts_no_other(scheduler):
    going_on, ended = threading.Event(), []

    def slow() -> None:
        going_on.set()
        time.sleep(0.2)  # what a tick does takes time: it is what is waited for here
        ended.append(1)

    scheduler.every(OFTEN, "slow", slow)
    scheduler.start()
    assert going_on.wait(60)
    scheduler.stop()
    assert len(ended) == 1
    scheduler.stop()  # a second time does no harm
    assert len(ended) == 1


class Standing:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed


@pytest.fixture
def seconds() -> Standing:
    return Standing()


@pytest.fixture
def by_seconds(seconds: Standing, failed: list[str]) -> Iterator[Scheduler]:
    scheduler = Scheduler(on_failure=failed.append, monotonic=seconds)
    yield scheduler
    scheduler.stop()


def test_ticks_run_by_seconds_that_nobody_can_set_and_not_by_the_wall_clock(by_seconds, seconds):
    rare = Counted(1)
    by_seconds.every(3600, "rare", rare)
    by_seconds.start()
    seconds.passed = 3600
    by_seconds.every(OFTEN, "another", Counted(1))  # has it look at once
    assert rare.done.wait(60), "by the wall clock it comes in an hour"


def test_of_a_tick_that_was_missed_for_years_only_one_is_made_up_for(by_seconds, seconds):
    tick = Counted(1)
    by_seconds.every(OFTEN, "count", tick)
    by_seconds.start()
    seconds.passed = 20 * 365 * 86_400.0  # each missed moment by itself would be 31,536,000,000 of them
    assert tick.done.wait(60)
    seconds.passed += OFTEN
    tick.done.clear()
    assert tick.done.wait(60), "and it goes on"
    assert tick.calls == 2


def test_a_tick_is_named_so_that_its_metric_can_be_written_without_quotation_marks(by_seconds):
    with pytest.raises(ValueError, match="hold on"):
        by_seconds.every(1, "hold on", Counted(1))
