"""The faults of a soak: each kind is made, lasts for a while, and is taken back."""

import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from alertbot.demo.slack.faults import FaultKind
from alertbot.errors import StoreError
from alertbot.store.database import Database
from tests.end_to_end.chaos import Disk, SkewedClock, away
from tests.end_to_end.stage import Process, Stage

STATS, POST, EDIT = "/ai/llm/stats", "chat.postMessage", "chat.update"
# The database's clock stays behind the machine's, whose time the command line looks things up at.
CLOCK_BEHIND = -7200  # seconds
_STEPS = (-3600, -600, -60, 0, 60, 600, 3600)
Fault = Callable[["Faults"], AbstractContextManager[None]]


@dataclass
class Faults:
    """What faults are made of. `living` are the processes, one of each replica."""

    stage: Stage
    dice: random.Random
    living: Callable[[], list[Process]]
    server: sa.Engine | None = None
    database: Database | None = None
    clock: SkewedClock | None = None
    disk: Disk | None = None
    seconds: tuple[float, float] = (3.0, 12.0)
    kills: int = 0


@contextmanager
def _flashback(faults: Faults, spoil: Callable[[Stage], None]) -> Iterator[None]:
    spoil(faults.stage)
    try:
        yield
    finally:
        faults.stage.flashback.clear()


def _spoilt(spoil: Callable[[Stage], None]) -> Fault:
    return lambda faults: _flashback(faults, spoil)


@contextmanager
def _slack(faults: Faults, kind: FaultKind, methods: tuple[str, ...], more: Mapping[str, Any]) -> Iterator[None]:
    made = [faults.stage.slack.fault(kind, method, times=None, **more) for method in methods]
    try:
        yield
    finally:
        for fault in made:
            faults.stage.slack.clear_faults(fault)


def _answers(kind: FaultKind, *methods: str, **more: Any) -> Fault:
    return lambda faults: _slack(faults, kind, methods or (POST, EDIT), more)


@contextmanager
def _no_history(faults: Faults) -> Iterator[None]:
    scope = {"error": "missing_scope", "details": {"needed": "channels:history"}}
    history = ("conversations.history", "conversations.replies")
    with _slack(faults, FaultKind.ERROR, history, scope), _slack(faults, FaultKind.LOST_ANSWER, (POST,), {}):
        yield


@contextmanager
def _refused(faults: Faults) -> Iterator[None]:
    faults.stage.slack.revoke_token()
    try:
        yield
    finally:
        faults.stage.slack.restore_token()


@contextmanager
def _cut(faults: Faults) -> Iterator[None]:
    faults.stage.slack.cut_connections()
    yield


def _one_of(faults: Faults) -> list[Process]:
    """Any process; none where all are just being restarted."""
    living = faults.living()
    return faults.dice.sample(living, min(1, len(living)))


@contextmanager
def _killed(faults: Faults) -> Iterator[None]:
    for process in _one_of(faults):
        process.kill()
        faults.kills += 1
    yield


@contextmanager
def _all_killed(faults: Faults) -> Iterator[None]:
    for process in faults.living():
        process.kill()
        faults.kills += 1
    yield


@contextmanager
def _frozen(faults: Faults) -> Iterator[None]:
    frozen = _one_of(faults)
    for process in frozen:
        process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in frozen:
            process.send(signal.SIGCONT)


@contextmanager
def _database_away(faults: Faults) -> Iterator[None]:
    assert faults.server is not None
    assert faults.database is not None
    with away(faults.server, faults.database):
        yield


@contextmanager
def _clock_set(faults: Faults) -> Iterator[None]:
    """The clock is set, and nobody sets it right until the next time."""
    assert faults.clock is not None
    faults.clock.set(f"{CLOCK_BEHIND + faults.dice.choice(_STEPS)} seconds")
    yield


@contextmanager
def _slow_commits(faults: Faults) -> Iterator[None]:
    """Each time that Postgres waits for its disk takes 0.1 s longer, the most that it can be told."""
    assert faults.server is not None
    slow = {"commit_delay": "100000", "commit_siblings": "0"}  # in microseconds; also where nobody else is at work
    with faults.server.connect() as connection:
        for name, value in slow.items():
            connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = {value}")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            for name in slow:
                connection.exec_driver_sql(f"ALTER SYSTEM RESET {name}")
            connection.exec_driver_sql("SELECT pg_reload_conf()")


@contextmanager
def _slow_writer(faults: Faults) -> Iterator[None]:
    """SQLite's lock of writers is held by somebody else for 2 s out of 2.2: so long does a transaction of ours take."""
    assert faults.database is not None
    ended = threading.Event()

    def hold(database: Database) -> None:
        while not ended.wait(0.2):
            with suppress(StoreError), database.transaction():
                ended.wait(2.0)

    holder = threading.Thread(target=hold, args=[faults.database])
    holder.start()
    try:
        yield
    finally:
        ended.set()
        holder.join()


@contextmanager
def _disk_full(faults: Faults) -> Iterator[None]:
    assert faults.disk is not None
    filled = faults.living()
    for process in filled:
        faults.disk.fill(process)
    try:
        yield
    finally:
        for process in filled:
            faults.disk.make_room(process)


OF_THE_NETWORK: Mapping[str, Fault] = {
    "Flashback answers 429": _spoilt(lambda stage: stage.flashback.fail(STATS, 429, retry_after=3)),
    "Flashback answers 500": _spoilt(lambda stage: stage.flashback.fail(STATS, 500)),
    "Flashback answers a proxy's page": _spoilt(lambda stage: stage.flashback.answer_html(STATS, 200)),
    "Flashback's JSON ends in its middle": _spoilt(lambda stage: stage.flashback.cut_off(STATS)),
    "Flashback breaks connections off": _spoilt(lambda stage: stage.flashback.cut_off(STATS, announced=True)),
    "Flashback drops connections": _spoilt(lambda stage: stage.flashback.reset_connection(STATS)),
    "Flashback hangs": _spoilt(lambda stage: stage.flashback.delay(STATS, 60)),
    "Slack answers 429": _answers(FaultKind.RATE_LIMITED, retry_after=2),
    "Slack answers 500": _answers(FaultKind.SERVER_ERROR, status=500),
    "Slack's answers are lost": _answers(FaultKind.LOST_ANSWER),
    "Slack answers a proxy's page": _answers(FaultKind.HTML),
    "Slack's JSON ends in its middle": _answers(FaultKind.CUT_JSON),
    "Slack is slow": _answers(FaultKind.DELAY, seconds=3.0),
    "Slack cannot be reached": _answers(FaultKind.REFUSED, "*"),
    "Slack refuses the token": _refused,
    "Slack's answers are lost, and its history may not be read": _no_history,
    "Slack's socket breaks": _cut,
}
OF_PROCESSES: Mapping[str, Fault] = {
    "kill -9 of a process": _killed,
    "SIGSTOP, then SIGCONT": _frozen,
}
OF_POSTGRES: Mapping[str, Fault] = {
    "kill -9 of all processes": _all_killed,
    "the database is gone": _database_away,
    "the database's clock is set": _clock_set,
    "the disk is slow": _slow_commits,
}
OF_SQLITE: Mapping[str, Fault] = {"the disk is full": _disk_full, "the disk is slow": _slow_writer}
_LONG = {
    "SIGSTOP, then SIGCONT": 60.0,
    "the database is gone": 30.0,
    "the disk is full": 25.0,
    "the disk is slow": 60.0,
    "Flashback hangs": 20.0,
}
_SHORT = {"kill -9 of a process", "kill -9 of all processes", "the database's clock is set", "Slack's socket breaks"}


def seconds_of(kind: str, faults: Faults) -> float:
    """How long it lasts this time: a freeze is longer than a lease now and then."""
    least, most = faults.seconds
    if kind in _SHORT:
        return 1.0
    return faults.dice.uniform(least, _LONG[kind] if kind in _LONG and faults.dice.random() < 0.4 else most)
