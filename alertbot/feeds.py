"""What of a source is read, each feed for itself: its totals, and its points by minute or day."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alertbot.config import Source
from alertbot.domain.planes import feed_name, planes_of
from alertbot.domain.points import Plane, Span
from alertbot.domain.rules import Rule
from alertbot.flashback.reader import PointsReader, SourceReader
from alertbot.flows.collect import Polling

_SPANS = {
    "ai_minutes": (Plane.AI, Span.MINUTE),
    "ai_days": (Plane.AI, Span.DAY),
    "storage_minutes": (Plane.STORAGE, Span.MINUTE),
    "storage_days": (Plane.STORAGE, Span.DAY),
}

LEAST_LEASE = timedelta(seconds=2)


def spans_of(source: Source) -> dict[Plane, frozenset[Span]]:
    """The statistics by bucket that a source is read for, by what they count."""
    found: dict[Plane, frozenset[Span]] = {}
    for collected in source.collect:
        if collected in _SPANS:
            plane, span = _SPANS[collected]
            found[plane] = found.get(plane, frozenset()) | {span}
    return found


def pollings_of(
    source: Source,
    reader: SourceReader,
    *,
    rules: Sequence[Rule],
    operators: str,
    clock: Callable[[], datetime],
) -> list[Polling]:
    """How each feed of a source is polled. Each of them fails for itself."""
    # How long a claim holds without being renewed: another replica has to be there within two intervals.
    lease = max(source.interval * 1.5, LEAST_LEASE)
    spans = spans_of(source)
    polling = Polling(source.name, source.interval, lease, operators=operators)
    found = []
    if "llm_stats" in source.collect:
        found.append(replace(polling, totals=reader, instead=Plane.AI in spans))
    for plane, mine in spans.items():
        # What only points can tell is blind without them; the rest goes by the totals.
        needed = (
            any(rule.enabled and planes_of(rule) == (plane,) for rule in rules) or "llm_stats" not in source.collect
        )
        points = PointsReader(reader.client, plane=plane, spans=mine, reread=source.reread, clock=clock)
        found.append(replace(polling, name=feed_name(source.name, plane), points=points, instead=not needed))
    return found
