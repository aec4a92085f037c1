"""What the command line tells by points: who and which model, what it costs, and how it was before there was a bot."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alertbot.demo.flashback.scenarios import build_ordinary
from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.slack.server import SlackServer
from tests.cli.desk import Desk


@pytest.fixture(scope="module")
def busy() -> Iterator[FlashbackServer]:
    """One with four days of traffic."""
    now = datetime.now(UTC)
    with FlashbackServer(build_ordinary(7, now, timedelta(days=4)), clock=lambda: datetime.now(UTC)) as server:
        yield server


def desk_in(folder: Path, busy: FlashbackServer, slack: SlackServer) -> Desk:
    desk = Desk(folder, busy, slack)
    desk.keys["sources"][0] |= {"collect": ["llm_stats", "ai_minutes"], "timeout": "30s"}
    return desk


@pytest.fixture
def desk(tmp_path: Path, busy: FlashbackServer, slack: SlackServer) -> Desk:
    return desk_in(tmp_path, busy, slack)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, busy: FlashbackServer, slack: SlackServer) -> Path:
    """Where the traffic of today and yesterday has been read."""
    folder = tmp_path_factory.mktemp("polled")
    assert desk_in(folder, busy, slack).run("poll").output == "acme: read\nacme/ai: read\n"
    return folder


@pytest.fixture
def polled(folder: Path, busy: FlashbackServer, slack: SlackServer) -> Desk:
    return desk_in(folder, busy, slack)


def test_what_was_spent_is_told_by_model_as_decimal_dollars(polled):
    found = polled.json("spend", "24h", "model")
    assert set(found) == {"from", "to", "known_since", "not_known", "usd", "price_list", "unpriced_tokens", "rows"}
    assert set(found["rows"][0]) == {"key", "name", "usd", "tokens_in", "tokens_out"}
    assert found["price_list"].startswith("genai-prices ")
    assert sum(float(row["usd"]) for row in found["rows"]) == pytest.approx(float(found["usd"]), abs=1e-5)
    assert float(found["usd"]) > 0
    assert "an estimate based on genai-prices" in polled.run("spend").output


def test_the_operators_own_prices_count(polled):
    polled.keys["prices"] = [{"usd_per_million_in": 1_000_000, "usd_per_million_out": 0}]
    found = polled.json("spend")
    assert [float(row["usd"]) for row in found["rows"]] == [row["tokens_in"] for row in found["rows"]]


def test_who_leads_is_told_by_model_and_user(polled):
    assert {row["key"].split("=")[0] for row in polled.json("top", "tokens", "model")["rows"]} == {"acme/model"}
    assert "user" in polled.run("top", "calls", "--by", "user").output


def test_history_is_read_once_and_look_ups_know_it(desk):
    ended = desk.run("backfill", "--since", "3d")
    assert ended.code == 0
    assert ended.output.startswith("acme/ai: ")
    assert "is already stored" in desk.run("backfill", "--since", "3d").output
    desk.run("poll")
    one, three = (desk.json("stats", "--window", window) for window in ("24h", "3d"))
    calls = [sum(row["api_calls"] for row in rows) for rows in (one, three)]
    assert 0 < calls[0] < calls[1]


def test_a_backfill_that_fails_says_so_in_a_line_and_keeps_what_is_done(desk, busy):
    busy.fail("/aistats/minute", 403)
    ended = desk.run("backfill", "--since", "2d")
    busy.clear()
    assert (ended.code, len(ended.mistakes)) == (1, 1)
    assert ended.mistakes[0].endswith("run it again to continue from there")


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ("yesterday", 'expected a duration such as 30d or a day such as 2026-11-01, got "yesterday"'),
        ("30", "expected a duration such as 30d"),
    ],
)
def test_a_time_that_is_none_is_told(desk, since, told):
    ended = desk.run("backfill", "--since", since)
    assert ended.code == 2
    assert told in ended.errors


def test_a_source_that_collects_no_points_has_no_history(desk):
    desk.keys["sources"][0]["collect"] = ["llm_stats"]
    assert desk.run("backfill").mistakes == [
        "there is nothing to read: no source collects ai_minutes, ai_days, storage_minutes or storage_days"
    ]


def test_a_check_asks_every_endpoint_that_is_collected(desk, busy):
    desk.keys["sources"][0]["collect"] = ["llm_stats", "ai_minutes", "ai_days", "storage_minutes", "evidence"]
    busy.fail("/policy/alerts", 404)
    busy.fail("/stats/minute", 503)
    ended = desk.run("check", "--online")
    output = ended.output
    busy.clear()
    assert "ok    source acme: /aistats/minute answers" in output
    assert "ok    source acme: /aistats/daily answers" in output
    assert "ok    source acme: /policy/violations answers" in output
    assert "ok    source acme: /policy/alerts is missing (404) on this server" in output
    assert any(
        line.startswith("fault source acme: the server failed (503") for line in (*output.splitlines(), *ended.mistakes)
    )


def test_a_server_without_totals_is_no_fault_where_there_are_points(desk, busy):
    busy.fail("/ai/llm/stats", 404)
    output = desk.run("check", "--online").output
    busy.clear()
    told = "/ai/llm/stats is missing (404) on this server; its counts come from the minute statistics"
    assert f"ok    source acme: {told}" in output


def test_points_that_nobody_needs_are_no_failure_of_a_poll(desk, busy):
    busy.fail("/aistats/minute", 403)
    ended = desk.run("poll")
    assert (ended.code, ended.output) == (0, "acme: read\nacme/ai: failed\n")
    desk.keys["rules"][0]["per"] = "model"
    ended = desk.run("poll")
    busy.clear()
    assert (ended.code, ended.mistakes[-1]) == (1, "could not be read: acme/ai; see alertbot status")
