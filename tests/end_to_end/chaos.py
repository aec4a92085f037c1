"""What befalls processes and databases, and when: moments that are found out from outside, never by a hook in the bot."""

import itertools
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import sqlalchemy as sa

from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.records import Change, ChangeKind
from alertbot.store.database import Database
from alertbot.store.tables import outbox
from tests.end_to_end.stage import Process, Stage

EVALUATING = 0x616C6565  # the advisory lock under which replicas evaluate one after the other
_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


# --- processes


def freeze(process: Process) -> None:
    """As SIGSTOP does, or a machine that is moved elsewhere."""
    process.send(signal.SIGSTOP)
    os.waitid(os.P_PID, process._popen.pid, os.WSTOPPED | os.WNOWAIT)


def thaw(process: Process) -> None:
    process.send(signal.SIGCONT)


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    freeze(process)
    try:
        yield
    finally:
        thaw(process)


def kill_when(stage: Stage, kind: ChangeKind, process: Process) -> threading.Event:
    """Kill the process as soon as Slack has taken what it sent, which is before it can know; the event says that it is done."""
    killed = threading.Event()

    def kill(change: Change) -> None:
        if change.kind is kind and not killed.is_set():
            process.kill()
            killed.set()

    stage.slack.on_change(kill)
    return killed


def double(stage: Stage, delivery: Delivery) -> None:
    """Bring the same thing to every process that is connected, at the same time, and see that each acknowledges it."""
    envelope = {
        "envelope_id": delivery.id,
        "type": delivery.kind.value,
        "payload": delivery.payload,
        "accepts_response_payload": True,
        "retry_attempt": 1,
        "retry_reason": "timeout",
    }
    connections = list(stage.slack.deliveries.sockets.connections)
    acknowledged = delivery.acknowledgements + len(connections)

    async def send() -> None:
        for connection in connections:
            await connection.socket.send_json(envelope)

    stage.slack._run(send())
    stage.wait_for(lambda: delivery.acknowledgements >= acknowledged)


def reconnect(stage: Stage, count: int) -> None:
    """Close the connections of all processes, as Slack does now and then, and wait until each has opened another one."""
    sockets = stage.slack.deliveries.sockets
    stage.slack.disconnect(close=True)
    # Those that were closed stay on the list for a moment.
    stage.wait_for(lambda: [each.retiring for each in list(sockets.connections)] == [False] * count)


# --- Postgres


def url_of(postgres: Database) -> str:
    return postgres.url.set(drivername="postgresql").render_as_string(hide_password=False)


def alter(server: sa.Engine, postgres: Database, what: str) -> None:
    """Change a setting of the database, for connections to come."""
    with server.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{postgres.url.database}" {what}'))


@contextmanager
def held_up(stage: Stage, postgres: Database, statement: str) -> Iterator[None]:
    """Hold a lock that the bot wants, from when on it waits for it until the end."""
    # By the engine: this thread goes on to look into the database, for which it may hold no transaction of ours.
    with postgres.engine.begin() as tx:
        # A busy machine may take longer than the bot's own limit; the test would lose its lock, and the bot would go on.
        tx.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        tx.execute(sa.text(statement))
        stage.wait_for(lambda: _is_waiting(postgres))
        yield


def _is_waiting(postgres: Database) -> bool:
    with postgres.reading() as tx:
        return bool(tx.execute(_WAITING).scalar_one())


@contextmanager
def away(server: sa.Engine, postgres: Database) -> Iterator[None]:
    """No connection to the database, neither the present ones nor new ones."""
    cut = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    alter(server, postgres, "ALLOW_CONNECTIONS false")
    try:
        with server.connect() as connection:
            connection.execute(cut, {"name": postgres.url.database})
        yield
    finally:
        alter(server, postgres, "ALLOW_CONNECTIONS true")


class SkewedClock:
    """The clock of a Postgres database, which can be set: a function of its own stands before that of the server."""

    def __init__(self, server: sa.Engine, postgres: Database) -> None:
        self._server, self._postgres = server, postgres
        with postgres.transaction() as tx:
            tx.execute(sa.text("CREATE SCHEMA skewed"))
        self.set("0 seconds")
        alter(server, postgres, "SET search_path = skewed, pg_catalog, public")

    def set(self, offset: str) -> None:
        body = f"SELECT pg_catalog.clock_timestamp() + interval '{offset}'"
        with self._postgres.transaction() as tx:
            tx.execute(
                sa.text(
                    "CREATE OR REPLACE FUNCTION skewed.clock_timestamp() RETURNS timestamptz "
                    f"VOLATILE LANGUAGE sql AS $body$ {body} $body$"
                )
            )

    def remove(self) -> None:
        alter(self._server, self._postgres, "RESET search_path")
        with self._postgres.transaction() as tx:
            tx.execute(sa.text("DROP SCHEMA skewed CASCADE"))


def end_leases(database: Database) -> None:
    """As if the time of every lease on a notice had gone by."""
    with database.transaction() as tx:
        held = outbox.c.lease_until.is_not(None)
        tx.execute(sa.update(outbox).where(held).values(lease_until=outbox.c.created_at))


# --- a disk


class Disk:
    """Room for a database: a small file system where the user may mount one, else a limit on the size of any file."""

    def __init__(self, folder: Path, *, megabytes: int = 8) -> None:
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self, process: Process) -> None:
        """From now on nothing more can be written."""
        if not self.is_mounted:
            logs = max(path.stat().st_size for path in process._paths)
            room = (logs + 2**15, resource.RLIM_INFINITY)
            resource.prlimit(process._popen.pid, resource.RLIMIT_FSIZE, room)
            return
        with (self.folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            for size in itertools.chain([2**16] * 200, itertools.repeat(512)):
                file.write(b"\0" * size)

    def make_room(self, process: Process) -> None:
        if self.is_mounted:
            (self.folder / "ballast").unlink()
        else:
            without = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            with suppress(ProcessLookupError):  # it may have ended meanwhile
                resource.prlimit(process._popen.pid, resource.RLIMIT_FSIZE, without)

    def remove(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


# --- whoever watches the bot


class Watcher:
    """What a heartbeat goes to: counts its pings."""

    def __init__(self) -> None:
        self.pings = 0
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                watcher.pings += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/ping"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
