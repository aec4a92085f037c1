"""The rules that people made, on the command line: to look at, and to delete."""

from datetime import UTC, datetime

import pytest

from alertbot.app.wiring import RULE_PARSER
from alertbot.flows.rule_actions import make_rule
from alertbot.flows.rulebook import Rulebook
from alertbot.store import migrate
from alertbot.store.database import Database
from tests.cli.desk import Desk

KEYS = {"name": "night [b]owls", "metric": "tokens", "window": "1h", "above": {"warning": "5"}}


@pytest.fixture
def with_rule(desk: Desk) -> Desk:
    """A desk whose database has a rule that U3 made."""
    database = Database(desk.keys["database"]["url"])
    migrate.upgrade(database)
    make_rule(database, Rulebook((), RULE_PARSER), KEYS, by="U3", now=datetime(2026, 11, 22, tzinfo=UTC), key="1")
    database.close()
    return desk


def test_rules_are_listed_with_where_they_come_from(with_rule):
    listed = {one["name"]: one for one in with_rule.json("rules", "list")}
    assert {name: one["from"] for name, one in listed.items()} == {
        "burst": "configuration",
        "source-blind": "built-in",
        "night [b]owls": "slack",
    }
    assert listed["night [b]owls"]["made_by"] == "U3"
    assert listed["night [b]owls"]["keys"] == KEYS
    shown = with_rule.run("rules", "list").output
    assert "night [b]owls" in shown
    assert "threshold, tokens in 1 h per ai_llm" in shown


def test_why_and_budget_know_them(with_rule):
    assert "there is no rule" not in with_rule.run("why", "night [b]owls").errors
    assert "there is no data for" in with_rule.run("why", "night [b]owls").errors


def test_a_rule_is_deleted_and_the_trail_says_by_whom(with_rule):
    assert with_rule.run("rules", "delete", "night [b]owls", "--by", "ana").output == "night [b]owls is deleted\n"
    assert [(one["who"], one["deed"]) for one in with_rule.json("rules", "history")] == [
        ("ana", "deleted"),
        ("U3", "made"),
    ]
    assert "ana  deleted  night [b]owls" in with_rule.run("rules", "history").output
    again = with_rule.run("rules", "delete", "night [b]owls")
    assert (again.code, again.mistakes) == (1, ['there is no rule "night [b]owls" that was made in Slack'])
    assert with_rule.run("rules", "delete", "burst").mistakes == [
        "burst stands in the configuration, and can be changed only there"
    ]


def test_a_clash_with_the_configuration_is_told(with_rule):
    with_rule.change("rules.0.name", "night [b]owls")
    hidden = [one for one in with_rule.json("rules", "list") if one["from"] == "slack"]
    assert [(one["holds"], one["type"]) for one in hidden] == [(False, None)]
    assert "the configuration has a rule of this name" in with_rule.run("rules", "list").output


def test_without_any_that_is_said(desk):
    assert desk.run("migrate").code == 0
    assert desk.run("rules", "history").output == "No rule has been created in Slack yet.\n"
