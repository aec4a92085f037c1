"""Sends notifications to Slack: domain value → view → Web API."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.web import SlackResponse

from alertbot.domain.notifications import AlertMessage, MessageRef, Notification
from alertbot.errors import SlackDestination, SlackError, SlackRejected, SlackUncertain
from alertbot.slack.errors import translate_errors
from alertbot.slack.views.message import notification_message
from alertbot.slack.views.notification import notification_line

log = structlog.get_logger()
EVENT_TYPE = "alertbot_notice"
# Slack makes links of what looks like one unless told not to: chat.update does so by default, other than
# chat.postMessage.
_AS_WRITTEN = {"parse": "none", "link_names": False}
_LOOK_BACK = 7200.0  # seconds before the notification was written: our clock may be ahead of Slack's, by an hour where it was wrong
_HISTORY_PAGE = 100
_CHANNEL_ID = re.compile(r"[CGDUW][A-Z0-9]{6,}")


class SlackSender:
    """Posts, edits and finds messages. Each call is made once: whether to try again is decided by who calls.

    `on_call` is called with the method and the outcome of each call.
    """

    def __init__(
        self, client: WebClient, *, on_call: Callable[[str, str], None] = lambda _method, _outcome: None
    ) -> None:
        self._client = client
        self._on_call = on_call

    def post(
        self, channel: str, alert_message: AlertMessage, *, notification: int, mention: Iterable[str]
    ) -> MessageRef:
        payload = notification_message(alert_message, mentioned=mention)
        try:
            return self._post(channel, payload, notification)
        except SlackRejected as error:
            log.warning("message_rejected", notification=notification, why=error.lines[0])
            return self._post(channel, _plainly(payload), notification)

    def edit(self, place: MessageRef, alert_message: AlertMessage) -> None:
        payload = notification_message(alert_message)
        where = {"channel": place.channel, "ts": place.ts, **_AS_WRITTEN}
        try:
            self._call("chat.update", {**where, **payload})
        except SlackRejected as error:
            log.warning("message_rejected", group=f"G{alert_message.group.number}", why=error.lines[0])
            self._call("chat.update", {**where, **_plainly(payload)})

    def reply(self, place: MessageRef, notification: Notification, *, number: int) -> MessageRef:
        payload = notification_line(notification) | {"thread_ts": place.ts}
        if notification.ping:
            payload["reply_broadcast"] = True  # a ping that only its thread shows would be missed
        return self._post(place.channel, payload, number)

    def say(self, channel: str, notification: Notification, *, number: int) -> MessageRef:
        return self._post(channel, notification_line(notification), number)

    def find(self, channel: str, *, notification: int, since: datetime, thread: MessageRef | None) -> MessageRef | None:
        """The message that carries this notification's number, if an uncertain call left one.

        Another installation may count its own notifications in the same channel, so only messages of our bot count.
        """
        bot_id = self._ask("auth.test", {}).get("bot_id", "")
        where = {
            "channel": self._id_of(channel),
            "oldest": f"{since.timestamp() - _LOOK_BACK:.6f}",
            "limit": str(_HISTORY_PAGE),
            "include_all_metadata": "true",
        }
        method = "conversations.history"
        if thread is not None:
            method, where = "conversations.replies", where | {"ts": thread.ts}
        while True:
            answer = self._ask(method, where)
            for message in answer.get("messages") or []:
                metadata = message.get("metadata") or {}
                payload = metadata.get("event_payload") or {}
                is_ours = metadata.get("event_type") == EVENT_TYPE and message.get("bot_id", bot_id) == bot_id
                if is_ours and str(payload.get("notice")) == str(notification):
                    return MessageRef(where["channel"], message["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
            where = where | {"cursor": cursor}

    def attach(self, place: MessageRef, *, name: str, text: str) -> None:
        """Put a text file into the thread of a message."""
        self._called(
            "files.upload",
            lambda: self._client.files_upload_v2(
                filename=name, title=name, content=text, channel=place.channel, thread_ts=place.ts
            ),
        )

    def permalink(self, place: MessageRef) -> str:
        where = {"channel": place.channel, "message_ts": place.ts}
        return _required(self._ask("chat.getPermalink", where), "permalink", "chat.getPermalink")

    def _post(self, channel: str, payload: dict[str, Any], notification: int) -> MessageRef:
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"notice": str(notification)}}
        sent = {"channel": channel, "unfurl_links": False, "unfurl_media": False, "metadata": metadata}
        answer = self._call("chat.postMessage", {**sent, **_AS_WRITTEN, **payload})
        return MessageRef(str(answer.get("channel") or channel), _required(answer, "ts", "chat.postMessage"))

    def _id_of(self, channel: str) -> str:
        """The id of a channel that is configured by its name: history is asked for by id only."""
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        where = {"types": "public_channel,private_channel", "exclude_archived": "true", "limit": "1000"}
        while True:
            answer = self._ask("conversations.list", where)
            for listed in answer.get("channels") or []:
                if listed.get("name") == channel.removeprefix("#"):
                    return str(listed["id"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                raise SlackDestination(f"conversations.list: there is no channel {channel}", code="channel_not_found")
            where = where | {"cursor": cursor}

    def _ask(self, method: str, arguments: dict[str, str]) -> dict[str, Any]:
        """Call a method that reads: its arguments travel as form fields, which those methods want."""
        return self._called(method, lambda: self._client.api_call(method, params=arguments))

    def _call(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a method that writes: its arguments travel as JSON."""
        return self._called(method, lambda: self._client.api_call(method, json=arguments))

    def _called(self, method: str, call: Callable[[], SlackResponse]) -> dict[str, Any]:
        try:
            with translate_errors(method):
                data = call().data
        except SlackError as error:
            self._on_call(method, error.code)
            raise
        self._on_call(method, "ok")
        return data if isinstance(data, dict) else {}


def _plainly(payload: dict[str, Any]) -> dict[str, Any]:
    """The message without the blocks that Slack rejects: a plain line is better than nothing."""
    return {"text": payload["text"], "attachments": []}


def _required(answer: dict[str, Any], name: str, method: str) -> str:
    """A value that an answer with `ok` must hold. Raises SlackUncertain without it."""
    if not answer.get(name):
        raise SlackUncertain(f"{method}: the answer lacks {name}", code="unreadable_answer")
    return str(answer[name])
