"""Who leads, how full the budgets are, charts, and sharing an answer: as people in Slack meet them."""

import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
import structlog
from PIL import Image

from alertbot.demo.slack.faults import FaultKind
from alertbot.demo.slack.records import Message
from alertbot.demo.slack.server import SlackServer
from alertbot.demo.slack.transcript import plain_text
from alertbot.domain.alerts import Alert
from alertbot.domain.coverage import Coverage
from alertbot.domain.rankings import RankingRow
from alertbot.domain.rules import Period
from alertbot.domain.spending import Spending, Spent
from alertbot.domain.visibility import VisibilityRule
from alertbot.slack import commands
from alertbot.slack.charts import draw
from alertbot.slack.parse import Request, parse
from alertbot.slack.surface import Surface
from alertbot.slack.views import analytics
from alertbot.slack.views.message import notification_message
from alertbot.slack.views.sharing import with_share_button
from alertbot.slack.views.text import with_moments
from tests.builders import absence, at, budget, minutes, rule, threshold
from tests.slack.messages import (
    NOW,
    WHOLE,
    alert,
    alert_message,
    budgets_of,
    chart_series,
    ranking,
    resolved,
    taken,
    usage,
)
from tests.slack.office import Office, office, there
from tests.slack.payloads import assert_harmless, assert_sendable, texts

CHANNEL = "#ai-alerts"
PATIENCE = 20.0  # seconds; drawing takes its time on a busy machine


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """The first chart takes seconds, which would count as the test's."""
    draw(chart_series())


def answered(here: Office, text: str, user: str = "U1") -> Message:
    """The answer to a command, with its blocks."""
    delivery = here.slack.command(f"/alertbot {text}", user)
    return here.slack.wait_for(lambda: here.slack.answers(delivery), PATIENCE)[-1]


def public(here: Office) -> list[Message]:
    """What everybody sees in the channel, but for the messages of alerts."""
    return [one for one in here.slack.messages(CHANNEL) if one.visible_to is None and not one.attachments]


def shown(message: Message) -> str:
    return plain_text(message)


def shares(message: Message) -> list[str]:
    """What the buttons that share an answer would ask anew."""
    return [
        element["value"]
        for block in message.blocks
        if block["type"] == "actions"
        for element in block["elements"]
        if element["action_id"] == "share"
    ]


# --- top, budget, windows


def test_the_leaders_are_a_table_that_fits_a_telephone():
    rows = [
        RankingRow(n, f"k{n}", f"a configuration with a long name {n}", "acme", 10 ** (16 - n)) for n in range(1, 13)
    ]
    answer = analytics.top_response(replace(ranking(), rows=tuple(rows)))
    (table,) = texts(answer, literal=True)
    lines = table.split("\n")
    assert max(map(len, lines)) <= 40
    assert len({len(line) for line in lines[:-1]}) == 1, "values end in one column"
    assert lines[-1] == "… and 2 more"
    assert lines[2].endswith("10,000,000,000,000"[-13:]) or "T" in lines[2]


def test_a_counter_of_any_size_fits_the_table():
    answer = analytics.top_response(replace(ranking(), rows=(RankingRow(1, "k", "huge", "acme", 10**400),)))
    assert_sendable(answer)
    assert "1.0e+400" in next(texts(answer, literal=True))


def test_with_several_sources_each_row_names_its_own():
    rows = (RankingRow(1, "a", "chat", "acme", 9), RankingRow(2, "b", "chat", "globex", 4))
    (table,) = texts(analytics.top_response(replace(ranking(), rows=rows)), literal=True)
    assert table.split("\n") == ["1 chat (acme)    9", "2 chat (globex)  4"]


def test_where_nothing_grew_that_is_one_line():
    answer = analytics.top_response(
        replace(ranking(), rows=(RankingRow(1, "a", "chat", "acme", 0),), coverage=Coverage(NOW))
    )
    assert answer["text"].startswith("No policy violations in the last 24 h, counted since <!date^")


def test_what_was_spent_is_a_table_that_fits_a_telephone_and_says_that_it_is_an_estimate():
    rows = (
        Spent(
            "acme/1",
            "support-chat with a name that is too long for a line",
            "acme",
            Fraction(1234567, 100),
            10**9,
            10**7,
        ),
        Spent("acme/2", "code", "acme", Fraction(1, 2), 200_000, 0),
        Spent("acme/3", "home-made <!channel>", "acme", Fraction(0), 5, 5),
    )
    answer = analytics.spend_response(Spending(ranking().window, "ai_llm", "genai-prices 0.2.3", 10, rows, WHOLE))
    (table,) = texts(answer, literal=True)
    assert table.split("\n") == [
        "support-chat with a …  1.01G  $12,345.67",
        "code                    200k       $0.50",
        "home-made <!channel>      10           ?",
    ]
    assert answer["text"].startswith(f"*$12,346.17* {ranking().window.name}")
    said = "\n".join(texts(answer))
    assert [part in said for part in ("estimate", "genai-prices 0.2.3", "10 tokens")] == [True] * 3


def test_top_is_answered(sqlite):
    with office(sqlite, {"acme/llm-1": "0 4", "acme/llm-2": "0 9"}) as here:
        here.scene.until(1)
        assert "1 llm-2  9\n2 llm-1  4" in shown(answered(here, "top"))
        assert "1 acme  13" in shown(answered(here, "top violations 1h source"))
        assert "Tokens in the last 24 h: not known." in shown(answered(here, "top tokens"))
        assert "not known by model" in shown(answered(here, "top tokens model"))
        assert "latency_ms is a mean" in shown(answered(here, "top latency_ms"))
        assert "Spend in the last 24 h: not known." in shown(answered(here, "spend"))
        assert "one window and one of ai_llm" in shown(answered(here, "spend model user"))


def test_a_hidden_source_is_not_ranked_budgeted_or_drawn(sqlite):
    hidden = [VisibilityRule("globex", users=frozenset({"U2"}))]
    budgets = replace(rule(budget(amount=100), per="source"), name="each")
    with office(sqlite, {"acme/llm-1": "0 4", "globex/llm-2": "0 9"}, budgets, visibility=hidden) as here:
        here.scene.until(1)
        for text in ("top", "budget", "top violations source"):
            assert "globex" not in str(answered(here, text).blocks)
            assert "llm-2" not in str(answered(here, text).blocks)
        assert 'no LLM is called "llm-2"' in shown(answered(here, "chart violations llm-2 1h"))
        assert "globex" in shown(answered(here, "top", "U2"))


def test_midnight_is_that_of_whoever_asks(sqlite):
    question = parse("top today").question
    assert question is not None
    with office(sqlite, "0 1") as here:
        here.scene.now = at(30)  # half past midnight in UTC
        begun = {
            user: here.scene.now - here.context.for_person(user).window(question.time_range).start
            for user in ("U1", "U3")
        }
    assert begun == {"U1": minutes(90), "U3": minutes(8 * 60 + 30)}, "Madrid and Singapore"


def test_a_person_whose_zone_slack_does_not_tell_has_that_of_utc(sqlite):
    with office(sqlite, "0 1") as here, structlog.testing.capture_logs() as logs:
        here.scene.until(1)
        here.slack.fault(FaultKind.ERROR, "users.info", error="user_not_found")
        assert "Growth today" in shown(answered(here, "stats today"))
    assert [log["what"] for log in logs if log["event"] == "slack_lookup_failed"] == ["time zone"]


def test_budgets_are_bars(sqlite):
    daily = replace(rule(budget(Period.HOUR, amount=100, forecast=True)), name="hourly")
    with office(sqlite, "0+20x9", daily) as here:
        here.scene.until(4)
        answer = shown(answered(here, "budget"))
    assert "*hourly*: 100 " in answer
    assert re.search(r"`████████░░` \*80 %\* :large_orange_circle: llm-1: 80 .*\b20 .*<!date\^", answer)


def test_without_a_budget_that_is_said(sqlite):
    with office(sqlite, "0 1") as here:
        here.scene.until(1)
        assert "No budget is configured" in shown(answered(here, "budget"))


def test_a_thousand_series_of_fifty_budgets_still_fit_a_message():
    many = [
        replace(usage(n * 7), rule=replace(usage().rule, name=f"budget-{m} <!channel>"))
        for m in range(50)
        for n in range(20)
    ]
    answer = analytics.budget_response(budgets_of(*many))
    assert_sendable(answer)
    assert_harmless(answer)
    assert "more budgets" in answer["blocks"][-1]["text"]["text"]


# --- charts


def picture(here: Office, block: dict[str, object]) -> Image.Image:
    """The picture that a block shows."""
    file = here.slack.world.files[block["slack_file"]["id"]]  # type: ignore[index]
    assert file.content is not None
    return Image.open(io.BytesIO(file.content))


def images(message: Message) -> list[dict[str, object]]:
    return [block for block in message.blocks if block["type"] == "image"]


def test_a_chart_is_shown_to_whoever_asked_as_a_picture_that_is_shared_nowhere(sqlite):
    with office(sqlite, "0 1 2 9 9") as here:
        here.scene.until(4)
        answer = answered(here, "chart policy_violations llm-1 4m")
        (block,) = images(answer)
        assert picture(here, block).size == (1200, 510)
        assert answer.visible_to == "U1"
        assert all(file.shares == () for file in here.slack.world.files.values())
        assert public(here) == []
    told = str(block["alt_text"])
    assert [part in told for part in ("policy violations in 15 min", "llm-1 (acme)", "4 min.")] == [True] * 3
    assert "Highest 9 " in answer.text
    assert "warning above 5" in answer.text


def test_a_chart_waits_until_slack_has_worked_on_the_file(sqlite):
    with office(sqlite, "0 1 2", slack=SlackServer(page=False, file_seconds=0.1)) as here:
        here.scene.until(2)
        assert images(answered(here, "chart violations 2m"))
        assert here.calls("files.info") > 1


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal", "files.info"])
def test_where_the_picture_cannot_be_uploaded_the_answer_is_a_line_of_bars(sqlite, method):
    with office(sqlite, "0 1 2 9 9", replace(rule(threshold(window="1m", above=5)), name="r")) as here:
        here.scene.until(4)
        here.slack.fault(FaultKind.ERROR, method, error="missing_scope")
        with structlog.testing.capture_logs() as logs:
            answer = answered(here, "chart violations llm-1 4m")
    assert images(answer) == []
    assert "▂▂█▁" in shown(answer)
    assert [log["code"] for log in logs if log["event"] == "chart_not_uploaded"] == ["missing_scope"]


def test_a_file_that_is_never_ready_does_not_keep_people_waiting(sqlite):
    with office(sqlite, "0 1 2", slack=SlackServer(page=False, file_seconds=60)) as here:
        here.scene.until(2)
        answer = answered(here, "chart violations 2m")
    assert images(answer) == []
    assert "█" in shown(answer)


def test_what_cannot_be_drawn_is_told(sqlite):
    with office(sqlite, "0 1") as here:
        here.scene.until(1)
        assert "nor is it a rule" in shown(answered(here, "chart moods"))
        assert "a metric is missing" in shown(answered(here, "chart"))


def test_the_chart_button_puts_the_worst_alert_into_the_thread(sqlite):
    levels = replace(rule(threshold(window="15m", above={"warning": 5, "critical": 20})), name="burst")
    with office(sqlite, {"acme/llm-1": "0 9", "acme/llm-2": "0 30"}, levels) as here:
        here.scene.until(3)
        message = here.message()
        here.click(message, "chart", "U2")
        reply = there(here.slack.wait_for(lambda: here.slack.thread(message)[-1:], PATIENCE))[0]
        (block,) = images(reply)
        assert picture(here, block).size == (1200, 510)
    assert reply.visible_to is None
    assert "*llm-2 (acme)*: policy violations in 15 min" in reply.text
    assert "critical above 20" in reply.text


def test_a_chart_that_cannot_be_posted_is_shown_to_whoever_clicked(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        here.slack.fault(FaultKind.ERROR, "chat.postMessage", error="restricted_action")
        delivery = here.click(here.message(), "chart")
        (answer,) = here.slack.wait_for(lambda: here.slack.answers(delivery), PATIENCE)
    assert answer.visible_to == "U1"
    assert images(answer)


def test_the_chart_of_a_rule_that_counts_nothing_is_refused_in_a_line(sqlite):
    silent = replace(rule(absence(metric=None, window="2m"), per="source"), name="silent")
    with office(sqlite, "0 _x9", silent) as here:
        here.scene.until(5)
        delivery = here.click(here.message(), "chart")
        assert "silent has no values to draw" in here.answer_to(delivery)


def test_a_chart_series_of_which_nothing_is_known_is_one_line():
    nothing = chart_series(points=((NOW, None),))
    assert "There are no readings in this time range." in analytics.chart_response(nothing, None)["text"]


def test_names_of_others_do_no_harm_in_a_chart():
    answer = analytics.chart_response(chart_series(subject="<!channel> *x* & `y`", what="a <b>"), "F0123ABCDE")
    assert_sendable(answer)
    assert_harmless(answer)


# --- sharing


def test_an_answer_can_be_shared_and_then_stands_in_the_channel_only(sqlite):
    with office(sqlite, {"acme/llm-1": "0 4", "acme/llm-2": "0 9"}) as here:
        here.scene.until(1)
        answer = answered(here, "top violations 1h", "U2")
        here.scene.until(2)
        here.click(answer, "share", "U2")
        (found,) = here.slack.wait_for(lambda: public(here), PATIENCE)
        here.slack.wait_for(lambda: here.slack.message(CHANNEL, answer.ts).deleted)
    assert "1 llm-2  9\n2 llm-1  4" in shown(found)
    assert "<@U2>: /alertbot top violations 1h" in shown(found)
    assert shares(found) == []


def test_a_shared_chart_is_drawn_anew(sqlite):
    with office(sqlite, "0 1 2") as here:
        here.scene.until(2)
        here.click(answered(here, "chart violations 2m"), "share")
        (found,) = here.slack.wait_for(lambda: public(here), PATIENCE)
    assert images(found)


def test_what_somebody_may_not_see_they_cannot_share(sqlite):
    hidden = [VisibilityRule("globex", users=frozenset({"U2"}))]
    with office(sqlite, {"acme/llm-1": "0 4", "globex/llm-2": "0 9"}, visibility=hidden) as here:
        here.scene.until(1)
        here.click(answered(here, "top", "U2"), "share", "U1")
        (found,) = here.slack.wait_for(lambda: public(here), PATIENCE)
    assert "globex" not in str(found.blocks)


ONLY_LOOK = ("status", "stats", "top", "budget", "alerts", "silences", "rules", "oncall", "why violation-burst")


def test_every_look_up_can_be_shared(sqlite):
    with office(sqlite, "0 1") as here:
        here.scene.until(1)
        for text in ONLY_LOOK:
            assert shares(answered(here, text)) == [text]


def test_the_status_without_a_word_can_be_shared_too():
    assert with_share_button({"text": "x", "blocks": []}, "  ")["blocks"][0]["elements"][0]["value"] == "status"


def test_what_does_something_has_no_share_button_and_a_complaint_has_none(sqlite):
    too_long = f"stats {'x' * 10}*{'?' * 2000}"
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        for text in ("ack A1", "comment A1 hello", "mute violation-burst", "stauts", "ack A99", "help", too_long):
            assert shares(answered(here, text)) == []


def test_a_share_button_of_an_act_would_do_nothing(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        answer = answered(here, "status")
        forged = json.loads(json.dumps(answer.blocks).replace('"status"', '"ack A1"'))
        delivery = here.click(replace(answer, blocks=forged), "share")
        assert "cannot be shared" in here.answer_to(delivery)
        assert here.alert().acknowledged_at is None


def test_a_command_that_is_too_long_for_a_button_has_none():
    assert with_share_button({"text": "x", "blocks": []}, "x" * 2001)["blocks"] == []


def test_an_answer_whose_blocks_slack_refuses_is_told_in_plain_words(sqlite):
    with office(sqlite, "0 9") as here, structlog.testing.capture_logs():
        here.scene.until(1)
        # As if Slack forgot the file between the look whether it is there, and the answer.
        context = replace(here.context, upload=lambda _png, _title: "F0NOTTHERE")
        reply = commands.answer(context, {"text": "chart violations 2m", "user_id": "U1"})
        delivery = here.slack.command("/alertbot status")
        here.slack.wait_for(lambda: here.slack.answers(delivery))
        surface = Surface(here.context, here.client, delivery.payload)
        surface.say(reply, response_type="ephemeral", replace_original=False)
        assert "Highest 9" in here.slack.answers(delivery)[-1].text


# --- the alert's message


def test_the_message_of_one_alert_shows_how_it_was_and_who_is_on_call():
    dressed = replace(
        alert_message(),
        trend=(None, 0, 1, 9),
        description="Runbook: https://wiki.example.com/a?b=1&c=2.",
        on_call={"p": "U7"},
    )
    message = notification_message(dressed)
    assert_sendable(message)
    said = "\n".join(texts(message))
    assert re.search(r"\b15 min\b.*\b1 h\b.*\n·▁▂█", said)
    assert "\n<@U7>" in said
    assert "Runbook: <https://wiki.example.com/a?b=1&amp;c=2>. · Rule violation-burst" in said
    over = "\n".join(texts(notification_message(replace(dressed, alerts=(resolved(alert()),)))))
    assert "<@U7>" not in over
    brief = "\n".join(texts(notification_message(replace(dressed, trend=(None, None, 0, 9)))))
    assert "█" not in brief, "one bar or two show no course"


def numbers(one: Alert) -> list[str]:
    """The numbers of the first field of its message."""
    (attachment,) = notification_message(alert_message(one))["attachments"]
    return re.findall(r"\d+", attachment["blocks"][0]["fields"][0]["text"])


def test_the_number_stands_against_its_threshold_and_how_bad_it_was():
    eased = replace(alert(), value=Fraction(9), peak=Fraction(24))
    assert numbers(eased) == ["15", "9", "5", "24"], "in how many minutes, how many, how many are allowed, the worst"
    assert numbers(resolved(eased)) == ["15", "24", "5"], "of one that is over the worst only"


def test_who_took_it_can_give_it_back_from_the_message():
    first = [
        notification_message(alert_message(one))["attachments"][0]["blocks"][-1]["elements"][0]
        for one in (alert(), taken(alert()))
    ]
    assert [(button["action_id"], button["value"]) for button in first] == [
        ("acknowledge", "G17"),
        ("give_back", "G17"),
    ]


def test_what_was_escalated_looks_so_until_somebody_takes_it():
    shown = alert_message()
    told = replace(shown.group.notified, steps=1)
    escalated = replace(shown, group=replace(shown.group, notified=told))
    assert notification_message(escalated)["text"].startswith(":rotating_light: *Warning*: ")
    assert "Escalated" in str(notification_message(escalated))
    assert "Escalated" not in str(notification_message(replace(escalated, alerts=(taken(alert()),))))


def test_a_moment_in_a_sentence_is_told_on_the_readers_own_clock():
    assert (
        with_moments("since 2026-01-05T10:02:00Z")
        == "since <!date^1767607320^{date_short_pretty} {time}|2026-01-05 10:02 UTC>"
    )
    assert with_moments("since 2026-13-45T10:02:00Z") == "since 2026-13-45T10:02:00Z"


def test_a_link_that_had_to_be_cut_is_no_link():
    message = notification_message(replace(alert_message(), description="https://wiki.example.com/" + "x" * 700))
    assert "<https" not in "\n".join(texts(message))


# --- what is typed

TYPED = {
    "stats today": Request("stats", window=parse("stats today").window),
    "budget": Request("budget"),
    "chart tokens": Request("chart", target="tokens"),
    "chart tokens support-chat": Request("chart", target="tokens", text="support-chat"),
    'chart tokens "support chat" 1h': Request("chart", target="tokens", text="support chat", window=timedelta(hours=1)),
    "chart tokens last week": Request("chart", target="tokens", window=parse("stats last week").window),
}


@pytest.mark.parametrize(("text", "request_"), TYPED.items())
def test_is_understood(text, request_):
    assert parse(text) == request_
