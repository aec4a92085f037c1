"""What the things that sources count are called: their ids and names, by label."""

from collections.abc import Collection

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import configurations, label_sets, sources

_OF_CONFIGURATION = ("ai_llm", "name", "provider", "workspace", "workspace_name")
_OF_POINTS = ("ai_llm", "provider", "model", "repo", "api_key", "user", "host")


def names_by_source(tx: Tx) -> dict[str, set[tuple[str, str]]]:
    """Every value that a label has had at each source, with the label: `("ai_llm", "llm-1")`, the source's own name too."""
    # Feeds stand beside the sources, such as acme/ai.
    owners = {
        number: name.partition("/")[0] for number, name in tx.execute(sa.select(sources.c.number, sources.c.name))
    }
    found: dict[str, set[tuple[str, str]]] = {name: {("source", name)} for name in owners.values()}
    for table, columns in ((configurations, _OF_CONFIGURATION), (label_sets, _OF_POINTS)):
        for column in columns:
            values = sa.select(table.c.source, table.c[column]).where(table.c[column] != "").distinct()
            for number, value in tx.execute(values):
                found[owners[number]].add((column, value))
    for number, repos in tx.execute(sa.select(configurations.c.source, configurations.c.repos)):
        for identity, name in dict(repos or ()).items():
            found[owners[number]] |= {("repo", identity), ("repo_name", name)}
    return found


def known_names(tx: Tx, visible: Collection[str]) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """What is called so at one of the visible sources, and what at any other one, also of a source that is configured no more."""
    shown: set[tuple[str, str]] = set()
    hidden: set[tuple[str, str]] = set()
    for source, names in names_by_source(tx).items():
        (shown if source in visible else hidden).update(names)
    return frozenset(shown), frozenset(hidden)
