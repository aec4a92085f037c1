"""Nobody waits for ever for a connection beside others that come again and again."""

import threading

import pytest

from alertbot.store.turns import Turns


def test_a_place_goes_to_whoever_waits_longest_and_not_to_whoever_has_just_left() -> None:
    turns = Turns(1)
    order: list[str] = []
    waits = threading.Event()

    def wait_for_a_turn() -> None:
        waits.set()
        with turns.turn(within=60):
            order.append("waited")

    with turns.turn(within=60):
        thread = threading.Thread(target=wait_for_a_turn)
        thread.start()
        waits.wait(60)
        while not turns._waiting:
            threading.Event().wait(0.001)
    with turns.turn(within=60):  # asks at once, before the other thread has woken up
        order.append("came again")
    thread.join()
    assert order == ["waited", "came again"]


def test_whoever_waits_too_long_is_told_and_takes_no_place() -> None:
    turns = Turns(1)
    with turns.turn(within=1):
        with pytest.raises(TimeoutError, match="no place within"), turns.turn(within=0.01):
            pass
        assert not turns._waiting
    with turns.turn(within=1):
        pass


def test_a_turn_that_fails_frees_its_place() -> None:
    turns = Turns(1)
    with pytest.raises(KeyError), turns.turn(within=1):
        raise KeyError
    with turns.turn(within=1):
        pass
