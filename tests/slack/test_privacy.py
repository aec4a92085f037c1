"""Where a route does not tell names, no message, thread, file, view or answer does: everything is produced and looked through."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from alertbot.domain.evidence import Evidence, EvidenceKind
from alertbot.domain.points import LabelSet, Point
from alertbot.domain.routes import Route
from alertbot.domain.rules import Period
from alertbot.domain.silences import Silence, parse_matcher
from alertbot.flows.collect import FeedPoll, collect
from alertbot.store import evidence, silences, sources
from tests.builders import MINUTE, START, at, budget, minutes, only, rule, threshold
from tests.flows.scene import BOTS
from tests.flows.test_points import PointsPlayer
from tests.slack.office import Office, office
from tests.slack.overheard import CHANNEL, overheard
from tests.slack.test_canaries import LISTENERS, STRANGER, _rule_form, around

PEOPLE = [f"canary-{number}-{1000 + number}" for number in range(15)]
RULES = (
    *(
        replace(rule(threshold(above=5, window="10m"), per=dimension), name=f"by-{dimension}")
        for dimension in ("user", "api_key", "host", "repo")
    ),
    replace(rule(threshold(above=10**6), where=only(user="canary-*")), name="someone"),
    replace(rule(budget(Period.DAY), per="user"), name="day-of-each"),
)


def _office(database: Any, privacy: str) -> Any:
    return office(
        database, {"acme/llm-1": "0 200x300"}, *RULES, route=Route("#ai-alerts", group_wait=minutes(0), privacy=privacy)
    )


def _read_points(here: Office) -> None:
    """What everybody did at the start, as it is told now, and what follows from it."""
    scene = here.scene
    points = PointsPlayer(
        *(
            Point(
                at(0),
                LabelSet("llm-1", "OPENAI", "gpt-4o", f"repo-{who}", f"key-{who}", who, f"{who}.lan"),
                {"policy_violations": 9, "api_calls": 10},
            )
            for who in PEOPLE
        )
    )
    feed_poll = FeedPoll("acme/ai", MINUTE, 2 * MINUTE, points=points, operators=BOTS)
    collect(scene.database, feed_poll, owner=scene.owner, now=scene.now, at_once=True)
    scene.act()


def _prepare(here: Office) -> Office:
    scene = here.scene
    with scene.database.transaction() as tx:
        sources.register(tx, ["acme/ai"])
    with scene.database.transaction() as tx:
        seen = Evidence(
            "v1", EvidenceKind.VIOLATION, at(0.5), user=PEOPLE[0], user_name="Canary Person", explanation="canary"
        )
        evidence.keep(tx, sources.number_of(tx, "acme"), [seen])
        muted = Silence((parse_matcher(f"user={PEOPLE[0]}"),), START, at(90), "U1")
        silences.add(tx, muted)
    scene.until(1)
    _read_points(here)
    return here


@pytest.fixture(params=["masked", "counts"])
def here(sqlite: Any, request: Any) -> Iterator[Office]:
    with _office(sqlite, request.param) as opened:
        yield _prepare(opened)


def test_no_message_thread_or_file_names_anybody(here):
    alerts = here.scene.alerts()
    assert {alert.labels["user"] for alert in alerts if alert.rule == "by-user"} == set(PEOPLE)
    with overheard(here.context) as slack:
        for text in (f"ack A{alerts[0].number}", f"comment A{alerts[0].number} seen", f"snooze A{alerts[1].number} 1h"):
            slack.command(text, "U1")
            assert "Done" in slack.said()
    here.scene.until(13)
    _read_points(here)
    assert any("Resolved" in message.text for message in here.slack.messages("#ai-alerts"))
    assert here.slack.files()
    assert around(str(here.slack.calls)) == []
    assert around(str([file.content for file in here.slack.files()])) == []


def test_no_answer_and_no_view_names_anybody(here):
    with overheard(here.context) as slack:
        for name, use in LISTENERS.items():
            if use is not None:
                use(slack, CHANNEL)
                assert around(slack.said()) == [], name
        for text in (
            "why by-user",
            "why by-user *",
            "why by-host *-*",
            "chart by-user *",
            "top violations user",
            "top violations host",
        ):
            slack.command(text, STRANGER)
        for text in ("top violations key", "top calls repo", "spend user", "budget", "violations", "alerts", "rules"):
            slack.command(text, STRANGER)
        for per in ("user", "host", "api_key", "repo"):
            slack.click("rule_try", "x", STRANGER, **_rule_form(name="mine", per=per))
        told = slack.said()
    assert around(told) == []


def test_nobody_is_found_out_by_guessing(here):
    with overheard(here.context) as slack:
        for text in (
            "why by-user {}",
            "chart by-user {}",
            "silence user={} 1h",
            "silence rule=by-user user={} 1h",
            "violations user={}",
        ):
            told = []
            for who in (PEOPLE[3], "x" * len(PEOPLE[3])):
                slack.command(text.format(who), STRANGER)
                told.append(slack.said().replace(who, "WHO"))
            assert told[0] == told[1], text
        slack.submit(STRANGER, **_rule_form(name="mine", where=f"user={PEOPLE[3]}"))
        assert "not shown here" in slack.said()


def test_alerts_of_different_people_are_told_apart_and_can_be_acted_on(here):
    rows = [row.alert for row in here.context.for_person("U2").open_alerts() if row.alert.rule == "by-user"]
    assert len({alert.series for alert in rows}) == len({alert.labels["user"] for alert in rows}) == len(PEOPLE)
    with overheard(here.context) as slack:
        slack.command(f"ack A{rows[0].number}", "U1")
        assert "Done" in slack.said()
    assert here.alert(rows[0].number).acknowledged_by == "U1"
    assert here.alert(rows[0].number).labels["user"] in PEOPLE, "what is kept is whole"


def test_where_everything_is_told_people_are_named(sqlite):
    with _office(sqlite, "full") as opened:
        here = _prepare(opened)
        assert around(str(here.slack.calls))
        assert PEOPLE[3] in here.ask("alerts")
        assert f"user={PEOPLE[0]}" in here.ask("silences")
