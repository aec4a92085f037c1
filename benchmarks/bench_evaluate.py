"""One cycle of 10,000 LLMs and 20 rules on SQLite: CPU seconds and queries, of counting and of evaluation.

Run by `make bench`. Figures are of this machine and this moment; compare counts and ratios, not seconds.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import structlog
from sqlalchemy import event

from alertbot.domain.routes import Route
from alertbot.domain.rules import (
    Absence,
    Budget,
    Burn,
    Comparison,
    Condition,
    Levels,
    Period,
    Rate,
    Ratio,
    Rule,
    Severity,
    Spike,
    Threshold,
)
from alertbot.domain.snapshots import Configuration, Counter, Snapshot
from alertbot.flows.collect import FeedPoll, collect
from alertbot.flows.evaluate import EvaluationContext, evaluate
from alertbot.store import migrate, sources
from alertbot.store.database import Database
from benchmarks.table import Row, show

SERIES = 10_000
READINGS = 30
START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Growing:
    """A source whose every counter grows by a little with each reading."""

    def __init__(self) -> None:
        self.readings = 0

    def read(self, _last_at: datetime | None, /) -> tuple[tuple[Snapshot, ...], tuple[Configuration, ...] | None]:
        self.readings += 1
        totals = [dict.fromkeys(Counter, self.readings * (place % 7 + 1)) for place in range(7)]
        found = tuple(Snapshot(f"llm-{number}", totals[number % 7]) for number in range(SERIES))
        return found, None


def rules() -> tuple[Rule, ...]:
    """Twenty rules of every kind, none of which fires."""
    levels = Levels(Comparison.ABOVE, ((Severity.WARNING, Fraction(10**9)), (Severity.CRITICAL, Fraction(10**10))))
    metrics = ("policy_violations", "policy_alerts", "policy_blocks", "tokens")
    kinds: list[Callable[[str], Condition]] = [
        lambda metric: Threshold(metric, 15 * MINUTE, levels),
        lambda metric: Rate(metric, 10 * MINUTE, MINUTE, levels),
        lambda metric: Ratio(metric, "api_calls", 5 * MINUTE, 1, levels),
        lambda metric: Spike(metric, 5 * MINUTE, levels, 10**9, baseline=20 * MINUTE),
        lambda metric: Budget(metric, Fraction(10**12), Period.DAY, levels, forecast=True),
    ]
    made = [Rule(f"{metric}-{place}", kind(metric)) for metric in metrics for place, kind in enumerate(kinds)]
    made[-1] = Rule("burn", Burn("tokens", (20 * MINUTE, 5 * MINUTE), Fraction(10**12), timedelta(days=30), levels))
    made[-2] = Rule("absence", Absence("api_calls", 10 * MINUTE, Severity.WARNING))
    return tuple(made)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        migrate.upgrade(database)
        queries = [0]
        event.listen(database.engine, "before_cursor_execute", lambda *_: queries.__setitem__(0, queries[0] + 1))
        with database.transaction() as tx:
            sources.register(tx, ["acme"])
        context = EvaluationContext(rules(), (Route("#ai-alerts"),), {"acme": MINUTE}, "#ai-alerts")
        feed_poll = FeedPoll("acme", MINUTE, MINUTE, Growing())
        counting: list[float] = []
        judging: list[float] = []
        asked: list[int] = []
        for count in range(READINGS):
            now = START + MINUTE * count
            began = time.process_time()
            collect(database, feed_poll, owner="bench", now=now, at_once=True, recent=context.recent)
            counting.append(time.process_time() - began)
            queries[0] = 0
            began = time.process_time()
            evaluate(database, context, now=now)
            judging.append(time.process_time() - began)
            asked.append(queries[0])
        size = (Path(folder) / "bench.db").stat().st_size
        of = f"{SERIES:,} LLMs x {len(context.rules)} rules"
        show(
            [
                Row(f"{of}: counting a reading", "CPU s", counting[-10:], "0.6 when each LLM was an object"),
                Row(f"{of}: evaluating a reading", "CPU s", judging[-10:], "1.4 when each series was judged"),
                Row(f"{of}: evaluating a reading", "queries", asked[-10:]),
                Row("on disk, a snapshot", "bytes", [size / SERIES / READINGS]),
            ]
        )
        database.close()


main()
