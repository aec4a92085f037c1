"""The simulated API over real HTTP: the reference's shapes, filters and paging; totals, points and evidence agree."""

from dataclasses import replace

import pytest

from alertbot.demo.flashback.facts import COUNTERS, Severity
from alertbot.demo.flashback.scenarios import find_scenario
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.wire import ORGANISATION, TOTAL_NAMES, Dialect, StatsReading, Timestamps
from tests.demo.conftest import START, STATS, get, open_client, refusal

# ---- totals


def test_totals_are_decimal_strings_of_any_size_in_the_documented_shape(api, world):
    world.set_total("llm-1", "tokens_in", 2**64 + 1)
    entry = get(api, STATS)["stats"][0]
    assert set(entry) == {"aiLlmId", *TOTAL_NAMES.values()}
    assert entry["totalTokensIn"] == "18446744073709551617"
    assert all(isinstance(value, str) for value in entry.values())


def test_totals_come_one_entry_a_configuration_or_the_one_that_was_asked_for(api, world):
    world.bump("llm-2", "policy_violations", 3)
    assert [each["aiLlmId"] for each in get(api, STATS)["stats"]] == ["llm-1", "llm-2"]
    [entry] = get(api, STATS, aiLlmId="llm-2")["stats"]
    assert (entry["aiLlmId"], entry["totalPolicyViolations"]) == ("llm-2", "3")
    assert get(api, STATS, aiLlmId="nobody")["stats"] == []


@pytest.mark.parametrize("reading", [StatsReading.SUM, StatsReading.SUM_NAMELESS])
def test_in_the_other_reading_one_nameless_entry_sums_all(api, server, world, reading):
    server.dialect = Dialect(stats=reading)
    world.set_total("llm-1", "api_calls", 2**63)
    world.bump("llm-2", "api_calls", 5)
    [entry] = get(api, STATS)["stats"]
    assert entry.keys() == set(TOTAL_NAMES.values())
    assert entry["totalApiCalls"] == str(2**63 + 5)
    [filtered] = get(api, STATS, aiLlmId="llm-2")["stats"]
    assert filtered["totalApiCalls"] == "5"
    assert filtered.get("aiLlmId") == ("llm-2" if reading is StatsReading.SUM else None)


def test_totals_may_be_numbers_and_may_miss_a_field(api, server, world):
    server.dialect = Dialect(totals_as_numbers=True)
    world.bump("llm-1", "policy_blocks", 4)
    world.set_total("llm-1", "policy_alerts", None)
    [entry] = get(api, STATS, aiLlmId="llm-1")["stats"]
    assert entry["totalBlocks"] == 4
    assert "totalAlerts" not in entry


def test_totals_points_and_evidence_agree_in_a_moving_world(clock):
    world = find_scenario("burst").world(3, START)
    opened = {each.id: each.opening for each in world.configurations()}
    with FlashbackServer(world, clock=clock) as server:
        api = open_client(server)
        clock.tick(minutes=9, seconds=17)
        totals = {each["aiLlmId"]: each for each in get(api, STATS)["stats"]}
        repos = {repo["id"]: each["id"] for each in get(api, "/ai/llm")["aiLlms"] for repo in each["repos"]}
        evidence = get(api, "/policy/violations", take=100)
        by_minute, by_day = (get(api, path)["data"] for path in ("/aistats/minute", "/aistats/daily"))
        api.close()
    names = {
        "api_calls": "apiCalls",
        "tokens_in": "tokensIn",
        "tokens_out": "tokensOut",
        "llm_tokens_in": "llmTokensIn",
        "llm_tokens_out": "llmTokensOut",
        "policy_violations": "policyViolations",
        "policy_alerts": "numAlerts",
        "policy_blocks": "numBlocks",
    }
    assert evidence["total"] == len(evidence["violations"]) > 10
    for ai_llm, entry in totals.items():
        for counter in COUNTERS:
            grown = int(entry[TOTAL_NAMES[counter]]) - opened[ai_llm][counter]
            for points in (by_minute, by_day):
                assert grown == sum(each[names[counter]] for each in points if each["aiLlmId"] == ai_llm)
        found = sum(repos[each["repoId"]] == ai_llm for each in evidence["violations"])
        assert found == int(entry["totalPolicyViolations"]) - opened[ai_llm]["policy_violations"]


# ---- points


def test_a_point_has_every_documented_field_and_fills_while_its_minute_lasts(api, world, clock):
    world.bump("llm-2", "api_calls", 2)
    clock.tick(seconds=10)
    world.violate("llm-2", 3, severity=Severity.HIGH, block=True)
    [point] = get(api, "/aistats/minute")["data"]
    assert isinstance(point.pop("conversationUuid"), str)
    assert point == {
        "timestamp": int(START.replace(second=0).timestamp()),
        "repoId": "llm-2-repo",
        "aiLlmId": "llm-2",
        "repoAiApiKeyId": "key-2",
        "tokensIn": 0,
        "tokensOut": 0,
        "llmTokensIn": 0,
        "llmTokensOut": 0,
        "activeConversations": 1,
        "apiCalls": 2,
        "policyViolations": 3,
        "numAlerts": 0,
        "numBlocks": 3,
        "numSeverityLow": 0,
        "numSeverityMedium": 0,
        "numSeverityHigh": 3,
        "latency_ms": 850,
        "llmType": "ANTHROPIC",
        "llmModel": "claude-sonnet-4-5",
        "host": "api.anthropic.com",
        "userUuid": "u2",
    }
    world.bump("llm-2", "tokens_out", 2**60)
    assert get(api, "/aistats/minute")["data"][0]["tokensOut"] == str(2**60)


@pytest.mark.parametrize(
    ("timestamps", "written"),
    [
        (Timestamps.SECONDS, 1767619800),
        (Timestamps.MILLISECONDS, 1767619800000),
        (Timestamps.ISO, "2026-01-05T13:30:00.000Z"),
    ],
)
def test_the_timestamp_of_a_point_is_written_as_the_dialect_says(api, server, world, timestamps, written):
    server.dialect = replace(server.dialect, timestamps=timestamps)
    world.bump("llm-1", "api_calls", 1)
    assert get(api, "/aistats/minute")["data"][0]["timestamp"] == written


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({}, {"llm-1", "llm-2"}, id="no filter finds all"),
        pytest.param({"aiLlmId": "llm-1"}, {"llm-1"}, id="a configuration"),
        pytest.param({"aiLlmId": "llm-1,llm-2"}, {"llm-1", "llm-2"}, id="a list is joined by commas"),
        pytest.param({"aiLlmId": "llm-1", "repoId": "llm-2-repo"}, {"llm-1", "llm-2"}, id="ids combine with OR"),
        pytest.param({"repoAiApiKeyId": "key-2", "repoId": "nobody"}, {"llm-2"}, id="keys combine with OR"),
        pytest.param({"aiLlmId": "llm-1", "hosts": "api.anthropic.com"}, set(), id="hosts combine with AND"),
        pytest.param({"hosts": "api.anthropic.com,api.openai.com"}, {"llm-1", "llm-2"}, id="one of two hosts"),
        pytest.param({"llmType": "OPENAI"}, {"llm-1"}, id="a provider"),
        pytest.param({"llmModel": "claude-sonnet-4-5"}, {"llm-2"}, id="a model"),
        pytest.param({"userUuid": "u2"}, {"llm-2"}, id="a person"),
        pytest.param({"conversationUuid": "nobody"}, set(), id="a conversation"),
    ],
)
def test_points_are_filtered(api, world, query, found):
    world.bump("llm-1", "api_calls", 1)
    world.bump("llm-2", "api_calls", 1)
    for path in ("/aistats/minute", "/aistats/daily"):
        assert {each["aiLlmId"] for each in get(api, path, **query)["data"]} == found


def test_points_are_those_whose_bucket_opened_within_the_period(api, world, clock):
    for _ in range(3):
        world.bump("llm-1", "api_calls", 1)
        clock.tick(minutes=1)
    period = {"startDate": "2026-01-05T13:31:00.000Z", "endDate": "2026-01-05T14:32:00+01:00"}
    assert [each["timestamp"] for each in get(api, "/aistats/minute", **period)["data"]] == [1767619860, 1767619920]
    assert get(api, "/aistats/daily", startDate="2026-01-05")["data"][0]["apiCalls"] == 3
    assert get(api, "/aistats/daily", startDate="2026-01-06")["data"] == []


@pytest.mark.parametrize("path", ["/aistats/minute", "/aistats/daily", "/stats/minute", "/stats/daily"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"startDate": "yesterday"}, "startDate: expected an ISO 8601 date, got yesterday"),
        ({"startDate": "2026-01-06", "endDate": "2026-01-05"}, "startDate cannot be greater than endDate"),
    ],
)
def test_a_period_that_makes_no_sense_is_refused(api, path, query, message):
    assert refusal(api.get(path, params=query)) == (400, message)


def test_storage_points_name_the_bucket_as_they_were_asked(api, world):
    world.transfer("files", uploaded=2**60, downloaded=5, size_change=-7)
    [point] = get(api, "/stats/minute", bucketId="bucket-1", repoId="llm-1-repo", hosts="s3.example")["data"]
    assert point == {
        "timestamp": 1767619800,
        "repoId": "llm-1-repo",
        "bucketId": "bucket-1",
        "upl_bytes": str(2**60),
        "dwl_bytes": 5,
        "size_change": -7,
        "latency_ms": 90,
        "host": "s3.example",
    }
    [older] = get(api, "/stats/daily", unitId="bucket-1")["data"]
    assert older["unitId"] == "bucket-1"
    assert "bucketId" not in older
    assert get(api, "/stats/minute", bucketId="other")["data"] == []


# ---- names


def test_configurations_and_workspaces_carry_the_names(api):
    chat, review = get(api, "/ai/llm")["aiLlms"]
    assert (chat["name"], chat["aiType"], chat["key"], review["aiType"]) == (
        "support-chat",
        "OPENAI",
        None,
        "ANTHROPIC",
    )
    assert chat["repos"] == [{"id": "llm-1-repo", "name": "support-chat-repo", "createdAt": "2026-01-01T00:00:00.000Z"}]
    assert [each["id"] for each in get(api, "/ai/llm", workspaceId="workspace-2")["aiLlms"]] == ["llm-2"]
    main, engineering = get(api, "/workspace")["workspaces"]
    assert (main["name"], engineering["name"]) == ("Main", "Engineering")
    assert engineering["users"][0]["user"]["lastName"] == "Okafor"
    assert main["orgId"] == chat["orgId"] == ORGANISATION.id


def test_policies_are_listed_for_their_organisation_only(api):
    policies = get(api, "/policy", orgId=ORGANISATION.id)["policies"]
    assert [(each["name"], each["riskType"], each["actionType"]) for each in policies] == [
        ("No customer PII", "MEDIUM", 0),
        ("No secrets", "HIGH", 0),
    ]
    assert get(api, "/policy", orgId="another")["policies"] == []


def test_a_removed_configuration_is_in_no_answer(api, world):
    world.bump("llm-1", "policy_violations", 1)
    world.remove("llm-1")
    assert [each["aiLlmId"] for each in get(api, STATS)["stats"]] == ["llm-2"]
    assert [each["id"] for each in get(api, "/ai/llm")["aiLlms"]] == ["llm-2"]
    assert get(api, "/aistats/minute")["data"] == []
    assert get(api, "/policy/violations")["total"] == 0


# ---- evidence


def test_a_violation_has_every_documented_field(api, world):
    world.violate("llm-1", 1, severity=None, block=True, explanation="<!channel> card 4242")
    answer = get(api, "/policy/violations")
    [violation] = answer.pop("violations")
    assert answer == {"success": True, "total": 1, "skip": 0, "take": 50}
    assert len(violation.pop("id")) == 36
    assert len(violation.pop("conversationId")) == 36
    assert violation == {
        "policyId": "policy-1",
        "policyName": "No customer PII",
        "timestamp": "2026-01-05T13:30:20.000Z",
        "explanation": "<!channel> card 4242",
        "repoId": "llm-1-repo",
        "repoName": "support-chat-repo",
        "userId": "u1",
        "userName": "Ana Ruiz",
        "repoAiApiKeyId": "key-1",
        "repoAiApiKeyName": "production",
        "severity": None,
        "block": True,
        "llmType": "OPENAI",
        "llmModel": "gpt-4o",
        "host": "api.openai.com",
    }


def test_alerts_carry_a_message_and_no_severity(api, world):
    world.bump("llm-1", "policy_alerts", 2)
    answer = get(api, "/policy/alerts")
    assert answer["total"] == len(answer["alerts"]) == 2
    assert answer["alerts"][0]["message"].startswith("No customer PII: ")
    assert not answer["alerts"][0].keys() & {"severity", "block", "explanation"}


def test_evidence_is_paged_newest_first_without_gaps_or_repeats(api, world, clock):
    for _ in range(13):
        world.bump("llm-1", "policy_violations", 10)
        clock.tick(seconds=1)
    pages = [get(api, "/policy/violations", skip=skip, take=50) for skip in (0, 50, 100, 150)]
    assert [len(page["violations"]) for page in pages] == [50, 50, 30, 0]
    assert {(page["total"], page["take"]) for page in pages} == {(130, 50)}
    listed = [each for page in pages for each in page["violations"]]
    assert len({each["id"] for each in listed}) == 130
    times = [each["timestamp"] for each in listed]
    assert times == sorted(times, reverse=True)
    assert len(get(api, "/policy/violations", take=100)["violations"]) == 100


@pytest.mark.parametrize(
    ("query", "total"),
    [
        pytest.param({"repoId": "llm-2-repo"}, 2, id="a repository"),
        pytest.param({"workspaceId": "workspace-1"}, 1, id="a workspace"),
        pytest.param({"policyId": "policy-2"}, 2, id="a policy"),
        pytest.param({"severity": "LOW"}, 1, id="a severity"),
        pytest.param({"severity": "LOW,HIGH"}, 2, id="two severities"),
        pytest.param({"block": "true"}, 1, id="blocked"),
        pytest.param({"block": "false"}, 2, id="not blocked"),
        pytest.param({"llmType": "ANTHROPIC", "host": "api.anthropic.com"}, 2, id="provider and host"),
        pytest.param({"llmModel": "gpt-4o,gpt-5"}, 1, id="models"),
        pytest.param({"from": "2026-01-05T13:31:20Z"}, 2, id="from a time on"),
        pytest.param({"from": "2026-01-05T13:31:20Z", "to": "2026-01-05T13:31:20.000Z"}, 1, id="a period to its end"),
        pytest.param({"repoId": "no-access"}, 0, id="no access is empty and no error"),
    ],
)
def test_violations_are_filtered(api, world, clock, query, total):
    world.violate("llm-1", severity=Severity.LOW)
    clock.tick(minutes=1)
    world.violate("llm-2", severity=Severity.HIGH, block=True)
    clock.tick(minutes=1)
    world.violate("llm-2", severity=None)
    assert get(api, "/policy/violations", **query)["total"] == total


def test_one_policys_evidence_has_a_path_of_its_own(api, world):
    world.bump("llm-1", "policy_violations", 1)
    world.bump("llm-2", "policy_violations", 2)
    world.bump("llm-2", "policy_alerts", 1)
    assert get(api, "/policy/policy-2/violations")["total"] == 2
    assert get(api, "/policy/policy-2/alerts")["total"] == 1
    assert api.get("/policy/nobody/violations").status_code == 404


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"take": 101}, "take: expected at most 100, got 101"),
        ({"skip": "-1"}, "skip: expected a whole number, got -1"),
        ({"severity": "SEVERE"}, "severity: expected LOW, MEDIUM or HIGH, got SEVERE"),
        ({"block": "yes"}, "block: expected true or false, got yes"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "from cannot be greater than to"),
    ],
)
def test_a_question_that_the_reference_does_not_allow_is_refused(api, query, message):
    assert refusal(api.get("/policy/violations", params=query)) == (400, message)
