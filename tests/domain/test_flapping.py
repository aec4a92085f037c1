"""What fires and resolves again and again is said once to flap, then only kept true until it is calm for an hour."""

from dataclasses import replace

import pytest

from alertbot.domain.alerts import State
from alertbot.domain.decisions import CALM, NotifyReason, decide
from alertbot.domain.notifications import Group, NotificationKind, NotifiedState
from alertbot.domain.routes import Step
from tests.builders import alert_of, at, minutes
from tests.domain.story import ALERTS, heard, tell

AT_ONCE = replace(ALERTS, group_wait=minutes(0))
TWICE = replace(AT_ONCE, flap_limit=2)  # the third change in an hour is one too many
BESIDE = "0s B fires"  # a steady alert, so that all is one message


def flickers(changes: int, *, start: int = 0, every: int = 2) -> str:
    """A begins and ends in turn, a change every few minutes: `0m A fires; 2m A resolves`."""
    words = ("fires", "resolves")
    return "; ".join(f"{start + every * turn}m A {words[turn % 2]}" for turn in range(changes))


def test_six_changes_in_an_hour_are_notified_as_they_come():
    assert heard(f"{flickers(6)}; 3h look", AT_ONCE) == [
        "0s first A", "2m resolved A", "4m first A", "6m resolved A", "8m first A", "10m resolved A",
    ]  # fmt: skip


def test_the_seventh_is_one_too_many_and_from_then_on_nobody_hears_of_it():
    story = f"{flickers(16)}; 3h look"
    assert heard(story, AT_ONCE)[6:] == ["12m first A", "12m flapping A"]
    seen = heard(story, AT_ONCE, edits=True)[8:]
    assert seen == [f"{minute}m edit" for minute in range(14, 31, 2)]


def test_a_limit_of_the_route_holds():
    assert heard(f"{flickers(4)}; 3h look", TWICE) == ["0s first A", "2m resolved A", "4m first A", "4m flapping A"]


def test_changes_that_are_an_hour_apart_do_not_add_up():
    assert "flapping" not in " ".join(heard(f"{flickers(12, every=10)}; 6h look", AT_ONCE))
    assert "flapping" in " ".join(heard(f"{flickers(12, every=9)}; 6h look", AT_ONCE))


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 70m A resolves; 80m A fires; 81m look", ["4m first A", "4m flapping A", "1h10m resolved A", "1h20m first A"], id="after a calm hour it is unmuted"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 63m A resolves; 80m A fires; 81m look", ["4m first A", "4m flapping A"], id="not after 59 minutes"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 63m A resolves; 130m A fires; 131m look", ["4m first A", "4m flapping A", "2h10m first A"], id="an hour counts from the last change"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 70m A resolves; 72m A fires; 74m A resolves; 76m look", ["4m first A", "4m flapping A", "1h10m resolved A", "1h12m first A", "1h14m flapping A"], id="it may flap again, and that is said again"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 6m A resolves; 8m A fires; 80m look", ["4m first A", "4m flapping A", "1h8m member A"], id="what nobody heard of and still fires when it is calm is told"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 5h look", ["4m first A", "4m flapping A", "4h4m repeat A"], id="what everybody heard of is not, until it is time to repeat it"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 6m A rises critical; 70m look", ["4m first A", "4m flapping A", "1h4m rise A"], id="what rose meanwhile is a rise"),
        pytest.param("0m A fires; 2m A resolves; 4m A fires; 6m A resolves; 3h look", ["4m first A", "4m flapping A"], id="what ended meanwhile has been edited"),
    ],
)  # fmt: skip
def test_it_is_heard_again_when_nothing_changed_for_an_hour(story: str, expected: list[str]):
    assert heard(story, TWICE)[2:] == expected


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param(f"{BESIDE}; {flickers(8, start=10)}; 30m C fires; 40m look", ["30m member C"], id="a new member"),
        pytest.param(f"{BESIDE}; {flickers(8, start=10)}; 30m B rises critical; 40m look", ["30m rise B"], id="a rise"),
        pytest.param(f"{BESIDE}; {flickers(7, start=10)}; 30m B resolves; 40m look", [], id="the end of one of several, which is an edit"),
        pytest.param(f"{BESIDE}; {flickers(8, start=10)}; 30m B resolves; 3h look", ["30m resolved B"], id="the end of the last that does not flap, without waiting for the calm"),
        pytest.param(f"{BESIDE}; {flickers(8, start=10)}; 30m B silenced 1h; 31m B resolves; 3h look", [], id="but quietly in a silence"),
        pytest.param(f"{BESIDE}; {flickers(8, start=10)}; 5h look", ["4h10m repeat B"], id="a repeat, counted from the last ping"),
        pytest.param(f"{BESIDE}; {flickers(8, start=10)}; 30m B taken; 40m look", ["30m acknowledged B"], id="an acknowledgement"),
    ],
)  # fmt: skip
def test_other_series_of_the_message_go_on_being_heard(story: str, expected: list[str]):
    assert heard(story, TWICE) == ["0s first B", "10m member A", "14m flapping A", *expected]


def test_a_member_that_flaps_from_one_message_to_the_next_is_counted_over_all_of_them():
    channel = tell(flickers(7), AT_ONCE)
    assert [look.group.number for look in channel.looks] == [1, 1, 2, 2, 3, 3, 4]


def test_the_message_waits_for_what_flaps_and_closes_when_it_is_calm():
    channel = tell(f"{flickers(8)}; 30m look", AT_ONCE)
    assert channel.group is not None
    assert channel.look_at == at(14 + 60)
    channel.passes(at(180))
    assert channel.group is None
    assert channel.looks[-1].at == at(74)
    assert channel.looks[-1].decision.notifications == (), "it shows the end already"


def test_brief_alerts_that_flap_are_said_to_and_their_message_closes_too():
    channel = tell(f"{'; '.join(f'{turn}m A fires; {turn}m5s A resolves' for turn in range(4))}; 3h look")
    assert channel.heard() == ["5s brief A", "1m5s brief A", "2m5s brief A", "3m5s brief A", "3m5s flapping A"]
    assert channel.group is None


def test_what_flaps_is_not_escalated():
    route = replace(TWICE, escalate=(Step(minutes(15), ("U1",)),))
    assert heard(f"{flickers(3)}; 63m look", route)[2:] == ["4m first A", "4m flapping A"]
    assert heard(f"{flickers(3)}; 80m look", route)[2:] == ["4m first A", "4m flapping A", "1h19m escalation A"]


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param(f"0s A silenced 30m; {flickers(9)}; 40m look", ["30m first A", "30m flapping A"], id="before it was heard: when the silence ends"),
        pytest.param(f"{BESIDE}; 9m A silenced 20m; {flickers(5, start=10)}; 40m look", ["0s first B", "29m flapping A"], id="beside others: when the silence ends"),
        pytest.param(f"{BESIDE}; 9m A silenced 20m; {flickers(6, start=10)}; 2h look", ["0s first B"], id="not at all, when it is over by then"),
        pytest.param(f"{flickers(3)}; 5m A silenced 2h; 3h look", ["0s first A", "2m resolved A", "4m first A", "4m flapping A", "2h5m repeat A"], id="it was said before: the silence ends as any"),
    ],
)  # fmt: skip
def test_in_a_silence_nobody_is_notified_that_something_flaps(story: str, expected: list[str]):
    assert heard(story, TWICE) == expected


def test_a_decision_names_that_it_flaps():
    channel = tell(f"{flickers(4)}; 7m A fires; 8m A counts; 9m look", TWICE)
    assert channel.looks[-1].decision.reason is NotifyReason.FLAPPING
    assert tell(f"{flickers(4)}; 9m look", TWICE).looks[-1].decision.reason is NotifyReason.FLAPPING


def test_several_series_that_begin_to_flap_at_once_are_one_notification_with_each_of_them_once():
    old = [alert_of(State.RESOLVED, series=f"acme/llm-{n}", number=n) for n in (1, 2)]
    new = [replace(alert_of(State.FIRING, series=alert.series, number=alert.number + 2)) for alert in old]
    changes = {(alert.rule, alert.series): [at(minute) for minute in range(7)] for alert in old}
    notified = NotifiedState(first_at=at(0), severities={1: old[0].severity, 2: old[1].severity}, last_ping_at=at(0))
    decision = decide(Group("key", AT_ONCE, at(0), notified=notified), [*old, *new], {}, at(7), changes=changes)
    (notification,) = decision.notifications
    assert (notification.kind, notification.ping, notification.about) == (NotificationKind.FLAPPING, False, (3, 4))
    assert decision.next_check_at == at(6) + CALM
