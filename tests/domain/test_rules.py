"""Rules as values: levels, selections, and what a rule is called by people."""

from fractions import Fraction

import pytest

from alertbot.domain.rules import (
    EVERYTHING,
    KINDS,
    Absence,
    Budget,
    Burn,
    Comparison,
    Condition,
    Period,
    Rate,
    Ratio,
    Selector,
    Severity,
    Spike,
    glob,
)
from tests.builders import levels, minutes, only, rule, threshold

INFO, WARNING, CRITICAL = Severity
HIGH = levels(Comparison.ABOVE, {"warning": 5, "critical": 20})
CONDITIONS: dict[str, Condition] = {
    "threshold": threshold(window="15m", above=5),
    "rate": Rate("tokens", minutes(10), minutes(60), HIGH),
    "ratio": Ratio("policy_blocks", "api_calls", minutes(10), 1, HIGH),
    "spike": Spike("policy_alerts", minutes(10), HIGH, 1, minutes(60)),
    "budget": Budget("llm_tokens", Fraction(9), Period.MONTH, HIGH),
    "burn": Burn("tokens_in", (minutes(60), minutes(5)), Fraction(9), minutes(30 * 24 * 60), HIGH),
    "absence": Absence("api_calls", minutes(10), WARNING),
}


def test_severities_are_ranked():
    assert INFO.rank < WARNING.rank < CRITICAL.rank


@pytest.mark.parametrize("comparison", Comparison)
@pytest.mark.parametrize("limit", [Fraction(5), Fraction(11, 2)])
def test_comparisons_and_levels_agree_with_arithmetic(comparison: Comparison, limit: Fraction):
    single = levels(comparison, {"warning": str(limit)})
    for value in (4, 5, 6, Fraction(11, 2), Fraction(21, 4)):
        expected = {
            Comparison.ABOVE: value > limit,
            Comparison.AT_LEAST: value >= limit,
            Comparison.BELOW: value < limit,
            Comparison.AT_MOST: value <= limit,
        }[comparison]
        assert comparison.holds(value, limit) is expected
        assert single.judge(value) == ((WARNING, limit) if expected else None)
        assert single.stays(value) is expected
    assert comparison.is_upper_bound is (comparison in {Comparison.ABOVE, Comparison.AT_LEAST})


def test_the_highest_level_that_is_true_is_judged_and_the_mildest_is_known():
    warning, critical = (WARNING, Fraction(5)), (CRITICAL, Fraction(20))
    assert [HIGH.judge(value) for value in (5, 6, 20, 21)] == [None, warning, warning, critical]
    assert HIGH.mildest == warning


@pytest.mark.parametrize(("comparison", "value", "stays"), [("above", 3, True), ("above", 2, False), ("below", 3, True), ("below", 4, False)])  # fmt: skip
def test_clear_replaces_the_comparison_on_the_way_down(comparison: str, value: int, stays: bool):
    assert levels(Comparison(comparison), 3, clear=3).stays(value) is stays


@pytest.mark.parametrize(
    ("where", "selects"),
    [
        pytest.param(EVERYTHING, True, id="nothing named is everything"),
        pytest.param(only(ai_llm="llm-1"), True, id="an id"),
        pytest.param(only(ai_llm="Support *"), True, id="a name, as a glob"),
        pytest.param(only(ai_llm="support *"), False, id="upper and lower case differ"),
        pytest.param(only(ai_llm="llm"), False, id="a glob has to fit the whole text"),
        pytest.param(only(ai_llm="LLM-?"), False, id="of the id, too"),
        pytest.param(only(ai_llm="llm-?", source="acme"), True, id="all dimensions"),
        pytest.param(only(ai_llm="llm-?", source="globex"), False, id="all of them have to fit"),
        pytest.param(Selector((("source", ("globex", "ac*")),)), True, id="one of several globs is enough"),
        pytest.param(only(workspace="Sales"), True, id="the name of another dimension"),
        pytest.param(only(source="Support chat"), False, id="a configuration's name names no source"),
        pytest.param(only(provider="?*"), False, id="a dimension that is not known is empty"),
        pytest.param(only(provider="*"), True, id="which any glob fits"),
    ],
)
def test_what_a_rule_selects(where: Selector, selects: bool):
    labels = {"source": "acme", "ai_llm": "llm-1", "name": "Support chat", "workspace": "w1", "workspace_name": "Sales"}
    assert where.selects(labels) is selects


def test_a_glob_is_no_regular_expression():
    assert glob("a.c").match("abc") is None
    assert glob("a[bx]c").match("abc") is not None
    assert glob("a*c").match("a\nc") is not None


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_rule_knows_its_kind_and_its_identity(kind: str):
    condition = CONDITIONS[kind]
    assert KINDS[type(condition)] == kind
    assert rule(condition, per="source").identity == f"{kind}/{condition.metric}/source"
    assert rule(Absence(None, minutes(5), WARNING)).identity == "absence/readings/ai_llm"


@pytest.mark.parametrize(
    ("kind", "unit", "comparison", "over"),
    [
        ("threshold", "violations", "above", "in 15 min"),
        ("rate", "tokens", "above", "per hour over 10 min"),
        ("ratio", "%", "above", "of calls in 10 min"),
        ("spike", "policy alerts", "above", "in 10 min"),
        ("budget", "tokens", "above", "this month"),
        ("burn", "×", "above", "times the pace of 30 days, over 1 h and 5 min"),
        ("absence", "calls", "at least", "in 10 min"),
    ],
)
def test_a_rule_in_words(kind: str, unit: str, comparison: str, over: str):
    judged = rule(CONDITIONS[kind])
    assert (judged.unit, judged.comparison, judged.over) == (unit, comparison, over)


def test_a_rule_in_words_where_there_are_none_for_its_metric():
    blind = rule(Absence(None, minutes(5), WARNING))
    assert (blind.unit, blind.comparison, blind.over) == ("s", "at least", "since the last good reading")
    assert rule(threshold("severity_high", at_most=5)).unit == "violations of high severity"
    assert rule(threshold("severity_high", at_most=5)).comparison == "at most"
    assert (
        rule(Ratio("policy_blocks", "severity_high", minutes(1), 1, HIGH)).over
        == "of violations of high severity in 1 min"
    )
    units = [rule(Rate("tokens", minutes(1), minutes(unit), HIGH)).over for unit in (1, 24 * 60)]
    assert units == ["per minute over 1 min", "per day over 1 min"]
