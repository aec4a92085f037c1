"""Where a person clicked or typed (a message, a modal, Home), and how they are answered there."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk import WebClient
from slack_sdk.webhook import WebhookClient

from alertbot.errors import AlertbotError, SlackError, SlackRejected
from alertbot.slack import home
from alertbot.slack.actions import details_of, shown_details
from alertbot.slack.context import RequestContext
from alertbot.slack.errors import translate_errors
from alertbot.slack.executors import BoundedExecutor, Busy
from alertbot.slack.views import responses
from alertbot.slack.views.errors import with_trouble
from alertbot.slack.views.private_metadata import decode_private_metadata
from alertbot.slack.views.responses import Response

log = structlog.get_logger()
View = dict[str, Any]
_LATE = "That took too long for Slack to open the dialog. Please click again."
_WHY_NOT = {
    "expired_trigger_id": _LATE,
    "exchanged_trigger_id": "The dialog is already open.",
    "push_limit_reached": "Too many dialogs are open. Close one and click again.",
    "hash_conflict": "This has changed since you opened it. Please open it again.",
}
_OUR_MISTAKE = (
    "Something went wrong on our side; the log has the details. Check whether it was done before you try again."
)


def sentence_for(error: BaseException) -> str:
    """What a person is told of an error."""
    return error.public if isinstance(error, AlertbotError) else _OUR_MISTAKE


def log_failure(error: BaseException) -> None:
    """One line for an error whose text says it all, such as a database that is away; a traceback for one of ours."""
    if isinstance(error, AlertbotError):
        log.error("listener_failed", error=error.lines[0])
    else:
        log.error("listener_failed", exc_info=error)


@dataclass(frozen=True, slots=True)
class Surface:
    """Where something was clicked or typed. A failed answer must not undo what was done: nothing is raised.

    Slack is called on other threads; the person is told what failed there.
    """

    context: RequestContext
    client: WebClient
    body: Mapping[str, Any]

    # --- in the threads that answer

    def show(self, reply: Response | None = None) -> None:
        """Update what the person looks at, and show the reply: in Home and in modals it stands on top."""
        self._answer(lambda: self._show(reply))

    def open(self, make: Callable[[], View]) -> None:
        """Open a modal, above the one that the click was in. If that fails, the person is told why."""
        self._answer(lambda: self._open(make))

    def update(self, make: Callable[[], View]) -> None:
        """Replace what the modal of the click shows."""
        self._answer(lambda: self._update_modal(make))

    def show_below(self) -> None:
        """Update what the person sees when a modal closes: the details below it, and Home."""
        self._answer(self._show_below)

    def do(self, work: Callable[[], None]) -> None:
        """Run other work that calls Slack."""
        self._answer(work)

    def look_up(self, ask: Callable[[], Response]) -> None:
        """Answer a question that only looks. Raises Busy."""
        self._start(self.context.executors.look_ups, lambda: self._show(ask()))

    def tell(self, text: str) -> None:
        """Show a sentence where the person is."""
        self._answer(lambda: self._tell(text))

    def fail(self, error: BaseException) -> None:
        """Log the error, and tell the person what it means."""
        log_failure(error)
        self.tell(sentence_for(error))

    # --- in those for what takes long

    def work(self, work: Callable[[], None], *, key: str) -> None:
        """Run slow work, one piece at a time per `key`. If it cannot start, the person is told why."""
        try:
            self._start(self.context.executors.slow, work, key=key)
        except Busy as busy:
            self.tell(busy.public)

    def answer_slowly(self, ask: Callable[[], Response], *, key: str) -> None:
        """Answer a question that takes long. Raises Busy."""
        self._start(self.context.executors.slow, lambda: self._show(ask()), key=key)

    def update_slowly(self, make: Callable[[], View]) -> None:
        """Replace what the modal of the click shows by a view that takes long to make."""
        self.work(lambda: self._update_modal(make), key=f"view {self.body['view']['id']}")

    # --- how

    def _answer(self, work: Callable[[], None]) -> None:
        try:
            self._start(self.context.executors.answers, work)
        except Busy as busy:  # a hundred answers wait for Slack: one more would not arrive either
            log.warning("answer_dropped", user=self._user, why=busy.lines[0])

    def _start(self, executor: BoundedExecutor, work: Callable[[], None], *, key: str = "") -> None:
        executor.start(lambda: self._attempt(work), person=self._user, key=key).add_done_callback(self._tell_dropped)

    def _attempt(self, work: Callable[[], None]) -> None:
        """Run the work; the person is told what fails."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 — one listener: it must not end the thread, nor leave the person without an answer
            log_failure(error)
            self._tell(sentence_for(error))

    def _tell_dropped(self, future: Future[Any]) -> None:
        if future.cancelled():
            self.tell("The bot is restarting and did not get to this. Try again in a minute.")

    def _show(self, reply: Response | None) -> None:
        view = self.body.get("view") or {}
        note = reply["text"] if reply is not None else ""
        try:
            if view.get("type") == "home":
                home.publish(self.context.for_whom(self.body), self.client, note=note)
            elif view.get("callback_id") == "details":
                self.put(view["id"], shown_details(self.context, self.body, note=note))
            elif reply is not None:
                self.say(reply, response_type="ephemeral", replace_original=False)
        except SlackError as error:
            log.warning("answer_not_shown", user=self._user, code=error.code, why=error.lines[0])

    def say(self, reply: Response, **how: Any) -> None:
        """Answer at the response_url, without the blocks if Slack rejects them. Raises a SlackError."""
        url = str(self.body.get("response_url") or "")
        if not url:
            log.warning("answer_not_shown", user=self._user, code="", why="there is no response_url")
            return
        # As patient as every other call of ours; the usual client waits for half a minute, and repeats what it posts.
        hook = WebhookClient(
            url,
            timeout=self.client.timeout,
            proxy=self.client.proxy,
            ssl=self.client.ssl,
            retry_handlers=[],
            logger=self.client._logger,  # noqa: SLF001 — it has no other name; one of its own would print bodies
        )
        with translate_errors("response_url"):
            response = hook.send_dict({**reply, **how})
            if response.status_code != 200 and reply:
                response = hook.send_dict({"text": reply["text"], **how})
        if response.status_code != 200:
            raise SlackRejected(f"response_url: HTTP {response.status_code}", code=f"http_{response.status_code}")

    def _open(self, make: Callable[[], View]) -> None:
        view = make()
        is_above = (self.body.get("view") or {}).get("type") == "modal"
        method = "views.push" if is_above else "views.open"
        try:
            with translate_errors(method):
                self.client.api_call(method, json={"trigger_id": self.body["trigger_id"], "view": view})
        except SlackError as error:
            log.warning("modal_not_shown", user=self._user, code=error.code, why=error.lines[0])
            self._tell(_WHY_NOT.get(error.code, "Slack did not open the dialog. Please click again."))

    def _update_modal(self, make: Callable[[], View]) -> None:
        self._put_if_open(self.body["view"]["id"], make())

    def _show_below(self) -> None:
        metadata, below = decode_private_metadata(self.body), self.body["view"].get("previous_view_id")
        here = self.context.for_whom(self.body)
        home.publish_if_in_access(here, self.client)
        if below and metadata.get("below"):
            self._put_if_open(below, details_of(here, str(metadata["below"]), page=int(metadata.get("page") or 0)))

    def _put_if_open(self, view_id: str, view: View) -> None:
        try:
            self.put(view_id, view)
        except SlackError as error:  # `not_found`: the person has closed it meanwhile
            log.info("modal_not_updated", user=self._user, code=error.code, why=error.lines[0])

    def put(self, view_id: str, view: View) -> None:
        """Replace what a modal shows. Raises a SlackError."""
        with translate_errors("views.update"):
            self.client.views_update(view_id=view_id, view=view)

    def _tell(self, text: str) -> None:
        """Show a sentence without the database, which may be down."""
        view = self.body.get("view") or {}
        try:
            if view.get("type") == "modal":
                self.put(view["id"], with_trouble(view, text))
            elif view.get("type") == "home" or "event" in self.body:
                with translate_errors("views.publish"):
                    self.client.views_publish(user_id=self._user, view=with_trouble({**view, "type": "home"}, text))
            else:
                self.say(responses.error_response(text), response_type="ephemeral", replace_original=False)
        except SlackError as error:
            log.warning("answer_not_shown", user=self._user, code=error.code, why=error.lines[0])

    @property
    def _user(self) -> str:
        user = self.body.get("user") or {}
        return str(self.body.get("user_id") or user.get("id") or (self.body.get("event") or {}).get("user") or "")
