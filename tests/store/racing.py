"""Two who want the same thing at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from alertbot.store.database import Database

_WAITING = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def in_threads(count: int, act: Callable[[int], object]) -> list[object]:
    """What each of so many threads returned that began together, in their order."""
    together = threading.Barrier(count)

    def begin(turn: int) -> object:
        together.wait(30)
        return act(turn)

    with ThreadPoolExecutor(count) as pool:
        return [running.result() for running in [pool.submit(begin, turn) for turn in range(count)]]


def until_waiting(postgres: Database, count: int = 1) -> None:
    """Return once so many transactions wait for the locks of another one."""
    pause = threading.Event()
    # By a connection of its own: whoever asks holds one of the database's.
    watching = sa.create_engine(postgres.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with watching.connect() as connection:
        for _ in range(3000):
            if connection.execute(_WAITING).scalar_one() >= count:
                return
            pause.wait(0.01)
    pytest.fail("nobody came to wait for a lock")
