"""Processes with different rule files: until they agree, none of them ends or lowers an alert that another's file keeps.

A stopgap for rolling updates. Below the other flows, inside their transactions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from alertbot.domain import operator_texts
from alertbot.domain.rule_files import RuleFile, contested_rules, fingerprints
from alertbot.domain.rules import Rule
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import operator_alerts, rule_files
from alertbot.store.database import Tx
from alertbot.store.operator_alerts import OperatorAlert

log = structlog.get_logger()
_CONFLICT = "rule files differ"


@dataclass(frozen=True, slots=True)
class RuleConflict:
    """Rules that another process's file has, differently or in addition, and the sources that files of others have."""

    rules: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()


NO_CONFLICT = RuleConflict()


def register_rules(tx: Tx, process: str, from_file: Sequence[Rule], sources: Collection[str], *, now: datetime) -> None:
    """Say with which rules and sources this process was started."""
    rule_files.register(tx, RuleFile(process, fingerprints(from_file), frozenset(sources)), now=now)


def find_conflict(tx: Tx, process: str, rules: Sequence[Rule], *, now: datetime) -> RuleConflict:
    """How the files of other running processes differ from the rules in force here."""
    others = rule_files.of_others(tx, process, now=now)
    if not others:
        return NO_CONFLICT
    sources = frozenset(source for other in others for source in other.sources)
    return RuleConflict(contested_rules(fingerprints(rules), others), sources)


def report_conflict(tx: Tx, process: str, conflict: RuleConflict, *, operators: str, now: datetime) -> None:
    """Notify the operators once that files differ, and once that they agree again."""
    if conflict.rules:
        names = sorted(conflict.rules)
        if operator_alerts.begin(tx, OperatorAlert(_CONFLICT, ", ".join(names), now, process, now)):
            log.warning("rule_files_differ", rules=names)
            notify_operators(tx, operator_texts.rules_differ(names), operators=operators, now=now)
        return
    known = operator_alerts.standing(tx).get(_CONFLICT)
    if known is not None and operator_alerts.end(tx, known):
        log.info("rule_files_agree")
        notify_operators(tx, operator_texts.rules_agree(), operators=operators, now=now)
