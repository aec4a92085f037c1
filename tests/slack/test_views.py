"""Whatever names and numbers are in them, our messages and answers are within Slack's limits and ping nobody by accident."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.demo.slack.limits import check_view
from alertbot.demo.slack.server import SlackServer
from alertbot.domain.alerts import ActionType, Alert, Outcome
from alertbot.domain.notifications import NotificationKind
from alertbot.domain.reports import Health, ListedRule, SourceRow
from alertbot.domain.rules import Severity
from alertbot.domain.silences import Matcher, MatchType, Silence
from alertbot.slack.bot import web_client
from alertbot.slack.parse import NAMES
from alertbot.slack.views import analytics, responses
from alertbot.slack.views.details import details_view
from alertbot.slack.views.home import HomeData, home_view
from alertbot.slack.views.message import notification_message
from alertbot.slack.views.notification import notification_line
from alertbot.slack.views.rules import rules_response
from alertbot.slack.views.text import escape, fit, literal, mention, mention_user
from tests.slack.messages import (
    FIRED,
    LINK,
    NOW,
    acted,
    alert,
    alert_message,
    explained,
    failing,
    many,
    notification,
    resolved,
    row,
    rule,
    stat,
    stats_of,
    status,
    taken,
)
from tests.slack.payloads import assert_harmless, assert_sendable, texts

ATTACKS = (
    "<!channel> <!here> <!everyone>",
    "<@U1> <#C1> <!subteam^S0123TEAM>",
    "<https://evil.example|click here>",
    "https://evil.example/login",
    "@here @channel #general",
    "`code` ```fence``` *bold* _it_ ~no~",
    "&lt;!channel&gt; &amp;amp;",
    "a\nb\r\n\tc\x0b\x00\x1b[31mred\x07",
    "\u202eevil\u202c \u2066x\u2069 \u200fשלום مرحبا",
    "🔥👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈" * 40,
    "\ud800 half \udfff",
    "{0} {1} {} {{0}}",
    "%s %(x)s $x ${x}",
    "x" * 5000,
    "<" * 5000,
    "& " * 2500,
    "  \t ",
    ":skull: :white_check_mark: *Resolved*",
    "|pipe|table|",
)
characters = st.characters(codec=None, categories=None)
evil = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(characters, min_size=1, max_size=300),
    st.builds(lambda attack, text: f"{text}{attack}{text}", st.sampled_from(ATTACKS), st.text(characters, max_size=20)),
)


def evil_alert(text: str, number: int = 42, **changed: Any) -> Any:
    labels = {"source": text, "ai_llm": f"{text}-{number}", "name": text, "rule": text}
    return alert(number, rule=text, series=text, labels=labels, note=text, **changed)


def assert_fine(payload: dict[str, Any], *markup: str) -> None:
    assert_sendable(payload)
    assert_harmless(payload, markup=set(markup))


@given(evil)
@settings(deadline=None)
def test_a_message_of_one_alert_takes_any_name(text):
    one = evil_alert(text)
    assert_fine(notification_message(alert_message(one, previous=LINK)), f"<{LINK}|previous alert>")
    assert_fine(notification_message(alert_message(resolved(one))))
    assert_fine(notification_message(alert_message(taken(one, by=text))), *_meant(text))
    assert_fine(
        notification_message(alert_message(replace(one, assigned_to=text, snoozed_until=NOW + timedelta(hours=1)))),
        *_meant(text),
    )


def _meant(text: str) -> set[str]:
    """A text that is somebody's id is a mention of that person, which is what it was given for."""
    return {f"<@{text}>", f"<!subteam^{text}>"} if text.isalnum() else set()


@given(evil)
@settings(deadline=None)
def test_a_message_of_several_alerts_takes_any_name(text):
    members = [evil_alert(text, number) for number in range(15)]
    assert_fine(notification_message(alert_message(*members)))
    assert_fine(notification_message(alert_message(*members[:3], *(resolved(one) for one in members[3:]))))


@pytest.mark.parametrize("count", [1, 2, 12, 13, 1000])
def test_a_message_of_any_number_of_alerts_is_within_the_limits(count):
    members = [evil_alert("x<&>" * 100, number) for number in range(count)]
    assert_fine(notification_message(alert_message(*members)))
    assert_fine(notification_message(alert_message(*(resolved(taken(one)) for one in members))), "<@U1>")


def test_a_message_of_a_thousand_shows_the_worst_and_counts_the_others():
    message = notification_message(alert_message(*many(1000)))
    shown = "\n".join(texts(message))
    assert "*1000 firing*" in shown
    assert "`A999` support-chat-999: 999\n" in shown
    assert "… and 988 more" in shown


@given(evil)
@settings(deadline=None)
def test_a_line_in_a_thread_takes_any_name_and_any_comment(text):
    for kind in NotificationKind:
        assert_fine(notification_line(notification(kind, text)))
        assert_fine(notification_line(notification(kind, f"{{0}}: {text}", people=("U1",))), "<@U1>")
        assert_fine(notification_line(notification(kind, *[f"Resolved: {text}"] * 50, mention=("@here",))), "<!here>")
        assert_fine(
            notification_line(notification(kind, "{0} assigned it to {1}: x", people=("U1", text))),
            "<@U1>",
            *_meant(text),
        )


def test_what_others_wrote_cannot_name_the_people_of_a_line():
    line = notification_line(
        notification(NotificationKind.ACTION, "{0} assigned it to {1}: {0} {1} {2}", people=("U1", "{0}"))
    )
    assert line["text"] == ":speech_balloon: <@U1> assigned it to {0}: {0} {1} {2}"


@given(evil, st.one_of(st.none(), st.integers(min_value=0, max_value=10**400)))
@settings(deadline=None)
def test_every_answer_takes_any_name_and_any_number(text, count):
    one = evil_alert(text)
    rows = [SourceRow(text, health, NOW, 50, text) for health in Health]
    assert_fine(responses.status_response(status(*rows * 5, waiting=3)))
    assert_fine(responses.alerts_response([row(one)] * 30))
    assert_fine(responses.alerts_response([row(taken(one, by=text), group=None)]), *_meant(text))
    assert_fine(analytics.stats_response(stats_of([stat(text, count, tokens=count, policy_violations=count)] * 50)))
    assert_fine(responses.action_response(acted(ActionType.ACKNOWLEDGE, Outcome.DONE, *[one] * 30)))
    assert_fine(responses.error_response(text))


@given(evil)
@settings(deadline=None)
def test_answers_about_rules_silences_and_people_on_call_take_any_name(text):
    watched = rule(name=text, description=text)
    silence = Silence((Matcher("ai_llm", MatchType.IS, text),), FIRED, NOW, text, text, 3)
    assert_fine(responses.silences_response([silence] * 30), *_meant(text))
    assert_fine(
        rules_response([ListedRule(text, one) for one in [watched, replace(watched, enabled=False)] * 30], muted={text})
    )
    assert_fine(responses.oncall_response({text: text, "primary": "U1"}), "<@U1>", *_meant(text))
    assert_fine(responses.why_response([explained(watched, text)] * 12))
    assert_fine(responses.unmuted_response(text))


@given(evil)
@settings(deadline=None)
def test_the_details_of_any_alert_fit_a_modal(text):
    one = evil_alert(text)
    members = [taken(one, by="U1"), resolved(one), replace(one, assigned_to=text), *[one] * 30]
    for page in (0, 1, 99):
        view = details_view(17, members, now=NOW, page=page)
        assert check_view(view) == []
        assert_harmless(view, markup={"<@U1>", *_meant(text)})


def test_the_other_answers_are_within_the_limits():
    for answer in (
        responses.status_response(status()),
        responses.alerts_response([]),
        analytics.stats_response(stats_of([])),
        responses.action_response(replace(acted(ActionType.ACKNOWLEDGE, Outcome.DONE), outcomes=(), again=True)),
        responses.help_response("/alertbot", ""),
        *(responses.help_response("/alertbot", topic) for topic in NAMES),
    ):
        assert_fine(answer)


@given(st.lists(st.tuples(evil, st.integers(min_value=0, max_value=10**30)), min_size=1, max_size=60))
@settings(deadline=None)
def test_the_rows_of_the_table_stand_under_one_another_whatever_the_names(named):
    answer = analytics.stats_response(stats_of([stat(name, calls, tokens=calls) for name, calls in named]))
    (table,) = list(texts(answer["blocks"], literal=True))
    header, *lines = table.split("\n")
    assert len(lines) == min(len(named), 41)
    widths = {len(line) for line in lines if not line.startswith("… and ")}
    assert widths <= {len(header)}


COUNTS = {0: "0", 99_999: "99,999", 100_000: "100k", 999_499: "999k", 999_500: "1M", 12_345_678: "12.3M", 10**9: "1G"}


@pytest.mark.parametrize(("count", "shown"), COUNTS.items())
def test_a_count_is_short_and_never_in_powers_where_a_letter_will_do(count, shown):
    answer = analytics.stats_response(stats_of([stat(calls=count)]))
    assert f" {shown} " in next(iter(texts(answer["blocks"], literal=True))).split("\n")[1]


VALIDATED: dict[str, Callable[[], dict[str, Any]]] = {
    "one alert": lambda: notification_message(alert_message()),
    "a thousand alerts": lambda: notification_message(alert_message(*many(1000))),
    "an evil name": lambda: notification_message(alert_message(evil_alert("<!channel>\n```\u202e" * 200))),
    "status": lambda: responses.status_response(status(*[failing("acme", "x" * 5000)] * 30)),
    "alerts": lambda: responses.alerts_response([row()] * 30),
    "stats": lambda: analytics.stats_response(stats_of([stat()] * 50)),
    "help": lambda: responses.help_response("/alertbot", ""),
}


@pytest.fixture(scope="module")
def slack():
    with SlackServer(page=False) as server:
        yield server


@pytest.mark.parametrize("make", VALIDATED.values(), ids=VALIDATED.keys())
def test_slack_itself_would_find_no_fault(slack, make):
    client = web_client(slack.bot_token, api_url=slack.api_url, timeout=timedelta(seconds=5))
    message = {name: part for name, part in make().items() if name in {"blocks", "attachments"}}
    assert client.api_call("blocks.validate", json={"message": message})["ok"]


@given(evil, st.integers(min_value=1, max_value=400))
def test_foreign_text_is_one_line_cut_between_characters_and_never_inside_an_entity(text, limit):
    shown = literal(text, limit)
    assert len(shown) <= limit
    assert "\n" not in shown
    back = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert escape(back) == shown


@given(st.lists(evil, min_size=1, max_size=30), st.integers(min_value=30, max_value=500))
def test_lines_are_left_out_whole_and_counted(written, limit):
    lines = [literal(line, 100) for line in written]
    shown = fit(lines, limit).split("\n")
    assert len("\n".join(shown)) <= limit
    if shown != lines:
        *kept, last = shown
        assert kept == lines[: len(kept)]
        assert last == f"… and {len(lines) - len(kept)} more"


MENTIONS = {
    "U012AB3CD": "<@U012AB3CD>",
    "U1": "<@U1>",
    "W012AB3CD": "<@W012AB3CD>",
    "S0123TEAM": "<!subteam^S0123TEAM>",
    "@here": "<!here>",
    "@channel": "<!channel>",
    "URSULA": "URSULA",
    "SAM": "SAM",
    "ana": "ana",
    "<!channel>": "&lt;!channel&gt;",
    "U1|x> <!here>": "U1|x&gt; &lt;!here&gt;",
}


@pytest.mark.parametrize(("who", "shown"), MENTIONS.items())
def test_whom_the_configuration_names_is_mentioned_and_a_name_stays_a_name(who, shown):
    assert mention(who) == shown


@pytest.mark.parametrize("who", ["@here", "@channel", "@everyone"])
def test_nobody_can_make_themselves_everybody(who):
    assert mention_user(who) == who
    assert "<!" not in "".join(
        texts(notification_message(alert_message(taken(alert(), by=who))), literal=False)
    ).replace("<!date", "")


LOOKS = {
    "a warning": ([alert()], ":large_orange_circle: *Warning*: ", "#d9902f"),
    "a critical one": ([alert(severity=Severity.CRITICAL)], ":red_circle: *Critical*: ", "#c9302c"),
    "taken": ([taken(alert())], ":eyes: *Acknowledged*: ", "#8b8f98"),
    "half taken": ([taken(alert(1)), alert(2)], ":large_orange_circle: *Warning*: ", "#d9902f"),
    "snoozed": ([alert(snoozed_until=NOW + timedelta(hours=1))], ":zzz: *Snoozed*: ", "#8b8f98"),
    "a snooze that is over": ([alert(snoozed_until=NOW)], ":large_orange_circle: *Warning*: ", "#d9902f"),
    "one of two is over": ([alert(1), resolved(alert(2))], ":large_orange_circle: *Warning*: ", "#d9902f"),
    "over": ([resolved(alert())], ":white_check_mark: *Resolved*: ", "#3f9c5a"),
}


@pytest.mark.parametrize(("members", "begins", "colour"), LOOKS.values(), ids=LOOKS.keys())
def test_the_first_word_and_the_colour_say_how_it_stands(members, begins, colour):
    message = notification_message(alert_message(*members))
    assert message["text"].startswith(begins)
    assert message["attachments"][0]["color"] == colour


def test_what_is_over_has_no_buttons_and_what_fires_has():
    assert _kinds(notification_message(alert_message()))[-1] == "actions"
    assert "actions" not in _kinds(notification_message(alert_message(resolved(alert()))))


def _kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["attachments"][0]["blocks"]]


WORSE = alert(peak_severity=Severity.CRITICAL, taken_by="U7", taken_at=FIRED + timedelta(minutes=3))
EASED = {
    "a message": lambda one: notification_message(alert_message(one)),
    "a message of several": lambda one: notification_message(alert_message(one, alert(43))),
    "details": lambda one: details_view(17, [one], now=NOW),
    "a list": lambda one: responses.alerts_response([row(one)]),
    "Home": lambda one: home_view(
        HomeData("U1", [row(one)], status(firing=1), [], {}, may_operate=True, command="/alertbot", now=NOW)
    ),
}


@pytest.mark.parametrize("show", EASED.values(), ids=EASED.keys())
def test_how_bad_it_was_and_who_had_taken_it_before_it_got_worse_stand_everywhere(show: Callable[[Alert], Any]):
    shown = " ".join(texts(show(WORSE)))
    assert "was critical" in shown
    assert "<@U7> acknowledged it" in shown
    assert "before it got worse" in shown
    assert "was critical" not in " ".join(texts(show(replace(WORSE, severity=Severity.CRITICAL))))


def test_an_alert_that_has_ended_is_marked_as_bad_as_it_was():
    ended = resolved(alert(peak_severity=Severity.CRITICAL))
    assert "*Severity*\nCritical" in " ".join(texts(notification_message(alert_message(ended))))
    assert ":red_circle:" in " ".join(texts(responses.alerts_response([row(ended)])))
