"""Rules made in Slack, from the button that opens their form to what they watch."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.app.wiring import RULE_PARSER
from alertbot.demo.slack.limits import check_message, check_view
from alertbot.demo.slack.records import View
from alertbot.domain.alerts import Reason
from alertbot.domain.backtest import BacktestAlert, BacktestResult
from alertbot.domain.metrics import METRICS
from alertbot.domain.reports import ListedRule
from alertbot.domain.rules import Severity
from alertbot.domain.silences import ENDLESS, parse_matcher
from alertbot.domain.stored_rules import StoredRule
from alertbot.domain.visibility import VisibilityRule
from alertbot.errors import UsageError
from alertbot.flows.rule_actions import rule_trail
from alertbot.slack.rule_drafts import draft_of, keys_of, new_draft
from alertbot.slack.views.rule_form import FIELDS, RuleDraft, rule_form, saved_rule_view
from alertbot.slack.views.rules import rules_response
from alertbot.store.tables import rules
from tests.builders import START, at, patiently
from tests.slack.office import Office, errors, office, said, there
from tests.slack.payloads import assert_harmless

TWO = {"acme/support-1": {"policy_blocks": "0 21x200"}, "acme/other": {"policy_blocks": "0 90x200"}}
KEYS = {
    "name": "block-burst",
    "type": "threshold",
    "metric": "policy_blocks",
    "window": "15m",
    "above": {"critical": "20"},
    "where": {"ai_llm": "support-*"},
}
FILLED = {"name": "block-burst", "metric": "policy_blocks", "critical": "20", "where": "support-*"}


def form(here: Office, user: str = "U1", command: str = "rules new") -> View:
    here.slack.command(f"/alertbot {command}", user)
    return here.modal(user, "rule")


def fields(view: View) -> dict[str, object]:
    """What stands in the form."""
    found: dict[str, object] = {}
    for block in view.blocks:
        element = block.get("element") or {}
        if element:
            chosen = element.get("initial_option") or {}
            several = [option["value"] for option in element.get("initial_options") or []]
            found[block["block_id"]] = chosen.get("value") or element.get("initial_value") or several or ""
    return found


def made(here: Office) -> dict[str, dict[str, object]]:
    """The rules of the database: their keys by name."""
    with here.scene.database.reading() as tx:
        return {row.name: row.keys for row in tx.execute(rules.select())}


def trail(here: Office) -> list[str]:
    return [f"{one.who} {one.change_type} {one.rule}" for one in reversed(rule_trail(here.scene.database))]


# --- a new rule


def test_whoever_never_read_the_manual_can_make_more_than_20_blocks_in_15_minutes(sqlite):
    with office(sqlite, TWO, operators=["U3"]) as here:
        new = form(here, "U3")
        assert fields(new)["window"] == "15m"
        here.submit(new, **FILLED, description="call <!channel>")
        (saved,) = saved_rule_view("block-burst", is_new=True, notes=())["blocks"]
        assert saved["text"]["text"] in said(here.modal("U3", "rule_saved"))
        assert made(here) == {"block-burst": {**KEYS, "description": "call <!channel>"}}
        here.scene.until(1)
        alert = here.alert()
        assert (alert.rule, alert.labels["ai_llm"], alert.severity) == ("block-burst", "support-1", Severity.CRITICAL)
        assert "call &lt;!channel&gt;" in here.ask("rules")
        assert trail(here) == ["U3 made block-burst"]


def test_the_rule_is_seen_by_every_command_at_once(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.submit(form(here), **FILLED)
        assert "21 blocks" in here.ask("why block-burst support-1")
        assert "`rule=block-burst`" in here.ask("mute block-burst")
        (mute,) = here.context.for_person("U1").silences()
        assert (mute.matchers, mute.ends_at) == ((parse_matcher("rule=block-burst"),), ENDLESS)
        here.submit(form(here), name="b", type="threshold", critical="1")
        assert ":mute: *block-burst*" in here.ask("rules")


def test_who_is_no_operator_makes_changes_and_deletes_nothing(sqlite):
    with office(sqlite, TWO, operators=["U3"]) as here:
        here.submit(form(here, "U3"), **FILLED)
        here.modal("U3", "rule_saved")
        for asked in ("rules new", "rules change block-burst", "rules delete block-burst"):
            assert "only operators may do this" in here.ask(asked, "U2")
        listed = here.slack.command("/alertbot rules", "U2")
        (shown,) = there(here.slack.wait_for(lambda: here.slack.answers(listed)))
        assert "rule_new" not in str(shown.all_blocks)
        assert here.slack.modals("U2") == []
        assert trail(here) == ["U3 made block-burst"]


REFUSED = {
    "no name in one line": ({"name": "x" * 90 + "\ny", "critical": "5"}, "name", "Expected a name of one line"),
    "a name of the configuration": ({"name": "violation-burst", "critical": "5"}, "name", "There is a rule violation-burst"),
    "the name of the built-in rule": ({"name": "source-blind", "critical": "5"}, "name", "Expected a name of your own"),
    "no level": ({}, "warning", "Expected a number for warning, for critical, or for both, got neither"),
    "a level that is no number": ({"critical": "many"}, "critical", 'Expected a number, got "many"'),
    "levels in disorder": ({"warning": "9", "critical": "5"}, "critical", "Expected more than the 9 of warning"),
    "no duration": ({"critical": "5", "window": "15"}, "window", 'Expected a duration such as 15m, got "15"'),
    "a dimension that is not known": ({"critical": "5", "where": "llm=x"}, "where", 'got "llm"'),
    "a dimension that the metric lacks": ({"critical": "5", "metric": "upload_bytes", "per": "model"}, "per", "source"),
    "for how long is no duration": ({"critical": "5", "for": "soon"}, "for", "Expected a duration"),
    "other keys that are not YAML": ({"critical": "5", "more": "a: [b"}, "more", "These lines, line 1"),
    "other keys that are no keys": ({"critical": "5", "more": "yes"}, "more", "Expected keys with values"),
    "other keys that are not known": ({"critical": "5", "more": "colour: red"}, "more", "Colour: expected one of"),
    "other keys that stand above": ({"critical": "5", "more": "window: 1h"}, "more", "Window is already set above"),
}  # fmt: skip


@pytest.mark.parametrize(("filled", "field", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_stands_below_its_field(sqlite, filled, field, problem):
    with office(sqlite, TWO) as here:
        told = errors(here.submit(form(here), **{"name": "mine", **filled}))
        assert list(told) == [field]
        assert problem in told[field]
        assert made(here) == {}
        assert trail(here) == []


def test_every_mistake_is_told_at_once(sqlite):
    with office(sqlite, TWO) as here:
        told = errors(here.submit(form(here), name="mine", window="1", critical="x", keep_firing="y"))
        assert set(told) == {"window", "critical", "keep_firing"}


def test_a_submission_that_is_delivered_twice_makes_one_rule(sqlite):
    with office(sqlite, TWO) as here:
        delivery = here.submit(form(here), **FILLED)
        assert here.slack.redeliver(delivery).acknowledged
        assert trail(here) == ["U1 made block-burst"]
        assert "there is a rule block-burst already" in str(errors(here.submit(form(here), **FILLED))).lower()


@pytest.mark.parametrize("kind", FIELDS)
def test_the_form_has_the_fields_of_the_type_that_was_chosen(sqlite, kind):
    with office(sqlite, TWO) as here:
        view = form(here)
        here.click(view, "rule_type", value="budget", state={"name": "kept"})
        view = here.changed(view)
        assert fields(view)["name"] == "kept"
        assert fields(view)["timezone"] == "Europe/Madrid"
        here.click(view, "rule_type", value=kind, state={"name": "kept"})
        view = here.changed(view)
        assert set(fields(view)) >= {"name", "type", "switches", "more", *(one.name for one in FIELDS[kind])}
        numbers = {"warning": "5", "times_warning": "5", "amount": "100"}
        numbers = {name: text for name, text in numbers.items() if name in fields(view)}
        assert errors(here.submit(view, **numbers)) == {}
        (keys,) = made(here).values()
        assert RULE_PARSER.rule(keys).kind == kind


# --- trying it


def test_before_it_is_saved_the_form_tells_how_often_it_would_have_fired(sqlite):
    drawn = {"acme/support-1": {"policy_blocks": "0 21x40 42x200"}, "acme/other": {"policy_blocks": "0 90x200"}}
    with office(sqlite, drawn) as here:
        here.scene.until(60)
        view = form(here)
        here.click(view, "rule_try", state=FILLED)
        view = here.changed(view)
        assert re.search(r"\b1 h: .*\b2 alerts\b.*\bsupport-1\b.*\b15 min\b", said(view))
        assert fields(view)["critical"] == "20"
        assert made(here) == {}
        assert here.scene.alerts() == []
        here.click(view, "rule_try", state={**FILLED, "window": "later"})
        assert 'window: expected a duration such as 15m, got "later"' in said(here.changed(view))


def test_what_a_hidden_source_counted_is_not_told_by_trying(sqlite):
    hidden = [VisibilityRule("globex", users=frozenset({"U3"}))]
    drawn = {"acme/a": {"policy_blocks": "0x200"}, "globex/b": {"policy_blocks": "0 90x200"}}
    with office(sqlite, drawn, visibility=hidden) as here:
        here.scene.until(5)
        for user, told in (("U2", "no alert"), ("U3", "1 alert, on b")):
            view = form(here, user)
            here.click(view, "rule_try", user, state={"name": "x", "metric": "policy_blocks", "warning": "5"})
            assert told in said(here.changed(view))


# --- changing and deleting


def test_a_change_of_its_thresholds_keeps_the_alert_and_a_change_of_its_metric_ends_it(sqlite):
    with office(sqlite, TWO) as here:
        here.submit(form(here), **FILLED)
        here.scene.until(2)
        assert len(here.scene.alerts()) == 1
        change = form(here, command="rules change block-burst")
        assert fields(change)["where"] == "support-*"
        assert "name" not in fields(change)
        here.submit(change, warning="1", critical="30")
        here.modal(callback="rule_saved")
        here.scene.until(3)
        assert (here.alert().severity, here.alert().number, len(here.scene.alerts())) == (Severity.WARNING, 1, 1)
        here.submit(form(here, command="rules change block-burst"), metric="tokens")
        here.scene.until(4)
        assert here.scene.changes()[-1].endswith(str(Reason.RULE_CHANGED.value))
        assert trail(here) == ["U1 made block-burst", "U1 changed block-burst", "U1 changed block-burst"]


def test_deleting_ends_its_alerts_and_says_why(sqlite):
    with office(sqlite, TWO) as here:
        here.submit(form(here), **FILLED)
        here.scene.until(1)
        listed = here.slack.command("/alertbot rules", "U2")
        (shown,) = there(here.slack.wait_for(lambda: here.slack.answers(listed)))
        gone = here.click(shown, "rule_delete", "U2")
        assert "*block-burst* was deleted" in here.answer_to(gone)
        here.scene.until(2)
        assert here.scene.changes()[-1].endswith("firing → resolved: rule removed")
        assert 'there is no rule "block-burst"' in here.ask("rules delete block-burst")
        assert trail(here) == ["U1 made block-burst", "U2 deleted block-burst"]


def test_of_two_who_change_a_rule_at_once_the_second_is_told(sqlite):
    with office(sqlite, TWO) as here:
        here.submit(form(here), **FILLED)
        one = form(here, "U2", "rules change block-burst")
        two = form(here, "U3", "rules change block-burst")
        assert errors(here.slack.submit_view(one, {"critical": "30"})) == {}
        told = errors(here.slack.submit_view(two, {"critical": "40"}))
        assert "omebody has changed block-burst since this was opened" in told["type"]
        assert made(here)["block-burst"]["above"] == {"critical": "30"}


def test_rules_of_the_configuration_are_changed_there_only(sqlite):
    with office(sqlite, TWO) as here:
        for asked in ("rules change violation-burst", "rules delete violation-burst"):
            assert "stands in the configuration" in here.ask(asked)
        listed = here.slack.command("/alertbot rules")
        (shown,) = there(here.slack.wait_for(lambda: here.slack.answers(listed)))
        assert "rule_new" in str(shown.all_blocks)
        assert "rule_change" not in str(shown.all_blocks)


def test_buttons_open_the_forms_and_a_shared_list_has_none(sqlite):
    with office(sqlite, TWO) as here:
        here.submit(form(here), **FILLED)
        listed = here.slack.command("/alertbot rules")
        (shown,) = there(here.slack.wait_for(lambda: here.slack.answers(listed)))
        here.click(shown, "rule_new", "U1")
        assert "New rule" in str(here.modal(callback="rule").content["title"])
        here.click(shown, "share", "U1")
        (shared,) = there(here.slack.wait_for(lambda: here.slack.messages("#ai-alerts")))
        assert "block-burst" in str(shared.all_blocks)
        assert "rule_" not in str(shared.all_blocks)


def test_a_rule_that_cannot_be_read_any_more_is_listed_and_told_and_harms_nobody(sqlite):
    with office(sqlite, TWO) as here:
        here.submit(form(here), **FILLED)
        here.scene.until(1)
        with sqlite.transaction() as tx:
            tx.execute(rules.update().values(keys={**KEYS, "window": "a while"}, version=77))
            tx.execute(rules.update().values(reported=False))
        here.scene.restart()
        here.scene.until(4)
        assert len(here.scene.told_operators()) == 1
        assert "block-burst" in here.scene.told_operators()[0]
        assert 'got "a while"' in here.scene.told_operators()[0]
        assert here.scene.standing() == ["support-1 firing critical 21"]  # it was not removed
        change = form(here, command="rules change block-burst")
        here.submit(change, window="30m")
        here.scene.until(5)
        assert here.scene.standing() == ["support-1 firing critical 21"]


# --- the form


def stored(**keys: object) -> StoredRule:
    return StoredRule("mine", {"name": "mine", **keys}, "U1", START, "U1", START, 1)


WRITTEN: list[dict[str, object]] = [
    {"metric": "tokens", "window": "1h", "above": 5},
    {"metric": "tokens", "window": "1h", "above": {"info": 1, "critical": "9"}, "clear": 1, "labels": {"team": "x"}},
    {"metric": "tokens", "window": "1h", "below": {"warning": 5}, "where": {"ai_llm": ["a b", "c=d", "e'f"]}},
    {"metric": "tokens", "window": "1h", "at_most": {"critical": "1"}, "where": {"ai_llm": "x", "provider": ["a", "b"]}},
    {"type": "rate", "metric": "tokens", "window": "1h", "at_least": {"warning": 1}, "per_unit": "day", "per": "all"},
    {"type": "ratio", "metric": "policy_blocks", "of": "api_calls", "window": "1h", "above": {"warning": "2%"}},
    {"type": "spike", "metric": "tokens", "window": "1h", "same_hour": 7, "factor": {"warning": 3}, "at_least": 9},
    {"type": "spike", "metric": "tokens", "window": "1h", "baseline": "1d", "factor": 3, "severity": "critical"},
    {"type": "budget", "metric": "tokens", "amount": 5, "period": "week", "week_starts": "sunday", "forecast": True},
    {"type": "budget", "metric": "tokens", "amount": 5, "period": "day", "at": {"warning": 1}, "enabled": "false"},
    {"type": "burn", "metric": "tokens", "amount": "5", "period": "30d", "windows": ["1h", "5m"], "factor": {"critical": 9}},
    {"type": "absence", "for": "5m", "per": "source", "severity": "critical"},
    {"type": "absence", "metric": "tokens", "window": "5m", "for": "1m", "keep_firing": "2m"},
]  # fmt: skip


@pytest.mark.parametrize("keys", WRITTEN, ids=str)
def test_whatever_a_rule_says_the_form_says_too(keys):
    draft = draft_of(stored(**keys))
    assert check_view(rule_form(draft, metadata="")) == []
    again = keys_of(draft, RULE_PARSER.keys(draft.fields["more"]))
    assert RULE_PARSER.rule(again) == RULE_PARSER.rule({"name": "mine", **keys})


def test_what_no_form_can_hold_is_said_so():
    with pytest.raises(UsageError, match="too long for a form"):
        draft_of(stored(metric="tokens", window="1h", above={"warning": 5}, labels={"team": "x" * 3000}))
    with pytest.raises(UsageError, match="does not know"):
        draft_of(stored(type="oracle"))


evil = st.one_of(st.text(max_size=300), st.sampled_from(["<!channel>" * 20, "*`_~&<>" * 30, "\u202e" * 50, "x\n" * 90]))


@settings(patiently, max_examples=60)
@given(st.sampled_from(list(FIELDS)), evil, st.integers(0, 40), st.booleans())
def test_slack_takes_the_form_whatever_stands_in_it(kind, text, alerts, about):
    draft = new_draft(kind, timezone="Europe/Madrid")
    long = text[:90]
    draft = replace(
        draft,
        fields={**draft.fields, "name": long, "description": text, "where": text},
        about=text[:100] if about else "",
    )
    found = tuple(BacktestAlert(f"s{number}", text, Severity.CRITICAL, START, at(9)) for number in range(alerts))
    backtest_result = BacktestResult("ai_llm", START, at(60), 5, 9, found)
    for view in (
        rule_form(draft, metadata="", backtest_result=backtest_result),
        rule_form(draft, metadata="", problems=[text] * alerts),
        saved_rule_view(text[:100], is_new=True, notes=[text] * 2),
    ):
        assert check_view(view) == []
        assert_harmless({**view, "blocks": [block for block in view["blocks"] if block["type"] == "section"]})


def test_every_metric_can_be_chosen():
    (menu,) = [
        block["element"] for block in rule_form(RuleDraft(), metadata="")["blocks"] if block.get("block_id") == "metric"
    ]
    assert {option["value"] for option in menu["options"]} == set(METRICS)


def test_a_list_of_very_many_rules_is_a_message_that_slack_takes():
    rule = RULE_PARSER.rule(KEYS)
    given_rules = [ListedRule(rule.name, rule)] * 200
    made_rules = [ListedRule(f"rule-{number}", rule, stored()) for number in range(200)]
    unfit = ListedRule("mine", None, stored(), "<!here> " * 100)
    answer = rules_response([*given_rules, unfit, *made_rules], may_edit=True)
    assert check_message(answer["blocks"], None) is None
    assert len(answer["blocks"]) < 50  # there is a button to share it, too
    assert "rule-199" in str(answer["blocks"])
