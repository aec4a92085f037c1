"""`/aistats/…` and `/stats/…` → points. Pure.

The unit of `timestamp` is not documented: seconds and milliseconds since 1970, and ISO texts, are told apart here.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from alertbot.domain.points import Dataset, LabelSet, Point
from alertbot.errors import FlashbackUnreadable
from alertbot.flashback.payloads import Literal, expect, listed, mismatch, parse_count, parse_moment, parse_name

_DIMENSIONS: Mapping[Dataset, Mapping[str, str]] = {
    Dataset.AI: {
        "ai_llm": "aiLlmId",
        "provider": "llmType",
        "model": "llmModel",
        "repo": "repoId",
        "api_key": "repoAiApiKeyId",
        "user": "userUuid",
        "host": "host",
    },
    Dataset.STORAGE: {"repo": "repoId", "host": "host"},
}
_AMOUNTS: Mapping[Dataset, Mapping[str, str]] = {
    Dataset.AI: {
        "api_calls": "apiCalls",
        "tokens_in": "tokensIn",
        "tokens_out": "tokensOut",
        "llm_tokens_in": "llmTokensIn",
        "llm_tokens_out": "llmTokensOut",
        "policy_violations": "policyViolations",
        "policy_alerts": "numAlerts",
        "policy_blocks": "numBlocks",
        "severity_low": "numSeverityLow",
        "severity_medium": "numSeverityMedium",
        "severity_high": "numSeverityHigh",
        "active_conversations": "activeConversations",
    },
    Dataset.STORAGE: {"upload_bytes": "upl_bytes", "download_bytes": "dwl_bytes"},
}
_SIGNED = re.compile(r"-?[0-9]{1,39}")
_LARGEST = 10**39 - 1
_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138, as milliseconds 1973
_LARGEST_SECONDS = 253_402_300_799  # the end of the year 9999


def parse_points(body: bytes, *, endpoint: str, dataset: Dataset) -> tuple[Point, ...]:
    """The points in an answer. What a point does not say is 0 in it, as a bucket holds only what happened."""
    return tuple(
        _point(expect(dict, entry, f"data[{place}]", "an object", endpoint), f"data[{place}]", endpoint, dataset)
        for place, entry in enumerate(listed(body, "data", endpoint))
    )


def _point(fields: dict[str, Any], path: str, endpoint: str, dataset: Dataset) -> Point:
    names = {name: parse_name(fields, field, path, endpoint) for name, field in _DIMENSIONS[dataset].items()}
    amounts = {name: parse_count(fields, field, path, endpoint) or 0 for name, field in _AMOUNTS[dataset].items()}
    latency = _microseconds(fields, "latency_ms", path, endpoint)
    if dataset is Dataset.AI:
        # An average of calls: only as a sum over them can it be combined with others.
        amounts["latency_us"] = 0 if latency is None else latency * amounts["api_calls"]
    else:
        amounts["size_change_bytes"] = _signed(fields, "size_change", path, endpoint)
        amounts["storage_latency_us"], amounts["storage_points"] = latency or 0, int(latency is not None)
    known = {name: amount for name, amount in amounts.items() if amount}
    return Point(_bucket(fields.get("timestamp"), f"{path}.timestamp", endpoint), LabelSet(**names), known)


def _signed(fields: dict[str, Any], field: str, path: str, endpoint: str) -> int:
    value = fields.get(field)
    if value is None:
        return 0
    if type(value) is str and _SIGNED.fullmatch(value):
        return int(value)
    if type(value) is not int or abs(value) > _LARGEST:
        mismatch(f"{path}.{field}", "a whole number", value, endpoint)
    return value


def _microseconds(fields: dict[str, Any], field: str, path: str, endpoint: str) -> int | None:
    """A mean in milliseconds, which need not be whole, in microseconds; None where it is not given."""
    value = fields.get(field)
    if value is None:
        return None
    number = _number(value)
    if number is None or number < 0:
        mismatch(f"{path}.{field}", "a number of milliseconds", value, endpoint)
    return round(number * 1000)


def _number(value: object) -> Decimal | None:
    """A number as it was written, not by way of a float; None for anything else, and for what has no use as one."""
    text = value.text if isinstance(value, Literal) else value
    if isinstance(text, bool) or not isinstance(text, str | int):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < _LARGEST else None


def _bucket(value: Any, path: str, endpoint: str) -> datetime:
    number = _number(value)
    if number is None:
        moment = parse_moment(value)
        if moment is None:
            mismatch(path, "a time", value, endpoint)
        return moment
    seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
    if not 0 <= seconds <= _LARGEST_SECONDS:
        raise FlashbackUnreadable(f"{path}: expected a time, got {number:f}", endpoint=endpoint)
    return datetime.fromtimestamp(int(seconds), UTC)
