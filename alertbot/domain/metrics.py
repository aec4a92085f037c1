"""The metrics: every number that can be watched or asked for, what it is made of, and which datasets have it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from alertbot.domain.points import SPEND, Dataset
from alertbot.domain.snapshots import Counter
from alertbot.domain.suggestions import did_you_mean

DIMENSIONS = ("source", "ai_llm", "provider", "model", "workspace", "repo", "api_key", "user", "host")
_OF_STORAGE = ("source", "repo", "host")
TOTALS_KNOW = frozenset({"source", "ai_llm", "provider", "workspace", "all"})
_BOTH = (Dataset.TOTALS, Dataset.AI)


@dataclass(frozen=True, slots=True)
class Mean:
    """How a metric that is a mean is made: its total, in `scale` parts of its unit, divided by its weight."""

    total: str
    weight: str
    scale: int
    weighed_in: str  # the unit of the weight


@dataclass(frozen=True, slots=True)
class Metric:
    """`unit` follows a number; `parts` are the stored counters that add up to it, of a mean its total and its weight.

    `datasets` have it, the preferred one first. `aliases` are what people may type in place of the name.
    """

    name: str
    unit: str
    parts: tuple[str, ...]
    datasets: tuple[Dataset, ...] = _BOTH
    aliases: tuple[str, ...] = ()
    mean: Mean | None = None
    may_fall: bool = False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """By what it can be looked at."""
        return _OF_STORAGE if self.datasets == (Dataset.STORAGE,) else DIMENSIONS

    def datasets_with(self, dimensions: Collection[str]) -> tuple[Dataset, ...]:
        """The datasets that have it by these dimensions, the preferred one first."""
        knows_all = TOTALS_KNOW.issuperset(dimensions)
        return tuple(dataset for dataset in self.datasets if knows_all or dataset is not Dataset.TOTALS)


def _metric(
    name: str, unit: str, *aliases: str, datasets: tuple[Dataset, ...] = _BOTH, parts: Iterable[str] = ()
) -> Metric:
    return Metric(name, unit, tuple(parts) or (name,), datasets, aliases)


def _mean(name: str, mean: Mean, dataset: Dataset, *aliases: str) -> Metric:
    return Metric(name, "ms", (mean.total, mean.weight), (dataset,), aliases, mean)


_AI, _STORAGE = (Dataset.AI,), (Dataset.STORAGE,)
_LISTED = (
    _metric(Counter.API_CALLS.value, "calls", "calls", "call", "requests"),
    _metric(Counter.TOKENS_IN.value, "tokens"),
    _metric(Counter.TOKENS_OUT.value, "tokens"),
    _metric(Counter.LLM_TOKENS_IN.value, "tokens"),
    _metric(Counter.LLM_TOKENS_OUT.value, "tokens"),
    _metric(Counter.POLICY_VIOLATIONS.value, "violations", "violations", "violation"),
    _metric(Counter.POLICY_ALERTS.value, "policy alerts", "alerts"),
    _metric(Counter.POLICY_BLOCKS.value, "blocks", "blocks", "block", "blocked"),
    _metric("tokens", "tokens", "token", parts=(Counter.TOKENS_IN.value, Counter.TOKENS_OUT.value)),
    _metric("llm_tokens", "tokens", parts=(Counter.LLM_TOKENS_IN.value, Counter.LLM_TOKENS_OUT.value)),
    _metric("severity_low", "violations of low severity", datasets=_AI),
    _metric("severity_medium", "violations of medium severity", datasets=_AI),
    _metric("severity_high", "violations of high severity", datasets=_AI),
    _metric("active_conversations", "conversations", "conversations", datasets=_AI),
    _metric("upload_bytes", "bytes", datasets=_STORAGE),
    _metric("download_bytes", "bytes", datasets=_STORAGE),
    Metric("size_change_bytes", "bytes", ("size_change_bytes",), _STORAGE, may_fall=True),
    # Models have prices, and totals have no models.
    _metric(SPEND, "USD", "spend", "spending", "cost", "costs", "money", "usd", datasets=(Dataset.AI, Dataset.TOTALS)),
    _mean("latency_ms", Mean("latency_us", "api_calls", 1000, "calls"), Dataset.AI, "latency"),
    _mean("storage_latency_ms", Mean("storage_latency_us", "storage_points", 1000, "points"), Dataset.STORAGE),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _LISTED}
MEANS: Mapping[str, Mean] = {metric.name: metric.mean for metric in _LISTED if metric.mean is not None}
# What the totals have: their counters, and the sums of two of them.
TOTALS: tuple[str, ...] = tuple(metric.name for metric in _LISTED if metric.datasets == _BOTH)
_NAMES = {name: metric.name for metric in _LISTED for name in (metric.name, *metric.aliases)}


def metric_called(word: str) -> str | None:
    """The name of the metric that somebody means by its name or an alias such as `violations`, in any letter case."""
    return _NAMES.get(word.lower())


def counted_metric(word: str) -> str:
    """The metric that somebody asks for. Raises ValueError where it is not counted."""
    metric = metric_called(word)
    if metric is None:
        hint = did_you_mean(word, _NAMES) or f"; there are {', '.join(METRICS)}"
        raise ValueError(f'"{word}" is not counted{hint}')
    return metric


def by_what(dimensions: Iterable[str]) -> str:
    """How a sentence says by what a metric is looked at: ` by api key`; empty where the totals know all of it."""
    rare = [name for name in dimensions if name not in TOTALS_KNOW]
    return f" by {rare[0].replace('_', ' ')}" if rare else ""


def unit_of(metric: str) -> str:
    """The unit of a metric; of what is none, such as a part of one, its name."""
    return METRICS[metric].unit if metric in METRICS else metric


def parts_of(metric: str) -> tuple[str, ...]:
    """What has to be looked up for a metric."""
    return METRICS[metric].parts
