"""Modals, from the click that opens them to what becomes of what people fill in."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import structlog

from alertbot.demo.slack.limits import check_view
from alertbot.demo.slack.records import View
from alertbot.domain.alerts import Alert
from alertbot.domain.reports import SilencePreview
from alertbot.domain.silences import ENDLESS
from alertbot.slack.views import responses
from alertbot.slack.views.details import PAGE, details_view
from alertbot.slack.views.modals import Draft, comment_modal, silence_modal, silenced_modal, snooze_modal
from alertbot.store.tables import actions
from tests.builders import START, at
from tests.slack.messages import NOW, alert, many
from tests.slack.office import Office, errors, labels, muted, office, options, reach, said

TWO = {"acme/llm-1": "0 9x200", "acme/llm-2": "0 12x200"}
ONE = "0 9x200"


def seconds(minute: float) -> int:
    return int(at(minute).timestamp())


def value(view: View, block: str) -> object:
    """What a field of a modal holds at first."""
    element = next(each["element"] for each in view.blocks if each["block_id"] == block)
    chosen = element.get("initial_option") or {}
    return chosen.get("value") or element.get("initial_value") or element.get("initial_date_time")


def silences(here: Office) -> list[str]:
    return [
        f"{silence.number} {' '.join(map(str, silence.matchers))}"
        for silence in here.context.for_person("U1").silences()
    ]


# --- a new silence


def test_a_silence_begins_with_what_the_alerts_of_the_message_have_in_common(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        form = here.modal()
    assert [value(form, block) for block in ("rule", "source", "llm")] == ["violation-burst", "acme", None]
    assert reach(form) == (2, 2)


def test_a_silence_of_one_alert_begins_with_its_configuration(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.click(here.message(), "details")
        here.click(here.modal(), "alert_menu", value="A1 silence")
        form = here.modal(callback="silence")
    assert [value(form, block) for block in ("rule", "source", "llm")] == ["violation-burst", "acme", "llm-1"]
    assert reach(form) == (1, 2)
    assert "`A1`" in said(form)
    assert "`A2`" not in said(form)


def test_a_silence_tells_what_it_would_mute_whenever_a_matcher_changes(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.slack.command("/alertbot silence")
        form = here.modal()
        assert "this would silence everything" in said(form)
        here.click(form, "silence_llm", value="*-2")
        form = here.changed(form)
        assert reach(form) == (1, 2)
        here.click(form, "silence_source", value="acme", state={"silence_llm": "nobody"})
        form = here.changed(form)
        assert "matches nothing that has been read so far" in said(form)
        assert (value(form, "source"), value(form, "llm")) == ("acme", "nobody")
        here.click(form, "silence_more", value="rule=~(", state={"silence_source": "acme"})
        assert "expected a regular expression" in said(here.changed(form))


def test_a_silence_that_was_filled_in_holds_and_is_confirmed(sqlite):
    with office(sqlite, TWO, operators=["S0123TEAM"]) as here:
        here.scene.until(1)
        here.click(here.message(), "silence", "U2")
        here.submit(here.modal("U2"), lasts="2h", silence_llm="llm-1", comment="planned <test>")
        confirmed = here.modal("U2")
        assert labels(confirmed) == []
        assert muted(confirmed) == 1
        (made,) = here.context.for_person("U2").silences()
        assert [str(matcher) for matcher in made.matchers] == ["rule=violation-burst", "source=acme", "ai_llm=llm-1"]
        assert (made.author, made.comment, made.ends_at) == ("U2", "planned <test>", at(1) + timedelta(hours=2))
        assert "planned &lt;test&gt;" in here.ask("silences", "U1")


def test_a_silence_until_a_date_asks_for_it_and_ends_then(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        here.click(here.modal(), "silence_lasts", value="until")
        form = here.changed(here.modal()) if value(here.modal(), "lasts") != "until" else here.modal()
        assert value(form, "until") == seconds(24 * 60)
        here.submit(form, until=seconds(500))
        assert [silence.ends_at for silence in here.context.for_person("U1").silences()] == [at(500)]


REFUSED = {
    "nothing chosen": ({"rule": "*", "source": "*", "silence_llm": ""}, "more", "silence everything"),
    "a pattern that fits everything": ({"rule": "*", "source": "*", "silence_llm": "*"}, "more", "silence everything"),
    "no matcher": ({"silence_more": "nonsense"}, "more", "Expected a matcher"),
    "all, and more than all": ({"silence_more": "all"}, "more", "Expected a matcher"),
    "a pattern that cannot be read": ({"silence_more": "user=~("}, "more", "Expected a regular expression"),
    "a date that has passed": ({"lasts": "until", "until": seconds(0)}, "until", "This time has passed"),
    "a date far away": ({"lasts": "until", "until": seconds(60 * 24 * 400)}, "until", "more than a year away"),
}


@pytest.mark.parametrize(("filled", "field", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_stands_below_its_field(sqlite, filled, field, problem):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        form = here.modal()
        if "until" in filled:
            here.click(form, "silence_lasts", value="until")
            form = here.changed(form)
        told = errors(here.submit(form, **filled))
        assert list(told) == [field]
        assert problem in told[field]
        assert silences(here) == []
        assert here.modal().errors == told


def test_everything_is_silenced_where_that_is_said(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.slack.command("/alertbot silence")
        here.submit(here.modal(), silence_more="all")
        assert silences(here) == ["1 "]


def test_who_is_no_operator_is_told_so_in_one_line(sqlite):
    with office(sqlite, ONE, operators=["U3"]) as here:
        here.scene.until(1)
        by_click = here.answer_to(here.click(here.message(), "silence", "U2"))
        by_command = here.ask("silence", "U2")
        assert by_click == by_command == here.ask("silence rule=x 1h", "U2") == here.ask("mute violation-burst", "U2")
        assert "only operators may do this" in by_click
        assert "\n" not in by_click
        assert here.slack.modals("U2") == []
        assert here.ask("unmute violation-burst", "U2") == here.ask("unsilence 1", "U2") == by_click


def test_a_submission_that_is_delivered_twice_makes_one_silence(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        delivery = here.submit(here.modal())
        assert here.slack.redeliver(delivery).acknowledged
        assert silences(here) == ["1 rule=violation-burst source=acme ai_llm=llm-1"]
        command = here.slack.command("/alertbot silence rule=other 1h")
        here.answer_to(command)
        here.slack.redeliver(command)
        here.slack.wait_for(lambda: len(here.slack.answers(command)) == 2)
        assert len(silences(here)) == 2


def test_a_database_that_fails_is_told_in_the_form_and_nothing_is_lost_of_it(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        form = here.modal()
        with sqlite.transaction() as tx:
            tx.execute(sa.text("ALTER TABLE silences RENAME TO elsewhere"))
        assert errors(here.submit(form)) == {"rule": "The database is not available; try again in a minute"}
        with sqlite.transaction() as tx:
            tx.execute(sa.text("ALTER TABLE elsewhere RENAME TO silences"))
        assert errors(here.submit(here.modal())) == {}
        assert len(silences(here)) == 1


def test_an_error_of_ours_leaves_the_form_open_and_a_second_try_does_it_once(sqlite):
    broken = [True]

    def wake() -> None:
        if broken.pop() if broken else False:
            raise RuntimeError("the pool is gone")

    with office(sqlite, ONE, wake=wake) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        form = here.modal()
        assert "went wrong on our side" in errors(here.submit(form))["rule"]
        assert here.modal().id == form.id
        assert here.submit(form).problem is None
        assert len(silences(here)) == 1


# --- muting a rule


def test_a_muted_rule_is_silent_until_it_is_unmuted(sqlite):
    with office(sqlite, "0 9x3 9") as here:
        assert "`rule=violation-burst`" in here.ask("mute violation-burst", "U2")
        assert [silence.ends_at for silence in here.context.for_person("U2").silences()] == [ENDLESS]
        here.scene.until(5)
        assert here.slack.messages("#ai-alerts") == []
        assert ":mute: *violation-burst*" in here.ask("rules")
        assert "*Silence 1*: `rule=violation-burst`" in here.ask(
            "mute violation-burst", "U3"
        )  # it was: by whom, since when
        assert here.ask("unmute violation-burst", "U3") == responses.unmuted_response("violation-burst")["text"]
        assert silences(here) == []
        here.scene.until(6)
        assert "Warning" in here.message().text
        assert "violation-burst is not muted" in here.ask("unmute violation-burst")
        assert "did you mean violation-burst?" in here.ask("mute violation-bust")


# --- a snooze until a date


def test_only_an_end_that_people_named_as_a_moment_is_fixed(sqlite):
    # What was asked for as a length of time moves when a wrong clock is set right.
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        for choice in ("G1 4h", "G1 tomorrow"):
            here.click(here.message(), "snooze", "U1", value=choice)
        for text in ("snooze A1 2h", "snooze A1 until tomorrow"):
            here.ask(text, "U1")
        here.click(here.message(), "snooze", "U1", value="G1 until")
        here.submit(here.modal(), until=seconds(300))
        with sqlite.reading() as tx:
            fixed = tx.execute(sa.select(actions.c.has_fixed_end).order_by(actions.c.number)).scalars().all()
        assert fixed == [False, True, False, True, True]
        here.ask("silence rule=violation-burst 2h", "U1")
        for user, lasts in (("U1", "2h"), ("U2", "until")):
            here.click(here.message(), "silence", user)
            form = here.modal(user)
            if lasts == "until":
                here.click(form, "silence_lasts", user, value=lasts)
                form = here.changed(form)
            here.submit(form, lasts=lasts)
        assert [silence.has_fixed_end for silence in here.context.for_person("U1").silences()] == [False, False, True]


def test_tomorrow_at_nine_is_nine_also_where_the_clocks_change_until_then(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        here.scene.now = datetime(2026, 3, 28, 12, tzinfo=UTC)
        here.click(here.message(), "snooze", "U1", value="G1 tomorrow")
        assert here.alert().snoozed_until == datetime(2026, 3, 29, 7, tzinfo=UTC), (
            "9:00 in Madrid, an hour earlier in UTC"
        )


def test_anybody_may_snooze_until_a_date_within_a_day(sqlite):
    with office(sqlite, ONE, operators=["U3"]) as here:
        here.scene.until(1)
        here.click(here.message(), "snooze", "U2", value="G1 until")
        form = here.modal("U2")
        assert value(form, "until") == seconds(240)
        assert errors(here.submit(form, until=seconds(24 * 60 + 1))) == {}
        assert here.alert().snoozed_until == at(24 * 60 + 1)
        assert here.actions() == ["U2 snooze A1 done"]
        assert here.slack.modals("U2") == []
        assert "Snoozed" in here.message().text


def test_more_than_a_day_is_for_operators(sqlite):
    with office(sqlite, ONE, operators=["U3"]) as here:
        here.scene.until(1)
        for user in ("U2", "U3"):
            here.click(here.message(), "snooze", user, value="G1 until")
        told = errors(here.submit(here.modal("U2"), until=seconds(24 * 60 + 2)))
        assert told == {
            "until": "Only operators may snooze for more than a day; choose a time within the next 24 hours"
        }
        assert errors(here.submit(here.modal("U2"), until=seconds(1))) == {
            "until": "This time has passed; choose a later one"
        }
        assert here.actions() == []
        assert errors(here.submit(here.modal("U3"), until=seconds(48 * 60))) == {}
        assert here.actions() == ["U3 snooze A1 done"]


def test_a_snooze_that_comes_too_late_says_so(sqlite):
    with office(sqlite, "0 9x15 9x30") as here:
        here.scene.until(1)
        here.click(here.message(), "snooze", value="G1 until")
        here.scene.until(20)
        assert errors(here.submit(here.modal(), until=seconds(60))) == {"until": "Too late: already resolved"}


# --- details, and what can be done to one alert


@pytest.mark.parametrize(
    ("what", "told", "shown"),
    [
        ("acknowledge", "U2 acknowledge A1 done", ":eyes: <@U2>"),
        ("snooze", "U2 snooze A1 done", ":zzz: until"),
        ("assign", "U2 assign A1 done", ":bust_in_silhouette: <@U2>"),
    ],
)
def test_the_menu_of_an_alert_acts_on_it_alone_and_shows_it(sqlite, what, told, shown):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.click(here.message(), "details", "U2")
        details = here.modal("U2")
        here.click(details, "alert_menu", "U2", value=f"A1 {what}")
        after = here.changed(details)
        assert here.actions() == [told]
        assert said(after).count(shown) == 1


def test_what_was_taken_can_be_given_back_from_the_menu(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.ask("ack A1", "U3")
        here.click(here.message(), "details", "U2")
        details = here.modal("U2")
        assert options(details, "alert_menu")[0] == "A1 unacknowledge"
        here.click(details, "alert_menu", "U2", value="A1 unacknowledge")
        assert options(here.changed(details), "alert_menu")[0] == "A1 acknowledge"
        assert here.actions() == ["U3 acknowledge A1 done", "U2 unacknowledge A1 done"]


def test_a_click_that_came_too_late_is_told_on_top_of_the_details(sqlite):
    with office(sqlite, "0 9x15 9x30") as here:
        here.scene.until(1)
        here.click(here.message(), "details")
        details = here.modal()
        here.scene.until(20)
        here.click(details, "alert_menu", value="A1 acknowledge")
        after = here.changed(details)
        assert after.blocks[0]["text"]["text"].startswith(":hourglass: ")
        assert "`A1`" in after.blocks[0]["text"]["text"]
        assert options(after, "alert_menu") == ["A1 comment"]  # all that is left to do


def test_a_comment_and_whom_it_is_given_to_are_one_submission_and_two_acts(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.click(here.message(), "details", "U2")
        details = here.modal("U2", "details")
        here.click(details, "alert_menu", "U2", value="A2 comment")
        delivery = here.submit(here.modal("U2", "comment"), comment=" rolled <back> ", assignee="U3")
        assert "<@U3>" in said(here.changed(details))
        assert [view.id for view in here.slack.modals("U2")] == [details.id]
        here.slack.redeliver(delivery)
        assert here.actions() == ["U2 assign A2 done", "U2 comment A2 done"]
        here.slack.wait_for(
            lambda: any(
                reply.text == ":speech_balloon: <@U2>: rolled &lt;back&gt;"
                for reply in here.slack.messages("#ai-alerts")
            )
        )


def test_an_empty_comment_is_asked_for_again(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "details")
        here.click(here.modal(), "alert_menu", value="A1 comment")
        form = here.modal(callback="comment")
        assert errors(here.submit(form, comment="  ")) == {"comment": "Write a comment, or choose a person below"}
        assert here.actions() == []


def test_what_has_ended_takes_a_comment_but_is_given_to_nobody(sqlite):
    with office(sqlite, "0 9x15 9x30") as here:
        here.scene.until(1)
        here.click(here.message(), "details")
        here.click(here.modal(), "alert_menu", value="A1 comment")
        form = here.modal(callback="comment")
        here.scene.until(20)
        told = errors(here.submit(form, comment="why", assignee="U2"))
        assert told == {"assignee": "Too late: already resolved"}
        assert errors(here.submit(here.modal(), comment="why", assignee=None)) == {}
        assert here.actions() == ["U1 assign A1 the alert had ended", "U1 comment A1 done"]


# --- when Slack is slow, or a click comes twice


@pytest.mark.parametrize("error", ["expired_trigger_id", "exchanged_trigger_id", "internal_error"])
@pytest.mark.parametrize("action", ["silence", "details"])
def test_a_window_that_slack_does_not_open_is_told_in_one_line(sqlite, action, error):
    with office(sqlite, ONE) as here, structlog.testing.capture_logs() as logs:
        here.scene.until(1)
        here.slack.fault("error", "views.open", error=error)
        told = here.answer_to(here.click(here.message(), action))
        assert told.startswith(":warning: ")
        assert "\n" not in told
        assert [log["event"] for log in logs if log["log_level"] == "error"] == []


def test_a_form_above_the_details_that_slack_does_not_open_is_told_in_them(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "details")
        details = here.modal()
        here.slack.fault("error", "views.push", error="expired_trigger_id")
        here.click(details, "alert_menu", value="A1 comment")
        assert "click again" in said(here.changed(details))


@pytest.mark.parametrize("fault", ["hash_conflict", "not_found", "internal_error"])
def test_what_goes_wrong_after_the_act_does_not_undo_it(sqlite, fault):
    with office(sqlite, ONE) as here, structlog.testing.capture_logs() as logs:
        here.scene.until(1)
        here.click(here.message(), "details")
        details = here.modal()
        here.slack.fault("error", "views.update", error=fault)
        here.click(details, "alert_menu", value="A1 acknowledge")
        here.slack.wait_for(lambda: "Acknowledged" in here.message().text)
        here.slack.wait_for(lambda: here.calls("views.update") == 1)
        assert here.actions() == ["U1 acknowledge A1 done"]
        assert [log["event"] for log in logs if log["log_level"] == "error"] == []


def test_a_click_in_a_menu_that_is_delivered_twice_is_one_act(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.click(here.message(), "details")
        details = here.modal()
        delivery = here.click(details, "alert_menu", value="A1 snooze")
        here.changed(details)
        here.scene.now += timedelta(seconds=5)
        before = here.slack.view(details.id)
        here.slack.redeliver(delivery)
        here.changed(before)
        assert here.actions() == ["U1 snooze A1 done"]
        assert here.alert().snoozed_until == at(61)


def test_a_modal_that_nobody_answers_any_more_is_closed_without_fuss(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        view = {"type": "modal", "callback_id": "from before an upgrade", "submit": {"type": "plain_text", "text": "x"}}
        view |= {"title": {"type": "plain_text", "text": "x"}, "blocks": []}
        here.click(here.message(), "details")
        here.client.views_update(view_id=here.modal().id, view=view)
        assert here.submit(here.modal()).problem is None


# --- within Slack's limits, whatever the names

EVIL = "<!channel> & `x` \u202e" * 40
LONG = [f"rule-{number}" for number in range(400)]


def _evil(number: int) -> Alert:
    labels = {"source": EVIL, "ai_llm": EVIL, "name": EVIL, "rule": EVIL}
    return alert(number, rule=EVIL, labels=labels, note=EVIL, assigned_to="U2")


VIEWS = {
    "silence": lambda: silence_modal(
        Draft(rule="rule-399", more="x" * 300, lasts="until", until=START, comment="y" * 500),
        SilencePreview([_evil(number) for number in range(50)], 1000),
        rules=LONG,
        sources=["s" * 100, *LONG],
        metadata="",
    ),
    "silence with a mistake": lambda: silence_modal(
        Draft(), SilencePreview((), 3, problem=EVIL), rules=(), sources=(), metadata=""
    ),
    "snooze": lambda: snooze_modal([_evil(n) for n in range(1000)], until=START, may_operate=True, metadata="x"),
    "comment": lambda: comment_modal(_evil(10**12), metadata="x"),
    "details": lambda: details_view(10**12, [_evil(n) for n in range(1000)], now=NOW, note=EVIL[:0] + "x" * 5000),
    "the last page of details": lambda: details_view(1, many(PAGE * 3), now=NOW, page=99),
}


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS)
def test_slack_takes_every_modal(make):
    view = make()
    assert check_view(view) == []
    assert "<!channel>" not in str(view)
    assert len(view.get("private_metadata", "")) < 300


def test_a_rule_that_is_chosen_is_offered_even_where_there_are_too_many():
    view = VIEWS["silence"]()
    element = next(block["element"] for block in view["blocks"] if block["block_id"] == "rule")
    assert len(element["options"]) == 100
    assert element["initial_option"] in element["options"]
    assert element["initial_option"]["value"] == "rule-399"


def test_the_confirmation_is_within_the_limits(sqlite):
    with office(sqlite, ONE) as here:
        here.scene.until(1)
        here.slack.command("/alertbot silence")
        here.submit(here.modal(), silence_more="all", comment="<!channel>" * 50)
        (made,) = here.context.for_person("U1").silences()
        assert check_view(silenced_modal(made, SilencePreview((), 0))) == []
        assert "<!channel>" not in said(here.modal())


# --- a silence that matches nothing


def test_a_silence_that_matches_nothing_that_was_ever_read_is_asked_about_once_more(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.slack.command("/alertbot silence")
        here.submit(here.modal(), silence_llm="lllm-1")
        asked = here.modal()
        assert silences(here) == []
        assert "matches nothing that has been read so far" in said(asked)
        assert asked.content["submit"]["text"] == "Silence anyway"
        assert value(asked, "llm") == "lllm-1"
        here.submit(asked, silence_llm="llm-9")  # another doubt
        assert silences(here) == []
        here.submit(here.modal())
        assert silences(here) == ["1 ai_llm=llm-9"]


def test_a_silence_that_was_doubted_and_mended_is_made_at_once(sqlite):
    with office(sqlite, TWO) as here:
        here.scene.until(1)
        here.slack.command("/alertbot silence")
        here.submit(here.modal(), silence_more="user=~" + "x" * 290)
        here.submit(here.modal(), silence_more="", silence_llm="llm-1")
        assert silences(here) == ["1 ai_llm=llm-1"]
