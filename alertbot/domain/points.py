"""Points: amounts within a bucket of time, by dimensions that the totals do not have.

A bucket that is read again replaces what was known of it. Amounts add up over buckets, also where they can be negative
(`size_change_bytes`); a mean such as the latency is kept as a sum and what it is a mean of, as only so it can be combined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from alertbot.domain.snapshots import Counter

OTHER = "(other)"  # stands for the values of a dimension that were too many to be kept apart
MOST_LABEL_SETS = 5000  # of one feed; a bot that keeps every user of every host would fill its disk and see nothing


class Dataset(StrEnum):
    """What the numbers of a rule are taken from: running totals, or amounts per bucket of AI use or of storage."""

    TOTALS = "totals"
    AI = "ai"
    STORAGE = "storage"


class Resolution(StrEnum):
    """How long a bucket is. Flashback has minutes and days; hours, and days of minutes, are our own sums of them."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        return _LENGTHS[self]


_LENGTHS = {
    Resolution.MINUTE: timedelta(minutes=1),
    Resolution.HOUR: timedelta(hours=1),
    Resolution.DAY: timedelta(days=1),
}

AI_AMOUNTS: tuple[str, ...] = (
    *(counter.value for counter in Counter),
    "severity_low",
    "severity_medium",
    "severity_high",
    "active_conversations",
    "latency_us",  # the mean of each point times its calls, in microseconds
)
STORAGE_AMOUNTS: tuple[str, ...] = (
    "upload_bytes",
    "download_bytes",
    "size_change_bytes",
    "storage_latency_us",  # the sum of the points' means, in microseconds
    "storage_points",
)
AMOUNTS: Mapping[Dataset, tuple[str, ...]] = {Dataset.AI: AI_AMOUNTS, Dataset.STORAGE: STORAGE_AMOUNTS}
SPEND = "spend_usd"  # made from tokens and prices, never stored

# In the order in which they are given up where there are too many label sets; whose use it was is always kept.
_GIVEN_UP = ("user", "host", "api_key", "repo", "model", "provider")


@dataclass(frozen=True, slots=True)
class LabelSet:
    """What a point is told apart by; "" where the server did not say. Conversations are not kept."""

    ai_llm: str = ""
    provider: str = ""
    model: str = ""
    repo: str = ""
    api_key: str = ""
    user: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """The amounts of one label set in one bucket, which began at `bucket`. What is not in `amounts` is 0."""

    bucket: datetime
    label_set: LabelSet
    amounts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PointsReading:
    """One successful look at the points of a source: the buckets that began in [start, taken_at]."""

    start: datetime
    taken_at: datetime
    points: tuple[Point, ...]
    resolution: Resolution = Resolution.MINUTE


def merged(points: Iterable[Point], resolution: Resolution) -> list[Point]:
    """One point a bucket and label set: the server tells conversations and buckets of storage apart, which we add up."""
    together: dict[tuple[datetime, LabelSet], dict[str, int]] = {}
    for point in points:
        amounts = together.setdefault((floor(point.bucket, resolution), point.label_set), {})
        for name, amount in point.amounts.items():
            amounts[name] = amounts.get(name, 0) + amount
    return [Point(bucket, label_set, amounts) for (bucket, label_set), amounts in together.items()]


def floor(moment: datetime, resolution: Resolution) -> datetime:
    """When the bucket began that the moment, in UTC, is in."""
    match resolution:
        case Resolution.MINUTE:
            return moment.replace(second=0, microsecond=0)
        case Resolution.HOUR:
            return moment.replace(minute=0, second=0, microsecond=0)
        case Resolution.DAY:
            return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def ceiling(moment: datetime, resolution: Resolution) -> datetime:
    """When the first bucket began that begins at the moment or after it."""
    floored = floor(moment, resolution)
    return floored if floored == moment else floored + resolution.length


def after(moment: datetime, horizon: datetime) -> list[tuple[Resolution, datetime, datetime]]:
    """The buckets that begin at the moment or after it: the rest of its hour's minutes, of its day's hours, and the days to come.

    Each of them from its first to before its last bucket; the days up to `horizon`, which is the beginning of a day. Which
    buckets these are depends on the moment alone: the sum between two moments is the same whatever else is asked. Of
    an hour or day that has fewer minutes or hours than its sum says, the rest counts as of its beginning.
    """
    minute, hour, day = (ceiling(moment, resolution) for resolution in Resolution)
    return [(Resolution.MINUTE, minute, hour), (Resolution.HOUR, hour, day), (Resolution.DAY, day, horizon)]


def within_limit(
    points: Sequence[Point], known: Iterable[LabelSet], *, most: int = MOST_LABEL_SETS
) -> tuple[list[Point], int]:
    """The points with no more than `most` label sets in all, and how many new ones were folded together.

    What is known already keeps its place. What is too much loses its user first, then its host, and so on, until it is
    one that is known or has room; each amount is still counted once.
    """
    kept = set(known)
    places: dict[LabelSet, LabelSet] = {}
    for point in points:
        wanted = point.label_set
        if wanted not in places:
            place = wanted if wanted in kept or len(kept) < most else _folded(wanted, kept)
            kept.add(place)
            places[wanted] = place
    folded = sum(place != wanted for wanted, place in places.items())
    if not folded:
        return list(points), 0
    together = [Point(point.bucket, places[point.label_set], point.amounts) for point in points]
    return merged(together, Resolution.MINUTE), folded


def _folded(wanted: LabelSet, kept: set[LabelSet]) -> LabelSet:
    names = {name: getattr(wanted, name) for name in ("ai_llm", *_GIVEN_UP)}
    for name in _GIVEN_UP:
        names[name] = OTHER
        if (place := LabelSet(**names)) in kept:
            return place
    return place
