"""The Slack app that people paste asks for what the code uses, and for no more."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from alertbot.app.wiring import RULE_PARSER
from alertbot.flows.rulebook import Rulebook
from alertbot.slack.bot import NEEDED_SCOPES, Identity, build, web_client
from alertbot.slack.context import RequestContext
from alertbot.slack.directory import name_of_channel
from alertbot.slack.executors import Executors
from alertbot.slack.manifest import EVENTS, OPTIONAL_SCOPES, manifest, manifest_yaml
from alertbot.slack.parse import COMMANDS

PACKAGE = Path(__file__).parents[2] / "alertbot" / "slack"
MODES: dict[str, dict[str, Any]] = {
    "socket": manifest(mode="socket", command="/alertbot"),
    "http": manifest(mode="http", command="/alertbot", url="https://bot.example.com/"),
}
# Which scope the Web API's methods want that the package calls; those that want none are not here.
SCOPES = {
    "chat_postMessage": {"chat:write"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "conversations.list": {"channels:read", "groups:read"},
    "conversations_list": {"channels:read", "groups:read"},
    "conversations_info": {"channels:read", "groups:read"},
    "files_upload_v2": {"files:write"},
    "files_info": {"files:read"},
    "files.info": {"files:read"},
    "usergroups_users_list": {"usergroups:read"},
    "users_info": {"users:read"},
}
EVENT_SCOPES: dict[str, set[str]] = {"app_home_opened": set()}


@pytest.mark.parametrize("mode", MODES)
def test_the_scopes_are_those_that_the_start_asks_for(mode):
    scopes = MODES[mode]["oauth_config"]["scopes"]
    assert set(scopes["bot"]) == set(NEEDED_SCOPES)
    assert scopes["bot_optional"] == list(OPTIONAL_SCOPES)
    assert not set(scopes["bot"]) & set(scopes["bot_optional"])


def test_every_scope_is_there_for_a_call_or_an_event_or_the_command():
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    used = {"commands"}.union(*(scopes for call, scopes in SCOPES.items() if call in source))
    used |= set().union(*(EVENT_SCOPES[event] for event in EVENTS))
    used |= {"files:read"} if "files_upload_v2" in source else set()  # a file is looked after until Slack has it
    assert used == set(NEEDED_SCOPES)


@pytest.mark.parametrize("mode", MODES)
def test_every_event_that_is_subscribed_has_a_listener(mode):
    assert MODES[mode]["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)
    listened = set(
        re.findall(r'@app\.event\("(\w+)"\)', "\n".join(p.read_text("utf-8") for p in PACKAGE.rglob("*.py")))
    )
    assert listened == set(EVENTS)


@pytest.mark.parametrize("mode", MODES)
def test_home_is_there_to_be_looked_at(mode):
    home = MODES[mode]["features"]["app_home"]
    assert home["home_tab_enabled"] is True
    assert "app_home_opened" in EVENTS


@pytest.mark.parametrize("mode", MODES)
def test_the_command_is_the_one_that_the_app_listens_to(mode):
    (slash,) = MODES[mode]["features"]["slash_commands"]
    client = web_client("xoxb-1", api_url="http://127.0.0.1:9/", timeout=timedelta(seconds=1))
    context: Any = RequestContext(
        database=None,  # type: ignore[arg-type]  # nothing is asked
        clock=None,  # type: ignore[arg-type]
        wake=lambda: None,
        command=slash["command"],
        intervals={},
        blind_after={},
        book=Rulebook((), RULE_PARSER),
        on_call={},
        operators=frozenset(),
        members_of=lambda _: frozenset(),
        executors=Executors(),
        name_of_channel=name_of_channel(client),
    )
    identity = Identity("Acme", "T1", "B1", "U1", frozenset())
    app = build(client, identity=lambda: identity, signing_secret=None, request_context=context)
    assert app is not None
    assert slash["should_escape"] is True  # else a mention in `assign` is only a name
    assert len(slash["usage_hint"]) <= 1000


def test_the_hint_names_commands_that_there_are():
    (slash,) = MODES["socket"]["features"]["slash_commands"]
    hinted = {part.split()[0] for part in slash["usage_hint"].split(" | ")}
    assert hinted <= {command.name for command in COMMANDS}


def test_over_a_socket_nothing_has_an_address():
    assert "url" not in json.dumps(MODES["socket"])
    assert MODES["socket"]["settings"]["socket_mode_enabled"] is True


def test_over_http_everything_that_is_delivered_has_the_address():
    found = MODES["http"]
    address = "https://bot.example.com/slack/events"
    assert found["features"]["slash_commands"][0]["url"] == address
    assert found["settings"]["interactivity"]["request_url"] == address
    assert found["settings"]["event_subscriptions"]["request_url"] == address
    assert found["settings"]["socket_mode_enabled"] is False


@pytest.mark.parametrize("mode", MODES)
def test_names_are_within_slacks_limits(mode):
    shown = MODES[mode]["display_information"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 175 <= len(shown["long_description"]) <= 4000


def test_what_is_pasted_is_what_is_meant():
    assert yaml.safe_load(manifest_yaml(mode="socket", command="/alertbot")) == MODES["socket"]
