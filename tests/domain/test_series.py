"""Counting: promises 1.1 to 1.5 of one counter, whatever Flashback answers."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.series import (
    UNKNOWN,
    Odometer,
    Odometers,
    Reset,
    ResetKind,
    fell_far,
    first_sight,
    read_on,
    start_again,
)
from alertbot.domain.snapshots import Counter
from tests.builders import fallen, grown, increase, minutes, patiently, polled, readings

CALLS, VIOLATIONS, BLOCKS = Counter.API_CALLS, Counter.POLICY_VIOLATIONS, Counter.POLICY_BLOCKS
HUGE = 2**64


@pytest.mark.parametrize(
    ("drawn", "increased", "steps"),
    [
        pytest.param("0 0 0", 0, [], id="no growth is no growth"),
        pytest.param("3 10", 7, [], id="seven violations are seven, not extrapolated"),
        pytest.param("5", 0, [], id="a very first reading is the baseline"),
        pytest.param("5 8 8 12", 7, [], id="growth adds up over readings"),
        pytest.param("5 _x58 9", 4, [], id="a gap in polling loses nothing"),
        pytest.param("9007199254740992 9007199254740993", 1, [], id="exact past what a float can tell apart"),
        pytest.param(f"{2**63 - 1} {2**63}", 1, [], id="exact past 2 to the 63rd"),
        pytest.param(f"{HUGE} {HUGE + 1}", 1, [], id="exact past 2 to the 64th"),
        pytest.param(f"0 {10 * HUGE}", 10 * HUGE, [], id="a growth may itself be huge"),
        pytest.param("5 ? 8", 3, [], id="a field that is missing is unknown, not 0: it keeps its value"),
        pytest.param("5 ? ?", 0, [], id="a field that stays missing has not grown"),
        pytest.param("? 8 9", 1, [], id="a field that is first said later has its baseline there"),
        pytest.param("5 - - 7", 2, [], id="a configuration that was absent goes on where it was"),
        pytest.param("5 - -", 0, [], id="a configuration that is absent grows by 0"),
        pytest.param("5 8 1", 3, ["held 8→1"], id="a fall is held for one reading and counts nothing"),
        pytest.param("5 8 1 2", 5, ["held 8→1", "reset 8→2"], id="a fall that is confirmed was a reset: counts from 0"),
        pytest.param("5 8 1 2 6", 9, ["held 8→1", "reset 8→2"], id="growth goes on from the new value after a reset"),
        pytest.param("5 8 0 0 1", 4, ["held 8→0", "reset 8→0"], id="a reset to 0 counts what comes after"),
        pytest.param("5 8 3 1", 4, ["held 8→3", "reset 8→1"], id="the newest of two low values counts"),
        pytest.param("5 8 1 8 9", 4, ["held 8→1", "recovered 8→8"], id="a stale answer counts nothing, back at the old value"),
        pytest.param("5 8 1 10", 5, ["held 8→1", "recovered 8→10"], id="after a stale answer growth counts from the old value"),
        pytest.param("5 8 1 ? 8 9", 4, ["held 8→1", "recovered 8→8"], id="a missing field says nothing about a held fall"),
        pytest.param("5 8 1 ? 2", 5, ["held 8→1", "reset 8→2"], id="a fall is held over a reading without the field"),
        pytest.param("5 8 1 - 2", 5, ["held 8→1", "reset 8→2"], id="a fall is held over a reading without the configuration"),
        pytest.param("5 8 1 _ 2", 5, ["held 8→1", "reset 8→2"], id="a fall is held over a missed poll"),
        pytest.param("1000 990 995 999", 4, ["held 1000→990", "correction 1000→995"], id="a small fall that is confirmed is a correction: the new base"),
        pytest.param("1000 1 995 999", 4, ["held 1000→1", "correction 1000→995"], id="the newest value decides what a fall was, not the held one"),
        pytest.param("1000 990 1 2", 2, ["held 1000→990", "reset 1000→1"], id="a fall that deepens while it is held was a reset"),
        pytest.param("800 799 700 701", 1, ["held 800→799", "correction 800→700"], id="at exactly 7/8 it is a correction"),
        pytest.param("800 799 699 701", 701, ["held 800→799", "reset 800→699"], id="below 7/8 it is a reset"),
        pytest.param("8 1 2 1 3", 3, ["held 8→1", "reset 8→2", "held 2→1", "recovered 2→3"], id="after a reset a fall is held anew, from the new value"),
        pytest.param("8 1 9 1 9", 1, ["held 8→1", "recovered 8→9", "held 9→1", "recovered 9→9"], id="each stale answer is held for itself"),
        pytest.param("0 0 0 5", 5, [], id="from 0 it just grows"),
    ],
)  # fmt: skip
def test_a_counter_alone_counts(drawn: str, increased: int, steps: list[str]):
    of = polled(drawn)
    assert (increase(of), fallen(of)) == (increased, steps)


@pytest.mark.parametrize(
    ("violations", "calls", "increased", "steps"),
    [
        pytest.param("5 8 1", "900 1000 10", 4, ["reset 1000→10", "reset 8→1"], id="with a reset of api_calls it counts from 0 at once"),
        pytest.param("5 8 9", "900 1000 10", 4, ["reset 1000→10"], id="a counter that did not fall just grows"),
        pytest.param("5 8 7", "900 1000 10", 10, ["reset 1000→10", "reset 8→7"], id="also one that fell by little"),
        pytest.param("5 8 1", "900 1000 874", 4, ["reset 1000→874", "reset 8→1"], id="api_calls just below 7/8 is a reset"),
        pytest.param("5 8 1", "900 1000 875", 3, ["held 1000→875", "held 8→1"], id="api_calls at exactly 7/8 is none"),
        pytest.param("5 8 1 9", "900 1000 999 1000", 4, ["held 1000→999", "held 8→1", "recovered 1000→1000", "recovered 8→9"], id="a stale answer falls in both and recovers in both"),
        pytest.param("5 8 1", "900 1000 1000", 3, ["held 8→1"], id="one series' fall touches no other"),
        pytest.param("5 8 1", "900 1000 ?", 3, ["held 8→1"], id="without api_calls a fall is held"),
        pytest.param("5 8 1", "? ? 10", 3, ["held 8→1"], id="api_calls that were never said did not fall"),
        pytest.param("5 8 1 2", "900 1000 999 10", 5, ["held 1000→999", "held 8→1", "reset 1000→10", "reset 8→2"], id="a held fall is a reset as soon as api_calls says so"),
        pytest.param("5 8 8 2", "900 1000 999 800", 5, ["held 1000→999", "reset 1000→800", "reset 8→2"], id="api_calls fell from the last good value, not from the held one"),
        pytest.param("5 8 ? 2 3", "900 1000 10 20 30", 6, ["reset 1000→10", "held 8→2", "reset 8→3"], id="a counter that was not given in the reset's reading is held when it comes"),
    ],
)  # fmt: skip
def test_api_calls_tell_of_a_reset_of_the_configuration(violations: str, calls: str, increased: int, steps: list[str]):
    of = polled(violations, api_calls=calls)
    assert (increase(of), fallen(of)) == (increased, steps)


def test_api_calls_of_one_configuration_tell_nothing_of_another():
    of = readings(
        {
            "acme/llm-1": {"policy_violations": "0 0 0", "api_calls": "900 1000 10"},
            "acme/llm-2": {"policy_violations": "5 8 1", "api_calls": "5 8 9"},
        }
    )
    assert fallen(of) == ["reset 1000→10", "held 8→1"]


@pytest.mark.parametrize(
    ("last", "seen", "far"),
    [(8, 7, False), (8, 6, True), (1, 0, True), (8 * HUGE, 7 * HUGE, False), (8 * HUGE, 7 * HUGE - 1, True), (0, 0, False)],
)  # fmt: skip
def test_a_counter_reset_is_far_below_seven_eighths_in_whole_numbers(last: int, seen: int, far: bool):
    assert fell_far(last, seen) is far


@pytest.mark.parametrize(
    ("others", "increased"),
    [
        pytest.param({"acme/llm-2": "- 4"}, 4, id="a configuration that an earlier reading did not list counts from 0"),
        pytest.param({"acme/llm-2": "- _ 4"}, 4, id="also across a missed poll"),
        pytest.param({"acme/llm-2": "4 4"}, 0, id="on the very first reading everything is baseline"),
        pytest.param({"globex/llm-2": "_ 4 4"}, 0, id="a reading of another source is no earlier reading"),
        pytest.param({"acme/llm-2": "- ? 4"}, 4, id="a field that a new configuration says later counts from 0, too"),
    ],
)
def test_first_sight(others: Mapping[str, str], increased: int):
    drawn = {key: {"policy_violations": text} for key, text in others.items()}
    assert increase(readings({"acme/llm-1": {"api_calls": "0 0 0"}, **drawn})) == increased


def test_first_sight_knows_every_counter_of_a_new_configuration():
    assert first_sight({CALLS: 7}, from_zero=True) == {
        counter: Odometer(7, 7) if counter is CALLS else Odometer(0, 0) for counter in Counter
    }


def test_first_sight_on_the_first_reading_is_a_baseline_and_unknown_where_nothing_was_said():
    assert first_sight({CALLS: 7}, from_zero=False) == {
        counter: Odometer(7, 0) if counter is CALLS else UNKNOWN for counter in Counter
    }


def test_a_configuration_that_was_made_again_counts_from_0_whatever_it_says():
    odometers = first_sight({CALLS: 100, VIOLATIONS: 5}, from_zero=False)
    odometers, _ = read_on(odometers, {CALLS: 110, VIOLATIONS: 1})
    again, steps = start_again(odometers, {CALLS: 120, VIOLATIONS: 3, BLOCKS: 2})
    assert {counter: again[counter] for counter in (CALLS, VIOLATIONS, BLOCKS)} == {
        CALLS: Odometer(120, 130),
        VIOLATIONS: Odometer(3, 3),
        BLOCKS: Odometer(2, 2),
    }
    assert steps == (Reset(CALLS, ResetKind.RESET, 110, 120), Reset(VIOLATIONS, ResetKind.RESET, 5, 3))


def test_a_configuration_that_was_made_again_counts_from_0_also_what_it_says_later():
    again, steps = start_again(first_sight({VIOLATIONS: 5}, from_zero=False), {CALLS: 1})
    assert steps == (Reset(VIOLATIONS, ResetKind.RESET, 5, 0),)
    later, steps = read_on(again, {CALLS: 1, VIOLATIONS: 7})
    assert (later[VIOLATIONS].grown, steps) == (7, ())


def test_a_configuration_of_which_nothing_is_known_yet_starts_again_from_0():
    again, steps = start_again({}, {CALLS: 3})
    assert (again[CALLS], again[VIOLATIONS], steps) == (Odometer(3, 3), Odometer(0, 0), ())


def test_a_gap_tells_how_old_its_baseline_is():
    of = polled("5 _x57 9")
    assert of.moments()[-1] - of.moments()[0] == minutes(58)
    seen = grown(of, since=43, until=58)
    assert (seen.value, seen.gap, seen.baseline_at) == (4, minutes(58), of.moments()[0])


# What really happened to a counter, poll by poll, and what the poll saw of it.
grow = st.integers(0, 50) | st.just(2**64)
harmless = st.lists(st.tuples(grow, st.sampled_from(["good", "stale", "missing", "missed", "repeated"])), max_size=25)


@patiently
@given(harmless, st.integers(0, 2**70))
def test_the_increase_is_what_was_really_added(happened: list[tuple[int, str]], first: int):
    """Whatever the order of growth, stale answers, missing fields, missed polls and repeated answers."""
    real = seen = had_been = first
    drawn: list[int | str] = [first, first]
    for added, poll in happened:
        real += added
        if poll == "missing":
            drawn.append("?")
        elif poll == "missed":
            drawn.append("_")
        elif poll == "repeated":
            drawn.append(seen)
        else:
            if (
                poll == "stale" and drawn[-1] == seen
            ):  # a replica that lags behind; two in a row would look like a reset
                drawn.append(had_been)
            had_been, seen = seen, real
            drawn.append(real)
    drawn.append(real)
    assert increase(polled(" ".join(map(str, drawn)))) == real - first


resets = st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 12)), min_size=1, max_size=15)


@patiently
@given(resets)
def test_a_reset_that_is_seen_soon_loses_nothing(happened: list[tuple[int, bool, int]]):
    """Read just before it, and twice after it while the new value is below 7/8 of the old one."""
    added, value, drawn = 0, 0, [0]
    for growth, is_reset, after in happened:
        value, added = value + growth, added + growth
        drawn.append(value)
        if is_reset and after * 8 < value * 7:
            drawn += [after // 2, after]
            value, added = after, added + after
    assert increase(polled(" ".join(map(str, drawn)))) == added


@patiently
@given(resets)
def test_a_reset_that_is_told_by_api_calls_loses_nothing_at_once(happened: list[tuple[int, bool, int]]):
    added, value, calls = 0, 0, 1000
    drawn, called = [0], [1000]
    for growth, is_reset, after in happened:
        value, added, calls = value + growth, added + growth, calls + 1000
        drawn.append(value)
        called.append(calls)
        if is_reset and after < value:
            value, added, calls = after, added + after, 1
            drawn.append(value)
            called.append(calls)
    of = polled(" ".join(map(str, drawn)), api_calls=" ".join(map(str, called)))
    assert increase(of) == added


unseen = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["good", "missed", "reset"])), min_size=1, max_size=30)


@patiently
@given(unseen)
def test_a_reset_that_nobody_could_see_loses_at_most_what_had_been_counted_and_never_adds(
    happened: list[tuple[int, str]],
):
    """Where a counter has overtaken its old value before it is read, the information is lost: the bound is that value."""
    real = added = bound = 0
    drawn = ["0"]
    for growth, what in happened:
        if what == "reset":
            bound += real
            real = 0
        real, added = real + growth, added + growth
        drawn.append("_" if what == "missed" else str(real))
    drawn += [str(real)] * 2  # whatever was held is confirmed
    counted = increase(polled(" ".join(drawn)))
    assert counted is not None
    assert max(0, added - bound) <= counted <= added


totals = st.lists(
    st.dictionaries(st.sampled_from([CALLS, VIOLATIONS, BLOCKS]), st.integers(0, 40) | st.integers(2**63, 2**65)),
    min_size=1,
    max_size=12,
)


@patiently
@given(totals, st.booleans())
def test_an_odometer_never_counter_resets_and_only_its_own_counter_moves_it(
    answers: list[dict[Counter, int]], is_new: bool
):
    odometers: Odometers = first_sight(answers[0], from_zero=is_new)
    for answer in answers[1:]:
        before = odometers
        odometers, steps = read_on(odometers, answer)
        for counter in Counter:
            assert odometers[counter].grown >= before[counter].grown >= 0
            if counter not in answer:
                assert odometers[counter] == before[counter]
            else:
                told = odometers[counter].total if odometers[counter].held is None else odometers[counter].held
                assert told == answer[counter]
        assert {step.counter for step in steps} <= set(answer)


@patiently
@given(totals)
def test_counters_are_independent_unless_api_calls_fell_far(answers: list[dict[Counter, int]]):
    together = alone = first_sight(answers[0], from_zero=False)
    for answer in answers[1:]:
        kept = {counter: total for counter, total in answer.items() if counter is not CALLS}
        together, _ = read_on(together, kept)
        for counter, total in kept.items():
            read, _ = read_on(alone, {counter: total})
            alone = {**alone, counter: read[counter]}
        assert together == alone


@patiently
@given(totals)
def test_the_same_answer_again_changes_nothing_but_confirms_what_was_held(answers: list[dict[Counter, int]]):
    odometers = first_sight(answers[0], from_zero=False)
    for answer in answers[1:]:
        odometers, _ = read_on(odometers, answer)
        odometers, _ = read_on(odometers, answer)
        settled, steps = read_on(odometers, answer)
        assert (settled, steps) == (odometers, ())
