"""Stretches of time as people name them: `90m`, `today`, `last week` → (start, end]."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from alertbot.domain.times import DURATION, OutOfBounds, format_duration, parse_duration


class Calendar(StrEnum):
    """Windows that begin at midnight, on somebody's own calendar. Weeks begin on Monday."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    THIS_WEEK = "this week"
    LAST_WEEK = "last week"
    THIS_MONTH = "this month"
    LAST_MONTH = "last month"


TimeRange = timedelta | Calendar
DAY = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_ALREADY_NOTIFIED = {"last hour": _HOUR, "past hour": _HOUR, "last day": DAY, "past day": DAY}
_LAST = frozenset({"last", "past"})  # `last 2h` is 2h


@dataclass(frozen=True, slots=True)
class Window:
    """The time (start, end], in UTC, and how a sentence goes on with it: "in the last 90 min", "yesterday"."""

    start: datetime
    end: datetime
    name: str

    @property
    def length(self) -> timedelta:
        return self.end - self.start


def parse_time_range(text: str) -> TimeRange:
    """Read a duration such as `90m`, or a name such as `today` or `last week`.

    Raises ValueError with a sentence that says what was expected.
    """
    written = " ".join(text.lower().split())
    if written in set(Calendar):
        return Calendar(written)
    if written in _ALREADY_NOTIFIED:
        return _ALREADY_NOTIFIED[written]
    try:
        time_range = parse_duration(written)
    except OutOfBounds as error:
        raise ValueError(f"the window may be ten years long at most, got {written}") from error
    except ValueError as error:
        named = ", ".join(Calendar)
        raise ValueError(f'{str(error).partition(",")[0]} or one of {named}, got "{text}"') from error
    if not time_range:
        raise ValueError("the window must be longer than 0 seconds")
    return time_range


def take_time_range(words: Sequence[str]) -> tuple[TimeRange | None, list[str]]:
    """The window at the end of what somebody typed, and the words before it; None where the last words name none.

    Raises ValueError for what looks like a duration and is none that could be meant.
    """
    rest = list(words)
    for count in (2, 1):  # "last week" is two words, unless somebody put it in quotation marks
        last = " ".join(rest[-count:]).lower()
        if len(rest) >= count and (last in set(Calendar) or last in _ALREADY_NOTIFIED or DURATION.fullmatch(last)):
            before = rest[:-count]
            said_twice = bool(DURATION.fullmatch(last)) and before[-1:] != [] and before[-1].lower() in _LAST
            return parse_time_range(last), before[:-1] if said_twice else before
    return None, rest


def window_of(time_range: TimeRange, now: datetime, zone: tzinfo) -> Window:
    """The stretch of time that the words mean at this moment, for somebody whose clock shows `zone`."""
    if isinstance(time_range, timedelta):
        return Window(
            now - time_range, now, f"in the last {'24 h' if time_range == DAY else format_duration(time_range)}"
        )
    today = now.astimezone(zone).date()
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    starts = {
        Calendar.TODAY: today,
        Calendar.YESTERDAY: today - timedelta(days=1),
        Calendar.THIS_WEEK: monday,
        Calendar.LAST_WEEK: monday - timedelta(days=7),
        Calendar.THIS_MONTH: first,
        Calendar.LAST_MONTH: (first - timedelta(days=1)).replace(day=1),
    }
    ends = {Calendar.YESTERDAY: today, Calendar.LAST_WEEK: monday, Calendar.LAST_MONTH: first}
    end = _midnight(ends[time_range], zone) if time_range in ends else now
    return Window(_midnight(starts[time_range], zone), end, time_range.value)


def tomorrow_at_nine(now: datetime, zone: tzinfo) -> datetime:
    """9:00 tomorrow, for somebody whose clock shows `zone`."""
    day = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(day, time(9), zone).astimezone(UTC)


def _midnight(day: date, zone: tzinfo) -> datetime:
    """When the day began: where the clocks were changed at midnight, its first moment."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
