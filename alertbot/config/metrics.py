"""The metrics that a rule can look at, and the dimensions that each has."""

from collections.abc import Iterable, Mapping

from alertbot.config.mistakes import Mismatch
from alertbot.config.values import ValueType, choice
from alertbot.domain.rules import DIMENSIONS, SUMS

MEANS = ("latency_ms", "storage_latency_ms")
_STORAGE = ("upload_bytes", "download_bytes", "size_change_bytes", "storage_latency_ms")
_ONLY_POINTS = ("severity_low", "severity_medium", "severity_high", "active_conversations", "latency_ms")
# Totals know source, ai_llm, provider and workspace; asked for another dimension, the same metric comes from the
# points.
METRICS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((*SUMS, "spend_usd", *_ONLY_POINTS), DIMENSIONS),
    **dict.fromkeys(_STORAGE, ("source", "repo", "host")),
}
FALLING = "size_change_bytes"  # the one metric that may be negative
METRIC = choice("a metric", METRICS)


def _counted(text: str) -> str:
    if text in MEANS:
        raise Mismatch(f"a metric that is counted ({text} is a mean, which only threshold rules can judge)")
    return str(METRIC.parse(text))


COUNTED = ValueType(
    "a metric", _counted, str, choice("a metric", [name for name in METRICS if name not in MEANS]).schema
)

_TOTALS_KNOW = frozenset({"source", "ai_llm", "provider", "workspace", "all"})
_AI_POINTS = ("ai_minutes", "ai_days")
_STORAGE_POINTS = ("storage_minutes", "storage_days")
POINTS = frozenset({*_AI_POINTS, *_STORAGE_POINTS})


def collectors_of(metric: str, dimensions: Iterable[str]) -> tuple[str, ...]:
    """What a source may collect, any one of these, so that the metric is known by these dimensions."""
    if metric in _STORAGE:
        return _STORAGE_POINTS
    if metric in _ONLY_POINTS or not _TOTALS_KNOW.issuperset(dimensions):
        return _AI_POINTS
    return ("llm_stats", *_AI_POINTS)
