"""How each source is asked: with the access token that is configured, or with those that are exchanged for it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from alertbot.app.http import Metrics
from alertbot.config import Config, SourceConfig
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.reader import SourceReader
from alertbot.flashback.tokens import Credentials, TokenServer
from alertbot.flows.token_refresh import Account, TokenRefresher, open_box
from alertbot.store.database import Database

_FRESH_FOR = timedelta(minutes=5)  # a part of a reading, where a quota spreads it over several intervals


def readers_of(
    config: Config, database: Database, *, owner: str, clock: Callable[[], datetime], metrics: Metrics
) -> Mapping[str, SourceReader]:
    """A reader of each source, by its name. Raises ConfigError where tokens cannot be kept."""
    refreshers = refreshers_of(config, database, owner=owner, clock=clock, metrics=metrics)
    return {
        source.name: reader_of(source, clock=clock, metrics=metrics, refresher=refreshers.get(source.name))
        for source in config.sources
    }


def reader_of(
    source: SourceConfig, *, clock: Callable[[], datetime], metrics: Metrics, refresher: TokenRefresher | None = None
) -> SourceReader:
    """A reader of one source, with the access token that is configured or, with a token refresher, that is good now."""
    token = credentials_of(source).access_token
    client = FlashbackClient(
        source.base_url,
        access_token=refresher.access_token if refresher else lambda: token,
        on_refused=refresher.renew if refresher else None,
        timeout=source.timeout,
        now=clock,
        on_request=_counting(source.name, metrics),
        concurrency=source.concurrency,
    )
    fresh_for = max(2 * source.interval, _FRESH_FOR)
    return SourceReader(client, clock=clock, concurrency=source.concurrency, fresh_for=fresh_for)


def refreshers_of(
    config: Config,
    database: Database,
    *,
    owner: str,
    clock: Callable[[], datetime],
    metrics: Metrics,
    at_once: bool = False,
) -> dict[str, TokenRefresher]:
    """Who exchanges the access tokens of the sources that can have new ones, by the source's name. Raises ConfigError."""
    credentials = {source.name: credentials_of(source) for source in config.sources}
    exchanging = {name: own for name, own in credentials.items() if not own.is_static}
    if not exchanging:
        return {}
    key = config.database.key.get_secret_value() if config.database.key else ""
    beside = f"{database.url.database}.key" if database.is_sqlite else "alertbot.key"
    box = open_box(database, key, Path(beside), exchanging)
    return {
        source.name: TokenRefresher(
            database,
            Account(source.name, exchanging[source.name], source.interval, source.timeout),
            TokenServer(source.base_url, timeout=source.timeout, now=clock, on_request=_counting(source.name, metrics)),
            box,
            owner=owner,
            operators=config.slack.operator_channel,
            clock=clock,
            at_once=at_once,
        )
        for source in config.sources
        if source.name in exchanging
    }


def credentials_of(source: SourceConfig) -> Credentials:
    """What the configuration gives of a source's access."""
    secrets = (source.access_token, source.refresh_token, source.password)
    access_token, refresh_token, password = (secret.get_secret_value() if secret else "" for secret in secrets)
    return Credentials(access_token.strip(), refresh_token.strip(), source.email or "", password)


def _counting(name: str, metrics: Metrics) -> Callable[[str, str, float], None]:
    def count(endpoint: str, outcome: str, _seconds: float) -> None:
        metrics.requests.labels(name, endpoint, outcome).inc()

    return count
