"""Files of rule tests that the tests of them share, and how they are run."""

import logging
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import structlog
from click.testing import CliRunner, Result
from rich.console import Console

from alertbot.cli import main
from alertbot.cli.rule_test_report import show_result
from alertbot.rule_tests import run_rule_tests
from alertbot.rule_tests.reading import read_rule_tests

RULE = "{name: burst, metric: policy_violations, window: 15m, above: {warning: 5, critical: 20}}"
CONTRACT = """
rules: config.yaml            # or inline
interval: 1m
start: 2026-01-05T00:00Z
tests:
  - name: a burst pages once
    readings: {acme/llm-1: {policy_violations: "0 0 3 _ 9"}}
    expect:
      - {at: 4m, alert: violation-burst, llm: llm-1, state: firing, severity: warning, value: 9}
      - {at: 18m, alert: violation-burst, llm: llm-1, state: firing, value: 6}
      - {at: 19m, alert: violation-burst, llm: llm-1, state: none}
    heard: [{at: 4m, kind: first, ping: true}, {at: 19m, kind: resolved, ping: false}]
"""
CONFIG = """
sources: [{name: acme, access_token: "${FLASHBACK_TOKEN}", base_url: "${BASE_URL:-https://backend.flashback.tech}"}]
slack: {bot_token: "${SLACK_BOT_TOKEN}"}
rules: [{name: violation-burst, metric: policy_violations, window: 15m, above: {warning: 5, critical: 20}}]
"""


@contextmanager
def logs_as_before() -> Iterator[None]:
    """The command silences logs for its process, which here is everybody's."""
    settings, root, own = structlog.get_config(), logging.getLogger(), logging.getLogger("alertbot")
    before = list(root.handlers), root.level, own.level
    yield
    structlog.configure(**settings)
    root.handlers[:], root.level, own.level = before


def in_file(folder: Path, text: str, name: str = "burst.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def one_test(body: str, rules: str = RULE, head: str = "") -> str:
    """A file with one test, whose keys `body` has."""
    return f"rules: [{rules}]\n{head}\ntests:\n  - name: t\n{textwrap.indent(textwrap.dedent(body), '    ')}"


def told(path: Path) -> str:
    """Everything that is printed about the tests of a file, as wide as it likes to be."""
    console = Console(file=StringIO(), width=200, highlight=False)
    for result in run_rule_tests(read_rule_tests(path, {})):
        show_result(console, result)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def run(*words: str | Path, **environ: str) -> Result:
    with logs_as_before():
        return CliRunner(env=environ).invoke(main, ["rules", "test", *map(str, words)])
