"""The look-alike's signed deliveries, taken by a real Bolt app behind a real WSGI server."""

import socket
import threading
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from slack_bolt.adapter.wsgi import SlackRequestHandler

from alertbot.demo.slack.server import SlackServer
from tests.demo.slack_apps import BUTTONS, app_of, client_of


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


def serve(slack: SlackServer, signing_secret: str) -> WSGIServer:
    handler = SlackRequestHandler(app_of(slack, signing_secret=signing_secret))
    server = make_server("127.0.0.1", 0, handler, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    with SlackServer() as slack:
        server = serve(slack, slack.signing_secret)
        slack.deliver_to(f"http://127.0.0.1:{server.server_port}/slack/events")
        yield slack
        server.shutdown()
        server.server_close()


def test_a_command_comes_as_signed_form_fields_and_its_answer_is_shown(slack):
    delivery = slack.command("/alertbot status")
    assert (delivery.status, delivery.acknowledged) == (200, True)
    assert [answer.text for answer in slack.answers(delivery)] == ["heard status"]


def test_a_click_a_modal_and_a_submission_come_as_payloads(slack):
    posted = client_of(slack).chat_postMessage(channel="#ai-alerts", text="x", blocks=[BUTTONS])
    assert slack.click(slack.message("#ai-alerts", posted["ts"]), "silence").acknowledged
    [view] = slack.wait_for(lambda: slack.modals("U1"))
    assert slack.submit_view(view, {"text": "bad"}).ack["errors"] == {"comment": "say why"}
    assert slack.submit_view(view, {"text": "good"}).acknowledged
    assert slack.wait_for(lambda: slack.modals("U1") == [])


def test_an_event_comes_as_json(slack):
    assert slack.open_home("U1").acknowledged
    assert slack.wait_for(lambda: slack.home("U1"))


def test_the_same_request_may_come_twice(slack):
    delivery = slack.command("/alertbot status")
    assert slack.redeliver(delivery).status == 200
    assert len(slack.answers(delivery)) == 1


def test_a_wrong_signature_is_refused_by_the_app_and_shows_as_a_failed_command(slack):
    server = serve(slack, "another secret")
    with SlackServer(http_target=f"http://127.0.0.1:{server.server_port}/slack/events") as stranger:
        delivery = stranger.command("/alertbot status")
    server.shutdown()
    server.server_close()
    assert (delivery.status, delivery.problem) == (401, "dispatch_failed")


def test_an_app_that_is_not_there_shows_as_a_failed_command():
    with SlackServer(http_target="http://127.0.0.1:9/slack/events") as slack:
        assert slack.command("/alertbot status").problem == "dispatch_failed"


def test_what_the_app_does_not_answer_in_time_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/slack/events"
        with SlackServer(http_target=url, ack_seconds=0.1) as slack:
            delivery = slack.command("/alertbot status")
    assert (delivery.acknowledged, delivery.problem) == (False, "operation_timeout")
