"""Points of 500 label sets, each minute of a day, on SQLite: what it costs to read the newest again, and to judge by them.

Run by `make bench`. Figures are of this machine and this moment; compare counts and ratios, not seconds.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import event

from alertbot.domain.points import Dataset, LabelSet, Point, PointsReading, Resolution
from alertbot.domain.routes import Route
from alertbot.domain.rules import Budget, Comparison, Levels, Period, Rule, Severity, Spike, Threshold
from alertbot.flows.collect import Described, FeedPoll, collect
from alertbot.flows.evaluate import EvaluationContext, evaluate
from alertbot.store import migrate, sources
from alertbot.store.database import Database
from benchmarks.table import Row, show

LABEL_SETS = 500
START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEVELS = Levels(Comparison.ABOVE, ((Severity.WARNING, Fraction(10**12)),))
RULES = (
    Rule("quarter of an hour", Threshold("tokens", 15 * MINUTE, LEVELS), per="model"),
    Rule("a day", Threshold("tokens", 1440 * MINUTE, LEVELS), per="user"),
    Rule("month", Budget("tokens", Fraction(10**15), Period.MONTH, LEVELS), per="model"),
    Rule("jump", Spike("tokens", 15 * MINUTE, LEVELS, 10**12, baseline=1440 * MINUTE), per="model"),
)


class Busy:
    """Every label set has tokens in every minute; a poll reads the last ten minutes, or all of the day at first."""

    def read(self, now: datetime, last_at: datetime | None, /) -> tuple[tuple[PointsReading, ...], Described]:
        start = START if last_at is None else last_at - 10 * MINUTE
        minutes = (now - start) // MINUTE
        who = [
            LabelSet("llm-1", "OPENAI", f"model {number % 10}", user=f"user {number}") for number in range(LABEL_SETS)
        ]
        found = tuple(
            Point(start + MINUTE * minute, one, {"tokens_in": 1000, "tokens_out": 100, "api_calls": 1})
            for minute in range(minutes)
            for one in who
        )
        return (PointsReading(start, now, found, Resolution.MINUTE),), None


def timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}", durable=False)
        migrate.upgrade(database)
        queries = [0]
        event.listen(database.engine, "before_cursor_execute", lambda *_: queries.__setitem__(0, queries[0] + 1))
        feed = f"acme/{Dataset.AI}"
        with database.transaction() as tx:
            sources.register(tx, ["acme", feed])
        context = EvaluationContext(RULES, (Route("#ai-alerts"),), {"acme": MINUTE}, "#ai-alerts")
        feed_poll = FeedPoll(feed, MINUTE, MINUTE, points=Busy())
        now = START + timedelta(days=1)
        first = timed(lambda: collect(database, feed_poll, owner="bench", now=now, at_once=True))
        timed(lambda: evaluate(database, context, now=now))
        counting, judging, asked = [], [], []
        for count in range(1, 6):
            then = now + MINUTE * count
            counting.append(timed(partial(collect, database, feed_poll, owner="bench", now=then, at_once=True)))
            queries[0] = 0
            judging.append(timed(partial(evaluate, database, context, now=then)))
            asked.append(queries[0])
        size = (Path(folder) / "bench.db").stat().st_size
        of = f"{LABEL_SETS} combinations x {len(RULES)} rules by model and user"
        show(
            [
                Row(f"{of}: the first day of minutes", "CPU s", [first]),
                Row(f"{of}: reading ten minutes", "CPU s", counting, "0.40 when sums were dictionaries"),
                Row(f"{of}: evaluating", "CPU s", judging, "0.16 when sums were dictionaries"),
                Row(f"{of}: evaluating", "queries", asked),
                Row("on disk, a point", "bytes", [size / LABEL_SETS / 1440]),
            ]
        )
        database.close()


main()
