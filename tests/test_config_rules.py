"""Rules as they are written, and the domain's rules that they make."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.config import DEFAULT_RULES, parse_rules, read_yaml
from alertbot.domain.rules import (
    Absence,
    Budget,
    Burn,
    Comparison,
    Levels,
    Period,
    Rate,
    Ratio,
    Rule,
    Selector,
    Severity,
    Spike,
    Threshold,
)
from alertbot.errors import ConfigError

HOUR = timedelta(hours=1)
WARNING, CRITICAL, INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO


def rule(keys: str) -> Rule:
    (one,) = parse_rules(read_yaml(f"[{{name: r, {keys}}}]", origin="test"))
    return one


def told(keys: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        rule(keys)
    return tuple(raised.value.lines)


def levels(comparison: Comparison, *thresholds: tuple[Severity, int | Fraction], clear: int | None = None) -> Levels:
    named = tuple((severity, Fraction(number)) for severity, number in thresholds)
    return Levels(comparison, named, None if clear is None else Fraction(clear))


@pytest.mark.parametrize(
    ("keys", "condition"),
    [
        ("metric: tokens, window: 1h, above: 5", Threshold("tokens", HOUR, levels(Comparison.ABOVE, (WARNING, 5)))),
        ("metric: Violations, window: 1h, above: 5", Threshold("policy_violations", HOUR, levels(Comparison.ABOVE, (WARNING, 5)))),
        (
            "type: threshold, metric: latency_ms, window: 1h, at_least: 5, severity: critical, clear: 3",
            Threshold("latency_ms", HOUR, levels(Comparison.AT_LEAST, (CRITICAL, 5), clear=3)),
        ),
        (
            "metric: tokens, window: 1h, below: {critical: 2, info: 9, warning: 5}, clear: 9",
            Threshold("tokens", HOUR, levels(Comparison.BELOW, (INFO, 9), (WARNING, 5), (CRITICAL, 2), clear=9)),
        ),
        ("metric: size_change_bytes, window: 1h, at_most: -5", Threshold("size_change_bytes", HOUR, levels(Comparison.AT_MOST, (WARNING, -5)))),
        (
            "type: rate, metric: tokens, window: 1h, above: 0.5, per_unit: hour",
            Rate("tokens", HOUR, HOUR, levels(Comparison.ABOVE, (WARNING, Fraction(1, 2)))),
        ),
        (
            "type: rate, metric: tokens, window: 1h, above: 1",
            Rate("tokens", HOUR, timedelta(minutes=1), levels(Comparison.ABOVE, (WARNING, 1))),
        ),
        (
            "type: ratio, metric: policy_blocks, of: api_calls, window: 1h, min_of: 50, above: {warning: 2%, critical: 0.1}",
            Ratio("policy_blocks", "api_calls", HOUR, 50, levels(Comparison.ABOVE, (WARNING, Fraction(1, 50)), (CRITICAL, Fraction(1, 10)))),
        ),
        (
            "type: spike, metric: tokens, window: 1h, baseline: 24h, factor: {warning: 3, critical: 10}, at_least: 100",
            Spike("tokens", HOUR, levels(Comparison.AT_LEAST, (WARNING, 3), (CRITICAL, 10)), 100, timedelta(hours=24), None),
        ),
        (
            "type: spike, metric: tokens, window: 1h, same_hour: 7, factor: 3, severity: critical",
            Spike("tokens", HOUR, levels(Comparison.AT_LEAST, (CRITICAL, 3)), 1, None, 7),
        ),
        (
            "type: budget, metric: spend_usd, amount: 99.90, period: week, week_starts: Sunday, timezone: Europe/Madrid, at: 90%, forecast: true",
            Budget("spend_usd", Fraction("99.9"), Period.WEEK, levels(Comparison.AT_LEAST, (WARNING, 90)), "Europe/Madrid", 6, forecast=True),
        ),
        (
            "type: budget, metric: tokens, amount: 5e7, period: day",
            Budget("tokens", Fraction(50_000_000), Period.DAY, levels(Comparison.AT_LEAST, (WARNING, 80), (CRITICAL, 100))),
        ),
        (
            "type: burn, metric: tokens, amount: 1_000, period: 30d, windows: [1h, 5m], factor: {warning: 6, critical: 14.4}",
            Burn("tokens", (HOUR, timedelta(minutes=5)), Fraction(1000), timedelta(days=30), levels(Comparison.ABOVE, (WARNING, 6), (CRITICAL, Fraction(72, 5)))),
        ),
        ("type: absence, metric: tokens, window: 1h, severity: critical", Absence("tokens", HOUR, CRITICAL)),
        ("type: absence, for: 1h", Absence(None, HOUR, WARNING)),
    ],
)  # fmt: skip
def test_each_type_makes_its_condition(keys, condition):
    assert rule(keys).condition == condition


def test_what_every_rule_may_say():
    one = rule(
        'metric: tokens, window: 1h, above: 5, per: model, where: {ai_llm: ["support-*", a], source: acme}, for: 5m, '
        "keep_firing: 10m, labels: {team: support, tier: 1}, description: why, enabled: false"
    )
    assert one == Rule(
        name="r",
        condition=Threshold("tokens", HOUR, levels(Comparison.ABOVE, (WARNING, 5))),
        per="model",
        where=Selector((("ai_llm", ("support-*", "a")), ("source", ("acme",)))),
        hold=timedelta(minutes=5),
        keep_firing=timedelta(minutes=10),
        labels={"team": "support", "tier": "1"},
        description="why",
        enabled=False,
    )


@pytest.mark.parametrize(
    ("keys", "per"),
    [
        ("metric: tokens, window: 1h, above: 5", "ai_llm"),
        ("metric: latency_ms, window: 1h, above: 5", "ai_llm"),
        ("metric: upload_bytes, window: 1h, above: 5", "source"),
        ("type: absence, for: 1h", "source"),
        ("metric: tokens, window: 1h, above: 5, per: all", "all"),
        ("metric: policy_violations, window: 1h, above: 5, per: user", "user"),
        ("metric: upload_bytes, window: 1h, above: 5, per: repo", "repo"),
    ],
)
def test_a_rule_is_judged_per_configuration_unless_it_says_otherwise(keys, per):
    assert rule(keys).per == per


def test_the_time_of_an_absence_of_readings_is_not_waited_for_twice():
    assert rule("type: absence, for: 1h").hold == timedelta(0)
    assert rule("type: absence, metric: tokens, window: 1h, for: 5m").hold == timedelta(minutes=5)


@given(st.decimals(min_value=0, max_value=10**30, allow_nan=False, allow_infinity=False, places=6))
def test_numbers_are_read_exactly(number):
    written = format(number, "f")
    threshold = rule(f"metric: tokens, window: 1h, above: {written}").condition.levels.mildest[1]  # type: ignore[union-attr]
    assert threshold == Fraction(Decimal(written))


def test_a_number_is_never_a_binary_float():
    assert rule("metric: tokens, window: 1h, above: 0.1").condition.levels.mildest[1] == Fraction(1, 10)  # type: ignore[union-attr]
    huge = rule("metric: tokens, window: 1h, above: 9007199254740993").condition.levels.mildest[1]  # type: ignore[union-attr]
    assert huge == 9007199254740993


@given(
    st.lists(st.integers(1, 1000), min_size=2, max_size=3),
    st.sampled_from(["above", "at_least", "below", "at_most"]),
)
def test_levels_are_taken_only_if_the_worse_is_further_out(numbers, comparison):
    names = [severity.value for severity in Severity][-len(numbers) :]
    written = ", ".join(f"{name}: {number}" for name, number in zip(names, numbers, strict=True))
    keys = f"metric: tokens, window: 1h, {comparison}: {{{written}}}"
    outward = numbers if comparison in {"above", "at_least"} else numbers[::-1]
    if outward == sorted(set(outward)):
        assert [number for _, number in rule(keys).condition.levels.thresholds] == numbers  # type: ignore[union-attr]
    else:
        assert all(line.startswith(f"rules[0].{comparison}.") for line in told(keys))


def test_rules_are_read_from_plain_values_of_another_reader_too():
    (one, two) = parse_rules(
        [
            {
                "name": "a",
                "metric": "tokens",
                "window": "1h",
                "above": {"warning": 5, "critical": 0.25e2},
                "enabled": True,
            },
            {"name": "b", "metric": "tokens", "window": "1h", "above": 0.1},
        ],
        "rules",
    )
    assert one.condition == Threshold("tokens", HOUR, levels(Comparison.ABOVE, (WARNING, 5), (CRITICAL, 25)))
    assert two.condition == Threshold("tokens", HOUR, levels(Comparison.ABOVE, (WARNING, Fraction(1, 10))))


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("rules", ('tests[0].rules: expected a list of rules, got "rules"',)),
        (None, ("tests[0].rules: expected a list of rules, got nothing",)),
        ([{"name": "a"}, 5], None),
    ],
)
def test_mistakes_stand_below_the_place_that_is_given(value, lines):
    with pytest.raises(ConfigError) as raised:
        parse_rules(value, "tests[0].rules")
    assert lines is None or raised.value.lines == list(lines)
    assert all(line.startswith("tests[0].rules") for line in raised.value.lines)


def test_an_empty_list_of_rules_is_a_list_of_rules():
    assert parse_rules([]) == ()


def test_a_severity_beside_levels_is_told_once_and_a_comparison_that_is_left_empty_does_not_count():
    assert rule("metric: tokens, window: 1h, above: 5, at_least: , below: ''").condition == Threshold(
        "tokens", HOUR, levels(Comparison.ABOVE, (WARNING, 5))
    )
    assert told("metric: tokens, window: 1h, above: {warning: 5}, severity: info") == (
        'rules[0].severity: expected no severity beside levels, which name their own, got "info"',
    )


def test_the_default_rules_are_few_and_each_says_what_it_is_for():
    assert [rule.name for rule in DEFAULT_RULES] == [
        "violation-burst",
        "block-jump",
        "policy-alert-spike",
        "token-spike",
    ]
    assert all(rule.description and rule.per == "ai_llm" and rule.enabled for rule in DEFAULT_RULES)
