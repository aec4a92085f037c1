"""Groups of alerts: one open message a channel and key, and what it was told comes back as it went."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.domain.alerts import Reason, State, Transition
from alertbot.domain.decisions import Decision, NotifyReason
from alertbot.domain.notifications import MessageRef, Notification, NotificationKind, NotifiedState
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import Selector, Severity
from alertbot.store import alerts, groups
from alertbot.store.database import Database, Tx
from tests.builders import START, alert_of, at
from tests.store.racing import until_waiting

ALERTS = Route("#ai-alerts")
KEY = "rule=rule source=acme"
_THEN = START.replace(tzinfo=None)
moments = st.datetimes(_THEN - timedelta(days=9000), _THEN + timedelta(days=9000), timezones=st.just(UTC))
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
word_lists = st.lists(words, max_size=3).map(tuple)
durations = st.timedeltas(timedelta(0), timedelta(days=3650))
numbers = st.integers(1, 2**40)
tolds = st.fixed_dictionaries(
    {
        "first_at": st.none() | moments,
        "severities": st.dictionaries(numbers, st.sampled_from(Severity), max_size=4),
        "acknowledged": st.frozensets(numbers, max_size=4),
        "muted": st.frozensets(numbers, max_size=4),
        "over": st.frozensets(numbers, max_size=4),
        "last_ping_at": st.none() | moments,
        "untaken_since": st.none() | moments,
        "steps": st.integers(0, 9),
        "flapping": st.frozensets(words, max_size=4),
        "content_hash": words,
    }
)
routes = st.fixed_dictionaries(
    {
        "channel": words,
        "match": st.builds(Selector, st.lists(st.tuples(words, word_lists), max_size=3).map(tuple)),
        "mention": word_lists,
        "group_by": word_lists,
        "group_wait": durations,
        "group_interval": durations,
        "repeat": durations,
        "flap_limit": st.integers(0, 99),
        "forget_brief": st.booleans(),
        "privacy": st.sampled_from(["full", "masked", "counts"]),
        "send_resolved": st.booleans(),
        "escalate": st.lists(st.builds(Step, durations, word_lists, st.none() | words), max_size=3).map(tuple),
    }
)


def opened(database: Database, route: Route = ALERTS, *, minute: float = 0) -> int:
    with database.transaction() as tx:
        return groups.open_for(tx, route, KEY, now=at(minute))


def an_alert(tx: Tx, series: str = "acme/llm-1") -> int:
    fired = alert_of(State.FIRING, series=series)
    (saved,) = alerts.save(tx, [Transition(fired, State.NONE, Reason.BECAME_TRUE, START)])
    return saved.alert.number


def decide(
    database: Database,
    group: int,
    reason: NotifyReason = NotifyReason.NOTIFIES,
    *,
    minute: float = 0,
    notified: NotifiedState | None = None,
    **more: object,
) -> None:
    with database.transaction() as tx:
        found = groups.load(tx, group, lock=True)
        assert found is not None
        decision = Decision((), notified or found.notified, reason, **more)  # type: ignore[arg-type]
        groups.save(tx, found, decision, now=at(minute))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notified_drawn=tolds, route_drawn=routes)
def test_what_a_channel_was_notified_and_its_route_come_back_as_they_went(
    database: Database, notified_drawn: dict[str, Any], route_drawn: dict[str, Any]
) -> None:
    notified, route = NotifiedState(**notified_drawn), Route(**route_drawn)
    for kind, drawn in ((NotifiedState, notified_drawn), (Route, route_drawn)):
        assert {field.name for field in fields(kind)} == drawn.keys(), "what is not drawn here is not tested"
    with database.engine.connect() as tx:  # and it is rolled back
        number = groups.open_for(tx, route, KEY, now=START)
        found = groups.load(tx, number)
        assert found is not None
        assert (found.route, found.notified, found.key) == (route, NotifiedState(), KEY)
        groups.save(tx, found, Decision((), notified, NotifyReason.NOTIFIES), now=START)
        again = groups.load(tx, number)
        assert again is not None
        assert (again.route, again.notified) == (route, notified)


def test_alerts_of_one_channel_and_key_share_a_group_until_it_closes(database: Database) -> None:
    first = opened(database)
    assert opened(database) == first
    assert opened(database, Route("#leads")) != first
    decide(database, first, closes=True, minute=5)
    assert opened(database) not in {first, None}
    with database.reading() as tx:
        closed = groups.load(tx, first)
        assert closed is not None
        assert closed.closed_at == at(5)


def test_the_next_message_knows_the_last_one_that_was_posted(database: Database) -> None:
    posted = opened(database)
    with database.transaction() as tx:
        groups.set_message(tx, posted, MessageRef("C1", "1700000000.000100"))
    decide(database, posted, closes=True)
    never_posted = opened(database)
    decide(database, never_posted, closes=True)
    newest = opened(database)
    with database.reading() as tx:
        found = groups.load(tx, newest)
        assert found is not None
        assert found.previous == posted


def test_the_route_of_a_group_stays_as_it_was_when_the_group_opened(database: Database) -> None:
    number = opened(database, replace(ALERTS, mention=("@here",)))
    assert opened(database, replace(ALERTS, mention=("U1",), repeat=timedelta(hours=1))) == number
    with database.reading() as tx:
        found = groups.load(tx, number)
        assert found is not None
        assert found.route == replace(ALERTS, mention=("@here",))


def test_an_alert_is_a_member_once(database: Database) -> None:
    number = opened(database)
    with database.transaction() as tx:
        alert = an_alert(tx)
        for _ in range(2):
            groups.add_member(tx, number, alert)
        assert groups.members(tx, number) == [alert]
        assert groups.of_alerts(tx, [alert]) == [number]


def test_a_closed_group_is_found_only_by_those_who_ask_for_it(database: Database) -> None:
    number = opened(database)
    with database.transaction() as tx:
        alert = an_alert(tx)
        groups.add_member(tx, number, alert)
    decide(database, number, closes=True)
    with database.reading() as tx:
        assert groups.of_alerts(tx, [alert]) == []
        assert groups.of_alerts(tx, [alert], open_only=False) == [number]


def test_an_alert_leads_to_its_newest_message(database: Database) -> None:
    old, new = opened(database), opened(database, Route("#leads"))
    with database.transaction() as tx:
        alert = an_alert(tx)
        for number in (old, new):
            groups.add_member(tx, number, alert)
        groups.set_message(tx, old, MessageRef("C1", "1.000100"))
        assert groups.messages_of(tx, [alert]) == {alert: (new, None)}
        groups.set_message(tx, new, MessageRef("C2", "2.000100"))
        assert groups.messages_of(tx, [alert]) == {alert: (new, MessageRef("C2", "2.000100"))}


def test_groups_are_looked_at_when_it_is_time_and_not_before(database: Database) -> None:
    number = opened(database)
    decide(database, number, NotifyReason.GROUP_WAIT, next_check_at=at(1))
    with database.reading() as tx:
        assert groups.due(tx, at(0.99)) == []
        assert groups.due(tx, at(1)) == [number]
        assert groups.next_check_at(tx) == at(1)
    decide(database, number, next_check_at=at(1), closes=True)
    with database.reading() as tx:
        assert groups.due(tx, at(2)) == []
        assert groups.next_check_at(tx) is None


def test_a_decision_is_kept_with_its_reason_when_it_is_another_one_or_people_hear_of_it(database: Database) -> None:
    number = opened(database)
    with database.transaction() as tx:
        alert = an_alert(tx)
        groups.add_member(tx, number, alert)
    decided = [
        NotifyReason.GROUP_WAIT,
        NotifyReason.GROUP_WAIT,
        NotifyReason.NOTIFIES,
        NotifyReason.NOTHING_NEW,
        NotifyReason.NOTHING_NEW,
        NotifyReason.NOTIFIES,
        NotifyReason.NOTIFIES,
    ]
    for minute, reason in enumerate(decided):
        notifications = (
            (Notification(NotificationKind.RISE, ping=True), Notification(NotificationKind.ESCALATION, ping=True))
            if reason is NotifyReason.NOTIFIES
            else ()
        )
        with database.transaction() as tx:
            found = groups.load(tx, number, lock=True)
            assert found is not None
            groups.save(tx, found, Decision(notifications, NotifiedState(), reason), now=at(minute))
    with database.reading() as tx:
        kept = [groups.last_decision(tx, alert, until=at(minute + 0.5)) for minute in range(len(decided))]
    assert [decision[1] for decision in kept if decision] == [at(minute) for minute in (0, 0, 2, 3, 3, 5, 6)]
    assert [decision[2] for decision in kept if decision] == [reason.value for reason in decided]
    assert [decision[3] for decision in kept if decision] == [
        "rise escalation" if reason is NotifyReason.NOTIFIES else "" for reason in decided
    ]


def test_two_replicas_that_open_a_group_at_the_same_time_share_it(postgres: Database) -> None:
    with ThreadPoolExecutor(1) as pool:
        with postgres.transaction() as tx:
            mine = groups.open_for(tx, ALERTS, KEY, now=START)
            other = pool.submit(opened, postgres)
            until_waiting(postgres)
        assert other.result(30) == mine


def test_an_alert_that_fires_while_its_group_closes_gets_a_group_of_its_own(postgres: Database) -> None:
    closing = opened(postgres)
    with ThreadPoolExecutor(1) as pool:
        with postgres.transaction() as tx:
            found = groups.load(tx, closing, lock=True)
            assert found is not None
            groups.save(tx, found, Decision((), NotifiedState(), NotifyReason.NOTIFIES, closes=True), now=START)
            other = pool.submit(opened, postgres)
            until_waiting(postgres)
        assert other.result(30) != closing
