"""The command line: one function a command; parse, call, print.

Heavy imports stand inside the commands, so that `--help` and `--version` answer at once.
"""

from alertbot.cli import acting, looking_up, rules, running
from alertbot.cli.base import main

__all__ = ["acting", "looking_up", "main", "rules", "running"]
