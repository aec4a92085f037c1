"""How results of rule tests look in a terminal: a line a test, and a table of what was otherwise."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alertbot.domain.times import write_duration
from alertbot.rule_tests.comparing import Difference
from alertbot.rule_tests.playing import Result
from alertbot.terminal import clean

_COLUMNS = ("at", "what", "expected", "got", "why")


def show_result(console: Console, result: Result, *, with_file: bool = False) -> None:
    """One line; below it what differs from what was expected."""
    name = f"{result.file}: {result.name}" if with_file else result.name
    word, style = ("FAILED", "bold red") if result.differences else ("ok", "green")
    console.print(Text.assemble((f"{word:<7} ", style), clean(name)), soft_wrap=True)
    if result.differences:
        console.print(Padding(_table(result.differences), (0, 0, 0, 8)))


def _table(differences: Sequence[Difference]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    for one in differences:
        cells = (write_duration(one.at), one.about, one.expected, one.got, one.why)
        table.add_row(*(Text(clean(cell)) for cell in cells))
    return table


def show_summary(console: Console, results: Sequence[Result]) -> None:
    """How many there were, and how many of them failed."""
    failed = sum(bool(result.differences) for result in results)
    count = f"{len(results)} test{'' if len(results) == 1 else 's'}"
    told = f"{count}: {len(results) - failed} ok, {failed} FAILED" if failed else f"{count}: all ok"
    console.print(Text(told, style="bold red" if failed else "bold green"))
