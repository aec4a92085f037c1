"""Rules that people make while the bot runs: as they are written down, and who did what to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule of the database: its keys as in the configuration, and whose it is. `version` differs with each change."""

    name: str
    keys: Mapping[str, Any]
    made_by: str
    made_at: datetime
    changed_by: str
    changed_at: datetime
    version: int = 0


class RuleChangeType(StrEnum):
    """What somebody did to a rule."""

    MADE = "made"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One entry of the audit trail: who did what to which rule, and its keys after it (before it, where it was deleted)."""

    number: int
    rule: str
    change_type: RuleChangeType
    who: str
    at: datetime
    keys: Mapping[str, Any]
