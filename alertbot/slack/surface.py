"""Where somebody clicked or typed: a message, a modal, Home. How they are told something there, and shown a modal."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt import Respond
from slack_sdk import WebClient

from alertbot.errors import AlertbotError, SlackError, SlackRejected
from alertbot.slack import home
from alertbot.slack.actions import details_of, shown_details
from alertbot.slack.desk import Desk
from alertbot.slack.failures import translated
from alertbot.slack.views import answers
from alertbot.slack.views.answers import Answer
from alertbot.slack.views.remembered import remembered

log = structlog.get_logger()
View = dict[str, Any]
_LATE = "That took too long, and Slack opens no window any more; click again."
_WHY_NOT = {
    "expired_trigger_id": _LATE,
    "exchanged_trigger_id": "The window was opened already.",
    "push_limit_reached": "There are too many windows above one another; close one, and click again.",
    "hash_conflict": "What you looked at has changed meanwhile; look again.",
}


_PATIENCE = 2.0  # seconds: Slack waits for three, and the acknowledgement has to travel


@contextmanager
def acknowledged_after(ack: Callable[[], object], *, patience: float = _PATIENCE) -> Iterator[None]:
    """Acknowledge what is done in here when it is done, or before Slack loses its patience.

    A process that is killed before has acknowledged nothing: Slack tells the person, instead of showing a click that worked.
    """
    late = threading.Timer(patience, ack)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        ack()


def say(respond: Respond, reply: Answer, **how: Any) -> None:
    """Answer at a response_url, plainly where Slack does not take the blocks. Raises a SlackError."""
    with translated("response_url"):
        said = respond(**reply, **how)
        if said.status_code != 200:
            said = respond(text=reply["text"], **how)
    if said.status_code != 200:
        raise SlackRejected(f"response_url: HTTP {said.status_code}", code=f"http_{said.status_code}")


@dataclass(frozen=True, slots=True)
class Surface:
    """Where something was clicked or typed. What is said there must not undo what was done: nothing is raised."""

    desk: Desk
    client: WebClient
    body: Mapping[str, Any]
    respond: Respond | None = None

    def show(self, reply: Answer | None = None) -> None:
        """Bring what the person looks at up to date, and tell what they have to know: in Home and modals it stands on top."""
        view = self.body.get("view") or {}
        note = reply["text"] if reply is not None else ""
        try:
            if view.get("type") == "home":
                home.publish(self.desk.for_whom(self.body), self.client, note=note)
            elif view.get("callback_id") == "details":
                self._update(view["id"], shown_details(self.desk, self.body, note=note))
            elif reply is not None and self.respond is not None:
                say(self.respond, reply, response_type="ephemeral", replace_original=False)
        except SlackError as error:
            log.warning("answer_not_shown", user=self._user, code=error.code, why=error.lines[0])
        except AlertbotError as error:
            log.warning("answer_not_shown", user=self._user, code="", why=error.lines[0])

    def open(self, make: Callable[[], View]) -> None:
        """Show a modal, above the one that the click was in. What keeps it from being shown is told in one line."""
        try:
            view = make()
        except AlertbotError as error:
            self.show(answers.complaint(error.lines[0]))
            return
        is_above = (self.body.get("view") or {}).get("type") == "modal"
        method = "views.push" if is_above else "views.open"
        try:
            with translated(method):
                self.client.api_call(method, json={"trigger_id": self.body["trigger_id"], "view": view})
        except SlackError as error:
            log.warning("modal_not_shown", user=self._user, code=error.code, why=error.lines[0])
            self.show(answers.complaint(_WHY_NOT.get(error.code, "Slack did not open the window; click again.")))

    def update(self, make: Callable[[], View]) -> None:
        """Replace what the modal of the click shows."""
        try:
            self._update(self.body["view"]["id"], make())
        except SlackError as error:  # `not_found`: the person has closed it meanwhile
            log.info("modal_not_updated", user=self._user, code=error.code, why=error.lines[0])
        except AlertbotError as error:
            log.warning("modal_not_updated", user=self._user, code="", why=error.lines[0])

    def show_below(self) -> None:
        """Bring up to date what the person sees when a modal is gone: the details below it, and Home."""
        kept, below = remembered(self.body), self.body["view"].get("previous_view_id")
        here = self.desk.for_whom(self.body)
        try:
            home.publish_if_in_sight(here, self.client)
            if below and kept.get("below"):
                self._update(below, details_of(here, str(kept["below"]), page=int(kept.get("page") or 0)))
        except SlackError as error:
            log.info("modal_not_updated", user=self._user, code=error.code, why=error.lines[0])
        except AlertbotError as error:
            log.warning("modal_not_updated", user=self._user, code="", why=error.lines[0])

    def _update(self, view_id: str, view: View) -> None:
        with translated("views.update"):
            self.client.views_update(view_id=view_id, view=view)

    @property
    def _user(self) -> str:
        return str(self.body.get("user_id") or (self.body.get("user") or {}).get("id"))
