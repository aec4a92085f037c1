"""Many sources, few connections and a busy processor: every source is read, time after time."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from alertbot.clock import SteadyClock
from alertbot.collector import Collector
from alertbot.config import load
from alertbot.demo.facts import Configuration
from alertbot.demo.flashback import FlashbackServer
from alertbot.demo.traffic import World
from alertbot.http import Metrics
from alertbot.store.database import Database
from alertbot.store.tables import readings
from tests.fakes import FakeSlack

SOURCES, TIMES = 40, 2
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
    """Somebody else who needs the processor all the time."""
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(10_000))

    thread = threading.Thread(target=compute)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.usefixtures("busy")
def test_forty_sources_are_read_again_and_again_though_there_are_two_connections(
    postgres: Database, flashback: FlashbackServer, tmp_path: Path
) -> None:
    lines = [SOURCE.format(number=number, url=flashback.url, token=flashback.token) for number in range(SOURCES)]
    (tmp_path / "alertbot.yaml").write_text(CONFIG.format(sources="\n".join(lines)))
    clock, metrics = SteadyClock(postgres.now), Metrics()
    clock.check()
    config = load(tmp_path / "alertbot.yaml", {})
    collector = Collector(config, postgres, FakeSlack(), clock=clock, metrics=metrics, alarm=lambda _: None)
    pause = threading.Event()
    try:
        while least_often_read(postgres) < TIMES:
            collector.poll_due()
            clock.check()
            assert polled(metrics, "broke") == [], "a poll got no connection"
            pause.wait(0.05)
    finally:
        collector.stop()


def least_often_read(database: Database) -> int:
    """How often the source was read that was read least often."""
    with database.reading() as tx:
        counted = tx.execute(sa.select(sa.func.count()).select_from(readings).group_by(readings.c.source)).scalars()
        times = list(counted)
    return min(times) if len(times) >= SOURCES else 0


def polled(metrics: Metrics, outcome: str) -> list[str]:
    """The sources of which a poll ended like this."""
    return [
        sample.labels["source"]
        for family in metrics.polls.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] == outcome
    ]
