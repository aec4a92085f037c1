"""Hundreds of alerts at once: what people hear of them, and the list that comes with it."""

from dataclasses import replace

import pytest

from alertbot.domain.alerts import ActionType
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.domain.routes import Step
from alertbot.domain.rules import Rule
from alertbot.store import outbox
from alertbot.store.database import Database
from tests.builders import absence, minutes, rule, threshold
from tests.flows.scene import AT_ONCE, Scene

LASTING = rule(threshold(window="30m", above=5))
LEVELS = rule(threshold(window="30m", above={"warning": 5, "critical": 20}))
MANY = 14


def storm(samples: str, *, first: int = 1, many: int = MANY) -> dict[str, str]:
    """What `many` LLMs count: each a little more than the one before, from the third reading on."""
    return {f"acme/llm-{number:02}": samples.replace("n", str(25 + number)) for number in range(first, first + many)}


def notifications(scene: Scene) -> list[Notification]:
    with scene.database.reading() as tx:
        return [notification for _, notification in outbox.sent_notifications(tx)]


def files(scene: Scene) -> list[int]:
    """How many alerts each of the lists names that came."""
    return [len(text.splitlines()) - 1 for _, _, text in scene.slack.files]


def test_a_storm_that_rises_is_one_line_and_brings_the_list_of_all(sqlite: Database) -> None:
    scene = Scene(sqlite, storm("0 6 n"), LEVELS).until(3)
    assert scene.heard() == ["1 first", "2 rise"]
    assert notifications(scene)[-1].lines == (
        "14 alerts rose to critical; the worst: 39 violations in 30 min on llm-14 (acme), above 20",
    )
    assert files(scene) == [MANY, MANY]


def test_members_that_arrive_inside_a_rise_are_one_line_more_and_stand_in_the_list(sqlite: Database) -> None:
    drawn = {**storm("0 6 6 n", many=5), **storm("0 0 0 n", first=50)}
    scene = Scene(sqlite, drawn, LEVELS).until(4)
    assert scene.heard() == ["1 first", "3 rise"]
    assert notifications(scene)[-1].lines == (
        "5 alerts rose to critical; the worst: 30 violations in 30 min on llm-05 (acme), above 20",
        "14 new alerts; the worst: 88 violations in 30 min on llm-63 (acme), critical",
    )
    assert files(scene) == [19]


def test_a_single_member_inside_a_rise_of_a_large_message_brings_the_list(sqlite: Database) -> None:
    drawn = {**storm("0 6", many=13), "acme/llm-99": "0 0 25"}
    scene = Scene(sqlite, drawn, LEVELS).until(3)
    assert [notification.kind for notification in notifications(scene)] == [
        NotificationKind.FIRST,
        NotificationKind.RISE,
    ]
    assert files(scene) == [13, 14]


def test_a_few_alerts_have_a_line_each_and_bring_no_list(sqlite: Database) -> None:
    scene = Scene(sqlite, storm("0 6 n", many=3), LEVELS).until(3)
    assert len(notifications(scene)[-1].lines) == 3
    assert files(scene) == []


def test_an_escalation_step_is_one_line_a_message(sqlite: Database) -> None:
    route = replace(AT_ONCE, escalate=(Step(minutes(2), ("U1",)),))
    scene = Scene(sqlite, storm("0 n"), LASTING, routes=[route]).until(4)
    assert scene.heard() == ["1 first", "3 escalation"]
    assert notifications(scene)[-1].lines == (
        "Nobody has acknowledged 14 alerts, the oldest for 2 min; the worst: 39 violations in 30 min on llm-14 (acme) (G1)",
    )


@pytest.mark.parametrize(
    ("drawn", "watched", "kind", "line"),
    [
        pytest.param(
            "0 n",
            replace(LASTING, condition=threshold(window="2m", above=5)),
            NotificationKind.RESOLVED,
            "14 alerts resolved; the worst: llm-14, peak 39 violations in 2 min",
            id="an end",
        ),
        pytest.param(
            "0 n",
            LASTING,
            NotificationKind.REPEAT,
            "14 alerts still firing, the longest for 5 min; the worst: 39 violations in 30 min on llm-14 (acme)",
            id="a repeat",
        ),
        pytest.param(
            "0 5x4 - - - - - - - -",
            rule(absence(window="2m")),
            NotificationKind.RESOLVED,
            "14 alerts resolved because what they watched was deleted: llm-01, llm-02, llm-03, llm-04, llm-05 and 9 more",
            id="a deletion",
        ),
    ],
)
def test_what_is_said_of_many_is_one_line(
    sqlite: Database, drawn: str, watched: Rule, kind: NotificationKind, line: str
) -> None:
    scene = Scene(sqlite, storm(drawn), watched, routes=[replace(AT_ONCE, repeat=minutes(5))]).until(9)
    (notification,) = [notification for notification in notifications(scene) if notification.kind is kind][:1]
    assert notification.lines == (line,)


def test_many_that_flap_are_said_to_in_one_line(sqlite: Database) -> None:
    flapping = rule(threshold(window="1m", above=5))
    scene = Scene(sqlite, storm("0 9 9 18 18 27 27 36 36 45 45 54"), flapping).until(10)
    (notification,) = [
        notification for notification in notifications(scene) if notification.kind is NotificationKind.FLAPPING
    ]
    (line,) = notification.lines
    assert line == (
        "14 alerts flapping: llm-01, llm-02, llm-03, llm-04, llm-05 and 9 more keep firing and resolving."
        " Until they are calm, the message is updated but nobody is notified."
    )


def test_who_had_acknowledged_stays_known_when_many_get_worse(sqlite: Database) -> None:
    scene = Scene(sqlite, storm("0 6 6 n", many=5), LEVELS).until(1)
    scene.person(ActionType.ACKNOWLEDGE, "G1", who="U7")
    rise = notifications(scene.until(4))[-1]
    assert (rise.kind, rise.people) == (NotificationKind.RISE, ("U7",))
    assert rise.lines[0].startswith(
        "5 alerts rose to critical (5 of them had been acknowledged, last by {0} at 00:01 UTC); the worst: "
    )
