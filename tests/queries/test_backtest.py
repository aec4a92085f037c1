"""What a rule would have done is what it would have done: trying one equals living with it."""

import re
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.app.wiring import RULE_PARSER
from alertbot.domain.backtest import BacktestAlert, BacktestResult, format_backtest
from alertbot.domain.rules import Rule, Severity
from alertbot.queries.backtest import backtest, is_collected
from alertbot.store.database import Database
from alertbot.store.tables import transitions
from tests.builders import START, at, minutes, patiently
from tests.flows.scene import Scene, Written


def rule(**keys: object) -> Rule:
    return RULE_PARSER.rule({"name": "mine", **keys})


def living(database: Database, drawn: Written, until: float) -> Scene:
    """With all the rules; that nobody is told of it makes it quicker."""
    scene = Scene(database, drawn, *RULES.values())
    scene.is_sending = False
    return scene.until(until)


def tried(scene: Scene, wanted: Rule, **more: object) -> BacktestResult:
    return backtest(scene.database, wanted, scene.context.intervals, now=scene.now, timer=lambda: 0.0, **more)  # type: ignore[arg-type]


def lived(scene: Scene, name: str) -> list[tuple[str, float, float | None, str]]:
    """The alerts that there were: series, from and until which minute, and the worst severity."""
    found = []
    with scene.database.reading() as tx:
        rows = tx.execute(transitions.select().order_by(transitions.c.number)).all()
    for alert in scene.alerts():
        if alert.rule == name and alert.started_at is not None:
            worst = [row.severity for row in rows if row.alert == alert.number and row.after == "firing"]
            severity = max(map(Severity, worst), key=lambda one: one.rank)
            found.append((alert.series, minute(alert.started_at) or 0.0, minute(alert.resolved_at), str(severity)))
    return sorted(found, key=str)


def told(backtest_result: BacktestResult) -> list[tuple[str, float, float | None, str]]:
    found = [
        (one.series, minute(one.started_at), minute(one.ended_at), str(one.severity)) for one in backtest_result.alerts
    ]
    return sorted(found, key=str)  # type: ignore[arg-type]


def minute(moment: object) -> float | None:
    return None if moment is None else (moment - START) / timedelta(minutes=1)  # type: ignore[operator]


COUNT = {"metric": "policy_violations"}
WANTED = {
    "levels": rule(**COUNT, window="3m", above={"warning": 2, "critical": 6}),
    "held": rule(**COUNT, window="3m", above=2, **{"for": "2m"}),
    "kept": rule(**COUNT, window="2m", above=2, keep_firing="3m", clear=1),
    "too little": rule(**COUNT, window="3m", below=2),
    "rate": rule(type="rate", **COUNT, window="4m", above=1),
    "spike": rule(type="spike", **COUNT, window="2m", baseline="6m", factor=2),
    "budget": rule(type="budget", **COUNT, amount=9, period="hour", forecast=True),
    "burn": rule(type="burn", **COUNT, amount=9, period="30m", windows=["6m", "2m"], factor=2),
    "absence": rule(type="absence", **COUNT, window="3m"),
    "all": rule(**COUNT, window="3m", above=2, per="all"),
    "by source": rule(**COUNT, window="3m", above=2, per="source", where={"ai_llm": ["llm-1", "llm-3"]}),
}
RULES = {name: replace(wanted, name=name) for name, wanted in WANTED.items()}
polls = st.lists(st.one_of(st.integers(0, 5).map(str), st.just("_"), st.just("-")), min_size=2, max_size=16)


def test_trying_a_rule_equals_living_with_it(sqlite: Database):
    drawn = {
        "acme/llm-1": "0 0 3 3 3 3 9 9 9 9 9 9 10 12 12 12 12 30 30 30x20",
        "acme/llm-2": "5 5 5 _ _ 9 9 9 - - 11 11 2 2 2 2 4 9 9 9x20",
        "globex/llm-3": "0 1 2 3 4 5 6 7 8 9 9 9 9 9 20 20 20 20 20x20",
    }
    scene = living(sqlite, drawn, 20)
    for name, wanted in RULES.items():
        assert told(tried(scene, wanted)) == lived(scene, name), name
        assert lived(scene, name), name


@settings(patiently, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(polls, polls)
def test_trying_equals_living_whatever_was_read(
    sqlite: Database, sqlite_template: Path, one: list[str], two: list[str]
):
    sqlite.close()
    shutil.copyfile(sqlite_template, str(sqlite.url.database))
    drawn = {"acme/llm-1": _growing(one), "acme/llm-3": _growing(two)}
    scene = living(sqlite, drawn, len(one) + 4)
    for name, wanted in RULES.items():
        assert told(tried(scene, wanted)) == lived(scene, name), name


def _growing(words: list[str]) -> str:
    """A series that grows by these steps."""
    total, drawn = 0, ["0"]
    for word in words:
        total += int(word) if word.isdigit() else 0
        drawn.append(str(total) if word.isdigit() else word)
    return " ".join(drawn)


def test_nothing_is_written_and_a_rule_that_is_switched_off_is_tried_too(database: Database):
    scene = Scene(database, "0 9x30").until(20)
    found = tried(scene, rule(**COUNT, window="3m", above=2, enabled=False))
    assert told(found) == [("acme/llm-1", 1, 4, "warning")]
    assert scene.alerts() == []
    assert scene.heard() == []


def test_of_very_many_readings_some_are_looked_at_and_that_is_said(sqlite: Database):
    scene = Scene(sqlite, "0 9x900").until(60)
    wanted = rule(**COUNT, window="30m", above=2)
    found = tried(scene, wanted, most=40)
    assert (found.looked, found.readings) == (40, 61)
    assert len(found.alerts) == 1
    assert re.search(r"\b40\b.*\b61\b", " ".join(format_backtest(found)))


def test_with_a_slow_database_fewer_are_looked_at(sqlite: Database):
    scene = Scene(sqlite, "0 9x200").until(60)
    clock = iter(range(1000))
    found = backtest(sqlite, RULES["levels"], scene.context.intervals, now=scene.now, timer=lambda: next(clock) * 0.15)
    assert found.looked < found.readings
    assert found.looked >= 20


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (rule(type="absence", **{"for": "5m"}, per="source"), "cannot be tried"),
        (rule(metric="latency_ms", window="5m", above=9), "No source collects"),
    ],
)
def test_what_cannot_be_tried_is_said(sqlite: Database, wanted: Rule, problem: str):
    scene = Scene(sqlite, "0 9x30").until(3)
    (line,) = format_backtest(tried(scene, wanted))
    assert problem in line


def test_before_the_first_reading_there_is_nothing_to_try_on(sqlite: Database):
    scene = Scene(sqlite, "0 9x30")
    assert "no readings yet" in format_backtest(tried(scene, RULES["levels"]))[0]
    assert is_collected(sqlite, RULES["levels"], scene.context.intervals)
    assert is_collected(sqlite, rule(type="absence", **{"for": "5m"}, per="source"), scene.context.intervals)
    assert not is_collected(sqlite, rule(metric="upload_bytes", window="5m", above=9), scene.context.intervals)


@pytest.mark.parametrize(
    ("drawn", "sentence"),
    [
        ({"acme/a": "0x30"}, "In the last 20 min: no alert."),
        ({"acme/a": "0 9x30"}, "In the last 20 min: 1 alert, on a, for 3 min."),
        ({"acme/a": "0x19 9x9"}, "In the last 20 min: 1 alert, on a, for 0 s, still firing."),
        (
            {"acme/a": "0 9x17 19x9", "acme/b": "0 9x30"},
            "In the last 20 min: 3 alerts, on 2 LLMs, the longest 3 min, 1 still firing.",
        ),
    ],
)
def test_it_is_told_in_a_sentence(sqlite: Database, drawn: dict[str, str], sentence: str):
    scene = Scene(sqlite, drawn).until(20)
    first, *rest = format_backtest(tried(scene, rule(**COUNT, window="3m", above=2)))
    assert first == sentence
    assert rest == ["Nothing older is stored."]


@pytest.mark.parametrize(
    ("per", "words"),
    [("repo", "2 repositories"), ("api_key", "2 API keys"), ("model", "2 models"), ("all", "2 alerts, the longest")],
)
def test_what_an_alert_is_for_is_called_by_its_name(per: str, words: str):
    alerts = tuple(BacktestAlert(name, name, Severity.WARNING, at(0), at(1)) for name in "ab")
    (line,) = format_backtest(BacktestResult(per, at(0), at(24 * 60), 1, 1, alerts))
    assert words in line


def test_a_day_is_called_a_day(sqlite: Database):
    scene = Scene(sqlite, "0 9x900", interval=minutes(60)).until(60 * 30)
    assert at(60 * 30) == scene.now
    assert format_backtest(tried(scene, RULES["all"]))[0].startswith("In the last 24 hours: ")
