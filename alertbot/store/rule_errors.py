"""Rules that cannot be evaluated, and for which source; remembered so that people are told of each rule once."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import rule_errors
from alertbot.store.upserts import upsert


def known(tx: Tx) -> frozenset[tuple[str, str]]:
    """The rules that raised when they were last evaluated, each with the source."""
    return frozenset((rule, source) for rule, source in tx.execute(sa.select(rule_errors.c.rule, rule_errors.c.source)))


def add(tx: Tx, rule: str, source: str, *, now: datetime) -> None:
    """Note that a rule raises for a source."""
    tx.execute(upsert(tx, rule_errors), {"rule": rule, "source": source, "since": now})


def remove(tx: Tx, rule: str, source: str) -> None:
    """Note that a rule works again for a source."""
    tx.execute(sa.delete(rule_errors).where(rule_errors.c.rule == rule, rule_errors.c.source == source))


def keep_only(tx: Tx, rules: Iterable[str]) -> None:
    """Forget those of rules that are no more."""
    tx.execute(sa.delete(rule_errors).where(rule_errors.c.rule.not_in(list(rules))))
