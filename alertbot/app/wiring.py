"""Configuration → what the flows need of it. Light, so that a look-up on the command line does not load the whole bot."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from alertbot.app.published_prices import PublishedPrices
from alertbot.config import Config, parse_rule, read_yaml
from alertbot.domain.datasets import datasets_of
from alertbot.domain.oncall import OnCall, Rotation
from alertbot.domain.prices import Override, Price, Prices
from alertbot.domain.rules import Rule, Selector
from alertbot.domain.visibility import VisibilityRule
from alertbot.errors import ConfigError, Mistake
from alertbot.flows.evaluate import EvaluationContext, blind_rule
from alertbot.flows.rulebook import Rulebook, RuleParser
from alertbot.store.database import Database


def open_database(config: Config) -> Database:
    """The configured database, whatever its schema. Raises StoreError if it cannot be opened."""
    return Database(config.database.url.get_secret_value())


def without_refresh_tokens(config: Config) -> Config:
    """The same for a process whose database does not last: a refresh token works once, and its successor would be lost."""
    sources = tuple(source.model_copy(update={"refresh_token": None}) for source in config.sources)
    return replace(config, sources=sources)


def wheres_of(config: Config) -> list[tuple[str, Selector]]:
    """Where the configuration says which LLMs are meant, each with the name of its place."""
    return [
        *((f"rule {rule.name}: where", rule.where) for rule in config.rules),
        *((f"routes[{index}].match", route.match) for index, route in enumerate(config.routes)),
        *((f"prices[{index}].match", price.match) for index, price in enumerate(config.prices)),
    ]


def intervals_of(config: Config) -> dict[str, timedelta]:
    """How often each source is read, by its name."""
    return {source.name: source.interval for source in config.sources}


def evaluation_context_of(config: Config) -> EvaluationContext:
    """What evaluation needs of the configuration: its rules and the built-in ones, its routes, its sources, and the rulebook."""
    book = book_of(config)
    return EvaluationContext(
        book.given,
        config.routes,
        intervals_of(config),
        config.slack.operator_channel,
        prices_of(config),
        book=book,
    )


def book_of(config: Config) -> Rulebook:
    """Where the rules that hold are asked for: those of the configuration, the built-in ones, and those of the database."""
    blind = tuple(blind_rule(source.name, source.blind_after) for source in config.sources)
    return Rulebook((*config.rules, *blind), RULE_PARSER)


def countable_rule(keys: Mapping[str, Any]) -> Rule:
    """The rule that these keys make. Raises ConfigError, each place below the rule: `window`."""
    rule = parse_rule(keys)
    if not datasets_of(rule):
        raise ConfigError(Mistake("", _counted_apart(rule)))
    return rule


def prices_of(config: Config) -> Prices:
    """What tokens cost: the configured prices before the published ones."""
    overrides = [
        Override(price.match, Price(price.usd_per_million_in, price.usd_per_million_out)) for price in config.prices
    ]
    return Prices(PublishedPrices(), overrides, {source.name: source.priced for source in config.sources})


def parse_rule_keys(text: str) -> Mapping[str, Any]:
    """The keys that stand in some lines of YAML. Raises ConfigError."""
    keys = read_yaml(text, origin="these lines")
    if keys is not None and not isinstance(keys, Mapping):
        raise ConfigError(Mistake("", 'expected keys with values such as "clear: 3"'))
    return keys or {}


RULE_PARSER = RuleParser(countable_rule, parse_rule_keys)


def require_countable(*rules: Rule) -> None:
    """Raise ConfigError for each rule whose two metrics are counted apart: it could never fire, and nobody would know."""
    mistakes = [Mistake(f"rule {rule.name}", _counted_apart(rule)) for rule in rules if not datasets_of(rule)]
    if mistakes:
        raise ConfigError(*mistakes)


def _counted_apart(rule: Rule) -> str:
    return f"{' and '.join(rule.metrics)} are counted separately and cannot be compared"


def blind_after_of(config: Config) -> dict[str, timedelta]:
    """After how long without a reading each source is blind, by its name."""
    return {source.name: source.blind_after for source in config.sources}


def visibility_of(config: Config) -> tuple[VisibilityRule, ...]:
    """Who may look the hidden sources up."""
    return tuple(
        VisibilityRule(entry.source, frozenset(entry.channels), frozenset(entry.users))
        for entry in config.slack.visibility
    )


def on_call_of(config: Config) -> dict[str, OnCall]:
    """What each `@oncall:NAME` means."""
    on_calls = {}
    for entry in config.oncall:
        turns = entry.rotation
        rotation = None if turns is None else Rotation(turns.every, turns.start, turns.timezone, turns.people)
        on_calls[entry.name] = OnCall(entry.name, rotation, entry.usergroup or "")
    return on_calls
