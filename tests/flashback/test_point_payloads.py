"""Points as they come over the wire, in every spelling that the reference allows."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.points import Dataset, LabelSet, Point
from alertbot.errors import FlashbackError, FlashbackUnreadable
from alertbot.flashback.point_payloads import parse_points
from tests.builders import patiently

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def read(*entries: object, dataset: Dataset = Dataset.AI, raw: bytes | None = None) -> tuple[Point, ...]:
    body = raw if raw is not None else json.dumps({"success": True, "data": entries}).encode()
    return parse_points(body, endpoint="/aistats/minute", dataset=dataset)


def one(dataset: Dataset = Dataset.AI, **fields: Any) -> Point:
    (point,) = read({"timestamp": NOON.timestamp(), **fields}, dataset=dataset)
    return point


TIMES = {
    "seconds": 1795348800,
    "seconds with a part": 1795348800.25,
    "milliseconds": 1795348800000,
    "digits": "1795348800",
    "milliseconds as digits": "1795348800000",
    "ISO": "2026-11-22T12:00:00Z",
    "ISO with an offset": "2026-11-22T13:00:00+01:00",
    "ISO without a zone": "2026-11-22T12:00:00",
}


@pytest.mark.parametrize("written", TIMES.values(), ids=TIMES)
def test_the_unit_of_a_timestamp_is_recognised(written):
    assert one(timestamp=written).bucket == NOON


def test_everything_a_point_says_is_read():
    point = one(
        aiLlmId="llm-1",
        llmType="OPENAI",
        llmModel="gpt-4o",
        repoId="r1",
        repoAiApiKeyId="k1",
        userUuid="u1",
        host="api.openai.com",
        conversationUuid="not kept",
        apiCalls=3,
        tokensIn="9007199254740993",
        tokensOut=str(2**64 + 1),
        llmTokensIn=1,
        llmTokensOut=2,
        policyViolations=4,
        numAlerts=5,
        numBlocks=6,
        numSeverityLow=7,
        numSeverityMedium=8,
        numSeverityHigh=9,
        activeConversations=10,
        latency_ms=12.5,
    )
    assert point.label_set == LabelSet("llm-1", "OPENAI", "gpt-4o", "r1", "k1", "u1", "api.openai.com")
    assert point.amounts == {
        "api_calls": 3,
        "tokens_in": 9007199254740993,
        "tokens_out": 2**64 + 1,
        "llm_tokens_in": 1,
        "llm_tokens_out": 2,
        "policy_violations": 4,
        "policy_alerts": 5,
        "policy_blocks": 6,
        "severity_low": 7,
        "severity_medium": 8,
        "severity_high": 9,
        "active_conversations": 10,
        "latency_us": 37_500,
    }


def test_what_a_point_does_not_say_is_nothing():
    assert one() == Point(NOON, LabelSet(), {})
    assert one(apiCalls=None, llmModel=None, latency_ms=None).amounts == {}


def test_storage_may_shrink():
    point = one(Dataset.STORAGE, repoId="r1", bucketId="b1", upl_bytes="5", dwl_bytes=6, size_change="-7", latency_ms=2)
    assert point.label_set == LabelSet(repo="r1")
    assert point.amounts == {
        "upload_bytes": 5,
        "download_bytes": 6,
        "size_change_bytes": -7,
        "storage_latency_us": 2000,
        "storage_points": 1,
    }


WRONG = {
    "no time": ({"apiCalls": 1}, "data[0].timestamp: expected a time, got nothing"),
    "a time that is none": ({"timestamp": "noon"}, 'data[0].timestamp: expected a time, got "noon"'),
    "a time that is a flag": ({"timestamp": True}, "data[0].timestamp: expected a time, got true"),
    "a time before all time": ({"timestamp": -5}, "data[0].timestamp: expected a time, got -5"),
    "a time without end": ({"timestamp": "9" * 30}, "data[0].timestamp: expected a time, got"),
    "a negative count": (
        {"timestamp": 1795348800, "apiCalls": -1},
        "data[0].apiCalls: expected a decimal number, got -1",
    ),
    "a count with a part": (
        {"timestamp": 1795348800, "tokensIn": 1.5},
        "data[0].tokensIn: expected a decimal number, got 1.5",
    ),
    "a latency that is a word": (
        {"timestamp": 1795348800, "latency_ms": "slow"},
        'data[0].latency_ms: expected a number of milliseconds, got "slow"',
    ),
    "a model that is a number": (
        {"timestamp": 1795348800, "llmModel": 4},
        "data[0].llmModel: expected a text, got 4",
    ),
    "a point that is none": (7, "data[0]: expected an object, got 7"),
}


@pytest.mark.parametrize(("entry", "told"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named_by_its_place(entry, told):
    with pytest.raises(FlashbackUnreadable) as caught:
        read(entry)
    assert caught.value.lines[0].startswith(told)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)
FIELDS = st.sampled_from(
    ["timestamp", "apiCalls", "tokensIn", "llmModel", "latency_ms", "size_change", "upl_bytes", "aiLlmId"]
)


@given(
    st.lists(st.dictionaries(FIELDS, ANYTHING) | ANYTHING, max_size=3), st.sampled_from([Dataset.AI, Dataset.STORAGE])
)
@patiently
def test_whatever_comes_is_points_or_one_clear_error(entries, dataset):
    try:
        found = read(*entries, dataset=dataset)
    except FlashbackError as error:
        assert len(error.lines) == 1  # noqa: PT017
    else:
        assert len(found) == len(entries)
        assert all(point.bucket.tzinfo is not None for point in found)
