"""The engine, its transactions and its clock."""

import copy
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

from alertbot.clock import Clock
from alertbot.errors import StoreError
from alertbot.store.turns import Turns

log = structlog.get_logger()
Tx = sa.Connection
_EVALUATING = 0x616C6565  # key of an advisory lock on Postgres
_LONGEST_WAIT = 30.0  # seconds for a connection, or for the turn to write
_BUSY_TIMEOUT_MS = 10_000  # of a SQLite writer, for another process's transaction
# Notices a server that vanished within half a minute; the system's defaults take two hours.
_KEEPALIVE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
# How long a process that froze or vanished in a transaction keeps its locks. We compute for a few seconds between two
# statements at most. A reader has no locks that others wait for, but no row that it may still see is vacuumed.
_IDLE_IN_TRANSACTION = "30s"
_IDLE_IN_READING = "5min"
# Bugs of ours, not the state of the database: they keep their traceback.
_OUR_MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


# postgresql://user:password@host1:5432,[::1]:5432/name, as libpq takes it.
_HOSTS = re.compile(r"^(postgres(?:ql)?(?:\+\w+)?://(?:[^@/?]*@)?)([^@/?]+,[^@/?]+)(/[^?]*)?(?:\?(.*))?$")
_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d*))?")


class Database:
    """Where readings, alerts and notifications are stored: SQLite for one process, Postgres for several.

    Raises StoreError if the URL is invalid.
    """

    def __init__(self, url: str, *, durable: bool = True, connections: int = 20) -> None:
        """`durable=False` is for throwaway data: SQLite does not wait for the disk then.

        `connections` limits those to Postgres. More threads may use the database: each holds one connection at a time, and
        they take turns in the order in which they come, as do the writers of SQLite.
        """
        self.url = _normal(url)
        self._thread = threading.local()
        self._held: TextIO | None = None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # hide_parameters: an exception's text must not hold what a row held.
        options: dict[str, Any] = {"hide_parameters": True}
        self._turns = [Turns(1 if self.is_sqlite else connections)]
        if not self.is_sqlite:
            keepalive = {name: value for name, value in _KEEPALIVE.items() if name not in self.url.query}
            options |= {
                "pool_pre_ping": True,
                # No overflow, whose connections would be closed and opened all the time under load, at 30 ms each. LIFO,
                # so that an idle bot uses one or two.
                "pool_size": connections,
                "max_overflow": 0,
                "pool_use_lifo": True,
                # Behind pgbouncer in transaction mode the next statement may use another connection.
                "connect_args": {**keepalive, "prepare_threshold": None},
            }
        self.engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            _prepare_sqlite(self.engine, durable=durable)
        else:
            _prepare_postgres(self.engine)

    @property
    def place(self) -> str:
        """The URL without passwords: options may hold one, so they are left out."""
        before, _, name = self.url.set(query={}).render_as_string(hide_password=True).rpartition("/")
        return f"{before}{_several_hosts(self.url)}/{name}"

    @property
    def missing_file(self) -> Path | None:
        """The file of a SQLite database that does not exist yet; the first connection creates it."""
        file = Path(self.url.database or "")
        return file.absolute() if self.is_sqlite and not file.exists() else None

    def limited(self) -> "Database":
        """The same database with a quarter of its connections, for a pool of threads, so that other threads get turns.

        In one queue with 30 polling threads, the evaluating one would get every 31st turn.
        """
        limited = copy.copy(self)
        share = max(1, self._turns[-1].places // 4)
        # All threads take them in this order, so there is no deadlock.
        limited._turns = [Turns(share), *self._turns]  # noqa: SLF001 — of our own class
        return limited

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction that writes. Raises StoreError if the database cannot be used."""
        with self._alone_in_thread(), self._translated(), self._in_turn(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A transaction that only reads, and on SQLite does not wait for writers. Raises StoreError."""
        with (
            self._alone_in_thread(),
            self._translated(),
            nullcontext() if self.is_sqlite else self._in_turn(),
            self.engine.connect() as connection,
            connection.execution_options(alertbot_reads=True).begin(),
        ):
            yield connection

    @contextmanager
    def _alone_in_thread(self) -> Iterator[None]:
        """Refuse a second connection to a thread that holds one.

        Threads that hold one and wait for another deadlock once the pool is empty; on SQLite a thread would wait for its
        own lock.
        """
        if getattr(self._thread, "holds_connection", False):
            raise RuntimeError("this thread asks for a second connection while it holds one: pass the open `tx` on")
        self._thread.holds_connection = True
        try:
            yield
        finally:
            self._thread.holds_connection = False

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Wait for a connection, or on SQLite for the turn to write, as its own lock is not fair."""
        with ExitStack() as stack:
            for turns in self._turns:
                stack.enter_context(turns.turn(within=_LONGEST_WAIT))
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise the driver's errors about the state of the database as StoreError."""
        try:
            yield
        except TimeoutError as error:
            raise StoreError(f"database {self.place}: busy: no turn came within {_LONGEST_WAIT:g} s") from error
        except DBAPIError as error:
            # Without a statement the error is about the URL, such as an unknown option.
            if error.statement is not None and isinstance(error, _OUR_MISTAKES):
                raise
            raise StoreError(f"database {self.place}: {_reason(error)}") from error

    def one_at_a_time(self, tx: Tx) -> None:
        """Wait until no other process is in a transaction that called this. SQLite has only one writer anyway."""
        if not self.is_sqlite:
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_EVALUATING)))

    def check(self) -> None:
        """Raise StoreError unless the database answers."""
        with self.reading() as tx:
            tx.execute(sa.text("SELECT 1"))

    def now(self) -> datetime:
        """The time that all processes of the database share: Postgres' clock, or with SQLite the machine's.

        Raises StoreError. Asks the server; use a SteadyClock to ask often.
        """
        if self.is_sqlite:
            return Clock()()
        with self.reading() as tx:
            moment: datetime = tx.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            return moment.astimezone(UTC)

    def lock(self) -> None:
        """Lock a SQLite database for this process until `close`. Raises StoreError if another process has it.

        The kernel releases the lock when the process ends. Postgres, which several processes may use, is not locked.
        """
        if not self.is_sqlite:
            return
        try:
            held = open(f"{self.url.database}.lock", "w", opener=_open_private)  # noqa: SIM115 — open as long as we run
        except OSError as error:
            raise StoreError(f"database {self.place}: cannot be locked: {error.strerror or error}") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held.close()
            raise StoreError(f"database {self.place}: another alertbot runs on it; several need Postgres") from error
        self._held = held
        file = Path(self.url.database or "")
        if is_open_to_others(file):
            log.warning("database_open_to_others", file=str(file), cure=f"chmod 600 {file}*")

    def close(self) -> None:
        self.engine.dispose()
        if self._held is not None:
            self._held.close()


def _hosts_as_options(url: re.Match[str]) -> str:
    """A URL with several hosts in SQLAlchemy's form: `host=host1:5432&host=host2:5432`."""
    before, hosts, name, options = url.groups(default="")
    query = [f"host={host}" for host in hosts.split(",")] + ([options] if options else [])
    return f"{before}{name or '/'}?{'&'.join(query)}"


def _with_ports_apart(url: URL) -> URL:
    """Several hosts and their ports as two options: with both in one, SQLAlchemy takes no IPv6 address."""
    hosts = url.query.get("host")
    if not isinstance(hosts, tuple):
        return url
    parts = [part for host in hosts if (part := _HOST.fullmatch(host))]
    if len(parts) < len(hosts) or "port" in url.query:  # not quoted, as it may be a part of the password
        raise StoreError("database.url: expected hosts such as h1:5432,h2:5432 or [::1]:5432,[::2]:5432")
    addresses, ports = [part[1] or part[2] for part in parts], [part[3] or "" for part in parts]
    return url.update_query_dict({"host": ",".join(addresses), "port": ",".join(ports)})


def _several_hosts(url: URL) -> str:
    """The hosts of a URL with several, as libpq takes them; empty for one host."""
    hosts, ports = (",".join(url.normalized_query.get(option, ())) for option in ("host", "port"))
    if "," not in hosts or not ports:
        return hosts if "," in hosts else ""
    addresses = (f"[{host}]" if ":" in host else host for host in hosts.split(","))
    return ",".join(f"{host}:{port}".rstrip(":") for host, port in zip(addresses, ports.split(","), strict=False))


def _normal(url: str) -> URL:
    """The URL with the driver that we ship; `postgres://`, which some providers still use, is Postgres too."""
    try:
        parsed = make_url(_HOSTS.sub(_hosts_as_options, url))
    except (ArgumentError, ValueError):
        # `from None`, as a ValueError quotes what it took for the port, which may be a part of the password.
        raise StoreError("database.url: expected a URL such as sqlite:///alertbot.db, got something else") from None
    if "@" in (parsed.host or ""):
        raise StoreError("database.url: expected one @, before the host; in a password write it as %40")
    backend = parsed.get_backend_name()
    if backend in {"postgres", "postgresql"}:
        return _with_ports_apart(parsed.set(drivername="postgresql+psycopg"))
    if backend != "sqlite":
        raise StoreError(f'database.url: expected sqlite or postgresql, got "{backend}"')
    if parsed.database in {None, "", ":memory:"}:
        raise StoreError(
            "database.url: expected a file for SQLite, got a database in memory, which several threads cannot share"
        )
    folder = Path(parsed.database or "").parent
    if not folder.is_dir():
        raise StoreError(f"database.url: the folder {folder} does not exist")
    return parsed


def _open_private(path: str, flags: int) -> int:
    """Open a file; a new one is accessible to this user only."""
    return os.open(path, flags, mode=0o600)


def is_open_to_others(file: Path) -> bool:
    """Whether other users of the machine can access a file."""
    return file.exists() and bool(stat.S_IMODE(file.stat().st_mode) & 0o077)


class _WholeSum:
    """An exact sum of `Whole`: SQLite's own fails past 2**63, and turns digits into floats."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: int | str) -> None:
        self._sum += int(value)

    def finalize(self) -> int | str:
        return self._sum if abs(self._sum) < 2**63 else str(self._sum)


def _moved(moment: str, seconds: float) -> str:
    """A stored time so many seconds earlier. SQLite's own functions only know milliseconds."""
    earlier = datetime.fromisoformat(moment) - timedelta(seconds=seconds)
    return earlier.isoformat(sep=" ", timespec="microseconds")


def _prepare_sqlite(engine: sa.Engine, *, durable: bool) -> None:
    """Real transactions on SQLite.

    By default the driver runs a SELECT outside the transaction, so updates of threads get lost. BEGIN IMMEDIATE takes the
    write lock at once; WAL lets others read meanwhile.
    """

    @event.listens_for(engine, "do_connect")
    def make_private(*_: object) -> None:
        # SQLite would go by the umask, and mostly let everybody read. Its WAL gets the permissions of the file.
        with suppress(OSError):  # SQLite reports it better when it opens the file
            os.close(_open_private(engine.url.database or "", os.O_CREAT | os.O_EXCL))

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            # A committed notification has to survive a power failure, too.
            f"synchronous = {'FULL' if durable else 'OFF'}",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        connection.create_aggregate("whole_sum", 1, _WholeSum)
        connection.create_function("moved", 2, _moved, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("alertbot_reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_postgres(engine: sa.Engine) -> None:
    """A limit on idle transactions, unless the server, the role or the URL has one.

    It is set for the transaction, as behind pgbouncer the session is shared.
    """
    limit = "SELECT set_config('idle_in_transaction_session_timeout', %s, true) WHERE %s = current_setting(%s)"

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("alertbot_reads")
        value = _IDLE_IN_READING if reads else _IDLE_IN_TRANSACTION
        connection.exec_driver_sql(limit, (value, "0", "idle_in_transaction_session_timeout"))


def _reason(error: DBAPIError) -> str:
    """The driver's own words, on one line."""
    return " ".join(str(error.orig).split()) or "it does not answer"
