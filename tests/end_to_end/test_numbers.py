"""Every number equals the server's own sum: in both readings of the statistics, with tokens that expire and a quota."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from alertbot.demo.flashback.facts import Configuration
from alertbot.demo.flashback.wire import Dialect, StatsReading
from tests.end_to_end.stage import Stage

HUGE = 2**63 + 1
NAMES = ["<!channel>", "*a*|_b_ `c`", "<https://evil.example|Slack>", "[link](x)\\u0000", "😀 & <@U1>", "plain"]
COUNTERS = ("api_calls", "tokens_in", "tokens_out", "policy_violations", "policy_alerts", "policy_blocks")


@pytest.fixture(params=[StatsReading.EACH, StatsReading.SUM])
def stage(request: pytest.FixtureRequest, new_stage: Callable[..., Stage]) -> Stage:
    stage = new_stage(configurations=0)
    for number, name in enumerate(NAMES):
        stage.world.add(Configuration(f"llm-{number}", name))
    stage.flashback.dialect = Dialect(stats=request.param)
    stage.config["sources"][0] |= {"refresh_token": stage.flashback.refresh_token}
    stage.config["prices"] = [{"match": {"source": "*"}, "usd_per_million_in": 3, "usd_per_million_out": 5}]
    return stage


def test_every_number_is_that_of_the_server(stage: Stage):
    stage.start()
    for turn in range(4):
        for number in range(len(NAMES)):
            for place, counter in enumerate(COUNTERS):
                stage.world.bump(f"llm-{number}", counter, 1 + number * turn + place)
        stage.world.bump(f"llm-{turn % 3}", "tokens_in", HUGE)
        if turn % 2:
            stage.flashback.expire_tokens()
        else:
            stage.flashback.limit(3, timedelta(seconds=4))
            stage.wait_for(lambda: "Too many requests" in stage.bot.errors)
            stage.flashback.limit(None)
        stage.wait_for_readings(1)
    sums = stage.world.totals()

    def is_counted() -> bool:
        return {one["ai_llm"]: {name: one[name] for name in COUNTERS} for one in stats(stage)} == expected

    expected = {ai_llm: {name: totals[name] for name in COUNTERS} for ai_llm, totals in sums.items()}
    stage.wait_for(is_counted)
    assert expected["llm-0"]["tokens_in"] > 2**64
    stage.wait_for(lambda: len(violations(stage)) == sum(totals["policy_violations"] for totals in sums.values()))

    top = stage.run_json("top", "tokens", "1h")
    tokens = {f"acme/{ai_llm}": totals["tokens_in"] + totals["tokens_out"] for ai_llm, totals in sums.items()}
    assert {row["key"]: row["value"] for row in top["rows"]} == tokens
    usd = {
        f"acme/{ai_llm}": (Decimal(totals["tokens_in"]) * 3 + Decimal(totals["tokens_out"]) * 5) / 1_000_000
        for ai_llm, totals in sums.items()
    }
    stage.wait_for(lambda: spent(stage) == (sum(usd.values()), usd))
    status = stage.run_json("status")
    assert [(one["name"], one["configurations"]) for one in status["sources"]] == [("acme", len(NAMES))]
    assert {row["name"] for row in top["rows"]} >= {"<!channel>", "*a*|_b_ `c`"}


def spent(stage: Stage) -> tuple[Decimal, dict[str, Decimal]]:
    spend = stage.run_json("spend", "1h")
    return Decimal(spend["usd"]), {row["key"]: Decimal(row["usd"]) for row in spend["rows"]}


def stats(stage: Stage) -> list[dict[str, int | str]]:
    found: list[dict[str, int | str]] = stage.run_json("stats", "--window", "1h")
    return found


def violations(stage: Stage) -> list[object]:
    found: list[object] = stage.run_json("violations", "1h")
    return found
