"""What is asked of a source's points and for its names, and when."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from alertbot.demo.flashback import FlashbackServer
from alertbot.demo.traffic import World
from alertbot.demo.wire import Dialect, StatsReading
from alertbot.domain.points import Plane, Span
from alertbot.errors import FlashbackMissing
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.reader import PointsReader, SourceReader, in_parts

NOW = datetime(2026, 11, 22, 12, 30, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def server() -> Iterator[FlashbackServer]:
    world = World.still(["llm-1", "llm-2"], start=NOW - timedelta(days=3))
    with FlashbackServer(world, clock=lambda: NOW) as server:
        yield server


@pytest.fixture
def client(server: FlashbackServer) -> Iterator[FlashbackClient]:
    with FlashbackClient(
        server.url, access_token=lambda: server.token, timeout=timedelta(seconds=5), now=lambda: NOW
    ) as client:
        yield client


def reader(client: FlashbackClient, *spans: Span, plane: Plane = Plane.AI) -> PointsReader:
    return PointsReader(client, plane=plane, spans=frozenset(spans), reread=10 * MINUTE, clock=lambda: NOW)


def test_points_agree_with_the_totals(server, client):
    server.world.bump("llm-1", "policy_violations", 7)
    server.world.bump("llm-2", "tokens_in", 2**70)
    (reading,), configurations = reader(client, Span.MINUTE).read(NOW, None)
    counted = {(one.combination.ai_llm, name): amount for one in reading.points for name, amount in one.amounts.items()}
    assert counted["llm-1", "policy_violations"] == 7
    assert counted["llm-2", "tokens_in"] == 2**70
    assert {one.ai_llm for one in configurations or ()} == {"llm-1", "llm-2"}


def test_the_first_look_begins_yesterday_at_midnight_and_a_later_one_reads_the_newest_again(client):
    (first,), _ = reader(client, Span.MINUTE).read(NOW, None)
    assert (first.start, first.taken_at) == (datetime(2026, 11, 21, tzinfo=UTC), NOW)
    (later,), _ = reader(client, Span.MINUTE).read(NOW, NOW - MINUTE)
    assert later.start == datetime(2026, 11, 22, 12, 19, tzinfo=UTC)


def test_after_a_long_gap_a_month_is_read_and_not_a_year(client):
    (reading,), _ = reader(client, Span.DAY).read(NOW, NOW - timedelta(days=400))
    assert reading.start <= NOW - timedelta(days=31)
    (minutes,), _ = reader(client, Span.MINUTE).read(NOW, NOW - timedelta(days=400))
    assert NOW - minutes.start < timedelta(days=31, minutes=1)


def test_storage_is_read_in_the_same_way(server, client):
    (reading,), configurations = reader(client, Span.MINUTE, plane=Plane.STORAGE).read(NOW, NOW - timedelta(hours=1))
    assert configurations is None
    assert reading.span is Span.MINUTE
    assert server.count("/stats/minute") == 1


def test_days_beside_minutes_are_read_now_and_then(server, client):
    mine = reader(client, Span.MINUTE, Span.DAY)
    assert [one.span for one in mine.read(NOW, NOW - MINUTE)[0]] == [Span.MINUTE, Span.DAY]
    assert [one.span for one in mine.read(NOW + MINUTE, NOW)[0]] == [Span.MINUTE]
    assert server.count("/aistats/daily") == 1


def test_a_server_without_points_is_told_as_such(server, client):
    server.fail("/aistats/minute", 404)
    with pytest.raises(FlashbackMissing):
        reader(client, Span.MINUTE).read(NOW, None)


class Clock:
    """The time, as long as it is not moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[StatsReading.EACH, StatsReading.SUM])
def totals(request, server, client, clock) -> SourceReader:
    server.dialect = Dialect(stats=request.param)
    return SourceReader(client, clock=clock, concurrency=2)


def workspaces(totals: SourceReader) -> set[tuple[str, str]]:
    """What a reading tells of the configurations' workspaces: ids and names."""
    return {(one.workspace, one.workspace_name) for one in totals.read()[1] or ()}


def test_workspaces_have_the_names_that_people_gave_them(server, clock, totals):
    assert workspaces(totals) == {("workspace-1", "Main")}
    for _ in range(3):
        totals.read()
    assert server.count("/workspace") == 1, "names change seldom"
    clock.now += 10 * MINUTE
    totals.read()
    assert server.count("/workspace") == 2


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_tells_no_workspaces_is_read_all_the_same(server, client, clock, totals, status):
    server.fail("/workspace", status)
    assert workspaces(totals) == {("workspace-1", "")}
    assert len(totals.read()[0]) == 2
    server.clear()
    clock.now += 10 * MINUTE
    assert workspaces(totals) == {("workspace-1", "Main")}
    server.fail("/workspace", status)
    clock.now += 10 * MINUTE
    assert workspaces(totals) == {("workspace-1", "Main")}, "what was known stays known"


def test_policies_of_every_organisation_are_named(server, client):
    names = client.policies()
    assert names == {"policy-1": "No customer PII"}
    assert server.count("/policy") == 1


def test_parts_of_a_long_time_hold_each_bucket_once():
    start = datetime(2026, 11, 20, tzinfo=UTC)
    parts = list(in_parts(start, NOW))
    assert (parts[0][0], parts[-1][1]) == (start, NOW)
    buckets = [start + MINUTE * turn for turn in range((NOW - start) // MINUTE + 1)]
    assert all(sum(first <= bucket <= last for first, last in parts) == 1 for bucket in buckets)
