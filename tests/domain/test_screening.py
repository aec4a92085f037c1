"""Columns screen, the plain definition judges: nothing that is true is ever screened out, at any size and for any rule."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from alertbot.domain.columns import Column, as_array, growth
from alertbot.domain.findings import Finding, Verdict, check, check_some, moments
from alertbot.domain.history import Members
from alertbot.domain.rules import KINDS, Comparison, Condition, Levels, Rule, Severity, Threshold
from alertbot.domain.screening import may_hold
from alertbot.domain.times import parse_duration
from tests.builders import (
    START,
    absence,
    at,
    budget,
    burn,
    minutes,
    rate,
    ratio,
    readings,
    rule,
    spike,
    threshold,
)

LLMS = ("acme/a-1", "acme/a-2", "acme/b-1")
POLLS = 12
bases = st.sampled_from([0, 0, 0, 1, 7, 2**53 - 1, 2**60 - 1, 2**63 - 2, 10**25])
factors = st.sampled_from(["1", "2", "3", "1/3", "7/2"])
bounds = st.sampled_from(["1", "2", "3", "5", "10", "1/3", "21/2"])
windows = st.sampled_from(["1m", "2m", "3m", "5m"])
comparisons = st.sampled_from(["above", "at_least", "below", "at_most"])
growths = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5])


@st.composite
def counters(draw: st.DrawFn) -> str:
    """What one counter did: it grew, and at times was reset, absent or unsaid."""
    total, words = draw(bases), []
    for grown in draw(st.lists(growths, min_size=POLLS, max_size=POLLS)):
        total += grown
        words.append(str(total))
    if draw(st.booleans()):
        words[draw(st.integers(0, POLLS - 1))] = draw(st.sampled_from(["0", "2", "-", "?"]))
    return " ".join(words)


def levels(comparison: str, bound: str) -> Levels:
    return Levels(Comparison(comparison), ((Severity.WARNING, Fraction(bound)),))


Draw = st.DrawFn
CONDITIONS: dict[str, Callable[[Draw], Condition]] = {
    "threshold": lambda draw: Threshold(
        "policy_violations", parse_duration(draw(windows)), levels(draw(comparisons), draw(bounds))
    ),
    "tokens": lambda draw: replace(threshold(window=draw(windows), above={"warning": draw(bounds)}), metric="tokens"),
    "rate": lambda draw: rate(float(Fraction(draw(bounds))), window=draw(windows), comparison=draw(comparisons)),
    "ratio": lambda draw: ratio(
        draw(bounds), window=draw(windows), min_of=draw(st.integers(1, 4)), comparison=draw(comparisons)
    ),
    "spike": lambda draw: spike(
        draw(factors), window="1m", baseline=draw(st.sampled_from(["4m", "8m"])), at_least=draw(st.integers(1, 3))
    ),
    "spike of days": lambda draw: spike(draw(factors), window="1m", same_hour=1, at_least=draw(st.integers(1, 3))),
    "budget": lambda draw: budget(amount=draw(st.sampled_from([1, 3, 10, 20]))),
    "forecast": lambda draw: budget(amount=draw(st.sampled_from([2, 20, 60, 100])), forecast=True),
    "burn": lambda draw: burn(draw(factors)),
    "absence": lambda draw: absence(window=draw(windows)),
}


@st.composite
def rules(draw: Draw, kind: str) -> Rule:
    return rule(CONDITIONS[kind](draw), per=draw(st.sampled_from(["ai_llm", "provider", "source", "all"])))


def _telling(findings: list[Finding], keys: list[str]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is Verdict.TRUE or finding.series.key in keys]


@pytest.mark.parametrize("kind", CONDITIONS)
@settings(max_examples=40, deadline=None)  # of each kind; each judges ten readings
@given(st.data())
def test_the_findings_that_can_change_an_alert_are_those_of_the_plain_definition(
    kind: str, data: st.DataObject
) -> None:
    judged = data.draw(rules(kind))
    names = ("policy_violations", "api_calls") if kind == "ratio" else ("policy_violations",)
    names = ("tokens_in", "tokens_out") if kind == "tokens" else names
    # Seen a day later as well, where the same hour of the day before is what a spike is held against.
    interval = minutes(1) if kind != "spike of days" else minutes(12 * 60)
    polled = readings({llm: {name: data.draw(counters()) for name in names} for llm in LLMS}, interval=interval)
    for turn in range(2, POLLS):
        now = START + turn * interval
        history = polled.history(now, *moments(judged, polled.history(now), now))
        plain = check(judged, history, now)
        keys = [finding.series.key for finding in plain[:1]]
        assert _telling(check_some(judged, history, now, keys=keys), keys) == _telling(plain, keys)


def test_every_type_of_rule_is_held_against_the_plain_definition() -> None:
    drawn = {type(find(rules(kind), lambda _: True).condition) for kind in CONDITIONS}
    assert drawn == set(KINDS)


def test_what_is_quiet_is_screened_out() -> None:
    polled = readings(
        {llm: {"policy_violations": "0+1x9"} for llm in LLMS} | {"acme/a-1": {"policy_violations": "0x8 90"}}
    )
    now = at(9)
    history = polled.history(now, now, at(0))
    judged = rule(threshold(window="9m", above=50))
    series = Members.of(history.members).series(judged.per, judged.where)
    assert may_hold(judged, history, series, now).tolist() == [True, False, False]


@pytest.mark.parametrize("amounts", [[1, 2, 3], [0, 2**62], [2**63, 5], [10**25, 0], [-5, 2**60]])
def test_a_column_is_exact_at_any_size(amounts: list[int]) -> None:
    column = Column.of(dict(enumerate(amounts)))
    assert dict(column) == dict(enumerate(amounts))
    assert all(type(amount) is int for amount in column.values())
    grown = growth([Column.of({0: 0})], [column])
    assert dict(grown) == dict(enumerate(amounts))


def test_money_is_a_fraction_of_a_dollar_and_never_a_float() -> None:
    tokens = Column.of({1: 3, 2: 2**60})
    money = Column(tokens.rows, as_array([3, 2**60]), tokens.known, scale=3_000_000)
    assert dict(money) == {1: Fraction(1, 1_000_000), 2: Fraction(2**60, 3_000_000)}
    assert dict(growth([Column.of({})], [money])) == dict(money)


def test_a_member_that_is_not_known_is_not_in_a_column() -> None:
    known = Column.of({4: 7, 2: 1})
    partly = Column.from_optional(known.rows, [None, 5])
    assert dict(partly) == {2: 5}
    assert dict(growth([known], [partly])) == {2: 4}
    assert dict(growth([partly], [known])) == {4: 7, 2: -4}
