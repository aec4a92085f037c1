"""Two routes that lead to one channel: one message, and the people of the worse route hear of what is worse."""

from dataclasses import replace

from alertbot.domain.alerts import ActionType
from alertbot.domain.routes import Step
from alertbot.domain.rules import Selector
from alertbot.store.database import Database
from tests.builders import minutes, rule, threshold
from tests.flows.scene import AT_ONCE, Scene

LEVELS = rule(threshold(window="30m", above={"warning": 5, "critical": 20}))
MILD = replace(AT_ONCE, mention=("U1",), escalate=(Step(minutes(3), ("U2",)),))
GRAVE = replace(
    AT_ONCE, match=Selector((("severity", ("critical",)),)), mention=("@here",), escalate=(Step(minutes(5), ("U9",)),)
)


def mentions(scene: Scene) -> list[tuple[str, ...]]:
    return [message.mention for message in scene.slack.messages if message.mention]


def test_a_rise_mentions_whom_the_route_of_the_rise_names_and_escalates_as_that_does(database: Database) -> None:
    scene = Scene(database, "0 6 6 6 6 25", LEVELS, routes=[GRAVE, MILD]).until(5).rest_until(11)
    assert scene.heard() == ["1 first", "4 escalation", "5 rise", "10 escalation"]
    assert mentions(scene) == [("U1",), ("U2",), ("@here",), ("U9",)]


def test_a_new_member_that_is_worse_does_so_too_and_a_milder_one_does_not(database: Database) -> None:
    drawn = {"acme/llm-1": "0 6", "acme/llm-2": "0 0 25", "acme/llm-3": "0 0 0 0 0 0 0 0 6"}
    scene = Scene(database, drawn, LEVELS, routes=[GRAVE, replace(MILD, escalate=())]).until(2)
    scene.person(ActionType.ACKNOWLEDGE, "G1")
    scene.until(8)
    assert scene.heard() == ["1 first", "2 rise", "2 acknowledged", "8 member"]
    assert mentions(scene) == [("U1",), ("@here",), ("@here",)]


def test_the_thread_says_of_each_alert_what_is_new_of_it(database: Database) -> None:
    drawn = {"acme/llm-1": "0 6", "acme/llm-2": "0 0 6", "acme/llm-3": "0 6 6 25"}
    scene = Scene(database, drawn, LEVELS).until(3)
    assert scene.heard() == ["1 first", "3 rise"]
    (line,) = (message.text for message in scene.slack.messages if message.thread)
    assert "New: 6 violations in 30 min on llm-2" in line
    assert "Rose to critical: 25 violations in 30 min on llm-3" in line
