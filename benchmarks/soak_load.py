"""What a soak asks of the bot all the time: many sources, charts, silences of people who mean harm. None of it is a fault."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.records import User
from benchmarks.soak_ledger import Ledger
from tests.end_to_end.stage import Stage

NEIGHBOURS_INTERVAL = 10  # seconds
CHARTS_EVERY, SILENCES_EVERY = 15.0, 20.0  # seconds
UPLOAD_TAKES = 3.0  # seconds until Slack has looked at a picture
# None of these fits anything. An engine that backtracks needs minutes to find that out for `violation-burst`, or days.
HOSTILE = (
    r"rule=~(\w+-?)+-test",
    r"rule=~(((.+)+)+)+!",
    r"ai_llm=~(\w+-?)+-test",
    r"rule=~(.*)*(.*)*(.*)*!",
    r"source=acme rule=~(violation|[a-z]+|-)+\d",
    "rule=*o*o*o*o*o*o*o*!",
)


@contextmanager
def neighbours(stage: Stage, count: int) -> Iterator[None]:
    """So many further sources, of which nothing is heard: they only have to be read in time."""
    world = World.still([f"quiet-{number}" for number in range(5)], start=datetime.now(UTC) - timedelta(hours=1))
    with FlashbackServer(world, clock=lambda: datetime.now(UTC)) as server:
        stage.config["sources"] += [
            stage.config["sources"][0]
            | {
                "name": f"neighbour-{number}",
                "base_url": server.url,
                "access_token": server.token,
                "interval": f"{NEIGHBOURS_INTERVAL}s",
            }
            for number in range(count)
        ]
        yield


class Load:
    """What people ask for. `charts` at a time, each by a person of its own."""

    def __init__(self, stage: Stage, ledger: Ledger, *, charts: int) -> None:
        self._stage, self._ledger = stage, ledger
        self._viewers = [User(f"U9{number}", f"viewer-{number}", f"Viewer {number}") for number in range(charts)]
        self._patterns = itertools.cycle(HOSTILE)
        stage.slack.world.users |= {user.id: user for user in self._viewers}
        stage.slack.context.file_seconds = UPLOAD_TAKES

    def ask_for_charts(self) -> None:
        """All of them at the same time."""
        with ThreadPoolExecutor(max(1, len(self._viewers))) as pool:
            list(
                pool.map(
                    lambda user: self._ask("charts", "chart policy_violations config-1 4h", user.id), self._viewers
                )
            )

    def make_a_hostile_silence(self) -> None:
        self._ask("hostile silences", f"silence {next(self._patterns)} 10m", "U3")

    def _ask(self, kind: str, text: str, user: str) -> Delivery:
        began = time.monotonic()
        delivery = self._stage.slack.command(f"/alertbot {text}", user)
        self._ledger.asked(kind, began, delivery.seconds if delivery.acknowledged else None)
        return delivery
