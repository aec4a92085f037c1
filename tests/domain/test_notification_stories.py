"""Whatever happens in whatever order, what people hear keeps the promises of section 4."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.domain.alerts import Alert, State
from alertbot.domain.decisions import CALM
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import Severity
from tests.builders import MINUTE, minutes
from tests.domain.story import PINGS, Channel, Look

Happening = tuple[int, str, str, int]  # minutes later, to which series, what, and for how long or how bad

SEVERITIES = list(Severity)
WHAT = [*["begins or ends"] * 4, "turns", "turns", "taken or given", "snoozed", "silenced", "counts", "nothing"]
happenings = st.tuples(
    st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 30, 61]),
    st.sampled_from("ABC"),
    st.sampled_from(WHAT),
    st.integers(0, 20),
)
stories = st.lists(happenings, max_size=30)
routes = st.builds(
    Route,
    channel=st.just("#ai-alerts"),
    mention=st.just(("@here",)),
    group_wait=st.integers(0, 4).map(minutes),
    group_interval=st.integers(0, 12).map(minutes),
    repeat=st.integers(1, 40).map(minutes),
    flap_limit=st.integers(1, 5),
    forget_brief=st.booleans(),
    send_resolved=st.booleans(),
    escalate=st.sets(st.integers(1, 20), max_size=2).map(
        lambda times: tuple(Step(minutes(after), (f"U{after}",)) for after in sorted(times))
    ),
)
whatever_happens = given(story=stories, route=routes)
often = settings(max_examples=40, deadline=None)


def play(story: Iterable[Happening], route: Route, *, step: timedelta | None = None) -> Channel:
    """Play a story, and let two hours pass after it; with `step` the bot also looks that often."""
    channel = Channel(route)
    for later, series, what, number in story:
        channel.passes(channel.now + minutes(later), step=step)
        _happen(channel, series, what, number)
        channel.decides()
    channel.passes(channel.now + minutes(120), step=step)
    return channel


def _happen(channel: Channel, series: str, what: str, number: int) -> None:
    is_firing = any(alert.series == series and alert.state is State.FIRING for alert in channel.alerts)
    severity = SEVERITIES[number % 3]
    if what == "begins or ends" and not is_firing:
        channel.fires(series, severity, "budget" if series == "C" else "threshold")
    elif what == "silenced":
        channel.silences(series, minutes(number))
    elif is_firing:
        match what:
            case "begins or ends":
                channel.resolves(series)
            case "turns":
                channel.turns(series, severity)
            case "taken or given" if channel.newest(series).acknowledged_at is None:
                channel.takes(series)
            case "taken or given":
                channel.gives_back(series)
            case "snoozed":
                channel.snoozes(series, minutes(number))
            case "counts":
                channel.counts(series)


def pings(channel: Channel) -> Iterator[tuple[Look, Notification]]:
    for look in channel.looks:
        yield from ((look, notification) for notification in look.decision.notifications if notification.ping)


def firing(look: Look) -> list[Alert]:
    return [alert for alert in look.alerts if alert.state is State.FIRING]


def is_muted(look: Look, number: int) -> bool:
    return look.muted.get(number, look.at) > look.at


def flaps(look: Look, alert: Alert) -> bool:
    return f"{alert.rule} {alert.series}" in look.decision.notified.flapping


@often
@whatever_happens
def test_looking_only_when_it_is_time_to_says_the_same_as_looking_all_the_time(story: list[Happening], route: Route):
    assert list(play(story, route).notifications()) == list(play(story, route, step=MINUTE).notifications())


@often
@whatever_happens
def test_people_are_pinged_for_five_causes_and_nothing_else_mentions_them(story: list[Happening], route: Route):
    for _, notification in play(story, route).notifications():
        assert notification.ping is (notification.kind in PINGS)
        assert notification.ping or not notification.mention


@often
@whatever_happens
def test_every_ping_has_its_cause(story: list[Happening], route: Route):
    for look, notification in pings(play(story, route)):
        notified, alerts = (
            look.group.notified,
            {alert.number: alert for alert in look.alerts if alert.number in notification.about},
        )
        known = {number: notified.severities[number] for number in alerts if number in notified.severities}
        new = alerts.keys() - known.keys()
        risen = {number for number in known if alerts[number].severity.rank > known[number].rank}
        since = None if notified.last_ping_at is None else look.at - notified.last_ping_at
        untaken = {number for number, alert in alerts.items() if alert.acknowledged_at is None}
        match notification.kind:
            case NotificationKind.FIRST:
                assert notified.first_at is None
                assert look.at >= look.group.opened_at + route.group_wait
            case NotificationKind.MEMBER:
                assert new
                assert since is None or since >= route.group_interval
            case NotificationKind.RISE:
                worst = max(alerts[number].severity.rank for number in notification.about)
                assert risen or any(
                    min(notified.severities[alert.number].rank, alert.severity.rank) < worst
                    for alert in look.alerts
                    if alert.number in notified.severities
                )
            case NotificationKind.REPEAT:
                old = alerts.keys() - new
                assert old <= untaken
                assert not any(alerts[number].kind == "budget" for number in old)
                assert (since is not None and since >= route.repeat) or old & notified.muted
            case NotificationKind.ESCALATION:
                (step,) = (step for step in route.escalate if step.mention == notification.mention)
                assert notified.untaken_since is not None
                assert look.at - notified.untaken_since >= step.after
                assert untaken == set(notification.about)


@often
@whatever_happens
def test_of_one_moment_there_is_one_ping_and_what_it_escalates(story: list[Happening], route: Route):
    for look in play(story, route).looks:
        kinds = [notification.kind for notification in look.decision.notifications if notification.ping]
        assert kinds[1:] == [NotificationKind.ESCALATION] * (len(kinds) - 1)
        assert kinds.count(NotificationKind.ESCALATION) <= len(route.escalate)


@often
@whatever_happens
def test_nobody_is_pinged_about_what_is_silenced_or_flaps_or_is_over(story: list[Happening], route: Route):
    for look, notification in pings(play(story, route)):
        for alert in look.alerts:
            if alert.number in notification.about:
                assert alert.state is State.FIRING
                assert not is_muted(look, alert.number)
                assert notification.kind is NotificationKind.FIRST or not flaps(look, alert)


@often
@whatever_happens
def test_what_fires_and_may_be_notified_severity_of_is_notified_in_time_and_as_bad_as_it_is(
    story: list[Happening], route: Route
):
    unmuted_since: dict[tuple[int, Severity], datetime] = {}
    for look in play(story, route).looks:
        unmuted = [alert for alert in firing(look) if not is_muted(look, alert.number) and not flaps(look, alert)]
        now = {(alert.number, alert.severity) for alert in unmuted}
        unmuted_since = {key: unmuted_since.get(key, look.at) for key in now}
        notified = look.decision.notified
        for (number, severity), since in unmuted_since.items():
            heard = notified.severities.get(number)
            if heard is not None and heard.rank >= severity.rank:
                continue
            assert PINGS & {notification.kind for notification in look.decision.notifications} <= {
                NotificationKind.ESCALATION
            }, "told without it"
            assert look.decision.next_check_at is not None
            if notified.first_at is None:
                assert look.decision.next_check_at <= max(since, look.group.opened_at) + route.group_wait
            else:  # group_interval counts from the last ping
                assert look.decision.next_check_at <= max(since, notified.last_ping_at or since) + route.group_interval


@often
@whatever_happens
def test_nobody_is_notified_worse_than_it_was(story: list[Happening], route: Route):
    worst: dict[int, int] = {}
    for look in play(story, route).looks:
        for alert in look.alerts:
            worst[alert.number] = max(worst.get(alert.number, 0), alert.severity.rank)
        notified = look.decision.notified.severities
        assert all(severity.rank <= worst[number] for number, severity in notified.items())
        for alert in firing(look):  # so that the next rise is one; but a budget's level speaks once
            assert alert.kind == "budget" or notified.get(alert.number, alert.severity).rank <= alert.severity.rank


@often
@whatever_happens
def test_an_alert_that_was_silenced_from_its_beginning_to_its_end_is_never_notified(
    story: list[Happening], route: Route
):
    channel = play(story, route)
    heard = {number for look in channel.looks for alert in firing(look) if not is_muted(look, number := alert.number)}
    for _, notification in channel.notifications():
        assert notification.kind is NotificationKind.ACKNOWLEDGED or set(notification.about) <= heard


@often
@whatever_happens
def test_a_message_closes_when_all_is_over_and_says_so_once(story: list[Happening], route: Route):
    resolved: list[int] = []
    for look in play(story, route).looks:
        kinds = [notification.kind for notification in look.decision.notifications]
        assert not (look.decision.closes and firing(look))
        assert look.decision.closes or firing(look) or look.decision.notified.flapping, "left open for nothing"
        if NotificationKind.RESOLVED in kinds or NotificationKind.BRIEF in kinds:
            (notification,) = (
                notification
                for notification in look.decision.notifications
                if notification.kind in {NotificationKind.RESOLVED, NotificationKind.BRIEF}
            )
            resolved += notification.about
            assert NotificationKind.BRIEF in kinds or not firing(look)
    assert len(set(resolved)) == len(resolved)


@often
@whatever_happens
def test_what_could_be_heard_at_its_end_is_in_a_message_unless_brief_ones_are_forgotten(
    story: list[Happening], route: Route
):
    loud_until: dict[int, bool] = {}
    for look in play(story, route).looks:
        for alert in firing(look):
            loud_until[alert.number] = not is_muted(look, alert.number)
        if look.decision.closes and any(loud_until[alert.number] for alert in look.alerts):
            assert look.decision.notified.first_at is not None or route.forget_brief


@often
@whatever_happens
def test_what_flaps_is_said_once_until_it_is_calm_for_an_hour(story: list[Happening], route: Route):
    channel = play(story, route)
    said: dict[str, datetime] = {}
    for look in channel.looks:
        for notification in look.decision.notifications:
            for alert in look.alerts:
                if notification.kind is not NotificationKind.FLAPPING or alert.number not in notification.about:
                    continue
                times = channel.changes["rule", alert.series]
                assert sum(look.at - CALM < time <= look.at for time in times) > route.flap_limit
                if alert.series in said:
                    last = max(time for time in times if time <= said[alert.series])
                    since = [time for time in times if last <= time <= look.at]
                    assert any(later - sooner >= CALM for sooner, later in pairwise(since))
                said[alert.series] = look.at
