"""Durations, moments and whole numbers as people write and read them, each within bounds that calendars and databases have."""

import re
from datetime import UTC, datetime, timedelta

LONGEST = timedelta(days=3653)  # ten years: nothing is kept for longer, and a slip must not lead out of the calendar
_FIRST_YEAR, _LAST_YEAR = 1970, 9000  # ten years before and after there is still a calendar
_LARGEST_COUNT = 2**63 - 1  # a whole number of both databases
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
DURATION = re.compile(r"(?:[0-9]{1,99}[smhdwy])+")  # the short form: `15m`, `1h30m`

_SPELLED = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), "y"),
}
_NUMERALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {"a": "1", "an": "1", **{name: str(number) for number, name in enumerate(_NUMERALS, start=1)}}
_PART = re.compile(
    rf"(?:and )?([0-9]{{1,9}}|\b(?:{'|'.join(_NUMBERS)})\b) ?({'|'.join(sorted(_SPELLED, key=len, reverse=True))})(?![a-z])(?:, | )?"
    rf"|([0-9]{{1,9}})([smhdwy])(?=[0-9])"
)


def short_form(text: str) -> str:
    """`1 hour 30 minutes` as `1h30m`, `two hours` as `2h`: the largest unit first. Another text stays as it is."""
    spelled = " ".join(text.lower().split()).replace("half an hour", "30 minutes")
    parts, place = [], 0
    while place < len(spelled):
        part = _PART.match(spelled, place)
        if part is None:
            return text
        number, unit = part[1] or part[3], _SPELLED[part[2] or part[4]]
        parts.append((_NUMBERS.get(number, number), unit))
        place = part.end()
    sizes = [_UNITS[unit] for _, unit in parts]
    return "".join(map("".join, parts)) if sizes == sorted(set(sizes), reverse=True) else text


class OutOfBounds(ValueError):
    """It was well written, and is more than anybody can mean."""


def parse_duration(text: str) -> timedelta:
    """Read `30s`, `15m`, `4h`, `7d`, `2w`, `1y`, a sum such as `1h30m`, or words such as `1 hour 30 minutes`.

    A year has 365 days; ten years is the most.
    Raises ValueError with a sentence that says what was expected; OutOfBounds for a longer one.
    """
    written = short_form(text.strip())
    if not DURATION.fullmatch(written):
        raise ValueError(f'expected a duration such as 15m, got "{quotable(text)}"')
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhdwy])", written))
    if seconds > LONGEST.total_seconds():
        raise OutOfBounds(f'expected a duration such as 15m, of ten years at most, got "{quotable(text)}"')
    return timedelta(seconds=seconds)


def parse_moment(text: str) -> datetime:
    """Read a moment in ISO 8601, such as `2026-11-22T10:05Z`, from 1970 to 9000. One without an offset is in UTC.

    Raises ValueError with a sentence that says what was expected; OutOfBounds for another year.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the latter: year 1 or 9999, pushed over the edge by its offset
        raise ValueError(f'expected a time such as 2026-11-22T10:05Z, got "{quotable(text)}"') from error
    return bounded_moment(moment)


def bounded_moment(moment: datetime) -> datetime:
    """The moment, where there is a calendar around it. Raises OutOfBounds."""
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise OutOfBounds(f"expected a time from the year {_FIRST_YEAR} to {_LAST_YEAR}, got the year {moment.year}")
    return moment


def parse_count(text: str, *, what: str = "a number", example: str = "3") -> int:
    """Read a whole number of 0 or more, in the digits 0 to 9, that a database can hold.

    Raises ValueError with a sentence that says what was expected.
    """
    written = text.strip()
    # Not isdigit() alone: it takes ², of which int() makes nothing, and int() takes digits of every script.
    if not (written.isascii() and written.isdecimal()) or len(written) > 19 or int(written) > _LARGEST_COUNT:
        raise ValueError(f'expected {what} such as {example}, got "{quotable(text)}"')
    return int(written)


def quotable(text: str) -> str:
    """What somebody wrote, short enough to be said back."""
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:99]}…"


def format_duration_short(duration: timedelta) -> str:
    """The shortest form that `parse_duration` reads back: `90m` is written `1h30m`, `7d` is `7d`."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def count_of(number: int, noun: str) -> str:
    """`1 source`, `2 sources`, `1,200 LLMs`: a count with its noun, which forms its plural with an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_duration(duration: timedelta) -> str:
    """For people, to two units: `58 min`, `2 h 5 min`, `3 days`; from ten minutes on, seconds are not told."""
    seconds = max(0, round(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        counted = f"{days} day" if days == 1 else f"{days} days"
        return f"{counted} {hours} h" if hours else counted
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"


def format_moment(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second where there is no fraction: `2026-01-05T00:04:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
