"""A thread that ends unexpectedly does not go unnoticed."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from alertbot.app.threads import Supervisor, WokenThread, log_failure
from tests.captured_log import CapturedLog, captured_log


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    with captured_log() as captured:
        yield captured


def fail() -> None:
    raise RuntimeError("broken")


def test_a_thread_that_raises_is_logged_with_its_traceback_and_is_dead(log):
    supervisor = Supervisor()
    supervisor.start("reader", fail).join()
    supervisor.start("opener", fail, is_endless=False).join()
    assert supervisor.dead() == ["opener", "reader"]
    assert log.text.count("RuntimeError: broken") == 2
    assert "Traceback" in log.text


def test_a_thread_that_returns_is_dead_unless_it_may_return_or_the_process_stops():
    supervisor = Supervisor()
    supervisor.start("opener", lambda: None, is_endless=False).join()
    assert supervisor.dead() == []
    supervisor.start("reader", lambda: None).join()
    assert supervisor.dead() == ["reader"]
    supervisor.expect_ends()
    assert supervisor.dead() == []


def test_a_thread_of_a_library_is_watched_too():
    alive = [True]
    supervisor = Supervisor()
    supervisor.watch("library", lambda: alive[0])
    assert supervisor.dead() == []
    alive[0] = False
    assert supervisor.dead() == ["library"]


def test_calls_that_come_while_it_acts_become_one():
    acts, go, begun = [], threading.Event(), threading.Semaphore(0)

    def act() -> None:
        acts.append(1)
        begun.release()
        go.wait(60)

    woken = WokenThread(act)
    woken.start("acting", Supervisor())
    woken.wake()
    assert begun.acquire(timeout=60)
    for _ in range(10):
        woken.wake()
    go.set()
    assert begun.acquire(timeout=60)
    woken.stop(within=60)
    assert len(acts) == 2


def test_a_failure_of_a_task_whose_result_nobody_reads_is_logged(log):
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(fail).add_done_callback(log_failure)
    assert "RuntimeError: broken" in log.text


RUNNING = """
    import threading
    from alertbot.app.bot import run_until_stopped
    from alertbot.logs import configure
    from alertbot.app.threads import Supervisor

    class Running:
        def __init__(self):
            self.supervisor = Supervisor()
        def start(self):
            self.supervisor.start("http", lambda: 1 / 0)
            threading.Thread(target=threading.Event().wait, daemon=True).start()  # one that would hold up the end
        def dead_threads(self):
            return self.supervisor.dead()
        def stop(self):
            print("stopped in order")

    configure(form="json", level="info")
    run_until_stopped(Running())
"""


def test_a_process_whose_thread_ended_stops_in_order_and_fails():
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUNNING)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "stopped in order\n"), ended.stderr
    assert "ZeroDivisionError" in ended.stderr
    assert '"threads": ["http"]' in ended.stderr
