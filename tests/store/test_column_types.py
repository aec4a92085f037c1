"""What goes into a column comes out of it: integers of any size, fractions, moments."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.store.column_types import Exact, Moment, Whole
from alertbot.store.database import Database

LARGE = [2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**64, 2**64 + 1, 10**38, 10**39 - 1]
kept = sa.Table(
    "kept",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("whole", Whole),
    sa.Column("exact", Exact),
    sa.Column("moment", Moment),
)
on_one_database = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def round_trip(database: Database, column: str, values: Sequence[Any]) -> list[Any]:
    with database.engine.connect() as tx:
        tx.exec_driver_sql("DROP TABLE IF EXISTS kept")
        kept.create(tx)
        tx.execute(sa.insert(kept), [{"number": place, column: value} for place, value in enumerate(values)])
        return list(tx.execute(sa.select(kept.c[column]).order_by(kept.c.number)).scalars())  # and it is rolled back


def test_integers_are_exact_at_any_size(database: Database) -> None:
    values = [0, 1, None, *LARGE]
    found = round_trip(database, "whole", values)
    assert found == values
    assert {type(value) for value in found} == {int, type(None)}


@pytest.mark.parametrize("first", [3, 10**38], ids=["small ones first", "large ones first"])
def test_small_and_large_integers_travel_in_one_statement(database: Database, first: int) -> None:
    values = [first, 5, 2**70, 7, 10**38 + 1]
    assert round_trip(database, "whole", values) == values


@on_one_database
@given(st.lists(st.integers(0, 10**39 - 1), min_size=1, max_size=8))
def test_any_integers_come_back_as_they_went(database: Database, values: list[int]) -> None:
    assert round_trip(database, "whole", values) == values


def test_fractions_are_never_rounded(database: Database) -> None:
    values = [Fraction(1, 3), Fraction(9), Fraction(10**40 + 1, 7), Fraction(0), None, Fraction(-5, 2)]
    assert round_trip(database, "exact", values) == values


@on_one_database
@given(
    st.lists(
        st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
        min_size=1,
        max_size=4,
    )
)
def test_moments_come_back_in_utc_and_exact_to_the_microsecond(database: Database, values: list[datetime]) -> None:
    found = round_trip(database, "moment", values)
    assert found == [value.astimezone(UTC) for value in values]
    assert all(moment.tzinfo is UTC for moment in found)


def test_moments_sort_as_they_come_one_after_the_other(database: Database) -> None:
    start = datetime(2026, 1, 5, 9, 59, 59, 999_999, tzinfo=UTC)
    values = [start, start + timedelta(microseconds=1), start + timedelta(seconds=1), start + timedelta(days=365)]
    elsewhere = [value.astimezone(timezone(timedelta(hours=hours))) for hours, value in enumerate(values)]
    with database.engine.connect() as tx:
        kept.create(tx)
        tx.execute(sa.insert(kept), [{"number": -place, "moment": value} for place, value in enumerate(elsewhere)])
        assert list(tx.execute(sa.select(kept.c.moment).order_by(kept.c.moment)).scalars()) == values
        before = sa.select(sa.func.count()).where(kept.c.moment < elsewhere[2])
        assert tx.execute(before).scalar_one() == 2


def test_the_hour_that_comes_twice_in_autumn_is_told_apart(empty_database: Database) -> None:
    if not empty_database.is_sqlite:  # what an operator may have set for the server
        with empty_database.transaction() as tx:
            tx.exec_driver_sql(f"ALTER DATABASE {empty_database.url.database} SET timezone = 'Europe/Madrid'")
        empty_database.close()
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Madrid"))
    first, second = round_trip(empty_database, "moment", [twice, twice.replace(fold=1)])
    assert second - first == timedelta(hours=1)


def test_a_moment_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="a moment needs a time zone"):
        round_trip(database, "moment", [datetime(2026, 1, 5)])  # noqa: DTZ001
