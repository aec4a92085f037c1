"""What each transaction of a database deletes and asks, seen by the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import event

from alertbot.store.database import Database


@contextmanager
def deleted_rows(database: Database) -> Iterator[list[int]]:
    """How many rows each transaction deletes, also those that go with others by a foreign key. For code that only deletes."""
    counts: list[int] = []
    before: dict[int, int] = {}

    def begin(tx: sa.Connection) -> None:
        before[id(tx)] = _total(tx)

    def commit(tx: sa.Connection) -> None:
        if deleted := _total(tx) - before[id(tx)]:
            counts.append(deleted)

    def _total(tx: sa.Connection) -> int:
        if database.is_sqlite:
            changes: int = tx.connection.dbapi_connection.total_changes  # type: ignore[union-attr]
            return changes
        query = "SELECT coalesce(sum(n_tup_del), 0) FROM pg_stat_xact_user_tables"
        return int(tx.connection.cursor().execute(query).fetchone()[0])

    event.listen(database.engine, "begin", begin)
    event.listen(database.engine, "commit", commit)
    try:
        yield counts
    finally:
        event.remove(database.engine, "begin", begin)
        event.remove(database.engine, "commit", commit)


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, object]]]:
    """Every statement with its parameters, as the driver gets it."""
    noted: list[tuple[str, object]] = []

    def note(_tx: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        noted.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
