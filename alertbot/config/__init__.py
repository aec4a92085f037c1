"""YAML, environment and secret files → one frozen `Config`; every mistake is named at once, with its place."""

from alertbot.config.layers import EVERYTHING, NOTHING, Need
from alertbot.config.loading import Config, config_schema, load
from alertbot.config.rules import DEFAULT_RULES, WRITTEN_DEFAULT_RULES, parse_rules
from alertbot.config.sections import (
    Database,
    Heartbeat,
    Http,
    Keep,
    Log,
    OnCall,
    Price,
    Report,
    Rotation,
    Slack,
    Source,
    Visibility,
)
from alertbot.config.values import Address
from alertbot.config.written import read_yaml

__all__ = [
    "DEFAULT_RULES",
    "EVERYTHING",
    "NOTHING",
    "WRITTEN_DEFAULT_RULES",
    "Address",
    "Config",
    "Database",
    "Heartbeat",
    "Http",
    "Keep",
    "Log",
    "Need",
    "OnCall",
    "Price",
    "Report",
    "Rotation",
    "Slack",
    "Source",
    "Visibility",
    "config_schema",
    "load",
    "parse_rules",
    "read_yaml",
]
