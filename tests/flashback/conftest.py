"""A scripted server, clients of it, and two ways to look at the pauses between attempts."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stamina
import stamina.instrumentation

from alertbot.flashback.client import FlashbackClient
from tests.flashback.scripted_server import ScriptedServer

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhY21lIn0.not-for-any-log"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def no_pauses() -> Iterator[None]:
    """Three attempts, as in earnest, but without the time between them."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def pauses() -> Iterator[list[float]]:
    """The pauses between attempts, each noted before it is made."""
    noted: list[float] = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: noted.append(details.wait_for)])
    yield noted
    stamina.instrumentation.set_on_retry_hooks(None)


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Callable[..., FlashbackClient]]:
    """Makes clients of the scripted server and closes them."""
    clients: list[FlashbackClient] = []

    def make(base_url: str = "", **arguments: Any) -> FlashbackClient:
        settings: dict[str, Any] = {"access_token": lambda: TOKEN, "timeout": SECOND, "now": lambda: NOON} | arguments
        clients.append(FlashbackClient(base_url or server.url, **settings))
        return clients[-1]

    yield make
    for made in clients:
        made.close()
