"""Polls go on whatever delivery does, and what is on its way to Slack when the bot stops stays nobody else's."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from alertbot.app.http import Metrics
from alertbot.app.threads import Supervisor
from alertbot.app.wiring import open_database
from alertbot.app.worker import Worker
from alertbot.clock import Clock
from alertbot.config import load
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.domain.notifications import AlertMessage, MessageRef
from alertbot.store import deliveries, leases, migrate, outbox
from alertbot.store.database import Database
from alertbot.store.tables import outbox as outbox_table
from tests.fakes import FakeSlack

LLMS = 40
PATIENCE = 60.0  # seconds that anything may take on a busy machine


class SlowSlack(FakeSlack):
    """Takes its time for each message."""

    def __init__(self, *, take_time: Callable[[], object]) -> None:
        super().__init__()
        self._take_time = take_time
        self.asked = 0

    def post(self, channel: str, face: AlertMessage, *, notification: int, mention: Iterable[str]) -> MessageRef:
        self.asked += 1
        self._take_time()
        return super().post(channel, face, notification=notification, mention=mention)


class House:
    """A collector on a database of its own, between the simulated Flashback and a slow Slack."""

    def __init__(self, folder: Path) -> None:
        start = datetime.now(UTC) - timedelta(hours=1)
        self.world = World.still([f"llm-{number}" for number in range(LLMS)], start=start)
        self.flashback = FlashbackServer(self.world, clock=lambda: datetime.now(UTC))
        self.flashback.start()
        source = {
            "name": "acme",
            "base_url": self.flashback.url,
            "access_token": self.flashback.token,
            "interval": "1s",
            "collect": ["llm_stats"],
        }
        keys = {
            "database": {"url": f"sqlite:///{folder / 'alertbot.db'}"},
            "sources": [source],
            "routes": [{"group_wait": "0s", "group_by": ["ai_llm"]}],
            "rules": [{"name": "burst", "metric": "policy_violations", "window": "1h", "above": 5}],
        }
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(keys), encoding="utf-8")
        self.config = load(path, {})
        self.database: Database = open_database(self.config)
        migrate.upgrade(self.database)
        self.supervisor = Supervisor()

    def worker(self, slack: FakeSlack) -> Worker:
        return Worker(self.config, self.database, slack, clock=Clock(), metrics=Metrics(), alarm=lambda _text: None)

    def burst(self) -> None:
        for number in range(LLMS):
            self.world.bump(f"llm-{number}", "policy_violations", 10)

    def asked(self) -> int:
        return self.flashback.count("/ai/llm/stats")

    def close(self) -> None:
        self.supervisor.expect_ends()
        self.database.close()
        self.flashback.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def poll_until(worker: Worker, predicate: Callable[[], bool]) -> None:
    """Start polls as the scheduler does, until something is so."""
    ends_at = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < ends_at, "it did not come"
        worker.poll_due()
        time.sleep(0.02)  # the pace of the scheduler


def test_a_source_is_read_in_its_interval_while_a_backlog_is_sent(house):
    asked_at: list[int] = []

    def take_time() -> None:
        asked_at.append(house.asked())
        time.sleep(0.2)  # as Slack does

    worker = house.worker(SlowSlack(take_time=take_time))
    worker.start(house.supervisor, every=0.25)
    poll_until(worker, lambda: house.asked() > 0)
    house.burst()
    poll_until(worker, lambda: len(asked_at) == LLMS)
    assert house.supervisor.dead() == []
    house.supervisor.expect_ends()
    worker.stop()
    assert asked_at[-1] - asked_at[0] >= 2, "the source was not asked while the backlog was sent"


def test_what_is_at_slack_when_the_bot_stops_is_not_free_for_others(house):
    go = threading.Event()
    slack = SlowSlack(take_time=lambda: go.wait(PATIENCE))
    worker = house.worker(slack)
    worker.start(house.supervisor, every=0.25)
    poll_until(worker, lambda: house.asked() > 0)
    house.burst()
    poll_until(worker, lambda: slack.asked > 0)
    house.supervisor.expect_ends()
    worker.stop(within=0.2)
    with house.database.transaction() as tx:
        at_slack = set(tx.execute(sa.select(outbox_table.c.number).where(outbox_table.c.owner != "")).scalars())
        claimed = deliveries.claim(tx, owner="another", lease=timedelta(seconds=45), now=Clock()(), limit=LLMS)
    assert len(at_slack) == slack.asked > 0
    assert len(claimed) == LLMS - len(at_slack), "what was not handed to Slack is free at once"
    assert not at_slack & {row.number for row in claimed}
    go.set()


def test_a_start_on_ones_own_database_leaves_a_call_of_the_dead_its_time_to_arrive(house):
    now = Clock()()
    with house.database.transaction() as tx:
        outbox.add_alarm(tx, "Slack refuses the bot", now=now)
        deliveries.claim(tx, owner="a process that was killed", lease=timedelta(seconds=45), now=now)
    worker = house.worker(FakeSlack())
    worker.release_stale_claims()
    with house.database.transaction() as tx:
        assert leases.holders(tx) == set()
        assert deliveries.claim(tx, owner="the next", lease=timedelta(seconds=45), now=now + timedelta(seconds=4)) == []
        (row,) = deliveries.claim(tx, owner="the next", lease=timedelta(seconds=45), now=now + timedelta(seconds=6))
    assert row.uncertain
    worker.stop()
