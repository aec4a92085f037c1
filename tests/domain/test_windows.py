"""Windows of time as people name them, on their own calendar."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.windows import Calendar, parse_time_range, take_time_range, window_of
from tests.builders import patiently

MADRID = ZoneInfo("Europe/Madrid")
ZONES = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
MOMENTS = st.datetimes(datetime(2000, 1, 3), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def told(time_range: str, now: str, zone: ZoneInfo = MADRID) -> str:
    window = window_of(parse_time_range(time_range), datetime.fromisoformat(now), zone)
    return f"{window.start:%d %H:%M} – {window.end:%d %H:%M} {window.name}"


# 2026-11-22 is a Sunday; Madrid is an hour ahead of UTC in winter, two in summer.
NAMED = {
    "an hour": ("1h", "2026-11-22T10:00Z", "22 09:00 – 22 10:00 in the last 1 h"),
    "ninety minutes": ("90m", "2026-11-22T10:00Z", "22 08:30 – 22 10:00 in the last 1 h 30 min"),
    "today": ("today", "2026-11-22T10:00Z", "21 23:00 – 22 10:00 today"),
    "today, that in UTC is yesterday still": ("today", "2026-11-21T23:30Z", "21 23:00 – 21 23:30 today"),
    "today at midnight": ("today", "2026-11-21T23:00Z", "21 23:00 – 21 23:00 today"),
    "yesterday": ("yesterday", "2026-11-22T10:00Z", "20 23:00 – 21 23:00 yesterday"),
    "this week began on Monday": ("this week", "2026-11-22T10:00Z", "15 23:00 – 22 10:00 this week"),
    "this week on a Monday": ("this week", "2026-11-23T10:00Z", "22 23:00 – 23 10:00 this week"),
    "last week": ("last week", "2026-11-22T10:00Z", "08 23:00 – 15 23:00 last week"),
    "this month": ("this month", "2026-11-22T10:00Z", "31 23:00 – 22 10:00 this month"),
    "last month": ("last month", "2026-11-22T10:00Z", "30 22:00 – 31 23:00 last month"),
    "the month before January": ("last month", "2026-01-31T10:00Z", "30 23:00 – 31 23:00 last month"),
    "a day of 25 hours": ("yesterday", "2026-10-26T10:00Z", "24 22:00 – 25 23:00 yesterday"),
    "a day of 23 hours": ("yesterday", "2026-03-30T10:00Z", "28 23:00 – 29 22:00 yesterday"),
    "in capitals, with spaces": ("  Last   WEEK ", "2026-11-22T10:00Z", "08 23:00 – 15 23:00 last week"),
}


@pytest.mark.parametrize(("time_range", "now", "window"), NAMED.values(), ids=NAMED.keys())
def test_a_window_is_what_people_mean_by_its_name(time_range, now, window):
    assert told(time_range, now) == window


def test_a_day_that_has_no_midnight_begins_with_its_first_moment():
    # On 2018-11-04 the clocks of São Paulo went from 23:59:59 to 01:00, which was 03:00 UTC.
    assert told("today", "2018-11-04T12:00Z", ZoneInfo("America/Sao_Paulo")) == "04 03:00 – 04 12:00 today"


@patiently
@given(MOMENTS, ZONES)
def test_windows_follow_one_another_without_a_gap_and_none_reaches_into_the_future(now, zone):
    found = {time_range: window_of(time_range, now, zone) for time_range in Calendar}
    for past, present in (
        (Calendar.YESTERDAY, Calendar.TODAY),
        (Calendar.LAST_WEEK, Calendar.THIS_WEEK),
        (Calendar.LAST_MONTH, Calendar.THIS_MONTH),
    ):
        assert found[past].end == found[present].start
        # A day may have no moment at all: Samoa went from 29 to 31 December 2011.
        assert found[past].start <= found[past].end <= now == found[present].end
    assert all(window.start.tzinfo is window.end.tzinfo is UTC for window in found.values())


MISTAKES = {
    "soon": ("expected a duration such as 15m or one of today, yesterday", '"soon"'),
    "0h": ("longer than 0 seconds",),
    "99999d": ("ten years long at most", "99999d"),
    "9999999999d": ("ten years long at most",),
    "": ("expected a duration",),
    "last year": ("or one of today",),
}


@pytest.mark.parametrize(("text", "parts"), MISTAKES.items())
def test_what_is_no_window_is_told_in_a_sentence(text, parts):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_time_range(text)
    for part in parts:
        assert part in str(caught.value)


TAKEN = {
    "support-chat 1h": (timedelta(hours=1), ["support-chat"]),
    "support-chat last week": (Calendar.LAST_WEEK, ["support-chat"]),
    "last week": (Calendar.LAST_WEEK, []),
    "last today": (Calendar.TODAY, ["last"]),
    "support-chat": (None, ["support-chat"]),
    "week": (None, ["week"]),
    "1h support-chat": (None, ["1h", "support-chat"]),
    "": (None, []),
}


@pytest.mark.parametrize(("typed", "taken"), TAKEN.items())
def test_the_last_words_are_the_window_if_they_name_one(typed, taken):
    assert take_time_range(typed.split()) == taken


def test_a_name_in_quotation_marks_is_one_word():
    assert take_time_range(["support-chat", "this month"]) == (Calendar.THIS_MONTH, ["support-chat"])
