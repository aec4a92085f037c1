"""The catalogue of metrics: no word means two of them, and everything that they are made of is stored somewhere."""

from alertbot.domain.metrics import DIMENSIONS, METRICS, TOTALS, counted_metric, parts_of
from alertbot.domain.points import AMOUNTS, SPEND, Dataset
from alertbot.domain.snapshots import Counter


def test_no_word_means_two_metrics():
    words = [word for metric in METRICS.values() for word in (metric.name, *metric.aliases)]
    assert len(words) == len(set(words))
    assert {counted_metric(word.upper()) for word in words} == METRICS.keys()


def test_every_part_of_a_metric_is_stored_in_each_dataset_that_has_it():
    stored = {Dataset.TOTALS: {counter.value for counter in Counter}, **AMOUNTS}
    for metric in METRICS.values():
        for dataset in metric.datasets:
            assert metric.name == SPEND or set(metric.parts) <= set(stored[dataset]), metric.name


def test_totals_know_no_users_and_storage_knows_no_models():
    assert all(METRICS[name].datasets_with(("user",)) == (Dataset.AI,) for name in TOTALS)
    assert all(METRICS[name].datasets_with(("ai_llm", "provider")) == (Dataset.TOTALS, Dataset.AI) for name in TOTALS)
    assert METRICS["upload_bytes"].dimensions == ("source", "repo", "host")
    assert METRICS["latency_ms"].dimensions == DIMENSIONS
    assert parts_of("tokens") == ("tokens_in", "tokens_out")
