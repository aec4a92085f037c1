"""Apps and payloads that the tests of the Slack look-alike share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from alertbot.demo.slack.server import SlackServer


def client_of(slack: SlackServer) -> WebClient:
    """Make the real client, which tries nothing twice."""
    return WebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[], timeout=5)


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


BUTTONS: dict[str, Any] = {
    "type": "actions",
    "block_id": "acts",
    "elements": [
        {"type": "button", "action_id": "acknowledge", "text": plain("Acknowledge"), "value": "A1"},
        {"type": "button", "action_id": "silence", "text": plain("Silence…"), "value": "A1"},
        {
            "type": "static_select",
            "action_id": "snooze",
            "placeholder": plain("Snooze"),
            "options": [{"text": plain("30 minutes"), "value": "30m"}, {"text": plain("1 hour"), "value": "1h"}],
        },
    ],
}


def modal(title: str = "Silence", **more: Any) -> dict[str, Any]:
    comment = {
        "type": "input",
        "block_id": "comment",
        "label": plain("Comment"),
        "element": {"type": "plain_text_input", "action_id": "text"},
    }
    return {
        "type": "modal",
        "callback_id": "silence",
        "title": plain(title),
        "submit": plain("Save"),
        "blocks": [comment],
        **more,
    }


def app_of(slack: SlackServer, **more: Any) -> App:
    """Make a Bolt app with a listener for everything that people can do."""
    app = App(client=client_of(slack), **more)

    @app.command("/alertbot")
    def answer_command(ack: Any, command: Any, respond: Any) -> None:
        ack(f"heard {command['text']}")
        if command["text"] == "twice":
            respond(text="and once more", response_type="in_channel")

    @app.action("acknowledge")
    def acknowledge(ack: Any, body: Any, respond: Any) -> None:
        ack()
        respond(text=f"acknowledged by <@{body['user']['id']}>", replace_original=True)

    @app.action("snooze")
    def snooze(ack: Any, action: Any, respond: Any) -> None:
        ack()
        respond(text=f"snoozed for {action['selected_option']['value']}")

    @app.action("silence")
    def open_modal(ack: Any, body: Any, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=modal())

    @app.view("silence")
    def save(ack: Any, view: Any) -> None:
        text = view["state"]["values"]["comment"]["text"]["value"]
        if text == "again":
            ack(response_action="update", view=modal("Really?"))
        elif text == "bad":
            ack(response_action="errors", errors={"comment": "say why"})
        else:
            ack()

    @app.event("app_home_opened")
    def show_home(event: Any, client: WebClient) -> None:
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("All quiet")]})

    return app


@contextmanager
def connected(slack: SlackServer, count: int = 1, **more: Any) -> Iterator[None]:
    """Run the app over Socket Mode until the block ends."""
    handler: Any = SocketModeHandler(app_of(slack), slack.app_token, **more)
    handler.connect()
    slack.wait_for_connection(count)
    try:
        yield
    finally:
        handler.close()
