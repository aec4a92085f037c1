"""The ids and names that sources have used, by label."""

from collections.abc import Collection

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import configurations, label_sets, sources

_OF_CONFIGURATION = ("ai_llm", "name", "provider", "workspace", "workspace_name")
_OF_POINTS = ("ai_llm", "provider", "model", "repo", "api_key", "user", "host")


def names_by_source(tx: Tx) -> dict[str, set[tuple[str, str]]]:
    """Each label and value of each source, such as `("ai_llm", "llm-1")`, with the source's own name."""
    # Feeds have rows of their own, such as acme/ai.
    owners = {
        number: name.partition("/")[0] for number, name in tx.execute(sa.select(sources.c.number, sources.c.name))
    }
    by_source: dict[str, set[tuple[str, str]]] = {name: {("source", name)} for name in owners.values()}
    for table, columns in ((configurations, _OF_CONFIGURATION), (label_sets, _OF_POINTS)):
        for column in columns:
            values = sa.select(table.c.source, table.c[column]).where(table.c[column] != "").distinct()
            for number, value in tx.execute(values):
                by_source[owners[number]].add((column, value))
    for number, repos in tx.execute(sa.select(configurations.c.source, configurations.c.repos)):
        for identity, name in dict(repos or ()).items():
            by_source[owners[number]] |= {("repo", identity), ("repo_name", name)}
    return by_source


def known_names(tx: Tx, visible: Collection[str]) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """The labels and values of the visible sources, and those of all others, also of sources no longer configured."""
    shown: set[tuple[str, str]] = set()
    hidden: set[tuple[str, str]] = set()
    for source, names in names_by_source(tx).items():
        (shown if source in visible else hidden).update(names)
    return frozenset(shown), frozenset(hidden)
