"""Evidence is fetched for a source once at a time, whoever asks for it, and nobody stumbles over the end."""

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest

from alertbot.app.evidence_worker import EvidenceWorker
from alertbot.config import SourceConfig
from alertbot.flashback.evidence_pages import EvidenceFound
from alertbot.store import sources
from alertbot.store.database import Database
from tests.builders import START
from tests.store.racing import in_threads

ROUNDS, THREADS = 20, 8


class Slow:
    """A server that counts how many ask at the same time, and answers when it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()
        self._lock = threading.Lock()

    def violations(self, *, since: datetime, within: timedelta) -> EvidenceFound:
        with self._lock:
            self.asked += 1
        self.go.wait(60)
        return EvidenceFound((), is_whole=True)

    def policy_alerts(self, *, since: datetime, within: timedelta) -> EvidenceFound:
        return EvidenceFound((), is_whole=True)

    def policies(self) -> Mapping[str, str]:
        return {}


@pytest.fixture
def slow(sqlite: Database) -> Iterator[Slow]:
    with sqlite.transaction() as tx:
        sources.register(tx, ["acme"])
    slow = Slow()
    yield slow
    slow.go.set()


def evidence_worker_of(database: Database, slow: Slow) -> EvidenceWorker:
    evidence_worker = EvidenceWorker(database, rules=list, owner="me", clock=lambda: START)
    evidence_worker.add(SourceConfig(name="acme", base_url="http://127.0.0.1:1", access_token="x"), slow)
    return evidence_worker


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_feeds_that_end_at_the_same_time_have_it_fetched_once(sqlite: Database, slow: Slow, turn: int):
    evidence_worker = evidence_worker_of(sqlite, slow)
    in_threads(THREADS, lambda number: evidence_worker.prompt("acme" if number % 2 else "acme/ai"))
    slow.go.set()
    evidence_worker.stop(within=60)
    assert slow.asked == 1
    evidence_worker.prompt("acme")  # what ends after the end asks for nothing
    assert slow.asked == 1
