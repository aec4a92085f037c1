"""An office where people are answered: the bot's Bolt app on a scene in simulated time, and the look-alike of Slack.

with office(database, "0 9", operators=["U3"]) as here:
    here.scene.until(1)
    here.click(here.message(), "acknowledge", "U2")
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from alertbot.app.http import HttpServer, Metrics
from alertbot.app.threads import Supervisor
from alertbot.demo.slack.deliveries import Delivery
from alertbot.demo.slack.records import JsonObject, Message, View
from alertbot.demo.slack.server import SlackServer
from alertbot.domain.alerts import Alert, State
from alertbot.domain.oncall import OnCall
from alertbot.domain.routes import Route
from alertbot.domain.rules import Rule
from alertbot.domain.visibility import VisibilityRule
from alertbot.slack import bot, home
from alertbot.slack.chart_upload import uploader
from alertbot.slack.context import RequestContext
from alertbot.slack.directory import members_of, name_of_channel, zone_of
from alertbot.slack.executors import Executors
from alertbot.slack.sender import SlackSender
from alertbot.slack.signature import verify_signature
from alertbot.store.database import Database
from alertbot.store.tables import actions
from tests.builders import rule
from tests.fakes import FakeProbes
from tests.flows.scene import AT_ONCE, CHANNEL, Scene, Written
from tests.slack.payloads import texts

T = TypeVar("T")
BURST = replace(rule(), name="violation-burst")
BLIND_AFTER = timedelta(minutes=5)


class Office:
    """What a test needs of the bot, of Slack and of time."""

    def __init__(self, slack: SlackServer, scene: Scene, context: RequestContext) -> None:
        self.slack, self.scene, self.context = slack, scene, context

    @property
    def client(self) -> Any:
        return bot.web_client(self.slack.bot_token, api_url=self.slack.api_url, timeout=timedelta(seconds=5))

    # --- what people do

    def ask(self, text: str, user: str = "U1", channel: str = CHANNEL) -> str:
        """Type `/alertbot …`, and read the answer."""
        delivery = self.slack.command(f"/alertbot {text}", user, channel)
        return self.answer_to(delivery)

    def answer_to(self, delivery: Delivery) -> str:
        """What only the person sees who typed or clicked, in the end: on a busy machine they may have been told to wait."""
        found = self.slack.wait_for(
            lambda: [answer for answer in self.slack.answers(delivery) if "not done yet" not in answer.text]
        )
        assert all(message.visible_to == delivery.user for message in found)
        return found[-1].text

    def click(self, place: Message | View, action: str, user: str = "U1", **more: Any) -> Delivery:
        delivery = self.slack.click(place, action, user, **more)
        assert delivery.acknowledged
        return delivery

    def submit(self, view: View, **values: Any) -> Delivery:
        return self.slack.submit_view(view, values)

    def open_home(self, user: str = "U1") -> View:
        """Look at Home, and wait until it is published."""
        before = self.slack.home(user)
        assert self.slack.open_home(user).acknowledged
        return there(self.slack.wait_for(lambda: self._newer(before, user)))

    # --- what people see

    def message(self, channel: str = CHANNEL) -> Message:
        """The one message of an alert in a channel."""
        (found,) = there(self.slack.wait_for(lambda: self.slack.messages(channel, replies=False)))
        return found

    def modal(self, user: str = "U1", callback: str = "") -> View:
        """The modal on top, once it is there."""

        def on_top() -> View | None:
            found = self.slack.modals(user)[-1:]
            return next((view for view in found if callback in {"", view.content.get("callback_id")}), None)

        return there(self.slack.wait_for(on_top))

    def changed(self, view: View) -> View:
        """A view once it shows something else than this."""
        return there(self.slack.wait_for(lambda: self._differs(view)))

    def home(self, user: str = "U1") -> str:
        shown = self.slack.home(user)
        return "" if shown is None else said(shown)

    def _differs(self, view: View) -> View | None:
        now = self.slack.view(view.id)
        return now if now.hash != view.hash else None

    def _newer(self, before: View | None, user: str) -> View | None:
        now = self.slack.home(user)
        return now if now is not None and (before is None or now.hash != before.hash) else None

    # --- what came of it

    def alert(self, number: int = 1) -> Alert:
        return next(one for one in self.scene.alerts() if one.number == number)

    def actions(self) -> list[str]:
        """Everything that people did to alerts, as it was kept: `U2 acknowledge A1 done`."""
        with self.scene.database.reading() as tx:
            rows = tx.execute(actions.select().order_by(actions.c.number)).all()
        return [f"{row.who} {row.kind} A{row.alert} {row.outcome}" for row in rows]

    def calls(self, method: str) -> int:
        return len(self.slack.calls_of(method))

    def refresh_homes(self) -> None:
        """What the bot does every two seconds."""
        home.refresh(self.context, self.client)


def there(found: T | None) -> T:
    """What was waited for."""
    assert found is not None
    return found


def said(view: View) -> str:
    """Every text in a view."""
    return "\n".join([*texts(view.content), *texts(view.content, literal=True)])


def reach(view: View) -> tuple[int, int]:
    """Of how many open alerts the form of a silence says that it would mute how many: `(1, 2)` is one of two."""
    (text,) = (block["text"]["text"] for block in view.blocks if block.get("block_id") == "reach")
    muted, total = re.findall(r"\d+", text.splitlines()[0])
    return int(muted), int(total)


def muted(view: View) -> int:
    """How many open alerts a silence mutes, as its confirmation says."""
    (block,) = view.blocks
    return int(re.findall(r"\d+", block["text"]["text"].splitlines()[-1])[0])


def labels(view: View) -> list[str]:
    """What stands on a view's buttons."""
    return [
        element["text"]["text"]
        for block in view.blocks
        for element in [*(block.get("elements") or []), block.get("accessory") or {}]
        if element.get("type") == "button"
    ]


def options(view: View, action: str) -> list[str]:
    """What a menu of a view offers; of several menus of this name all that they offer."""
    return [
        option["value"]
        for block in view.blocks
        for element in [block.get("element"), block.get("accessory")]
        if element and element.get("action_id") == action
        for option in element["options"]
    ]


def errors(delivery: Delivery) -> Mapping[str, str]:
    """What stands below the fields of a modal that was not taken."""
    ack: JsonObject = delivery.ack or {}
    return dict(ack.get("errors") or {}) if ack.get("response_action") == "errors" else {}


@contextmanager
def office(
    database: Database,
    drawn: Written = "0 9",
    *rules: Rule,
    operators: Sequence[str] = (),
    visibility: Sequence[VisibilityRule] = (),
    on_call: Mapping[str, OnCall] | None = None,
    route: Route = AT_ONCE,
    slack: SlackServer | None = None,
    wake: Callable[[], None] | None = None,
    pause: Callable[[float], object] = lambda _seconds: time.sleep(0.02),
    upload: Callable[[bytes, str], str] | None = None,
    patience: float = 20.0,
) -> Iterator[Office]:
    """Open it; `slack` is a workspace with something special about it, `pause` is called while a picture is not ready.

    `patience` is how many seconds an act may take before it is acknowledged as late: on a busy machine longer than usual.
    """
    with slack or SlackServer(page=False) as server:
        scene = Scene(database, drawn, *(rules or (BURST,)), routes=(route,))
        client = bot.web_client(server.bot_token, api_url=server.api_url, timeout=timedelta(seconds=5))
        scene.delivery = replace(scene.delivery, sender=SlackSender(client))
        executors = Executors()
        context = RequestContext(
            database=database,
            clock=lambda: scene.now,
            wake=wake or scene.send,
            command="/alertbot",
            intervals=scene.context.intervals,
            blind_after=dict.fromkeys(scene.context.intervals, BLIND_AFTER),
            book=there(scene.context.book),
            on_call=on_call or {},
            operators=frozenset(operators),
            members_of=members_of(client),
            executors=executors,
            visibility=tuple(visibility),
            name_of_channel=name_of_channel(client),
            zone_of=zone_of(client),
            routes=scene.context.routes,
            upload=upload or uploader(client, pause=pause),
        )
        identity = bot.identify(client)
        app = bot.build(
            client,
            identity=lambda: identity,
            signing_secret=server.signing_secret,
            request_context=context,
            patience=patience,
        )
        # Over HTTP: a socket of the SDK takes a second to close.
        http = HttpServer(
            host="127.0.0.1",
            port=0,
            metrics=Metrics(),
            probes=FakeProbes(),
            supervisor=Supervisor(),
            slack=verify_signature(app, signing_secret=server.signing_secret),
        )
        http.start()
        server.deliver_to(f"http://127.0.0.1:{http.port}/slack/events")
        try:
            yield Office(server, scene, context)
        finally:
            http.stop()
            executors.close(within=60)  # what a click has begun is not left to the next test


def firing(here: Office) -> list[Alert]:
    return here.scene.alerts(State.FIRING)
