"""What the look-alike's page is given, and what it and other processes may do."""

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from alertbot.demo.slack.server import SlackServer
from tests.demo.slack_apps import BUTTONS, client_of, connected, section


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    with SlackServer() as slack, connected(slack):
        yield slack


@pytest.fixture
def browser(slack: SlackServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=slack.url, trust_env=False) as browser:
        yield browser


def test_the_page_brings_everything_along_and_lets_nothing_else_in(browser):
    page = browser.get("/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    asked = ["page.css", "page.js"]
    for name in asked:
        own = browser.get(f"/{name}")
        assert own.status_code == 200, name
        assert "innerHTML" not in own.text
        asked += [each for each in re.findall(r'from "./([a-z_]+\.js)"', own.text) if each not in asked]
    assert len(asked) > 5
    assert browser.get("/page_secrets.js").status_code == 404


def test_a_page_shows_a_user_what_is_meant_for_that_user(slack, browser):
    client_of(slack).chat_postEphemeral(channel="#leads", user="U2", text="only Ben")
    texts = {
        user: [message["text"] for message in browser.get("/_page/state", params={"user": user}).json()["messages"]]
        for user in ("U1", "U2")
    }
    assert "only Ben" in texts["U2"]
    assert "only Ben" not in texts["U1"]


def test_what_is_typed_and_clicked_on_the_page_reaches_the_app(slack, browser):
    typed = browser.post(
        "/_page/command", json={"user": "U1", "channel": "#ai-alerts", "text": "/alertbot status"}
    ).json()
    assert typed == {"ok": True, "problem": None}
    assert "heard status" in [message.text for message in slack.ephemerals("U1")]
    posted = client_of(slack).chat_postMessage(channel="#leads", text="x", blocks=[section("x"), BUTTONS])
    place = {"channel": posted["channel"], "ts": posted["ts"]}
    click = {"user": "U1", "action_id": "acknowledge", "block_id": "acts", **place}
    assert browser.post("/_page/click", json=click).json()["ok"]
    wrong = browser.post("/_page/command", json={"user": "U1", "channel": "#leads", "text": "/what"}).json()
    assert "/what is not a command" in wrong["problem"]


def test_a_page_of_another_site_can_do_nothing(browser):
    act = {"user": "U1", "channel": "#ai-alerts", "text": "/alertbot status"}
    assert browser.post("/_page/command", json=act, headers={"Origin": "http://evil.example"}).status_code == 403
    as_form = browser.post("/_page/command", content=json.dumps(act), headers={"Content-Type": "text/plain"})
    assert as_form.status_code == 403


def test_changes_are_pushed_to_the_page(slack, browser):
    heard: list[dict[str, Any]] = []
    open_now = threading.Event()

    def listen() -> None:
        with browser.stream("GET", "/_page/changes", params={"user": "U1"}) as stream:
            for line in stream.iter_lines():
                open_now.set()
                if line.startswith("data: "):
                    heard.append(json.loads(line.removeprefix("data: ")))
                if len(heard) == 2:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert open_now.wait(60)
    client = client_of(slack)
    ts = client.chat_postMessage(channel="#leads", text="one")["ts"]
    client.chat_update(channel=slack.channel("#leads").id, ts=ts, text="two")
    listener.join(5)
    assert [(each["kind"], each["message"]["text"]) for each in heard] == [("posted", "one"), ("edited", "two")]


def test_a_permalink_opens_the_page_at_the_message(slack, browser):
    answer = browser.get("/archives/C0000000001/p1700000000123456")
    assert answer.headers["Location"] == "/?channel=C0000000001&ts=1700000000.123456"


def test_another_process_can_set_faults_and_look_at_the_outcome(slack, browser):
    def control(act: str, **arguments: object) -> Any:
        return browser.post(f"/_control/{act}", json=arguments).json()

    assert control("fault", kind="error", method="chat.postMessage", error="fatal_error")["ok"]
    failed = browser.post(
        "/api/chat.postMessage",
        json={"channel": "#leads", "text": "x"},
        headers={"Authorization": f"Bearer {slack.bot_token}"},
    ).json()
    assert failed == {"ok": False, "error": "fatal_error"}
    command = control("command", text="/alertbot status", user="U3")
    assert [answer["text"] for answer in command["result"]["answers"]] == ["heard status"]
    state = browser.get("/_control/state").json()
    assert any(call["outcome"] == "fatal_error" for call in state["calls"])
    assert any(message["text"] == "heard status" for message in state["channels"]["ai-alerts"])
    assert not control("explode")["ok"]
    assert not control("fault", colour="red")["ok"]
    assert not control("archive", channel="#nowhere")["ok"]
