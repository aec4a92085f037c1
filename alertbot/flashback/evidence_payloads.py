"""Flashback's lists of violations and policy alerts → evidence.

Nothing is counted by them, so one entry that cannot be read is left out and told; the others are of use.
"""

from dataclasses import dataclass
from typing import Any

from alertbot.domain.evidence import Evidence, EvidenceKind
from alertbot.flashback.payloads import LONGEST_NAME, listed_with_total, one_line, parse_epoch

PAGE = 100  # the most that the server gives at once
LONGEST_EXPLANATION = 2000
_KEYS = {EvidenceKind.VIOLATION: "violations", EvidenceKind.ALERT: "alerts"}
_TEXTS = {EvidenceKind.VIOLATION: "explanation", EvidenceKind.ALERT: "message"}
_SEVERITIES = frozenset({"LOW", "MEDIUM", "HIGH"})


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """One page of a list. `length` counts its entries, also those that are `unreadable`; `total` is None if it was not told."""

    found: tuple[Evidence, ...]
    length: int
    total: int | None
    unreadable: int = 0


def parse_violations(body: bytes, *, endpoint: str) -> EvidencePage:
    """A page of `GET /policy/violations`."""
    return _read(body, EvidenceKind.VIOLATION, endpoint)


def parse_policy_alerts(body: bytes, *, endpoint: str) -> EvidencePage:
    """A page of `GET /policy/alerts`."""
    return _read(body, EvidenceKind.ALERT, endpoint)


def _read(body: bytes, kind: EvidenceKind, endpoint: str) -> EvidencePage:
    entries, total = listed_with_total(body, _KEYS[kind], endpoint)
    read = [_evidence(entry, kind) for entry in entries]
    found = tuple(one for one in read if one is not None)
    return EvidencePage(found, len(entries), total, len(entries) - len(found))


def _evidence(entry: Any, kind: EvidenceKind) -> Evidence | None:
    """One entry; None where it does not say what it is, or of when."""
    if not isinstance(entry, dict):
        return None
    identity, at = _text(entry, "id"), parse_epoch(entry.get("timestamp"))
    if not identity or at is None:
        return None
    severity, blocked = _text(entry, "severity").upper(), entry.get("block")
    return Evidence(
        id=identity,
        kind=kind,
        at=at,
        policy=_text(entry, "policyId"),
        policy_name=_text(entry, "policyName"),
        severity=severity if severity in _SEVERITIES else "",
        blocked=blocked if isinstance(blocked, bool) else None,
        repo=_text(entry, "repoId"),
        repo_name=_text(entry, "repoName"),
        user=_text(entry, "userId"),
        user_name=_text(entry, "userName"),
        api_key=_text(entry, "repoAiApiKeyId"),
        api_key_name=_text(entry, "repoAiApiKeyName"),
        provider=_text(entry, "llmType"),
        model=_text(entry, "llmModel"),
        host=_text(entry, "host"),
        explanation=_text(entry, _TEXTS[kind], LONGEST_EXPLANATION),
    )


def _text(entry: dict[str, Any], field: str, longest: int = LONGEST_NAME) -> str:
    """A foreign text on one line; a number is one, too, as an id may be; empty where there is none."""
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return one_line(str(value), longest)
