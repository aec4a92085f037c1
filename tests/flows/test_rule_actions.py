"""Rules that people make: kept beside those of the configuration, used by every process at once, and never forgotten."""

from dataclasses import replace

import pytest

from alertbot.app.wiring import RULE_PARSER
from alertbot.domain.rules import Rule
from alertbot.domain.stored_rules import StoredRule
from alertbot.errors import ConfigError, Mistake, UsageError
from alertbot.flows.evaluate import EvaluationContext, evaluate
from alertbot.flows.rule_actions import change_rule, delete_rule, make_rule, rule_trail, stored_rule
from alertbot.flows.rulebook import Rulebook, RuleParser
from alertbot.store.database import Database
from tests.builders import START, at
from tests.flows.scene import Scene
from tests.store.racing import in_threads

KEYS = {"name": "mine", "metric": "policy_violations", "window": "2m", "above": {"warning": "5"}}
GIVEN = RULE_PARSER.rule({**KEYS, "name": "given"})


def book(*given: Rule) -> Rulebook:
    return Rulebook(given, RULE_PARSER)


def make(database: Database, of: Rulebook, key: str = "1", by: str = "U1", **more: object) -> StoredRule:
    return make_rule(database, of, {**KEYS, **more}, by=by, now=START, key=key)


def change(database: Database, of: Rulebook, seen: int, key: str = "2", **more: object) -> StoredRule:
    return change_rule(database, of, {**KEYS, **more}, seen=seen, by="U2", now=at(1), key=key)


def names(database: Database, of: Rulebook) -> list[str]:
    return [rule.name for rule in of.rules_in(database)]


def trail(database: Database) -> list[str]:
    return [f"{one.who} {one.change_type} {one.rule}" for one in reversed(rule_trail(database))]


# --- what people do


def test_a_rule_holds_as_long_as_it_is_kept_and_the_trail_keeps_everything(database):
    mine = book(GIVEN)
    assert names(database, mine) == ["given"]
    made = make(database, mine, description="<ping> 🦊")
    assert names(database, mine) == ["given", "mine"]
    assert stored_rule(database, mine, "mine") == made
    changed = change(database, mine, made.version, window="4m")
    assert (changed.made_by, changed.changed_by, changed.made_at, changed.changed_at) == ("U1", "U2", START, at(1))
    assert [str(rule.over) for rule in mine.rules_in(database)] == ["in 2 min", "in 4 min"]
    delete_rule(database, mine, "mine", by="U3", now=at(2), key="3")
    assert names(database, mine) == ["given"]
    assert trail(database) == ["U1 made mine", "U2 changed mine", "U3 deleted mine"]
    deleted, *_ = rule_trail(database)
    assert (deleted.keys["window"], deleted.at) == ("4m", at(2))


def test_the_same_act_delivered_twice_is_one(database):
    mine = book()
    made = make(database, mine)
    assert make(database, mine) == made
    changed = change(database, mine, made.version, window="4m")
    assert change(database, mine, made.version, window="4m") == changed
    assert trail(database) == ["U1 made mine", "U2 changed mine"]


def test_of_two_who_make_or_change_it_at_once_one_is_told_and_nothing_is_lost(database):
    mine = book()

    def make_as(number: int) -> str:
        try:
            make(database, mine, key=f"key {number}", by=f"U{number}")
        except UsageError as error:
            return str(error)
        return "made"

    came = in_threads(4, make_as)
    assert came.count("made") == 1
    assert sum("there is a rule mine already" in str(one) for one in came) == 3
    assert len(rule_trail(database)) == 1
    seen = stored_rule(database, mine, "mine").version

    def change_as(number: int) -> str:
        try:
            change(database, mine, seen, key=f"change {number}", window=f"{number + 3}m")
        except UsageError as error:
            return str(error)
        return "changed"

    came = in_threads(4, change_as)
    assert came.count("changed") == 1
    assert sum("somebody has changed mine" in str(one) for one in came) == 3
    assert len(rule_trail(database)) == 2


def test_a_form_of_a_rule_that_was_made_anew_meanwhile_changes_nothing(database):
    mine = book()
    old = make(database, mine)
    delete_rule(database, mine, "mine", by="U3", now=at(2), key="3")
    with pytest.raises(UsageError, match="was deleted meanwhile"):
        change(database, mine, old.version, key="4")
    make(database, mine, key="5", window="9m")
    with pytest.raises(UsageError, match="somebody has changed mine"):
        change(database, mine, old.version, key="6")
    assert stored_rule(database, mine, "mine").keys["window"] == "9m"


def test_what_stands_in_the_configuration_is_not_touched(database):
    mine = book(GIVEN)
    with pytest.raises(UsageError, match="there is a rule given in the configuration"):
        make(database, mine, name="given")
    with pytest.raises(UsageError, match="stands in the configuration"):
        delete_rule(database, mine, "given", by="U1", now=START, key="1")
    with pytest.raises(UsageError, match='there is no rule "other"'):
        stored_rule(database, mine, "other")
    with pytest.raises(ConfigError, match="window: expected a duration"):
        make(database, mine, window="soon")
    assert trail(database) == []


# --- what holds


def test_a_rule_holds_from_the_next_look_on_without_a_restart(database):
    scene = Scene(database, "0 9x50").until(0)
    mine = scene.context.book
    assert mine is not None
    make(database, mine)
    scene.until(1)
    assert scene.standing() == ["llm-1 firing warning 9"]
    delete_rule(database, mine, "mine", by="U1", now=at(1), key="9")
    scene.until(1.5)
    assert scene.standing() == []
    assert scene.changes()[-1].endswith("rule removed")


def test_another_process_uses_it_at_once_and_one_that_looked_before_does_not_undo_it(database):
    """Whoever waited for the lock with the rules of before must not close the alerts of those that came meanwhile."""
    scene = Scene(database, "0 9x50").until(0)
    late = replace(scene.context, book=book())
    assert names(database, there(late)) == []
    make(database, there(scene.context))
    scene.until(1)
    assert scene.standing() == ["llm-1 firing warning 9"]
    in_threads(3, lambda number: evaluate(database, late if number else scene.context, now=at(1)))
    assert scene.standing() == ["llm-1 firing warning 9"]
    assert len(scene.alerts()) == 1


def there(context: EvaluationContext) -> Rulebook:
    assert context.book is not None
    return context.book


def test_a_clash_is_told_once_and_the_configuration_goes_first(database):
    scene = Scene(database, "0 9x50")
    make(database, there(scene.context))
    scene.until(2)
    assert scene.told_operators() == []
    scene.restart(rules=[replace(GIVEN, name="mine")])
    scene.until(6)
    (line,) = scene.told_operators()
    assert line == (
        "The rule mine, which was made in Slack, is not used: the configuration has a rule of this name, which holds instead."
    )
    scene.restart(rules=[])
    scene.until(7)
    assert names(database, there(scene.context)) == ["mine"]


def test_a_rule_that_cannot_be_read_is_told_once_and_its_alerts_stay_until_somebody_mends_it(database):
    def later_version(keys):
        if keys["window"] == "2m":
            raise ConfigError(Mistake("window", "expected at least 3m"))
        return RULE_PARSER.rule(keys)

    scene = Scene(database, "0 9x50")
    made = make(database, there(scene.context))
    make(database, there(scene.context), key="other", name="other", window="3m")
    scene.until(1)
    assert len(scene.standing()) == 2
    scene.context = replace(scene.context, book=Rulebook((), RuleParser(later_version, RULE_PARSER.keys)))
    scene.until(6)
    assert [alert.rule for alert in scene.alerts() if alert.state.is_open] == ["mine"]  # nobody can judge it
    assert scene.told_operators() == [
        "The rule mine, which was made in Slack, is not used: it cannot be read: window: expected at least 3m."
    ]
    change(database, there(scene.context), made.version, key="mended", window="4m")
    scene.until(7)
    assert scene.standing() == []
    assert len(scene.told_operators()) == 1
