"""Not known is never zero: every figure over a window says since when it is known, and what could not be read."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from alertbot.domain.coverage import Coverage
from alertbot.domain.evidence import ViolationQuery
from alertbot.domain.prices import NOTHING_PRICED
from alertbot.domain.rankings import RankingQuery, ranking_json
from alertbot.domain.rules import Period
from alertbot.domain.spending import spending_json
from alertbot.domain.windows import Window, window_of
from alertbot.errors import UsageError
from alertbot.queries.budget import budget_usages
from alertbot.queries.chart import chart
from alertbot.queries.spend import spending
from alertbot.queries.stats import llm_stats
from alertbot.queries.top import top_ranking
from alertbot.queries.violations import violations
from alertbot.store import evidence_fetches, sources
from alertbot.store.database import Database
from tests.builders import at, budget, minutes, rule
from tests.flows.scene import Scene

BY_USER = RankingQuery("policy_violations", "user")
HOURLY = replace(rule(budget(Period.HOUR, amount=100)), name="hourly")


def window(scene: Scene, length: float = 60) -> Window:
    return window_of(minutes(length), scene.now, UTC)


def by_user(scene: Scene, length: float = 60) -> Coverage:
    found = top_ranking(
        scene.database, intervals=scene.context.intervals, question=BY_USER, window=window(scene, length)
    )
    assert found.rows == ()
    return found.coverage


def collects_points(scene: Scene, feed: str = "acme/ai") -> None:
    """A source's minute statistics are collected, too; nobody has read them yet."""
    with scene.database.transaction() as tx:
        sources.register(tx, [*scene.players, feed])


def fail(scene: Scene, feed: str, error: str) -> None:
    """A poll of the feed fails."""
    with scene.database.transaction() as tx:
        claim = sources.claim(tx, feed, owner="p", interval=scene.interval, lease=scene.interval, now=scene.now)
        assert claim is not None
        sources.mark_failed(tx, claim, error)


def test_what_is_not_collected_is_not_zero(database: Database) -> None:
    scene = Scene(database, "0 12").until(1)
    coverage = by_user(scene)
    assert not coverage.is_known
    assert coverage.notes == (
        "acme: not known by user; its minute statistics are not collected (`collect: ai_minutes`)",
    )


def test_what_was_never_read_is_not_zero_and_says_why(database: Database) -> None:
    scene = Scene(database, "0 12").until(1)
    collects_points(scene)
    assert by_user(scene).notes == ("acme: not known by user; its minute statistics were never read",)
    fail(scene, "acme/ai", "HTTP 503")
    assert by_user(scene).notes == ("acme: not known by user; its minute statistics were never read (HTTP 503)",)


def test_a_source_that_stopped_answering_says_until_when_it_is_known(database: Database) -> None:
    scene = Scene(database, "0 3 _x9").until(10)
    found = top_ranking(
        scene.database, intervals=scene.context.intervals, question=RankingQuery(), window=window(scene, 10)
    )
    assert [row.value for row in found.rows] == [3], "what is known is still shown"
    (note,) = found.coverage.notes
    assert note.startswith("acme: not known after 2026-01-05T00:01:00Z, when its totals were last read (")


def test_a_source_that_was_never_read_is_named_beside_those_that_were(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 3", "globex/llm-1": "_ _"}).until(1)
    found = llm_stats(scene.database, intervals=scene.context.intervals, llm=None, window=window(scene))
    assert [row.source for row in found.rows] == ["acme"]
    (note,) = found.coverage.notes
    assert note.startswith("globex: not known; its totals were never read (")


def test_a_part_is_not_shown_as_the_whole(database: Database) -> None:
    scene = Scene(database, "0 3 4").until(2)
    whole = top_ranking(
        scene.database, intervals=scene.context.intervals, question=RankingQuery(), window=window(scene, 1)
    )
    assert not whole.coverage.begins_late(whole.window)
    part = top_ranking(
        scene.database, intervals=scene.context.intervals, question=RankingQuery(), window=window(scene, 1000)
    )
    assert part.coverage.begins_late(part.window)
    assert part.coverage.since == at(0)
    assert ranking_json(part)["known_since"] == "2026-01-05T00:00:00Z"


def test_of_sources_that_began_at_different_times_the_later_are_named(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 3 4 5", "globex/llm-1": "_ _ 0 1"}).until(3)
    collects_points(scene, "globex/ai")
    found = top_ranking(
        scene.database, intervals=scene.context.intervals, question=RankingQuery(), window=window(scene)
    )
    assert found.coverage.since == at(0)
    assert found.coverage.late == (
        "globex: counted since 2026-01-05T00:02:00Z; `alertbot backfill` reads earlier data",
    )


BEFORE = Window(at(-60), at(-30), "yesterday")


def test_a_time_before_the_first_reading_is_not_zero(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": {"policy_violations": "5 6", "tokens_in": "5 6", "tokens_out": "5 6"}})
    intervals = scene.until(1).context.intervals
    ranked = top_ranking(database, intervals=intervals, question=RankingQuery(), window=BEFORE)
    spent = spending(database, intervals=intervals, prices=NOTHING_PRICED, window=BEFORE)
    grown = llm_stats(database, intervals=intervals, llm="llm-1", window=BEFORE)
    for coverage in (ranked.coverage, spent.coverage, grown.coverage):
        assert not coverage.is_known
        assert coverage.notes == ("acme: not known; its totals were first read 2026-01-05T00:00:00Z",), (
            "nothing that is collected has a history: no advice to read it"
        )
    assert grown.rows == ()
    told = spending_json(spent)
    assert (told["usd"], told["unpriced_tokens"], told["rows"]) == (None, None, [])
    with pytest.raises(UsageError, match='no LLM is called "llm-2"'):
        llm_stats(database, intervals=intervals, llm="llm-2", window=BEFORE)


def test_a_time_after_the_last_reading_of_a_source_that_fails_is_not_zero(database: Database) -> None:
    drawn = {"acme/llm-1": "0 3 _x90", "globex/llm-1": "0x30 5x60"}
    scene = Scene(database, drawn, HOURLY).until(90)
    intervals = scene.context.intervals
    ranked = top_ranking(database, intervals=intervals, question=RankingQuery(), window=window(scene))
    assert [(row.source, row.value) for row in ranked.rows] == [("globex", 5)]
    grown = llm_stats(database, intervals=intervals, llm=None, window=window(scene))
    assert [row.source for row in grown.rows] == ["globex"]
    for coverage in (ranked.coverage, grown.coverage):
        assert [note.split(" (")[0] for note in coverage.unknown] == [
            "acme: not known after 2026-01-05T00:01:00Z, when its totals were last read"
        ]
    budgets = budget_usages(database, rules=scene.context.rules, intervals=intervals, now=scene.now)
    assert {usage.series.key: usage.used for usage in budgets.usages} == {"acme/llm-1": None, "globex/llm-1": 0}


def test_violations_of_a_time_that_the_list_does_not_reach_are_not_none(database: Database) -> None:
    scene = Scene(database, "0 12").until(1)
    with database.transaction() as tx:
        claim = evidence_fetches.claim(tx, "acme", owner="p", lease=scene.interval, now=scene.now)
        assert claim is not None
        evidence_fetches.mark_read(tx, claim, read_at=scene.now, until={}, complete_since=at(0))
    assert violations(database, sources=["acme"], query=ViolationQuery(), window=window(scene)).is_known
    assert not violations(database, sources=["acme"], query=ViolationQuery(), window=BEFORE).is_known


def test_money_budgets_and_charts_say_since_when_they_are_known(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": {"policy_violations": "_x29 0+1x9", "tokens_in": "_x29 0+1x9"}}, HOURLY)
    scene.until(35)
    intervals = scene.context.intervals
    spent = spending(database, intervals=intervals, prices=NOTHING_PRICED, window=window(scene))
    assert spent.coverage.since == at(29)
    assert spending_json(spent)["known_since"] == "2026-01-05T00:29:00Z"
    budgets = budget_usages(database, rules=scene.context.rules, intervals=intervals, now=scene.now)
    assert [usage.known_since for usage in budgets.usages] == [at(29)]
    chart_series = chart(
        database,
        rules=scene.context.rules,
        intervals=intervals,
        subject="policy_violations",
        llm=None,
        window=window(scene),
    )
    assert chart_series.known_since == at(29)
    scene.until(36)
    recent = window_of(timedelta(minutes=5), scene.now, UTC)
    chart_series = chart(database, rules=(), intervals=intervals, subject="policy_violations", llm=None, window=recent)
    assert chart_series.known_since is None


def test_a_budget_names_the_sources_that_are_not_counted_in_it(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 3", "globex/llm-1": "_ _"}, HOURLY).until(1)
    budgets = budget_usages(database, rules=scene.context.rules, intervals=scene.context.intervals, now=scene.now)
    (note,) = budgets.notes
    assert note.startswith("globex: not known; its totals were never read")


def test_violations_that_were_never_listed_are_not_none(database: Database) -> None:
    scene = Scene(database, "0 12").until(1)
    listing = violations(database, sources=["acme"], query=ViolationQuery(), window=window(scene))
    assert not listing.is_known
    assert listing.notes == ("acme: no evidence has been fetched yet",)


def test_a_counter_that_a_source_does_not_report_is_not_zero(database: Database) -> None:
    tokens = {"policy_violations": "0 1", "tokens_in": "0 5", "tokens_out": "0 5"}
    scene = Scene(database, {"acme/llm-1": "0 12", "globex/llm-1": tokens}).until(1)
    intervals, question = scene.context.intervals, RankingQuery("tokens")
    ranked = top_ranking(database, intervals=intervals, question=question, window=window(scene))
    assert [row.source for row in ranked.rows] == ["globex"]
    assert ranked.coverage.unknown == ("acme: tokens are not reported",)
    only = top_ranking(database, intervals={"acme": scene.interval}, question=question, window=window(scene))
    assert not only.coverage.is_known
    spent = spending(database, intervals={"acme": scene.interval}, prices=NOTHING_PRICED, window=window(scene))
    assert not spent.coverage.is_known


def test_a_whole_reading_needs_no_note(database: Database) -> None:
    scene = Scene(database, "0 1 2 3 4").until(4)
    found = top_ranking(
        scene.database, intervals=scene.context.intervals, question=RankingQuery(), window=window(scene, 2)
    )
    assert found.coverage == Coverage(at(2))
