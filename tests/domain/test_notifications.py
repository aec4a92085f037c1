"""What people hear of one message: section 4 of the promises, told as stories on a time line."""

from dataclasses import replace
from datetime import timedelta

import pytest

from alertbot.domain.alerts import State
from alertbot.domain.decisions import NotifyReason, content_hash, decide
from alertbot.domain.notifications import Group, NotificationKind
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import Severity
from tests.builders import START, alert_of, at, minutes
from tests.domain.story import ALERTS, heard, tell

AT_ONCE = replace(ALERTS, group_wait=minutes(0))
FORGETFUL = replace(ALERTS, forget_brief=True)
LADDER = replace(
    AT_ONCE,
    escalate=(Step(minutes(15), ("@oncall:primary",)), Step(minutes(30), ("S0LEADS",), "#leads")),
)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 19m A resolves", ["10s first A", "19m resolved A"], id="a burst is told when it begins and when it ends"),
        pytest.param("0s A fires; 4s B fires; 9s C fires; 1m look", ["10s first ABC"], id="alerts that fire within group_wait are told together"),
        pytest.param("0s A fires; 9s B fires; 10s C fires; 1m look", ["10s first ABC"], id="one that fires as the wait ends is still among them"),
        pytest.param("0s A fires; 5s A rises critical; 1m look", ["10s first A"], id="what rises while it gathers is told once, as bad as it is"),
        pytest.param("0s A fires; 9s A resolves", ["9s brief A"], id="what is over before the first message is still told"),
        pytest.param("0s AB fires; 5s A resolves; 9s B resolves", ["9s brief AB"], id="and so are several, when the last one is over"),
        pytest.param("0s AB fires; 5s A resolves; 1m B resolves", ["10s first B", "1m resolved AB"], id="of several one is over before the first message: the end tells of both"),
        pytest.param("0s A fires; 10s A resolves", ["10s brief A"], id="what ends in the moment of its first message is brief"),
        pytest.param("0s AB fires; 5m A resolves; 9m B resolves", ["10s first AB", "9m resolved AB"], id="the end of one of several is an edit, the last one's is the end"),
        pytest.param("0s A fires; 5m A resolves; 6m A fires; 9m A resolves", ["10s first A", "5m resolved A", "6m10s first A", "9m resolved A"], id="the next firing is a new alert with a new message"),
        pytest.param("0s A fires; 5m A resolves; 5m B fires; 9m B resolves", ["10s first A", "5m10s member B", "9m resolved AB"], id="one that begins as the last one ends goes on in its message"),
        pytest.param("0s A fires; 1m A counts; 2m A counts; 3m look", ["10s first A"], id="a count that grows is an edit"),
        pytest.param("0s A fires; 1m A taken; 2m A given; 3m A assigned; 4m look", ["10s first A", "1m acknowledged A"], id="of what people do an acknowledgement is said here, the rest where they do it"),
        pytest.param("0s AB fires; 1m A taken; 2m B taken; 3m look", ["10s first AB", "1m acknowledged A", "2m acknowledged B"], id="each is acknowledged for itself"),
        pytest.param("0s A fires; 1m A taken; 2m A given; 3m A taken; 4m look", ["10s first A", "1m acknowledged A", "3m acknowledged A"], id="what was given back and is taken again is said again"),
        pytest.param("0s A fires; 4s A taken; 5m look", ["10s first A"], id="one that was taken before its message is told once"),
    ],
)  # fmt: skip
def test_a_message_from_its_first_word_to_its_last(story: str, expected: list[str]):
    assert heard(story) == expected


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 6m B fires; 7m look", ["0s first A", "6m member B"], id="a new member is told at once when the last ping is 5 minutes ago"),
        pytest.param("0s A fires; 5m B fires; 7m look", ["0s first A", "5m member B"], id="at exactly 5 minutes, too"),
        pytest.param("0s A fires; 1m B fires; 4m C fires; 9m look", ["0s first A", "5m member BC"], id="those that come in between are told together then"),
        pytest.param("0s A fires; 1m B fires; 6m C fires; 11m look", ["0s first A", "5m member B", "10m member C"], id="the interval counts from the last ping"),
        pytest.param("0s A fires; 1m B fires; 3m B resolves; 9m A resolves", ["0s first A", "9m resolved AB"], id="one that is over before it was told is told with the end"),
        pytest.param("0s A fires; 1m B fires critical; 2m look", ["0s first A", "1m rise B"], id="a member that is worse than what was told is a rise and does not wait"),
        pytest.param("0s A fires critical; 1m B fires; 1m C fires critical; 9m look", ["0s first A", "5m member BC"], id="one that is no worse waits"),
        pytest.param("0s A fires critical; 1m A falls warning; 2m B fires critical; 3m look", ["0s first A", "2m rise B"], id="what fell is no longer what was told"),
        pytest.param("0s A fires; 1m B fires; 2m C fires critical; 9m look", ["0s first A", "2m rise BC"], id="a ping tells everything that waits"),
        pytest.param("0s A fires; 1m A snoozed 1h; 2m B fires; 9m look", ["0s first A", "5m member B"], id="beside a snoozed one a new member is no rise"),
        pytest.param("0s AB fires; 8m A resolves; 9m B resolves; 9m C fires; 20m look", ["0s first AB", "9m member C"], id="nor is it where all others are over"),
    ],
)  # fmt: skip
def test_new_members_are_notified_together_at_most_once_per_group_interval(story: str, expected: list[str]):
    assert heard(story, AT_ONCE) == expected


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 1m A rises critical; 2m look", ["0s first A", "1m rise A"], id="a rise is told at once"),
        pytest.param("0s A fires critical; 1m A falls warning; 9m look", ["0s first A"], id="a fall is an edit"),
        pytest.param("0s A fires critical; 1m A falls warning; 2m A rises critical; 9m look", ["0s first A", "2m rise A"], id="after a fall the next rise is one"),
        pytest.param("0s A fires info; 1m A rises warning; 2m A rises critical; 9m look", ["0s first A", "1m rise A", "2m rise A"], id="each level is told"),
        pytest.param("0s A fires; 1m A taken; 2m A rises critical; 9m look", ["0s first A", "1m acknowledged A", "2m rise A"], id="a rise breaks an acknowledgement"),
        pytest.param("0s A fires; 1m A taken; 2m A rises critical; 3m A taken; 9m look", ["0s first A", "1m acknowledged A", "2m rise A", "3m acknowledged A"], id="and who takes it again is told again"),
        pytest.param("0s ABC fires; 1m A rises critical; 2m B rises critical; 3m C rises critical; 9m look", ["0s first ABC", "1m rise A", "6m rise BC"], id="in a storm rises that are no worse than what was told are told together"),
        pytest.param("0s AB fires; 1m A rises critical; 2m A resolves; 3m B rises critical; 9m look", ["0s first AB", "1m rise A", "3m rise B"], id="but not if what was worse is over"),
        pytest.param("0s AB fires; 1m A rises critical; 2m A snoozed 1h; 3m B rises critical; 9m look", ["0s first AB", "1m rise A", "3m rise B"], id="or may not be spoken of"),
        pytest.param("0s ABC fires; 1m A rises critical; 2m B rises critical; 3m B falls warning; 9m look", ["0s first ABC", "1m rise A"], id="a rise that is over before it was told is not told"),
        pytest.param("0s A fires; 1m B fires; 2m A rises critical; 9m look", ["0s first A", "2m rise AB"], id="a rise takes the waiting members along"),
    ],
)  # fmt: skip
def test_a_rise_pings_and_a_counter_reset_does_not(story: str, expected: list[str]):
    assert heard(story, AT_ONCE) == expected


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 13h look", ["0s first A", "4h repeat A", "8h repeat A", "12h repeat A"], id="what nobody takes is repeated every 4 hours"),
        pytest.param("0s A fires; 4h A resolves", ["0s first A", "4h resolved A"], id="but not in the moment of its end"),
        pytest.param("0s A fires; 3h A rises critical; 8h look", ["0s first A", "3h rise A", "7h repeat A"], id="counted from the last ping"),
        pytest.param("0s A fires; 3h A taken; 13h look", ["0s first A", "3h acknowledged A"], id="what somebody has taken is not"),
        pytest.param("0s A fires; 1h A taken; 2h A given; 5h look", ["0s first A", "1h acknowledged A", "4h repeat A"], id="until it is given back"),
        pytest.param("0s A fires; 1h A taken; 6h A given; 9h look", ["0s first A", "1h acknowledged A", "6h repeat A"], id="which is told where a repeat is overdue"),
        pytest.param("0s AB fires; 1h A taken; 5h look", ["0s first AB", "1h acknowledged A", "4h repeat B"], id="of several only those that nobody has taken"),
        pytest.param("0s A fires warning budget; 13h look", ["0s first A"], id="a budget is never repeated"),
        pytest.param("0s A fires; 0s B fires warning budget; 5h look", ["0s first AB", "4h repeat A"], id="not even beside others"),
        pytest.param("0s A fires warning budget; 1h A rises critical; 2h A falls warning; 3h A rises critical; 9h look", ["0s first A", "1h rise A"], id="each level of a budget speaks once"),
        pytest.param("0s A fires warning budget; 1h A rises critical; 2h A falls warning; 3h B fires; 4h A rises critical; 6h look", ["0s first A", "1h rise A", "3h member B"], id="also where others speak in between"),
    ],
)  # fmt: skip
def test_what_nobody_takes_is_repeated_but_never_a_budget(story: str, expected: list[str]):
    assert heard(story, AT_ONCE) == expected


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 20m look", ["10s first A"], id="without steps nothing is escalated"),
        pytest.param("0s A fires; 40m look", ["10s first A", "15m10s escalation A", "30m10s escalation A"], id="each step is told when its time has come since people knew"),
        pytest.param("0s A fires; 15m A taken; 2h look", ["10s first A", "15m acknowledged A"], id="an acknowledgement stops it"),
        pytest.param("0s A fires; 20m A taken; 2h look", ["10s first A", "15m10s escalation A", "20m acknowledged A"], id="also between two steps"),
        pytest.param("0s A fires; 10m A resolves; 2h look", ["10s first A", "10m resolved A"], id="the end stops it"),
        pytest.param("0s A fires; 10m A snoozed 1h; 1h15m look", ["10s first A", "1h10m repeat A"], id="a snooze stops it, and when that is over the alert speaks once"),
        pytest.param("0s A fires; 10m A silenced 1h; 1h15m look", ["10s first A", "1h10m repeat A"], id="so does a silence"),
        pytest.param("0s A fires; 10m A snoozed 1h; 1h30m look", ["10s first A", "1h10m repeat A", "1h25m escalation A"], id="then people have their 15 minutes again"),
        pytest.param("0s A fires; 10m A taken; 40m A given; 1h look", ["10s first A", "10m acknowledged A", "55m escalation A"], id="as when it is given back"),
        pytest.param("0s A fires; 10m A taken; 40m A rises critical; 1h look", ["10s first A", "10m acknowledged A", "40m rise A", "55m escalation A"], id="or a rise breaks the acknowledgement"),
        pytest.param("0s A silenced 1h; 0s A fires; 1h10m look", ["1h first A"], id="who hears of it late is not late"),
        pytest.param("0s AB fires; 10m A taken; 16m look", ["10s first AB", "10m acknowledged A", "15m10s escalation B"], id="of several only those that nobody has taken are escalated"),
        pytest.param("0s A fires; 16m B fires; 17m look", ["10s first A", "15m10s escalation A"], id="a step is a ping, too: group_interval counts from it"),
    ],
)  # fmt: skip
def test_what_nobody_takes_is_escalated(story: str, expected: list[str], request: pytest.FixtureRequest):
    route = ALERTS if "without steps" in request.node.name else replace(LADDER, group_wait=timedelta(seconds=10))
    assert heard(story, route) == expected


def test_a_step_calls_its_people_in_its_channel_and_all_else_those_of_the_route():
    route = replace(LADDER, mention=("@here",))
    notified = [
        (n.kind, n.mention, n.channel)
        for _, n in tell("0s A fires; 40m A rises critical; 50m A resolves", route).notifications()
    ]
    assert notified == [
        (NotificationKind.FIRST, ("@here",), None),
        (NotificationKind.ESCALATION, ("@oncall:primary",), None),
        (NotificationKind.ESCALATION, ("S0LEADS",), "#leads"),
        (NotificationKind.RISE, ("@here",), None),
        (NotificationKind.RESOLVED, (), None),
    ]


def test_steps_that_came_due_while_nobody_looked_are_all_notified():
    channel = tell("0s A fires", LADDER)
    channel.now = at(45)
    channel.decides()
    assert channel.heard() == ["0s first A", "45m escalation A", "45m escalation A"]


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A silenced 1h; 1m A fires; 9m A resolves; 2h look", [], id="what begins and ends in a silence is never told"),
        pytest.param("0s A silenced 1h; 1m A fires; 3h look", ["1h first A"], id="what still fires when the silence ends speaks once"),
        pytest.param("0s A fires; 5s A silenced 1h; 2h look", ["1h5s first A"], id="also where the silence came before the first message"),
        pytest.param("0s A fires; 5s A silenced 1h; 9s A resolves; 2h look", [], id="or it ends unheard"),
        pytest.param("0s A fires; 1m A silenced 1h; 2h look", ["10s first A", "1h1m repeat A"], id="one that was heard speaks once, too"),
        pytest.param("0s A fires; 1m A snoozed 1h; 2h look", ["10s first A", "1h1m repeat A"], id="so it does after a snooze"),
        pytest.param("0s A fires; 1m A snoozed 1h; 30m A snoozed 1h; 2h look", ["10s first A", "1h30m repeat A"], id="which may be made longer"),
        pytest.param("0s A fires; 1m A snoozed 1h; 1m A silenced 30m; 2h look", ["10s first A", "1h1m repeat A"], id="the later end counts"),
        pytest.param("0s A fires; 1m A silenced 1h; 20m A unsilenced; 2h look", ["10s first A", "20m repeat A"], id="a silence that is ended early ends then"),
        pytest.param("0s A fires; 1m A silenced 1h; 20m A resolves; 2h look", ["10s first A"], id="one that was heard and ends in the silence is edited quietly"),
        pytest.param("0s A fires; 1m A silenced 1h; 20m A rises critical; 2h look", ["10s first A", "1h1m rise A"], id="a rise in a silence is told when it ends, once"),
        pytest.param("0s A fires; 1m A silenced 1h; 20m A rises critical; 30m A falls warning; 2h look", ["10s first A", "1h1m repeat A"], id="if it is still so"),
        pytest.param("0s A fires; 1m A snoozed 1h; 9m A taken; 2h look", ["10s first A", "9m acknowledged A"], id="what somebody has taken meanwhile need not speak"),
        pytest.param("0s A fires warning budget; 1m A snoozed 1h; 2h look", ["10s first A"], id="nor a budget, which has said it"),
        pytest.param("0s AB fires; 1m A silenced 1h; 9m B resolves; 20m A resolves", ["10s first AB"], id="the last one ends in its silence: all are edited quietly"),
        pytest.param("0s AB fires; 1m A silenced 1h; 9m A resolves; 20m B resolves", ["10s first AB", "20m resolved AB"], id="the last one may be spoken of: the end is told"),
        pytest.param("0s A silenced 1h; 0s AB fires; 9m B resolves; 20m A resolves", ["10s first B", "20m resolved B"], id="one that nobody heard of is not in what is said of the end"),
        pytest.param("0s A silenced 1h; 0s AB fires; 5s B resolves; 2h look", ["5s brief B", "1h member A"], id="a brief one beside a silenced one is told without waiting for that"),
        pytest.param("0s A silenced 1h; 0s AB fires; 5s B resolves; 30m A resolves; 2h look", ["5s brief B"], id="and is not told a second time"),
        pytest.param("0s A fires; 1m A snoozed 2m; 2m B fires; 9m look", ["10s first A", "3m repeat AB"], id="the ping at its end tells all that waits"),
        pytest.param("0s A fires; 1m A snoozed 9m; 9m59s look; 10m B fires; 11m look", ["10s first A", "10m member AB"], id="an end and a new member in one moment are one ping"),
        pytest.param("0s A fires; 1m A snoozed 9m; 2m B fires critical; 11m look", ["10s first A", "2m rise B", "10m repeat A"], id="other alerts of the message go on being heard"),
    ],
)  # fmt: skip
def test_silences_and_snoozes_stop_speech(story: str, expected: list[str]):
    assert heard(story) == expected


def test_a_message_shows_that_a_snooze_is_over_also_where_nobody_is_to_hear_of_it():
    story = "0s A fires; 1m A taken; 2m A snoozed 1h; 3m A silenced 9h; 2h look"
    assert heard(story, AT_ONCE, edits=True) == ["0s first A", "1m acknowledged A", "2m edit", "1h2m edit"]


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 5s A resolves", [], id="a brief one is not told"),
        pytest.param("0s A fires; 5s A resolves; 1m A fires; 9m A resolves", ["1m10s first A", "9m resolved A"], id="the next one is, if it lasts"),
        pytest.param("0s AB fires; 5s A resolves; 9m B resolves", ["10s first B", "9m resolved AB"], id="one that others outlast is in their message"),
        pytest.param("0s A silenced 1h; 0s AB fires; 5s B resolves; 2h look", ["1h first A"], id="one beside a silenced one is not told either"),
    ],
)  # fmt: skip
def test_a_route_may_forget_what_is_brief(story: str, expected: list[str]):
    assert heard(story, FORGETFUL) == expected


def test_a_route_may_do_without_a_word_about_the_end():
    route = replace(AT_ONCE, send_resolved=False)
    assert heard("0s A fires; 9m A resolves", route, edits=True) == ["0s first A", "9m edit"]
    assert heard("0s A fires; 9m A resolves; 10m A fires", route) == ["0s first A", "10m first A"]


@pytest.mark.parametrize(
    ("story", "seen"),
    [
        pytest.param("0s A fires; 1m A counts; 2m look", ["1m edit"], id="a count"),
        pytest.param("0s A fires critical; 1m A falls warning; 2m look", ["1m edit"], id="a fall"),
        pytest.param("0s AB fires; 1m A resolves; 2m look", ["1m edit"], id="the end of one of several"),
        pytest.param("0s A fires; 1m A assigned; 2m look", ["1m edit"], id="an assignment"),
        pytest.param("0s A fires; 1m A taken; 2m A given; 3m look", ["1m acknowledged A", "2m edit"], id="an acknowledgement that is given back"),
        pytest.param("0s A fires; 1m B fires; 2m look", ["1m edit"], id="a member that waits"),
        pytest.param("0s A fires; 1m A snoozed 1h; 2m look", ["1m edit"], id="a snooze"),
        pytest.param("0s A fires; 1m A silenced 1h; 2m A counts; 3m look", ["2m edit"], id="a count in a silence"),
        pytest.param("0s A fires; 1m A silenced 1h; 2m A resolves", ["2m edit"], id="an end in a silence"),
        pytest.param("0s A fires; 1m look; 2m look; 3m look", [], id="nothing where nothing is new"),
    ],
)  # fmt: skip
def test_the_message_is_kept_true_without_a_ping(story: str, seen: list[str]):
    assert heard(story, AT_ONCE, edits=True)[1:] == seen


def test_everything_that_a_message_shows_is_part_of_its_face():
    alert = alert_of(State.FIRING, number=1)
    shown = [
        replace(alert, number=2),
        replace(alert, state=State.RESOLVED),
        replace(alert, severity=Severity.CRITICAL),
        replace(alert, value=alert.value and alert.value + 1),
        replace(alert, threshold=alert.threshold and alert.threshold + 1),
        replace(alert, over="in 2 h"),
        replace(alert, note="used at 20:00"),
        replace(alert, acknowledged_by="ana"),
        replace(alert, assigned_to="ben"),
        replace(alert, snoozed_until=at(9)),
    ]
    faces = [content_hash([one], START) for one in (alert, *shown)]
    assert len(set(faces)) == len(faces)
    assert content_hash([alert, shown[0]], START) == content_hash([shown[0], alert], START)
    assert content_hash([shown[-1]], at(9)) == faces[0]
    assert len({len(face) for face in (*faces, content_hash([alert] * 1000, START))}) == 1, "of any storm as short"
    assert content_hash([replace(alert, note="\ud800")], START)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param("0s A fires; 10s look", [NotifyReason.GROUP_WAIT, NotifyReason.NOTIFIES], id="it gathers, then speaks"),
        pytest.param("0s A fires; 1m A counts; 2m look", [NotifyReason.GROUP_WAIT, NotifyReason.NOTIFIES, NotifyReason.EDITED, NotifyReason.NOTHING_NEW], id="an edit, then nothing new"),
        pytest.param("0s A fires; 1m B fires; 2m look", [NotifyReason.GROUP_WAIT, NotifyReason.NOTIFIES, NotifyReason.MEMBER_WAITS], id="a member waits"),
        pytest.param("0s A silenced 1h; 0s A fires; 1m A counts; 2m look", [NotifyReason.MUTED], id="silenced"),
        pytest.param("0s A fires; 1m A silenced 1h; 2m A counts; 3m look", [NotifyReason.GROUP_WAIT, NotifyReason.NOTIFIES, NotifyReason.MUTED], id="silenced after it was heard"),
        pytest.param("0s A silenced 1h; 0s A fires; 1m A resolves", [NotifyReason.MUTED, NotifyReason.MUTED_THROUGHOUT], id="silenced from beginning to end"),
        pytest.param("0s A fires; 1m A silenced 1h; 2m A resolves", [NotifyReason.GROUP_WAIT, NotifyReason.NOTIFIES, NotifyReason.MUTED, NotifyReason.MUTED_END], id="ended in a silence"),
    ],
)  # fmt: skip
def test_every_decision_names_its_reason(story: str, expected: list[NotifyReason]):
    assert tell(story).reasons() == expected


def test_a_brief_alert_that_is_forgotten_is_named_so():
    assert tell("0s A fires; 5s A resolves", FORGETFUL).reasons() == [NotifyReason.GROUP_WAIT, NotifyReason.FORGOTTEN]


def test_a_decision_says_when_to_look_again():
    channel = tell("0s A fires", LADDER)
    assert channel.look_at == at(15)
    assert tell("0s A fires; 30m look", LADDER).look_at == at(30 + 240)
    assert tell("0s A fires", ALERTS).look_at == START + timedelta(seconds=10)
    assert tell("0s A fires; 1m B fires", AT_ONCE).look_at == at(5)
    assert tell("0s A fires; 1m A snoozed 9m", AT_ONCE).look_at == at(10)
    assert tell("0s A fires; 1m A taken", AT_ONCE).look_at is None
    assert tell("0s A fires; 1m A resolves", AT_ONCE).look_at is None


def test_whoever_may_be_notified_severity_of_again_by_now_is_not_muted():
    group, alert = Group("key", AT_ONCE, START), alert_of(State.FIRING, number=1)
    assert decide(group, [alert], {1: at(1)}, at(1)).reason is NotifyReason.NOTIFIES
    assert decide(group, [alert], {1: at(1.01)}, at(1)).reason is NotifyReason.MUTED


def test_what_was_notified_before_a_restart_is_not_notified_again():
    channel = tell("0s AB fires; 1m A taken; 2m C fires; 3m B snoozed 1h", LADDER)
    assert channel.group is not None
    for moment in (3, 4, 4.9):
        again = decide(channel.group, channel.mine(), channel.muted(), at(moment), changes=channel.changes)
        assert (again.notifications, again.notified) == ((), channel.group.notified)


def test_a_storm_is_one_message_and_few_pings():
    members = [alert_of(State.FIRING, series=f"acme/llm-{n}", number=n) for n in range(1, 1001)]
    group = Group("key", ALERTS, START)
    first = decide(group, members[:400], {}, START + timedelta(seconds=10))
    assert [(notification.kind, len(notification.about)) for notification in first.notifications] == [
        (NotificationKind.FIRST, 400)
    ]
    later = [
        decide(replace(group, notified=first.notified), members[:many], {}, at(1 + many / 1000)) for many in (500, 900)
    ]
    assert [notification.kind for decision in later for notification in decision.notifications] == [
        NotificationKind.EDIT,
        NotificationKind.EDIT,
    ]
    second = decide(replace(group, notified=first.notified), members, {}, at(6))
    assert [(notification.kind, len(notification.about)) for notification in second.notifications] == [
        (NotificationKind.MEMBER, 600)
    ]


def test_a_route_without_a_wait_between_pings_tells_each_member_at_once():
    route = Route("#a", group_wait=minutes(0), group_interval=minutes(0))
    assert heard("0s A fires; 0s B fires; 1s C fires; 1m look", route) == ["0s first AB", "1s member C"]
