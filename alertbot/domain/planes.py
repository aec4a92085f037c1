"""Which numbers a rule is judged by: the totals, or the points of AI use or of storage. The two are never added.

Totals are exact to the second and survive a gap; points have dimensions, a past from before the first reading, and models
that can be priced. So a rule takes the totals wherever they can answer it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from alertbot.domain.budgets import period_of
from alertbot.domain.history import SourceState
from alertbot.domain.points import SPEND, Plane
from alertbot.domain.rules import ONLY_POINTS, STORAGE, Budget, Rule, Spike
from alertbot.domain.spikes import looks_back_to

TOTALS_KNOW = frozenset({"source", "ai_llm", "provider", "workspace", "all"})
Feeds = Mapping[Plane, SourceState]


def feed_name(source: str, plane: Plane) -> str:
    """What a feed is called where it stands beside the sources: `acme`, `acme/ai`, `acme/storage`."""
    return source if plane is Plane.TOTALS else f"{source}/{plane}"


def feed_of(name: str) -> tuple[str, Plane]:
    """The source and the plane of a feed's name."""
    source, _, plane = name.partition("/")
    return source, Plane(plane) if plane else Plane.TOTALS


def planes_of(rule: Rule) -> tuple[Plane, ...]:
    """The planes that could answer a rule, the preferred one first. Empty where none could: its metrics do not go together."""
    wanted = [_planes_of(metric, rule.dimensions) for metric in rule.metrics]
    if not wanted:
        return (Plane.TOTALS,)
    return tuple(plane for plane in wanted[0] if all(plane in planes for planes in wanted))


def _planes_of(metric: str, dimensions: frozenset[str]) -> tuple[Plane, ...]:
    if metric in STORAGE:
        return (Plane.STORAGE,)
    if metric in ONLY_POINTS or not dimensions <= TOTALS_KNOW:
        return (Plane.AI,)
    if metric == SPEND:  # models have prices, totals have no models
        return (Plane.AI, Plane.TOTALS)
    return (Plane.TOTALS, Plane.AI)


def plane_for(rule: Rule, feeds: Feeds, now: datetime) -> Plane | None:
    """The plane that a rule is judged by at a source; None where nothing is collected there that could answer it.

    A budget whose period began before the totals were first read is judged by points, where these reach back further, and
    so is a spike whose baseline did: the first day is complete.
    """
    return _choose(planes_of(rule), feeds, _looks_back_to(rule, now))


def planes_of_look_up(metric: str, dimensions: Collection[str]) -> tuple[Plane, ...]:
    """The planes that could tell how a metric has grown, the preferred one first."""
    return _planes_of(metric, frozenset(dimensions))


def plane_of_look_up(metric: str, dimensions: Collection[str], feeds: Feeds, since: datetime) -> Plane | None:
    """The plane that tells how a metric has grown since a moment."""
    return _choose(planes_of_look_up(metric, dimensions), feeds, since)


def _choose(able: Sequence[Plane], feeds: Feeds, since: datetime | None) -> Plane | None:
    there = [plane for plane in able if plane in feeds and not feeds[plane].missing]
    if not there:
        return next((plane for plane in able if plane in feeds), None)
    totals, points = feeds.get(Plane.TOTALS), feeds.get(Plane.AI)
    if there[0] is Plane.TOTALS and Plane.AI in there and totals is not None and points is not None:
        begins_late = since is not None and (totals.first_at is None or totals.first_at > since)
        if begins_late and _reaches_further(points, totals):
            return Plane.AI
    return there[0]


def _looks_back_to(rule: Rule, now: datetime) -> datetime | None:
    match rule.condition:
        case Budget() as budget:
            return period_of(now, budget)[0]
        case Spike() as spike:
            return looks_back_to(spike, now)
        case _:
            return None


def _reaches_further(points: SourceState, totals: SourceState) -> bool:
    if points.first_at is None or points.read_at is None:
        return False
    return totals.first_at is None or points.first_at < totals.first_at
