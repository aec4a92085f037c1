"""Which numbers a rule is judged by: the totals, or the points of AI use or of storage. The two are never added.

Totals are exact to the second and survive a gap; points have dimensions, a past from before the first reading, and models
that can be priced. So a rule takes the totals wherever they can answer it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from alertbot.domain.budgets import period_of
from alertbot.domain.history import SourceState
from alertbot.domain.metrics import METRICS
from alertbot.domain.points import Dataset
from alertbot.domain.rules import Budget, Rule, Spike
from alertbot.domain.spikes import looks_back_to

Feeds = Mapping[Dataset, SourceState]


def feed_name(source: str, dataset: Dataset) -> str:
    """What a feed is called where it stands beside the sources: `acme`, `acme/ai`, `acme/storage`."""
    return source if dataset is Dataset.TOTALS else f"{source}/{dataset}"


def feed_of(name: str) -> tuple[str, Dataset]:
    """The source and the dataset of a feed's name."""
    source, _, dataset = name.partition("/")
    return source, Dataset(dataset) if dataset else Dataset.TOTALS


def datasets_of(rule: Rule) -> tuple[Dataset, ...]:
    """The datasets that could answer a rule, the preferred one first. Empty where none could: its metrics do not go together."""
    wanted = [METRICS[metric].datasets_with(rule.dimensions) for metric in rule.metrics]
    if not wanted:
        return (Dataset.TOTALS,)
    return tuple(dataset for dataset in wanted[0] if all(dataset in datasets for datasets in wanted))


def dataset_for(rule: Rule, feeds: Feeds, now: datetime) -> Dataset | None:
    """The dataset that a rule is judged by at a source; None where nothing is collected there that could answer it.

    A budget whose period began before the totals were first read is judged by points, where these reach back further,
    and so is a spike whose baseline did: the first day is complete.
    """
    return _choose(datasets_of(rule), feeds, _looks_back_to(rule, now))


def dataset_of_look_up(metric: str, dimensions: Collection[str], feeds: Feeds, since: datetime) -> Dataset | None:
    """The dataset that tells how a metric has grown since a moment."""
    return _choose(METRICS[metric].datasets_with(dimensions), feeds, since)


def _choose(able: Sequence[Dataset], feeds: Feeds, since: datetime | None) -> Dataset | None:
    there = [dataset for dataset in able if dataset in feeds and not feeds[dataset].missing]
    if not there:
        return next((dataset for dataset in able if dataset in feeds), None)
    totals, points = feeds.get(Dataset.TOTALS), feeds.get(Dataset.AI)
    if there[0] is Dataset.TOTALS and Dataset.AI in there and totals is not None and points is not None:
        begins_late = since is not None and (totals.first_at is None or totals.first_at > since)
        if begins_late and _reaches_further(points, totals):
            return Dataset.AI
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
