"""Flow 1, Flashback → snapshots: what growth is counted, and what a poll that failed leaves untouched."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.domain.columns import Amount
from alertbot.domain.series import Odometers, first_sight, read_on
from alertbot.domain.snapshots import Configuration, Counter, Reading, Snapshot
from alertbot.errors import (
    FlashbackBusy,
    FlashbackError,
    FlashbackForbidden,
    FlashbackMissing,
    FlashbackRefused,
    FlashbackRejected,
    FlashbackUnavailable,
    FlashbackUnreadable,
)
from alertbot.flows.collect import FeedPoll, PollOutcome, collect
from alertbot.flows.count import apply
from alertbot.store import configurations, snapshots, sources
from alertbot.store.database import Database
from alertbot.store.recent import Recent
from alertbot.store.tables import metadata
from tests.builders import MINUTE, START, at, minutes
from tests.flows.scene import Scene, Written

WAYS_OF_FAILING = [
    FlashbackBusy("429", endpoint="/", retry_after=None),
    FlashbackForbidden("403", endpoint="/"),
    FlashbackMissing("404", endpoint="/"),
    FlashbackRefused("401", endpoint="/"),
    FlashbackRejected("success: false", endpoint="/"),
    FlashbackUnavailable("the answer was cut off", endpoint="/"),
    FlashbackUnreadable("stats[0]: expected an object, got a list", endpoint="/"),
]


def after(database: Database, drawn: Written, minute: float) -> dict[str, Amount | None]:
    return Scene(database, drawn).until(minute).grown()


def counter_resets(database: Database) -> list[str]:
    with database.reading() as tx:
        found = snapshots.resets_since(tx, ["acme"], START - MINUTE)
    return [f"{counter_reset.kind} {counter_reset.last}→{counter_reset.seen}" for counter_reset in found]


def contents(database: Database, *, without: str) -> dict[str, list[str]]:
    """Everything that is stored, but for one table."""
    with database.reading() as tx:
        return {
            name: sorted(map(str, tx.execute(sa.select(table)).all()))
            for name, table in metadata.tables.items()
            if name != without
        }


# --- what counts as growth


@pytest.mark.parametrize(
    ("drawn", "growth"),
    [
        pytest.param("5", 0, id="what was there at the very first reading is where counting begins"),
        pytest.param("5 5 7 7 12", 7, id="what came after the first reading is counted as it is"),
        pytest.param("5 _ _ 9", 4, id="a gap in polling loses nothing"),
        pytest.param("5 - - 9", 4, id="a configuration that was away goes on where it was"),
        pytest.param("5 7 - -", 2, id="a configuration that is away grows by 0"),
        pytest.param("5 ? ? 9", 4, id="a field that is missing is unknown, not 0"),
        pytest.param("? ? 9 11", 2, id="a field that is given late begins where it is"),
        pytest.param("5 8 1 2", 5, id="a reset that is believed at the second reading counts from 0"),
        pytest.param("5 8 1", 3, id="a fall is not believed at once"),
        pytest.param("5 8 1 9", 4, id="a stale answer is none: growth counts from the last good value"),
        pytest.param("1000 990 995 999", 4, id="a correction becomes the base and counts nothing"),
        pytest.param("9007199254740992 9007199254740993", 1, id="one more above 2^53"),
        pytest.param("9223372036854775807 9223372036854775808", 1, id="one more at 2^63"),
        pytest.param("18446744073709551615 18446744073709551617", 2, id="two more at 2^64"),
        pytest.param("3 100000000000000000000000000000000000003", 10**38, id="10^38 at once"),
    ],
)
def test_growth(database: Database, drawn: str, growth: int) -> None:
    assert after(database, drawn, len(drawn.split()) - 1) == {"llm-1": growth}


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        ("5 8 1 2", ["held 8→1", "reset 8→2"]),
        ("5 8 1 9", ["held 8→1", "recovered 8→9"]),
        ("1000 990 995 999", ["held 1000→990", "correction 1000→995"]),
    ],
)
def test_each_counter_reset_is_recorded_with_what_was_made_of_it(
    database: Database, drawn: str, told: list[str]
) -> None:
    Scene(database, drawn).until(3)
    assert counter_resets(database) == told


def test_a_counter_reset_waits_for_the_next_reading_also_over_restarts_and_missed_polls(database: Database) -> None:
    scene = Scene(database, "5 8 1 _ 2")
    for minute, growth in enumerate((0, 3, 3, 3, 5)):
        assert scene.until(minute).grown() == {"llm-1": growth}
        scene.restart()
    assert counter_resets(database) == ["held 8→1", "reset 8→2"]


def test_a_configuration_whose_calls_fell_was_reset_and_counts_from_0_at_once(database: Database) -> None:
    drawn = {"acme/llm-1": {"api_calls": "80 90 5", "policy_violations": "5 8 2"}}
    scene = Scene(database, drawn).until(2)
    assert scene.grown() == {"llm-1": 5}
    assert scene.grown(metric="api_calls") == {"llm-1": 15}


def test_the_counter_reset_of_one_configuration_touches_no_other(database: Database) -> None:
    drawn = {
        "acme/llm-1": {"api_calls": "80 90 5", "policy_violations": "5 8 2"},
        "acme/llm-2": {"api_calls": "80 90 95", "policy_violations": "5 8 11"},
    }
    assert after(database, drawn, 2) == {"llm-1": 5, "llm-2": 6}


def test_a_configuration_that_an_earlier_reading_did_not_list_counts_from_0(database: Database) -> None:
    assert after(database, {"acme/llm-1": "5 5 6", "acme/llm-2": "- 7 9"}, 2) == {"llm-1": 1, "llm-2": 9}


def test_a_configuration_that_appears_after_missed_polls_counts_from_0(database: Database) -> None:
    assert after(database, {"acme/llm-1": "5 _ 6", "acme/llm-2": "- _ 9"}, 2) == {"llm-1": 1, "llm-2": 9}


def test_a_source_that_listed_nothing_at_first_has_been_read_nevertheless(database: Database) -> None:
    assert after(database, {"acme/llm-1": "- 7"}, 1) == {"llm-1": 7}


def test_sources_are_counted_each_by_itself(database: Database) -> None:
    drawn = {"acme/llm-1": "5 6 7", "globex/llm-2": "_ 50 52"}
    assert after(database, drawn, 2) == {"llm-1": 2, "llm-2": 2}


amounts = st.integers(0, 12) | st.integers(0, 10**39 - 1)
totals = st.dictionaries(st.sampled_from([Counter.API_CALLS, Counter.POLICY_VIOLATIONS]), amounts)


@pytest.mark.parametrize("remembers", [False, True], ids=["over restarts", "in one process"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | totals, min_size=1, max_size=6))
def test_what_is_counted_is_what_the_plain_definition_counts(
    database: Database, remembers: bool, polls: list[Mapping[Counter, int] | None]
) -> None:
    with database.engine.connect() as tx:  # and it is rolled back, but for the numbers that were given out
        sources.register(tx, ["acme"])
        expected: Odometers | None = None
        claim = None
        recent = Recent()
        for minute, given_now in enumerate(polls):
            claim = sources.claim(tx, "acme", owner="one", interval=MINUTE, lease=MINUTE, now=at(minute), at_once=True)
            assert claim is not None
            found = () if given_now is None else (Snapshot("llm-1", given_now),)
            last = apply(tx, claim, Reading("acme", at(minute), found), recent=recent if remembers else None)
            assert last is not None
            recent.keep_last_reading(claim.source, last)
            if given_now is not None and expected is None:
                expected = first_sight(given_now, from_zero=minute > 0)
            elif given_now is not None and expected is not None:
                expected, _ = read_on(expected, given_now)
        assert claim is not None
        known = snapshots.known(tx, claim.source)
        assert (known["llm-1"].odometers if known else None) == expected


# --- names, and configurations that are made again


def described(name: str = "support-chat", *, made: float = -60, ai_llm: str = "llm-1") -> tuple[Configuration, ...]:
    return (Configuration(ai_llm, name, "OPENAI", "workspace-1", at(made)),)


def all_labels(database: Database) -> list[Mapping[str, str]]:
    with database.reading() as tx:
        return [member.labels for member in configurations.members(tx, ["acme"]).values()]


def labels_of(database: Database) -> Mapping[str, str]:
    (labels,) = all_labels(database)
    return labels


def name_of(database: Database) -> str:
    return labels_of(database)["name"]


def test_a_configuration_goes_by_its_id_until_its_name_can_be_read_and_keeps_it_then(database: Database) -> None:
    scene = Scene(database, "5 6 7 8")
    scene.players["acme"].described = {1: described("support-chat"), 3: described("support-bot")}
    names = [name_of(scene.until(minute).database) for minute in range(4)]
    assert names == ["llm-1", "support-chat", "support-chat", "support-bot"]
    assert scene.grown() == {"llm-1": 3}


def test_the_name_of_a_workspace_is_kept_where_it_does_not_come(database: Database) -> None:
    scene = Scene(database, "5 6 7 8")
    (plain,) = described()
    scene.players["acme"].described = {
        1: (replace(plain, workspace_name="Sales"),),
        2: (plain,),
        3: (replace(plain, workspace="workspace-2"),),
    }
    found = [labels_of(scene.until(minute).database) for minute in range(4)]
    assert [(one.get("workspace"), one.get("workspace_name")) for one in found] == [
        ("", None),
        ("workspace-1", "Sales"),
        ("workspace-1", "Sales"),
        ("workspace-2", None),
    ]


def test_the_name_of_a_workspace_holds_for_all_that_are_in_it(database: Database) -> None:
    """Also for one that is gone, and one that came while the names did not."""
    scene = Scene(database, {"acme/llm-1": "5 -", "acme/llm-2": "5", "acme/llm-3": "- - 7"})
    one, two, three = (described(ai_llm=f"llm-{number}")[0] for number in (1, 2, 3))
    scene.players["acme"].described = {
        0: (replace(one, workspace_name="Sales"), replace(two, workspace_name="Sales")),
        1: (replace(two, workspace_name="Revenue"),),
        2: (two, three),
    }
    assert {found["workspace_name"] for found in all_labels(scene.until(0).database)} == {"Sales"}
    assert {found["workspace_name"] for found in all_labels(scene.until(2).database)} == {"Revenue"}


def test_a_configuration_that_was_made_again_counts_from_0_whatever_it_says(database: Database) -> None:
    scene = Scene(database, "5 5 9")
    scene.players["acme"].described = {0: described(), 1: described(), 2: described(made=1.5)}
    assert scene.until(2).grown() == {"llm-1": 9}
    assert counter_resets(database) == ["reset 5→9"]


def test_a_configuration_that_was_made_again_counts_once_when_its_name_comes_late(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": {"api_calls": "90 90 2 8 30", "policy_violations": "50 50 1 3 10"}})
    scene.players["acme"].described = {0: described(), 4: described(made=1.5)}
    assert scene.until(4).grown() == {"llm-1": 10}


def test_a_configuration_that_was_made_again_while_it_was_away_counts_from_0(database: Database) -> None:
    scene = Scene(database, "5 - - 9")
    scene.players["acme"].described = {0: described(), 3: described(made=0.5)}
    assert scene.until(3).grown() == {"llm-1": 9}


def test_a_date_of_creation_that_comes_late_or_goes_back_is_no_new_configuration(database: Database) -> None:
    scene = Scene(database, "5 6 7 8")
    scene.players["acme"].described = {1: described(made=0.5), 2: described(made=-5), 3: described(made=0.5)}
    assert scene.until(3).grown() == {"llm-1": 3}


# --- polls that bring nothing


@pytest.mark.parametrize("error", WAYS_OF_FAILING, ids=lambda error: type(error).__name__)
def test_a_poll_that_fails_changes_nothing_but_that_it_failed(database: Database, error: FlashbackError) -> None:
    scene = Scene(database, "5 8 1 9").until(2)
    before = contents(database, without="sources")
    scene.players["acme"].errors[3] = error
    scene.now = at(3)
    assert scene.poll() is PollOutcome.FAILED
    assert contents(database, without="sources") == before
    with database.reading() as tx:
        state = sources.states(tx, scene.context.intervals)["acme"]
    assert (state.failing, state.error, state.read_at) == (True, error.lines[0], at(2))


def test_a_source_that_is_busy_is_left_alone_for_as_long_as_it_asks(database: Database) -> None:
    scene = Scene(database, "5 6")
    scene.players["acme"].errors[1] = FlashbackBusy("429", endpoint="/", retry_after=600)
    scene.until(1)
    asked = scene.players["acme"].asked
    for minute in (2, 5, 10.9):
        scene.now = at(minute)
        assert scene.poll() is PollOutcome.NOT_DUE
        assert scene.poll(at_once=True) is PollOutcome.NOT_DUE
        scene.restart()
    assert scene.players["acme"].asked == asked
    scene.now = at(11)
    assert scene.poll() is PollOutcome.READ


def test_a_source_that_is_busy_and_names_no_pause_is_left_alone_for_a_minute(database: Database) -> None:
    scene = Scene(database, "5", interval=timedelta(seconds=10))
    scene.players["acme"].errors[0] = FlashbackBusy("429", endpoint="/", retry_after=None)
    scene.act()
    scene.now = at(0.99)
    assert scene.poll() is PollOutcome.NOT_DUE
    scene.now = at(1)
    assert scene.poll() is PollOutcome.READ


def test_a_source_is_not_asked_before_it_is_due(database: Database) -> None:
    scene = Scene(database, "5 6").until(0.9)
    assert scene.poll() is PollOutcome.NOT_DUE
    assert scene.players["acme"].asked == 1
    assert scene.poll(at_once=True) is PollOutcome.READ


# --- readings that come too late or twice


@pytest.mark.parametrize("minute", [1.5, 2], ids=["an older one", "the same one again"])
def test_a_reading_that_is_not_newer_is_refused_and_counted(database: Database, minute: float) -> None:
    scene = Scene(database, "5 6 7 99").until(2)
    before = contents(database, without="sources")
    scene.now = at(minute)
    assert scene.poll(at_once=True) is PollOutcome.REFUSED
    assert contents(database, without="sources") == before
    with database.reading() as tx:
        assert tx.execute(sa.text("SELECT refused FROM sources")).scalar_one() == 1


@dataclass
class Stalled:
    """A reader whose answer takes so long that another process polls meanwhile."""

    scene: Scene
    meanwhile: list[PollOutcome] = field(default_factory=list)

    def read(self, last_at: datetime | None, /) -> tuple[tuple[Snapshot, ...], None]:
        self.scene.now += minutes(5)
        self.meanwhile.append(self.scene.poll())
        return (Snapshot("llm-1", {Counter.POLICY_VIOLATIONS: 6}),), None


@dataclass
class Busy:
    """A reader that is told after three minutes that the quota is used up."""

    scene: Scene

    def read(self, _last_at: datetime | None, /) -> tuple[tuple[Snapshot, ...], None]:
        self.scene.now += minutes(3)
        raise FlashbackBusy("429", endpoint="/", retry_after=120)


def test_an_answer_that_comes_after_another_process_took_over_is_refused(database: Database) -> None:
    scene = Scene(database, "5 6 7 8 9 10").until(0)
    stalled = Stalled(scene)
    feed_poll = FeedPoll("acme", MINUTE, 2 * MINUTE, stalled)
    assert collect(database, feed_poll, owner="stalled", now=at(1)) is PollOutcome.REFUSED
    assert stalled.meanwhile == [PollOutcome.READ]
    assert scene.grown() == {"llm-1": 5}


def test_the_pause_that_a_server_asks_for_begins_when_it_asks(database: Database) -> None:
    scene = Scene(database, "5 6 7 8 9 10 11").until(0)
    scene.now = at(1)
    feed_poll = FeedPoll("acme", MINUTE, 9 * MINUTE, Busy(scene))
    assert collect(database, feed_poll, owner="me", now=at(1), clock=lambda: scene.now) is PollOutcome.FAILED
    assert scene.now == at(4)
    for minute, polled in ((5.9, PollOutcome.NOT_DUE), (6, PollOutcome.FAILED)):
        assert collect(database, feed_poll, owner="me", now=at(minute)) is polled


def test_two_processes_on_one_database_poll_a_source_once_an_interval(database: Database) -> None:
    one, two = Scene(database, "5 6 7"), Scene(database, "5 6 7")
    two.owner = "process of the other replica"
    for minute in (0, 0.5, 1, 1.5, 2):
        for replica in (one, two):
            replica.now = at(minute)
            replica.poll()
    assert one.players["acme"].asked + two.players["acme"].asked == 3
