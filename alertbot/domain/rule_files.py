"""Processes that share a database may have been started with different files, as in a rolling update."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alertbot.domain.rules import Rule


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What the configuration file of one running process says: its rules as name → fingerprint, and its sources."""

    process: str
    rules: Mapping[str, str]
    sources: frozenset[str]


def fingerprints(rules: Iterable[Rule]) -> dict[str, str]:
    """The rules by name, each as a hash of all that it says. Rules of one name, one a source, share a hash."""
    texts: dict[str, list[str]] = {}
    for rule in rules:
        texts.setdefault(rule.name, []).append(repr(rule))
    return {name: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16] for name, lines in texts.items()}


def contested_rules(rules: Mapping[str, str], others: Iterable[RuleFile]) -> frozenset[str]:
    """The names of the rules that another process's file has, and that are missing or different in `rules`."""
    return frozenset(
        name for other in others for name, fingerprint in other.rules.items() if rules.get(name) != fingerprint
    )
