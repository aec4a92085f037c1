"""Time never goes back by itself, whatever is done to the clock, and costs nothing to ask for."""

from datetime import UTC, datetime, timedelta

import pytest

from alertbot.clock import SteadyClock
from alertbot.errors import StoreError

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A machine's clock, which can be set, beside the seconds that really pass."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.offset = timedelta(0)
        self.answers_after = 0.0  # seconds
        self.asked = 0

    def __call__(self) -> datetime:
        self.asked += 1
        self.passed += self.answers_after / 2
        moment = NOON + timedelta(seconds=self.passed - 1000) + self.offset
        self.passed += self.answers_after / 2
        return moment

    def monotonic(self) -> float:
        return self.passed


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> SteadyClock:
    clock = SteadyClock(machine, monotonic=machine.monotonic)
    clock.check()
    return clock


def test_who_asks_for_the_time_does_not_ask_the_reference_clock(clock: SteadyClock, machine: Machine) -> None:
    asked = machine.asked
    machine.passed += 60
    assert clock() - NOON == timedelta(minutes=1)
    assert clock.ahead == timedelta(0)
    assert machine.asked == asked


def test_a_clock_that_is_set_back_goes_on_a_little_slower(clock: SteadyClock, machine: Machine) -> None:
    machine.offset = -HOUR
    assert clock.check() == -HOUR
    machine.passed += 100
    assert clock() - NOON == timedelta(seconds=90)
    assert clock.ahead == HOUR - timedelta(seconds=10)
    assert clock.check() == timedelta(0), "it was set once"
    assert clock() - NOON == timedelta(seconds=90), "a check changes nothing where nobody has set anything"


def test_the_clock_is_met_when_it_has_caught_up(clock: SteadyClock, machine: Machine) -> None:
    machine.offset = -timedelta(minutes=1)
    clock.check()
    machine.passed += 601
    assert clock.ahead == timedelta(0)
    assert clock() == machine()


def test_a_clock_that_is_set_forward_is_followed_and_that_is_known(clock: SteadyClock, machine: Machine) -> None:
    machine.passed += 60
    assert clock.check() == timedelta(0)
    assert clock.since_leap() > 3600, "a minute in which nobody asked is no leap"
    machine.offset = timedelta(minutes=10)
    machine.passed += 1
    assert clock.check() == timedelta(minutes=10)
    assert clock() - NOON == timedelta(minutes=11, seconds=1)
    machine.passed += 30
    assert clock.since_leap() == 30


def test_a_clock_that_was_set_for_a_while_can_be_followed_back(clock: SteadyClock, machine: Machine) -> None:
    machine.offset = 48 * HOUR
    clock.check()
    machine.offset = timedelta(0)
    machine.passed += 60
    assert clock.check() == -48 * HOUR
    clock.follow(1)
    assert clock() - NOON == timedelta(minutes=1)


def test_an_answer_that_took_longer_than_the_difference_sets_nothing(clock: SteadyClock, machine: Machine) -> None:
    machine.offset, machine.answers_after = timedelta(seconds=8), 20.0
    assert clock.check() == timedelta(0)
    assert clock() - NOON == timedelta(seconds=20)


def test_it_does_not_begin_before_the_newest_reading(clock: SteadyClock, machine: Machine) -> None:
    clock.not_before(NOON + HOUR)
    assert clock() == NOON + HOUR
    assert clock.check() == timedelta(0), "nobody has set the clock since"
    machine.passed += 10
    assert clock() == NOON + HOUR + timedelta(seconds=9)


def test_time_goes_on_while_the_reference_clock_does_not_answer() -> None:
    def away() -> datetime:
        raise StoreError("the database is away")

    passed = [50.0]
    clock = SteadyClock(away, monotonic=lambda: passed[0])
    clock.not_before(NOON)
    with pytest.raises(StoreError):
        clock.check()
    begins = clock()
    passed[0] += 10
    assert clock() > begins
