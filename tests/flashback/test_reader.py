"""What is asked of a source's points and for its names, and when."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.demo.flashback.wire import ORGANISATION, Dialect, StatsReading
from alertbot.domain.points import Dataset, Resolution
from alertbot.domain.snapshots import MOST_LLMS, MOST_REPOS, Configuration, Counter
from alertbot.errors import FlashbackBusy, FlashbackForbidden, FlashbackMissing, FlashbackRejected
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.reader import Names, PointsReader, SourceReader, in_parts

NOW = datetime(2026, 11, 22, 12, 30, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clock:
    """The time, as long as it is not moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_server(clock: Clock) -> Iterator[Callable[..., FlashbackServer]]:
    with ExitStack() as stack:

        def make(names: list[str], dialect: Dialect | None = None) -> FlashbackServer:
            world = World.still(names, start=NOW - timedelta(days=3))
            lifetime = timedelta(days=1)
            return stack.enter_context(FlashbackServer(world, clock=clock, dialect=dialect, token_lifetime=lifetime))

        yield make


@pytest.fixture
def server(make_server: Callable[..., FlashbackServer]) -> FlashbackServer:
    return make_server(["llm-1", "llm-2"])


def client_of(server: FlashbackServer, clock: Clock) -> FlashbackClient:
    # Without a budget for the pause that a quota wants: the next reading comes soon enough.
    return FlashbackClient(server.url, access_token=lambda: server.token, timeout=timedelta(seconds=5), now=clock)


@pytest.fixture
def client(server: FlashbackServer, clock: Clock) -> Iterator[FlashbackClient]:
    with client_of(server, clock) as client:
        yield client


def reader(client: FlashbackClient, *resolutions: Resolution, dataset: Dataset = Dataset.AI) -> PointsReader:
    return PointsReader(
        client, dataset=dataset, resolutions=frozenset(resolutions), reread=10 * MINUTE, clock=lambda: NOW
    )


def test_points_agree_with_the_totals(server, client):
    server.world.bump("llm-1", "policy_violations", 7)
    server.world.bump("llm-2", "tokens_in", 2**70)
    (reading,), configurations = reader(client, Resolution.MINUTE).read(NOW, None)
    counted = {(one.label_set.ai_llm, name): amount for one in reading.points for name, amount in one.amounts.items()}
    assert counted["llm-1", "policy_violations"] == 7
    assert counted["llm-2", "tokens_in"] == 2**70
    assert {one.ai_llm for one in configurations or ()} == {"llm-1", "llm-2"}


def test_the_first_look_begins_yesterday_at_midnight_and_a_later_one_reads_the_newest_again(client):
    (first,), _ = reader(client, Resolution.MINUTE).read(NOW, None)
    assert (first.start, first.taken_at) == (datetime(2026, 11, 21, tzinfo=UTC), NOW)
    (later,), _ = reader(client, Resolution.MINUTE).read(NOW, NOW - MINUTE)
    assert later.start == datetime(2026, 11, 22, 12, 19, tzinfo=UTC)


def test_after_a_long_gap_a_month_is_read_and_not_a_year(client):
    (reading,), _ = reader(client, Resolution.DAY).read(NOW, NOW - timedelta(days=400))
    assert reading.start <= NOW - timedelta(days=31)
    (minutes,), _ = reader(client, Resolution.MINUTE).read(NOW, NOW - timedelta(days=400))
    assert NOW - minutes.start < timedelta(days=31, minutes=1)


def test_storage_is_read_in_the_same_way(server, client):
    (reading,), configurations = reader(client, Resolution.MINUTE, dataset=Dataset.STORAGE).read(
        NOW, NOW - timedelta(hours=1)
    )
    assert configurations is None
    assert reading.resolution is Resolution.MINUTE
    assert server.count("/stats/minute") == 1


def test_days_beside_minutes_are_read_now_and_then(server, client):
    mine = reader(client, Resolution.MINUTE, Resolution.DAY)
    assert [one.resolution for one in mine.read(NOW, NOW - MINUTE)[0]] == [Resolution.MINUTE, Resolution.DAY]
    assert [one.resolution for one in mine.read(NOW + MINUTE, NOW)[0]] == [Resolution.MINUTE]
    assert server.count("/aistats/daily") == 1


def test_a_server_without_points_is_told_as_such(server, client):
    server.fail("/aistats/minute", 404)
    with pytest.raises(FlashbackMissing):
        reader(client, Resolution.MINUTE).read(NOW, None)


def totals_of(client: FlashbackClient, clock: Clock, concurrency: int = 2) -> SourceReader:
    return SourceReader(client, clock=clock, concurrency=concurrency, fresh_for=5 * MINUTE)


@pytest.fixture(params=[StatsReading.EACH, StatsReading.SUM])
def totals(request, server, client, clock) -> SourceReader:
    server.dialect = Dialect(stats=request.param)
    return totals_of(client, clock)


def workspaces(totals: SourceReader) -> set[tuple[str, str]]:
    """What a reading tells of the configurations' workspaces: ids and names."""
    return {(one.workspace, one.workspace_name) for one in totals.read(None)[1] or ()}


def test_workspaces_have_the_names_that_people_gave_them(server, clock, totals):
    assert workspaces(totals) == {("workspace-1", "Main")}
    for _ in range(3):
        totals.read(None)
    assert server.count("/workspace") == 1, "names change seldom"
    clock.now += 10 * MINUTE
    totals.read(None)
    assert server.count("/workspace") == 2


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_a_server_that_tells_no_workspaces_is_read_all_the_same(server, clock, totals, status):
    server.fail("/workspace", status)
    assert workspaces(totals) == {("workspace-1", "")}
    assert server.count("/workspace") == 1, "nothing waits for names"
    assert len(totals.read(None)[0]) == 2
    server.clear()
    clock.now += 10 * MINUTE
    assert workspaces(totals) == {("workspace-1", "Main")}
    server.fail("/workspace", status)
    clock.now += 10 * MINUTE
    assert workspaces(totals) == {("workspace-1", "Main")}, "what was known stays known"


# --- one by one, within a quota


MANY = [f"llm-{number}" for number in range(30)]


@pytest.fixture
def summing(make_server: Callable[..., FlashbackServer]) -> FlashbackServer:
    """One that gives a sum of all, where each has its own number of violations."""
    server = make_server(MANY, Dialect(stats=StatsReading.SUM))
    for number, name in enumerate(MANY):
        server.world.bump(name, "policy_violations", number)
    return server


@pytest.fixture
def one_by_one(summing: FlashbackServer, clock: Clock) -> Iterator[SourceReader]:
    with client_of(summing, clock) as client:
        yield totals_of(client, clock, concurrency=4)


def violations(totals: SourceReader, last_at: datetime | None = None) -> list[int]:
    return [snapshot.totals[Counter.POLICY_VIOLATIONS] for snapshot in totals.read(last_at)[0]]


def answered(totals: SourceReader, clock: Clock) -> tuple[list[int], int]:
    """The violations in the first good reading, and how many readings it took, each a minute later."""
    for turn in range(1, 20):
        try:
            return violations(totals), turn
        except FlashbackBusy:
            clock.now += MINUTE
    raise AssertionError("it never came to an end")


def test_a_quota_that_is_too_small_for_one_reading_slows_it_down_and_does_not_end_it(summing, one_by_one, clock):
    summing.limit(8)
    assert answered(one_by_one, clock) == (list(range(30)), 5)
    summing.limit(None)
    summing.world.bump("llm-0", "policy_violations", 100)
    assert violations(one_by_one)[0] == 100, "a round that has ended is not gone on with"


def test_a_part_of_a_reading_is_forgotten_when_somebody_else_has_read(summing, one_by_one, clock):
    """Else what another process saw later would seem to fall again, and be taken for a reset."""
    summing.limit(20)
    with pytest.raises(FlashbackBusy):
        one_by_one.read(NOW)
    summing.limit(None)
    summing.world.bump("llm-0", "policy_violations", 100)
    assert violations(one_by_one, NOW + MINUTE)[0] == 100


def test_a_part_of_a_reading_that_is_no_longer_fresh_is_asked_again(summing, one_by_one, clock):
    summing.limit(20)
    with pytest.raises(FlashbackBusy):
        one_by_one.read(None)
    summing.world.bump("llm-0", "policy_violations", 100)
    clock.now += 5 * MINUTE
    assert answered(one_by_one, clock)[0][0] == 100


def test_after_a_quota_what_was_found_outlasts_other_failures_too(summing, one_by_one, clock):
    summing.limit(20)
    with pytest.raises(FlashbackBusy):
        one_by_one.read(None)
    summing.limit(None)
    asked = summing.count("/ai/llm/stats")
    summing.fail("/ai/llm/stats?aiLlmId=llm-29", 400, times=1)
    with pytest.raises(FlashbackRejected):
        one_by_one.read(None)
    assert violations(one_by_one) == list(range(30))
    assert summing.count("/ai/llm/stats") - asked < 30, "each but the last was asked once"


def test_what_is_fresh_outlasts_names_that_do_not_come(summing, one_by_one, clock):
    for _ in range(2):
        summing.limit(12)
        with pytest.raises(FlashbackBusy):
            one_by_one.read(None)
        clock.now += 3 * MINUTE
    # What the first look found is too old now, so the names are asked for; what the second one found is not.
    summing.limit(None)
    summing.fail("/ai/llm", 429, retry_after=120)
    with pytest.raises(FlashbackBusy):
        one_by_one.read(None)
    summing.clear()
    asked = summing.count("/ai/llm/stats")
    assert violations(one_by_one) == list(range(30))
    assert summing.count("/ai/llm/stats") - asked < 30


def test_without_a_quota_a_failure_begins_again(summing, one_by_one):
    summing.fail("/ai/llm/stats?aiLlmId=llm-29", 400)
    with pytest.raises(FlashbackRejected):
        one_by_one.read(None)
    summing.clear()
    summing.world.bump("llm-0", "policy_violations", 100)
    assert violations(one_by_one)[0] == 100


def test_a_quota_is_told_before_any_other_failure(summing, one_by_one):
    """For the pause that it asks for has to be made."""
    summing.fail("/ai/llm/stats?aiLlmId=llm-0", 500)  # which is tried again for a while
    summing.fail("/ai/llm/stats?aiLlmId=llm-1", 429, retry_after=120)
    with pytest.raises(FlashbackBusy):
        one_by_one.read(None)


def test_an_organisation_that_may_not_be_looked_into_hides_no_policies_of_others(server, client, monkeypatch):
    monkeypatch.setattr(
        "alertbot.flashback.client.parse_organisations", lambda _body, endpoint: ("org-2", ORGANISATION.id)
    )
    server.fail("/policy?orgId=org-2", 403)
    assert client.policies() == {"policy-1": "No customer PII"}
    server.fail("/policy", 403)
    with pytest.raises(FlashbackForbidden):
        client.policies()


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


def many(count: int, *, repos: int = 0) -> tuple[Configuration, ...]:
    """Configurations, those with the highest number made first."""
    named = tuple((f"r{number}", "repo") for number in range(repos))
    return tuple(
        Configuration(f"llm-{number}", "x", created_at=NOW - MINUTE * number, repos=named) for number in range(count)
    )


def test_no_more_llms_are_asked_for_one_by_one_than_are_counted_and_the_oldest_come_first(client, clock):
    asked = Names(client, clock=clock).oldest(many(MOST_LLMS + 2))
    assert len(asked) == MOST_LLMS
    assert {"llm-0", "llm-1"}.isdisjoint(configuration.ai_llm for configuration in asked)


class Listing(FlashbackClient):
    """A client that lists one LLM of too many repositories, and asks nobody."""

    def __init__(self) -> None:
        pass

    def configurations(self) -> tuple[Configuration, ...]:
        return many(1, repos=MOST_REPOS + 5)


def test_an_llm_keeps_no_more_repositories_than_its_limit(clock):
    (configuration,) = Names(Listing(), clock=clock).ask()
    assert configuration.repos == many(1, repos=MOST_REPOS)[0].repos
