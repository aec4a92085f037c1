"""Durations, moments and numbers: what is read is within bounds, and what is not read is told in a sentence."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alertbot.domain.times import LONGEST, format_duration_short, parse_count, parse_duration, parse_moment

PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])  # the tables of all characters are read first
TYPED = st.text(max_size=60) | st.text(alphabet="0123456789²٣smhdwy:-+.TZ ", max_size=40)


@PATIENT
@given(TYPED)
@example("9999999d")
@example("999999999w")
@example("²d")
@example("٣h")
def test_a_duration_is_within_ten_years_or_refused_in_a_sentence(text):
    try:
        duration = parse_duration(text)
    except ValueError as error:
        assert str(error).startswith("expected a duration such as 15m")  # noqa: PT017 — whatever is raised
    else:
        assert timedelta(0) <= duration <= LONGEST
        assert parse_duration(format_duration_short(duration)) == duration


@PATIENT
@given(TYPED)
@example("0001-01-01T00:00+14:00")
@example("9999-12-31T23:59-14:00")
@example("1969-12-31T23:59Z")
@example("9001-01-01")
def test_a_moment_has_a_calendar_around_it_or_is_refused_in_a_sentence(text):
    try:
        moment = parse_moment(text)
    except ValueError as error:
        assert str(error).startswith("expected a time ")  # noqa: PT017 — whatever is raised
    else:
        assert moment.utcoffset() == timedelta(0)
        assert moment - LONGEST < moment < moment + LONGEST


@PATIENT
@given(TYPED)
@example("²")
@example("٣")
@example("1_000")
@example("9" * 19)
@example("9" * 5000)
@example(str(2**63))
def test_a_number_fits_into_a_database_or_is_refused_in_a_sentence(text):
    try:
        number = parse_count(text, what="the number of a silence")
    except ValueError as error:
        said = str(error)
        is_short = len(said) < 200
        assert said.startswith("expected the number of a silence such as 3, got ")
        assert is_short
    else:
        assert 0 <= number < 2**63


BOUNDS = {
    "1970-01-01": datetime(1970, 1, 1, tzinfo=UTC),
    "2026-11-22T10:05+02:00": datetime(2026, 11, 22, 8, 5, tzinfo=UTC),
    "9000-12-31T23:59Z": datetime(9000, 12, 31, 23, 59, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "moment"), BOUNDS.items())
def test_a_moment_is_in_utc(text, moment):
    assert parse_moment(text) == moment


def test_the_largest_number_is_that_of_the_databases():
    assert parse_count(str(2**63 - 1)) == 2**63 - 1
