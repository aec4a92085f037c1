"""What a person does to rules: make, change, delete. Each is an entry of the audit trail, in the same transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from alertbot.domain.reports import ListedRule
from alertbot.domain.stored_rules import RuleChange, RuleChangeType, StoredRule
from alertbot.errors import UsageError
from alertbot.flows.rulebook import Rulebook
from alertbot.store import rules
from alertbot.store.database import Database

_MOST_RULES = 200  # made in Slack: each is judged at every reading
log = structlog.get_logger()


def make_rule(
    database: Database, book: Rulebook, keys: Mapping[str, Any], *, by: str, now: datetime, key: str
) -> StoredRule:
    """Keep a new rule. An act that is delivered again, with the same `key`, makes no second one.

    Raises ConfigError where the keys make no rule, UsageError where there is a rule of its name, or too many.
    """
    name = book.grammar.rule(keys).name
    if any(rule.name == name for rule in book.given):
        raise UsageError(f"there is a rule {name} in the configuration; choose another name")
    with database.transaction() as tx:
        version = rules.note(tx, RuleChangeType.MADE, name, keys, who=by, now=now, key=key)
        made = StoredRule(name, keys, by, now, by, now, version or 0)
        if version is None:
            return rules.find(tx, name) or made
        if not rules.add(tx, made):
            raise UsageError(f"there is a rule {name} already; choose another name, or change that one")
        if len(rules.stored(tx)) > _MOST_RULES:
            raise UsageError(
                f"there are {_MOST_RULES} rules that were made in Slack, which is the most; delete some first"
            )
    log.info("rule_made", rule=name, by=by)
    return made


def change_rule(
    database: Database, book: Rulebook, keys: Mapping[str, Any], *, seen: int, by: str, now: datetime, key: str
) -> StoredRule:
    """Write a rule anew that was of the version `seen`. Raises ConfigError, or UsageError where it was changed meanwhile."""
    name = book.grammar.rule(keys).name
    with database.transaction() as tx:
        before = rules.find(tx, name)
        if before is None:
            raise UsageError(f"the rule {name} was deleted meanwhile")
        version = rules.note(tx, RuleChangeType.CHANGED, name, keys, who=by, now=now, key=key)
        if version is None:
            return before
        changed = replace(before, keys=keys, changed_by=by, changed_at=now, version=version)
        if not rules.change(tx, changed, seen=seen):
            raise UsageError(f"somebody has changed {name} since this was opened; open it again")
    log.info("rule_changed", rule=name, by=by)
    return changed


def delete_rule(database: Database, book: Rulebook, name: str, *, by: str, now: datetime, key: str) -> StoredRule:
    """Delete a rule: its alerts are closed at the next evaluation. Raises UsageError where there is none of this name."""
    with database.transaction() as tx:
        found = rules.find(tx, name)
        if found is None:
            raise UsageError(_why_there_is_none(book, name))
        rules.note(tx, RuleChangeType.DELETED, name, found.keys, who=by, now=now, key=key)
        if not rules.delete(tx, found):
            raise UsageError(f"somebody has just changed {name}; look at it again")
    log.info("rule_deleted", rule=name, by=by)
    return found


def _why_there_is_none(book: Rulebook, name: str) -> str:
    if any(rule.name == name for rule in book.given):
        return f"{name} stands in the configuration, and can be changed only there"
    return f'there is no rule "{name}" that was made in Slack'


def stored_rule(database: Database, book: Rulebook, name: str) -> StoredRule:
    """The rule of this name as it is kept. Raises UsageError where there is none that can be changed."""
    with database.reading() as tx:
        found = rules.find(tx, name)
    if found is None:
        raise UsageError(_why_there_is_none(book, name))
    return found


def list_rules(database: Database, book: Rulebook) -> Sequence[ListedRule]:
    """Every rule: those of the configuration, the built-in ones, then those that were made in Slack."""
    with database.reading() as tx:
        kept = book.kept(tx)
    holding = {rule.name: rule for rule in kept.rules}
    given = [ListedRule(rule.name, rule) for rule in book.given]
    made = [ListedRule(name, holding.get(name), one, kept.why_not(name)) for name, one in kept.stored.items()]
    return [*given, *made]


def rule_trail(database: Database, *, most: int = 100) -> Sequence[RuleChange]:
    """What was done to rules, the newest first."""
    with database.reading() as tx:
        return rules.trail(tx, most=most)
