"""Rules and look-ups by points: what they add to the totals, and that the two are never added to each other."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from alertbot.domain.evidence import Evidence, EvidenceKind, Privacy
from alertbot.domain.points import Dataset, LabelSet, Point, PointsReading, Resolution, floor
from alertbot.domain.prices import Price, Prices
from alertbot.domain.privacy import alias
from alertbot.domain.rankings import RankingQuery
from alertbot.domain.rules import SOURCE_BLIND, Period, Rule, Selector, Severity
from alertbot.domain.snapshots import Configuration
from alertbot.domain.windows import Window
from alertbot.errors import FlashbackBusy, FlashbackError, FlashbackMissing, FlashbackUnavailable
from alertbot.flows.collect import Described, FeedPoll, PollOutcome, collect
from alertbot.queries.spend import spending
from alertbot.queries.top import top_ranking
from alertbot.store import evidence, points, sources
from alertbot.store.database import Database
from tests.builders import MINUTE, START, absence, at, budget, rule, spike, threshold
from tests.flows.scene import BOTS, Scene, Written, named

GPT, CLAUDE = LabelSet("llm-1", "OPENAI", "gpt-4o", user="ana"), LabelSet("llm-2", "ANTHROPIC", "claude")
NO_POINTS = FlashbackMissing("this server has no /aistats/minute (404)", endpoint="/aistats/minute")
NO_TOTALS = FlashbackMissing("this server has no /ai/llm/stats (404)", endpoint="/ai/llm/stats")
QUIET = "0x100"


def point(minute: float, amount: int, of: LabelSet = GPT, metric: str = "policy_violations") -> Point:
    return Point(at(minute), of, {metric: amount})


class PointsPlayer:
    """The points of a source: all that have begun by the time it is asked."""

    def __init__(self, *found: Point) -> None:
        self.found = list(found)
        self.error: FlashbackError | None = None
        self.asked: list[tuple[datetime, datetime | None]] = []
        self.described: Described = None

    def read(self, now: datetime, last_at: datetime | None, /) -> tuple[tuple[PointsReading, ...], Described]:
        self.asked.append((now, last_at))
        if self.error is not None:
            raise self.error
        start = floor(now, Resolution.DAY) - timedelta(days=1) if last_at is None else last_at - timedelta(minutes=10)
        mine = tuple(one for one in self.found if start <= one.bucket <= now)
        return (PointsReading(start, now, mine),), self.described


class PointScene(Scene):
    """A scene whose sources are read for points, too, in the same minute; `without_totals` no server has totals."""

    def __init__(
        self,
        database: Database,
        drawn: Written,
        *rules: Rule,
        found: Iterable[Point] | Mapping[str, Iterable[Point]] = (),
        without_totals: bool = False,
        prices: Prices | None = None,
        blind_after: timedelta | None = None,
    ) -> None:
        by_source = found if isinstance(found, Mapping) else {"acme": found}
        self.points = {name: PointsPlayer(*own) for name, own in by_source.items()}
        self.without_totals = without_totals
        self.needed = True
        super().__init__(database, drawn, *rules, blind_after=blind_after)
        if prices is not None:
            self.context = replace(self.context, prices=prices)
        with database.transaction() as tx:
            sources.register(tx, [*self.players, *(f"{name}/ai" for name in self.points)])

    def poll(self, name: str = "acme", *, at_once: bool = False) -> PollOutcome:
        if self.without_totals:
            self.players[name].errors = dict.fromkeys(range(1000), NO_TOTALS)
        feed_poll = FeedPoll(name, self.interval, 2 * self.interval, operators=BOTS, instead=name in self.points)
        player = self.players[name]
        player.turn = (self.now - START) // self.interval
        outcome = collect(
            self.database, replace(feed_poll, totals=player), owner=self.owner, now=self.now, at_once=at_once
        )
        if name in self.points:
            own = replace(feed_poll, name=f"{name}/ai", points=self.points[name], instead=not self.needed)
            collect(self.database, own, owner=self.owner, now=self.now, at_once=at_once)
        return outcome

    def until(self, minute: float) -> "PointScene":
        super().until(minute)
        return self

    def values(self, *, by: str = "ai_llm", metric: str = "policy_violations", since: float = 0) -> dict[str, int]:
        """How far each has grown since a minute."""
        window = Window(at(since), self.now, "")
        found = top_ranking(
            self.database, intervals=self.context.intervals, question=RankingQuery(metric, by), window=window
        )
        return {row.name: int(row.value) for row in found.rows if row.value}


MARKS = [alias("acme", "user", user, name="", privacy=Privacy.COUNTS) for user in ("user-1111-aaaa", "user-2222-bbbb")]
BY_MODEL = rule(threshold(above=5, window="10m"), per="model")
BY_USER = rule(threshold(above=5, window="10m"), where=Selector((("user", ("ana",)),)))


# --- what only points know


def test_a_rule_by_model_fires_for_the_model(database: Database) -> None:
    scene = PointScene(database, QUIET, BY_MODEL, found=[point(2, 6), point(2, 3, CLAUDE)]).until(3)
    assert [(alert.series, int(alert.value or 0)) for alert in scene.alerts()] == [("acme/model=gpt-4o", 6)]
    assert scene.alerts()[0].labels == {"source": "acme", "model": "gpt-4o", "rule": "rule"}
    assert scene.until(13).changes()[-1] == "13 firing → resolved: the condition ended"


def test_a_rule_on_the_totals_is_not_judged_by_points_that_say_something_else(database: Database) -> None:
    scene = PointScene(database, "0 0 9", rule(threshold(above=5)), found=[point(1, 1000)]).until(3)
    assert [(str(alert.state), int(alert.value or 0)) for alert in scene.alerts()] == [("firing", 9)]


def test_a_rule_for_one_user_counts_what_that_user_did(database: Database) -> None:
    others = replace(GPT, user="ben")
    scene = PointScene(database, QUIET, BY_USER, found=[point(2, 6), point(2, 50, others)]).until(3)
    assert [(alert.series, int(alert.value or 0)) for alert in scene.alerts()] == [("acme/llm-1", 6)]


def test_a_bucket_that_fills_up_while_it_is_read_again_counts_once(database: Database) -> None:
    scene = PointScene(database, QUIET, BY_MODEL, found=[point(2, 4)]).until(2)
    scene.points["acme"].found = [point(2, 5)]
    assert scene.until(4).alerts() == []
    scene.points["acme"].found = [point(2, 6)]
    assert [alert.value for alert in scene.until(5).alerts()] == [6]


def test_points_are_looked_up_by_what_they_know(database: Database) -> None:
    scene = PointScene(database, QUIET, found=[point(2, 6), point(3, 3, CLAUDE)]).until(5)
    assert scene.values(by="model") == {"gpt-4o": 6, "claude": 3}
    assert scene.values(by="user") == {"ana": 6, "without user": 3}
    assert scene.values(by="model", since=3) == {"claude": 3}


@pytest.mark.parametrize(
    ("privacy", "called"),
    [
        (Privacy.FULL, {"Ana Ruiz", "user-2222-bbbb", "without user"}),
        (Privacy.MASKED, {"A. R. …aaaa", "…bbbb", "without user"}),
        (Privacy.COUNTS, {MARKS[0], MARKS[1], "without user"}),
    ],
)
def test_people_are_called_as_the_evidence_calls_them_where_that_may_be_told(
    database: Database, privacy: Privacy, called: set[str]
) -> None:
    named, nameless = replace(GPT, user="user-1111-aaaa"), replace(GPT, user="user-2222-bbbb")
    used = [
        point(2, 6, named),
        point(2, 5, nameless),
        point(3, 3, CLAUDE),
        tokens(2, 9, 1, named),
        tokens(2, 8, 1, nameless),
    ]
    scene = PointScene(database, QUIET, found=[*used, tokens(3, 7, 1, CLAUDE)]).until(5)
    with database.transaction() as tx:
        seen = Evidence("v1", EvidenceKind.VIOLATION, at(2), user="user-1111-aaaa", user_name="Ana Ruiz")
        evidence.keep(tx, sources.number_of(tx, "acme"), [seen])
    intervals, window, careful = scene.context.intervals, Window(START, at(5), "today"), {"acme": privacy}
    ranking = top_ranking(
        database, question=RankingQuery(by="user"), intervals=intervals, window=window, privacy=careful
    )
    prices = Prices(FewPrices())
    spent = spending(database, prices=prices, by="user", intervals=intervals, window=window, privacy=careful)
    assert {row.name for row in ranking.rows} == {row.name for row in spent.rows} == called


def latency(minute: float, milliseconds: int, calls: int) -> Point:
    return Point(at(minute), GPT, {"latency_us": milliseconds * 1000 * calls, "api_calls": calls})


SLOW = rule(threshold("latency_ms", above=500, window="5m"))


def test_latency_is_a_mean_that_is_weighted_by_calls(database: Database) -> None:
    scene = PointScene(database, QUIET, SLOW, found=[latency(1, 100, 9), latency(2, 3000, 1)]).until(3)
    assert scene.alerts() == []  # (900 + 3000) / 10
    scene.points["acme"].found.append(latency(3, 5000, 1))
    scene.until(4)
    assert [alert.value for alert in scene.alerts()] == [Fraction(8900, 11)]


def test_without_calls_nothing_is_said_of_the_latency(database: Database) -> None:
    scene = PointScene(database, QUIET, SLOW, found=[latency(1, 5000, 3)]).until(20)
    assert scene.changes() == ["2 none → firing: the condition became true"]


def test_an_alert_about_points_ends_when_their_llm_was_deleted(database: Database) -> None:
    deleted = {"acme/llm-1": "0x5" + " -" * 46, "acme/llm-2": "0x100"}
    scene = PointScene(database, deleted, SLOW, found=[latency(1, 5000, 3)]).until(20)
    assert scene.changes() == ["2 none → firing: the condition became true", "11 firing → resolved: gone"]
    silent = rule(absence("api_calls", window="5m"), per="model")
    scene = PointScene(database, deleted, silent, found=[latency(25, 100, 3)]).until(50)
    assert [change.split(": ")[-1] for change in scene.changes()][-1] == "gone"


# --- the first day


DAILY = rule(budget(Period.DAY, amount=100))


def test_the_first_day_of_a_budget_is_complete_where_there_are_points(database: Database) -> None:
    """The bot begins in the middle of a day of which 85 were used up before."""
    before = [point(-600, 60), point(-30, 25), point(-24 * 60 - 1, 500)]
    scene = PointScene(database, "1000 1000 1005", DAILY)
    shift = timedelta(hours=12)
    scene.points["acme"].found = [replace(one, bucket=one.bucket + shift) for one in before]
    scene.now += shift
    scene.poll()
    scene.act()
    assert [(str(alert.severity), int(alert.value or 0)) for alert in scene.alerts()] == [("warning", 85)]


def test_from_its_second_period_on_a_budget_goes_by_the_totals(database: Database) -> None:
    hourly = rule(budget(Period.HOUR, amount=100))
    scene = PointScene(database, "0x70 90x100", hourly, found=[point(5, 85)])
    scene.now = scene._polled = at(9)  # the bot begins in the middle of an hour
    scene.until(100)
    assert [(int(alert.value or 0), alert.started_at) for alert in scene.alerts()] == [(85, at(10)), (90, at(71))]


def test_a_budget_without_points_begins_with_the_first_reading(database: Database) -> None:
    scene = Scene(database, "1000 1000 1085", DAILY).until(3)
    assert [alert.value for alert in scene.alerts()] == [85]


def test_a_spike_has_its_baseline_on_the_first_day(database: Database) -> None:
    jump = rule(spike(3, window="10m", baseline="2h"))
    steady = [point(minute, 1) for minute in range(-180, 0)]
    scene = PointScene(database, "0x3 50x100", jump, found=[*steady, point(3, 50)]).until(4)
    assert [alert.severity for alert in scene.alerts()] == ["warning"]
    assert Scene(database, "0x3 50x100", jump).context.rules == (jump,)


# --- a server without totals


def test_a_server_without_totals_is_counted_by_its_points_and_that_is_told_once(database: Database) -> None:
    burst = rule(threshold(above=5, window="10m"))
    scene = PointScene(database, QUIET, burst, found=[point(2, 9)], without_totals=True, blind_after=5 * MINUTE)
    scene.points["acme"].described = (Configuration("llm-1", "support-chat", "OPENAI"),)
    scene.until(3)
    scene.restart()
    scene.until(20)
    assert scene.told_operators() == [
        "acme: this server has no /ai/llm/stats (404). Its counts come from its minute statistics instead."
    ]
    assert scene.changes() == [
        "3 none → firing: the condition became true",
        "13 firing → resolved: the condition ended",
    ]
    assert scene.alerts()[0].labels["name"] == "support-chat"


def test_totals_that_come_back_are_counted_from_then_on(database: Database) -> None:
    burst = rule(threshold(above=5, window="10m"))
    scene = PointScene(database, "0x70 9x100", burst, found=[point(2, 9)], without_totals=True).until(30)
    scene.without_totals = False
    scene.players["acme"].errors.clear()
    scene.until(75)  # it is asked again each hour
    assert scene.changes()[2:] == ["71 none → firing: the condition became true"]


def test_a_server_without_totals_and_points_fails(database: Database) -> None:
    scene = Scene(database, QUIET, blind_after=5 * MINUTE)
    scene.players["acme"].errors = dict.fromkeys(range(100), NO_TOTALS)
    scene.until(6)
    assert [alert.rule for alert in scene.alerts()] == ["source-blind"]


# --- each feed fails for itself


def test_points_that_fail_blind_only_the_rules_that_need_them(database: Database) -> None:
    by_totals = named(rule(threshold(above=5)), "by totals")
    scene = PointScene(database, "0x8 9x100", by_totals, BY_MODEL, found=[point(2, 6)], blind_after=5 * MINUTE).until(3)
    error = FlashbackUnavailable("no answer within 10 s", endpoint="/aistats/minute")
    scene.points["acme"].error = error
    scene.until(20)
    assert [(alert.rule, alert.series, str(alert.state)) for alert in scene.alerts()] == [
        ("rule", "acme/model=gpt-4o", "firing"),  # nothing can be said of it
        ("source-blind", "acme", "firing"),
        ("by totals", "acme/llm-1", "firing"),
    ]
    assert scene.alerts()[1].labels["source"] == "acme"
    assert scene.alerts()[1].note == f"AI statistics: {error.public} since 00:03 UTC"
    scene.points["acme"].error = None
    scene.until(21)
    assert [str(alert.state) for alert in scene.alerts()] == ["resolved", "resolved", "firing"]


def test_a_source_whose_feeds_fail_is_one_alert_that_says_which_and_why_and_ends_when_all_are_read(
    sqlite: Database,
) -> None:
    scene = PointScene(sqlite, "0x4 9x100", BY_MODEL, found=[point(2, 6)], blind_after=5 * MINUTE).until(3)
    error = FlashbackUnavailable("HTTP 503", endpoint="")
    scene.points["acme"].error = error
    scene.until(4)
    scene.players["acme"].errors = dict.fromkeys(range(100), error)

    def blind() -> list[tuple[str, str, str]]:
        return [(alert.series, str(alert.state), alert.note) for alert in scene.alerts() if alert.rule == SOURCE_BLIND]

    causes = "AI statistics: {0} since 00:03 UTC", "totals: {0} since 00:04 UTC"
    assert blind() == []
    scene.until(20)
    assert [series for series, _, _ in blind()] == ["acme"]
    assert set(blind()[0][2].split("; ")) == {cause.format(error.public) for cause in causes}
    scene.players["acme"].errors.clear()
    scene.until(21)
    assert blind() == [("acme", "firing", causes[0].format(error.public))]
    scene.points["acme"].error = None
    scene.until(22)
    assert [state for _, state, _ in blind()] == ["resolved"]
    assert [heard for heard in scene.heard() if heard.endswith("first")] == ["3 first", "8 first"]


def test_points_that_fail_and_that_nobody_needs_are_no_alert(database: Database) -> None:
    scene = PointScene(database, QUIET, rule(threshold(above=5)), blind_after=5 * MINUTE)
    scene.points["acme"].error = FlashbackUnavailable("no answer within 10 s", endpoint="/aistats/minute")
    assert scene.until(20).alerts() == []


@pytest.mark.parametrize("needed", [True, False], ids=["is told where a rule needs them", "is no news elsewhere"])
def test_a_server_without_points(database: Database, *, needed: bool) -> None:
    scene = PointScene(database, "0 9", rule(threshold(above=5)), blind_after=5 * MINUTE)
    scene.needed = needed
    scene.points["acme"].error = NO_POINTS
    scene.until(10)
    assert [alert.rule for alert in scene.alerts()] == ["rule"]
    told = "acme: this server has no /aistats/minute (404). Rules and budgets that need it cannot see anything there."
    assert scene.told_operators() == ([told] if needed else [])
    assert len(scene.points["acme"].asked) == 1  # and then once an hour


def test_over_everything_each_source_counts_by_what_it_has(database: Database) -> None:
    """One by totals, one by points: the sum of both, once."""
    everything = rule(threshold(above=5, window="10m"), per="all")
    scene = PointScene(
        database, {"acme/llm-1": "0 4", "globex/llm-1": "0x9"}, everything, found={"globex": [point(1, 3)]}
    )
    scene.players["globex"].errors = dict.fromkeys(range(100), NO_TOTALS)
    scene.until(2)
    assert [alert.value for alert in scene.alerts()] == [7]


# --- money


class FewPrices:
    version = "a list of two"

    def find(self, provider: str, model: str) -> Price | None:
        return {"gpt-4o": Price(Decimal("2.5"), Decimal(10)), "claude": Price(Decimal(3), Decimal(15))}.get(model)


def tokens(minute: float, into: int, out: int, of: LabelSet = GPT) -> Point:
    return Point(at(minute), of, {"tokens_in": into, "tokens_out": out, "llm_tokens_in": 7})


MONEY = replace(budget(Period.HOUR, amount=10), metric="spend_usd")


def test_a_budget_of_money_counts_what_tokens_cost(database: Database) -> None:
    spent = [tokens(1, 2_000_000, 300_000), tokens(2, 100_000, 10_000, CLAUDE)]  # 5 + 3, and 0.30 + 0.15
    scene = PointScene(database, QUIET, rule(MONEY, per="source"), found=spent, prices=Prices(FewPrices())).until(3)
    (alert,) = scene.alerts()
    assert (alert.value, alert.severity, alert.unit) == (Fraction("8.45"), Severity.WARNING, "USD")


def test_what_is_spent_is_told_by_model_with_what_has_no_price(database: Database) -> None:
    unknown = LabelSet("llm-3", "OTHER", "home-made")
    spent = [tokens(1, 2_000_000, 300_000), tokens(2, 100, 10, unknown)]
    scene = PointScene(database, QUIET, found=spent).until(3)
    found = spending(
        database,
        intervals=scene.context.intervals,
        prices=Prices(FewPrices()),
        window=Window(START, at(3), "today"),
        by="model",
    )
    assert (int(found.usd), found.unpriced_tokens, found.price_list) == (8, 110, "a list of two")
    assert [(row.name, int(row.usd), row.tokens_in, row.tokens_out) for row in found.rows] == [
        ("gpt-4o", 8, 2_000_000, 300_000),
        ("home-made", 0, 100, 10),
    ]


def test_which_pair_of_tokens_is_charged_is_the_operators_choice(database: Database) -> None:
    scene = PointScene(database, QUIET, found=[tokens(1, 2_000_000, 300_000)]).until(3)
    prices = Prices(FewPrices(), pairs={"acme": "llm_tokens"})
    window = Window(START, at(3), "today")
    found = spending(database, intervals=scene.context.intervals, prices=prices, window=window)
    assert [(row.tokens_in, row.tokens_out) for row in found.rows] == [(7, 0)]


# --- what is kept


def test_points_of_too_many_users_are_folded_and_none_of_their_amounts_is_lost(database: Database) -> None:
    many = [point(1, 1, replace(GPT, user=f"user {number}")) for number in range(5100)]
    scene = PointScene(database, QUIET, found=many).until(3)
    (told,) = scene.told_operators()
    assert told.startswith("acme/ai has more than 5,000 combinations of user, host, key, repository and model.")
    with database.reading() as tx:
        assert len(points.known(tx, sources.number_of(tx, "acme"), Dataset.AI)) == 5001
    assert sum(scene.values(by="model").values()) == 5100


def test_a_quota_that_is_used_up_pauses_every_feed_of_the_source(database: Database) -> None:
    scene = PointScene(database, {"acme/llm-1": "0x50", "globex/llm-1": "0x50"}, found={"acme": [], "globex": []})
    scene.until(2)
    scene.players["acme"].errors[3] = FlashbackBusy("429", endpoint="/", retry_after=300)
    scene.until(7)
    assert [now for now, _ in scene.points["acme"].asked] == [at(0), at(1), at(2)]
    assert len(scene.points["globex"].asked) == 8
    scene.until(9)
    assert scene.points["acme"].asked[-1][0] >= at(8)


def test_a_long_first_look_is_written_in_parts_and_counts_as_a_whole(database: Database) -> None:
    """More than one transaction holds, of which only the last one makes it count."""
    many = [point(-minute, 1, replace(GPT, user=f"user {minute % 40}")) for minute in range(1, 601) for _ in range(40)]
    scene = PointScene(database, QUIET, found=many).until(1)
    assert scene.values(since=-24 * 60, by="model") == {"gpt-4o": 24_000}
    assert scene.told_operators() == []
