"""A hidden source does not exist for whoever may not see it: neither do its alerts, its rules, nor silences that name it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.rules import Rule
from alertbot.domain.silences import Silence, parse_matcher
from alertbot.domain.visibility import SEES_EVERYTHING, Asker, Entry, Sight, sight_of
from tests.builders import START, only, rule

SOURCES = ("acme", "globex", "initech")
HIDDEN = (Entry("globex", channels=frozenset({"#globex-ai", "C7"}), users=frozenset({"U1"})),)
STRANGER = Asker("U9")
OVER_ALL = replace(rule(per="all"), name="everything")
OVER_GLOBEX = replace(rule(per="all", where=only(source="globex")), name="globex-sum")
OVER_ACME = replace(rule(per="all", where=only(source="ac*")), name="acme-sum")
RULES = (OVER_ALL, OVER_GLOBEX, OVER_ACME)

WHO: dict[str, tuple[Asker, set[str]]] = {
    "a stranger": (STRANGER, {"acme", "initech"}),
    "a stranger elsewhere": (Asker("U9", frozenset({"C1", "#general"})), {"acme", "initech"}),
    "somebody who is named": (Asker("U1"), set(SOURCES)),
    "somebody in the channel, by its name": (Asker("U9", frozenset({"C5", "#globex-ai"})), set(SOURCES)),
    "somebody in the channel, by its id": (Asker("U9", frozenset({"C7", "#whatever"})), set(SOURCES)),
    "an operator": (Asker("U9", is_operator=True), set(SOURCES)),
}


@pytest.mark.parametrize(("asker", "seen"), WHO.values(), ids=WHO)
def test_a_source_is_seen_by_those_whom_its_entry_names_and_by_operators(asker, seen):
    sight = sight_of(asker, HIDDEN, SOURCES, RULES)
    assert {name for name in SOURCES if sight.shows({"source": name, "rule": "rule"})} == seen


def test_without_entries_nothing_is_hidden():
    assert sight_of(STRANGER, (), SOURCES, RULES) is SEES_EVERYTHING


def test_entries_of_one_source_add_up():
    entries = (*HIDDEN, Entry("globex", users=frozenset({"U9"})))
    assert sight_of(STRANGER, entries, SOURCES, ()).shows({"source": "globex"})


def test_an_entry_that_names_nobody_keeps_the_source_to_operators():
    entries = (Entry("globex"),)
    assert not sight_of(STRANGER, entries, SOURCES, ()).shows({"source": "globex"})
    assert sight_of(replace(STRANGER, is_operator=True), entries, SOURCES, ()).shows({"source": "globex"})


def test_what_is_left_of_a_source_that_is_no_longer_configured_is_for_operators():
    sight = sight_of(Asker("U1"), HIDDEN, SOURCES, ())
    assert not sight.shows({"source": "gone"})


@pytest.mark.parametrize(("one", "is_seen"), [(OVER_ALL, False), (OVER_GLOBEX, False), (OVER_ACME, True)])
def test_a_sum_is_seen_where_none_of_its_sources_is_hidden(one: Rule, is_seen: bool):
    sight = sight_of(STRANGER, HIDDEN, SOURCES, RULES)
    assert sight.shows({"rule": one.name}) is is_seen
    assert sight.shows_rule(one, SOURCES) is is_seen
    assert sight_of(Asker("U1"), HIDDEN, SOURCES, RULES).shows({"rule": one.name})


RULES_SEEN: dict[str, tuple[Rule, bool]] = {
    "one that looks everywhere": (rule(), True),
    "one that looks at a hidden source and at others": (rule(where=only(source="*e*")), True),
    "one that looks at a hidden source alone": (rule(where=only(source="globex")), False),
    "one that looks at no source that there is": (rule(where=only(source="typo")), True),
    "one that chooses by another dimension": (rule(where=only(ai_llm="globex")), True),
}


@pytest.mark.parametrize(("one", "is_seen"), RULES_SEEN.values(), ids=RULES_SEEN)
def test_a_rule_is_seen_unless_all_that_it_looks_at_is_hidden(one, is_seen):
    assert sight_of(STRANGER, HIDDEN, SOURCES, (one,)).shows_rule(one, SOURCES) is is_seen
    assert SEES_EVERYTHING.shows_rule(one, SOURCES)


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
        ("source=~(?!globex).*", False),  # it does not mean it, but names it
        ("rule=burst source=globex", False),
        ("ai_llm=globex", True),  # not a source
    ],
)
def test_a_silence_is_seen_unless_it_names_a_hidden_source(matchers, is_seen):
    found = tuple(parse_matcher(word) for word in matchers.split())
    silence = Silence(found, START, START + timedelta(hours=1), "U3")
    assert sight_of(STRANGER, HIDDEN, SOURCES, ()).shows_silence(silence, SOURCES) is is_seen
    assert sight_of(Asker("U1"), HIDDEN, SOURCES, ()).shows_silence(silence, SOURCES)


places = st.frozensets(st.sampled_from(["C1", "C2", "#one", "#two"]))
users = st.frozensets(st.sampled_from(["U1", "U2"]))
entries = st.lists(st.builds(Entry, st.sampled_from(SOURCES), places, users), max_size=4)


@given(entries, st.builds(Asker, st.sampled_from(["U1", "U2", "U3"]), places))
def test_a_source_is_hidden_exactly_where_it_has_entries_and_none_of_them_fits(listed, asker):
    sight = sight_of(asker, listed, SOURCES, ())
    for name in SOURCES:
        mine = [entry for entry in listed if entry.source == name]
        fits = [entry for entry in mine if asker.user in entry.users or asker.places & entry.channels]
        assert sight.shows({"source": name}) is (not mine or bool(fits))


def test_nobody_sees_anything_at_a_desk_that_is_nobodys():
    assert not Sight(frozenset()).shows({"source": "acme"})
    assert not Sight(frozenset()).shows({"rule": "rule"})
