"""The threads that answer people: bounded, one piece of work of a kind at a time, and stopped in order."""

import threading

import pytest

from alertbot.slack.executors import BoundedExecutor, Busy, Executors

LONG = 60.0  # seconds within which anything comes on the busiest machine


def executor(threads: int = 1, waiting: int = 1, each: int = 10) -> BoundedExecutor:
    return BoundedExecutor("test", threads=threads, waiting=waiting, each=each)


def test_what_does_not_fit_is_refused_at_once_and_fits_when_there_is_room():
    gate = threading.Event()
    few = executor(threads=1, waiting=1)
    running, waiting = few.start(gate.wait), few.start(gate.wait)
    with pytest.raises(Busy, match="too many people"):
        few.start(gate.wait)
    gate.set()
    assert running.result(LONG)
    assert waiting.result(LONG)
    assert few.start(lambda: 7).result(LONG) == 7


def test_the_same_thing_is_done_once_at_a_time():
    gate = threading.Event()
    several = executor(threads=4)
    first = several.start(gate.wait, key="chart of G1")
    with pytest.raises(Busy, match="already"):
        several.start(gate.wait, key="chart of G1")
    several.start(gate.wait, key="chart of G2")
    gate.set()
    first.result(LONG)
    several.start(gate.wait, key="chart of G1").result(LONG)


def test_nobody_takes_all_of_it():
    gate = threading.Event()
    several = executor(threads=4, each=2)
    mine = [several.start(gate.wait, person="U1") for _ in range(2)]
    with pytest.raises(Busy, match="2 of your requests"):
        several.start(gate.wait, person="U1")
    several.start(gate.wait, person="U2")
    gate.set()
    for future in mine:
        future.result(LONG)
    several.start(gate.wait, person="U1").result(LONG)


def test_at_the_end_acts_are_finished_and_what_was_not_drawn_is_dropped():
    gate, executors, done = threading.Event(), Executors(), list[str]()

    def finish() -> None:
        gate.wait()
        done.append("act")

    act = executors.acts.start(finish)
    drawing = [executors.slow.start(gate.wait) for _ in range(3)]
    queued = executors.slow.start(lambda: done.append("never"))
    queued.add_done_callback(lambda future: executors.answers.start(lambda: done.append(f"told {future.cancelled()}")))
    closing = threading.Thread(target=executors.close, kwargs={"within": LONG})
    closing.start()
    gate.set()
    closing.join(LONG)
    assert not closing.is_alive()
    assert act.done()
    assert all(future.done() for future in drawing)
    assert sorted(done) in (["act", "told True"], ["act", "never", "told False"]), "a thread may have become free first"
    with pytest.raises(Busy, match="restarting"):
        executors.acts.start(gate.wait)


def test_closing_waits_no_longer_than_it_is_given():
    gate, executors = threading.Event(), Executors()
    stuck = executors.answers.start(gate.wait)
    executors.close(within=0.05)
    assert not stuck.done()
    gate.set()
    stuck.result(LONG)
