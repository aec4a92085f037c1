"""Many sources, few connections and a busy processor: every source is read and evaluated, time after time."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from alertbot.app.http import Metrics
from alertbot.app.threads import Supervisor
from alertbot.app.worker import Worker
from alertbot.clock import SteadyClock
from alertbot.config import load
from alertbot.demo.flashback.facts import Configuration
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.store.database import Database
from alertbot.store.tables import readings, sources
from tests.fakes import FakeSlack

SOURCES, TIMES = 40, 2
MOMENT = datetime.now(UTC)
CONFIG = """
database: {{url: "sqlite:///unused.db"}}
sources:
{sources}
slack: {{bot_token: xoxb-1, app_token: xapp-1, channel: "#ai-alerts"}}
rules: [{{name: violation-burst, metric: policy_violations, window: 20s, above: 5}}]
"""
SOURCE = '  - {{name: source-{number}, base_url: "{url}", access_token: "{token}", interval: 1s}}'


@pytest.fixture
def flashback() -> Iterator[FlashbackServer]:
    world = World.still([Configuration("llm-1", "config-1")], start=datetime.now(UTC) - timedelta(hours=1))
    server = FlashbackServer(world, clock=lambda: datetime.now(UTC))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def busy() -> Iterator[None]:
    """A neighbour that needs a core all the time."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    neighbour.kill()
    neighbour.wait()


def worker_of(
    database: Database,
    flashback: FlashbackServer,
    folder: Path,
    *,
    clock: Callable[[], datetime],
    metrics: Metrics | None = None,
    count: int = SOURCES,
) -> Worker:
    lines = [SOURCE.format(number=number, url=flashback.url, token=flashback.token) for number in range(count)]
    (folder / "alertbot.yaml").write_text(CONFIG.format(sources="\n".join(lines)))
    config = load(folder / "alertbot.yaml", {})
    return Worker(config, database, FakeSlack(), clock=clock, metrics=metrics or Metrics(), alarm=lambda _: None)


@pytest.mark.usefixtures("busy")
def test_forty_sources_are_read_again_and_again_though_there_are_two_connections(
    postgres: Database, flashback: FlashbackServer, tmp_path: Path
) -> None:
    clock, metrics = SteadyClock(postgres.now), Metrics()
    clock.check()
    worker = worker_of(postgres, flashback, tmp_path, clock=clock, metrics=metrics)
    worker.start(Supervisor(), every=0.5)
    pause = threading.Event()
    try:
        while least_often_evaluated(postgres) < TIMES:
            worker.poll_due()
            clock.check()
            assert polled(metrics, "broke") == [], "a poll got no connection"
            pause.wait(0.05)
    finally:
        worker.stop()


def least_often_evaluated(database: Database) -> int:
    """How many readings were evaluated of the source that has the fewest."""
    evaluated = sa.select(sa.func.count()).join_from(readings, sources).where(readings.c.number <= sources.c.evaluated)
    with database.reading() as tx:
        times = list(tx.execute(evaluated.group_by(readings.c.source)).scalars())
    return min(times) if len(times) >= SOURCES else 0


def test_a_look_at_what_is_due_costs_one_query_however_many_sources_are_idle(
    postgres: Database, flashback: FlashbackServer, tmp_path: Path
) -> None:
    worker = worker_of(postgres, flashback, tmp_path, clock=lambda: MOMENT, count=5)
    worker.run_once()
    statements: list[str] = []
    sa.event.listen(postgres.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    worker.poll_due()
    asked = sum("set_config" not in statement for statement in statements)  # each transaction sets its idle limit
    worker.stop()
    assert asked == 1, "a claim each would keep the database busier than the readings do"


def polled(metrics: Metrics, outcome: str) -> list[str]:
    """The sources of which a poll ended like this."""
    return [
        sample.labels["source"]
        for family in metrics.polls.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] == outcome
    ]
