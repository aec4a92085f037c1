"""Evidence in the store: kept once, found as the domain means it, and forgotten in time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.domain.evidence import Count, Evidence, EvidenceKind, Scope, TopN
from alertbot.domain.rules import Selector
from alertbot.domain.snapshots import Configuration
from alertbot.store import configurations, evidence, evidence_fetches, expiry, leases, sources
from alertbot.store.database import Database
from tests.builders import at, minutes

VIOLATION, ALERT = EvidenceKind.VIOLATION, EvidenceKind.ALERT
LEASE = timedelta(minutes=2)
# One database for all examples, whose transactions are rolled back.
on_one_database = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def one(identity: str = "v1", minute: float = 5, **more: Any) -> Evidence:
    plain: dict[str, Any] = {"policy": "p1", "policy_name": "PII", "user": "u1", "user_name": "Ana", "repo": "r1"}
    plain |= {"model": "gpt-4o", "explanation": f"about {identity}", "severity": "HIGH", "blocked": True}
    return Evidence(identity, more.pop("kind", VIOLATION), at(minute), **(plain | {"source": "acme"} | more))


def anything(**more: Any) -> Scope:
    return Scope("acme", VIOLATION, at(0), **more)


@pytest.fixture
def acme(database: Database) -> int:
    with database.transaction() as tx:
        sources.register(tx, ["acme", "globex"])
        return sources.number_of(tx, "acme")


def keep(database: Database, source: int, found: Iterable[Evidence]) -> list[str]:
    with database.transaction() as tx:
        return [each.id for each in evidence.keep(tx, source, found)]


def listed(database: Database, *scopes: Scope, limit: int | None = None) -> list[Evidence]:
    with database.reading() as tx:
        return evidence.listed(tx, scopes, limit=limit)


def test_what_is_kept_comes_back_as_it_was_the_newest_first(database, acme):
    bare = Evidence("v3", VIOLATION, at(6), source="acme")
    assert keep(database, acme, [one(), one("v2", 7), bare]) == ["v1", "v2", "v3"]
    assert listed(database, anything()) == [one("v2", 7), bare, one()]
    assert listed(database, anything(), limit=1) == [one("v2", 7)]


def test_evidence_that_comes_again_replaces_what_was_there_and_is_not_new(database, acme):
    keep(database, acme, [one()])
    assert keep(database, acme, [one(severity="LOW"), one("v2"), one("v2"), one(kind=ALERT)]) == ["v2", "v1"]
    assert {(each.id, each.severity) for each in listed(database, anything())} == {("v1", "LOW"), ("v2", "HIGH")}


def test_thousands_are_kept_at_once(database, acme):
    many = [one(f"v{number}") for number in range(1200)]
    assert len(keep(database, acme, many)) == 1200
    assert keep(database, acme, many) == []
    with database.reading() as tx:
        assert evidence.count(tx, acme, VIOLATION, at(5)) == 1200
        assert evidence.count(tx, acme, VIOLATION, at(0), at(5)) == 0


@pytest.fixture
def kept(database: Database, acme: int) -> Database:
    with database.transaction() as tx:
        globex = sources.number_of(tx, "globex")
    drawn = [
        one(
            f"{number}",
            number % 7,
            kind=ALERT if number % 5 == 0 else VIOLATION,
            repo=f"r{number % 3}",
            repo_name=("", "Sales", "sales-bot")[number % 3],
            user=("", "u1", "u2")[number % 3],
            user_name=("", "Ana Ruiz", "ana")[number % 3],
            model=("", "gpt-4o")[number % 2],
            severity=("", "LOW", "HIGH")[number % 3],
            blocked=(None, True, False)[number % 3],
        )
        for number in range(60)
    ]
    keep(database, acme, drawn[:40])
    keep(database, globex, [replace(each, source="globex") for each in drawn[40:]])
    return database


GLOBS = st.sampled_from(["*", "ana", "Ana*", "[aA]na", "u?", "", "r1", "SALES*", "gpt-4o", "*'*", "%"])
SCOPES = st.builds(
    Scope,
    source=st.sampled_from(["acme", "globex", "nobody"]),
    kind=st.sampled_from(EvidenceKind),
    start=st.builds(at, st.integers(0, 6)),
    end=st.none() | st.builds(at, st.integers(0, 8)),
    repos=st.none() | st.frozensets(st.sampled_from(["r0", "r1", "r2", "r9"])),
    blocked=st.booleans(),
    severity=st.sampled_from(["", "HIGH"]),
    same=st.sampled_from([(), (("user", "u1"),), (("model", ""),)]),
    where=st.builds(
        lambda globs: Selector(tuple(globs.items())),
        st.dictionaries(st.sampled_from(["user", "repo", "model", "severity"]), st.tuples(GLOBS), max_size=2),
    ),
    any_case=st.booleans(),
)


@on_one_database
@given(st.lists(SCOPES, max_size=3))
def test_the_database_finds_what_the_domain_means(kept: Database, scopes: list[Scope]):
    with kept.reading() as tx:
        everything = evidence.listed(
            tx, [Scope(name, kind, at(0)) for name in ("acme", "globex") for kind in EvidenceKind]
        )
        found = evidence.listed(tx, scopes)
        told = evidence.summary(tx, scopes)
    assert len(everything) == 60
    assert found == [each for each in everything if any(scope.covers(each) for scope in scopes)]
    assert (0 if told is None else told.total) == len(found)


def test_the_name_of_a_policy_is_not_lost_where_it_does_not_come_again(database, acme):
    keep(database, acme, [one(policy_name="")])
    keep(database, acme, [one(policy_name="PII")])
    keep(database, acme, [one(policy_name="", user_name="")])
    (found,) = listed(database, anything())
    assert (found.policy_name, found.user_name) == ("PII", "")


def test_a_summary_names_those_that_occur_most(database, acme):
    keep(
        database,
        acme,
        [
            *(one(f"a{n}", n) for n in range(3)),
            *(one(f"b{n}", n, user="u2", user_name="Bo", blocked=False, severity="LOW") for n in range(2)),
            one("c", 9, user="", user_name="Nobody's", policy="p2", policy_name="", explanation="", severity=""),
            one("d", 8, user="", user_name="", policy="p1", policy_name="PII (old name)"),
        ],
    )
    with database.reading() as tx:
        found = evidence.summary(tx, [anything()], top=2)
        assert evidence.summary(tx, [anything(severity="MEDIUM")]) is None
        assert evidence.summary(tx, []) is None
    assert found is not None
    assert (found.total, found.blocked, found.severities) == (7, 5, {"HIGH": 4, "LOW": 2})
    assert found.people == TopN((Count("Ana", 3, "u1"), Count("Bo", 2, "u2")), 3)
    assert [(each.key, each.count) for each in found.policies.first] == [("p1", 6), ("p2", 1)]
    assert found.newest is not None
    assert found.newest.id == "d", "the newest that says something"


@pytest.mark.parametrize(
    ("explained", "quoted"),
    [
        pytest.param("why", "leader", id="of the leading policy"),
        pytest.param("", "seldom", id="of any where the leading policy has none"),
    ],
)
@pytest.mark.parametrize("named", ["id and name", "name only"])
def test_the_newest_that_is_quoted_is_one_of_the_leading_policy(database, acme, explained, quoted, named):
    seldom, often = ({"policy_name": name, "policy": name if named != "name only" else ""} for name in ("Rare", "PII"))
    keep(
        database,
        acme,
        [
            *(one(f"a{n}", n, explanation=explained, **often) for n in range(3)),
            one("leader", 8, explanation=explained, **often),
            one("seldom", 9, explanation="why", **seldom),
        ],
    )
    with database.reading() as tx:
        found = evidence.summary(tx, [anything()], top=1)
    assert found is not None
    assert found.newest is not None
    assert (found.policies.first[0].name, found.newest.id) == ("PII", quoted)


def test_owners_are_the_configurations_with_their_repositories(database, acme):
    with database.transaction() as tx:
        shop = Configuration("llm-1", "shop", "openai", "w1", None, (("r1", "one"), ("r2", "two")))
        configurations.add(tx, acme, [shop, Configuration("llm-2", "bare")], at(0))
    with database.reading() as tx:
        first, second = sorted(evidence.owners(tx, ["acme"]), key=lambda owner: owner.labels["ai_llm"])
        assert evidence.owners(tx, None, ai_llm="llm-2") == [second]
        assert evidence.owners(tx, ["globex"]) == []
    assert first.repos == {"r1", "r2"}
    assert first.labels == {
        "source": "acme",
        "ai_llm": "llm-1",
        "name": "shop",
        "provider": "openai",
        "workspace": "w1",
    }
    assert second.repos == set()


def test_evidence_is_forgotten_when_it_is_old(database, acme):
    keep(database, acme, [one("old", 1), one("new", 2)])
    with database.transaction() as tx:
        (old,) = expiry.of_evidence(before=at(2))
        assert expiry.delete_some(tx, old) == 1
    assert [each.id for each in listed(database, anything())] == ["new"]


# --- who fetches it


def claim(database: Database, owner: str, minute: float = 0) -> evidence_fetches.Claim | None:
    with database.transaction() as tx:
        return evidence_fetches.claim(tx, "acme", owner=owner, lease=LEASE, now=at(minute))


def test_one_process_at_a_time_fetches_the_evidence_of_a_source(database, acme):
    first = claim(database, "a")
    assert first is not None
    assert claim(database, "b", 1.9) is None
    second = claim(database, "b", 2)
    assert second is not None
    with database.transaction() as tx:
        assert not evidence_fetches.mark_failed(tx, first, "late", paused_until=None), "it was overtaken"
        assert evidence_fetches.mark_failed(tx, second, "no answer", paused_until=at(5))
    assert claim(database, "a", 4.9) is None
    assert claim(database, "a", 5) is not None


def test_a_pause_that_the_server_asked_for_holds_for_totals_and_evidence_alike(database, acme):
    with database.transaction() as tx:
        sources.pause(tx, "acme", at(10))
    assert claim(database, "a", 9) is None
    with database.transaction() as tx:
        totals = sources.claim(tx, "acme", owner="a", interval=minutes(1), lease=LEASE, now=at(9), at_once=True)
    assert totals is None
    assert claim(database, "a", 10) is not None


def test_what_was_fetched_is_remembered(database, acme):
    with database.reading() as tx:
        assert evidence_fetches.state(tx, "acme") is None
    claimed = claim(database, "a")
    assert claimed is not None
    with database.transaction() as tx:
        evidence_fetches.mark_read(
            tx, claimed, read_at=at(1), until={VIOLATION: at(0.5)}, complete_since=at(-60), missing={ALERT}, error="404"
        )
        evidence_fetches.note_difference(tx, acme, "3 are not listed")
    with database.reading() as tx:
        state = evidence_fetches.state(tx, "acme")
    assert state == evidence_fetches.EvidenceState(
        source=acme,
        read_at=at(1),
        complete_since=at(-60),
        until={VIOLATION: at(0.5), ALERT: None},
        missing=frozenset({ALERT}),
        error="404",
        differs="3 are not listed",
    )


def test_what_the_dead_had_claimed_is_free_at_once(database, acme):
    claim(database, "a")
    with database.transaction() as tx:
        assert leases.holders(tx) == {"a"}
        leases.release(tx, ["a"], earlier=timedelta(0))
    assert claim(database, "b") is not None
