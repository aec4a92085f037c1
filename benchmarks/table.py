"""How figures are shown: one line each, with the least, the median and the most of what was measured, and what to hold it against."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    figure: str
    unit: str
    values: Sequence[float]
    compared_with: str = ""


def show(rows: Sequence[Row]) -> None:
    """Print figures as a table."""
    width = max(len(row.figure) for row in rows)
    print(f"{'figure':<{width}}  {'unit':<7} {'min':>9} {'median':>9} {'max':>9}  compared with")
    for row in rows:
        least, middle, most = min(row.values), median(row.values), max(row.values)
        print(f"{row.figure:<{width}}  {row.unit:<7} {least:>9.3f} {middle:>9.3f} {most:>9.3f}  {row.compared_with}")
