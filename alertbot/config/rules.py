"""Rules from the configuration, from a file of rule tests, or from a form in Slack; and those that are used where none are written."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationError

from alertbot.config.keys import given, repeated
from alertbot.config.mistakes import Location, in_order, mistake, mistakes_at, mistakes_in, quoted, sentences_of
from alertbot.config.raw_values import InvalidValue, as_written
from alertbot.config.rule_keys import RuleKeys
from alertbot.config.rule_types import KINDS, AnyRule, ThresholdRule
from alertbot.config.values import choice
from alertbot.domain.rules import Rule
from alertbot.errors import ConfigError, Mistake

_TYPE = choice("a type of rule", KINDS)


def parse_rules(yaml_value: Any, place: str = "rules") -> tuple[Rule, ...]:
    """The rules of a list as a YAML or JSON reader gives it; numbers stay exact if `read_yaml` has read it.

    Raises ConfigError with every mistake, each at its place below `place`.
    """
    try:
        keys = read_rules(as_written(yaml_value))
    except ValidationError as error:
        raise ConfigError(*in_order(mistakes_in(error, place))) from error
    except ValueError as error:
        raise ConfigError(Mistake(place, str(error))) from error
    return tuple(rule.rule() for rule in keys)


def parse_rule(keys: Mapping[str, Any]) -> Rule:
    """The rule of these keys, as a form or the database gives them. Raises ConfigError, with places below the rule."""
    try:
        return _read_rule(as_written(keys)).rule()
    except ValidationError as error:
        raise ConfigError(*in_order(mistakes_in(error))) from error


def read_rules(value: object) -> tuple[RuleKeys, ...]:
    """The rules' keys, each by the type of its rule."""
    if isinstance(value, InvalidValue):
        raise mistake(value.sentence)
    if not isinstance(value, list | tuple):
        raise mistake(f"expected a list of rules, got {quoted(value)}")
    found: list[tuple[Location, str]] = []
    rules: list[RuleKeys] = []
    for index, keys in enumerate(value):
        try:
            rules.append(_read_rule(keys))
        except ValidationError as error:
            found += [((index, *location), sentence) for location, sentence in sentences_of(error)]
    found += repeated(value, "name", place="rules")
    if found:
        raise mistakes_at(found)
    return tuple(rules)


def _read_rule(keys: object) -> RuleKeys:
    if isinstance(keys, RuleKeys) or not isinstance(keys, Mapping):
        return ThresholdRule.model_validate(keys) if not isinstance(keys, RuleKeys) else keys
    written = keys.get("type")
    if not given(written):
        return ThresholdRule.model_validate({name: value for name, value in keys.items() if name != "type"})
    try:
        kind = _TYPE.read(written)
    except ValueError as error:
        raise mistakes_at([(("type",), str(error))]) from error
    return KINDS[kind].model_validate({**keys, "type": str(kind)})


RULES = Annotated[tuple[RuleKeys, ...], PlainValidator(read_rules, json_schema_input_type=tuple[AnyRule, ...])]

# Few, and quiet on an ordinary day: each names something that a person would want to look at.
WRITTEN_DEFAULT_RULES: tuple[Mapping[str, object], ...] = (
    {
        "name": "violation-burst",
        "metric": "policy_violations",
        "window": "15m",
        "above": {"warning": 5, "critical": 20},
        "description": "Many policy violations in a short time: misuse, an attack, or a policy that is too strict.",
    },
    {
        "name": "block-jump",
        "metric": "policy_blocks",
        "window": "15m",
        "above": {"critical": 20},
        "description": "Many requests are refused by a policy: people who use this LLM notice it now.",
    },
    {
        "name": "policy-alert-spike",
        "type": "spike",
        "metric": "policy_alerts",
        "window": "1h",
        "baseline": "24h",
        "factor": 4,
        "at_least": 20,
        "keep_firing": "15m",
        "description": "Several times as many policy alerts as in a usual hour of the last day.",
    },
    {
        "name": "token-spike",
        "type": "spike",
        "metric": "tokens",
        "window": "1h",
        "baseline": "24h",
        "factor": {"warning": 5, "critical": 20},
        "at_least": 500_000,
        "keep_firing": "15m",
        "description": "Several times as many tokens as in a usual hour of the last day: a loop, or a leaked key.",
    },
)
DEFAULT_RULES: tuple[Rule, ...] = parse_rules(WRITTEN_DEFAULT_RULES, "default rules")
