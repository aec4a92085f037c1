"""The way from any older schema to the newest one. The migrations ship inside the package."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from alertbot.errors import StoreError
from alertbot.store.database import Database

_LOCK = 0x616C6572  # an advisory lock's key on Postgres: two replicas that start together migrate one after the other


def upgrade(database: Database) -> str:
    """Bring the schema to the newest version, in one transaction; the version is returned.

    Raises StoreError where the database is of a version that this release does not know.
    """
    config = _config()
    with database.transaction() as tx:
        if not database.is_sqlite:
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = tx
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"database {database.place}: {error}; is a newer release of alertbot in use?") from error
    return newest()


def newest() -> str:
    """The version of the schema that this release works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "there is at least one migration"
    return head


def current(database: Database) -> str | None:
    """The version of the schema that the database has; None for an empty one."""
    with database.reading() as tx:
        return MigrationContext.configure(tx).get_current_revision()


def require_newest(database: Database) -> None:
    """Raise StoreError unless the schema is the one that this release works with."""
    found = current(database)
    if found != newest():
        raise StoreError(
            f"database {database.place}: its schema is {found or 'empty'}, expected {newest()}; run: alertbot migrate"
        )


def _config() -> Config:
    package = Path(__file__).parents[1]
    shipped = package / "migrations"
    config = Config()
    config.set_main_option("script_location", str(shipped if shipped.is_dir() else package.parent / "migrations"))
    return config
