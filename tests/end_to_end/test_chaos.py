"""Whatever befalls the process, its database, its disk, its clock or its network: nothing is lost, and nothing said twice."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from alertbot.app.bot import Bot
from alertbot.clock import SteadyClock
from alertbot.config import load
from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.records import ChangeKind, Message
from alertbot.store import sources
from alertbot.store.database import Database
from tests.end_to_end.chaos import EVALUATING, Disk, away, held_up, kill_when, url_of
from tests.end_to_end.stage import CHANNEL, Stage

STATS, POST, EDIT = "/ai/llm/stats", "chat.postMessage", "chat.update"


def each_by_itself(stage: Stage) -> Stage:
    """Each configuration has a message of its own."""
    stage.config["routes"] = [{"group_wait": "0s", "group_by": ["ai_llm"]}]
    return stage


def told(stage: Stage, name: str) -> list[Message]:
    """The messages about one configuration."""
    return [each for each in stage.slack.messages(CHANNEL, replies=False) if f"{name} (acme)" in each.text]


def assert_each_told_once(stage: Stage, *names: str) -> None:
    for name in names:
        assert len(told(stage, name)) == 1, stage.slack.transcript()
    assert len(stage.slack.messages(CHANNEL, replies=False)) == len(names), stage.slack.transcript()
    for message in stage.slack.messages(CHANNEL, replies=False):
        lines = [reply.text for reply in stage.slack.thread(message)]
        assert len(set(lines)) == len(lines), stage.slack.transcript()


def reasons(stage: Stage) -> list[str]:
    """What is wrong, as /readyz tells; nothing where it does not answer in time."""
    body = stage.ready()[1]
    return list(json.loads(body)["reasons"]) if body else []


# --- kill -9


Bump = Callable[[], None]


@contextmanager
def while_it_collects(stage: Stage, _: Database, bump: Bump) -> Iterator[None]:
    stage.flashback.delay(STATS, 30, times=1)
    bump()
    asked = stage.flashback.count(STATS)
    stage.wait_for(lambda: stage.flashback.count(STATS) > asked)
    yield


@contextmanager
def while_it_writes_what_it_read(stage: Stage, postgres: Database, bump: Bump) -> Iterator[None]:
    bump()
    with held_up(stage, postgres, "SELECT * FROM sources FOR UPDATE"):
        yield


@contextmanager
def while_it_evaluates(stage: Stage, postgres: Database, bump: Bump) -> Iterator[None]:
    # A source is not polled again until its last reading is evaluated. So the last reading before the bump is evaluated
    # before the lock is taken: a poll that waited for the lock with that one would never see the bump.
    asked = stage.flashback.count(STATS)
    stage.flashback.fail(STATS, 500)
    stage.wait_for(partial(fails_after, stage, asked))
    with held_up(stage, postgres, f"SELECT pg_advisory_xact_lock({EVALUATING})"):
        bump()
        stage.flashback.clear()
        stage.wait_for(lambda: unevaluated(postgres))
        yield


@contextmanager
def while_it_writes_what_is_to_be_told(stage: Stage, postgres: Database, bump: Bump) -> Iterator[None]:
    bump()
    with held_up(stage, postgres, "LOCK TABLE outbox IN EXCLUSIVE MODE"):
        yield


@contextmanager
def between_claim_and_answer(stage: Stage, _: Database, bump: Bump) -> Iterator[None]:
    held = stage.slack.fault(FaultKind.HOLD, POST)
    bump()
    stage.wait_for(lambda: held.hits)
    yield
    stage.slack.clear_faults(held)


@contextmanager
def between_answer_and_mark(stage: Stage, _: Database, bump: Bump) -> Iterator[None]:
    killed = kill_when(stage, ChangeKind.POSTED, stage.bot)
    bump()
    stage.wait_for(killed.is_set)
    yield


MOMENTS = (
    while_it_collects,
    while_it_writes_what_it_read,
    while_it_evaluates,
    while_it_writes_what_is_to_be_told,
    between_claim_and_answer,
    between_answer_and_mark,
)


def test_people_hear_once_though_it_is_killed_at_every_step(new_stage, postgres):
    stage = each_by_itself(new_stage(window="2m", configurations=10))
    stage.config["database"]["url"] = url_of(postgres)
    stage.start()
    for number, moment in enumerate(MOMENTS):
        with moment(stage, postgres, partial(stage.bump, 10, f"llm-{number}")):
            stage.bot.kill()
        stage.start()
        (message,) = stage.wait_for(partial(told, stage, f"config-{number}"))
        assert "10 violations in 2 min" in message.text, moment.__name__
    held = stage.slack.fault(FaultKind.HOLD, EDIT)
    taken = stage.slack.click(told(stage, "config-0")[0], "acknowledge", "U2")
    assert taken.acknowledged, taken.problem
    stage.wait_for(lambda: held.hits)
    stage.bot.kill()
    stage.slack.clear_faults(held)
    stage.start()
    stage.wait_for(lambda: stage.slack.thread(told(stage, "config-0")[0]))
    stage.wait_for(lambda: waiting(postgres) == 0)
    assert_each_told_once(stage, *(f"config-{number}" for number in range(len(MOMENTS))))


# --- the network


def test_a_proxy_that_spoils_answers_costs_time_and_nothing_else(new_stage):
    stage = each_by_itself(new_stage(window="8s", configurations=10))
    stage.config["sources"][0]["timeout"] = "1s"
    stage.start()
    spoil: list[Callable[[], None]] = [
        lambda: stage.flashback.fail(STATS, 500),
        lambda: stage.flashback.fail(STATS, 429, retry_after=1, times=4),
        lambda: stage.flashback.answer_html(STATS, 200),
        lambda: stage.flashback.cut_off(STATS),
        lambda: stage.flashback.cut_off(STATS, announced=True),
        lambda: stage.flashback.drip(STATS, 0.05),
        lambda: stage.flashback.reset_connection(STATS),
    ]
    slack = iter([FaultKind.LOST_ANSWER, FaultKind.CUT_JSON, FaultKind.HTML, FaultKind.RATE_LIMITED])
    for number, fault in enumerate(spoil):
        asked = stage.flashback.count(STATS)
        fault()
        stage.bump(7 + number, f"llm-{number}")
        stage.wait_for(partial(fails_after, stage, asked))
        stage.flashback.clear()
        if number % 2:
            stage.slack.fault(next(slack), POST)
        stage.wait_for_readings(1)
    for number in range(len(spoil)):
        (message,) = stage.wait_for(partial(told, stage, f"config-{number}"))
        (resolved,) = stage.wait_for(partial(stage.slack.thread, message))
        assert f"{7 + number} violations" in resolved.text
    assert_each_told_once(stage, *(f"config-{number}" for number in range(len(spoil))))
    assert "Traceback" not in stage.bot.errors


def fails_after(stage: Stage, asked: int) -> bool:
    """Whether a poll has failed that began after so many requests."""
    if stage.flashback.count(STATS) <= asked:
        return False
    seen = [event["event"] for event in stage.bot.events() if event["event"] in {"poll_failed", "source_read"}]
    return seen[-1:] == ["poll_failed"]


# --- the database


def test_a_database_that_goes_away_takes_nothing_with_it(new_stage, postgres, postgres_server):
    stage = each_by_itself(new_stage(window="2m", configurations=10))
    stage.config["database"]["url"] = url_of(postgres)
    stage.start()
    held = stage.slack.fault(FaultKind.HOLD, POST)
    stage.bump(10, "llm-1")
    stage.wait_for(lambda: held.hits)
    with away(postgres_server, postgres):
        stage.bump(10, "llm-2")
        stage.slack.clear_faults(held)
        stage.wait_for(lambda: stage.bot.events("delivery_failed"))  # Slack has it, and nobody can remember that
        stage.wait_for(lambda: reasons(stage) == ["database"])
        asked = stage.slack.click(told(stage, "config-1")[0], "acknowledge", "U2")
        (answer,) = stage.wait_for(lambda: stage.slack.answers(asked))
        assert "database" in answer.text, "whoever clicks meanwhile is told that nothing was done"
        gone = time.monotonic()
        stage.wait_for(lambda: time.monotonic() - gone > 3)
    stage.wait_for(lambda: stage.bot.events("notification_had_arrived"))
    stage.wait_for(lambda: told(stage, "config-2"))
    stage.wait_for(lambda: stage.ready()[0] == 200)
    stage.wait_for(lambda: waiting(postgres) == 0)
    assert_each_told_once(stage, "config-1", "config-2")
    (failed,) = stage.bot.events("database_failed")
    assert "not currently accepting connections" in failed["error"] or "terminat" in failed["error"]
    with away(postgres_server, postgres):
        stage.wait_for(lambda: len(stage.bot.events("database_failed")) > 1)
        code, seconds = stage.bot.terminate()
    assert (code, seconds < 10) == (0, True)
    assert "Traceback" not in stage.bot.errors


def test_a_full_disk_is_told_and_when_there_is_room_again_it_goes_on(new_stage, tmp_path):
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    try:
        stage = new_stage(window="5s", configurations=10)
        stage.config["database"]["url"] = f"sqlite:///{disk.folder / 'alertbot.db'}"
        stage.start()
        disk.fill(stage.bot)
        stage.wait_for(lambda: stage.bot.events("database_failed"))
        stage.bump(10)
        stage.wait_for(lambda: stage.get("/healthz")[0] == 200)
        stage.wait_for(lambda: "database" in reasons(stage))
        assert stage.posted() is None
        disk.make_room(stage.bot)
        stage.wait_for_message()
        stage.wait_for_word("Resolved")
        stage.wait_for(lambda: stage.replies(":white_check_mark:"))
        stage.wait_for(lambda: stage.ready()[0] == 200)
        stage.assert_said_once()
        assert "Traceback" not in stage.bot.errors
        assert stage.bot.terminate()[0] == 0
    finally:
        for process in stage.processes:
            if process.is_running():
                process.kill()
        disk.remove()


# --- the clock


class Wall:
    """A machine's clock that can be set."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


def _is_ready(bot: Bot) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{bot.http_port}/readyz", timeout=10):
            return True
    except urllib.error.HTTPError:
        return False


@pytest.fixture
def on_a_wall(new_stage: Callable[..., Stage]) -> Iterator[tuple[Stage, Wall]]:
    """The whole bot in this process, with a clock that can be set."""
    stage, wall = new_stage(window="4s", configurations=10), Wall()
    stage.config["database"]["url"] = f"sqlite:///{stage.folder / 'alertbot.db'}"
    stage.write_config()
    bot = Bot(load(stage.folder / "config.yaml", {}), clock=SteadyClock(wall))
    bot.start()
    stage.wait_for(lambda: _is_ready(bot))
    yield stage, wall
    bot.stop()


def test_a_clock_that_is_set_back_by_an_hour_stops_nothing(on_a_wall):
    stage, wall = on_a_wall
    stage.wait_for_readings(1)
    wall.offset = -timedelta(hours=1)
    stage.bump(10)
    stage.wait_for_message()
    stage.wait_for_word("Resolved")  # a window of four seconds takes as long as ever, or little longer
    stage.wait_for(lambda: stage.replies(":white_check_mark:"))
    stage.assert_said_once(operators_hear=["set back by 1 h"])
    (resolved,) = stage.replies(":white_check_mark:")
    assert "peak 10 violations" in resolved


def test_a_clock_that_is_set_forward_by_an_hour_makes_nothing_up(on_a_wall):
    stage, wall = on_a_wall
    stage.bump(5)  # not above five
    stage.wait_for_readings(2)
    wall.offset = timedelta(hours=1)
    stage.wait_for_readings(3)
    stage.bump(10)
    message = stage.wait_for_message()
    assert "10 violations" in message.text, "the growth of before is not of this window"
    stage.wait_for_word("Resolved")
    stage.wait_for(lambda: stage.replies(":white_check_mark:"))
    stage.assert_said_once(operators_hear=["set forward by 1 h"])


def waiting(database: Database) -> int:
    with database.reading() as tx:
        return int(tx.execute(sa.text("SELECT count(*) FROM outbox WHERE state = 'waiting'")).scalar_one())


def unevaluated(database: Database) -> list[str]:
    """The sources with a reading that is stored and not evaluated."""
    with database.reading() as tx:
        return sources.pending_evaluation(tx, ["acme"])
