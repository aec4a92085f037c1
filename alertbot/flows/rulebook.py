"""The rules that hold: those of the configuration, and those that people made while the bot runs.

Below the other flows. Asking is cheap, so everybody asks whenever they begin something: what one replica was told to
watch, all of them watch at their next look.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alertbot.domain import operator_texts
from alertbot.domain.rules import Rule
from alertbot.domain.stored_rules import StoredRule
from alertbot.errors import ConfigError
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import rules
from alertbot.store.database import Database, Tx


@dataclass(frozen=True, slots=True)
class RuleParser:
    """How rules are written, which the configuration knows: keys → rule, and YAML → keys. Both raise ConfigError."""

    rule: Callable[[Mapping[str, Any]], Rule]
    keys: Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredRules:
    """The rules of the database. `rules` hold; `unread` cannot be read, with the reason; the name of `hidden` is another's."""

    stored: Mapping[str, StoredRule]
    rules: tuple[Rule, ...]
    unread: Mapping[str, str]
    hidden: frozenset[str]

    def why_not(self, name: str) -> str:
        """Why a stored rule does not hold; empty where it does."""
        if name in self.hidden:
            return "the configuration has a rule of this name, which holds instead"
        return f"it cannot be read: {self.unread[name]}" if name in self.unread else ""


class Rulebook:
    """Knows all rules. `given` are those of the configuration and the built-in ones: their names go first."""

    def __init__(self, given: Sequence[Rule], grammar: RuleParser) -> None:
        self.given = tuple(given)
        self.grammar = grammar
        self._known: tuple[tuple[int, int], StoredRules] | None = None

    def rules(self, tx: Tx) -> tuple[Rule, ...]:
        """Every rule that holds now."""
        return (*self.given, *self.kept(tx).rules)

    def rules_in(self, database: Database) -> tuple[Rule, ...]:
        """Every rule that holds now, for whoever is in no transaction."""
        with database.reading() as tx:
            return self.rules(tx)

    def kept(self, tx: Tx) -> StoredRules:
        """The rules of the database; read anew only where somebody has changed one."""
        mark, known = rules.mark(tx), self._known
        if known is None or known[0] != mark:
            known = mark, self._read(rules.stored(tx))
            self._known = known
        return known[1]

    def _read(self, stored: Sequence[StoredRule]) -> StoredRules:
        taken = {rule.name for rule in self.given}
        found: list[Rule] = []
        unread: dict[str, str] = {}
        for one in stored:
            if one.name in taken:
                continue
            try:
                found.append(self.grammar.rule(one.keys))
            except ConfigError as error:  # it was right when it was made: the bot, or what it is, has changed since
                unread[one.name] = error.lines[0]
        hidden = frozenset(one.name for one in stored if one.name in taken)
        return StoredRules({one.name: one for one in stored}, tuple(found), unread, hidden)

    def report_invalid(self, tx: Tx, *, operators: str, now: datetime) -> None:
        """Tell the operators of each rule that does not hold, once until somebody changes it."""
        kept = self.kept(tx)
        for name in sorted({*kept.unread, *kept.hidden}):
            if rules.mark_reported(tx, name):
                text = operator_texts.rule_unused(name, kept.why_not(name))
                notify_operators(tx, text, operators=operators, now=now)
