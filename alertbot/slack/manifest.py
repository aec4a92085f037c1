"""The Slack app's manifest: what to paste when creating the app, with just the scopes that the code uses."""

from typing import Any

import yaml

from alertbot.slack.bot import NEEDED_SCOPES

# Posting to public channels without being invited is a comfort, not a need.
OPTIONAL_SCOPES = ("chat:write.public",)
EVENTS = ("app_home_opened",)
_LONG = (
    "alertbot watches what Flashback, the gateway to LLM providers, counts for every AI LLM configuration: calls, tokens, policy "
    "violations, alerts and blocks. It notifies a channel when a rule is broken, when it gets worse and when it is resolved, lets people "
    "acknowledge an alert with a button, and answers questions about the numbers."
)


def manifest(*, mode: str, command: str, url: str = "") -> dict[str, Any]:
    """The manifest for Socket Mode, or for HTTP deliveries to `url` (the bot's public address without a path)."""
    over_http = mode == "http"
    target = f"{url.rstrip('/')}/slack/events"
    slash: dict[str, Any] = {
        "command": command,
        "description": "Ask about AI usage, acknowledge and silence alerts",
        "usage_hint": "status | stats [llm] [window] | alerts | why <rule> | help",
        "should_escape": True,
    }
    interactivity: dict[str, Any] = {"is_enabled": True}
    events: dict[str, Any] = {"bot_events": list(EVENTS)}
    if over_http:
        slash["url"] = target
        interactivity["request_url"] = target
        events["request_url"] = target
    return {
        "_metadata": {"major_version": 2, "minor_version": 0},
        "display_information": {
            "name": "alertbot",
            "description": "Alerts about AI usage, from Flashback's numbers",
            "long_description": _LONG,
            "background_color": "#22252b",
        },
        "features": {
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": False},
            "bot_user": {"display_name": "alertbot", "always_online": True},
            "slash_commands": [slash],
        },
        "oauth_config": {"scopes": {"bot": sorted(NEEDED_SCOPES), "bot_optional": list(OPTIONAL_SCOPES)}},
        "settings": {
            "event_subscriptions": events,
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": not over_http,
            "token_rotation_enabled": False,
        },
    }


def manifest_yaml(*, mode: str, command: str, url: str = "") -> str:
    """The manifest as the YAML that Slack's form takes."""
    text: str = yaml.safe_dump(
        manifest(mode=mode, command=command, url=url), sort_keys=False, width=100, allow_unicode=True
    )
    return text
