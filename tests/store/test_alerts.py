"""Alerts and what people did to them: kept as they are, one open a series, and never overwritten by somebody who is late."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import pytest
from sqlalchemy.exc import IntegrityError

from alertbot.domain.alerts import Action, ActionType, Alert, Outcome, Reason, State, Transition
from alertbot.domain.rules import Severity
from alertbot.errors import StoreError
from alertbot.store import alerts
from alertbot.store.database import Database
from tests.builders import START, alert_of, at
from tests.store.racing import until_waiting

FIRED = alert_of(State.FIRING)
WHOLE = replace(
    FIRED,
    labels={"source": "acme", "ai_llm": "llm-1", "name": 'support "chat" – 🤖', "team": ""},
    value=Fraction(2**64 + 1),
    peak=Fraction(10**38),
    threshold=Fraction(1, 50),
    keeping_since=at(3),
    baseline_at=at(-5),
    note="seen across a gap of 58 min",
    period=at(60),
    notified_severity=Severity.CRITICAL,
    acknowledged_by="U1",
    acknowledged_at=at(2.5),
    snoozed_until=at(9),
    assigned_to="U2",
)


def save(database: Database, alert: Alert, reason: Reason = Reason.BECAME_TRUE, *, minute: float = 0) -> Alert:
    with database.transaction() as tx:
        (saved,) = alerts.save(tx, [Transition(alert, State.NONE, reason, at(minute))])
    return saved.alert


def ended(alert: Alert) -> Alert:
    return replace(alert, state=State.RESOLVED, resolved_at=at(5))


def test_an_alert_comes_back_as_it_went(database: Database) -> None:
    saved = save(database, WHOLE)
    assert saved == replace(WHOLE, number=saved.number, version=1)
    with database.reading() as tx:
        assert alerts.by_numbers(tx, [saved.number]) == [saved]
        assert alerts.by_numbers(tx, [saved.number + 1]) == []


def test_there_is_one_open_alert_a_rule_and_series(database: Database) -> None:
    first = save(database, FIRED)
    with pytest.raises(StoreError, match="at the same time"):
        save(database, alert_of(State.PENDING))
    save(database, replace(FIRED, series="acme/llm-2"))
    save(database, replace(FIRED, identity="rate/tokens/ai_llm"))
    save(database, ended(first))
    assert save(database, FIRED).number > first.number


def test_whoever_changes_an_alert_that_was_changed_meanwhile_changes_nothing(database: Database) -> None:
    known = save(database, FIRED)
    other = replace(FIRED, series="acme/llm-2")
    save(database, replace(known, note="by the first"))
    with pytest.raises(StoreError, match=f"alert A{known.number} was changed"), database.transaction() as tx:
        alerts.save(
            tx,
            [
                Transition(other, State.NONE, Reason.BECAME_TRUE, START),
                Transition(replace(known, note="by the second"), State.FIRING, Reason.ROSE, START),
            ],
        )
    with database.reading() as tx:
        assert [alert.note for alert in alerts.open_ones(tx, now=START)] == ["by the first"]


def test_open_alerts_are_those_that_wait_or_fire_and_what_a_budget_said_in_its_period(database: Database) -> None:
    resolved = replace(ended(FIRED), series="resolved")
    budget = replace(ended(FIRED), series="budget", period=at(60))
    for alert in (FIRED, replace(alert_of(State.PENDING), series="pending"), resolved, budget):
        save(database, alert)

    def open_at(minute: float) -> list[str]:
        with database.reading() as tx:
            return [alert.series for alert in alerts.open_ones(tx, now=at(minute))]

    assert open_at(60) == [FIRED.series, "pending", "budget"]
    assert open_at(60.1) == [FIRED.series, "pending"]


def test_each_change_is_kept_with_its_reason_and_a_mere_value_is_not(database: Database) -> None:
    known = save(database, FIRED)
    with database.transaction() as tx:
        (seen,) = alerts.save(
            tx,
            [Transition(replace(known, value=Fraction(7)), State.FIRING, Reason.STILL_TRUE, at(1), is_change=False)],
        )
        alerts.save(tx, [Transition(ended(seen.alert), State.FIRING, Reason.ENDED, at(5))])
        changes = alerts.changes_of(tx, "rule", FIRED.series, until=at(5))
        assert [(change.at, change.before, change.after, change.reason) for change in changes] == [
            (at(5), State.FIRING, State.RESOLVED, Reason.ENDED.value),
            (at(0), State.NONE, State.FIRING, Reason.BECAME_TRUE.value),
        ]
        assert len(alerts.changes_of(tx, "rule", FIRED.series, until=at(4.9))) == 1


def test_alerts_are_counted_by_state_and_severity(database: Database) -> None:
    for series, severity in (("1", Severity.WARNING), ("2", Severity.WARNING), ("3", Severity.CRITICAL)):
        save(database, replace(FIRED, series=series, severity=severity))
    save(database, replace(alert_of(State.PENDING), series="4"))
    save(database, replace(ended(FIRED), series="5"))
    with database.reading() as tx:
        assert alerts.counts(tx) == {
            (State.FIRING, Severity.WARNING): 2,
            (State.FIRING, Severity.CRITICAL): 1,
            (State.PENDING, Severity.WARNING): 1,
        }
        assert [alert.series for alert in alerts.listed(tx, states=[State.FIRING], limit=2)] == ["3", "2"]


def test_the_same_act_on_the_same_alert_is_remembered_once(database: Database) -> None:
    one, other = save(database, FIRED), save(database, replace(FIRED, series="acme/llm-2"))
    act = Action(ActionType.SNOOZE, "U1", START, "click 1", until=at(30))
    with database.transaction() as tx:
        alerts.record_action(tx, act, [(one, Outcome.DONE)])
        assert alerts.already_acted_on(tx, "click 1", [one.number, other.number]) == {one.number}
        alerts.record_action(tx, act, [(other, Outcome.DONE)])  # a click on a message is one on each of its alerts
        assert alerts.already_acted_on(tx, "click 1", [one.number, other.number]) == {one.number, other.number}
        assert alerts.already_acted_on(tx, "click 2", [one.number]) == set()
    with pytest.raises(IntegrityError), database.transaction() as tx:
        alerts.record_action(tx, act, [(one, Outcome.ALREADY)])


def test_a_person_and_the_evaluation_change_an_alert_one_after_the_other(postgres: Database) -> None:
    number = save(postgres, FIRED).number

    def acknowledge() -> Alert:
        with postgres.transaction() as tx:
            (alert,) = alerts.by_numbers(tx, [number], lock=True)
            return alerts.save_action_results(tx, [replace(alert, acknowledged_by="U1")])[0]

    with ThreadPoolExecutor(1) as pool:
        with postgres.transaction() as tx:
            (alert,) = alerts.open_ones(tx, now=START)
            person = pool.submit(acknowledge)
            until_waiting(postgres)
            alerts.save(tx, [Transition(replace(alert, note="seen"), State.FIRING, Reason.STILL_TRUE, START)])
        assert person.result(30).note == "seen"


def test_an_act_on_what_somebody_else_has_changed_meanwhile_counts_for_none_of_its_alerts(database: Database) -> None:
    one, other = save(database, FIRED), save(database, replace(FIRED, series="acme/llm-2"))
    taken = [replace(alert, acknowledged_by="U1") for alert in (one, other)]
    save(database, replace(other, note="seen"))
    with pytest.raises(StoreError, match="changed by another process"), database.transaction() as tx:
        alerts.save_action_results(tx, taken)
    with database.reading() as tx:
        assert [alert.acknowledged_by for alert in alerts.by_numbers(tx, [one.number, other.number])] == ["", ""]
