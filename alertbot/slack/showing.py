"""The buttons that show something to everybody: Share below an answer, and Chart below an alert."""

from collections.abc import Mapping
from typing import Any

import structlog
from slack_bolt import Ack, App, Respond
from slack_sdk import WebClient

from alertbot.errors import AlertbotError, SlackError
from alertbot.flows.chart import chart_of
from alertbot.slack.commands import answer_for_all
from alertbot.slack.desk import Desk
from alertbot.slack.failures import translated
from alertbot.slack.pictures import pictured
from alertbot.slack.surface import Surface, say
from alertbot.slack.views import answers, figures
from alertbot.slack.views.answers import Answer
from alertbot.slack.views.message import gravity

log = structlog.get_logger()


def listen(app: App, desk: Desk) -> None:
    """Have the two buttons answered."""

    @app.action("share")
    def share(ack: Ack, body: Mapping[str, Any], respond: Respond, client: WebClient) -> None:
        ack()
        surface = Surface(desk, client, body, respond)
        try:
            reply = answer_for_all(desk, body)
            say(respond, reply, response_type="in_channel", replace_original=False)
            with translated("response_url"):
                respond(delete_original=True)
        except SlackError as error:
            log.warning("answer_not_shared", code=error.code, why=error.lines[0])
            surface.show(answers.complaint("Slack did not take it; try again"))
        except AlertbotError as error:
            surface.show(answers.complaint(error.lines[0]))

    @app.action("chart")
    def chart(ack: Ack, body: Mapping[str, Any], respond: Respond, client: WebClient) -> None:
        ack()
        surface = Surface(desk, client, body, respond)
        try:
            reply = clicked_chart(desk.for_channel(body), body)
        except AlertbotError:  # not everybody in the channel may see it, or there is nothing to see
            surface.show(_chart_for_one(desk, body))
            return
        try:
            put_into_thread(client, body, reply)
        except SlackError as error:  # whoever asked sees it at least
            log.warning("chart_not_posted", code=error.code, why=error.lines[0])
            surface.show(reply)


def _chart_for_one(desk: Desk, body: Mapping[str, Any]) -> Answer:
    """The chart for whoever clicked alone, or why there is none."""
    try:
        return clicked_chart(desk.for_whom(body), body)
    except AlertbotError as error:
        return answers.complaint(error.lines[0])


def clicked_chart(here: Desk, body: Mapping[str, Any]) -> Answer:
    """The chart of the worst alert of a message, for whom the desk is. Raises UsageError where there is nothing to draw."""
    alert = min(here.whole_alerts(str(body["actions"][0].get("value") or "")), key=gravity)
    curve = chart_of(
        here.database,
        rules=here.rules,
        intervals=here.intervals,
        alert=alert,
        now=here.clock(),
        prices=here.prices,
        privacy=here.privacy(),
    )
    return figures.chart_answer(curve, pictured(curve, here.upload))


def put_into_thread(client: WebClient, body: Mapping[str, Any], reply: Answer) -> None:
    """Post below the message of the click. Raises a SlackError."""
    where = {
        "channel": body["channel"]["id"],
        "thread_ts": (body.get("message") or {}).get("thread_ts") or body["container"]["message_ts"],
        "unfurl_links": False,
        "unfurl_media": False,
        "parse": "none",
    }
    with translated("chat.postMessage"):
        client.api_call("chat.postMessage", json={**where, **reply})
