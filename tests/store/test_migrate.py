"""The schema: what the migrations make is what the tables say, and a migration happens wholly, once, or not at all."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alertbot.errors import StoreError
from alertbot.store import migrate
from alertbot.store.database import Database
from alertbot.store.tables import metadata
from tests.store.racing import until_waiting

VERSIONS = "alembic_version"


def test_the_migrations_make_the_tables_as_they_are_now(empty_database: Database) -> None:
    with empty_database.transaction() as tx:
        metadata.create_all(tx)
    wanted = schema_of(empty_database)
    with empty_database.transaction() as tx:
        metadata.drop_all(tx)
    migrate.upgrade(empty_database)
    made = schema_of(empty_database)
    assert made.keys() - {VERSIONS} == wanted.keys() == metadata.tables.keys()
    for table, shape in wanted.items():
        assert made[table] == shape, table


def test_a_slice_is_kept_in_one_place_and_no_number_that_people_saw_comes_twice(sqlite: Database) -> None:
    shapes = schema_of(sqlite)
    assert "WITHOUT ROWID" in shapes["snapshots"]["written"]
    for table in ("alerts", "groups", "silences", "outbox"):
        assert "AUTOINCREMENT" in shapes[table]["written"], table


def test_the_schema_that_look_ups_expect_is_the_newest_migration() -> None:
    assert migrate.newest() == migrate.HEAD


def test_an_upgrade_of_the_newest_schema_changes_nothing(database: Database) -> None:
    before = schema_of(database)
    with database.transaction() as tx:
        tx.execute(sa.text("INSERT INTO channels (name) VALUES ('#ai-alerts')"))
    assert migrate.upgrade(database) == migrate.newest() == migrate.current(database)
    assert schema_of(database) == before
    with database.reading() as tx:
        assert tx.execute(sa.text("SELECT name FROM channels")).scalars().all() == ["#ai-alerts"]


def test_two_processes_that_start_together_migrate_once(empty_postgres: Database) -> None:
    url = empty_postgres.url.render_as_string(hide_password=False)
    program = (
        "import sys; from alertbot.store import database, migrate; migrate.upgrade(database.Database(sys.argv[1]))"
    )
    with empty_postgres.transaction() as gate:
        gate.execute(sa.select(sa.func.pg_advisory_xact_lock(migrate._LOCK)))
        started = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(2)]
        until_waiting(empty_postgres, 2)
    assert [process.wait(timeout=60) for process in started] == [0, 0]
    migrate.require_newest(empty_postgres)
    with empty_postgres.reading() as tx:
        assert tx.execute(sa.text(f"SELECT version_num FROM {VERSIONS}")).scalars().all() == [migrate.newest()]


@pytest.mark.parametrize("from_nothing", [True, False], ids=["from nothing", "from the newest schema"])
def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database: Database, tmp_path: Path, *, from_nothing: bool
) -> None:
    if not from_nothing:
        migrate.upgrade(empty_database)
    before = schema_of(empty_database)
    with pytest.raises(RuntimeError, match="the power fails"):
        migrate.upgrade(empty_database, migrations=with_a_failing_one(tmp_path))
    assert schema_of(empty_database) == before
    assert migrate.current(empty_database) == (None if from_nothing else migrate.newest())
    migrate.upgrade(empty_database)
    migrate.require_newest(empty_database)


def with_a_failing_one(tmp_path: Path) -> Path:
    migrations = tmp_path / "migrations of 100 % of us"
    shutil.copytree(migrate.folder(), migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / "9999_half_done.py").write_text(f"""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{migrate.newest()}"


def upgrade():
    op.create_table("left_behind", sa.Column("number", sa.Integer, primary_key=True))
    op.add_column("channels", sa.Column("left_behind", sa.String))
    op.execute("INSERT INTO channels (name) VALUES ('left behind')")
    raise RuntimeError("the power fails")
""")
    return migrations


def test_a_schema_of_a_newer_release_is_told_in_one_line(empty_database: Database) -> None:
    database = empty_database
    migrate.upgrade(database)
    with database.transaction() as tx:
        tx.execute(sa.text(f"UPDATE {VERSIONS} SET version_num = '9999'"))
    with pytest.raises(StoreError) as raised:
        migrate.upgrade(database)
    (line,) = raised.value.lines
    assert line.startswith(f"database {database.place}: ")
    assert "9999" in line
    assert line.endswith("is a newer release of alertbot in use?")
    with pytest.raises(StoreError, match=f"its schema 9999 is newer than this release, which knows {migrate.newest()}"):
        migrate.require_newest(database)


def test_an_empty_database_is_told_with_the_command_that_helps(empty_database: Database) -> None:
    assert migrate.current(empty_database) is None
    with pytest.raises(StoreError, match="it is empty; run: alertbot migrate"):
        migrate.require_newest(empty_database)


def schema_of(database: Database) -> dict[str, dict[str, Any]]:
    """Everything that can be found out about each table, by its name."""
    with database.reading() as tx:
        inspector = sa.inspect(tx)
        shapes = {
            table: {
                "columns": {column["name"]: _column(column, tx.dialect) for column in inspector.get_columns(table)},
                "primary key": inspector.get_pk_constraint(table),
                "indexes": _named([_index(index) for index in inspector.get_indexes(table)]),
                "unique": _named(inspector.get_unique_constraints(table)),
                "foreign keys": _named(inspector.get_foreign_keys(table)),
                "checks": inspector.get_check_constraints(table),
            }
            for table in inspector.get_table_names()
        }
        if database.is_sqlite:
            for name, written in tx.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")):
                if name in shapes:
                    found = {flag for flag in ("WITHOUT ROWID", "AUTOINCREMENT") if flag in written}
                    shapes[name]["written"] = found
        return shapes


def _column(column: Mapping[str, Any], dialect: sa.Dialect) -> dict[str, Any]:
    return {**column, "type": column["type"].compile(dialect=dialect)}


def _index(index: Mapping[str, Any]) -> dict[str, Any]:
    """With the conditions of a partial index as text: the objects that carry them are never equal."""
    return {**index, "dialect_options": {name: str(value) for name, value in index["dialect_options"].items()}}


def _named(found: list[Any]) -> dict[str, Any]:
    return {one["name"]: one for one in found}
