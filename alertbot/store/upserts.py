"""INSERT … ON CONFLICT, which SQLAlchemy spells once for each database."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from alertbot.store.database import Tx


def upsert(
    tx: Tx,
    table: sa.Table,
    *,
    conflict: Collection[str] = (),
    conflict_where: sa.ColumnElement[bool] | None = None,
    update: Iterable[str] = (),
    update_where: sa.ColumnElement[bool] | None = None,
    keep_if_empty: Collection[str] = (),
) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that updates these columns of a row that exists; without `update` it leaves the row as it is.

    A row exists if it has the same values in the `conflict` columns, by default the primary key; `conflict_where` is the
    condition of a partial index. A column in `keep_if_empty` keeps its value when the new one is the empty string.
    """
    insert: sqlite.Insert | postgresql.Insert
    insert = sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)
    columns = list(conflict) or table.primary_key.columns.keys()
    new = {
        name: sa.func.coalesce(sa.func.nullif(insert.excluded[name], ""), table.c[name])
        if name in keep_if_empty
        else insert.excluded[name]
        for name in update
    }
    if not new:
        return insert.on_conflict_do_nothing(index_elements=columns, index_where=conflict_where)
    return insert.on_conflict_do_update(
        index_elements=columns, index_where=conflict_where, set_=new, where=update_where
    )
