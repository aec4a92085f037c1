"""Rules made in Slack, and the history of their changes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.stored_rules import RuleChange, RuleChangeType, StoredRule
from alertbot.store.database import Tx
from alertbot.store.tables import rule_changes, rules
from alertbot.store.upserts import upsert


def mark(tx: Tx) -> tuple[int, int]:
    """A value that differs after any change of a rule.

    The count, as on Postgres a change with a lower number may be committed later, and the highest number, as old ones
    expire.
    """
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(rule_changes.c.number), 0))
    count, newest = tx.execute(query).one()
    return count, newest


def stored(tx: Tx) -> list[StoredRule]:
    """Every rule, by name."""
    return [_rule(row) for row in tx.execute(sa.select(rules).order_by(rules.c.name))]


def find(tx: Tx, name: str) -> StoredRule | None:
    """The rule of this name."""
    row = tx.execute(sa.select(rules).where(rules.c.name == name)).one_or_none()
    return None if row is None else _rule(row)


def note(
    tx: Tx, change_type: RuleChangeType, name: str, keys: Mapping[str, Any], *, who: str, now: datetime, key: str
) -> int | None:
    """Add a change to the history. Returns its number, the rule's new version; None if this key's change is there."""
    number: int | None = tx.execute(
        upsert(tx, rule_changes, conflict=["key"]).returning(rule_changes.c.number),
        {"rule": name, "change_type": change_type.value, "who": who, "at": now, "keys": dict(keys), "key": key},
    ).scalar()
    return number


def add(tx: Tx, rule: StoredRule) -> bool:
    """Store a new rule; False if its name is taken."""
    added = tx.execute(
        upsert(tx, rules).returning(rules.c.name),
        {
            "name": rule.name,
            "keys": dict(rule.keys),
            "made_by": rule.made_by,
            "made_at": rule.made_at,
            "changed_by": rule.changed_by,
            "changed_at": rule.changed_at,
            "version": rule.version,
        },
    )
    return added.scalar() is not None


def change(tx: Tx, rule: StoredRule, *, seen: int) -> bool:
    """Store a changed rule; False if its version is no longer the one that was `seen`."""
    unchanged = sa.and_(rules.c.name == rule.name, rules.c.version == seen)
    changed = tx.execute(
        sa.update(rules)
        .where(unchanged)
        .values(
            keys=dict(rule.keys),
            changed_by=rule.changed_by,
            changed_at=rule.changed_at,
            version=rule.version,
            reported=False,
        )
    )
    return changed.rowcount == 1


def delete(tx: Tx, rule: StoredRule) -> bool:
    """Delete a rule; False if another version is stored."""
    unchanged = sa.and_(rules.c.name == rule.name, rules.c.version == rule.version)
    return tx.execute(sa.delete(rules).where(unchanged)).rowcount == 1


def mark_reported(tx: Tx, name: str) -> bool:
    """Note that people are notified that a rule is invalid; False if they were, since its last change."""
    unreported = sa.and_(rules.c.name == name, rules.c.reported.is_(False))
    return tx.execute(sa.update(rules).where(unreported).values(reported=True)).rowcount == 1


def trail(tx: Tx, *, most: int) -> list[RuleChange]:
    """What was done to rules, the newest first; also to those that are deleted."""
    rows = tx.execute(sa.select(rule_changes).order_by(rule_changes.c.number.desc()).limit(most))
    return [
        RuleChange(row.number, row.rule, RuleChangeType(row.change_type), row.who, row.at, row.keys) for row in rows
    ]


def _rule(row: sa.Row[Any]) -> StoredRule:
    return StoredRule(row.name, row.keys, row.made_by, row.made_at, row.changed_by, row.changed_at, row.version)
