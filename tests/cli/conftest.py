"""Desks for the tests of the command line."""

import logging
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from alertbot.demo.flashback.facts import Configuration
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.demo.slack.server import SlackServer
from tests.cli.desk import LONG, OURS, Desk


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands configure the log and the signals of their process; and nothing of the surroundings may configure them."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level, before = list(root.handlers), root.level, structlog.get_config()
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**before)
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def flashback() -> Iterator[FlashbackServer]:
    names = [
        Configuration("llm-1", "support-chat"),
        Configuration("llm-2", LONG),
        Configuration("llm-3", "[red]x\x1b[31m\u202e"),
    ]
    world = World.still(names, start=datetime.now(UTC) - timedelta(hours=1))
    with FlashbackServer(world, clock=lambda: datetime.now(UTC)) as server:
        yield server


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    with SlackServer(page=False) as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, flashback: FlashbackServer, slack: SlackServer) -> Iterator[Desk]:
    yield Desk(tmp_path, flashback, slack)
    flashback.clear()
    slack.clear_faults()
    slack.restore_token()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, flashback: FlashbackServer, slack: SlackServer) -> Path:
    """A database with an alert that was told: A1 of G1, ten violations of support-chat."""
    folder = tmp_path_factory.mktemp("told")
    desk = Desk(folder, flashback, slack)
    assert desk.run("poll").code == 0
    flashback.world.bump("llm-1", "policy_violations", 10)
    assert desk.run("poll").code == 0
    return folder / "alertbot.db"


@pytest.fixture
def firing(desk: Desk, told: Path) -> Desk:
    """A desk whose database has the alert."""
    shutil.copyfile(told, desk.folder / "alertbot.db")
    return desk
