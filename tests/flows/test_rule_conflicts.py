"""A rolling update: processes with different rule files share a database, and people hear nothing false of it."""

from collections.abc import Sequence
from dataclasses import replace

from alertbot.app.wiring import RULE_PARSER
from alertbot.domain.alerts import Alert
from alertbot.domain.rules import Rule
from alertbot.flows.evaluate import EvaluationContext, evaluate
from alertbot.flows.notify import notify_due
from alertbot.flows.rulebook import Rulebook
from alertbot.store import rule_files
from alertbot.store.database import Database
from tests.builders import at, rule, threshold
from tests.flows.scene import Scene, named

BURST = rule(threshold(window="30m", above=5))
RENAMED = named(BURST, "burst-of-violations")
HIGHER = rule(threshold(window="30m", above=12))


class Fleet:
    """One source, polled by the scene; several processes, each with a rule file of its own, that evaluate in turn."""

    def __init__(self, database: Database, drawn: str, **files: Sequence[Rule]) -> None:
        self.scene = Scene(database, drawn)
        self.scene.is_evaluating = False
        self.watches = {process: self._context(process, rules) for process, rules in files.items()}

    def _context(self, process: str, rules: Sequence[Rule]) -> EvaluationContext:
        return replace(self.scene.context, rules=tuple(rules), book=Rulebook(rules, RULE_PARSER), process=process)

    def start(self, process: str, *rules: Rule) -> None:
        self.watches[process] = self._context(process, rules)

    def stop(self, process: str) -> None:
        del self.watches[process]
        with self.scene.database.transaction() as tx:
            rule_files.remove(tx, [process])

    def until(self, minute: int, *, first: str = "") -> "Fleet":
        """Evaluate each reading, and what depends on the clock, in every process; `first` takes the readings."""
        for moment in range(int((self.scene.now - at(0)).total_seconds() // 60), minute + 1):
            self.scene.until(moment)
            for process in sorted(self.watches, key=lambda name: (name != first, name)):
                evaluate(self.scene.database, self.watches[process], now=self.scene.now)
            notify_due(self.scene.database, now=self.scene.now)
            self.scene.send()
        return self

    def open_alerts(self) -> list[str]:
        return [f"{alert.rule} {_name(alert)}" for alert in self.scene.alerts() if alert.state.is_open]


def _name(alert: Alert) -> str:
    return f"A{alert.number}"


def test_no_process_ends_the_alert_of_a_rule_that_anothers_file_still_has(database: Database) -> None:
    fleet = Fleet(database, "0 9 9 9 9 9 9 9", old=[BURST]).until(2)
    fleet.start("new", RENAMED)
    fleet.until(4, first="new").until(5, first="old")
    assert fleet.open_alerts() == [f"{BURST.name} A1", "burst-of-violations A2"]
    assert fleet.scene.heard() == ["1 first", "3 first"], (
        "the renamed rule's alert is new; nothing resolves, nothing repeats"
    )
    fleet.stop("old")
    fleet.until(6)
    assert fleet.open_alerts() == ["burst-of-violations A2"], "once no running process has the rule, its alert ends"
    assert [change for change in fleet.scene.changes() if "resolved" in change] == ["5 firing → resolved: rule removed"]


def test_an_alert_is_not_resolved_and_fired_in_turn_by_two_thresholds(database: Database) -> None:
    fleet = Fleet(database, "0 9 9 9 9 9 9 9", old=[BURST]).until(2)
    fleet.start("new", HIGHER)
    for minute in range(3, 7):
        fleet.until(minute, first="new" if minute % 2 else "old")
    assert fleet.scene.heard() == ["1 first"]
    assert fleet.open_alerts() == [f"{BURST.name} A1"]
    fleet.stop("old")
    fleet.until(7)
    assert fleet.open_alerts() == [], "the new threshold is in force as soon as it is the only one"
    assert fleet.scene.heard() == ["1 first", "7 resolved"]


def test_no_process_ends_the_alert_of_a_source_that_anothers_file_still_has(database: Database) -> None:
    fleet = Fleet(database, "0 9 9 9 9 9", old=[BURST]).until(2)
    fleet.start("new", BURST)
    fleet.watches["new"] = replace(fleet.watches["new"], intervals={})
    fleet.until(4)
    assert fleet.open_alerts() == [f"{BURST.name} A1"]
    fleet.stop("old")
    fleet.until(5)
    assert fleet.open_alerts() == []


def test_operators_hear_once_that_files_differ_and_once_that_they_agree_again(database: Database) -> None:
    fleet = Fleet(database, "0 0 0 0 0 0 0 0", old=[BURST]).until(1)
    fleet.start("new", RENAMED)
    fleet.until(5)
    (line,) = fleet.scene.told_operators()
    assert line.startswith(f"Several alertbot processes run with different rules ({BURST.name}")
    fleet.stop("old")
    fleet.until(7)
    assert fleet.scene.told_operators()[1:] == ["All alertbot processes run with the same rules again."]


def test_a_process_that_was_killed_vouches_for_its_rules_for_a_minute_only(database: Database) -> None:
    fleet = Fleet(database, "0 9 9 9 9 9", old=[BURST]).until(2)
    fleet.start("new", RENAMED)
    del fleet.watches["old"]  # kill -9: its row stays
    fleet.until(3)
    assert f"{BURST.name} A1" in fleet.open_alerts()
    fleet.until(5)
    assert fleet.open_alerts() == ["burst-of-violations A2"]


def test_two_processes_with_the_same_file_end_alerts_as_one_does(database: Database) -> None:
    fleet = Fleet(database, "0 9 9 9", one=[BURST], two=[BURST]).until(2)
    fleet.stop("one")
    fleet.stop("two")
    fleet.start("three", RENAMED)
    fleet.start("four", RENAMED)
    fleet.until(3)
    assert fleet.open_alerts() == ["burst-of-violations A2"]
    assert fleet.scene.told_operators() == []
