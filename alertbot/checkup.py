"""`check --online`: asks everything that the bot depends on, and says what is wrong with each."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from alertbot.clock import Clock
from alertbot.collector import reader_of
from alertbot.config import Config
from alertbot.errors import AlertbotError, FlashbackMissing
from alertbot.http import Metrics
from alertbot.slack import bot
from alertbot.slack.bot import NEEDED_SCOPES, Identity
from alertbot.slack.failures import translated
from alertbot.store import migrate
from alertbot.wiring import open_database

Line = tuple[str, bool]


def check_online(config: Config) -> Iterator[Line]:
    """One line a thing that was asked, and whether it is fine."""
    yield from _database(config)
    for source in config.sources:
        reader = reader_of(source, clock=Clock(), metrics=Metrics())
        try:
            found, _ = reader.read()
            yield f"source {source.name}: {len(found)} configurations at {source.base_url}", True
        except FlashbackMissing as error:
            yield f"source {source.name}: {error.endpoint} is missing (404) on this server", False
        except AlertbotError as error:
            yield f"source {source.name}: {error.lines[0]}", False
        finally:
            reader.close()
    yield from _slack(config)


def _database(config: Config) -> Iterator[Line]:
    try:
        database = open_database(config)
        found, newest = migrate.current(database), migrate.newest()
    except AlertbotError as error:
        yield error.lines[0], False
        return
    if found == newest:
        yield f"database {database.place}: schema {found}", True
    elif found is None:
        yield f"database {database.place}: empty; alertbot run or alertbot migrate makes its schema", True
    else:
        yield f"database {database.place}: schema {found}, expected {newest}; run: alertbot migrate", False


def _slack(config: Config) -> Iterator[Line]:
    slack = config.slack
    if slack.missing_tokens:
        yield f"slack: set {' and '.join(slack.missing_tokens)}", False
        return
    assert slack.bot_token is not None, "not missing"
    client = bot.web_client(slack.bot_token.get_secret_value(), api_url=slack.api_url, timeout=timedelta(seconds=10))
    try:
        identity = bot.identify(client)
        yield f"slack.bot_token: {identity.team or identity.team_id}", True
        missing = sorted(NEEDED_SCOPES - identity.scopes) if identity.scopes else []
        if missing:
            yield f"slack.bot_token: scopes are missing: {', '.join(missing)}", False
    except AlertbotError as error:
        yield f"slack.bot_token: {error.lines[0]}", False
        return
    if slack.app_token is not None and slack.mode == "socket":
        try:
            with translated("apps.connections.open"):
                client.apps_connections_open(app_token=slack.app_token.get_secret_value())
            yield "slack.app_token: Socket Mode can be opened", True
        except AlertbotError as error:
            yield f"slack.app_token: {error.lines[0]}", False
    try:
        known = bot.channels(client)
    except AlertbotError as error:
        yield f"slack: the channels cannot be listed: {error.lines[0]}", False
        return
    yield from _channels(config, known, identity)


def _channels(config: Config, known: Mapping[str, bool], identity: Identity) -> Iterator[Line]:
    slack = config.slack
    wanted = {route.channel for route in config.routes} | {slack.fallback_channel, slack.operator_channel}
    for channel in sorted(wanted):
        is_member = known.get(channel.removeprefix("#"))
        if is_member is None:
            yield f"slack: there is no channel {channel}, or the bot cannot see it (private: invite it)", False
        elif is_member:
            yield f"slack: {channel}", True
        elif identity.scopes and "chat:write.public" not in identity.scopes:
            yield f"slack: {channel}: the bot is not a member, and may not post there; invite it", False
        else:
            yield f"slack: {channel}: the bot is not a member; it posts with the scope chat:write.public", True
