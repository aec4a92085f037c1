"""Configuration → what the flows need of it. Light, so that a look-up on the command line does not load the whole bot."""

from datetime import timedelta

from alertbot.config import Config
from alertbot.domain.oncall import OnCall, Rotation
from alertbot.domain.rules import SUMS, Absence, Ratio
from alertbot.domain.visibility import Entry
from alertbot.errors import ConfigError
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


def require_countable(config: Config) -> None:
    """Raise ConfigError for each rule on what is not counted yet: it would never speak, and nobody would know."""
    mistakes = []
    for rule in config.rules:
        condition = rule.condition
        if isinstance(condition, Absence) and condition.metric is None:
            continue
        metrics = [condition.metric, condition.of] if isinstance(condition, Ratio) else [condition.metric]
        mistakes += [f"rule {rule.name}: {metric} is not counted yet" for metric in metrics if metric not in SUMS]
        dimensions = {rule.per, *(name for name, _ in rule.where.globs)} - _COUNTED
        mistakes += [f"rule {rule.name}: nothing is counted by {dimension} yet" for dimension in sorted(dimensions)]
    if mistakes:
        raise ConfigError(mistakes)


_COUNTED = {"all", "source", "ai_llm", "provider", "workspace"}


def blind_after_of(config: Config) -> dict[str, timedelta]:
    """After how long without a reading each source is blind, by its name."""
    return {source.name: source.blind_after for source in config.sources}


def visibility_of(config: Config) -> tuple[Entry, ...]:
    """Who may look the hidden sources up."""
    return tuple(
        Entry(entry.source, frozenset(entry.channels), frozenset(entry.users)) for entry in config.slack.visibility
    )


def on_call_of(config: Config) -> dict[str, OnCall]:
    """What each `@oncall:NAME` means."""
    found = {}
    for one in config.oncall:
        turns = one.rotation
        rotation = None if turns is None else Rotation(turns.every, turns.start, turns.timezone, turns.people)
        found[one.name] = OnCall(one.name, rotation, one.usergroup or "")
    return found
