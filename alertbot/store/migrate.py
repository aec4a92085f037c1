"""Upgrading the schema. The migrations ship inside the package."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from alertbot.errors import StoreError
from alertbot.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"  # the newest migration, known without loading Alembic
_LOCK = 0x616C6572  # key of an advisory lock on Postgres: replicas that start together migrate one after the other


def upgrade(database: Database, *, migrations: Path | None = None) -> str:
    """Upgrade the schema to the newest version, in one transaction. Returns the version.

    `migrations` replaces our own folder. Raises StoreError if this release does not know the database's version.
    """
    from alembic import command
    from alembic.util.exc import CommandError

    config = _config(migrations)
    with database.transaction() as tx:
        if not database.is_sqlite:
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = tx
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"database {database.place}: {error}; is a newer release of alertbot in use?") from error
    return newest(migrations)


def newest(migrations: Path | None = None) -> str:
    """The version of the schema that this release needs."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config(migrations)).get_current_head()
    assert head is not None, "there is at least one migration"
    return head


def current(database: Database) -> str | None:
    """The database's version of the schema; None if it is empty."""
    with database.reading() as tx:
        if not sa.inspect(tx).has_table("alembic_version"):
            return None
        version: str | None = tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return version


def require_newest(database: Database) -> None:
    """Raise StoreError unless the database has the newest schema. Creates no file."""
    if database.missing_file is not None:
        raise StoreError(f"there is no database {database.missing_file} yet; `alertbot run` makes it")
    version = current(database)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise StoreError(
            f"database {database.place}: its schema {version} is newer than this release, which knows {HEAD}; upgrade alertbot"
        )
    its_schema = f"its schema is {version}, expected {HEAD}" if version else "it is empty"
    raise StoreError(f"database {database.place}: {its_schema}; run: alertbot migrate")


def folder() -> Path:
    """Our migrations: inside the package when it is installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def _config(migrations: Path | None = None) -> "Config":
    from alembic.config import Config

    config = Config()
    # Alembic interpolates %(name)s, so a percent sign in the path is doubled.
    config.set_main_option("script_location", str(migrations or folder()).replace("%", "%%"))
    return config
