"""Column types that hold the same values on SQLite and Postgres: exact integers and fractions, times in UTC."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

LARGEST_INTEGER = (
    2**63 - 1
)  # of a SQLite INTEGER: the driver refuses more, and a NUMERIC column would round it to a float


class _Blob(UserDefinedType[Any]):
    """A SQLite column without affinity: an integer stays an integer, a text stays a text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "BLOB"


class Whole(TypeDecorator[int]):
    """An integer of any size: NUMERIC on Postgres; on SQLite INTEGER, or the digits as TEXT past 2**63."""

    impl = sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_Blob() if dialect.name == "sqlite" else sa.Numeric())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        if dialect.name != "sqlite":
            return None
        return lambda value: str(value) if value is not None and abs(value) > LARGEST_INTEGER else value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None] | None:
        return lambda value: value if value is None or type(value) is int else int(value)


class Exact(TypeDecorator[Fraction]):
    """A fraction as text, such as `9` or `1/50`, so that nothing is rounded."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Fraction | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Fraction | None:
        return None if value is None else Fraction(value)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC. SQLite stores it without the zone, in a form that sorts."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
