"""Increases over windows, groups and gaps: promises 1.2, 1.3, 1.4 (what is recorded) and 1.6."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.history import (
    Growth,
    History,
    Member,
    Series,
    Slice,
    SourceState,
    by_source,
    exists_since,
    group,
    resets_by_member,
)
from alertbot.domain.history import increase as increase_of
from alertbot.domain.rules import EVERYTHING
from alertbot.domain.snapshots import Counter
from tests.builders import MINUTE, START, at, grown, increase, minutes, only, patiently, polled, readings

TWO_SOURCES = {
    "acme/openai-1": {"policy_violations": "0+1x9"},
    "acme/openai-2": {"policy_violations": "0+10x9"},
    "acme/anthropic-1": {"policy_violations": "- 100+0x8"},
    "globex/openai-1": {"policy_violations": "0+1000x9"},
}


@pytest.mark.parametrize(
    ("since", "until", "increased"),
    [
        pytest.param(0, 4, 9, id="from the first reading on everything"),
        pytest.param(1, 4, 8, id="a reading exactly at the window's start is the baseline"),
        pytest.param(1.5, 4, 8, id="the newest reading before the window's start is the baseline"),
        pytest.param(0.999, 4, 9, id="a reading just after the window's start is inside"),
        pytest.param(2, 3.999, 2, id="the end is the newest reading at or before it"),
        pytest.param(2, 4, 5, id="a reading exactly at the end counts"),
        pytest.param(-60, 4, 9, id="before the first reading stands the first reading: no extrapolation"),
        pytest.param(-60, 1, 1, id="also where the window is longer than what was read of it"),
        pytest.param(3, 600, 3, id="after the last reading nothing is known to have grown"),
        pytest.param(2, 2, 0, id="an empty window has grown by nothing"),
    ],
)
def test_an_increase_is_the_difference_of_two_readings(since: float, until: float, increased: int):
    assert increase(polled("0 1 4 6 9"), since=since, until=until) == increased


@pytest.mark.parametrize(
    ("drawn", "since", "gap", "baseline"),
    [
        pytest.param("0 1 2 3", 2, None, 2, id="without missed polls there is no gap"),
        pytest.param("0 1 _ 3", 1.5, None, 1, id="one missed poll is no gap"),
        pytest.param("0 1 _ _ 4", 2, 3, 1, id="two missed polls are a gap"),
        pytest.param("0 1 _ _ 4", 1, None, 1, id="a gap that begins with the window lies inside it: nothing older is in it"),
        pytest.param("0 1 _ _ 4 5", 4, None, 4, id="a gap before the window does not touch it"),
        pytest.param("_ _ _ 3 4", 1, None, 3, id="before the first reading there is no gap"),
        pytest.param("0 _x57 9", 43, 58, 0, id="the gap is as long as nobody looked"),
    ],
)  # fmt: skip
def test_growth_across_a_gap_says_how_old_its_baseline_is(drawn: str, since: float, gap: float | None, baseline: float):
    found = grown(polled(drawn), since=since)
    assert (found.gap, found.baseline_at) == (None if gap is None else minutes(gap), at(baseline))


def test_a_gap_that_is_not_seen_to_its_end_yet_is_not_told():
    assert grown(polled("0 1 _ _ _ 5"), since=2, until=4).gap is None
    assert grown(polled("0 1 _ _ _ 5"), since=2, until=5).gap == minutes(4)


def test_a_gap_is_told_by_the_source_s_own_interval():
    assert grown(polled("0 1 _ 3", interval=minutes(5)), since=6).gap is None
    assert grown(polled("0 1 _ _ 4", interval=minutes(5)), since=6).gap == minutes(15)


def state(name: str, *, interval: float = 1) -> SourceState:
    return SourceState(name, minutes(interval), START, START, START)


@pytest.mark.parametrize(("seconds", "is_gap"), [(150, False), (151, True)])
def test_readings_are_apart_by_a_gap_when_more_than_two_and_a_half_intervals_lie_between_them(
    seconds: int, is_gap: bool
):
    end = START + MINUTE * seconds / 60
    slices = {
        ("acme", START + MINUTE): Slice(START, end, {Counter.API_CALLS: {1: 0}}),
        ("acme", end): Slice(end, None, {Counter.API_CALLS: {1: 4}}),
    }
    member = Member(1, {"source": "acme", "ai_llm": "llm-1"}, START)
    history = History({"acme": state("acme")}, {1: member}, slices)
    (series,) = group([member], "ai_llm", EVERYTHING)
    found = increase_of(history, series, "api_calls", START + MINUTE, end)
    assert (found.value, found.gap is not None) == (4, is_gap)


def test_the_gap_of_a_group_is_its_longest_and_its_baseline_the_oldest():
    of = readings({"acme/llm-1": {"api_calls": "0 1 _ _ 4"}, "globex/llm-1": {"api_calls": "0 _ _ _ 4"}})
    found = grown(of, "api_calls", since=2)
    assert (found.value, found.gap, found.baseline_at) == (3 + 4, minutes(4), START)


@pytest.mark.parametrize(
    ("per", "expected"),
    [
        ("ai_llm", {"acme/openai-1": 9, "acme/openai-2": 90, "acme/anthropic-1": 100, "globex/openai-1": 9000}),
        ("source", {"acme": 199, "globex": 9000}),
        ("provider", {"acme/provider=openai": 99, "acme/provider=anthropic": 100, "globex/provider=openai": 9000}),
        ("all", {"all": 9199}),
    ],
)
def test_the_increase_of_a_group_is_the_sum_of_its_members(per: str, expected: dict[str, int]):
    of = readings(TWO_SOURCES)
    history = of.history(at(9), START, at(9))
    growth = Growth(history, "policy_violations", START, at(9))
    assert {s.key: growth.of(s).value for s in group(of.members.values(), per, EVERYTHING)} == expected


def test_series_are_labelled_by_what_they_share():
    of = readings(TWO_SOURCES)
    labels = {per: [dict(s.labels) for s in group(of.members.values(), per, EVERYTHING)] for per in ("all", "source")}
    assert labels == {"all": [{}], "source": [{"source": "acme"}, {"source": "globex"}]}
    (first, *_) = group(of.members.values(), "ai_llm", EVERYTHING)
    assert first == Series(
        "acme/openai-1",
        {"source": "acme", "ai_llm": "openai-1", "name": "OPENAI-1", "provider": "openai"},
        (1,),
        ("acme",),
    )
    by_provider = group(of.members.values(), "provider", EVERYTHING)
    assert [dict(series.labels) for series in by_provider][1:] == [
        {"source": "globex", "provider": "openai"},
        {"source": "acme", "provider": "anthropic"},
    ]


def test_a_dimension_is_labelled_with_its_name_where_there_is_one():
    named = Member(1, {"source": "acme", "ai_llm": "1", "workspace": "w-1", "workspace_name": "Support"}, START)
    unplaced = Member(2, {"source": "acme", "ai_llm": "2"}, START)
    first, second = group([named, unplaced], "workspace", EVERYTHING)
    assert (first.key, dict(first.labels)) == (
        "acme/workspace=w-1",
        {"source": "acme", "workspace": "w-1", "workspace_name": "Support"},
    )
    assert (second.key, dict(second.labels)) == ("acme/workspace=", {"source": "acme", "workspace": ""})


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ({"ai_llm": "openai-*"}, ["acme/openai-1", "acme/openai-2", "globex/openai-1"]),
        ({"ai_llm": "OPENAI-2"}, ["acme/openai-2"]),
        ({"source": "acme", "provider": "openai"}, ["acme/openai-1", "acme/openai-2"]),
        ({"ai_llm": "openai"}, []),
    ],
)
@pytest.mark.parametrize("per", ["ai_llm", "provider"])
def test_a_group_is_made_of_the_members_that_the_rule_selects_by_id_or_name(
    where: dict[str, str], keys: list[str], per: str
):
    of = readings(TWO_SOURCES)
    found = group(of.members.values(), per, only(**where))
    names = {f"{m.source}/{m.labels['ai_llm']}" for s in found for m in map(of.members.__getitem__, s.members)}
    assert names == set(keys)


def test_a_sum_of_counters_is_unknown_where_one_of_them_is():
    both = polled("0", tokens_in="1 4", tokens_out="10 30")
    one = polled("0", tokens_in="1 4", tokens_out="? ?")
    assert (increase(both, "tokens"), increase(both, "tokens_in"), increase(one, "tokens")) == (23, 3, None)
    assert increase(one, "tokens_in") == 3


def test_a_counter_that_is_said_for_the_first_time_inside_the_window_has_its_baseline_there():
    assert increase(polled("0", tokens_in="1 4 5 6", tokens_out="? 10 30 30"), "tokens") == 5 + 20


def test_a_member_whose_counter_is_unknown_adds_nothing_to_its_group():
    of = readings({"acme/llm-1": {"api_calls": "1 4"}, "acme/llm-2": {"api_calls": "? ?"}})
    assert increase(of, "api_calls") == 3
    assert (
        increase(readings({"acme/llm-1": {"api_calls": "? ?"}, "acme/llm-2": {"api_calls": "? ?"}}), "api_calls")
        is None
    )


def test_a_source_s_slices_are_looked_at_only_for_a_series_of_it():
    of = readings(TWO_SOURCES)
    history = of.history(at(9), START, at(9))
    lacking = History(history.sources, history.members, {k: v for k, v in history.slices.items() if k[0] == "globex"})
    growth = Growth(lacking, "policy_violations", START, at(9))
    found = {series.key: series for series in group(of.members.values(), "source", EVERYTHING)}
    assert growth.of(found["globex"]).value == 9000
    with pytest.raises(KeyError):
        growth.of(found["acme"])


def test_a_series_can_be_taken_apart_by_source():
    of = readings(TWO_SOURCES)
    (everything,) = group(of.members.values(), "all", EVERYTHING)
    assert [(s.sources, s.members) for s in by_source(everything, of.members)] == [
        (("acme",), (1, 2, 4)),
        (("globex",), (3,)),
    ]


def test_a_series_exists_since_all_its_sources_were_read_and_one_member_was_there():
    of = readings({"acme/llm-1": {"api_calls": "0 - 2"}, "acme/llm-2": {"api_calls": "- 1 2"}})
    of.read("globex", at(5), {"llm-3": {Counter.API_CALLS: 1}})
    history = of.history(at(6))
    by_key = {s.key: exists_since(history, s) for s in group(of.members.values(), "ai_llm", EVERYTHING)}
    assert by_key == {"acme/llm-1": START, "acme/llm-2": at(1), "globex/llm-3": at(5)}
    (everything,) = group(of.members.values(), "all", EVERYTHING)
    assert exists_since(history, everything) == at(5)


def test_each_reset_correction_and_held_step_is_recorded_with_its_time_in_a_window_that_it_touches():
    of = polled("5 8 1 2 9", api_calls="1000 990 995 999", tokens_in="5 1 2")
    history = of.history(at(9))
    found = resets_by_member(history, ("policy_violations", "api_calls"), START, at(9))
    assert [(f.counter.value, f.kind.value, f.at) for f in found[1]] == [
        ("api_calls", "held", at(1)),
        ("api_calls", "correction", at(2)),
        ("policy_violations", "held", at(2)),
        ("policy_violations", "reset", at(3)),
    ]
    assert [f.at for f in resets_by_member(history, ("policy_violations",), at(2), at(3))[1]] == [at(3)]
    assert [f.at for f in resets_by_member(history, ("policy_violations",), at(1), at(2))[1]] == [at(2)]
    assert not resets_by_member(history, ("policy_blocks",), START, at(9))
    assert len(resets_by_member(history, ("tokens",), START, at(9))[1]) == 2


polls = st.one_of(st.integers(0, 9).map(str), st.just("_"))
walks = st.lists(st.tuples(polls, polls), max_size=30)


@patiently
@given(walks, st.lists(st.integers(0, 32), min_size=3, max_size=3))
def test_neighbouring_windows_and_members_add_up(walk: list[tuple[str, str]], edges: list[int]):
    """Whatever falls and is missed on the way, and wherever the windows begin and end."""
    drawn = [" ".join(("5", *(polls[place] for polls in walk))) for place in (0, 1)]
    start, middle, end = sorted(edges)
    wholes = []
    for one in map(polled, drawn):
        whole, first, second = (
            increase(one, since=a, until=b) or 0 for a, b in ((start, end), (start, middle), (middle, end))
        )
        assert whole == first + second >= 0
        wholes.append(whole)
    both = {f"{name}/llm-1": {"policy_violations": one} for name, one in zip(("acme", "globex"), drawn, strict=True)}
    assert increase(readings(both), since=start, until=end) == sum(wholes)
