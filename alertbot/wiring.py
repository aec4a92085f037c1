"""Configuration → what the flows need of it. Light, so that a look-up on the command line does not load the whole bot."""

from datetime import timedelta

from alertbot.config import Config
from alertbot.flows.evaluate import Watch, blind_rule
from alertbot.store.database import Database


def open_database(config: Config) -> Database:
    """The configured database, whatever its schema. Raises StoreError if it cannot be opened."""
    return Database(config.database.url.get_secret_value())


def intervals_of(config: Config) -> dict[str, timedelta]:
    """How often each source is read, by its name."""
    return {source.name: source.interval for source in config.sources}


def watch_of(config: Config) -> Watch:
    """What evaluation needs of the configuration: its rules and the built-in ones, its routes, its sources."""
    blind = tuple(blind_rule(source.name, source.blind_after) for source in config.sources)
    return Watch((*config.rules, *blind), config.routes, intervals_of(config), config.slack.operator_channel)


def blind_after_of(config: Config) -> dict[str, timedelta]:
    """After how long without a reading each source is blind, by its name."""
    return {source.name: source.blind_after for source in config.sources}
