"""`check --online`: asks everything that the bot depends on, and says what is wrong with each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial

from pydantic import SecretStr

from alertbot.app.access import credentials_of, reader_of, refreshers_of
from alertbot.app.feeds import resolutions_of
from alertbot.app.http import Metrics
from alertbot.app.process_id import name_of_this_process
from alertbot.app.wiring import open_database, wheres_of
from alertbot.clock import Clock, SteadyClock
from alertbot.config import Config, SourceConfig
from alertbot.domain.points import floor
from alertbot.domain.reports import count_llms
from alertbot.domain.rules import unmatched_globs
from alertbot.domain.snapshots import Configuration
from alertbot.errors import AlertbotError, FlashbackMissing
from alertbot.flashback.client import POINTS, POLICY_ALERTS, VIOLATIONS, FlashbackClient
from alertbot.flashback.reader import SourceReader
from alertbot.flashback.tokens import TokenServer
from alertbot.flows.token_refresh import TokenRefresher
from alertbot.slack import bot
from alertbot.slack.bot import NEEDED_SCOPES, Identity
from alertbot.slack.errors import translate_errors
from alertbot.store import migrate
from alertbot.store.database import Database

Line = tuple[str, bool | None]  # what there is to say, and whether it is fine; None for what may be a slip


def check_online(config: Config) -> Iterator[Line]:
    """One line a thing that was asked, and whether it is fine."""
    lines, database = _database(config)
    yield from lines
    llms: dict[str, list[Mapping[str, str]]] = {}
    yield from _sources(config, database, llms)
    if len(llms) == len(config.sources):  # else nobody knows what there is
        known = [labels for name in llms for labels in llms[name]]
        yield from ((line, None) for line in unmatched_globs(wheres_of(config), known))
    yield from _slack(config)


def _sources(config: Config, database: Database | None, llms: dict[str, list[Mapping[str, str]]]) -> Iterator[Line]:
    """What each source answers; the labels of its LLMs are put into `llms`.

    Without a `database` that can be used no refresh token is: its successor would be lost.
    """
    clock = Clock() if database is None else _checked(SteadyClock(database.now))
    metrics = Metrics()
    refreshers: dict[str, TokenRefresher] = {}
    if database is not None:
        try:
            owner = name_of_this_process()
            refreshers = refreshers_of(config, database, owner=owner, clock=clock, metrics=metrics, at_once=True)
        except AlertbotError as error:
            yield from ((line, False) for line in error.lines)
            return
    for source in config.sources:
        credentials = credentials_of(source)
        if source.name not in refreshers and credentials.refresh_token and not credentials.access_token:
            yield (
                f"source {source.name}: refresh_token is not tried until there is a database to store its successor",
                True,
            )
            continue
        refresher = refreshers.get(source.name)
        try:
            logs_in = refresher is None and credentials.email and not credentials.access_token
            asked = _logged_in(source, clock) if logs_in else source
            reader = reader_of(asked, clock=clock, metrics=metrics, refresher=refresher)
        except AlertbotError as error:
            yield f"source {source.name}: {error.lines[0]}", False
            continue
        yield from _read(source, reader, clock(), llms)


def _checked(clock: SteadyClock) -> SteadyClock:
    clock.check()
    return clock


def _logged_in(source: SourceConfig, clock: Callable[[], datetime]) -> SourceConfig:
    credentials = credentials_of(source)
    issued = TokenServer(source.base_url, timeout=source.timeout, now=clock).log_in(
        credentials.email, credentials.password
    )
    return source.model_copy(update={"access_token": SecretStr(issued.access_token)})


def _read(
    source: SourceConfig, reader: SourceReader, now: datetime, llms: dict[str, list[Mapping[str, str]]]
) -> Iterator[Line]:
    """What each endpoint answers that the source is read by."""
    has_points = bool(resolutions_of(source))
    with closing(reader):
        if "llm_stats" in source.collect:
            try:
                snapshots, configurations = reader.read(None)
                llms[source.name] = _labels(source, [snapshot.ai_llm for snapshot in snapshots], configurations or ())
                yield f"source {source.name}: {count_llms(len(snapshots))} at {source.base_url}", True
            except FlashbackMissing as error:
                instead = "; its counts come from the minute statistics" if has_points else ""
                yield f"source {source.name}: {error.endpoint} is missing (404) on this server{instead}", has_points
            except AlertbotError as error:
                yield f"source {source.name}: {error.lines[0]}", False
                return  # the others would say the same
        yield from _read_more(source, reader.client, now)


def _labels(
    source: SourceConfig, ids: Sequence[str], configurations: Sequence[Configuration]
) -> list[Mapping[str, str]]:
    """What is known of each LLM of a reading."""
    described = {configuration.ai_llm: configuration for configuration in configurations}
    labels: list[Mapping[str, str]] = []
    for ai_llm in ids:
        known = described.get(ai_llm, Configuration(ai_llm, ai_llm))
        labels.append(
            {
                "source": source.name,
                "ai_llm": ai_llm,
                "name": known.name,
                "provider": known.provider,
                "workspace": known.workspace,
                "workspace_name": known.workspace_name,
            }
        )
    return labels


def _read_more(source: SourceConfig, client: FlashbackClient, now: datetime) -> Iterator[Line]:
    since = now - timedelta(minutes=10)
    asked: list[tuple[str, Callable[[], object]]] = [
        (POINTS[dataset, resolution], partial(client.points, dataset, resolution, floor(since, resolution), now))
        for dataset, resolutions in resolutions_of(source).items()
        for resolution in sorted(resolutions)
    ]
    if "evidence" in source.collect:
        asked.append((VIOLATIONS, partial(client.violations, since=since, within=source.timeout)))
        asked.append((POLICY_ALERTS, partial(client.policy_alerts, since=since, within=source.timeout)))
    for endpoint, ask in asked:
        try:
            ask()
        except FlashbackMissing:
            # Not a mistake: what it would tell is left out.
            yield f"source {source.name}: {endpoint} is missing (404) on this server", True
        except AlertbotError as error:
            yield f"source {source.name}: {error.lines[0]}", False
        else:
            yield f"source {source.name}: {endpoint} answers", True


def _database(config: Config) -> tuple[list[Line], Database | None]:
    """What there is to say, and the database where it can be used as it is."""
    try:
        database = open_database(config)
        if database.missing_file is not None:
            return [(f"database {database.missing_file}: does not exist yet; alertbot run creates it", True)], None
        schema, newest = migrate.current(database), migrate.newest()
    except AlertbotError as error:
        return [(error.lines[0], False)], None
    if schema == newest:
        return [(f"database {database.place}: schema {schema}", True)], database
    if schema is None:
        text = f"database {database.place}: empty; alertbot run or alertbot migrate creates its schema"
        return [(text, True)], None
    return [(f"database {database.place}: schema {schema}, expected {newest}; run: alertbot migrate", False)], None


def _slack(config: Config) -> Iterator[Line]:
    slack = config.slack
    if slack.missing_tokens or slack.bot_token is None:  # which `check` says by itself
        return
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
            with translate_errors("apps.connections.open"):
                client.apps_connections_open(app_token=slack.app_token.get_secret_value())
            yield "slack.app_token: Socket Mode works", True
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
    names = {route.channel for route in config.routes} | {slack.fallback_channel, slack.operator_channel}
    for channel in sorted(names):
        is_member = known.get(channel.removeprefix("#"))
        if is_member is None:
            yield f"slack: there is no channel {channel}, or the bot cannot see it (private: invite it)", False
        elif is_member:
            yield f"slack: {channel}", True
        elif identity.scopes and "chat:write.public" not in identity.scopes:
            yield f"slack: {channel}: the bot is not a member, and may not post there; invite it", False
        else:
            yield f"slack: {channel}: the bot is not a member; it posts with the scope chat:write.public", True
