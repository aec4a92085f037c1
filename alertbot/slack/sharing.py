"""The buttons that show something to everybody: Share below an answer, and Chart below an alert."""

from collections.abc import Mapping
from typing import Any

import structlog
from slack_bolt import Ack, App
from slack_sdk import WebClient

from alertbot.domain.formatting import severity_order
from alertbot.errors import SlackError, UsageError
from alertbot.queries.chart import chart_of
from alertbot.slack.chart_upload import pictured
from alertbot.slack.commands import answer_for_all
from alertbot.slack.context import RequestContext
from alertbot.slack.errors import translate_errors
from alertbot.slack.surface import Surface
from alertbot.slack.views import analytics
from alertbot.slack.views.responses import Response

log = structlog.get_logger()


def listen(app: App, context: RequestContext) -> None:
    """Have the two buttons answered."""

    @app.action("share")
    def share(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        surface = Surface(context, client, body)
        surface.work(lambda: share_answer(surface), key=f"share {_place(body)}")

    @app.action("chart")
    def chart(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        surface = Surface(context, client, body)
        # One at a time for a person and a message; a second click hears that the first is being worked on.
        surface.work(lambda: show_chart(surface), key=f"chart {body['user']['id']} {_place(body)}")


def _place(body: Mapping[str, Any]) -> str:
    """The message of a click."""
    container = body.get("container") or {}
    return f"{container.get('channel_id')} {container.get('message_ts')}"


def share_answer(surface: Surface) -> None:
    """Show an answer to everybody in the channel, in place of the person's own. Raises AlertbotError."""
    try:
        reply = answer_for_all(surface.context, surface.body)
        surface.say(reply, response_type="in_channel", replace_original=False)
        surface.say({}, delete_original=True)
    except SlackError as error:
        log.warning("answer_not_shared", code=error.code, why=error.lines[0])
        surface.tell("Slack did not accept it; try again")


def show_chart(surface: Surface) -> None:
    """Put the chart of a message below it; where not everybody may see it, for whoever clicked alone. Raises UsageError."""
    context, body = surface.context, surface.body
    try:
        reply = clicked_chart(context.for_channel(body), body)
    except UsageError:  # not everybody in the channel may see it, or there is nothing to see
        surface.show(clicked_chart(context.for_whom(body), body))
        return
    try:
        put_into_thread(surface.client, body, reply)
    except SlackError as error:  # whoever asked sees it at least
        log.warning("chart_not_posted", code=error.code, why=error.lines[0])
        surface.show(reply)


def clicked_chart(here: RequestContext, body: Mapping[str, Any]) -> Response:
    """The chart of the worst alert of a message, for whom the context is. Raises UsageError where there is nothing to draw."""
    alert = min(here.whole_alerts(str(body["actions"][0].get("value") or "")), key=severity_order)
    chart_series = chart_of(
        here.database,
        rules=here.rules,
        intervals=here.intervals,
        alert=alert,
        now=here.clock(),
        prices=here.prices,
        privacy=here.privacy(),
    )
    return analytics.chart_response(
        chart_series, pictured(chart_series, here.upload, here.zone_of(str(body["user"]["id"])))
    )


def put_into_thread(client: WebClient, body: Mapping[str, Any], reply: Response) -> None:
    """Post below the message of the click. Raises a SlackError."""
    where = {
        "channel": body["channel"]["id"],
        "thread_ts": (body.get("message") or {}).get("thread_ts") or body["container"]["message_ts"],
        "unfurl_links": False,
        "unfurl_media": False,
        "parse": "none",
    }
    with translate_errors("chat.postMessage"):
        client.api_call("chat.postMessage", json={**where, **reply})
