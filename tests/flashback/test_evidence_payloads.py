"""Flashback's lists of violations and policy alerts, page by page."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.evidence import Evidence, EvidenceKind
from alertbot.errors import FlashbackMissing, FlashbackRejected, FlashbackUnavailable, FlashbackUnreadable
from alertbot.flashback.evidence_pages import MOST_PAGES, EvidenceFound, walk
from alertbot.flashback.evidence_payloads import PAGE, EvidencePage, parse_policy_alerts, parse_violations
from tests.builders import START
from tests.flashback.scripted_server import answer, json_body

DOCUMENTED = {
    "id": "v-1",
    "policyId": "p-1",
    "policyName": "No customer PII",
    "timestamp": "2026-01-05T10:02:03.004Z",
    "explanation": "It holds a card number.",
    "conversationId": None,
    "repoId": "r-1",
    "repoName": "support",
    "userId": "u-1",
    "userName": "Ana Ruiz",
    "repoAiApiKeyId": "k-1",
    "repoAiApiKeyName": "production",
    "severity": "HIGH",
    "block": True,
    "llmType": "OPENAI",
    "llmModel": "gpt-4o",
    "host": "api.openai.com",
}
READ = Evidence(
    id="v-1",
    kind=EvidenceKind.VIOLATION,
    at=datetime(2026, 1, 5, 10, 2, 3, 4000, UTC),
    policy="p-1",
    policy_name="No customer PII",
    severity="HIGH",
    blocked=True,
    repo="r-1",
    repo_name="support",
    user="u-1",
    user_name="Ana Ruiz",
    api_key="k-1",
    api_key_name="production",
    provider="OPENAI",
    model="gpt-4o",
    host="api.openai.com",
    explanation="It holds a card number.",
)


def violations(*entries: Any, **more: Any) -> EvidencePage:
    body = json.dumps({"success": True, "violations": entries, **more}).encode()
    return parse_violations(body, endpoint="/policy/violations")


def one(**changed: Any) -> Evidence:
    (found,) = violations(DOCUMENTED | changed).found
    return found


def test_a_documented_violation_is_read_whole():
    assert violations(DOCUMENTED, total=31).found == (READ,)
    assert violations(DOCUMENTED, total=31).total == 31


def test_a_documented_policy_alert_is_read_with_its_message():
    plain = {name: value for name, value in DOCUMENTED.items() if name not in {"explanation", "severity", "block"}}
    body = json.dumps({"success": True, "total": 1, "alerts": [plain | {"message": "PII: a card number"}]}).encode()
    (found,) = parse_policy_alerts(body, endpoint="/policy/alerts").found
    assert (found.kind, found.explanation) == (EvidenceKind.ALERT, "PII: a card number")
    assert (found.severity, found.blocked) == ("", None)


@pytest.mark.parametrize("field", sorted(DOCUMENTED.keys() - {"id", "timestamp"}))
@pytest.mark.parametrize("value", [None, [], {"a": 1}, True, 1.5])
def test_what_is_not_said_or_makes_no_sense_is_unknown_and_the_rest_is_read(field: str, value: Any):
    found = one(**{field: value})
    assert (found.id, found.at) == (READ.id, READ.at)


@pytest.mark.parametrize("written", ["2026-01-05T11:02:03.004+01:00", "2026-01-05T10:02:03.004", 1767607323004])
def test_a_time_is_read_in_any_of_its_forms(written: Any):
    assert one(timestamp=written).at == READ.at


@pytest.mark.parametrize(
    "entry",
    [None, 7, "x", [], {}, DOCUMENTED | {"id": ""}, DOCUMENTED | {"id": None}, DOCUMENTED | {"timestamp": "soon"}],
    ids=str,
)
def test_an_entry_that_cannot_be_read_is_left_out_and_the_others_are_of_use(entry: Any):
    page = violations(DOCUMENTED, entry)
    assert (page.found, page.length, page.unreadable) == ((READ,), 2, 1)


def test_long_and_hostile_texts_become_one_line_that_can_be_stored():
    found = one(explanation="a\x00\nb\u202e" + "x" * 10_000, userName="A\tB", id=7)
    assert found.explanation.startswith("a b xxx")
    assert len(found.explanation) == 2000
    assert (found.user_name, found.id) == ("A B", "7")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_entry_whatever_it_is_ends_the_reading(entry: Any):
    assert violations(DOCUMENTED, entry, DOCUMENTED | {"explanation": entry}).found[0] == READ


WRONG = {
    b'{"success": false, "message": "no"}': FlashbackRejected,
    b'{"success": true}': FlashbackUnreadable,
    b'{"success": true, "violations": {}}': FlashbackUnreadable,
    b'{"success": true, "violations": [], "total": "many"}': FlashbackUnreadable,
    b"<html>": FlashbackUnavailable,
}


@pytest.mark.parametrize("body", WRONG, ids=str)
def test_an_answer_that_is_no_list_is_an_error(body: bytes):
    with pytest.raises(WRONG[body]):
        parse_violations(body, endpoint="/policy/violations")


# --- page by page


class Growing:
    """A list that grows in front while it is read: by so many entries before each page but the first."""

    def __init__(self, length: int, *, grows: int = 0, gives: int = PAGE, tells_total: bool = True, skips: bool = True):
        self.entries = [Evidence(str(number), EvidenceKind.VIOLATION, START) for number in range(length)]
        self.asked: list[int] = []
        self._grows, self._gives, self._tells_total, self._skips = grows, gives, tells_total, skips

    def ask(self, skip: int) -> EvidencePage:
        if self.asked:
            new = [Evidence(f"new {len(self.asked)} {n}", EvidenceKind.VIOLATION, START) for n in range(self._grows)]
            self.entries = [*new, *self.entries]
        self.asked.append(skip)
        start = skip if self._skips else 0
        found = tuple(self.entries[start : start + self._gives])
        return EvidencePage(found, len(found), len(self.entries) if self._tells_total else None)

    def walk(self, **more: Any) -> EvidenceFound:
        return walk(self.ask, has_time=lambda: True, **more)


def ids(found: Sequence[Evidence]) -> set[str]:
    return {one.id for one in found}


@pytest.mark.parametrize("tells_total", [True, False])
@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 250])
def test_every_entry_of_a_list_is_found(length: int, tells_total: bool):
    growing = Growing(length, tells_total=tells_total)
    found = growing.walk()
    assert found.is_whole
    assert ids(found.found) == ids(growing.entries)
    assert len(growing.asked) <= length // PAGE + 1


def test_what_is_added_while_pages_are_turned_hides_nothing_that_was_there():
    growing = Growing(250, grows=7)
    before = ids(growing.entries)
    assert before <= ids(growing.walk().found)


def test_a_server_that_gives_less_at_once_is_asked_for_more():
    assert len(Growing(120, gives=50).walk().found) == 120


def test_a_list_that_is_too_long_is_read_as_far_as_it_goes():
    found = Growing(PAGE * (MOST_PAGES + 2)).walk()
    assert not found.is_whole
    assert len(found.found) == PAGE * MOST_PAGES


def test_a_server_that_does_not_skip_is_not_asked_for_ever():
    growing = Growing(1000, skips=False)
    assert not growing.walk().is_whole
    assert len(growing.asked) == 2


def test_a_walk_ends_when_its_time_is_over():
    growing = Growing(1000)
    assert not walk(growing.ask, has_time=lambda: False).is_whole
    assert growing.asked == [0]


def test_lists_are_asked_for_from_a_moment_on_a_hundred_at_a_time(server, client):
    server.will(
        json_body({"success": True, "violations": [DOCUMENTED] * PAGE, "total": 101}),
        json_body({"success": True, "violations": [DOCUMENTED | {"id": "v-2"}], "total": 101}),
        json_body({"success": True, "alerts": []}),
    )
    asking = client()
    found = asking.violations(since=START, within=timedelta(seconds=5))
    assert ids(found.found) == {"v-1", "v-2"}
    assert asking.policy_alerts(since=START, within=timedelta(seconds=5)).found == ()
    assert [(asked.path, asked.query["skip"], asked.query["take"]) for asked in server.requests] == [
        ("/policy/violations", ["0"], ["100"]),
        ("/policy/violations", ["100"], ["100"]),
        ("/policy/alerts", ["0"], ["100"]),
    ]
    assert {asked.query["from"][0] for asked in server.requests} == {"2026-01-05T00:00:00.000Z"}


def test_a_server_without_such_a_list_is_told_by_its_type(server, client):
    server.will(answer(404))
    with pytest.raises(FlashbackMissing, match="this server has no /policy/violations"):
        client().violations(since=START, within=timedelta(seconds=5))
