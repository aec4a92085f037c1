"""`alertbot rules test`: plays written readings to the live engine, and tells where it does other than expected."""

from alertbot.rule_tests.playing import Result, run_rule_tests
from alertbot.rule_tests.telling import show_result, show_summary

__all__ = ["Result", "run_rule_tests", "show_result", "show_summary"]
