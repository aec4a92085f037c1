import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.domain.snapshots import Configuration, Counter, Snapshot
from alertbot.errors import FlashbackError, FlashbackRejected, FlashbackUnavailable, FlashbackUnreadable
from alertbot.flashback.payloads import (
    StatsPage,
    one_line,
    parse_configurations,
    parse_one_by_one,
    parse_stats,
    plain_columns,
    server_words,
)

DOCUMENTED = {
    "aiLlmId": "550e8400-e29b-41d4-a716-446655440000",
    "totalApiCalls": "1523",
    "totalTokensIn": "45678",
    "totalTokensOut": "89012",
    "totalLlmTokensIn": "43210",
    "totalLlmTokensOut": "87654",
    "totalPolicyViolations": "3",
    "totalAlerts": "5",
    "totalBlocks": "2",
}


def stats(*entries: Any) -> StatsPage:
    return parse_stats(stats_body(*entries), endpoint="/ai/llm/stats")


def stats_body(*entries: Any) -> bytes:
    return json.dumps({"success": True, "stats": entries}).encode()


def api_calls(written: str) -> int:
    """The count that this JSON stands for."""
    body = b'{"success": true, "stats": [{"aiLlmId": "a", "totalApiCalls": ' + written.encode() + b"}]}"
    return parse_stats(body, endpoint="/ai/llm/stats").snapshots[0].totals[Counter.API_CALLS]


def configurations(*entries: Any) -> tuple[Configuration, ...]:
    return parse_configurations(json.dumps({"success": True, "aiLlms": entries}).encode(), endpoint="/ai/llm")


def test_the_documented_answer_is_read_whole():
    assert stats(DOCUMENTED).snapshots == (
        Snapshot(
            "550e8400-e29b-41d4-a716-446655440000",
            {
                Counter.API_CALLS: 1523,
                Counter.TOKENS_IN: 45678,
                Counter.TOKENS_OUT: 89012,
                Counter.LLM_TOKENS_IN: 43210,
                Counter.LLM_TOKENS_OUT: 87654,
                Counter.POLICY_VIOLATIONS: 3,
                Counter.POLICY_ALERTS: 5,
                Counter.POLICY_BLOCKS: 2,
            },
        ),
    )


@given(st.integers(0, 10**39 - 1))
def test_a_count_of_any_size_stays_exact_as_text_and_as_number(count: int):
    assert api_calls(f'"{count}"') == count
    assert api_calls(str(count)) == count


@given(st.integers(0, 2**70), st.integers(1, 10))
def test_leading_zeros_change_nothing(count: int, zeros: int):
    assert api_calls(f'"{"0" * zeros}{count}"') == count


@given(st.text("0123456789+-_.eE \n٣", max_size=45) | st.text(max_size=5))
def test_a_text_is_a_count_only_if_it_is_made_of_the_ten_digits(text: str):
    if text and len(text) <= 39 and set(text) <= set("0123456789"):
        assert api_calls(json.dumps(text)) == int(text)
    else:
        with pytest.raises(FlashbackUnreadable):
            api_calls(json.dumps(text))


@given(
    st.floats() | st.booleans() | st.integers(max_value=-1) | st.integers(min_value=10**39) | st.lists(st.integers())
)
def test_no_other_json_value_is_taken_for_a_count(value: Any):
    with pytest.raises(FlashbackUnreadable):
        api_calls(json.dumps(value))


@pytest.mark.parametrize(
    ("written", "quoted"),
    [
        ("1.0", "1.0"),
        ("1e3", "1e3"),
        ('"1e3"', '"1e3"'),
        ('"12.5"', '"12.5"'),
        ("-5", "-5"),
        ('"-5"', '"-5"'),
        ('"+5"', '"+5"'),
        ('" 7 "', '" 7 "'),
        ('"7\\n"', '"7 "'),
        ('"1_000"', '"1_000"'),
        ('"1,000"', '"1,000"'),
        ('"0x10"', '"0x10"'),
        ('"٣"', '"٣"'),
        ('""', '""'),
        ("true", "true"),
        ("false", "false"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[1]", "a list"),
        ('{"low": 1}', "an object"),
        ('"' + "9" * 40 + '"', '"' + "9" * 40 + '"'),
        ("9" * 5000, "9" * 59 + "…"),
    ],
)
def test_what_is_no_decimal_number_is_named_with_its_path(written: str, quoted: str):
    with pytest.raises(FlashbackUnreadable) as caught:
        api_calls(written)
    assert str(caught.value) == f"stats[0].totalApiCalls: expected a decimal number, got {quoted}"


def test_the_path_counts_entries_from_zero():
    with pytest.raises(FlashbackUnreadable, match=r"^stats\[2\]\.totalBlocks: "):
        stats({"aiLlmId": "a"}, {"aiLlmId": "b"}, {"aiLlmId": "c", "totalBlocks": 1.0})


def test_a_field_that_is_missing_or_null_is_unknown_and_not_zero():
    page = stats({"aiLlmId": "a", "totalApiCalls": None, "totalAlerts": "0"})
    assert page.snapshots == (Snapshot("a", {Counter.POLICY_ALERTS: 0}),)


def test_fields_that_nobody_knows_are_passed_over():
    assert stats({"aiLlmId": "a", "totalCarrots": "many"}).snapshots == (Snapshot("a", {}),)


def test_an_answer_without_success_is_taken_if_its_shape_is_right():
    assert parse_stats(b'{"stats": [{"aiLlmId": "a"}]}', endpoint="/ai/llm/stats").snapshots == (Snapshot("a", {}),)


def test_no_configurations_is_a_good_answer():
    assert stats() == StatsPage(())
    assert not stats().is_total


@pytest.mark.parametrize("unnamed", [{}, {"aiLlmId": None}, {"aiLlmId": ""}], ids=["missing", "null", "empty"])
def test_one_entry_without_an_id_is_the_sum_of_all(unnamed: dict[str, Any]):
    page = stats({**unnamed, "totalApiCalls": "9"})
    assert page.is_total
    assert page.total == {Counter.API_CALLS: 9}
    assert page.snapshots == ()


def test_a_sum_beside_named_entries_is_not_counted_as_a_configuration():
    page = stats({"aiLlmId": "a", "totalApiCalls": 2}, {"totalApiCalls": 2})
    assert not page.is_total
    assert page.snapshots == (Snapshot("a", {Counter.API_CALLS: 2}),)


@pytest.mark.parametrize(
    ("entries", "snapshot"),
    [
        ([{"aiLlmId": "a", "totalApiCalls": 2}], Snapshot("a", {Counter.API_CALLS: 2})),
        ([{"totalApiCalls": 2}], Snapshot("a", {Counter.API_CALLS: 2})),
        ([{"aiLlmId": "b"}, {"aiLlmId": "a", "totalApiCalls": 2}], Snapshot("a", {Counter.API_CALLS: 2})),
        ([{"aiLlmId": "b", "totalApiCalls": 2}], None),
        ([{"aiLlmId": "b", "totalApiCalls": 2}, {"totalApiCalls": 2}], None),
        ([], None),
    ],
    ids=["named", "not named", "filter ignored", "another one", "another one and a sum", "nothing"],
)
def test_the_answer_to_a_filtered_question_holds_that_configuration_or_none(entries: list[Any], snapshot: Any):
    assert stats(*entries).snapshot_of("a") == snapshot


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", FlashbackUnavailable, "expected JSON, got an empty body"),
        (b"  \r\n", FlashbackUnavailable, "expected JSON, got an empty body"),
        (b"<p>hello</p>", FlashbackUnavailable, "expected JSON, got HTML"),
        (
            b"<!DOCTYPE html><html><head><title>502 Bad\n Gateway</title></head></html>",
            FlashbackUnavailable,
            "expected JSON, got HTML (502 Bad Gateway)",
        ),
        (
            b'{"success": true, "stats": [{"ai',
            FlashbackUnavailable,
            "expected JSON, got something that breaks off or is damaged at character 30 of 32",
        ),
        (b'{"stats": "\xff\xfe"}', FlashbackUnavailable, "expected JSON, got bytes that are no text"),
        (
            b'{"success": false, "message": "Quota\\nof the organisation", "error_code": "E_QUOTA"}',
            FlashbackRejected,
            'the server answered "success": false: Quota of the organisation [E_QUOTA]',
        ),
        (b'{"success": false}', FlashbackRejected, 'the server answered "success": false: no reason given'),
        (b'{"success": "no"}', FlashbackUnreadable, 'success: expected true or false, got "no"'),
        (b"[]", FlashbackUnreadable, "answer: expected an object, got a list"),
        (b"null", FlashbackUnreadable, "answer: expected an object, got nothing"),
        (b'{"success": true}', FlashbackUnreadable, "stats: expected a list, got nothing"),
        (b'{"stats": {}}', FlashbackUnreadable, "stats: expected a list, got an object"),
        (b'{"stats": [{}, 7]}', FlashbackUnreadable, "stats[1]: expected an object, got 7"),
        (b'{"stats": [{"aiLlmId": 7}]}', FlashbackUnreadable, "stats[0].aiLlmId: expected an id, got 7"),
        (b'{"stats": [{"aiLlmId": "a\\u0000"}]}', FlashbackUnreadable, 'stats[0].aiLlmId: expected an id, got "a "'),
        (
            b'{"stats": [{"aiLlmId": "\\ud800"}]}',
            FlashbackUnreadable,
            'stats[0].aiLlmId: expected an id, got " "',
        ),
        (
            b'{"stats": [{"aiLlmId": "a"}, {"aiLlmId": "b"}, {"aiLlmId": "a"}]}',
            FlashbackUnreadable,
            "stats[2].aiLlmId: names the same configuration as stats[0]",
        ),
        (b'{"stats": [{}, {}]}', FlashbackUnreadable, "stats[1].aiLlmId: names no configuration as stats[0]"),
        (b'{"stats": ' + b"[" * 100_000, FlashbackUnreadable, "answer: nested too deeply"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_each_wrong_answer_has_its_error_and_one_clear_line(body: bytes, kind: type[FlashbackError], message: str):
    with pytest.raises(kind) as caught:
        parse_stats(body, endpoint="/ai/llm/stats")
    assert (type(caught.value), str(caught.value), caught.value.endpoint) == (kind, message, "/ai/llm/stats")


@given(st.binary() | st.text().map(str.encode))
def test_no_body_whatever_leads_to_another_error_than_ours(body: bytes):
    for read in (parse_stats, parse_configurations):
        with pytest.raises(FlashbackError) as caught:
            read(body, endpoint="/")
        assert str(caught.value) == " ".join(str(caught.value).split())


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["id", "name", "aiLlmId", "createdAt", "repos"]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(_JSON))
def test_no_json_whatever_leads_to_another_error_than_ours(entries: list[Any]):
    body = json.dumps({"stats": entries, "aiLlms": entries}).encode()
    for read in (parse_stats, parse_configurations):
        with contextlib.suppress(FlashbackError):
            read(body, endpoint="/")


def test_a_configuration_is_read_with_its_names_and_repositories():
    assert configurations(
        {
            "id": "llm-1",
            "orgId": "org-1",
            "workspaceId": "ws-1",
            "userId": "u-1",
            "name": "support bot",
            "aiType": "OPENAI",
            "endpoint": "https://llm.example",
            "key": None,
            "createdAt": "2026-01-05T09:00:00.000+01:00",
            "repos": [{"id": "r-1", "name": "helpdesk", "createdAt": "2026-01-01"}, {"id": "r-2"}],
        }
    ) == (
        Configuration(
            ai_llm="llm-1",
            name="support bot",
            provider="OPENAI",
            workspace="ws-1",
            created_at=datetime(2026, 1, 5, 8, tzinfo=UTC),
            repos=(("r-1", "helpdesk"), ("r-2", "r-2")),
        ),
    )


def test_a_configuration_with_nothing_but_an_id_is_named_by_it():
    assert configurations({"id": "llm-1", "name": None, "repos": None}) == (Configuration("llm-1", "llm-1"),)


def test_a_configuration_that_is_listed_twice_comes_once():
    assert [one.name for one in configurations({"id": "a", "name": "first"}, {"id": "a", "name": "second"})] == [
        "first"
    ]


@pytest.mark.parametrize(
    ("written", "created_at"),
    [
        ("2026-01-05T09:00:00Z", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05T09:00:00.123Z", datetime(2026, 1, 5, 9, 0, 0, 123000, tzinfo=UTC)),
        ("2026-01-05T09:00:00", datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("yesterday", None),
        ("", None),
        (1767600000, None),
        (None, None),
    ],
)
def test_a_time_of_creation_that_cannot_be_read_does_not_spoil_the_reading(written: Any, created_at: datetime | None):
    assert configurations({"id": "a", "createdAt": written})[0].created_at == created_at


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "aiLlms[0].id: expected an id, got nothing"),
        ({"id": ""}, 'aiLlms[0].id: expected an id, got ""'),
        ({"id": "x" * 201}, f'aiLlms[0].id: expected an id, got "{"x" * 59}…"'),
        ({"id": "a", "name": 7}, "aiLlms[0].name: expected a text, got 7"),
        ({"id": "a", "repos": {}}, "aiLlms[0].repos: expected a list, got an object"),
        ({"id": "a", "repos": [{"id": "r"}, {"name": "n"}]}, "aiLlms[0].repos[1].id: expected an id, got nothing"),
        ("a", 'aiLlms[0]: expected an object, got "a"'),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named_with_its_path(entry: Any, message: str):
    with pytest.raises(FlashbackUnreadable) as caught:
        configurations(entry)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("support\x00\x1b[31m\nbot", "support [31m bot"),
        ("half \ud83d emoji", "half emoji"),
        ("whole 🙂 emoji", "whole 🙂 emoji"),
        ("exe\u202egnp.", "exe gnp."),
        ("two\u2028lines", "two lines"),
        ("ünï ⚡", "ünï ⚡"),
        ("n" * 200, "n" * 200),
        ("n" * 201, "n" * 199 + "…"),
        ("\x00", "a"),
    ],
)
def test_names_are_one_line_that_can_be_stored_and_shown(written: str, name: str):
    assert configurations({"id": "a", "name": written})[0].name == name


@given(st.text(alphabet=st.characters()), st.integers(1, 50))
def test_a_cleaned_line_can_be_encoded_and_fits(text: str, longest: int):
    for squeeze in (True, False):
        line = one_line(text, longest, squeeze=squeeze)
        line.encode()
        assert len(line) <= longest
        assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"success": false, "message": "No such user", "error_code": "E404"}', "No such user [E404]"),
        (b'{"message": "No such\\u0000 user"}', "No such user"),
        (b'{"error_code": "E404"}', "[E404]"),
        (b'{"message": ["a"]}', ""),
        (b'{"message": "' + b"x" * 1000 + b'"}', "x" * 299 + "…"),
        (b"<html><title>Sign in</title></html>", "Sign in"),
        (b"[1]", ""),
        (b"upstream failed", ""),
        (b"[" * 100_000, ""),
        (b"", ""),
    ],
    ids=["message and code", "control character", "code", "no text", "long", "HTML", "list", "plain", "deep", "empty"],
)
def test_what_a_server_says_is_one_short_line(body: bytes, words: str):
    assert server_words(body) == words


def test_ten_thousand_configurations_are_read_in_well_under_a_second():
    body = stats_body(*({**DOCUMENTED, "aiLlmId": f"llm-{number}"} for number in range(10_000)))
    began = time.process_time()
    assert len(parse_stats(body, endpoint="/ai/llm/stats").snapshots) == 10_000
    assert time.process_time() - began < 1.0


# --- many at once


counts = st.one_of(
    st.none(),
    st.integers(0, 10**39).map(str),
    st.integers(0, 2**65),
    st.sampled_from(["007", "", "+5", " 7", "1_000", "1e3", "٣", -1, 1.5, True, 10**39, "9" * 40, [], {}]),
)
identities = st.sampled_from(["llm-1", "llm-2", "llm-3", "llm 4", " llm-5", "", None, 7, "é", "a\u202eb", "x" * 201])
entries = st.lists(
    st.fixed_dictionaries({"aiLlmId": identities}, optional=dict.fromkeys(("totalApiCalls", "totalAlerts"), counts)),
    max_size=4,
)


@settings(max_examples=500, deadline=None)
@given(entries)
def test_many_are_read_at_once_as_they_are_read_one_by_one(listed: list[Any]):
    body = stats_body(*listed)
    columns = plain_columns(body)
    if columns is not None:
        assert StatsPage(tuple(columns)) == parse_one_by_one(body, endpoint="/ai/llm/stats")


def test_an_answer_in_which_nothing_is_odd_is_read_at_once():
    plain = [{**DOCUMENTED, "aiLlmId": f"llm-{number}", "totalBlocks": None} for number in range(3)]
    columns = plain_columns(stats_body(*plain))
    assert columns is not None
    assert len(columns) == 3
    assert Counter.POLICY_BLOCKS not in columns[0].totals
    assert columns[0:2] == (columns[0], columns[1])


@pytest.mark.parametrize(
    "odd",
    [
        {"totalApiCalls": "+5"},
        {"totalApiCalls": "٣"},
        {"totalApiCalls": ""},
        {"totalApiCalls": True},
        {"totalApiCalls": 1.0},
        {"totalApiCalls": -1},
        {"totalApiCalls": "9" * 40},
        {"aiLlmId": "llm-1"},
        {"aiLlmId": "two words"},
        {"aiLlmId": ""},
        {"aiLlmId": None},
    ],
)
def test_one_odd_value_has_all_of_them_read_one_by_one(odd: dict[str, Any]):
    assert plain_columns(stats_body({"aiLlmId": "llm-1"}, {"aiLlmId": "llm-2", **odd})) is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b'{"stats": {}}', b'{"success": false, "stats": [{}, {}]}']
)
def test_what_is_no_good_answer_is_not_read_at_once(body: bytes):
    assert plain_columns(body) is None
