"""Rules that raise errors, by source, so that operators are notified of each once."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import rule_errors
from alertbot.store.upserts import upsert


def known(tx: Tx) -> frozenset[tuple[str, str]]:
    """Each rule and source whose last evaluation raised an error."""
    return frozenset((rule, source) for rule, source in tx.execute(sa.select(rule_errors.c.rule, rule_errors.c.source)))


def add(tx: Tx, rule: str, source: str, *, now: datetime) -> None:
    """Note that a rule raises an error for a source."""
    tx.execute(upsert(tx, rule_errors), {"rule": rule, "source": source, "since": now})


def remove(tx: Tx, rule: str, source: str) -> None:
    """Note that a rule works again for a source."""
    tx.execute(sa.delete(rule_errors).where(rule_errors.c.rule == rule, rule_errors.c.source == source))


def keep_only(tx: Tx, rules: Iterable[str]) -> None:
    """Delete the errors of all other rules."""
    tx.execute(sa.delete(rule_errors).where(rule_errors.c.rule.not_in(list(rules))))
