"""What a terminal shows, however narrow it is, and whatever letters it knows."""

import json
import re
import subprocess

import pytest
from rich.console import Console

from alertbot.cli.output import Table, show_budgets
from alertbot.domain.usage import Budgets, Usage
from tests.builders import at, budget, rule, saw
from tests.cli.desk import LONG, Desk, environ

NUMBERS = ("1,234,567", "98,765,432,100,000,000,000", "-12,000")


def _shown(width: int, *, indent: int = 0) -> list[str]:
    table = Table(("configuration", "left"), ("source", "left"), *((name, "right") for name in ("calls", "in", "out")))
    table.add_row(LONG, "acme", *NUMBERS)
    table.add_row("support-chat 🎉", "globex", "7", "0", "")
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        table.show(console, indent=indent)
    return captured.get().splitlines()


def test_of_a_budget_of_which_nothing_is_known_nothing_is_said_to_be_left():
    condition = budget()
    usage = Usage(rule(condition), condition, saw().series, at(0), at(60), None)
    console = Console(width=100, highlight=False)
    with console.capture() as captured:
        show_budgets(console, Budgets((usage,)))
    (row,) = captured.get().splitlines()[1:]
    assert row.split()[-3:] == ["?", "100", "?"]


def test_since_when_budgets_are_counted_is_one_line_a_budget_and_advises_only_what_helps():
    condition = budget()
    known = Usage(rule(condition), condition, saw().series, at(0), at(60), 7, known_since=at(3))
    console = Console(width=200, highlight=False)
    with console.capture() as captured:
        show_budgets(console, Budgets((known,) * 40))
        show_budgets(console, Budgets((known,), hint="; do this"))
    lines = [line for line in captured.get().splitlines() if "counted since" in line]
    since = "counted since 2026-01-05 00:03:00 UTC"
    assert lines == [f"rule, llm-1, llm-1, llm-1 and 37 more: {since}", f"rule, llm-1: {since}; do this"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200, 10_000])
@pytest.mark.parametrize("indent", [0, 8])
def test_numbers_are_never_broken_and_names_lose_no_letter(width: int, indent: int):
    lines = _shown(width, indent=indent)
    for number in NUMBERS:
        assert sum(number in line for line in lines) == 1, lines
    assert all(len(line) <= width for line in lines)
    folded = "".join(re.split(r"  ", line.strip())[0] for line in lines).replace("configuration: ", "")
    assert LONG in folded


@pytest.mark.parametrize("width", [160, 200, 10_000])
def test_a_name_stays_whole_where_there_is_room(width: int):
    assert any(line.startswith(f"{LONG}  acme") for line in _shown(width))


def test_a_terminal_that_does_not_know_a_letter_shows_the_rest(desk: Desk):
    desk.keys["rules"][0]["name"] = "burst 🎉 é"
    assert desk.run("migrate").code == 0

    def written(*more: str) -> str:
        command = desk.command("rules", "list", *more)
        done = subprocess.run(
            command, env=environ(PYTHONIOENCODING="ascii"), capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode("ascii")

    assert "burst ? ?" in written()
    assert json.loads(written("--json"))[0]["name"] == "burst 🎉 é"
