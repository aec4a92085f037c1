"""History from Flashback's own statistics: each day once, however often it is stopped and begun again."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import pytest
import sqlalchemy as sa

from alertbot.domain.points import Dataset, LabelSet, Point, Resolution
from alertbot.domain.rules import Period
from alertbot.errors import FlashbackUnavailable
from alertbot.flows.backfill import Progress, backfill
from alertbot.store import points, sources
from alertbot.store.database import Database
from alertbot.store.tables import ai_points
from tests.builders import budget, rule, spike
from tests.flows.test_points import PointScene, point

NOON = datetime.fromisoformat("2026-01-05T12:00:00+00:00")
DAY = timedelta(days=1)
GPT = LabelSet("llm-1", "OPENAI", "gpt-4o")


class History:
    """What a server remembers: ten violations at each full hour, as minutes for some days and as days for ever."""

    def __init__(self, minutes: timedelta = timedelta(days=60)) -> None:
        self.minutes = minutes
        self.asked: list[tuple[Resolution, str]] = []
        self.fails_at: str | None = None

    def __call__(self, resolution: Resolution, start: datetime, end: datetime) -> tuple[Point, ...]:
        day = f"{start:%m-%d}"
        if day == self.fails_at:
            raise FlashbackUnavailable("no answer within 10 s", endpoint="/aistats/minute")
        self.asked.append((resolution, day))
        if resolution is Resolution.DAY:
            return (Point(start, GPT, {"policy_violations": 240}),)
        if start < NOON - self.minutes:
            return ()
        hours = (start + timedelta(hours=hour) for hour in range(24))
        return tuple(Point(hour, GPT, {"policy_violations": 10}) for hour in hours if hour <= end)

    @property
    def days(self) -> list[str]:
        return [day for _, day in self.asked]


KEEP = {Resolution.MINUTE: 7 * DAY, Resolution.HOUR: 90 * DAY}


def run(
    database: Database,
    history: History,
    *,
    days: int = 5,
    most: int | None = None,
    keep: Mapping[Resolution, timedelta] = KEEP,
) -> list[Progress]:
    found: Iterable[Progress] = backfill(database, "acme/ai", history, since=NOON - days * DAY, now=NOON, keep=keep)
    return list(islice(found, most))


def grown(database: Database, start: datetime, end: datetime) -> int:
    with database.reading() as tx:
        known = (NOON - 60 * DAY, NOON)
        found = points.slices(tx, "acme", Dataset.AI, [start, end], amounts=["policy_violations"], known=known)
    return int(
        sum(found[end].grown["policy_violations"].values()) - sum(found[start].grown["policy_violations"].values())
    )


def test_the_days_are_read_back_from_today_and_every_hour_of_them_counts(database: Database) -> None:
    history = History()
    told = run(database, history, days=3)
    assert [(one.done, one.of, f"{one.day:%m-%d}") for one in told] == [
        (1, 4, "01-05"),
        (2, 4, "01-04"),
        (3, 4, "01-03"),
        (4, 4, "01-02"),
    ]
    assert grown(database, NOON - 2 * DAY, NOON - DAY) == 240
    assert grown(database, NOON - timedelta(hours=3), NOON) == 30
    with database.reading() as tx:
        assert sources.complete_since(tx, "acme/ai") == datetime.fromisoformat("2026-01-02T00:00:00+00:00")


def test_a_second_run_has_nothing_to_do_and_changes_nothing(database: Database) -> None:
    history = History()
    run(database, history)
    before = grown(database, NOON - 5 * DAY, NOON)
    history.asked.clear()
    assert run(database, history) == []
    assert (history.asked, grown(database, NOON - 5 * DAY, NOON)) == ([], before)


def test_one_that_is_stopped_goes_on_where_it_was(database: Database) -> None:
    history = History()
    run(database, history, most=2)
    assert [one.of for one in run(database, history)] == [4] * 4
    assert sorted(history.days) == sorted(set(history.days))
    assert grown(database, NOON - 5 * DAY, NOON) == 5 * 240


def test_one_that_fails_keeps_what_is_done(database: Database) -> None:
    history = History()
    history.fails_at = "01-03"
    with pytest.raises(FlashbackUnavailable):
        run(database, history)
    history.fails_at = None
    run(database, history)
    assert sorted(history.days) == sorted(set(history.days))
    assert grown(database, NOON - 5 * DAY, NOON) == 5 * 240


def test_days_whose_minutes_the_server_has_forgotten_come_from_its_day_statistics(database: Database) -> None:
    history = History(minutes=2 * DAY)
    run(database, history)
    assert (Resolution.DAY, "01-01") in history.asked
    assert grown(database, datetime.fromisoformat("2026-01-01T00:00:00+00:00"), NOON) == 4 * 240 + 120


def test_rules_with_a_past_and_look_ups_work_at_once(database: Database) -> None:
    """The totals are read for the first time at noon; the month's budget and the spike's baseline are from before."""
    monthly = rule(budget(Period.MONTH, amount=1000))
    jump = rule(spike(3, window="1h", same_hour=4))
    run(database, History(), days=5)
    scene = PointScene(database, "0x900", monthly, jump, found=[point(12 * 60 + 1, 50, GPT)])
    scene.now = scene._polled = NOON
    scene.until(12 * 60 + 3)
    assert [(alert.kind, alert.severity, int(alert.value or 0)) for alert in scene.alerts()] == [
        ("budget", "critical", 4 * 240 + 130 + 50),
        ("spike", "warning", 60),
    ]
    assert scene.values(since=-24 * 60) == {"llm-1": 240 + 130 + 50}


def test_of_days_that_are_older_than_minutes_are_kept_only_their_sums_are_written(database):
    run(database, History(), days=6, keep={Resolution.MINUTE: 2 * DAY, Resolution.HOUR: 4 * DAY})
    with database.reading() as tx:
        oldest = tx.execute(
            sa.select(ai_points.c.resolution, sa.func.min(ai_points.c.bucket)).group_by(ai_points.c.resolution)
        )
        first = {Resolution(resolution): at for resolution, at in oldest}
    midnight = NOON - DAY / 2
    assert first == {
        Resolution.MINUTE: midnight - 2 * DAY,
        Resolution.HOUR: midnight - 4 * DAY,
        Resolution.DAY: midnight - 6 * DAY,
    }, "a day goes once all of it is too old"
    assert grown(database, midnight - 6 * DAY, midnight) == 6 * 240
    assert grown(database, midnight - 3 * DAY, midnight - 2.5 * DAY) == 120
    run(database, History(), days=6, keep={Resolution.MINUTE: 2 * DAY, Resolution.HOUR: 4 * DAY})
    assert grown(database, midnight - 6 * DAY, midnight) == 6 * 240, "and it counts once"


def test_a_budget_with_a_forecast_counts_every_day_that_is_stored_as_one_without_does(database: Database) -> None:
    """Only days are stored; the moment a quarter of the period ago lies inside of one of them."""
    plain = rule(budget(Period.MONTH, amount=1250))
    looks_ahead = replace(rule(budget(Period.MONTH, amount=1250, forecast=True)), name="looks-ahead")
    run(database, History(minutes=timedelta(0)), days=5)
    scene = PointScene(database, "0x900", plain, looks_ahead, found=[point(12 * 60 + 1, 50, GPT)])
    scene.now = scene._polled = NOON
    scene.until(12 * 60 + 3)
    assert [(alert.severity, int(alert.value or 0)) for alert in scene.alerts()] == [("critical", 5 * 240 + 50)] * 2


def test_a_day_that_was_known_from_its_day_statistics_counts_once_when_its_minutes_come(database: Database) -> None:
    day = datetime.fromisoformat("2026-01-03T00:00:00+00:00")
    with database.transaction() as tx:
        sources.register(tx, ["acme", "acme/ai"])
        known_as_a_day = Point(day, GPT, {"policy_violations": 240})
        points.write(tx, sources.number_of(tx, "acme"), Dataset.AI, Resolution.DAY, [known_as_a_day])
    run(database, History(), days=3)
    assert grown(database, day, day + DAY) == 240
    assert grown(database, day - DAY, NOON) == 3 * 240 + 120
