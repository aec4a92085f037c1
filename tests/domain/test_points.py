"""Points: buckets, the pieces that cover a window, and what happens where there are too many dimensions."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.points import OTHER, Combination, Point, Span, ceiling, floor, merged, pieces, within_limit
from tests.builders import START, at, patiently

SOME_DAYS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 6), timezones=st.just(UTC))  # noqa: DTZ001


@given(SOME_DAYS, SOME_DAYS)
@patiently
def test_the_pieces_of_a_window_are_its_minutes_each_once(one, other):
    start, end = min(one, other), max(one, other)
    covered = []
    for span, first, last in pieces(start, end):
        assert floor(first, span) == first
        assert floor(last, span) == last
        covered.append((first, last))
    minutes = [ceiling(start, Span.MINUTE), ceiling(end, Span.MINUTE)]
    if minutes[0] < minutes[1]:
        assert covered[0][0] == minutes[0]
        assert covered[-1][1] == minutes[1]
        assert all(before[1] == after[0] for before, after in pairwise(covered))
    else:
        assert covered == []


def test_a_month_is_its_days_and_not_its_minutes():
    assert pieces(START, START + timedelta(days=31)) == [(Span.DAY, START, START + timedelta(days=31))]


def test_a_window_within_an_hour_is_its_minutes():
    assert pieces(at(7.5), at(20)) == [(Span.MINUTE, at(8), at(20))]


def test_what_begins_at_the_end_of_a_window_is_not_in_it_and_what_begins_at_its_start_is():
    assert pieces(at(0), at(60)) == [(Span.HOUR, at(0), at(60))]
    assert pieces(at(60), at(60)) == []


def test_points_of_several_conversations_are_one():
    one = Combination("llm-1", model="gpt-4o")
    both = [Point(at(0.5), one, {"api_calls": 2}), Point(at(0), one, {"api_calls": 3, "tokens_in": 9})]
    assert merged(both, Span.MINUTE) == [Point(at(0), one, {"api_calls": 5, "tokens_in": 9})]


# --- too many dimensions


def calls_of(user: str, calls: int = 1, ai_llm: str = "llm-1") -> Point:
    return Point(at(0), Combination(ai_llm, user=user), {"api_calls": calls})


def test_below_the_limit_everything_is_kept_apart():
    points = [calls_of("a"), calls_of("b")]
    assert within_limit(points, [], most=2) == (points, 0)


def test_above_the_limit_the_users_are_given_up_first_and_no_amount_is_lost():
    points = [calls_of("a"), calls_of("b", 2), calls_of("c", 4), calls_of("d", 8, "llm-2")]
    kept, folded = within_limit(points, [], most=1)
    assert folded == 3
    assert sum(point.amounts["api_calls"] for point in kept) == 15
    assert {(point.combination.ai_llm, point.combination.user) for point in kept} == {
        ("llm-1", "a"),
        ("llm-1", OTHER),
        ("llm-2", OTHER),
    }


def test_what_was_known_before_keeps_its_place():
    known = [Combination("llm-1", user="b")]
    kept, folded = within_limit([calls_of("a"), calls_of("b")], known, most=1)
    assert folded == 1
    assert Combination("llm-1", user="b") in {point.combination for point in kept}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["llm-1", "llm-2"]), st.integers(1, 9))))
@patiently
def test_folding_counts_each_amount_once(drawn):
    points = [calls_of(user, calls, ai_llm) for user, ai_llm, calls in drawn]
    kept, _ = within_limit(points, [], most=3)
    assert sum(point.amounts["api_calls"] for point in kept) == sum(calls for _, _, calls in drawn)
    assert len({point.combination for point in kept}) <= 3 + 2  # and one for the rest of each configuration
