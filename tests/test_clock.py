"""Time never goes back, whatever is done to the clock; that it was set forward is known for a while."""

from datetime import UTC, datetime, timedelta

from alertbot.clock import SteadyClock

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Machine:
    """A machine's clock, which can be set, beside the seconds that really pass."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=self.passed - 1000) + self.offset

    def monotonic(self) -> float:
        return self.passed


def steady() -> tuple[SteadyClock, Machine]:
    machine = Machine()
    clock = SteadyClock(machine, monotonic=machine.monotonic)
    clock()
    return clock, machine


def test_a_clock_that_is_set_back_goes_on_a_little_slower() -> None:
    clock, machine = steady()
    machine.offset = -timedelta(hours=1)
    machine.passed += 100
    assert clock() - NOON == timedelta(seconds=90)
    assert clock.ahead == timedelta(hours=1) - timedelta(seconds=10)


def test_a_clock_that_is_set_forward_is_followed_and_that_is_known() -> None:
    clock, machine = steady()
    machine.passed += 60
    clock()
    assert clock.since_leap() > 3600, "a minute in which nobody asked is no leap"
    machine.offset = timedelta(minutes=10)
    machine.passed += 1
    assert clock() - NOON == timedelta(minutes=11, seconds=1)
    machine.passed += 30
    clock()
    assert clock.since_leap() == 30
