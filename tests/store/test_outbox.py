"""The outbox: in order within a message, independent between messages, once by one process, nothing forgotten."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertbot.domain.decisions import Decision, NotifyReason
from alertbot.domain.notifications import MessageRef, Notification, NotificationKind, NotifiedState
from alertbot.domain.routes import Route
from alertbot.store import channels, deliveries, expiry, groups, outbox
from alertbot.store.channels import EVERY_CHANNEL
from alertbot.store.database import Database, Tx
from alertbot.store.deliveries import OutboxEntry
from alertbot.store.outbox import OutboxAction
from tests.builders import MINUTE, START, at
from tests.store.racing import in_threads, until_waiting

CHANNEL = "#ai-alerts"
LEASE = 2 * MINUTE
SECOND = 1 / 60
EDIT = Notification(NotificationKind.EDIT, ping=False)
FIRST = Notification(NotificationKind.FIRST, ping=True, about=(1,), mention=("@here",))
RISE = Notification(NotificationKind.RISE, ping=True, about=(1,))
RESOLVED = Notification(NotificationKind.RESOLVED, ping=False, about=(1,), lines=("Resolved after 5 min",))
ACT = Notification(NotificationKind.ACTION, ping=False, about=(1,), lines=("{0}: looking",), people=("U1",))
ESCALATION = Notification(NotificationKind.ESCALATION, ping=True, about=(1,), channel="#leads")


@pytest.fixture
def group(database: Database) -> int:
    return new_group(database, "rule=rule source=acme")


def new_group(database: Database, key: str, channel: str = CHANNEL) -> int:
    with database.transaction() as tx:
        return groups.open_for(tx, Route(channel), key, now=START)


def add(
    database: Database, group: int, *notifications: Notification, minute: float = 0, channel: str = CHANNEL
) -> None:
    with database.transaction() as tx:
        for notification in notifications:
            outbox.add(tx, notification, group=group, channel=channel, now=at(minute))


def claim(database: Database, minute: float = 0, *, owner: str = "one", limit: int = 20) -> list[OutboxEntry]:
    with database.transaction() as tx:
        return deliveries.claim(tx, owner=owner, lease=LEASE, now=at(minute), limit=limit)


def claim_one(database: Database, minute: float = 0, *, owner: str = "one") -> OutboxEntry:
    (row,) = claim(database, minute, owner=owner)
    return row


def sent(database: Database, row: OutboxEntry, minute: float = 0, *, owner: str = "one") -> bool:
    with database.transaction() as tx:
        done = deliveries.mark_sent(tx, row, owner=owner, ts="1700000000.000100", now=at(minute))
        if done and row.action is OutboxAction.MESSAGE and row.group is not None:
            groups.set_message(tx, row.group, MessageRef("C1", "1700000000.000100"))
            groups.mark_edited(tx, row.group, at(minute))
        return done


def postpone(database: Database, row: OutboxEntry, until: float, *, uncertain: bool = False) -> None:
    with database.transaction() as tx:
        deliveries.mark_deferred(tx, row, owner="one", due_at=at(until), error="busy", uncertain=uncertain)


def send_all(database: Database, minute: float) -> list[str]:
    """Send what may be sent, one after the other, and tell in which order."""
    said = []
    while rows := claim(database, minute):
        for row in rows:
            said.append(f"{row.action} {row.notification.kind}")
            assert sent(database, row, minute)
    return said


def waiting(database: Database) -> int:
    with database.reading() as tx:
        return outbox.depth(tx)[0]


# --- order


def test_a_message_goes_first_then_its_edits_and_its_thread_in_their_order(database: Database, group: int) -> None:
    add(database, group, FIRST)
    posting = claim_one(database)
    add(database, group, RISE, minute=1)
    add(database, group, ACT, minute=2)
    add(database, group, RESOLVED, minute=3)
    assert claim(database, 1.9) == [], "nothing overtakes the first message"
    assert sent(database, posting, 1.5)
    assert (posting.action, posting.notification) == (OutboxAction.MESSAGE, FIRST)
    assert send_all(database, 3) == ["message edit", "reply rise", "reply act", "reply resolved"]


def test_a_notification_that_has_to_wait_holds_up_those_behind_it(database: Database, group: int) -> None:
    add(database, group, FIRST, RISE)
    postpone(database, claim_one(database), 5)
    assert claim(database, 4.9) == []
    assert send_all(database, 5) == ["message first", "reply rise"]


def test_messages_do_not_wait_for_one_another(database: Database, group: int) -> None:
    other = new_group(database, "rule=rule source=globex")
    add(database, group, FIRST)
    add(database, other, FIRST)
    stuck, _ = claim(database)
    postpone(database, stuck, 60)
    add(database, other, RISE, minute=1)
    assert {row.group for row in claim(database, 3)} == {other}


def test_an_escalation_to_another_channel_does_not_wait_for_the_message(database: Database, group: int) -> None:
    add(database, group, FIRST, ESCALATION)
    rows = claim(database)
    assert {(row.channel, row.action, row.notification.kind) for row in rows} == {
        (CHANNEL, OutboxAction.MESSAGE, NotificationKind.FIRST),
        ("#leads", OutboxAction.ALONE, NotificationKind.ESCALATION),
    }


def test_what_is_said_of_the_bot_itself_is_in_order_and_waits_for_no_message(database: Database, group: int) -> None:
    add(database, group, FIRST)
    with database.transaction() as tx:
        for line in ("one", "two"):
            outbox.add_alone(
                tx, Notification(NotificationKind.OPERATOR, ping=False, lines=(line,)), channel="#bots", now=START
            )
    first, second = claim(database)
    assert (first.notification.kind, second.notification.lines) == (NotificationKind.FIRST, ("one",))
    assert sent(database, second)
    assert claim_one(database).notification.lines == ("two",)


def test_no_more_are_taken_than_asked_for_the_oldest_first(database: Database) -> None:
    made = [new_group(database, f"key {place}") for place in range(5)]
    for number in made:
        add(database, number, FIRST)
    assert [row.group for row in claim(database, limit=3)] == made[:3]
    assert [row.group for row in claim(database, limit=3)] == made[3:]


# --- merging


def test_edits_are_merged_into_the_one_that_waits(database: Database, group: int) -> None:
    add(database, group, FIRST)
    send_all(database, 0)
    add(database, group, EDIT, EDIT, EDIT, minute=0.05)
    assert waiting(database) == 1


def test_a_message_that_was_never_posted_needs_no_edit(database: Database, group: int) -> None:
    add(database, group, FIRST, EDIT)
    add(database, group, EDIT, minute=1)
    assert send_all(database, 1) == ["message first"]


def test_a_message_is_edited_at_most_once_in_ten_seconds(database: Database, group: int) -> None:
    add(database, group, FIRST)
    send_all(database, 0)
    add(database, group, EDIT, minute=1 * SECOND)
    assert claim(database, 9.9 * SECOND) == []
    assert send_all(database, 10 * SECOND) == ["message edit"]
    add(database, group, EDIT, minute=11 * SECOND)
    assert claim(database, 19.9 * SECOND) == []
    assert send_all(database, 20 * SECOND) == ["message edit"]
    add(database, group, EDIT, minute=60)
    assert send_all(database, 60) == ["message edit"], "one that was left alone for long is edited at once"


def test_an_edit_does_not_follow_at_once_on_one_that_is_just_being_sent(database: Database, group: int) -> None:
    add(database, group, FIRST)
    posting = claim_one(database)
    add(database, group, EDIT, minute=1 * SECOND)
    sent(database, posting, 2 * SECOND)
    assert claim(database, 10 * SECOND) == []
    assert send_all(database, 12 * SECOND) == ["message edit"]


@pytest.mark.parametrize("notification", [ACT, RISE, RESOLVED], ids=["a person's act", "a rise", "the end"])
def test_what_people_wait_for_shows_at_once_and_pulls_a_waiting_edit_forward(
    database: Database, group: int, notification: Notification
) -> None:
    add(database, group, FIRST)
    send_all(database, 0)
    add(database, group, EDIT, minute=1 * SECOND)
    add(database, group, notification, minute=2 * SECOND)
    assert send_all(database, 2 * SECOND) == ["message edit", f"reply {notification.kind}"]


def test_an_edit_that_is_just_being_sent_is_not_merged_into(database: Database, group: int) -> None:
    add(database, group, FIRST)
    send_all(database, 0)
    add(database, group, EDIT, minute=1)
    editing = claim_one(database, 1)
    add(database, group, ACT, minute=1)  # the edit on its way may have been drawn before it
    assert sent(database, editing, 1)
    assert send_all(database, 1) == ["message edit", "reply act"]


def test_what_is_merged_is_as_young_as_its_newest_part(database: Database, group: int) -> None:
    add(database, group, FIRST)
    add(database, group, EDIT, minute=100)
    row = claim_one(database, 100)
    assert (row.created_at, row.changed_at) == (START, at(100))


def test_an_edit_that_is_written_while_it_is_claimed_is_either_shown_or_follows(postgres: Database) -> None:
    group = new_group(postgres, "key")
    add(postgres, group, FIRST)
    send_all(postgres, 0)
    add(postgres, group, EDIT, minute=1)
    with postgres.transaction() as tx:  # the evaluation merges …
        outbox.add(tx, EDIT, group=group, channel=CHANNEL, now=at(1))
        with ThreadPoolExecutor(1) as other:
            assert other.submit(claim, postgres, 1).result(30) == [], "whoever claims now would show what was before"
    with ThreadPoolExecutor(1) as pool:  # … or comes too late
        with postgres.transaction() as tx:
            (row,) = deliveries.claim(tx, owner="one", lease=LEASE, now=at(1))
            evaluation = pool.submit(add, postgres, group, ACT, minute=1)
            until_waiting(postgres)
        evaluation.result(30)
    assert sent(postgres, row, 1)
    assert send_all(postgres, 1) == ["message edit", "reply act"]


# --- leases


def test_a_claimed_notification_is_taken_by_nobody_until_its_lease_is_over(database: Database, group: int) -> None:
    add(database, group, FIRST)
    row = claim_one(database)
    assert (row.attempts, row.uncertain, row.lease_until) == (1, False, START + LEASE)
    assert claim(database, 1.99, owner="two") == []
    again = claim_one(database, 2, owner="two")
    assert (again.number, again.attempts, again.uncertain) == (row.number, 2, True)


@pytest.mark.parametrize("owner", ["two", "one"], ids=["another process", "another thread of the same process"])
def test_whoever_slept_through_the_lease_cannot_mark_what_another_tries_now(
    database: Database, group: int, owner: str
) -> None:
    add(database, group, FIRST)
    late = claim_one(database, owner="one")
    row = claim_one(database, 2, owner=owner)
    with database.transaction() as tx:
        assert not deliveries.mark_sent(tx, late, owner="one", ts="1.000100", now=at(2))
        assert not deliveries.mark_deferred(tx, late, owner="one", due_at=at(60), error="", uncertain=False)
        assert not deliveries.mark_failed(tx, late, owner="one", error="", now=at(2))
    assert sent(database, row, 2, owner=owner)
    assert waiting(database) == 0


@pytest.mark.parametrize("uncertain", [True, False])
def test_a_try_that_failed_says_whether_it_may_have_arrived(database: Database, group: int, *, uncertain: bool) -> None:
    add(database, group, FIRST)
    postpone(database, claim_one(database), 1, uncertain=uncertain)
    assert claim(database, 0.9) == []
    assert claim_one(database, 1).uncertain == uncertain


def test_what_a_process_gives_back_at_its_end_may_be_taken_at_once(database: Database, group: int) -> None:
    other = new_group(database, "another")
    add(database, group, FIRST)
    claim_one(database, owner="one")
    add(database, other, FIRST)
    claim_one(database, owner="two")
    with database.transaction() as tx:
        assert deliveries.release_all(tx, owner="one") == 1
    back = claim_one(database, 0, owner="three")
    assert (back.group, back.uncertain) == (group, True)


def test_a_notification_that_was_given_up_holds_nobody_up(database: Database, group: int) -> None:
    add(database, group, FIRST, RISE)
    row = claim_one(database)
    with database.transaction() as tx:
        assert deliveries.mark_failed(tx, row, owner="one", error="invalid_blocks", now=START)
    assert send_all(database, 0) == ["reply rise"]


def test_many_who_claim_at_once_take_each_notification_once_and_each_message_in_order(database: Database) -> None:
    made = [new_group(database, f"key {place}") for place in range(15)]
    for number in made:
        add(database, number, FIRST, RISE, RESOLVED)

    def work(turn: int) -> list[tuple[int | None, NotificationKind]]:
        taken: list[tuple[int | None, NotificationKind]] = []
        while waiting(database):
            for row in claim(database, owner=f"process {turn}", limit=3):
                taken.append((row.group, row.notification.kind))
                assert sent(database, row, owner=f"process {turn}")
        return taken

    taken = [one for worked in in_threads(4, work) for one in worked]  # type: ignore[attr-defined]
    wanted = [
        (number, kind)
        for number in made
        for kind in (NotificationKind.FIRST, NotificationKind.RISE, NotificationKind.RESOLVED)
    ]
    assert sorted(taken) == sorted(wanted)
    with database.reading() as tx:
        done = tx.execute(sa.text('SELECT "group", kind FROM outbox ORDER BY number')).all()
    assert [(number, NotificationKind(kind)) for number, kind in done] == wanted


# --- channels that have to wait


def test_a_channel_that_has_to_wait_holds_up_no_other(database: Database, group: int) -> None:
    other = new_group(database, "key", "#leads")
    add(database, group, FIRST)
    add(database, other, FIRST, channel="#leads")
    with database.transaction() as tx:
        channels.hold(tx, CHANNEL, until=at(5))
    assert claim_one(database, 4.99).channel == "#leads"
    assert claim_one(database, 5).channel == CHANNEL


def test_where_the_whole_app_has_to_wait_nothing_is_sent(database: Database, group: int) -> None:
    add(database, group, FIRST)
    with database.transaction() as tx:
        channels.hold(tx, EVERY_CHANNEL, until=at(5))
    assert claim(database, 4.99) == []
    assert claim_one(database, 5).channel == CHANNEL


def test_a_channel_may_be_held_again(database: Database, group: int) -> None:
    add(database, group, FIRST)
    for minute in (1, 5):
        with database.transaction() as tx:
            channels.hold(tx, CHANNEL, until=at(minute))
    assert claim(database, 4) == []


def test_two_threads_may_learn_of_a_busy_channel_at_the_same_time(postgres: Database) -> None:
    def hold(minute: float) -> None:
        with postgres.transaction() as tx:
            channels.hold(tx, CHANNEL, until=at(minute))

    with ThreadPoolExecutor(1) as pool:
        with postgres.transaction() as tx:
            channels.hold(tx, CHANNEL, until=at(1))
            other = pool.submit(hold, 2)
            until_waiting(postgres)
        other.result(30)
    with postgres.reading() as tx:
        assert tx.execute(sa.text("SELECT wait_until FROM channels")).scalar_one() == at(2)


# --- the rest


def test_how_much_waits_and_since_when_is_known(database: Database, group: int) -> None:
    with database.reading() as tx:
        assert outbox.depth(tx) == (0, None)
    add(database, group, FIRST, minute=1)
    add(database, group, RISE, minute=2)
    with database.reading() as tx:
        assert outbox.depth(tx) == (2, at(1))


def test_what_was_delivered_long_ago_is_forgotten_and_what_waits_is_not(database: Database, group: int) -> None:
    other = new_group(database, "another")
    add(database, group, FIRST)
    send_all(database, 0)
    add(database, other, FIRST)
    with database.transaction() as tx:
        for minute, left in ((0, 2), (1, 1)):
            expiry.delete_some(tx, expiry.of_the_trail(before=at(minute))[0])
            assert tx.execute(sa.text("SELECT count(*) FROM outbox")).scalar_one() == left
    assert waiting(database) == 1


words = st.text(st.characters(codec="utf-8"), max_size=20)
word_lists = st.lists(words, max_size=3).map(tuple)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        Notification,
        st.sampled_from(NotificationKind),
        ping=st.booleans(),
        about=st.lists(st.integers(1, 2**40), max_size=3).map(tuple),
        mention=word_lists,
        lines=word_lists,
        people=word_lists,
    )
)
def test_a_notification_comes_back_as_it_went(database: Database, notification: Notification) -> None:
    with rolled_back(database) as tx:
        outbox.add_alone(tx, notification, channel=CHANNEL, now=START)
        (row,) = deliveries.claim(tx, owner="one", lease=timedelta(minutes=1), now=START)
        assert row.notification == notification


@contextmanager
def rolled_back(database: Database) -> Iterator[Tx]:
    with database.engine.connect() as tx:
        yield tx


def test_a_closed_group_is_brought_up_to_date_like_an_open_one(database: Database, group: int) -> None:
    add(database, group, FIRST)
    send_all(database, 0)
    with database.transaction() as tx:
        found = groups.load(tx, group)
        assert found is not None
        groups.save(tx, found, Decision((), NotifiedState(), NotifyReason.NOTIFIES, closes=True), now=START)
    add(database, group, ACT, minute=1)
    assert send_all(database, 1) == ["message edit", "reply act"]
