"""Which evidence an alert is about, what of it may be told, and whether it agrees with the counts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.alerts import Alert, State
from alertbot.domain.evidence import (
    Count,
    Evidence,
    EvidenceKind,
    Privacy,
    RepoOwner,
    Scope,
    Summary,
    TopN,
    abbreviate,
    difference,
    evidence_json,
    has_evidence,
    mask,
    parse_violation_query,
    privacy_of,
    redact,
    scopes_of,
)
from alertbot.domain.routes import Route
from alertbot.domain.rules import Rule, Selector
from alertbot.domain.windows import Calendar
from tests.builders import START, absence, alert_of, at, burn, minutes, only, ratio, rule, threshold

VIOLATION = Evidence(
    "v1",
    EvidenceKind.VIOLATION,
    at(5),
    source="acme",
    policy="policy-1",
    policy_name="No customer PII",
    severity="HIGH",
    blocked=True,
    repo="repo-0001",
    repo_name="support",
    user="user-0001",
    user_name="Ana Ruiz",
    model="gpt-4o",
    provider="OPENAI",
    explanation="It holds a card number.",
)
OWNERS = [
    RepoOwner({"source": "acme", "ai_llm": "llm-1", "name": "support", "provider": "openai"}, frozenset({"repo-0001"})),
    RepoOwner({"source": "acme", "ai_llm": "llm-2", "name": "sales", "provider": "google"}, frozenset({"repo-0002"})),
    RepoOwner(
        {"source": "globex", "ai_llm": "llm-1", "name": "theirs", "provider": "openai"}, frozenset({"repo-0003"})
    ),
]


def alert(judged: Rule, *, state: State = State.FIRING, **more: Any) -> Alert:
    """An alert of a rule that fires since minute 10, counted from minute 0."""
    plain = {"baseline_at": at(0), "pending_since": at(10), "started_at": at(10)}
    labels = {"source": "acme", "ai_llm": "llm-1"} if judged.per == "ai_llm" else {"source": "acme"}
    return alert_of(state, judged, **{"labels": labels, **plain, **more})


def scope(judged: Rule, **more: Any) -> Scope:
    (found,) = scopes_of([alert(judged, **more)], [judged], OWNERS)
    return found


# --- which evidence belongs to an alert


def test_an_alert_of_a_configuration_is_about_what_its_repositories_broke():
    found = scope(rule())
    assert found.covers(VIOLATION)
    assert not found.covers(replace(VIOLATION, repo="repo-0002"))
    assert not found.covers(replace(VIOLATION, source="globex"))
    assert not found.covers(replace(VIOLATION, kind=EvidenceKind.ALERT))


def test_what_fires_is_about_what_its_value_counts_and_what_is_over_about_all_of_it():
    assert (scope(rule()).start, scope(rule()).end) == (at(0), None)
    over = scope(rule(), state=State.RESOLVED, resolved_at=at(60), baseline_at=at(40))
    assert (over.start, over.end) == (at(10) - minutes(15), at(60))
    assert scope(rule(burn()), state=State.RESOLVED, resolved_at=at(60), baseline_at=at(40)).start == at(5)


def test_an_alert_whose_rule_is_gone_is_about_its_last_hour():
    (found,) = scopes_of([alert(rule(), baseline_at=None)], [], OWNERS)
    assert found.start == at(10) - timedelta(hours=1)


@pytest.mark.parametrize(
    ("metric", "kind", "blocked", "severity"),
    [
        ("policy_violations", EvidenceKind.VIOLATION, False, ""),
        ("policy_blocks", EvidenceKind.VIOLATION, True, ""),
        ("policy_alerts", EvidenceKind.ALERT, False, ""),
        ("severity_high", EvidenceKind.VIOLATION, False, "HIGH"),
    ],
)
def test_each_metric_counts_its_own_kind_of_evidence(metric, kind, blocked, severity):
    judged = rule(replace(threshold(above=5), metric=metric))
    found = scope(judged)
    assert (found.kind, found.blocked, found.severity) == (kind, blocked, severity)
    assert found.covers(replace(VIOLATION, kind=kind))
    assert found.covers(replace(VIOLATION, kind=kind, blocked=None)) is not blocked
    assert found.covers(replace(VIOLATION, kind=kind, severity="LOW")) is (severity == "")


NOTHING = {
    "tokens": rule(replace(threshold(above=5), metric="tokens")),
    "no growth": rule(absence()),
    "no reading": rule(absence(metric=None), per="source"),
    "too little": rule(threshold(below=5)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_there_is_no_evidence_of_what_no_policy_found(name):
    comparison = NOTHING[name].comparison
    about = alert(NOTHING[name], comparison=comparison, kind=NOTHING[name].kind)
    assert not has_evidence(about)
    assert scopes_of([about], [NOTHING[name]], OWNERS) == ()


def test_a_ratio_is_about_what_it_is_a_part_of():
    assert scope(rule(ratio("1/50"))).kind is EvidenceKind.VIOLATION


def test_a_rule_over_a_source_is_about_all_of_it_also_what_belongs_to_no_known_configuration():
    found = scope(rule(per="source"))
    assert found.repos is None
    assert found.covers(replace(VIOLATION, repo="repo-9999"))


def test_a_rule_is_about_no_more_than_it_selects():
    assert scope(rule(per="source", where=only(ai_llm="sales"))).repos == frozenset({"repo-0002"})
    by_person = scope(rule(per="source", where=only(user="Ana*")))
    assert by_person.covers(VIOLATION)
    assert not by_person.covers(replace(VIOLATION, user="user-0002", user_name="Bo"))
    assert not by_person.covers(replace(VIOLATION, user="user-0002", user_name="ana")), "a rule tells letters apart"


def test_a_rule_per_model_or_provider_is_about_that_one():
    of_model = scope(rule(per="model"), labels={"source": "acme", "model": "gpt-4o"})
    assert of_model.covers(VIOLATION)
    assert not of_model.covers(replace(VIOLATION, model="gemini"))
    of_provider = scope(rule(per="provider"), labels={"source": "acme", "provider": "google"})
    assert of_provider.repos == frozenset({"repo-0002"})


def test_a_rule_over_everything_is_about_each_source_that_it_selects():
    judged = rule(per="all")
    assert [one.source for one in scopes_of([alert(judged, labels={})], [judged], OWNERS)] == ["acme", "globex"]
    narrow = rule(per="all", where=only(source="globex"))
    assert [one.source for one in scopes_of([alert(narrow, labels={})], [narrow], OWNERS)] == ["globex"]


def test_a_configuration_without_repositories_has_no_evidence_that_is_known_to_be_its_own():
    owners = [RepoOwner({"source": "acme", "ai_llm": "llm-1", "name": "x"}, frozenset())]
    assert scopes_of([alert(rule())], [rule()], owners) == ()


def test_the_alerts_of_a_storm_are_one_scope():
    storm = [alert(rule(), labels={"source": "acme", "ai_llm": f"llm-{number}"}) for number in (1, 2)]
    (found,) = scopes_of(storm, [rule()], OWNERS)
    assert found.repos == frozenset({"repo-0001", "repo-0002"})


# --- what may be told

NAMES = st.text(min_size=1, max_size=40)


@given(NAMES, NAMES, NAMES)
def test_masked_evidence_holds_no_name_no_id_and_no_explanation(user, name, text):
    one = mask(replace(VIOLATION, user=f"id-{user}-id", user_name=f"Qq{name}", explanation=f"Zz{text}"))
    assert (one.user, one.repo, one.api_key, one.explanation) == ("", "", "", "")
    assert f"Qq{name}" not in one.user_name
    assert evidence_json(one)["user"] == one.user_name


def test_a_masked_name_tells_two_people_apart_and_not_who_they_are():
    assert abbreviate("Ana Ruiz", "user-0001") == "A. R. …0001"
    assert abbreviate("maria@example.com", "0a8e6c5e-4c11") == "M. E. C. …4c11"
    assert abbreviate("", "0a8e6c5e-4c11") == "…4c11"
    assert abbreviate("Bo", "7") == "B."
    assert abbreviate("", "7") == ""


def summary() -> Summary:
    return Summary(
        EvidenceKind.VIOLATION,
        9,
        policies=TopN((Count("No customer PII", 9, "policy-1"),), 1),
        people=TopN((Count("Ana Ruiz", 6, "user-0001"), Count("Bo", 3, "user-0002")), 2),
        models=TopN((Count("gpt-4o", 9, "gpt-4o"),), 1),
        newest=VIOLATION,
    )


def test_a_masked_summary_names_policies_and_models_but_no_person():
    found = redact(summary(), Privacy.MASKED)
    assert found.newest is None
    assert found.people.first == (Count("A. R. …0001", 6), Count("B. …0002", 3))
    assert found.policies == summary().policies


def test_of_a_summary_in_counts_only_numbers_are_left():
    found = redact(summary(), Privacy.COUNTS)
    assert found.newest is None
    assert [leaders.first for leaders in (found.policies, found.people, found.models)] == [(), (), ()]
    assert (found.total, found.policies.in_all, found.people.in_all) == (9, 1, 2)
    assert redact(summary(), Privacy.FULL) == summary()


def test_a_look_up_tells_no_more_than_the_most_careful_route_of_the_source():
    by_source = Selector((("source", ("glob*",)),))
    routes = [Route("#a", match=by_source, privacy="counts"), Route("#b", privacy="masked"), Route("#c")]
    assert privacy_of("globex", routes) is Privacy.COUNTS
    assert privacy_of("acme", routes) is Privacy.MASKED
    assert privacy_of("acme", routes[2:]) is Privacy.FULL
    assert privacy_of("acme", []) is Privacy.FULL


# --- what people ask


def test_filters_and_a_window_are_read():
    wanted = parse_violation_query(["policy=No customer PII", "USER=ana*", "user=bo", "last", "week"])
    assert wanted.where.globs == (("policy", ("No customer PII",)), ("user", ("ana*", "bo")))
    assert wanted.time_range is Calendar.LAST_WEEK
    assert wanted.names_people
    assert not parse_violation_query([]).names_people
    assert parse_violation_query(["7d", "user=bo"]) == parse_violation_query(["user=bo", "7d"])


@pytest.mark.parametrize("word", ["ana", "nobody=ana", "user=", "=x", "explanation=x"])
def test_what_is_no_filter_is_told_with_those_that_there_are(word):
    with pytest.raises(ValueError, match=r"expected filters such as policy=.*severity"):
        parse_violation_query([word])


def test_names_are_looked_for_in_whatever_letters():
    found = Scope("acme", EvidenceKind.VIOLATION, START, where=only(user="ANA *", severity="high"), any_case=True)
    assert found.covers(VIOLATION)
    assert replace(found, where=only(user="user-0001")).covers(VIOLATION)
    assert not replace(found, any_case=False).covers(VIOLATION)


# --- whether it agrees with the counts


def test_a_list_that_can_be_what_was_counted_is_no_difference():
    assert difference(9, at_least=7, at_most=12) == ""
    assert difference(9, at_least=9, at_most=9) == ""


def test_a_list_that_cannot_be_what_was_counted_is_told_and_the_count_decides():
    assert difference(9, at_least=5, at_most=8) == (
        "9 violations were counted in an hour, but only 8 are listed; the count is used"
    )
    assert difference(9, at_least=10, at_most=12) == (
        "10 violations are listed for an hour, but only 9 were counted; the count is used"
    )
