"""What of a source is read, each feed for itself: its totals, and its points by minute or day."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.config import SourceConfig
from alertbot.domain.datasets import datasets_of, feed_name
from alertbot.domain.points import Dataset, Resolution
from alertbot.domain.rules import Rule
from alertbot.flashback.reader import PointsReader, SourceReader
from alertbot.flows.collect import FeedPoll

_RESOLUTIONS = {
    "ai_minutes": (Dataset.AI, Resolution.MINUTE),
    "ai_days": (Dataset.AI, Resolution.DAY),
    "storage_minutes": (Dataset.STORAGE, Resolution.MINUTE),
    "storage_days": (Dataset.STORAGE, Resolution.DAY),
}

LEAST_LEASE = timedelta(seconds=2)


def resolutions_of(source: SourceConfig) -> dict[Dataset, frozenset[Resolution]]:
    """The statistics by bucket that a source is read for, by what they count."""
    resolutions: dict[Dataset, frozenset[Resolution]] = {}
    for collected in source.collect:
        if collected in _RESOLUTIONS:
            dataset, resolution = _RESOLUTIONS[collected]
            resolutions[dataset] = resolutions.get(dataset, frozenset()) | {resolution}
    return resolutions


def feed_polls_of(
    source: SourceConfig,
    reader: SourceReader,
    *,
    rules: Sequence[Rule],
    operators: str,
    clock: Callable[[], datetime],
) -> list[FeedPoll]:
    """How each feed of a source is polled. Each of them fails for itself."""
    # How long a claim holds without being renewed: another replica has to be there within two intervals.
    lease = max(source.interval * 1.5, LEAST_LEASE)
    resolutions = resolutions_of(source)
    feed_poll = FeedPoll(source.name, source.interval, lease, operators=operators)
    feed_polls = []
    if "llm_stats" in source.collect:
        feed_polls.append(replace(feed_poll, totals=reader, instead=Dataset.AI in resolutions))
    for dataset, resolutions_read in resolutions.items():
        # What only points can tell is blind without them; the rest goes by the totals.
        needed = (
            any(rule.enabled and datasets_of(rule) == (dataset,) for rule in rules) or "llm_stats" not in source.collect
        )
        points = PointsReader(
            reader.client, dataset=dataset, resolutions=resolutions_read, reread=source.reread, clock=clock
        )
        feed_polls.append(replace(feed_poll, name=feed_name(source.name, dataset), points=points, instead=not needed))
    return feed_polls
