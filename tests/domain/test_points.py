"""Points: buckets, those that come after a moment, and what happens where there are too many dimensions."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.points import OTHER, LabelSet, Point, Resolution, after, ceiling, floor, merged, within_limit
from tests.builders import START, at, patiently

DAY = timedelta(days=1)
SOME_DAYS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 6), timezones=st.just(UTC))  # noqa: DTZ001


@given(SOME_DAYS)
@patiently
def test_what_comes_after_a_moment_is_covered_once_by_whole_buckets(moment):
    horizon = datetime(2026, 1, 8, tzinfo=UTC)
    covered = after(moment, horizon)
    for resolution, first, end in covered:
        assert floor(first, resolution) == first
        assert floor(end, resolution) == end
    assert covered[0][1] == ceiling(moment, Resolution.MINUTE)
    assert covered[-1][2] == horizon
    assert all(before[2] == later[1] for before, later in pairwise(covered))


def test_a_month_is_its_days_and_not_its_minutes():
    assert after(START, START + 31 * DAY) == [
        (Resolution.MINUTE, START, START),
        (Resolution.HOUR, START, START),
        (Resolution.DAY, START, START + 31 * DAY),
    ]


def test_a_bucket_that_has_begun_before_the_moment_does_not_come_after_it():
    assert after(at(7.5), START + DAY)[:2] == [
        (Resolution.MINUTE, at(8), at(60)),
        (Resolution.HOUR, at(60), START + DAY),
    ]


def test_points_of_several_conversations_are_one():
    one = LabelSet("llm-1", model="gpt-4o")
    both = [Point(at(0.5), one, {"api_calls": 2}), Point(at(0), one, {"api_calls": 3, "tokens_in": 9})]
    assert merged(both, Resolution.MINUTE) == [Point(at(0), one, {"api_calls": 5, "tokens_in": 9})]


# --- too many dimensions


def calls_of(user: str, calls: int = 1, ai_llm: str = "llm-1") -> Point:
    return Point(at(0), LabelSet(ai_llm, user=user), {"api_calls": calls})


def test_below_the_limit_everything_is_kept_apart():
    points = [calls_of("a"), calls_of("b")]
    assert within_limit(points, [], most=2) == (points, 0)


def test_above_the_limit_the_users_are_given_up_first_and_no_amount_is_lost():
    points = [calls_of("a"), calls_of("b", 2), calls_of("c", 4), calls_of("d", 8, "llm-2")]
    kept, folded = within_limit(points, [], most=1)
    assert folded == 3
    assert sum(point.amounts["api_calls"] for point in kept) == 15
    assert {(point.label_set.ai_llm, point.label_set.user) for point in kept} == {
        ("llm-1", "a"),
        ("llm-1", OTHER),
        ("llm-2", OTHER),
    }


def test_what_was_known_before_keeps_its_place():
    known = [LabelSet("llm-1", user="b")]
    kept, folded = within_limit([calls_of("a"), calls_of("b")], known, most=1)
    assert folded == 1
    assert LabelSet("llm-1", user="b") in {point.label_set for point in kept}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["llm-1", "llm-2"]), st.integers(1, 9))))
@patiently
def test_folding_counts_each_amount_once(drawn):
    points = [calls_of(user, calls, ai_llm) for user, ai_llm, calls in drawn]
    kept, _ = within_limit(points, [], most=3)
    assert sum(point.amounts["api_calls"] for point in kept) == sum(calls for _, _, calls in drawn)
    assert len({point.label_set for point in kept}) <= 3 + 2  # and one for the rest of each configuration
