"""No call to Slack, and no token with it, goes through a proxy on its way to what NO_PROXY excepts."""

from datetime import timedelta

import pytest
from slack_bolt import App

from alertbot.demo.slack.server import SlackServer
from alertbot.errors import SlackUnavailable
from alertbot.slack import bot
from tests.cli.desk import closed_port

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A proxy that nobody can reach."""
    for name in ("ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    return monkeypatch


def test_slack_in_an_excepted_network_is_asked_without_proxy(environment):
    with SlackServer(page=False) as slack:
        api_url = slack.api_url.replace("127.0.0.1", "0.0.0.0")  # this machine, by an address that is not loopback
        with pytest.raises(SlackUnavailable):
            bot.identify(bot.web_client(slack.bot_token, api_url=api_url, timeout=SECOND))
        environment.setenv("NO_PROXY", "0.0.0.0/8")
        assert bot.identify(bot.web_client(slack.bot_token, api_url=api_url, timeout=SECOND)).team == "Acme"


def test_the_socket_is_opened_without_proxy_where_its_address_is_excepted():
    with SlackServer(page=False) as slack:
        client = bot.web_client(slack.bot_token, api_url=slack.api_url, timeout=SECOND)
        socket = bot.Socket(App(client=client, token_verification_enabled=False), slack.app_token)
        try:
            socket.connect()
            assert socket.is_connected()
        finally:
            socket.close()


def test_a_socket_that_is_closed_as_the_sdk_begins_to_receive_stays_closed():
    with SlackServer(page=False) as slack:
        client = bot.web_client(slack.bot_token, api_url=slack.api_url, timeout=SECOND)
        socket = bot.Socket(App(client=client, token_verification_enabled=False), slack.app_token)
        socket.connect()
        socket.close()
        sdk = socket._handler.client
        sdk.current_session_state.terminated = False  # what the SDK's thread does when it begins
        assert sdk.current_session_state.terminated
