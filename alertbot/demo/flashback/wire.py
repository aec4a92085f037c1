"""The simulated world in the JSON of the Flashback API: shapes, filters and paging, as its reference describes them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from alertbot.demo.flashback.facts import (
    COUNTERS,
    Alert,
    Bucket,
    Configuration,
    Lane,
    Named,
    Point,
    Policy,
    Resolution,
    Violation,
)
from alertbot.demo.flashback.tokens import Issued
from alertbot.demo.flashback.traffic import World

Query = Mapping[str, str]  # a parameter that was given twice is joined by a comma
Json = dict[str, Any]

TOTAL_NAMES = {
    "api_calls": "totalApiCalls",
    "tokens_in": "totalTokensIn",
    "tokens_out": "totalTokensOut",
    "llm_tokens_in": "totalLlmTokensIn",
    "llm_tokens_out": "totalLlmTokensOut",
    "policy_violations": "totalPolicyViolations",
    "policy_alerts": "totalAlerts",
    "policy_blocks": "totalBlocks",
}
ORGANISATION = Named("5d6f0b0e-0c0b-4c5e-9d7e-0f6f3c1b2a10", "Acme")
OWNER = Named("0a8e6c5e-7a55-4d2f-8f0b-2a5f0d9a4c11", "Olga Admin")
EXACT_IN_JAVASCRIPT = 2**53 - 1  # larger numbers are written as strings, as a server in JavaScript has to
MOST_EVIDENCE_A_PAGE = 100


class StatsReading(StrEnum):
    """How `/ai/llm/stats` is to be understood: the reference allows each of these."""

    EACH = "each"  # without the filter, one entry per configuration
    SUM = "sum"  # without the filter, one entry that sums all and names none
    SUM_NAMELESS = "sum-nameless"  # and with the filter the entry does not name its configuration either


class Timestamps(StrEnum):
    """What the `timestamp` of a point is; the reference does not say."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    ISO = "iso"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Everything in which two servers may differ and still follow the reference."""

    stats: StatsReading = StatsReading.EACH
    timestamps: Timestamps = Timestamps.SECONDS
    totals_as_numbers: bool = False
    expires_at_in_milliseconds: bool = True


class BadQuery(Exception):
    """A parameter that the reference does not allow, in words for the answer's `message`."""


def stats_answer(world: World, query: Query, dialect: Dialect) -> Json:
    """`GET /ai/llm/stats`."""
    totals = world.totals()
    wanted = _read_list(query, "aiLlmId")
    write: Callable[[int], int | str] = int if dialect.totals_as_numbers else str
    entries: list[Json] = []
    if wanted or dialect.stats is StatsReading.EACH:
        for ai_llm, counters in totals.items():
            if not wanted or ai_llm in wanted:
                name = {} if dialect.stats is StatsReading.SUM_NAMELESS else {"aiLlmId": ai_llm}
                entries.append({**name, **{TOTAL_NAMES[counter]: write(total) for counter, total in counters.items()}})
    else:
        sums = {counter: sum(counters.get(counter, 0) for counters in totals.values()) for counter in COUNTERS}
        entries.append({TOTAL_NAMES[counter]: write(total) for counter, total in sums.items()})
    return {"success": True, "stats": entries}


def configurations_answer(world: World, query: Query) -> Json:
    """`GET /ai/llm`."""
    wanted = _read_list(query, "workspaceId")
    listed = [each for each in world.configurations() if not wanted or each.workspace.id in wanted]
    return {"success": True, "aiLlms": [_write_configuration(each) for each in listed]}


def workspaces_answer(world: World) -> Json:
    """`GET /workspace`."""
    members: dict[Named, dict[str, Named]] = {}
    for configuration in world.configurations():
        members.setdefault(configuration.workspace, {}).update({each.id: each for each in configuration.people})
    workspaces = [
        {
            "id": workspace.id,
            "name": workspace.name,
            "orgId": ORGANISATION.id,
            "users": [{"userId": each.id, "role": "WRITE", "user": _write_person(each)} for each in people.values()],
        }
        for workspace, people in members.items()
    ]
    return {"success": True, "workspaces": workspaces}


def points_answer(world: World, resolution: Resolution, query: Query, dialect: Dialect) -> Json:
    """`GET /aistats/minute` and `/aistats/daily`: buckets that opened within [startDate, endDate]."""
    start, end = _read_period(query, "startDate", "endDate")
    repos, ai_llms, keys = (_read_list(query, name) for name in ("repoId", "aiLlmId", "repoAiApiKeyId"))
    any_of = bool(repos or ai_llms or keys)

    def matches(lane: Lane) -> bool:
        if any_of and not (
            lane.repo.id in repos or lane.configuration.id in ai_llms or lane.configuration.api_key.id in keys
        ):
            return False
        return _matches(query, {**_read_model(lane), "hosts": lane.model.host, "userUuid": lane.person.id})

    conversations = _read_list(query, "conversationUuid")
    points = [_write_point(each, dialect) for each in world.points(resolution, start, end) if matches(each.key)]
    return {
        "success": True,
        "data": [each for each in points if not conversations or each["conversationUuid"] in conversations],
    }


def storage_answer(world: World, resolution: Resolution, query: Query, dialect: Dialect) -> Json:
    """`GET /stats/minute` and `/stats/daily`. Who asks by the older name `unitId` is answered with it."""
    start, end = _read_period(query, "startDate", "endDate")
    name = "unitId" if "unitId" in query else "bucketId"
    data = []
    for point in world.storage_points(resolution, start, end):
        bucket: Bucket = point.key
        if _matches(query, {name: bucket.id, "repoId": bucket.repo.id, "hosts": bucket.host}):
            data.append(
                {
                    "timestamp": _write_timestamp(point.opened_at, dialect),
                    "repoId": bucket.repo.id,
                    name: bucket.id,
                    "upl_bytes": _write_big(point.amounts["upload_bytes"]),
                    "dwl_bytes": _write_big(point.amounts["download_bytes"]),
                    "size_change": _write_big(point.amounts["size_change_bytes"]),
                    "latency_ms": point.latency_ms,
                    "host": bucket.host,
                }
            )
    return {"success": True, "data": data}


def policies_answer(world: World, query: Query) -> Json:
    """`GET /policy?orgId=…`."""
    wanted = _read_list(query, "orgId")
    policies = policies_of(world).values() if not wanted or ORGANISATION.id in wanted else ()
    # The simulated company's policies hold for all of it, so a question about one workspace or repository finds none.
    narrowed = "workspaceId" in query or "repoId" in query
    return {"success": True, "policies": [] if narrowed else [_write_policy(each) for each in policies]}


def policies_of(world: World) -> dict[str, Policy]:
    """The policies of all configurations by their ids."""
    return {each.id: each for configuration in world.configurations() for each in configuration.policies}


def violations_answer(world: World, query: Query, *, policy: str = "") -> Json:
    """`GET /policy/violations` and `/policy/{id}/violations`."""
    severities, block = _read_list(query, "severity"), query.get("block", "")
    if not severities <= {"LOW", "MEDIUM", "HIGH"}:
        raise BadQuery(f"severity: expected LOW, MEDIUM or HIGH, got {query['severity']}")
    if block not in {"", "true", "false"}:
        raise BadQuery(f"block: expected true or false, got {block}")
    found = [
        each
        for each in _select_evidence(world.violations(), query, policy=policy)
        if (not severities or each.severity in severities) and (not block or each.block is (block == "true"))
    ]
    return _write_page(found, query, "violations", _write_violation)


def alerts_answer(world: World, query: Query, *, policy: str = "") -> Json:
    """`GET /policy/alerts` and `/policy/{id}/alerts`."""
    found = _select_evidence(world.alerts(), query, policy=policy)
    return _write_page(found, query, "alerts", lambda each: {**_write_evidence(each), "message": each.message})


def issued_answer(issued: Issued, dialect: Dialect) -> Json:
    """`POST /user/refresh`, and what `POST /user/login` has in common with it."""
    expires_at = int(issued.ends.timestamp() * (1000 if dialect.expires_at_in_milliseconds else 1))
    return {
        "success": True,
        "accessToken": issued.access,
        "refreshToken": issued.refresh,
        "expiresAt": expires_at,
    }


Evidence = TypeVar("Evidence", Violation, Alert)


def _select_evidence(evidence: Iterable[Evidence], query: Query, *, policy: str) -> list[Evidence]:
    start, end = _read_period(query, "from", "to")
    return [
        each
        for each in evidence
        if (not start or each.at >= start)
        and (not end or each.at <= end)
        and (not policy or each.policy.id == policy)
        and _matches(
            query,
            {
                **_read_model(each.lane),
                "workspaceId": each.lane.configuration.workspace.id,
                "repoId": each.lane.repo.id,
                "policyId": each.policy.id,
                "host": each.lane.model.host,
            },
        )
    ]


def _write_page(found: Sequence[Evidence], query: Query, name: str, write: Callable[[Evidence], Json]) -> Json:
    skip, take = _read_count(query, "skip", 0), _read_count(query, "take", 50)
    if take > MOST_EVIDENCE_A_PAGE:
        raise BadQuery(f"take: expected at most {MOST_EVIDENCE_A_PAGE}, got {take}")
    page = [write(each) for each in found[skip : skip + take]]
    return {"success": True, "total": len(found), "skip": skip, "take": take, name: page}


def _write_violation(violation: Violation) -> Json:
    return {
        **_write_evidence(violation),
        "explanation": violation.explanation,
        "severity": violation.severity,
        "block": violation.block,
    }


def _write_evidence(evidence: Violation | Alert) -> Json:
    lane = evidence.lane
    return {
        "id": evidence.id,
        "policyId": evidence.policy.id,
        "policyName": evidence.policy.name,
        "timestamp": _write_iso(evidence.at),
        "conversationId": lane.conversation(evidence.at),
        "repoId": lane.repo.id,
        "repoName": lane.repo.name,
        "userId": lane.person.id,
        "userName": lane.person.name,
        "repoAiApiKeyId": lane.configuration.api_key.id,
        "repoAiApiKeyName": lane.configuration.api_key.name,
        "llmType": lane.model.provider,
        "llmModel": lane.model.name,
        "host": lane.model.host,
    }


def _write_point(point: Point[Lane], dialect: Dialect) -> Json:
    lane, amounts = point.key, point.amounts
    return {
        "timestamp": _write_timestamp(point.opened_at, dialect),
        "repoId": lane.repo.id,
        "aiLlmId": lane.configuration.id,
        "repoAiApiKeyId": lane.configuration.api_key.id,
        "tokensIn": _write_big(amounts["tokens_in"]),
        "tokensOut": _write_big(amounts["tokens_out"]),
        "llmTokensIn": _write_big(amounts["llm_tokens_in"]),
        "llmTokensOut": _write_big(amounts["llm_tokens_out"]),
        "activeConversations": 1,
        "apiCalls": _write_big(amounts["api_calls"]),
        "policyViolations": _write_big(amounts["policy_violations"]),
        "numAlerts": _write_big(amounts["policy_alerts"]),
        "numBlocks": _write_big(amounts["policy_blocks"]),
        "numSeverityLow": amounts["severity_low"],
        "numSeverityMedium": amounts["severity_medium"],
        "numSeverityHigh": amounts["severity_high"],
        "latency_ms": point.latency_ms,
        "llmType": lane.model.provider,
        "llmModel": lane.model.name,
        "host": lane.model.host,
        "userUuid": lane.person.id,
        "conversationUuid": lane.conversation(point.opened_at),
    }


def _write_configuration(configuration: Configuration) -> Json:
    created_at = _write_iso(configuration.created_at)
    return {
        "id": configuration.id,
        "orgId": ORGANISATION.id,
        "workspaceId": configuration.workspace.id,
        "userId": OWNER.id,
        "name": configuration.name,
        "aiType": configuration.models[0].provider,
        "endpoint": f"https://{configuration.models[0].host}",
        "key": None,
        "apiKeyId": configuration.api_key.id,
        "createdAt": created_at,
        "repos": [{"id": each.id, "name": each.name, "createdAt": created_at} for each in configuration.repos],
    }


def _write_policy(policy: Policy) -> Json:
    return {
        "id": policy.id,
        "orgId": ORGANISATION.id,
        "name": policy.name,
        "content": policy.content,
        "riskType": policy.risk,
        "actionType": int(policy.action),
        "createdBy": _write_person(OWNER),
        "createdAt": "2026-01-02T09:00:00.000Z",
        "lastUpdatedBy": _write_person(OWNER),
        "lastUpdatedAt": "2026-01-02T09:00:00.000Z",
        "workspaceId": None,
        "repoId": None,
    }


def _write_person(person: Named) -> Json:
    first, _, last = person.name.partition(" ")
    local = f"{first}.{last}".lower().replace(" ", "").strip(".")
    return {"id": person.id, "name": first, "lastName": last, "email": f"{local}@acme.example", "orgRole": None}


def _write_timestamp(moment: datetime, dialect: Dialect) -> int | str:
    if dialect.timestamps is Timestamps.ISO:
        return _write_iso(moment)
    return int(moment.timestamp()) * (1000 if dialect.timestamps is Timestamps.MILLISECONDS else 1)


def _write_iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_big(number: int) -> int | str:
    return number if abs(number) <= EXACT_IN_JAVASCRIPT else str(number)


def _read_model(lane: Lane) -> dict[str, str]:
    return {"llmType": lane.model.provider, "llmModel": lane.model.name}


def _matches(query: Query, actual: Mapping[str, str]) -> bool:
    """Whether each filter of `query` that `actual` knows lists its value."""
    return all(value in _read_list(query, name) for name, value in actual.items() if query.get(name))


def _read_list(query: Query, name: str) -> frozenset[str]:
    return frozenset(part.strip() for part in query.get(name, "").split(",") if part.strip())


def _read_count(query: Query, name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdecimal()):
        raise BadQuery(f"{name}: expected a whole number, got {text}")
    return int(text)


def _read_period(query: Query, start_name: str, end_name: str) -> tuple[datetime | None, datetime | None]:
    moments = []
    for name in (start_name, end_name):
        try:
            moment = datetime.fromisoformat(query[name]) if query.get(name) else None
        except ValueError:
            raise BadQuery(f"{name}: expected an ISO 8601 date, got {query[name]}") from None
        moments.append(moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment)
    start, end = moments
    if start and end and start > end:
        raise BadQuery(f"{start_name} cannot be greater than {end_name}")
    return start, end
