"""The command line: one function a command; parse, call, print.

Heavy imports stand inside the commands, so that `--help` and `--version` answer at once.
"""

from alertbot.cli import actions, queries, rules, run
from alertbot.cli.base import main

__all__ = ["actions", "main", "queries", "rules", "run"]
