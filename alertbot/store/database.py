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
_EVALUATING = 0x616C6565  # an advisory lock's key on Postgres
_LONGEST_WAIT = 30.0  # seconds that a thread waits for a connection, or for its turn to write
_BUSY_TIMEOUT_MS = 10_000  # how long a SQLite writer waits for another one's transaction
# A server that is gone without a word is noticed within half a minute; the system's own patience is two hours.
_DEAF = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
# A process that is frozen in the middle of a transaction, or whose machine is gone, holds its locks no longer than
# this. Ours compute for some seconds between two statements at most.
_IDLE_IN_TRANSACTION = "30s"
# What a statement of ours causes, not the state of the database: a traceback tells more than a sentence.
_OUR_MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


# postgresql://user:password@host1:5432,host2:5432/name, as libpq takes it.
_HOSTS = re.compile(r"^(postgres(?:ql)?(?:\+\w+)?://(?:[^@/?]*@)?)([^@/?]+,[^@/?]+)(/[^?]*)?(?:\?(.*))?$")


class Database:
    """A place where readings, alerts and notifications are remembered: SQLite for one process, Postgres for several.

    Raises StoreError where the URL makes no sense or no server answers.
    """

    def __init__(self, url: str, *, durable: bool = True, connections: int = 20) -> None:
        """`durable=False` is for what is thrown away anyway: SQLite does not wait for the disk then.

        At most so many `connections` to a Postgres are open at once. More threads than that may use the database: each
        holds one at a time, and they have their turns in the order in which they come. So have those that write to SQLite.
        """
        self.url = _normal(url)
        self._thread = threading.local()
        self._held: TextIO | None = None
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # hide_parameters: an exception's text must not hold what a row held.
        options: dict[str, Any] = {"hide_parameters": True}
        self._turns = [Turns(1 if self.is_sqlite else connections)]
        if not self.is_sqlite:
            given = {name: value for name, value in _DEAF.items() if name not in self.url.query}
            options |= {
                "pool_pre_ping": True,
                # Each stays open: under load a pool that closes some would open others all the time, at 30 ms each.
                # Those that were used last come first, so a quiet bot uses one or two.
                "pool_size": connections,
                "max_overflow": 0,
                "pool_use_lifo": True,
                # Behind a pgbouncer in transaction mode a prepared statement is on another connection the next time.
                "connect_args": {**given, "prepare_threshold": None},
            }
        self.engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            _prepare_sqlite(self.engine, durable=durable)
        else:
            _prepare_postgres(self.engine)

    @property
    def place(self) -> str:
        """Where it is, without its password, which may stand among the options behind the question mark as well."""
        hosts = {"host": self.url.query["host"]} if isinstance(self.url.query.get("host"), tuple) else {}
        return self.url.set(query=hosts).render_as_string(hide_password=True).replace("%3A", ":")

    @property
    def missing_file(self) -> Path | None:
        """The file of a SQLite database that does not exist yet; the first connection makes it."""
        file = Path(self.url.database or "")
        return file.absolute() if self.is_sqlite and not file.exists() else None

    def limited(self) -> "Database":
        """The same database for many threads of one kind: a quarter of its connections, so that others come in between.

        In one queue with 30 threads that poll, the one that evaluates would have every 31st turn.
        """
        limited = copy.copy(self)
        share = max(1, self._turns[-1].places // 4)
        # Taken in this order by everybody, so nobody waits in a circle.
        limited._turns = [Turns(share), *self._turns]  # noqa: SLF001 — of our own class
        return limited

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """A transaction that writes: all of it is kept, or nothing. Raises StoreError where the database cannot be used."""
        with self._alone_in_thread(), self._translated(), self._in_turn(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A transaction that only reads; on SQLite it does not wait for a writer."""
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

        Threads that hold one and wait for another wait for each other as soon as the pool is empty; and on SQLite a thread
        would wait for its own lock.
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
        """Wait for a connection, or on SQLite for the turn to write: its own lock is not given in order."""
        with ExitStack() as stack:
            for turns in self._turns:
                stack.enter_context(turns.turn(within=_LONGEST_WAIT))
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the driver says of the database's state into a StoreError."""
        try:
            yield
        except TimeoutError as error:
            raise StoreError(f"database {self.place}: busy: no turn came within {_LONGEST_WAIT:g} s") from error
        except DBAPIError as error:
            # Without a statement the mistake is one of the URL, such as an option that does not exist.
            if error.statement is not None and isinstance(error, _OUR_MISTAKES):
                raise
            raise StoreError(f"database {self.place}: {_reason(error)}") from error

    def one_at_a_time(self, tx: Tx) -> None:
        """Wait until no other process is in such a transaction. SQLite has only one writer anyway."""
        if not self.is_sqlite:
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_EVALUATING)))

    def check(self) -> None:
        """Raise StoreError unless the database answers."""
        with self.reading() as tx:
            tx.execute(sa.text("SELECT 1"))

    def now(self) -> datetime:
        """The time by which all processes that share the database go: Postgres' own, with SQLite the machine's.

        Raises StoreError. Asks the server: who needs the time often asks a SteadyClock.
        """
        if self.is_sqlite:
            return Clock()()
        with self.reading() as tx:
            moment: datetime = tx.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            return moment.astimezone(UTC)

    def lock(self) -> None:
        """Keep a SQLite database to this process, until `close`. Raises StoreError where another one has it.

        Postgres is for several processes: there is nothing to lock. The lock is the kernel's, so it goes with the process.
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
    """A URL of several hosts in the form that SQLAlchemy takes: `host=host1:5432&host=host2:5432`."""
    before, hosts, name, options = url.groups(default="")
    query = [f"host={host}" for host in hosts.split(",")] + ([options] if options else [])
    return f"{before}{name or '/'}?{'&'.join(query)}"


def _normal(url: str) -> URL:
    """The URL with the driver that we ship; `postgres://`, which some hosts still hand out, is Postgres too."""
    try:
        parsed = make_url(_HOSTS.sub(_hosts_as_options, url))
    except (ArgumentError, ValueError):
        # Without its cause: a ValueError quotes what stands in the place of a port, which may be a part of a password.
        raise StoreError("database.url: expected a URL such as sqlite:///alertbot.db, got something else") from None
    if "@" in (parsed.host or ""):
        raise StoreError("database.url: expected one @, before the host; in a password write it as %40")
    backend = parsed.get_backend_name()
    if backend in {"postgres", "postgresql"}:
        return parsed.set(drivername="postgresql+psycopg")
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
    """Opens a file; one that is made is for this user alone."""
    return os.open(path, flags, mode=0o600)


def is_open_to_others(file: Path) -> bool:
    """Whether other users of the machine may read or write a file."""
    return file.exists() and bool(stat.S_IMODE(file.stat().st_mode) & 0o077)


class _WholeSum:
    """SQLite's sum() stops at 2**63, and makes floats of the digits that stand for more: this one is exact."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: int | str) -> None:
        self._sum += int(value)

    def finalize(self) -> int | str:
        return self._sum if abs(self._sum) < 2**63 else str(self._sum)


def _moved(moment: str, seconds: float) -> str:
    """A stored moment so many seconds earlier, in the form that SQLite keeps: its own functions know only milliseconds."""
    earlier = datetime.fromisoformat(moment) - timedelta(seconds=seconds)
    return earlier.isoformat(sep=" ", timespec="microseconds")


def _prepare_sqlite(engine: sa.Engine, *, durable: bool) -> None:
    """Real transactions on SQLite.

    The driver would run a SELECT outside the transaction, and lose updates between threads; BEGIN IMMEDIATE takes the
    write lock at once. WAL lets readers read meanwhile.
    """

    @event.listens_for(engine, "do_connect")
    def make_private(*_: object) -> None:
        # SQLite would make it as the umask says, mostly for everybody to read. Its WAL gets the permissions of the
        # file.
        with suppress(OSError):  # a file that cannot be made cannot be opened either, and SQLite says why
            os.close(_open_private(engine.url.database or "", os.O_CREAT | os.O_EXCL))

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            # A notification that was committed has to survive the power, not only the process.
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
    """A limit on how long a transaction that writes may lie idle, unless the server, the role or the URL has one.

    It is set for the transaction: behind a pgbouncer the session belongs to others as well.
    """
    limit = "SELECT set_config('idle_in_transaction_session_timeout', %s, true) WHERE %s = current_setting(%s)"

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("alertbot_reads"):
            name = "idle_in_transaction_session_timeout"
            connection.exec_driver_sql(limit, (_IDLE_IN_TRANSACTION, "0", name))


def _reason(error: DBAPIError) -> str:
    """The driver's own words, on one line."""
    return " ".join(str(error.orig).split()) or "it does not answer"
