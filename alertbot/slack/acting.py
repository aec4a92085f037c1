"""Runs listeners that change something, acknowledges them in time, and shows the person the result."""

from collections.abc import Callable, Mapping
from typing import Any

from slack_bolt import Ack, BoltContext
from slack_sdk import WebClient

from alertbot.slack.actions import Done
from alertbot.slack.context import RequestContext
from alertbot.slack.deliveries import Deliveries, Delivery
from alertbot.slack.surface import Surface, log_failure, sentence_for
from alertbot.slack.views.errors import outcome_view, waiting_view

Body = Mapping[str, Any]
Reply = dict[str, Any]  # how a submission is acknowledged: nothing closes the modal
InTime = Callable[..., None]
_WAIT = "This takes longer than usual and is not done yet. The result will appear here."


def acknowledging(request_context: RequestContext, *, patience: float) -> InTime:
    """Listener middleware that acknowledges a delivery early if its listener takes longer than `patience` seconds.

    They count from the arrival, before the listener waits for a thread of its own.
    """
    deliveries = Deliveries(patience=patience)

    def in_time(ack: Ack, body: Body, client: WebClient, context: BoltContext, next: Callable[[], None]) -> None:  # noqa: A002 — so Bolt calls it
        def late() -> None:
            if body.get("type") == "view_submission":
                ack(response_action="update", view=waiting_view())
            else:
                ack()
                Surface(request_context, client, body).tell(_WAIT)

        context["delivery"] = deliveries.arrive(ack, late=late)
        next()

    return in_time


def delivery_of(context: Mapping[str, Any]) -> Delivery:
    """The delivery that the middleware registered."""
    delivery = context["delivery"]
    assert isinstance(delivery, Delivery), "the listener has the middleware"
    return delivery


def act(surface: Surface, context: BoltContext, do: Callable[[], Done]) -> None:
    """Do what somebody clicked or typed."""
    delivery = delivery_of(context)
    try:
        done = do()
    except Exception as error:  # noqa: BLE001 — one listener: whoever clicked must get an answer
        delivery.acknowledge()
        surface.fail(error)
        return
    in_time = delivery.acknowledge()
    surface.show(done.answer if done.is_news or not in_time else None)


def submitted(request_context: RequestContext, save: Callable[[RequestContext, Body], Reply]) -> Callable[..., None]:
    """A listener for a form. Its acknowledgement carries the result, so it is sent when the work is done."""

    def listen(body: Body, client: WebClient, context: BoltContext) -> None:
        surface = Surface(request_context, client, body)
        try:
            reply = save(request_context, body)
        except Exception as error:  # noqa: BLE001 — one listener: whoever filled the form in must get an answer
            log_failure(error)
            reply = not_saved(body, sentence_for(error))
        if not delivery_of(context).acknowledge(**reply):
            surface.update(lambda: reply.get("view") or outcome_view(reply.get("errors") or {}))
        elif reply.get("response_action") != "errors":
            surface.show_below()

    return listen


def not_saved(body: Body, problem: str) -> Reply:
    """The reply that shows a problem below the first field of a form."""
    fields = [block["block_id"] for block in body["view"].get("blocks") or () if block.get("type") == "input"]
    return {"response_action": "errors", "errors": {fields[0]: problem[:1].upper() + problem[1:]}} if fields else {}
