"""How results of rule tests look in a terminal: a line a test, and a table of what was otherwise."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from alertbot.cli.output import Table, clean
from alertbot.domain.times import format_duration_short
from alertbot.rule_tests.runner import Result

_COLUMNS = ("at", "what", "expected", "got", "why")


def show_result(console: Console, result: Result, *, with_file: bool = False) -> None:
    """One line; below it what differs from what was expected."""
    name = f"{result.file}: {result.name}" if with_file else result.name
    word, style = ("FAILED", "bold red") if result.differences else ("ok", "green")
    console.print(Text.assemble((f"{word:<7} ", style), clean(name)), soft_wrap=True)
    if result.differences:
        table = Table(*((name, "left") for name in _COLUMNS))
        for diff in result.differences:
            cells = (format_duration_short(diff.at), diff.about, diff.expected, diff.got, diff.why)
            table.add_row(*(clean(cell) for cell in cells))
        table.show(console, indent=8)


def show_summary(console: Console, results: Sequence[Result]) -> None:
    """How many there were, and how many of them failed."""
    failed = sum(bool(result.differences) for result in results)
    count = f"{len(results)} test{'' if len(results) == 1 else 's'}"
    text = f"{count}: {len(results) - failed} ok, {failed} FAILED" if failed else f"{count}: all ok"
    console.print(Text(text, style="bold red" if failed else "bold green"))
