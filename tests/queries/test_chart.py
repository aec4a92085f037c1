"""What a chart draws is what was counted: a rule's values or a metric's growth, and nothing where nothing was read."""

from dataclasses import replace
from datetime import UTC, timedelta
from fractions import Fraction

import pytest
import sqlalchemy as sa

from alertbot.domain.alerts import State
from alertbot.domain.chart_data import MOST_POINTS, ChartSeries, bucketed, sampled, sparkline
from alertbot.domain.oncall import OnCall
from alertbot.domain.routes import Step
from alertbot.domain.rules import Comparison, Period, Rule, Severity
from alertbot.domain.snapshots import Counter
from alertbot.domain.windows import window_of
from alertbot.errors import UsageError
from alertbot.queries.chart import chart, chart_of
from alertbot.store import series_slices, slices, snapshots
from tests.builders import START, absence, at, budget, burn, minutes, rate, ratio, rule, spike, threshold
from tests.flows.scene import AT_ONCE, Scene

BURST = replace(rule(threshold(window="4m", above={"warning": 5, "critical": 20})), name="burst")


def drawn(scene: Scene, subject: str, wanted: str | None = None, *rules: Rule, window: float = 8) -> ChartSeries:
    resolution = window_of(minutes(window), scene.now, UTC)
    return chart(
        scene.database,
        rules=rules or scene.context.rules,
        intervals=scene.context.intervals,
        subject=subject,
        llm=wanted,
        window=resolution,
    )


def of_alert(scene: Scene, number: int = 0) -> ChartSeries:
    alert = scene.alerts()[number]
    return chart_of(
        scene.database, rules=scene.context.rules, intervals=scene.context.intervals, alert=alert, now=scene.now
    )


def values(chart_series: ChartSeries) -> str:
    return " ".join("-" if value is None else str(value) for _, value in chart_series.points)


def test_a_metric_is_drawn_as_what_grew_in_each_stretch(database):
    scene = Scene(database, {"acme/llm-1": "0 1 3 3 6 10 10 10 10", "acme/llm-2": "0 0 0 0 0 0 0 0 5"}).until(8)
    chart_series = drawn(scene, "violations")
    assert values(chart_series) == "1 2 0 3 4 0 0 5"
    assert (chart_series.what, chart_series.subject, chart_series.bucket) == (
        "policy violations per 1 min",
        "acme",
        minutes(1),
    )
    assert chart_series.thresholds == ()
    assert values(drawn(scene, "violations", "llm-2")) == "0 0 0 0 0 0 0 5"
    assert drawn(scene, "violations", "llm-2").subject == "llm-2 (acme)"
    assert drawn(scene, "violations", "llm-*").subject == "llm-* (2 LLMs)"


def test_a_metric_with_a_threshold_on_just_that_is_drawn_as_the_rule_sees_it(sqlite):
    scene = Scene(sqlite, {"acme/llm-1": "0 1 3 3 6 10 10 10 10", "acme/llm-2": "0"}, BURST).until(8)
    chart_series = drawn(scene, "policy_violations", "llm-1")
    assert values(chart_series) == "1 3 3 6 9 7 7 4"
    assert (chart_series.what, chart_series.rule) == ("policy violations in 4 min", "burst")
    assert chart_series.thresholds == ((Severity.WARNING, Fraction(5)), (Severity.CRITICAL, Fraction(20)))
    assert drawn(scene, "policy_violations").rule == "", "the rule looks at each, this is both together"
    assert drawn(scene, "tokens", "llm-1").rule == "", "the rule looks at something else"


def test_a_rule_is_drawn_by_its_name_one_series_at_a_time(sqlite):
    scene = Scene(sqlite, {"acme/llm-1": "0 9", "acme/llm-2": "0 2"}, BURST).until(2)
    assert values(drawn(scene, "burst", "llm-2", window=2)) == "2 2"
    with pytest.raises(UsageError, match="a chart shows one series at a time, and burst has 2 series"):
        drawn(scene, "burst")
    with pytest.raises(UsageError, match='has no series matching "llm-9"'):
        drawn(scene, "burst", "llm-9")


SEEN = {
    "a rate, in its own unit": (rate(1), "0 2 4 4 4 4 4", "1 2 1 0 0 0", "policy violations per minute over 2 min"),
    "a share": (ratio("1/2"), "0 1 2 2 2 2 2", "1 1 1/2 0 0 0", "policy violations of calls in 2 min"),
    "what a spike compares, without what it compares it with": (
        spike(window="2m", baseline="10m"),
        "0 2 4 4 4 4 4",
        "2 4 2 0 0 0",
        "policy violations in 2 min",
    ),
    "what a budget has used": (budget(Period.HOUR), "0 2 4 4 5 5 5", "2 4 4 5 5 5", "policy violations this hour"),
    "the slowest of the burn rates": (
        burn(),
        "0 2 4 4 5 5 5",
        "2/5 4/5 4/5 1/2 1/2 0",
        "burn rate of policy violations, over 5 min and 2 min",
    ),
    "what should not be absent": (absence(), "0 2 4 4 5 5 5", "2 4 4 3 1 1", "policy violations in 3 min"),
}


@pytest.mark.parametrize(("condition", "polls", "seen", "what"), SEEN.values(), ids=SEEN.keys())
def test_every_kind_of_rule_is_drawn_as_what_it_compares(sqlite, condition, polls, seen, what):
    judged = replace(rule(condition), name="judged")
    scene = Scene(sqlite, {"acme/llm-1": {"policy_violations": polls, "api_calls": "0+1x9"}}, judged).until(6)
    chart_series = drawn(scene, "judged", window=6)
    assert (values(chart_series), chart_series.what) == (seen, what)


def test_the_levels_of_a_budget_are_drawn_as_amounts(sqlite):
    scene = Scene(sqlite, "0 9", replace(rule(budget(amount=50)), name="hourly")).until(2)
    assert drawn(scene, "hourly").thresholds == ((Severity.WARNING, Fraction(40)), (Severity.CRITICAL, Fraction(50)))


def test_where_polls_were_missed_nothing_is_drawn_and_what_grew_is_seen_behind_it(sqlite):
    scene = Scene(sqlite, "0 1 2 _x5 12 13 13 13", BURST).until(11)
    assert values(drawn(scene, "burst", window=11)) == "1 2 2 2 - - - 10 11 11 11"


def test_one_missed_poll_is_no_gap(sqlite):
    assert values(drawn(Scene(sqlite, "0 1 _ 3 4 4 4", BURST).until(6), "burst", window=6)) == "1 1 3 4 3 3"


def test_a_line_ends_where_the_readings_end(sqlite):
    scene = Scene(sqlite, "0 1 2 3 _x9", BURST).until(8)
    assert values(drawn(scene, "burst", window=8)) == "1 2 3 3 2 - - -"


def test_before_the_first_reading_nothing_is_drawn(sqlite):
    assert values(drawn(Scene(sqlite, "4 5", BURST).until(1), "burst", window=4)) == "- - 0 1"


def test_readings_that_were_thinned_are_no_gap(sqlite):
    scene = Scene(sqlite, "0 1 2 3 4 5 6 7 8 9 10 11 12", BURST).until(12)
    with scene.database.transaction() as tx:
        numbers = snapshots.evaluated_readings(tx, "acme", before=at(13))
        snapshots.delete_readings(tx, [number for number, taken_at in numbers if taken_at.minute % 4])
    assert "-" not in values(drawn(scene, "burst", window=12))


def test_the_chart_of_an_alert_shows_four_of_its_windows_and_when_it_fired(sqlite):
    scene = Scene(sqlite, "0 1 1 1 1 1 1 1 1 1 1 1 1 1 9", BURST).until(16)
    chart_series = of_alert(scene)
    assert (chart_series.start, chart_series.end, chart_series.fired_at) == (at(0), at(16), at(14))
    assert values(chart_series) == "1 1 1 1 0 0 0 0 0 0 0 0 0 8 8 8"
    assert chart_series.worst == (at(14), 8)


def test_the_chart_of_an_alert_that_has_ended_stays_with_it(sqlite):
    scene = Scene(sqlite, "0 9", BURST).until(5)
    assert scene.alerts()[0].state is State.RESOLVED
    assert of_alert(scene.rest_until(500)).end == at(9)


def test_where_the_threshold_was_what_came_before_the_passed_one_is_drawn(sqlite):
    judged = replace(rule(spike(3, window="1m", baseline="4m", at_least=2)), name="spiky")
    scene = Scene(sqlite, "0 1 2 3 4 20", judged).until(5)
    assert of_alert(scene).thresholds == ((Severity.WARNING, Fraction(3)),)


def test_the_chart_of_a_budget_shows_its_period(sqlite):
    scene = Scene(sqlite, "0 90", replace(rule(budget(Period.HOUR)), name="hourly")).until(30)
    chart_series = of_alert(scene)
    assert (chart_series.start, chart_series.end) == (at(0), at(30))
    assert values(chart_series).split() == ["90"] * 30


NOTHING = {
    "a metric that is not counted": ("moods", None, '"moods" is not counted, nor is it a rule; there are api_calls, '),
    "a configuration that there is not": ("tokens", "llm-9", 'no LLM is called "llm-9"'),
    "a rule that counts nothing": ("silent", None, "silent has no values to draw"),
}


@pytest.mark.parametrize(("subject", "wanted", "told"), NOTHING.values(), ids=NOTHING.keys())
def test_where_there_is_nothing_to_draw_that_is_told(sqlite, subject, wanted, told):
    silent = replace(rule(absence(metric=None), per="source"), name="silent")
    scene = Scene(sqlite, "0 1", silent).until(1)
    with pytest.raises(UsageError, match=told):
        drawn(scene, subject, wanted)


def test_nothing_was_read_yet(sqlite):
    with pytest.raises(UsageError, match="no LLM has been read yet"):
        drawn(Scene(sqlite, "0 1"), "tokens")


def test_the_chart_of_an_alert_whose_rule_is_gone_is_refused(sqlite):
    scene = Scene(sqlite, "0 9", BURST).until(1)
    (alert,) = scene.alerts()
    with pytest.raises(UsageError, match="rule burst no longer exists"):
        chart_of(scene.database, rules=(), intervals=scene.context.intervals, alert=alert, now=scene.now)


def test_a_long_window_is_looked_at_in_96_places_and_a_short_one_no_closer_than_its_readings():
    assert len(sampled(START, START + timedelta(days=365), least=minutes(1))) == MOST_POINTS
    assert sampled(START, at(4), least=minutes(1)) == (at(1), at(2), at(3), at(4))
    assert sampled(START, at(1), least=minutes(5)) == (at(1),)


BUCKETS = {1: (1, 1), 60: (60, 1), 96: (96, 1), 97: (48, 2), 24 * 60: (96, 15), 7 * 24 * 60: (84, 120)}


@pytest.mark.parametrize(("length", "found"), BUCKETS.items())
def test_stretches_are_of_round_lengths_and_lie_inside_the_window(length, found):
    moments, bucket = bucketed(START, at(length), least=minutes(1))
    assert (len(moments), bucket / minutes(1)) == found
    assert moments[0] - bucket >= START
    assert moments[-1] == at(length)


SPARKS = {
    "0 1 2 4": "▁▂▄█",
    "0 0 0": "▁▁▁",
    "9": "█",
    "- 1 -": "·█·",
    "1 1000": "▂█",
    "-": "·",
}


@pytest.mark.parametrize(("given", "bars"), SPARKS.items())
def test_small_bars_show_a_dot_where_nothing_is_known_and_anything_above_nothing(given, bars):
    assert sparkline([None if word == "-" else int(word) for word in given.split()]) == bars


def test_a_peak_is_never_lost_between_small_bars():
    assert sparkline([0] * 99 + [7] + [0] * 100, width=10).count("█") == 1
    assert len(sparkline(range(1000), width=24)) == 24


# --- the trend in an alert's message


def test_the_message_shows_the_last_windows_the_description_and_who_is_on_call(database):
    described = replace(BURST, description="see the runbook")
    scene = Scene(database, "0 1 1 1 1 1 1 1 1 1 1 1 1 1 9", described)
    on_call = {name: OnCall(name, usergroup=who) for name, who in (("primary", "S1"), ("other", "S2"))}
    scene.delivery = replace(scene.delivery, rules=(described,), on_call=on_call)
    alert_message = scene.until(14).slack.only.alert_message
    assert alert_message is not None
    # Twelve windows of four minutes; the bot has watched for fourteen.
    assert alert_message.trend == (None,) * 9 + (0, 0, 8)
    assert (alert_message.description, alert_message.on_call) == ("see the runbook", {"primary": "S1", "other": "S2"})


def test_of_the_rotations_those_are_shown_that_the_route_names(sqlite):
    route = replace(AT_ONCE, escalate=(Step(minutes(15), ("@oncall:primary",)),))
    scene = Scene(sqlite, "0 9", BURST, routes=(route,))
    on_call = {name: OnCall(name, usergroup=who) for name, who in (("primary", "S1"), ("other", "S2"))}
    scene.delivery = replace(scene.delivery, rules=(BURST,), on_call=on_call)
    alert_message = scene.until(1).slack.only.alert_message
    assert alert_message is not None
    assert alert_message.on_call == {"primary": "S1"}


def test_a_message_of_several_alerts_has_no_trend(sqlite):
    scene = Scene(sqlite, {"acme/llm-1": "0 9", "acme/llm-2": "0 9"}, BURST)
    scene.delivery = replace(scene.delivery, rules=(replace(BURST, description="d"),))
    alert_message = scene.until(1).slack.only.alert_message
    assert alert_message is not None
    assert (alert_message.trend, alert_message.description) == ((), "d")


def test_a_trend_costs_three_queries(sqlite):
    Scene(sqlite, "0 9", BURST).until(3)
    asked: list[str] = []
    sa.event.listen(sqlite.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    with sqlite.reading() as tx:
        found = series_slices.trail(tx, "acme", "llm-1", [at(0), at(1), at(2)], [Counter.POLICY_VIOLATIONS])
    assert [one.grown[Counter.POLICY_VIOLATIONS] for one in found] == [{1: 0}, {1: 9}, {1: 9}]
    assert len([one for one in asked if one.startswith(("SELECT", "WITH"))]) == 3


def test_slices_of_many_moments_are_those_that_are_loaded_one_by_one(database):
    scene = Scene(database, {"acme/llm-1": "0 0 3 _ 9", "acme/llm-2": "- 4 - ?"}).until(6)
    moments = [at(minute) for minute in (-5, 0, 0.5, 1, 2, 3.5, 4, 6, 99)]
    counters = frozenset({Counter.POLICY_VIOLATIONS, Counter.API_CALLS})
    with scene.database.reading() as tx:
        one_by_one = slices.slices(tx, {("acme", moment): counters for moment in moments})
        assert series_slices.slices_along(tx, "acme", moments, counters, [1, 2]) == one_by_one
        assert series_slices.slices_along(tx, "nobody", moments, counters, [1]) == {}
        assert series_slices.trail(tx, "acme", "llm-9", moments, [Counter.API_CALLS]) == []


def test_a_threshold_below_looks_down(sqlite):
    judged = replace(rule(threshold(window="2m", below=3)), name="quiet")
    chart_series = drawn(Scene(sqlite, "0 5 9 9 9", judged).until(4), "quiet", window=4)
    assert chart_series.comparison is Comparison.BELOW
    assert chart_series.worst == (at(4), 0)
