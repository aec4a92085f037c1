"""`kill -9` at every moment of an alert's life, and a start again: people hear each thing once, and nothing twice."""

import time
from collections.abc import Callable

import pytest

from alertbot.demo.slack.faults import FaultKind
from tests.end_to_end.stage import Stage

WINDOW = 6.0
POST, EDIT = "chat.postMessage", "chat.update"


def again(stage: Stage) -> None:
    stage.bot.kill()
    stage.start()


def fires(stage: Stage) -> None:
    stage.bump(10)
    stage.wait_for(stage.posted)


def is_taken(stage: Stage) -> None:
    stage.click("acknowledge", "U2")
    stage.wait_for_word("Acknowledged")


def before_the_bump(stage: Stage) -> None:
    stage.bot.kill()
    stage.bump(10)  # nobody is there to see it: what grew meanwhile counts when it is first seen
    stage.start()
    stage.wait_for(stage.posted)


def after_the_reading(stage: Stage) -> None:
    stage.bump(10)
    # It fires, and waits a second for others that fire with it: nothing is said yet.
    stage.wait_for(lambda: stage.bot.events("alert_changed"))
    stage.bot.kill()
    assert stage.posted() is None
    stage.start()
    stage.wait_for(stage.posted)


def while_slack_takes_its_time(stage: Stage) -> None:
    held = stage.slack.fault(FaultKind.HOLD, POST)
    stage.bump(10)
    stage.wait_for(lambda: held.hits)
    stage.bot.kill()
    stage.slack.clear_faults(held)
    stage.wait_for(stage.posted)  # Slack took it after all
    stage.start()


def when_slacks_answer_is_lost(stage: Stage) -> None:
    stage.slack.fault(FaultKind.LOST_ANSWER, POST)
    stage.bump(10)
    stage.wait_for(stage.posted)
    again(stage)


def after_the_post(stage: Stage) -> None:
    fires(stage)
    again(stage)


def at_the_moment_of_the_acknowledgement(stage: Stage) -> None:
    fires(stage)
    held = stage.slack.fault(FaultKind.HOLD, EDIT)
    stage.click("acknowledge", "U2")
    stage.wait_for(lambda: held.hits)
    stage.bot.kill()
    stage.slack.clear_faults(held)
    stage.start()


def after_the_acknowledgement(stage: Stage) -> None:
    fires(stage)
    is_taken(stage)
    again(stage)


def before_it_ends(stage: Stage) -> None:
    fires(stage)
    is_taken(stage)
    fired = time.monotonic()
    stage.bot.kill()
    stage.wait_for(lambda: time.monotonic() - fired > WINDOW)
    stage.start()


MOMENTS: tuple[Callable[[Stage], None], ...] = (
    before_the_bump,
    after_the_reading,
    while_slack_takes_its_time,
    when_slacks_answer_is_lost,
    after_the_post,
    at_the_moment_of_the_acknowledgement,
    after_the_acknowledgement,
    before_it_ends,
)


@pytest.mark.parametrize(
    "is_killed",
    [pytest.param(moment, id=moment.__name__.replace("_", " ")) for moment in MOMENTS],
)
def test_people_hear_once_though_the_bot_is_killed(new_stage, is_killed):
    stage = new_stage(window=f"{WINDOW:g}s")
    stage.config["routes"] = [{"group_wait": "1s"}]
    stage.start()
    is_killed(stage)
    stage.wait_for_word("Resolved", WINDOW + 15)
    stage.wait_for_silence()
    stage.assert_said_once()
    # Where a slow machine was down longer than it fired, the one message told both at once.
    assert len(stage.replies(":white_check_mark: Resolved")) == (1 if stage.wait_for_message().edits else 0)
    was_taken = any("acknowledgement" in moment or moment == "before_it_ends" for moment in [is_killed.__name__])
    assert stage.replies(":eyes:") == ([":eyes: <@U2> acknowledged: config-7"] if was_taken else [])
