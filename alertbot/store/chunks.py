"""Long lists, cut for the database: the parameters of a statement are limited, and none should hold a lock for long."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

_Row = TypeVar("_Row")


def chunks(rows: Sequence[_Row], size: int) -> Iterator[Sequence[_Row]]:
    """The rows in their order, at most `size` at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))
