"""The simulated world: one set of facts behind totals, points and evidence, the same for the same seed."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from alertbot.demo.flashback.facts import (
    COUNTERS,
    Bucket,
    Configuration,
    Incident,
    Lane,
    Named,
    Point,
    Policy,
    Resolution,
    Severity,
)
from alertbot.demo.flashback.scenarios import CATALOGUE, DEFAULT_SCENARIO, SCENARIOS, find_scenario, identify
from alertbot.demo.flashback.traffic import World
from alertbot.errors import UsageError

MONDAY = datetime(2026, 1, 5, 13, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def busy_world(*, seed: int = 1, start: datetime = MONDAY) -> World:
    """Two configurations with lively traffic that often breaks a policy."""
    strict = Policy("p", "Strict", "Nothing.", Severity.HIGH, breaches_per_call=0.1)
    people = (Named("u1", "Ana"), Named("u2", "Ben"))
    configurations = [
        Configuration(each, each, people=people, policies=(strict,), calls_per_minute=20.0) for each in ("a", "b")
    ]
    return World(configurations, start=start, seed=seed)


def summed(points: list[Point[Lane]], counter: str, ai_llm: str) -> int:
    return sum(point.amounts[counter] for point in points if point.key.configuration.id == ai_llm)


@pytest.mark.parametrize("resolution", Resolution)
def test_totals_are_the_sums_of_the_points_to_the_unit(resolution):
    world = busy_world()
    world.advance(MONDAY + timedelta(minutes=47, seconds=13))
    points = world.points(resolution)
    for ai_llm, totals in world.totals().items():
        assert totals["api_calls"] > 300
        assert totals == {counter: summed(points, counter, ai_llm) for counter in COUNTERS}


def test_each_violation_that_is_counted_has_its_evidence_and_its_severity():
    world = busy_world()
    world.advance(MONDAY + timedelta(hours=1))
    evidence = Counter(violation.lane.configuration.id for violation in world.violations())
    assert evidence["a"] > 20
    assert evidence == {ai_llm: totals["policy_violations"] for ai_llm, totals in world.totals().items()}
    for severity in Severity:
        counted = sum(point.amounts[f"severity_{severity.lower()}"] for point in world.points(Resolution.MINUTE))
        assert counted == sum(violation.severity == severity for violation in world.violations())


def test_alerts_and_blocks_follow_from_the_policies_actions():
    world = find_scenario("storm").world(7, MONDAY)
    world.advance(MONDAY + timedelta(minutes=6))
    raised = sum(totals["policy_alerts"] for totals in world.totals().values())
    assert raised - sum(opened["policy_alerts"] for opened in openings(world)) == len(world.alerts()) > 500
    blocked = sum(totals["policy_blocks"] for totals in world.totals().values())
    assert blocked - sum(opened["policy_blocks"] for opened in openings(world)) == sum(
        violation.block for violation in world.violations()
    )


def openings(world: World) -> list[Mapping[str, int]]:
    return [configuration.opening for configuration in world.configurations()]


def test_totals_move_within_a_minute_and_never_fall():
    world, seen = busy_world(), []
    for seconds in range(0, 120, 5):
        world.advance(MONDAY + timedelta(seconds=seconds))
        seen.append(world.totals()["a"]["api_calls"])
    assert seen == sorted(seen)
    assert len(set(seen)) >= 8


def test_the_same_seed_is_the_same_world_however_it_is_looked_at():
    one, other, third = busy_world(seed=5), busy_world(seed=5), busy_world(seed=6)
    for seconds in range(0, 600, 7):
        one.advance(MONDAY + timedelta(seconds=seconds))
    for world in (one, other, third):
        world.advance(MONDAY + timedelta(minutes=10))
    assert one.totals() == other.totals() != third.totals()
    assert [each.id for each in one.violations()] == [each.id for each in other.violations()]


def test_a_configuration_that_comes_or_goes_changes_nothing_for_the_others():
    one, other = busy_world(), busy_world()
    other.remove("b")
    other.add("c")
    for world in (one, other):
        world.advance(MONDAY + timedelta(minutes=10))
    assert one.totals()["a"] == other.totals()["a"]


def test_time_never_runs_backwards():
    world = busy_world()
    world.advance(MONDAY + 5 * MINUTE)
    totals = world.totals()
    world.advance(MONDAY)
    assert world.now == MONDAY + 5 * MINUTE
    assert world.totals() == totals


def test_nothing_happens_before_the_world_began():
    world = busy_world()
    world.advance(MONDAY + 2 * MINUTE)
    assert all(violation.at >= MONDAY for violation in world.violations())
    assert min(point.opened_at for point in world.points(Resolution.MINUTE)) == MONDAY.replace(second=0)


# ---- a still world, moved by hand


def test_in_a_still_world_nothing_happens_by_itself():
    world = World.still([Configuration("a", "chat", calls_per_minute=50.0), "b"], start=MONDAY)
    world.advance(MONDAY + timedelta(days=300))
    assert world.totals() == {"a": dict.fromkeys(COUNTERS, 0), "b": dict.fromkeys(COUNTERS, 0)}
    assert world.points(Resolution.MINUTE) == []


@pytest.mark.parametrize("counter", COUNTERS)
def test_a_bump_moves_one_counter_and_its_points_alone(counter):
    world = World.still(["a", "b"], start=MONDAY)
    world.bump("a", counter, 7)
    assert world.totals() == {"a": {**dict.fromkeys(COUNTERS, 0), counter: 7}, "b": dict.fromkeys(COUNTERS, 0)}
    [point] = world.points(Resolution.MINUTE)
    assert {name: amount for name, amount in point.amounts.items() if amount and name in COUNTERS} == {counter: 7}
    assert len(world.violations()) == (7 if counter == "policy_violations" else 0)
    assert len(world.alerts()) == (7 if counter == "policy_alerts" else 0)


def test_counters_are_exact_above_every_machine_word():
    world = World.still(["a"], start=MONDAY)
    world.set_total("a", "tokens_in", 2**64)
    world.bump("a", "tokens_in", 2**70 + 1)
    assert world.totals()["a"]["tokens_in"] == 2**64 + 2**70 + 1
    assert world.points(Resolution.DAY)[0].amounts["tokens_in"] == 2**70 + 1


def test_a_total_can_be_set_lower_hidden_and_shown_again():
    world = World.still(["a"], start=MONDAY)
    world.set_total("a", "api_calls", 100)
    world.set_total("a", "api_calls", 90)
    assert world.totals()["a"]["api_calls"] == 90
    world.set_total("a", "api_calls", None)
    assert "api_calls" not in world.totals()["a"]
    world.set_total("a", "api_calls", 95)
    assert world.totals()["a"]["api_calls"] == 95


def test_a_reset_empties_the_totals_and_keeps_the_evidence():
    world = World.still(["a"], start=MONDAY)
    world.bump("a", "policy_violations", 3)
    world.reset("a")
    assert world.totals()["a"] == dict.fromkeys(COUNTERS, 0)
    assert len(world.violations()) == 3


def test_a_removed_configuration_is_gone_and_starts_anew_when_it_is_added_again():
    world = World.still(["a", "b"], start=MONDAY)
    world.bump("a", "policy_violations", 3)
    world.bump("a", "policy_alerts", 1)
    world.remove("a")
    assert list(world.totals()) == ["b"]
    assert (world.points(Resolution.MINUTE), world.violations(), world.alerts()) == ([], [], [])
    world.advance(MONDAY + timedelta(hours=1))
    world.add("a")
    assert world.totals()["a"]["policy_violations"] == 0
    assert world.configurations()[-1].created_at == MONDAY + timedelta(hours=1)


def test_acts_happen_at_the_time_of_the_clock_that_the_world_follows():
    world, now = World.still(["a"], start=MONDAY), [MONDAY]
    world.follow(lambda: now[0])
    now[0] = MONDAY + timedelta(hours=2, microseconds=1234)
    world.violate("a", 1, severity=None, block=True, explanation="<!channel> said so")
    [violation] = world.violations()
    assert violation.at == MONDAY + timedelta(hours=2, milliseconds=1)
    assert (violation.severity, violation.block, violation.explanation) == (None, True, "<!channel> said so")
    assert world.totals()["a"]["policy_blocks"] == 1


def test_a_configuration_is_found_by_its_name_too():
    world = World.still([Configuration("id-1", "support-chat")], start=MONDAY)
    world.bump("support-chat", "api_calls", 2)
    assert world.totals()["id-1"]["api_calls"] == 2


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        pytest.param(lambda world: world.bump("a", "violations", 1), "expected one of api_calls", id="no such counter"),
        pytest.param(lambda world: world.bump("x", "api_calls", 1), "none called 'x'", id="no such configuration"),
        pytest.param(lambda world: world.bump("a", "api_calls", -1), "0 or more", id="a bump backwards"),
        pytest.param(lambda world: world.set_total("a", "api_calls", -1), "0 or more", id="a total below zero"),
        pytest.param(lambda world: world.violate("a", 10**9), "100000 records", id="more evidence than memory"),
        pytest.param(lambda world: world.violate("a", policy="Nope"), "none named 'Nope'", id="no such policy"),
        pytest.param(lambda world: world.add("a"), "there already", id="a configuration twice"),
        pytest.param(lambda world: world.transfer("x"), "none called 'x'", id="no such bucket"),
        pytest.param(lambda world: Configuration("a", "a", people=()), "needs a model", id="nobody who calls"),
    ],
)
def test_a_wrong_act_says_what_is_wrong(act, problem):
    with pytest.raises((LookupError, ValueError), match=problem):
        act(World.still(["a"], start=MONDAY))


def test_threads_that_bump_at_once_lose_nothing():
    world = World.still(["a"], start=MONDAY)
    barrier = threading.Barrier(4)

    def bump_often() -> None:
        barrier.wait()
        for _ in range(250):
            world.bump("a", "policy_violations", 1)
            world.advance(world.now + timedelta(seconds=1))

    threads = [threading.Thread(target=bump_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.totals()["a"]["policy_violations"] == len(world.violations()) == 1000
    assert sum(point.amounts["policy_violations"] for point in world.points(Resolution.MINUTE)) == 1000


def test_latency_is_averaged_by_calls():
    world = World.still(["a"], start=MONDAY)
    world.bump("a", "tokens_in", 5)
    assert world.points(Resolution.MINUTE)[0].latency_ms == 0
    world.bump("a", "api_calls", 3)
    assert world.points(Resolution.MINUTE)[0].latency_ms == 850


def test_storage_is_counted_by_minute_and_by_day():
    bucket = Bucket("bucket-1", "files", Named("repo-1", "files"), "s3.example", bytes_per_minute=1000)
    world = World(start=MONDAY, buckets=[bucket])
    world.advance(MONDAY + timedelta(hours=2))
    by_minute, by_day = (world.storage_points(resolution) for resolution in Resolution)
    assert len(by_minute) >= 119
    assert sum(point.amounts["upload_bytes"] for point in by_minute) == by_day[0].amounts["upload_bytes"] > 0
    assert min(point.amounts["size_change_bytes"] for point in by_minute) < 0


def test_old_minutes_are_forgotten_and_days_are_kept():
    bucket = Bucket("bucket-1", "files", Named("repo-1", "files"), "s3.example", bytes_per_minute=1000)
    world = World(start=MONDAY, buckets=[bucket])
    world.advance(MONDAY + timedelta(days=5))
    assert len(world.storage_points(Resolution.MINUTE)) < 3 * 1440 + 120
    assert len(world.storage_points(Resolution.DAY)) == 6


# ---- the scenarios


@pytest.mark.parametrize("hour", [3, 13])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_burst_is_a_quarter_of_an_hour_on_one_configuration_at_any_time_of_day(seed, hour):
    start = MONDAY.replace(hour=hour)
    world = find_scenario(DEFAULT_SCENARIO).world(seed, start)
    world.advance(start + timedelta(minutes=30))
    leaks = [each.at - start for each in world.violations() if each.lane.configuration.name == "support-chat"]
    inside = [at for at in leaks if timedelta(minutes=3) <= at < timedelta(minutes=18)]
    assert len(inside) >= 25
    assert len(leaks) - len(inside) <= 3
    others = Counter(each.lane.configuration.name for each in world.violations())
    del others["support-chat"]
    assert all(count <= 3 for count in others.values())


def test_after_the_burst_something_milder_lasts_for_whoever_came_late():
    world = find_scenario("burst").world(1, MONDAY)
    world.advance(MONDAY + timedelta(hours=5))
    breaches = [each.at for each in world.violations() if each.lane.configuration.name == "sales-assistant"]
    quarters = Counter((at - MONDAY) // timedelta(minutes=15) for at in breaches)
    assert min(quarters[quarter] for quarter in range(2, 20)) > 5


def test_the_storm_breaches_hundreds_of_configurations_together():
    world = find_scenario("storm").world(1, MONDAY)
    world.advance(MONDAY + timedelta(minutes=13))
    breached = Counter(each.lane.configuration.id for each in world.violations())
    assert sum(count > 3 for count in breached.values()) >= 250


def test_the_budget_runs_away_within_two_hours_and_an_ordinary_day_stays_below():
    def tokens_spent(name: str, hours: int) -> int:
        world = find_scenario(name).world(1, MONDAY.replace(hour=8))
        before = sum(totals["tokens_in"] + totals["tokens_out"] for totals in world.totals().values())
        world.advance(MONDAY.replace(hour=8) + timedelta(hours=hours))
        return sum(totals["tokens_in"] + totals["tokens_out"] for totals in world.totals().values()) - before

    assert tokens_spent("budget", hours=2) > 50_000_000
    assert tokens_spent("outage", hours=10) < 30_000_000


def test_nothing_is_ever_broken_in_a_quiet_night():
    world = find_scenario("quiet-night").world(1, MONDAY)
    world.advance(MONDAY + timedelta(hours=6))
    assert world.violations() == []
    assert len(world.points(Resolution.MINUTE)) > 100


def test_history_comes_before_the_story_and_does_not_move_it():
    world = find_scenario("burst").world(1, MONDAY, history=timedelta(hours=3))
    world.advance(MONDAY)
    assert len({point.opened_at for point in world.points(Resolution.MINUTE)}) > 170
    world.advance(MONDAY + timedelta(minutes=18))
    assert sum(each.at >= MONDAY + 3 * MINUTE for each in world.violations()) >= 25


def test_every_scenario_can_be_told_from_its_name_and_its_sentence():
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.summary.endswith(".")
        assert len(scenario.world(1, MONDAY).configurations()) >= len(CATALOGUE)
    assert SCENARIOS["outage"].faults[0].status == 503
    with pytest.raises(UsageError, match="no scenario 'brust'; there are: burst, storm"):
        find_scenario("brust")


def test_configurations_keep_their_ids_whatever_the_seed():
    worlds = [find_scenario("burst").world(seed, MONDAY) for seed in (1, 2)]
    assert [each.id for each in worlds[0].configurations()] == [each.id for each in worlds[1].configurations()]
    assert identify("ai_llm", "support-chat") in worlds[0].totals()


def test_an_incident_keeps_to_its_seconds():
    start, end = MONDAY + timedelta(seconds=95), MONDAY + timedelta(seconds=155)
    incident = Incident("a", start, end, violations_per_minute=200.0)
    world = World([Configuration("a", "a")], start=MONDAY, incidents=[incident])
    world.advance(MONDAY + timedelta(minutes=5))
    assert 140 < len(world.violations()) < 260
    assert all(start <= violation.at < end for violation in world.violations())


def test_worlds_and_scenarios_need_no_web_server():
    program = "import sys; sys.modules['aiohttp'] = None; import alertbot.demo.flashback.scenarios"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
