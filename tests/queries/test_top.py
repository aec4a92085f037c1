"""Who leads, and how full the budgets are: what people are told is what was counted."""

from dataclasses import replace
from datetime import UTC, timedelta
from fractions import Fraction

import pytest

from alertbot.domain.rankings import Ranking, RankingQuery, parse_ranking_query, ranking_json
from alertbot.domain.rules import Period, Rule, Severity
from alertbot.domain.snapshots import Configuration
from alertbot.domain.usage import Usage, bar, percent, usage_json
from alertbot.domain.windows import Calendar, window_of
from alertbot.queries.budget import budget_usages
from alertbot.queries.top import top_ranking
from alertbot.store.database import Database
from tests.builders import at, budget, minutes, only, rule, threshold
from tests.flows.scene import Scene

HUGE = 2**70


def top(scene: Scene, *words: str, window: float = 1000) -> Ranking:
    question = parse_ranking_query(words)
    resolution = window_of(minutes(window), scene.now, UTC)
    return top_ranking(scene.database, intervals=scene.context.intervals, question=question, window=resolution)


def rows(ranking: Ranking) -> list[str]:
    return [f"{row.rank} {row.key} {row.name} {row.value}" for row in ranking.rows]


def fleet(database: Database) -> Scene:
    """Three configurations of two providers in one source, and one in another."""
    scene = Scene(
        database,
        {
            "acme/llm-1": {"policy_violations": "0 1 2 3", "tokens_in": "0 10 20 30", "tokens_out": "0 1 2 3"},
            "acme/llm-2": {"policy_violations": "5 5 5 15", "tokens_in": "7", "tokens_out": "7"},
            "acme/llm-3": {"policy_violations": "9", "tokens_in": f"0 {HUGE}", "tokens_out": "0"},
            "globex/llm-1": {"policy_violations": "0 0 0 3", "tokens_in": "0 5", "tokens_out": "?"},
        },
    )
    scene.players["acme"].described[0] = (
        Configuration("llm-1", "support-chat", provider="openai", workspace="w-1", workspace_name="Sales"),
        Configuration("llm-2", "code-review", provider="openai"),
        Configuration("llm-3", "docs", provider="anthropic", workspace="w-1", workspace_name="Sales"),
    )
    return scene.until(3)


def test_the_series_that_grew_most_lead_and_equal_ones_are_in_the_order_of_their_names(database):
    assert rows(top(fleet(database))) == [
        "1 acme/llm-2 code-review 10",
        "2 globex/llm-1 llm-1 3",
        "3 acme/llm-1 support-chat 3",
        "4 acme/llm-3 docs 0",
    ]


RANKED = {
    "by source": (("violations", "source"), ["1 acme acme 13", "2 globex globex 3"]),
    "by provider, within a source as rules count": (
        ("provider",),
        [
            "1 acme/provider=openai openai 13",
            "2 globex/provider= without provider 3",
            "3 acme/provider=anthropic anthropic 0",
        ],
    ),
    "by workspace": (
        ("by", "workspace"),
        [
            "1 acme/workspace= without workspace 10",
            "2 acme/workspace=w-1 Sales 3",
            "3 globex/workspace= without workspace 3",
        ],
    ),
    "a sum of two counters, exact at any size, and nothing of what is unknown": (
        ("tokens",),
        [f"1 acme/llm-3 docs {HUGE}", "2 acme/llm-1 support-chat 33", "3 acme/llm-2 code-review 0"],
    ),
}


@pytest.mark.parametrize(("words", "found"), RANKED.values(), ids=RANKED.keys())
def test_every_dimension_and_metric_that_is_counted_can_be_ranked(sqlite, words, found):
    assert rows(top(fleet(sqlite), *words)) == found


def test_only_the_growth_inside_the_window_counts(sqlite):
    scene = fleet(sqlite)
    assert rows(top(scene, window=1))[:2] == ["1 acme/llm-2 code-review 10", "2 globex/llm-1 llm-1 3"]
    question = RankingQuery()
    before = window_of(timedelta(minutes=1), at(2), UTC)
    ranking = top_ranking(scene.database, intervals=scene.context.intervals, question=question, window=before)
    assert [(row.name, row.value) for row in ranking.grown] == [("support-chat", 1)]


def test_what_was_first_seen_after_the_window_is_not_ranked(sqlite):
    scene = Scene(sqlite, {"acme/llm-1": "0 4", "acme/llm-2": "- - - 7"}).until(3)
    early = window_of(timedelta(minutes=2), at(2), UTC)
    ranking = top_ranking(scene.database, intervals=scene.context.intervals, question=RankingQuery(), window=early)
    assert rows(ranking) == ["1 acme/llm-1 llm-1 4"]


def test_nothing_at_all_is_ranked_before_the_first_reading(sqlite):
    scene = Scene(sqlite, "0 1")
    assert top(scene).rows == ()
    assert not top(scene).coverage.is_known


def test_the_ranking_says_from_which_reading_it_counts(sqlite):
    assert top(fleet(sqlite)).coverage.since == at(0)
    assert top(fleet(sqlite), window=1).coverage.since == at(2)


def test_the_json_is_as_the_contract_has_it(sqlite):
    ranking = top(fleet(sqlite), "tokens", window=3)
    assert ranking_json(ranking) == {
        "metric": "tokens",
        "by": "ai_llm",
        "from": "2026-01-05T00:00:00Z",
        "to": "2026-01-05T00:03:00Z",
        "known_since": "2026-01-05T00:00:00Z",
        "not_known": ["globex: tokens are not reported"],
        "rows": [
            {"rank": 1, "key": "acme/llm-3", "name": "docs", "value": HUGE},
            {"rank": 2, "key": "acme/llm-1", "name": "support-chat", "value": 33},
            {"rank": 3, "key": "acme/llm-2", "name": "code-review", "value": 0},
        ],
    }


QUESTIONS = {
    "": RankingQuery(),
    "tokens": RankingQuery("tokens"),
    "violations": RankingQuery("policy_violations"),
    "CALLS": RankingQuery("api_calls"),
    "1h": RankingQuery(time_range=timedelta(hours=1)),
    "tokens today provider": RankingQuery("tokens", "provider", Calendar.TODAY),
    "tokens last week by providers": RankingQuery("tokens", "provider", Calendar.LAST_WEEK),
    "workspace tokens 7d": RankingQuery("tokens", "workspace", timedelta(days=7)),
    "this month": RankingQuery(time_range=Calendar.THIS_MONTH),
    "llm": RankingQuery(by="ai_llm"),
}


@pytest.mark.parametrize(("typed", "question"), QUESTIONS.items())
def test_metric_window_and_dimension_are_understood_in_any_order(typed, question):
    assert parse_ranking_query(typed.split()) == question


UNCOUNTED = {
    "latency_ms": "latency_ms is a mean: it has a chart, and no ranking",
    "moods": '"moods" is not counted; there are api_calls, ',
    "tokens model calls": "one metric, one window and one of ai_llm, source, provider, workspace, model, repo,",
    "tokens 0s": "longer than 0 seconds",
}


@pytest.mark.parametrize(("typed", "told"), UNCOUNTED.items())
def test_what_is_not_counted_is_told_in_a_line(typed, told):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_ranking_query(typed.split())
    assert told in str(caught.value)


# --- budgets


def usages(scene: Scene, *rules: Rule) -> list[Usage]:
    found = rules or scene.context.rules
    budgets = budget_usages(scene.database, rules=found, intervals=scene.context.intervals, now=scene.now)
    return list(budgets.usages)


def in_words(found: list[Usage]) -> list[str]:
    return [f"{one.rule.name} {one.name} {one.used} {percent(one.share)} left {one.left}" for one in found]


HOURLY = replace(rule(budget(Period.HOUR, amount=100)), name="hourly")


def test_a_budget_is_told_for_each_of_its_series_the_fullest_first(database):
    scene = Scene(database, {"acme/llm-1": "0 10", "acme/llm-2": "0 90", "acme/llm-3": "?"}, HOURLY).until(5)
    found = usages(scene)
    assert in_words(found) == [
        "hourly llm-2 90 90 % left 10",
        "hourly llm-1 10 10 % left 90",
        "hourly llm-3 None 0 % left 100",
    ]
    assert [one.severity for one in found] == [Severity.WARNING, None, None]
    assert {(one.start, one.end) for one in found} == {(at(0), at(60))}


def test_a_budget_over_everything_is_one_line_and_one_of_a_source_knows_its_own_only(sqlite):
    whole = replace(rule(budget(amount=1000), per="all"), name="whole")
    each = replace(rule(budget(amount=10), per="source"), name="each")
    mine = replace(rule(budget(amount=10), where=only(source="globex")), name="mine")
    scene = Scene(sqlite, {"acme/llm-1": "0 4", "globex/llm-2": "0 6"}).until(2)
    assert in_words(usages(scene, whole, each, mine)) == [
        "whole everything 10 1 % left 990",
        "each acme 4 40 % left 6",
        "each globex 6 60 % left 4",
        "mine llm-2 6 60 % left 4",
    ]


def test_a_new_period_begins_at_nothing(sqlite):
    scene = Scene(sqlite, "0 90", HOURLY).until(61)
    (one,) = usages(scene)
    assert (one.used, one.start, one.end) == (0, at(60), at(120))


def test_what_is_more_than_the_amount_is_told_as_such(sqlite):
    (one,) = usages(Scene(sqlite, "0 130", HOURLY).until(2))
    assert (int(one.left), int(one.over), percent(one.share)) == (0, 30, "130 %")
    assert one.severity is Severity.CRITICAL
    assert one.exhausted_at is None, "it is used up already"


def test_the_pace_of_the_last_quarter_tells_when_all_will_be_used(sqlite):
    scene = Scene(sqlite, "0+2x60", HOURLY).until(40)
    (one,) = usages(scene)
    assert (one.used, one.exhausted_at) == (80, at(50)), "20 are left, at 2 a minute"


def test_a_pace_that_lasts_until_the_end_is_no_forecast(sqlite):
    (one,) = usages(Scene(sqlite, "0+1x60", HOURLY).until(40))
    assert one.exhausted_at is None


def test_rules_that_are_no_budgets_or_are_disabled_are_left_out(sqlite):
    scene = Scene(sqlite, "0 90").until(2)
    assert usages(scene, rule(threshold(above=5)), replace(HOURLY, enabled=False)) == []


def test_the_budgets_of_a_source_that_fails_are_told_as_of_its_last_reading(sqlite):
    (one,) = usages(Scene(sqlite, "0 40 _x8", HOURLY).until(5))
    assert one.used == 40


def test_the_json_of_budgets_is_exact(sqlite):
    scene = Scene(sqlite, "0+2x60", HOURLY).until(40)
    assert usage_json(usages(scene)) == [
        {
            "rule": "hourly",
            "series": "acme/llm-1",
            "name": "llm-1",
            "metric": "policy_violations",
            "period": "hour",
            "from": "2026-01-05T00:00:00Z",
            "to": "2026-01-05T01:00:00Z",
            "amount": 100,
            "used": 80,
            "left": 20,
            "percent": 80,
            "severity": "warning",
            "known_since": "2026-01-05T00:00:00Z",
            "exhausted_at": "2026-01-05T00:50:00Z",
            "exhausted_by": "2026-01-05T00:50:00Z",
        }
    ]


BARS = {
    0: "░░░░░░░░░░   0 %",
    Fraction(1, 1000): "█░░░░░░░░░   0 %",
    Fraction(62, 100): "██████░░░░  62 %",
    Fraction(999, 1000): "█████████░  99 %",
    1: "██████████ 100 %",
    13: "██████████ 1,300 %",
}


@pytest.mark.parametrize(("share", "drawn"), BARS.items())
def test_a_bar_is_full_only_where_all_is_used_and_empty_only_where_nothing_is(share, drawn):
    assert f"{bar(Fraction(share))} {percent(Fraction(share)):>5}" == drawn
