"""Files of rule tests: YAML → tests that can be played; every mistake is named at once, with file and place."""

from alertbot.rule_test_files.keys import Deed, Drawn, Expectation, HeardNotification, Nothing, Selected, parse_samples
from alertbot.rule_test_files.reading import Ruleset, RuleTest, is_by_clock, read_all, read_rule_tests

__all__ = [
    "Deed",
    "Drawn",
    "Expectation",
    "HeardNotification",
    "Nothing",
    "RuleTest",
    "Ruleset",
    "Selected",
    "is_by_clock",
    "parse_samples",
    "read_all",
    "read_rule_tests",
]
