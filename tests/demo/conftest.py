"""The simulated Flashback API with a still world of two configurations, and a client that may ask it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from alertbot.demo.flashback.facts import Bucket, Configuration, Model, Named, Policy, Severity
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World

START = datetime(2026, 1, 5, 13, 30, 20, tzinfo=UTC)
STATS = "/ai/llm/stats"


class Clock:
    """A clock that moves when the test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **amount: float) -> None:
        self.now += timedelta(**amount)


CLAUDE = Model("ANTHROPIC", "claude-sonnet-4-5", "api.anthropic.com")
CHAT = Configuration("llm-1", "support-chat", people=(Named("u1", "Ana Ruiz"),))
REVIEW = Configuration(
    "llm-2",
    "code-review",
    Named("workspace-2", "Engineering"),
    (CLAUDE,),
    (Named("u2", "Ben Okafor"),),
    api_key=Named("key-2", "review"),
    policies=(Policy("policy-2", "No secrets", "No keys in prompts.", Severity.HIGH),),
)
FILES = Bucket("bucket-1", "files", Named("llm-1-repo", "files"), "s3.example")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> World:
    return World.still([CHAT, REVIEW], start=START, buckets=[FILES])


@pytest.fixture
def server(world: World, clock: Clock) -> Iterator[FlashbackServer]:
    with FlashbackServer(world, clock=clock) as server:
        yield server


@pytest.fixture
def api(server: FlashbackServer) -> Iterator[httpx.Client]:
    with open_client(server) as client:
        yield client


def open_client(server: FlashbackServer) -> httpx.Client:
    headers = {"Authorization": f"Bearer {server.token}"}
    # No certificates are loaded for plain HTTP on loopback: that would be most of these tests' time.
    return httpx.Client(base_url=server.url, headers=headers, timeout=5.0, trust_env=False, verify=False)


def get(api: httpx.Client, path: str, **query: str | int) -> dict[str, Any]:
    response = api.get(path, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["success"] is True
    return answer


def refusal(response: httpx.Response) -> tuple[int, str]:
    answer = response.json()
    assert answer["success"] is False
    return response.status_code, answer["message"]
