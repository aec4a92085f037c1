"""How metrics are written, and what a source must collect for each."""

from collections.abc import Iterable
from typing import Any

from alertbot.config.mistakes import Mismatch
from alertbot.config.values import ValueType, choice, or_variable
from alertbot.domain.metrics import MEANS, METRICS, metric_called
from alertbot.domain.points import Dataset

_CHOICE = choice("a metric", METRICS)


def _metric(text: str) -> str:
    return metric_called(text) or str(_CHOICE.parse(text))


def _counted(text: str) -> str:
    metric = _metric(text)
    if metric in MEANS:
        raise Mismatch(f"a metric that is counted ({text} is a mean, which only threshold rules can judge)")
    return metric


def _schema(names: Iterable[str]) -> dict[str, Any]:
    return or_variable({"enum": [word for name in names for word in (name, *METRICS[name].aliases)]})


METRIC = ValueType("a metric", _metric, str, _schema(METRICS))
COUNTED = ValueType("a metric", _counted, str, _schema(name for name in METRICS if name not in MEANS))

_COLLECTORS = {
    Dataset.TOTALS: ("llm_stats",),
    Dataset.AI: ("ai_minutes", "ai_days"),
    Dataset.STORAGE: ("storage_minutes", "storage_days"),
}
POINTS = frozenset({*_COLLECTORS[Dataset.AI], *_COLLECTORS[Dataset.STORAGE]})


def collectors_of(metric: str, dimensions: Iterable[str]) -> tuple[str, ...]:
    """What a source may collect, any one of these, so that the metric is known by these dimensions."""
    able = METRICS[metric].datasets_with(tuple(dimensions))
    return tuple(name for dataset, names in _COLLECTORS.items() if dataset in able for name in names)
