"""Flow 2, snapshots → alerts: every reading is judged once, in order, as of its own time, whatever happens to the bot."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any, cast

import pytest
import sqlalchemy as sa

from alertbot.domain.alerts import State
from alertbot.domain.notifications import NotificationKind
from alertbot.domain.rules import Comparison, Levels, Period, Rule, Severity
from alertbot.errors import FlashbackBusy, StoreError
from alertbot.flows.evaluate import evaluate
from alertbot.store import migrate, outbox, sources
from alertbot.store.database import Database
from tests.builders import absence, at, budget, minutes, only, rule, threshold
from tests.flows.scene import AT_ONCE, LEADS, Scene, Written
from tests.store.racing import in_threads

BURST = rule(threshold(window="2m", above=5))
BURST_ENDS = "0 9"  # in the window from minute 1 to 2, out of it at minute 3
LEVELS = rule(threshold(window="3m", above={"warning": 5, "critical": 20}))
EVERYTHING = replace(BURST, name="everything", per="all")
# Of the same identity as BURST: one has no level to judge by, the other raises only where there is a value to be judged.
BROKEN = rule(replace(threshold(window="2m", above=5), levels=Levels(Comparison.ABOVE, ())))
BROKEN_BY_A_VALUE = rule(
    replace(
        threshold(window="2m", above=5), levels=Levels(Comparison.ABOVE, ((Severity.WARNING, cast("Any", "five")),))
    )
)


def named(name: str, of: Rule = BURST) -> Rule:
    return replace(of, name=name)


# --- from firing to resolved


def test_an_alert_fires_at_the_reading_that_shows_it_and_resolves_at_the_one_that_no_longer_does(
    database: Database,
) -> None:
    scene = Scene(database, BURST_ENDS, BURST).until(5)
    assert scene.changes() == [
        "1 none → firing: the condition became true",
        "3 firing → resolved: the condition ended",
    ]
    assert scene.heard() == ["1 first", "3 resolved"]
    (alert,) = scene.alerts()
    assert (alert.started_at, alert.resolved_at, alert.peak) == (at(1), at(3), Fraction(9))


def test_what_fires_again_is_another_alert(database: Database) -> None:
    scene = Scene(database, "0 9 9 9 18", BURST).until(4)
    assert [alert.state for alert in scene.alerts()] == [State.RESOLVED, State.FIRING]
    assert scene.heard() == ["1 first", "3 resolved", "4 first"]


def test_an_alert_waits_for_as_long_as_its_rule_says(database: Database) -> None:
    scene = Scene(database, "0 9 18 27 27", replace(BURST, hold=minutes(2))).until(2)
    assert scene.standing() == ["llm-1 pending warning 18"]
    assert scene.heard() == []
    assert scene.until(3).standing() == ["llm-1 firing warning 18"]


def test_what_was_pending_and_ended_was_never_an_alert(database: Database) -> None:
    scene = Scene(database, BURST_ENDS, replace(BURST, hold=minutes(5))).until(4)
    assert scene.changes()[-1] == "3 pending → none: false before its `for` was over"
    assert scene.heard() == []
    assert scene.slack.calls == []


def test_an_alert_rises_and_falls_in_place_and_only_the_rise_is_heard(database: Database) -> None:
    scene = Scene(database, "0 6 25", LEVELS).until(5)
    assert scene.changes() == [
        "1 none → firing: the condition became true",
        "2 firing → firing: the severity rose",
        "4 firing → firing: the severity fell",
        "5 firing → resolved: the condition ended",
    ]
    assert scene.heard() == ["1 first", "2 rise", "5 resolved"]
    (alert,) = scene.alerts()
    assert (alert.number, alert.peak) == (1, Fraction(25))


def test_growth_across_a_gap_fires_when_it_is_seen_and_says_so(database: Database) -> None:
    scene = Scene(database, "0 0 _x4 9", BURST).until(6)
    (alert,) = scene.alerts(State.FIRING)
    assert alert.started_at == at(6)
    assert alert.note == "seen across a gap of 5 min"


def test_a_counter_that_was_never_reported_makes_no_alert(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": {"api_calls": "0 9 18"}}, BURST).until(2)
    assert scene.alerts() == []


# --- each reading once, in order, as of its own time


def test_readings_that_nobody_judged_are_judged_later_as_of_their_own_time(database: Database) -> None:
    scene = Scene(database, "0 9 9 9 9 18", BURST)
    scene.is_evaluating = False
    scene.until(6).restart()
    scene.is_evaluating = True
    assert scene.act().changes() == [
        "1 none → firing: the condition became true",
        "3 firing → resolved: the condition ended",
        "5 none → firing: the condition became true",
    ]
    assert scene.heard() == ["1 first", "3 resolved", "5 first"]


def test_a_reading_is_judged_once_by_whoever_comes_first(database: Database) -> None:
    scene = Scene(database, BURST_ENDS, BURST).until(1)
    before = scene.changes()
    for _ in range(3):
        assert evaluate(database, scene.context, now=scene.now) == 0
        scene.restart()
    assert scene.changes() == before


def test_processes_that_evaluate_at_the_same_time_judge_each_reading_once(database: Database) -> None:
    drawn = {f"acme-{place}/llm-1": "0 9 9 9" for place in range(4)}
    scene = Scene(database, drawn, named("own"), EVERYTHING, routes=[replace(AT_ONCE, group_by=("rule",))])
    scene.is_evaluating = scene.is_sending = False
    scene.until(3)
    judged = in_threads(3, lambda _: evaluate(database, replace(scene.context), now=at(3)))
    assert sum(cast("list[int]", judged)) == 4 * 4
    assert scene.heard() == ["1 first", "1 first", "3 resolved", "3 resolved"]
    assert [alert.state for alert in scene.alerts()] == [State.RESOLVED] * 5


def test_readings_of_several_sources_are_judged_in_the_order_in_which_they_were_taken(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 9", "globex/llm-2": "0 0 9"}, named("own"), EVERYTHING)
    scene.is_evaluating = False
    scene.until(5)
    scene.is_evaluating = True
    assert scene.act().changes() == [
        "1 none → firing: the condition became true",  # acme's own
        "1 none → firing: the condition became true",  # over everything
        "2 none → firing: the condition became true",  # globex's own
        "3 firing → resolved: the condition ended",  # acme's own
        "4 firing → resolved: the condition ended",  # globex's own
        "4 firing → resolved: the condition ended",  # over everything
    ]


SCENES = {
    "a burst that ends": (BURST_ENDS, BURST),
    "one that is kept firing": ("0 9 9 9 9 9 9", replace(BURST, keep_firing=minutes(2))),
    "one that waits": ("0 9 18 27 27", replace(BURST, hold=minutes(2))),
    "levels": ("0 6 25 25 25 25", LEVELS),
    "missed polls and a reset": ("9 _ 20 3 4 _ 30", BURST),
    "a budget": ("0 30 85 90 130", rule(budget(Period.DAY))),
}


@pytest.mark.parametrize(("drawn", "judged"), SCENES.values(), ids=SCENES.keys())
def test_a_process_that_is_killed_after_every_reading_makes_no_difference(
    database: Database, drawn: str, judged: Rule
) -> None:
    scene = Scene(database, drawn, judged)
    for minute in range(8):
        scene.until(minute).restart()
    killed = (scene.changes(), scene.heard(), scene.slack.calls)
    with database.transaction() as tx:
        for table in ("memberships", "decisions", "outbox", "groups", "transitions", "alerts", "sources"):
            tx.execute(sa.text(f"DELETE FROM {table}"))
    undisturbed = Scene(database, drawn, judged).until(7)
    assert (undisturbed.changes(), undisturbed.heard(), undisturbed.slack.calls) == killed


# --- polls that brought nothing


def test_polls_that_fail_end_no_alert_and_start_none(database: Database) -> None:
    scene = Scene(database, "0 9 _x5 9", BURST).until(6)
    assert scene.standing() == ["llm-1 firing warning 9"]
    assert scene.heard() == ["1 first"]
    assert scene.until(7).heard() == ["1 first", "7 resolved"]


def test_what_waits_goes_on_waiting_while_polls_fail(database: Database) -> None:
    scene = Scene(database, "0 9 _ _ 18", replace(BURST, hold=minutes(2))).until(3)
    assert scene.standing() == ["llm-1 pending warning 9"]
    assert scene.until(4).standing() == ["llm-1 firing warning 9"], "true on both sides of what was missed"


def test_where_one_source_cannot_be_read_nothing_is_said_over_everything(database: Database) -> None:
    drawn = {"acme/llm-1": "0 0 9 9 9 9 9 9", "globex/llm-2": "0 _ _ _ _ 0"}
    scene = Scene(database, drawn, named("own"), EVERYTHING).until(4)
    assert [(alert.rule, alert.state) for alert in scene.alerts()] == [("own", State.RESOLVED)]
    assert scene.until(5).alerts(State.FIRING) == [], "by then the growth is out of the window"


def test_an_alert_over_everything_stays_as_it_is_while_one_source_cannot_be_read(database: Database) -> None:
    drawn = {"acme/llm-1": "0 9", "globex/llm-2": "0 0 _x6 0"}
    scene = Scene(database, drawn, EVERYTHING).until(7)
    assert scene.standing() == ["all firing warning 9"]
    assert scene.until(8).standing() == []


def test_what_is_judged_over_everything_never_goes_back_in_time(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 0", "globex/llm-2": "0 9"}, EVERYTHING, interval=timedelta(seconds=10))
    scene.act()
    scene.is_feed_poll = False
    moment = at(1 / 6)
    # The poll of acme begins before that of globex, and ends after it was evaluated.
    for name, later in (("globex", 2), ("acme", 0)):
        scene.now = moment + timedelta(seconds=later)
        scene.poll(name, at_once=True)
        scene.now = moment + timedelta(seconds=5)
        scene.act()
    assert scene.standing() == ["all firing warning 9"]
    assert len(scene.changes()) == 1


# --- blindness


def blind(database: Database, drawn: Written) -> Scene:
    return Scene(database, drawn, blind_after=minutes(5))


def test_a_source_is_blind_at_exactly_its_time_and_sees_again_with_the_next_good_reading(database: Database) -> None:
    scene = blind(database, "0 0 _x8 0").until(5.99)
    assert scene.alerts() == []
    (alert,) = scene.until(6).alerts(State.FIRING)
    assert (alert.rule, alert.severity, alert.started_at) == ("source-blind", Severity.WARNING, at(6))
    assert alert.labels["builtin"] == "true"
    assert scene.heard() == ["6 first"]
    assert scene.until(10).heard() == ["6 first", "10 resolved"]


def test_a_source_that_was_never_read_is_blind_too(database: Database) -> None:
    scene = blind(database, "_x10 0").until(4.9)
    assert scene.alerts() == []
    assert scene.until(5).heard() == ["5 first"]


def test_each_source_is_blind_for_itself(database: Database) -> None:
    scene = blind(database, {"acme/llm-1": "0 _x9", "globex/llm-2": "0 1 2 3"}).until(6)
    assert [alert.labels["source"] for alert in scene.alerts(State.FIRING)] == ["acme"]


def test_a_source_is_not_blind_because_nobody_polled_it(database: Database) -> None:
    scene = blind(database, "0 0").until(1)
    scene.is_feed_poll = False
    scene.until(600).restart()
    assert scene.alerts() == []
    scene.is_feed_poll = True
    scene.until(605)
    assert scene.alerts() == []


def test_after_a_stop_a_source_is_blind_only_when_it_was_asked_in_vain_for_long_enough(database: Database) -> None:
    scene = blind(database, "0 0 _").until(1)
    scene.is_feed_poll = scene.is_evaluating = False
    scene.until(59.5).restart()
    scene.is_evaluating = True
    scene.act()  # the first evaluation may come before the first poll
    scene.is_feed_poll = True
    assert scene.until(64.9).alerts() == []
    assert [alert.started_at for alert in scene.until(65).alerts(State.FIRING)] == [at(65)]


def test_a_source_that_was_blind_before_a_stop_is_blind_after_it_and_nobody_hears_of_it_again(
    database: Database,
) -> None:
    scene = blind(database, "0 0 _").until(7)
    scene.is_feed_poll = scene.is_evaluating = False
    scene.until(59.5).restart()
    scene.is_feed_poll = scene.is_evaluating = True
    assert scene.until(61).heard() == ["6 first"]
    assert [alert.number for alert in scene.alerts(State.FIRING)] == [1]


def test_a_source_that_asks_for_a_long_pause_is_blind_all_the_same_and_stays_so(database: Database) -> None:
    scene = blind(database, "0 0 _")
    scene.players["acme"].errors[1] = FlashbackBusy("429", endpoint="/", retry_after=600)
    assert scene.until(4.9).alerts() == []
    scene.until(13)
    assert scene.changes() == ["5 none → firing: the condition became true"]


def test_a_rule_about_readings_that_a_person_wrote_is_judged_by_the_clock_too(database: Database) -> None:
    scene = Scene(database, "0 0 _", rule(absence(metric=None, window="3m"), per="source")).until(3.9)
    assert scene.alerts() == []
    assert scene.until(4).heard() == ["4 first"]


# --- rules that raise


def test_a_rule_that_raises_stops_no_other_and_is_told_once(database: Database) -> None:
    drawn = {"acme/llm-1": BURST_ENDS, "globex/llm-2": "0 0 9"}
    scene = Scene(database, drawn, named("broken", BROKEN), BURST)
    for minute in range(5):
        scene.until(minute).restart()
    assert scene.heard() == ["1 first", "2 first", "3 resolved", "4 resolved"]
    (line,) = scene.told_operators()
    assert line.startswith("The rule broken cannot be evaluated (IndexError)")
    assert len(scene.slack.posted("#bots")) == 1


def test_a_rule_whose_needs_cannot_even_be_told_stops_no_other(database: Database) -> None:
    unheard_of = named("unheard of", rule(threshold("no_such_metric", above=5)))
    nowhere = named("nowhere", rule(budget(timezone="Atlantis/Atlantis")))
    scene = Scene(database, BURST_ENDS, unheard_of, nowhere, BURST).until(3)
    assert scene.heard() == ["1 first", "3 resolved"]
    assert [line.split(" cannot")[0] for line in scene.told_operators()] == ["The rule unheard of", "The rule nowhere"]


def test_the_alerts_of_a_rule_that_raises_stay_as_they_are(database: Database) -> None:
    scene = Scene(database, BURST_ENDS, BURST).until(1)
    scene.restart(rules=[BROKEN]).until(6)
    assert scene.standing() == ["llm-1 firing warning 9"]
    scene.restart(rules=[BURST]).until(7)
    assert scene.heard() == ["1 first", "7 resolved"]


def test_a_rule_that_raises_again_after_it_was_mended_is_told_again(database: Database) -> None:
    scene = Scene(database, BURST_ENDS, BROKEN).until(1)
    for minute, rules in ((2, [BURST]), (3, [BROKEN]), (4, []), (5, [BROKEN])):
        scene.restart(rules=rules).until(minute)
    assert len(scene.told_operators()) == 3


def test_a_rule_that_raises_for_one_source_only_is_told_once(database: Database) -> None:
    # Of globex the counter was never reported: nothing is judged there, and nothing raises.
    drawn: Written = {"acme/llm-1": "0 9 9 18", "globex/llm-2": {"api_calls": "0 1 2 3"}}
    scene = Scene(database, drawn, BROKEN_BY_A_VALUE).until(5)
    assert len(scene.told_operators()) == 1


# --- rules that change


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        pytest.param([], "rule removed", id="removed"),
        pytest.param([replace(BURST, enabled=False)], "rule removed", id="disabled"),
        pytest.param([rule(threshold("api_calls", window="2m", above=5))], "rule changed", id="another metric"),
        pytest.param([replace(BURST, per="source")], "rule changed", id="counted by another dimension"),
    ],
)
def test_a_rule_that_is_gone_or_became_another_one_closes_its_alerts(
    database: Database, rules: list[Rule], reason: str
) -> None:
    scene = Scene(database, "0 9 18 27", BURST).until(1)
    scene.restart(rules=rules).until(1.5)
    assert f"1.5 firing → resolved: {reason}" in scene.changes()
    assert "1.5 resolved" in scene.heard()


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param(replace(BURST, description="another"), id="description"),
        pytest.param(rule(threshold(window="2m", above=7)), id="threshold"),
        pytest.param(rule(threshold(window="3m", above=5)), id="window"),
        pytest.param(replace(BURST, labels={"team": "risk"}), id="labels"),
        pytest.param(replace(BURST, hold=minutes(9)), id="for"),
    ],
)
def test_a_rule_that_was_edited_keeps_its_alerts_and_says_nothing_again(database: Database, edited: Rule) -> None:
    scene = Scene(database, "0 9 18 27", BURST).until(2)
    scene.restart(rules=[edited]).until(3)
    assert scene.heard() == ["1 first"]
    assert [alert.number for alert in scene.alerts()] == [1]


def test_a_route_that_was_edited_says_nothing_again(database: Database) -> None:
    scene = Scene(database, "0 9 18 27 27 27", BURST).until(1)
    by_another = replace(AT_ONCE, group_by=("rule",), mention=("@here",))
    scene.restart(routes=[by_another]).until(2)
    scene.restart(routes=[replace(AT_ONCE, channel=LEADS)]).until(3)
    assert scene.heard() == ["1 first"]
    assert len(scene.slack.messages) == 1
    assert scene.until(5).heard() == ["1 first", "5 resolved"]


def test_what_a_rule_no_longer_selects_is_closed_at_the_next_reading(database: Database) -> None:
    scene = Scene(database, "0 9 18 27", BURST).until(1)
    scene.restart(rules=[replace(BURST, where=only(ai_llm="other-*"))]).until(2)
    assert scene.changes()[-1] == "2 firing → resolved: the rule no longer selects it"


def test_the_alerts_of_a_source_that_is_watched_no_more_are_closed(database: Database) -> None:
    scene = Scene(database, {"acme/llm-1": "0 9 18", "globex/llm-2": "0 0"}, BURST).until(1)
    del scene.players["acme"]
    scene.context = replace(scene.context, intervals={"globex": scene.interval})
    assert scene.until(2).changes()[-1] == "2 firing → resolved: the rule no longer selects it"


def test_what_waited_under_a_rule_that_is_gone_ends_unheard(database: Database) -> None:
    scene = Scene(database, "0 9", replace(BURST, hold=minutes(9))).until(1)
    scene.restart(rules=[]).until(1.5)
    assert scene.changes()[-1] == "1.5 pending → none: rule removed"
    assert scene.heard() == []


# --- all of it, or nothing


def test_a_transaction_that_fails_leaves_neither_alert_nor_notification_and_is_made_up_for(
    empty_database: Database,
) -> None:
    migrate.upgrade(empty_database)
    scene = Scene(empty_database, "0 9", BURST).until(0)
    with empty_database.transaction() as tx:
        tx.execute(sa.text("ALTER TABLE outbox RENAME TO lost"))
    scene.now = at(1)
    scene.poll()
    with pytest.raises((sa.exc.DBAPIError, StoreError)):
        evaluate(empty_database, scene.context, now=at(1))
    with empty_database.transaction() as tx:
        for table in ("alerts", "transitions", "groups", "decisions", "lost"):
            assert tx.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one() == 0, table
        assert sources.pending_evaluation(tx, ["acme"]) == ["acme"]
        tx.execute(sa.text("ALTER TABLE lost RENAME TO outbox"))
    evaluate(empty_database, scene.context, now=at(1))
    assert (scene.changes(), scene.heard()) == (["1 none → firing: the condition became true"], ["1 first"])


def test_the_notification_is_there_when_the_alert_is(database: Database) -> None:
    scene = Scene(database, "0 9", BURST)
    scene.is_sending = False
    scene.until(1)
    with database.reading() as tx:
        assert outbox.depth(tx)[0] == 1
        ((_, notification),) = outbox.sent_notifications(tx)
    assert (notification.kind, notification.about) == (NotificationKind.FIRST, (1,))
