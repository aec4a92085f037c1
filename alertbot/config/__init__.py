"""YAML, environment and secret files → one frozen `Config`; every mistake is named at once, with its place."""

from alertbot.config.layers import EVERYTHING, NOTHING, Need
from alertbot.config.loading import Config, config_schema, load
from alertbot.config.raw_values import read_yaml
from alertbot.config.rules import DEFAULT_RULES, WRITTEN_DEFAULT_RULES, parse_rule, parse_rules
from alertbot.config.sections import (
    DatabaseConfig,
    HeartbeatConfig,
    HttpConfig,
    LogConfig,
    OnCallConfig,
    PriceConfig,
    Report,
    RetentionConfig,
    RotationConfig,
    SlackConfig,
    SourceConfig,
    VisibilityConfig,
)
from alertbot.config.values import Address

__all__ = [
    "DEFAULT_RULES",
    "EVERYTHING",
    "NOTHING",
    "WRITTEN_DEFAULT_RULES",
    "Address",
    "Config",
    "DatabaseConfig",
    "HeartbeatConfig",
    "HttpConfig",
    "LogConfig",
    "Need",
    "OnCallConfig",
    "PriceConfig",
    "Report",
    "RetentionConfig",
    "RotationConfig",
    "SlackConfig",
    "SourceConfig",
    "VisibilityConfig",
    "config_schema",
    "load",
    "parse_rule",
    "parse_rules",
    "read_yaml",
]
