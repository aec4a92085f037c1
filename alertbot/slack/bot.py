"""The Bolt app: who may talk to us, and which listener answers what."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.builtin.connection import ConnectionState
from slack_sdk.webhook import WebhookClient

from alertbot.domain.times import parse_count
from alertbot.errors import SlackRejected
from alertbot.proxies import proxy_for
from alertbot.punctual import make_timeouts_total
from alertbot.slack import home, modals, rule_modals, sharing
from alertbot.slack.acting import InTime, acknowledging, act, delivery_of, not_saved
from alertbot.slack.actions import (
    Done,
    chosen,
    clicked_acknowledge,
    clicked_details,
    clicked_end_silence,
    clicked_give_back,
    clicked_snooze,
)
from alertbot.slack.commands import Pace, answer, pace_of
from alertbot.slack.context import RequestContext
from alertbot.slack.deliveries import PATIENCE
from alertbot.slack.errors import translate_errors
from alertbot.slack.executors import Busy
from alertbot.slack.surface import Surface, log_failure, sentence_for
from alertbot.slack.views.modals import UNTIL
from alertbot.slack.views.text import escape

log = structlog.get_logger()
# What the calls of this package need: posting, commands, a person's time zone, and looking for a post whose answer was
# lost.
NEEDED_SCOPES = frozenset(
    {
        "channels:history",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "usergroups:read",
        "users:read",
    }
)


# How often the SDK looks after its connection: deaf for four times as long, it opens another one.
_PING_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot token says we are (`name` as in @alertbot), and what it may do: `scopes`, empty where Slack did not say."""

    team: str
    team_id: str
    bot_id: str
    user_id: str
    scopes: frozenset[str]
    name: str = ""


def web_client(token: str, *, api_url: str, timeout: timedelta) -> WebClient:
    """A client that never repeats a call by itself: a repeated post would be a second message.

    `timeout` holds for a whole call.
    """
    make_timeouts_total()
    client = WebClient(
        token=token,
        base_url=api_url if api_url.endswith("/") else f"{api_url}/",
        timeout=max(1, int(timeout.total_seconds())),
        retry_handlers=[],
        logger=_quiet_logger(),
    )
    client.proxy = None  # the one of the environment is used without it; with it the SDK goes another way
    return client


def _quiet_logger() -> logging.Logger:
    """The SDK prints bodies at DEBUG and what it cannot read at ERROR; we log the outcome ourselves."""
    logger = logging.getLogger("alertbot.slack.sdk")
    logger.setLevel(logging.CRITICAL)
    return logger


def identify(client: WebClient) -> Identity:
    """Ask Slack who we are. Raises a SlackError: SlackRefused where the token is not taken."""
    with translate_errors("auth.test"):
        response = client.auth_test()
    headers = {str(name).lower(): value for name, value in (response.headers or {}).items()}
    scopes = headers.get("x-oauth-scopes", "")
    text = ",".join(scopes) if isinstance(scopes, list) else str(scopes)
    return Identity(
        team=str(response.get("team") or ""),
        team_id=str(response.get("team_id") or ""),
        bot_id=str(response.get("bot_id") or ""),
        user_id=str(response.get("user_id") or ""),
        scopes=frozenset(scope.strip() for scope in text.split(",") if scope.strip()),
        name=str(response.get("user") or ""),
    )


def post_webhook(url: str, text: str, *, timeout: timedelta) -> None:
    """Post a text by an incoming webhook. Raises a SlackError, whose text does not hold the URL."""
    make_timeouts_total()
    client = WebhookClient(url, timeout=max(1, int(timeout.total_seconds())), retry_handlers=[], logger=_quiet_logger())
    client.proxy = None  # as above
    with translate_errors("webhook"):
        answer = client.send(text=escape(text))
    if answer.status_code != 200:
        raise SlackRejected(f"webhook: HTTP {answer.status_code}", code=f"http_{answer.status_code}")


def channels(client: WebClient) -> dict[str, bool]:
    """Every channel that the bot can see, by name and by id, and whether it is a member. Raises a SlackError."""
    memberships: dict[str, bool] = {}
    cursor = ""
    while True:
        with translate_errors("conversations.list"):
            page = client.conversations_list(
                types="public_channel,private_channel", exclude_archived=True, limit=1000, cursor=cursor or None
            )
        for channel in page.get("channels") or []:
            memberships[str(channel["name"])] = memberships[str(channel["id"])] = bool(channel.get("is_member"))
        cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return memberships


def build(
    client: WebClient,
    *,
    identity: Callable[[], Identity],
    signing_secret: str | None,
    request_context: RequestContext,
    patience: float = PATIENCE,
) -> App:
    """The app with its listeners. `identity` is asked at each request, so that a start while Slack is away recovers by itself.

    `patience` is after how many seconds a delivery is acknowledged although its listener still works.
    """

    def authorize() -> AuthorizeResult:
        identified = identity()
        return AuthorizeResult(
            enterprise_id=None,
            team_id=identified.team_id,
            bot_token=client.token,
            bot_id=identified.bot_id,
            bot_user_id=identified.user_id,
        )

    app = App(
        client=client,
        signing_secret=signing_secret,
        authorize=authorize,
        logger=_bolt_logger(),
        raise_error_for_unhandled_request=False,
        listener_executor=request_context.executors.acts,
    )

    in_time = acknowledging(request_context, patience=patience)
    _answer_commands(app, request_context, in_time)
    _answer_clicks(app, request_context, in_time)
    _show_home(app, request_context, in_time)
    modals.listen(app, request_context, in_time)
    rule_modals.listen(app, request_context, in_time)
    sharing.listen(app, request_context)

    @app.action(re.compile(".*"))
    def any_other(ack: Ack, action: Mapping[str, Any]) -> None:
        ack()
        log.info("click_without_listener", action=str(action.get("action_id"))[:255])

    @app.view(re.compile(".*"))
    def any_view(ack: Ack, view: Mapping[str, Any]) -> None:
        ack()
        log.info("view_without_listener", view=str(view.get("callback_id"))[:255])

    @app.event(re.compile(".*"))
    def any_event(event: Mapping[str, Any]) -> None:
        log.debug("event_without_listener", type=str(event.get("type")))

    @app.error
    def failed(error: Exception, request: BoltRequest) -> BoltResponse:
        return _answer_failure(Surface(request_context, client, request.body), request, error)

    return app


def _answer_failure(surface: Surface, request: BoltRequest, error: Exception) -> BoltResponse:
    """What Slack is answered when a listener failed. The person always gets a message."""
    delivery = request.context.get("delivery")
    if delivery is not None:
        delivery.drop()
    if isinstance(error, Busy):  # it was not begun: Slack says that it did not work
        log.warning("listener_too_busy", why=error.lines[0])
        return BoltResponse(status=503, body="")
    if request.body.get("type") == "view_submission":
        # An empty answer would close the modal as if it had been done.
        log_failure(error)
        return BoltResponse(status=200, body=not_saved(request.body, sentence_for(error)))
    surface.fail(error)
    # An answer of our own: without one Bolt forgets an acknowledgement that was given just before.
    return BoltResponse(status=200, body="")


def _answer_commands(app: App, request_context: RequestContext, in_time: InTime) -> None:
    @app.command(request_context.command, middleware=[in_time])
    def command(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        surface, delivery = Surface(request_context, client, body), delivery_of(context)
        rule = rule_modals.asked_for(body)
        if modals.asks_for_silence(body):
            delivery.acknowledge()
            surface.open(lambda: modals.ask_silence(request_context, body))
        elif rule is not None:
            delivery.acknowledge()
            surface.open(lambda: rule_modals.ask_rule(request_context, body, rule.text))
        elif (pace := pace_of(request_context, body)) is Pace.ACTS:
            act(surface, context, lambda: Done(answer(request_context, body)))
        else:
            try:
                if pace is Pace.DRAWS:
                    key = f"chart {body.get('user_id')} {body.get('text')}"
                    surface.answer_slowly(lambda: answer(request_context, body), key=key)
                else:
                    surface.look_up(lambda: answer(request_context, body))
            except Busy as busy:
                delivery.acknowledge(text=busy.public)
            else:
                delivery.acknowledge()


def _answer_clicks(app: App, request_context: RequestContext, in_time: InTime) -> None:
    @app.action("acknowledge", middleware=[in_time])
    def acknowledge(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        act(Surface(request_context, client, body), context, lambda: clicked_acknowledge(request_context, body))

    @app.action("give_back", middleware=[in_time])
    def give_back(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        act(Surface(request_context, client, body), context, lambda: clicked_give_back(request_context, body))

    @app.action("details")
    def details(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).open(lambda: clicked_details(request_context, body))

    @app.action(re.compile("details_page_.*"))
    def turn_page(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).update(lambda: clicked_details(request_context, body))

    @app.action("snooze", middleware=[in_time])
    def snooze(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        surface, (about, length) = Surface(request_context, client, body), chosen(body)
        if length == UNTIL:
            delivery_of(context).acknowledge()
            surface.open(lambda: modals.ask_snooze(request_context, body, about))
            return
        act(surface, context, lambda: clicked_snooze(request_context, body))


def _show_home(app: App, request_context: RequestContext, in_time: InTime) -> None:
    @app.event("app_home_opened")
    def opened(body: Mapping[str, Any], event: Mapping[str, Any], client: WebClient) -> None:
        Surface(request_context, client, body).do(lambda: home.opened(request_context, client, event))

    @app.action("home_refresh")
    def refresh(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).show()

    @app.action(re.compile("home_page_.*"))
    def turn_page(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).do(
            lambda: home.publish(request_context.for_whom(body), client, page=parse_count(body["actions"][0]["value"]))
        )

    @app.action("end_silence", middleware=[in_time])
    def end_silence(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        act(Surface(request_context, client, body), context, lambda: clicked_end_silence(request_context, body))


class _SocketClient(SocketModeClient):
    """Goes through the proxy that the environment names for Slack's address, or through none."""

    def connect(self) -> None:
        if self.wss_uri is None:
            self.wss_uri = self.issue_new_wss_url()
        self.proxy = proxy_for(self.wss_uri)
        super().connect()


class _SocketHandler(SocketModeHandler):
    """Bolt's own makes a client that takes HTTPS_PROXY without regard to NO_PROXY."""

    def __init__(self, app: App, app_token: str) -> None:
        self.app = app
        self.app_token = app_token
        self.client = _SocketClient(app_token, logger=app.logger, web_client=app.client, ping_interval=_PING_SECONDS)
        self.client.socket_mode_request_listeners.append(self.handle)  # type: ignore[arg-type]  # as in Bolt itself


class Socket:
    """Slack's deliveries over Socket Mode: a connection that the bot opens and the SDK keeps open."""

    def __init__(self, app: App, app_token: str) -> None:
        self._handler = _SocketHandler(app, app_token)
        self._handler.client.on_error_listeners.append(self._give_up)

    def _give_up(self, _error: Exception) -> None:
        """Leave a connection that broke at once, so that a new one is opened: the SDK would try it for most of a minute."""
        self._handler.client.disconnect()

    def connect(self) -> None:
        """Open it. Raises a SlackError where Slack cannot be reached or does not want it."""
        with translate_errors("apps.connections.open"):
            self._handler.connect()  # type: ignore[no-untyped-call]

    def is_connected(self) -> bool:
        return bool(self._handler.client.is_connected())

    def is_alive(self) -> bool:
        """Whether the SDK's threads run: the one that looks after the connection begins with the first one."""
        client = self._handler.client
        monitored = client.current_app_monitor.is_alive() or not client.current_app_monitor_started
        return monitored and client.current_session_runner.is_alive() and client.message_processor.is_alive()

    def close(self) -> None:
        """Close it, also where the SDK's thread is just about to receive from it.

        That thread marks the session as not terminated when it begins. Where this comes after the mark of the close, it
        never ends, and the SDK waits for it; so from now on there is a state that stays terminated.
        """
        client = self._handler.client
        session_state = client.current_session_state
        client.current_session_state = _Terminated()  # type: ignore[no-untyped-call]
        session_state.terminated = True
        self._handler.close()  # type: ignore[no-untyped-call]


class _Terminated(ConnectionState):
    """The state of a session that is not begun again."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, True if name == "terminated" else value)


def _bolt_logger() -> logging.Logger:
    logger = logging.getLogger("alertbot.slack.bolt")
    logger.setLevel(logging.CRITICAL)
    return logger
