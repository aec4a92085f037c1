"""Files of rule tests: YAML → tests that can be played; every mistake is named at once, with file and place."""

from alertbot.rule_test_files.keys import Deed, Drawn, Expectation, HeardNotice, Nothing, Selected, read_samples
from alertbot.rule_test_files.reading import Ruleset, RuleTest, is_by_clock, read_all, read_rule_tests

__all__ = [
    "Deed",
    "Drawn",
    "Expectation",
    "HeardNotice",
    "Nothing",
    "RuleTest",
    "Ruleset",
    "Selected",
    "is_by_clock",
    "read_all",
    "read_rule_tests",
    "read_samples",
]
