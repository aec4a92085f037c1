"""`alertbot rules test`: plays written readings to the live engine, and tells where it does other than expected."""

from alertbot.rule_tests.runner import Result, run_rule_tests

__all__ = ["Result", "run_rule_tests"]
