"""What a soak counts: nothing that people did not hear goes unnoticed, and nothing that they heard twice."""

from benchmarks.soak_ledger import (
    CLOCK_WAS_WRONG,
    LINGERS,
    Asked,
    Bump,
    Deed,
    Gap,
    Ledger,
    Outcome,
    Said,
    drawn,
    judge,
    judge_the_load,
    parse,
)

OVER = ":white_check_mark: *Resolved*: 1,017 violations in 20 s on config-7 (acme)"


def said(
    amount: int = 6, *, alert: int = 1, ts: str = "1.0", is_over: bool = True, lines: tuple[str, ...] = ()
) -> Said:
    numbered = tuple((f"{number}.0", line) for number, line in enumerate(lines, start=2))
    return Said(ts, "config-7", amount, alert, "1", is_over, numbered)


def judged(*found: Said, explained: str = "", deeds: tuple[Deed, ...] = ()) -> Outcome:
    return judge([Bump("config-7", 6, 0.0)], found, deeds, lambda _: explained)


def test_a_message_is_recognised_by_its_configuration_and_its_number() -> None:
    found = parse(OVER, "Rule violation-burst · A12 · G3", ts="5.0", notification="9")
    assert found == Said("5.0", "config-7", 1017, 12, "9", is_over=True)
    assert parse("acme has not been polled", "", ts="5.0", notification="9") is None


def test_what_was_told_once_and_has_ended_is_well() -> None:
    outcome = judged(said())
    assert (outcome.told, outcome.lost, outcome.wrong) == (1, 0, [])


def test_what_nobody_was_told_is_lost_also_where_another_number_was_told() -> None:
    assert judged().wrong == ["lost: 6 violations on config-7"]
    assert judged(said(7)).wrong == [
        "lost: 6 violations on config-7",
        "told, but never happened: 7 violations on config-7 (A1)",
    ]


def test_what_was_told_twice_is_wrong_unless_the_logs_say_why() -> None:
    assert judged(said(), said(ts="9.0")).wrong == ["posted twice: 6 violations on config-7 (notices 1 and 1)"]
    explained = judged(said(), said(ts="9.0"), explained="no scope")
    assert (explained.duplicates, explained.wrong) == ({"no scope": 1}, [])
    assert judged(said(lines=("Resolved", "Resolved"))).wrong != []
    assert judged(said(), said(alert=2), explained=CLOCK_WAS_WRONG).wrong == []
    assert judged(said(), said(alert=2), explained="no scope").wrong == [
        "told as several alerts: 6 violations on config-7 (A1, A2)"
    ]


def test_what_has_not_ended_in_slack_is_wrong() -> None:
    assert judged(said(is_over=False)).wrong == ["not ended in Slack: 6 violations on config-7"]


def test_an_act_that_was_acknowledged_and_not_kept_is_lost() -> None:
    outcome = judged(said(), deeds=(Deed("U1", "acknowledged", "kept"), Deed("U2", "acknowledged", "lost")))
    assert outcome.wrong == ["lost: U2 acknowledged"]
    assert "lost: U2 acknowledged" in drawn("a soak", [("faults", 3)], outcome)


def test_how_long_people_wait_is_measured_only_where_no_fault_is_near() -> None:
    now = [100.0]
    ledger = Ledger(lambda: now[0])
    ledger.bumped("config-1", 6)
    now[0] += 2
    ledger.heard("config-1", 6, is_over=False)
    ledger.bumped("config-2", 6)
    with ledger.fault("kill -9"):
        ledger.heard("config-2", 6, is_over=True)
    ledger.bumped("config-3", 6)
    ledger.heard("config-3", 6, is_over=True)
    now[0] += LINGERS
    ledger.bumped("config-4", 6)
    assert [bump.in_calm for bump in ledger.bumps] == [True, False, False, True]
    assert ledger.bumps[0].told_after == 2
    assert ledger.idle(["config-1", "config-2", "config-3"]) == ["config-2", "config-3"]
    assert ledger.waiting == 2


def test_a_source_that_waited_for_two_intervals_is_late_unless_a_fault_was_near() -> None:
    now = [1000.0]
    ledger = Ledger(lambda: now[0])
    with ledger.fault("SIGSTOP"):
        now[0] += 10
    read_at = [900.0, 903.0, 914.0, 1003.0, 1030.0]
    assert ledger.gap("acme", 5.0, read_at, since=898.0, until=1040.0) == Gap("acme", 5.0, longest=89.0, in_calm=11.0)
    never = ledger.gap("globex", 5.0, [], since=1030.0, until=1060.0)
    assert never == Gap("globex", 5.0, longest=30.0, in_calm=30.0), "also where it was never read"
    outcome = Outcome()
    judge_the_load(outcome, [Gap("acme", 5.0, longest=89.0, in_calm=9.0), never], [])
    assert outcome.wrong == ["not read for 30.0 s without faults: globex, every 5 s"]


def test_whatever_is_not_acknowledged_in_time_is_wrong_unless_a_fault_was_near() -> None:
    now = [1000.0]
    ledger = Ledger(lambda: now[0])
    with ledger.fault("kill -9"):
        now[0] += 1
    ledger.asked("charts", 999.0, None)
    ledger.asked("charts", 900.0, None)
    ledger.asked("charts", 900.0, 0.25)
    assert ledger.every_asked() == [
        Asked("charts", None, in_calm=False),
        Asked("charts", None, in_calm=True),
        Asked("charts", 0.25, in_calm=True),
    ]
    outcome = Outcome()
    judge_the_load(outcome, [], ledger.every_asked())
    assert outcome.wrong == ["not acknowledged in time, without faults: 1 charts"]


def test_of_a_hundred_acknowledgements_the_slowest_but_one_is_shown() -> None:
    outcome = Outcome()
    judge_the_load(outcome, [], [Asked("clicks", seconds / 100, in_calm=True) for seconds in range(100)])
    assert "0.98 s" in drawn("a soak", [], outcome)
