"""Transactions: all or nothing, no update lost, and every failure in words that may be read by anybody."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from alertbot.errors import StoreError
from alertbot.store.database import Database, Tx
from alertbot.store.tables import channels, sources
from tests.captured_log import captured_log
from tests.store.racing import in_threads

NAME = "acme"
SECRET = "s3cret"


def insert(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(sa.insert(sources).values(name=NAME))


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def refused(database: Database) -> int:
    with database.reading() as tx:
        counted: int = tx.execute(sa.select(sources.c.refused).where(sources.c.name == NAME)).scalar_one()
        return counted


def test_what_a_failed_transaction_wrote_is_gone(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as tx:
            tx.execute(sa.insert(sources).values(name=NAME))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.reading() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(sources)).scalar_one() == 0


def test_threads_that_read_and_then_write_lose_no_update(database: Database) -> None:
    insert(database)

    def count_up(_turn: int) -> None:
        for _ in range(25):
            with database.transaction() as tx:
                one = sa.select(sources.c.refused).where(sources.c.name == NAME).with_for_update()
                before = tx.execute(one).scalar_one()
                tx.execute(sa.update(sources).values(refused=before + 1))

    in_threads(8, count_up)
    assert refused(database) == 200


def test_two_processes_on_one_sqlite_file_lose_no_update(sqlite: Database) -> None:
    # Two engines share nothing but the file, as two processes do: somebody runs a command while the bot runs.
    insert(sqlite)
    other = Database(str(sqlite.url))

    def count_up(turn: int) -> None:
        for _ in range(50):
            with (sqlite, other)[turn].transaction() as tx:
                before = tx.execute(sa.select(sources.c.refused)).scalar_one()
                tx.execute(sa.update(sources).values(refused=before + 1))

    in_threads(2, count_up)
    other.close()
    assert refused(sqlite) == 100


@pytest.mark.parametrize("second", [Database.reading, Database.transaction])
def test_a_thread_that_holds_a_connection_gets_no_second_one(
    database: Database, second: Callable[[Database], AbstractContextManager[Tx]]
) -> None:
    # Two such threads would wait for each other as soon as the pool is empty.
    for first in (database.reading, database.transaction):
        with first(), pytest.raises(RuntimeError, match="second connection"), second(database):
            pass
    with second(database) as tx:
        assert tx.execute(sa.text("SELECT 1")).scalar_one() == 1, "it holds none any more"


def test_more_threads_than_connections_all_get_their_turn(postgres: Database) -> None:
    # The pool of the tests has two.
    insert(postgres)
    assert in_threads(12, lambda _: refused(postgres)) == [0] * 12


def test_a_connection_stays_open_however_many_threads_come_and_go(postgres: Database) -> None:
    opened: list[object] = []
    busy = Database(postgres.url.render_as_string(hide_password=False), connections=8)
    sa.event.listen(busy.engine, "connect", lambda connection, _: opened.append(connection))
    for _ in range(5):
        in_threads(16, lambda _: busy.now())
    busy.close()
    assert len(opened) <= 8, "each that is opened anew costs the server a process"


def test_whoever_reads_does_not_wait_for_a_writer(database: Database) -> None:
    insert(database)
    with database.transaction() as tx:
        tx.execute(sa.update(sources).values(refused=7))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(refused, database).result(timeout=5) == 0
    assert refused(database) == 7


def test_the_bot_refuses_what_breaks_a_reference(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as tx:
        tx.execute(sa.text("INSERT INTO readings (source, taken_at) VALUES (7, '2026-01-05 00:00:00')"))


def test_a_lock_that_is_not_given_in_time_is_told(sqlite: Database) -> None:
    with sqlite.engine.connect() as impatient:
        impatient.exec_driver_sql("PRAGMA busy_timeout = 20")
        impatient.commit()
    with ThreadPoolExecutor(1) as pool:
        taken, done = threading.Event(), threading.Event()

        def hold() -> None:
            with Database(str(sqlite.url)).transaction():
                taken.set()
                done.wait(30)

        holding = pool.submit(hold)
        taken.wait(30)
        with pytest.raises(StoreError, match="database is locked"), sqlite.transaction():
            pass
        done.set()
        holding.result()


def test_a_connection_that_breaks_off_is_told_and_the_next_one_works(postgres: Database) -> None:
    insert(postgres)

    def break_off() -> None:
        with postgres.transaction() as tx:
            tx.execute(sa.update(sources).values(refused=7))
            own = tx.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
            with contextlib.closing(Database(url_of(postgres))) as elsewhere, elsewhere.transaction() as other:
                other.execute(sa.select(sa.func.pg_terminate_backend(own)))
            tx.execute(sa.update(sources).values(refused=8))

    with pytest.raises(StoreError) as raised:
        break_off()
    assert str(raised.value).startswith(f"database {postgres.place}: ")
    assert refused(postgres) == 0


def test_a_parameter_never_stands_in_the_text_of_a_failure(database: Database) -> None:
    with pytest.raises(IntegrityError) as raised, database.transaction() as tx:
        tx.execute(sa.insert(channels), [{"name": "#ai-alerts", "broken": SECRET}] * 2)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"postgresql://bot:{SECRET}@127.0.0.1:1/alerts", id="in its place"),
        pytest.param(f"postgres://bot:{SECRET}@127.0.0.1:1/alerts", id="in the old form of the address"),
        pytest.param(f"postgresql://bot@127.0.0.1:1/alerts?password={SECRET}", id="as an option"),
        pytest.param(f"postgresql://bot:{SECRET}@127.0.0.1:1/alerts?sslmode=nonsense", id="beside a wrong option"),
        pytest.param(f"postgresql://bot:{SECRET}@127.0.0.1:1/alerts?nonsense=1", id="beside an unknown option"),
        pytest.param(f"postgresql://bot:half@{SECRET}@127.0.0.1:1/alerts", id="with an @ that should be %40"),
        pytest.param(f"postgresql://bot@127.0.0.1:{SECRET}/alerts", id="in the place of the port"),
        pytest.param(f"bot:{SECRET}@127.0.0.1", id="in something that is no URL"),
        pytest.param(f"mysql://bot:{SECRET}@127.0.0.1/alerts", id="of another kind of database"),
    ],
)
def test_a_password_is_never_told(url: str) -> None:
    with pytest.raises(StoreError) as raised:
        Database(url).check()
    told = raised.value
    assert len(told.lines) == 1
    for words in (told, told.__cause__):
        assert SECRET not in str(words)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("sqlite://", "a database in memory", id="in memory"),
        pytest.param("sqlite:///:memory:", "a database in memory", id="in memory, by its name"),
        pytest.param("sqlite:////no/such/folder/alertbot.db", "the folder /no/such/folder does not exist", id="folder"),
        pytest.param("oracle://host/db", 'got "oracle"', id="another kind of database"),
    ],
)
def test_a_url_that_cannot_work_is_told_before_anything_is_opened(url: str, told: str) -> None:
    with pytest.raises(StoreError, match=f"^database.url: .*{told}"):
        Database(url)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be taken for one" * 10)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(StoreError, match="file is not a database"):
        database.check()


@pytest.mark.parametrize("umask", [0o022, 0o000], ids=["a usual umask", "no umask"])
def test_what_sqlite_keeps_is_for_its_user_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with contextlib.closing(Database(f"sqlite:///{tmp_path / 'alertbot.db'}")) as made:
            made.lock()
            with made.transaction() as tx:
                tx.execute(sa.text("CREATE TABLE t (x)"))
                names = {file.name: f"{file.stat().st_mode & 0o777:o}" for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert names == dict.fromkeys(["alertbot.db", "alertbot.db-wal", "alertbot.db-shm", "alertbot.db.lock"], "600")


def test_a_database_that_others_may_read_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "alertbot.db"
    file.touch()
    file.chmod(0o644)
    with captured_log() as log, contextlib.closing(Database(f"sqlite:///{file}")) as shared:
        shared.lock()
    assert f"chmod 600 {file}" in log.text


def test_nothing_is_left_on_a_connection_that_others_may_get_next(postgres: Database) -> None:
    # As behind a pgbouncer in transaction mode: there a session is whoever's transaction comes next.
    for _ in range(12):  # psycopg prepares what it has run five times
        insert_or_count(postgres)
    with postgres.reading() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0
        session_locks = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert tx.execute(session_locks).scalar_one() == 0
    with contextlib.closing(postgres.engine.raw_connection()) as connection:  # in no transaction of ours
        cursor = connection.cursor()
        cursor.execute("SELECT name FROM pg_settings WHERE source = 'session'")
        assert not {name for (name,) in cursor.fetchall()} & {"idle_in_transaction_session_timeout"}
    with postgres.transaction() as tx:
        limit = tx.execute(sa.text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    assert limit == "30s", "a frozen process holds its locks no longer"


def test_a_reader_that_hangs_does_not_hold_back_vacuum_for_good(postgres: Database) -> None:
    with postgres.reading() as tx:
        limit = tx.execute(sa.text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    assert limit == "5min"


def test_a_limit_for_idle_readers_that_somebody_has_set_stays(postgres: Database) -> None:
    url = postgres.url.update_query_dict({"options": "-c idle_in_transaction_session_timeout=7s"})
    with (
        contextlib.closing(Database(url.render_as_string(hide_password=False))) as limited,
        limited.reading() as tx,
    ):
        assert tx.execute(sa.text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "7s"


def insert_or_count(postgres: Database) -> None:
    with postgres.transaction() as tx:
        postgres.one_at_a_time(tx)
        tx.execute(sa.update(sources).values(refused=sources.c.refused + 1))


def test_the_next_host_is_asked_where_the_first_is_away(postgres: Database, tmp_path: Path) -> None:
    here = str(postgres.url.query.get("host") or postgres.url.host)
    away = tmp_path / "nobody"
    database = postgres.url.database
    hosts = f"127.0.0.1:1,127.0.0.2:1/{database}"
    with contextlib.closing(Database(f"postgresql://bot:{SECRET}@{hosts}?target_session_attrs=read-write")) as several:
        assert several.url.query["host"] == "127.0.0.1,127.0.0.2"
        assert several.url.query["port"] == "1,1"
        assert several.url.query["target_session_attrs"] == "read-write"
        with pytest.raises(StoreError) as raised:
            several.check()
        assert "127.0.0.1:1" in several.place
        assert "127.0.0.2:1" in several.place
        assert SECRET not in f"{raised.value} {several.place}"
    options = f"host={away}&host={here}&target_session_attrs=read-write"
    with contextlib.closing(Database(f"postgresql://{postgres.url.username}@/{database}?{options}")) as first_away:
        first_away.check()


@pytest.mark.parametrize(
    ("hosts", "addresses", "ports"),
    [
        pytest.param("[::1]:5432,[::2]:5433", "::1,::2", "5432,5433", id="two IPv6 addresses"),
        pytest.param("h1:5432,[::2]:5433", "h1,::2", "5432,5433", id="a name and an address"),
        pytest.param("[::1],[::2]", "::1,::2", ",", id="without ports"),
        pytest.param("[fe80::1%25eth0]:5432,h2", "fe80::1%eth0,h2", "5432,", id="an address of one interface"),
    ],
)
def test_several_hosts_may_be_ipv6_addresses(hosts: str, addresses: str, ports: str) -> None:
    with contextlib.closing(Database(f"postgresql://bot:{SECRET}@{hosts}/alerts?target_session_attrs=any")) as several:
        _, options = several.engine.dialect.create_connect_args(several.url)
        assert (options["host"], options["port"]) == (addresses, ports)
        assert several.place == f"postgresql+psycopg://bot:***@{hosts}/alerts".replace("%25", "%")


@pytest.mark.parametrize("hosts", ["h1:54x,h2", "::1,::2", f"h1,h2:{SECRET}"])
def test_several_hosts_that_cannot_be_told_apart_are_refused_without_quoting_them(hosts: str) -> None:
    with pytest.raises(StoreError, match=r"^database\.url: expected hosts such as") as raised:
        Database(f"postgresql://bot:{SECRET}@{hosts}/alerts")
    assert SECRET not in str(raised.value)


def test_of_two_ipv6_addresses_the_one_that_answers_is_used(postgres: Database) -> None:
    with relayed_from_ipv6(postgres) as port:
        hosts = f"[::1]:1,[::1]:{port}/{postgres.url.database}?target_session_attrs=read-write"
        with contextlib.closing(Database(f"postgresql://{postgres.url.username}@{hosts}")) as several:
            several.check()


@contextlib.contextmanager
def relayed_from_ipv6(postgres: Database) -> Iterator[int]:
    """A port of ::1 that leads to Postgres, which for tests listens on a socket in a folder."""
    folder = postgres.url.query.get("host")
    if folder is None:
        pytest.skip("the server of TEST_POSTGRES_URL is not relayed to")

    async def relay(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, questions = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(pump(client, questions), pump(server, answers))

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            target.write(chunk)
        target.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(relay, "::1", 0)

    loop = asyncio.new_event_loop()
    try:
        listening = loop.run_until_complete(start())
    except OSError:
        loop.close()
        pytest.skip("this machine has no IPv6")
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield listening.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    listening.close()
    loop.close()


def test_the_clock_of_the_database_is_aware(postgres: Database) -> None:
    offset = postgres.now().utcoffset()
    assert offset is not None
    assert not offset
