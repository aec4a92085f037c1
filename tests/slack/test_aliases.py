"""What somebody types who has not read how things are called here."""

from dataclasses import replace
from datetime import timedelta

import pytest

from alertbot.domain.rankings import RankingQuery
from alertbot.domain.rules import Period
from alertbot.domain.silences import Matcher, MatchType, SilenceRequest
from alertbot.domain.windows import Calendar
from alertbot.errors import UsageError
from alertbot.slack.parse import Request, parse
from tests.builders import budget, rule
from tests.slack.office import office

TWO_HOURS = timedelta(hours=2)
VIOLATORS = RankingQuery("policy_violations", "user", Calendar.YESTERDAY)


def silence(matcher: Matcher, comment: str = "") -> SilenceRequest:
    return SilenceRequest((matcher,), TWO_HOURS, comment)


OF_THE_RULE = silence(Matcher("rule", MatchType.IS, "violation-burst"))
SAID = {
    "take A42": Request("ack", target="A42"),
    "Acknowledge A42": Request("ack", target="A42"),
    "cost yesterday": Request("spend", question=RankingQuery("spend_usd", "ai_llm", Calendar.YESTERDAY)),
    "on call": Request("oncall"),
    "who is on call?": Request("oncall"),
    "who broke the most rules yesterday": Request("help", target="top"),
    "budgets": Request("budget"),
    "top violators yesterday": Request("top", question=VIOLATORS),
    "violators yesterday": Request("top", question=VIOLATORS),
    "top people yesterday": Request("top", question=VIOLATORS),
    "top yesterday users violations": Request("top", question=VIOLATORS),
    "top tokens by configuration last 2h": Request("top", question=RankingQuery("tokens", "ai_llm", TWO_HOURS)),
    "stats last day": Request("stats", window=timedelta(days=1)),
    "stats past hour": Request("stats", window=timedelta(hours=1)),
    "stats 2 hours": Request("stats", window=TWO_HOURS),
    "snooze A42 until tomorrow": Request("snooze", target="A42", text="tomorrow"),
    "snooze A42 tomorrow 9:00": Request("snooze", target="A42", text="tomorrow"),
    "snooze A42 for 2 hours": Request("snooze", target="A42", window=TWO_HOURS),
    "silence violation-burst 2h": Request("silence", silence=OF_THE_RULE, text="violation-burst"),
    "silence violation-burst for 2 hours": Request("silence", silence=OF_THE_RULE, text="violation-burst"),
    "silence 2hrs rule=violation-burst": Request("silence", silence=OF_THE_RULE),
    "silence 2h violation-burst we know": Request(
        "silence", silence=silence(Matcher("rule", MatchType.IS, "violation-burst"), "we know"), text="violation-burst"
    ),
    "comment A42 gone in 2 hours": Request("comment", target="A42", text="gone in 2 hours"),
}


@pytest.mark.parametrize(("text", "request_"), SAID.items())
def test_what_people_say_is_understood(text, request_):
    assert parse(text) == request_


@pytest.mark.parametrize(
    "text", ["silence", "silence soon", "silence violation-burst", "silence 2h", "snooze A42 until"]
)
def test_what_cannot_be_guessed_is_asked_for(text):
    if text == "silence":
        assert parse(text).silence is None
    else:
        with pytest.raises(UsageError, match="for example"):
            parse(text)


def test_a_rule_or_a_configuration_is_silenced_by_its_name_alone(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        assert "`rule=violation-burst`" in here.ask("silence violation-burst 2h")
        assert "`ai_llm=llm-1`" in here.ask("silence llm-1 2h")
        assert "did you mean violation-burst?" in here.ask("silence violaton-burst 2h")


def test_why_says_that_a_message_was_only_updated_and_not_as_what(sqlite):
    with office(sqlite, {"acme/llm-1": "0 9 10"}) as here:
        here.scene.until(1)
        assert "announced as first" in here.ask("why A1")
        here.scene.until(2)
        answer = here.ask("why A1")
        assert "the message is updated, nobody is pinged" in answer
        assert "as edit" not in answer


def test_why_says_that_a_budget_is_only_forecast_to_reach_its_amount(sqlite):
    looks_ahead = replace(rule(budget(Period.DAY, forecast=True)), name="daily")
    with office(sqlite, {"acme/llm-1": "0+1x9"}, looks_ahead) as here:
        here.scene.until(9)
        assert "value: 9 violations this day; condition met (forecast of at least 100 violations, info)" in here.ask(
            "why daily"
        )


def test_why_takes_the_id_that_the_message_shows(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        assert here.ask("why A1") == here.ask("why g1") == here.ask("why violation-burst llm-1")


def test_a_snooze_until_tomorrow_ends_at_nine_on_the_persons_own_clock(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        here.ask("snooze A1 until tomorrow", "U2")
        until = here.alert().snoozed_until
        assert until is not None
        local = until.astimezone(here.context.zone_of("U2"))
        assert (local.hour, local.minute, (local.date() - here.scene.now.astimezone(local.tzinfo).date()).days) == (
            9,
            0,
            1,
        )
