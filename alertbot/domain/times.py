"""Durations and moments as people write and read them."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")


def parse_duration(text: str) -> timedelta:
    """Read `30s`, `15m`, `4h`, `7d`, `2w` or a sum such as `1h30m`.

    Raises ValueError with a sentence that says what was expected.
    """
    written = text.strip()
    if not _DURATION.fullmatch(written):
        raise ValueError(f'expected a duration such as 15m, got "{text}"')
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", written))
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f'expected a duration such as 15m, got "{text}", which is too long') from error


def write_duration(duration: timedelta) -> str:
    """The shortest form that `parse_duration` reads back: `90m` is written `1h30m`, `7d` is `7d`."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def tell_duration(duration: timedelta) -> str:
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


def write_moment(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second where there is no fraction: `2026-01-05T00:04:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
