"""A hidden source does not exist for whoever may not see it: neither do its alerts, its rules, nor silences that name it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.rules import Rule, Selector
from alertbot.domain.silences import Matcher, MatchType, Silence, parse_matcher
from alertbot.domain.visibility import (
    FULL_ACCESS,
    NO_ACCESS,
    AccessScope,
    Labelled,
    Viewer,
    VisibilityRule,
    access_scope_of,
)
from tests.builders import START, only, rule

SOURCES = ("acme", "globex", "initech")
HIDDEN = (VisibilityRule("globex", channels=frozenset({"#globex-ai", "C7"}), users=frozenset({"U1"})),)
STRANGER = Viewer("U9")
OVER_ALL = replace(rule(per="all"), name="everything")
OVER_GLOBEX = replace(rule(per="all", where=only(source="globex")), name="globex-sum")
OVER_ACME = replace(rule(per="all", where=only(source="ac*")), name="acme-sum")
RULES = (OVER_ALL, OVER_GLOBEX, OVER_ACME)

BURST, THEIRS = replace(rule(), name="burst"), replace(rule(where=only(source="globex")), name="theirs")
SHOWN: Labelled = frozenset(
    {("ai_llm", "support-id"), ("name", "support"), ("name", "support-chat"), ("ai_llm", "slow"), ("model", "gpt-4o")}
)
NAMED_HIDDEN: Labelled = frozenset(
    {("ai_llm", "secret-id"), ("name", "secret"), ("name", "support"), ("model", "gpt-4o"), ("model", "own-model")}
)


def looking(viewer: Viewer, more: tuple[Rule, ...] = ()) -> AccessScope:
    """What exists for somebody, where it is known what things are called."""
    rules = (*RULES, BURST, THEIRS, *more)
    return access_scope_of(viewer, HIDDEN, SOURCES, rules, names=lambda _visible: (SHOWN, NAMED_HIDDEN))


WHO: dict[str, tuple[Viewer, set[str]]] = {
    "a stranger": (STRANGER, {"acme", "initech"}),
    "a stranger elsewhere": (Viewer("U9", frozenset({"C1", "#general"})), {"acme", "initech"}),
    "somebody who is named": (Viewer("U1"), set(SOURCES)),
    "somebody in the channel, by its name": (Viewer("U9", frozenset({"C5", "#globex-ai"})), set(SOURCES)),
    "somebody in the channel, by its id": (Viewer("U9", frozenset({"C7", "#whatever"})), set(SOURCES)),
    "an operator": (Viewer("U9", is_operator=True), set(SOURCES)),
}


@pytest.mark.parametrize(("viewer", "seen"), WHO.values(), ids=WHO)
def test_a_source_is_seen_by_those_whom_its_entry_names_and_by_operators(viewer, seen):
    access = access_scope_of(viewer, HIDDEN, SOURCES, RULES)
    assert {name for name in SOURCES if access.shows({"source": name, "rule": "rule"})} == seen


def test_without_entries_nothing_is_hidden():
    assert access_scope_of(STRANGER, (), SOURCES, RULES) is FULL_ACCESS


def test_entries_of_one_source_add_up():
    entries = (*HIDDEN, VisibilityRule("globex", users=frozenset({"U9"})))
    assert access_scope_of(STRANGER, entries, SOURCES, ()).shows({"source": "globex"})


def test_an_entry_that_names_nobody_keeps_the_source_to_operators():
    entries = (VisibilityRule("globex"),)
    assert not access_scope_of(STRANGER, entries, SOURCES, ()).shows({"source": "globex"})
    assert access_scope_of(replace(STRANGER, is_operator=True), entries, SOURCES, ()).shows({"source": "globex"})


def test_what_is_left_of_a_source_that_is_no_longer_configured_is_for_operators():
    access = access_scope_of(Viewer("U1"), HIDDEN, SOURCES, ())
    assert not access.shows({"source": "gone"})


@pytest.mark.parametrize(("one", "is_seen"), [(OVER_ALL, False), (OVER_GLOBEX, False), (OVER_ACME, True)])
def test_a_sum_is_seen_where_none_of_its_sources_is_hidden(one: Rule, is_seen: bool):
    access = access_scope_of(STRANGER, HIDDEN, SOURCES, RULES)
    assert access.shows({"rule": one.name}) is is_seen
    assert (access.rule_as_shown(one, SOURCES) == one) is is_seen
    assert access_scope_of(Viewer("U1"), HIDDEN, SOURCES, RULES).shows({"rule": one.name})


RULES_SEEN: dict[str, tuple[Rule, bool]] = {
    "one that looks everywhere": (rule(), True),
    "one that looks at a hidden source and at others": (rule(where=only(source="*e*")), True),
    "one that looks at a hidden source alone": (rule(where=only(source="globex")), False),
    "one that looks at no source that there is": (rule(where=only(source="typo")), False),
    "one that chooses what they see": (rule(where=only(ai_llm="support-*")), True),
    "one that chooses what is hidden": (rule(where=only(ai_llm="secret-*")), False),
    "one that chooses what nobody has": (rule(where=only(ai_llm="typo")), False),
    "one that is called after a hidden source": (replace(rule(), name="globex-burst"), False),
    "one that is called after a source that they see": (replace(rule(), name="initech-burst"), True),
    "one that has a hidden name in a longer word": (replace(rule(), name="globexes"), True),
}


@pytest.mark.parametrize(("one", "is_seen"), RULES_SEEN.values(), ids=RULES_SEEN)
def test_a_rule_is_seen_unless_all_that_it_looks_at_is_hidden(one, is_seen):
    shown = looking(STRANGER, (one,)).rule_as_shown(one, SOURCES)
    assert shown == (one if is_seen else None)
    assert FULL_ACCESS.rule_as_shown(one, SOURCES) is one


@pytest.mark.parametrize(
    ("matchers", "is_seen"),
    [
        ("rule=burst", True),
        ("source=acme", True),
        ("source=ac*", True),
        ("source=globex", False),
        ("source=glo*", False),
        ("source!=globex", False),
        ("source=~globex|acme", False),
        ("source!~glo.*", False),
        ("source=~(globex){0}.*", False),  # it does not mean it, but names it
        ("rule=burst source=globex", False),
        ("ai_llm=support", True),
        ("ai_llm=s*", True),
        ("ai_llm=secret", False),
        ("ai_llm=secret-id", False),
        ("ai_llm!=secret", False),
        ("ai_llm=~.*", True),
        ("ai_llm=~support-.*", True),
        ("ai_llm=~support|secret", False),
        ("ai_llm=~support|s[e]cret", False),
        ("source=*", True),
        ("severity=critical", True),
        ("rule=theirs", False),
        ("rule=theirs*", False),
        ("team=support", False),
    ],
)
def test_a_silence_is_seen_unless_it_names_a_hidden_source(matchers, is_seen):
    found = tuple(parse_matcher(word) for word in matchers.split())
    silence = Silence(found, START, START + timedelta(hours=1), "U3")
    assert looking(STRANGER).silence_as_shown(silence) == (silence if is_seen else None)
    assert looking(replace(STRANGER, is_operator=True)).silence_as_shown(silence) is silence
    assert looking(replace(STRANGER, user="U3")).silence_as_shown(silence) is silence, "who made it knows it"


places = st.frozensets(st.sampled_from(["C1", "C2", "#one", "#two"]))
users = st.frozensets(st.sampled_from(["U1", "U2"]))
entries = st.lists(st.builds(VisibilityRule, st.sampled_from(SOURCES), places, users), max_size=4)


@given(entries, st.builds(Viewer, st.sampled_from(["U1", "U2", "U3"]), places))
def test_a_source_is_hidden_exactly_where_it_has_entries_and_none_of_them_fits(listed, viewer):
    access = access_scope_of(viewer, listed, SOURCES, ())
    for name in SOURCES:
        mine = [entry for entry in listed if entry.source == name]
        fits = [entry for entry in mine if viewer.user in entry.users or viewer.places & entry.channels]
        assert access.shows({"source": name}) is (not mine or bool(fits))


def test_nobody_sees_anything_at_a_desk_that_is_nobodys():
    assert not NO_ACCESS.shows({"source": "acme"})
    assert not NO_ACCESS.shows({"rule": "rule"})


# --- texts


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("", True),
        ("planned test", True),
        ("because of GLOBEX", False),
        ("globex's fault", False),
        ("see secret-id", False),
        ("all secrets are safe", True),
        ("as theirs", False),  # a hidden rule
        ("support is slow", True),
        ("gpt-4o is slow", True),  # a model's name is no secret
    ],
)
def test_a_text_is_told_unless_it_names_something_hidden(text, is_shown):
    silence = Silence((parse_matcher("rule=burst"),), START, START + timedelta(hours=1), "U3", text)
    found = looking(STRANGER).silence_as_shown(silence)
    assert found == replace(silence, comment=text if is_shown else "")
    described = replace(rule(), name="burst", description=text, labels={"team": text})
    shown = looking(STRANGER).rule_as_shown(described, SOURCES)
    assert shown == (described if is_shown else replace(described, description="", labels={}))


def test_a_name_that_is_part_of_one_that_they_see_tells_of_nothing():
    sources = ("globex", "globex-eu")
    access = access_scope_of(STRANGER, HIDDEN, sources, ())
    assert access.shows_handle("globex-eu-burst")
    assert not access.shows_handle("globex-eu-globex")


def test_of_several_patterns_only_those_are_shown_that_tell_of_nothing_hidden():
    both = rule(where=Selector((("source", ("acme", "globex")), ("ai_llm", ("support-*", "secret-*")))))
    shown = looking(STRANGER).rule_as_shown(both, SOURCES)
    assert shown is not None
    assert shown.where == Selector((("source", ("acme",)), ("ai_llm", ("support-*",))))


# --- what they do reaches no further than what they see


@pytest.mark.parametrize(
    ("given_where", "confined"),
    [
        (Selector(), ("acme", "initech")),
        (only(source="*"), ("acme", "initech")),
        (only(source="*e"), ("acme",)),
        (only(source="acme"), ("acme",)),
        (Selector((("source", ("globex", "initech")),)), ("initech",)),
        (only(source="globex"), None),
        (only(source="typo"), None),
    ],
)
def test_a_rule_of_theirs_looks_at_what_they_see_each_by_its_name(given_where, confined):
    expected = None if confined is None else Selector((("source", confined),))
    assert looking(STRANGER).confine(given_where) == expected
    assert looking(Viewer("U1")).confine(given_where) is given_where
    assert expected is None or looking(STRANGER).is_within(expected)


@pytest.mark.parametrize("pattern", ["*", "g*", "globex", "typo"])
def test_a_rule_that_may_mean_others_is_not_theirs_to_change(pattern):
    assert not looking(STRANGER).is_within(only(source=pattern))
    assert not looking(STRANGER).is_within(Selector())
    assert looking(Viewer("U1")).is_within(only(source=pattern))


@pytest.mark.parametrize(
    "words", ["all", "rule=burst", "source=g*", "source=globex", "source!=acme", "rule=everything"]
)
def test_a_silence_of_theirs_mutes_nothing_that_they_do_not_see(words):
    wanted = () if words == "all" else tuple(parse_matcher(word) for word in words.split())
    confined = looking(STRANGER).confined(wanted)
    assert confined == (*wanted, Matcher("source", MatchType.FITS, "acme|initech"))
    assert looking(STRANGER).covers(confined)
    assert looking(STRANGER).confined(confined) == confined
    assert looking(Viewer("U1")).confined(wanted) == wanted
    assert not looking(STRANGER).covers(wanted)


@pytest.mark.parametrize("words", ["source=acme", "rule=burst source=initech", "rule=acme-sum"])
def test_a_silence_of_what_they_see_stays_as_it_is(words):
    wanted = tuple(parse_matcher(word) for word in words.split())
    assert looking(STRANGER).confined(wanted) == wanted
