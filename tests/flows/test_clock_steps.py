"""Somebody sets the clock: nothing stops, nothing is made up, and what a wrong clock has dated is set right."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa

from alertbot.clock import SteadyClock
from alertbot.domain.alerts import ActionType
from alertbot.domain.silences import ENDLESS, SilenceRequest, parse_matcher
from alertbot.domain.snapshots import Snapshot
from alertbot.flows import alert_actions
from alertbot.flows.clock_steps import check_clock
from alertbot.flows.collect import FeedPoll, PollOutcome, collect
from alertbot.flows.evaluate import evaluate
from alertbot.store import redating
from alertbot.store.column_types import Moment
from alertbot.store.database import Database, Tx
from alertbot.store.silences import in_force
from alertbot.store.tables import actions, metadata, readings, silences
from tests.builders import MINUTE, START, rule, threshold
from tests.flows.scene import BOTS, Scene

HOUR = timedelta(hours=1)
LEAPS = [2 * HOUR, timedelta(days=20 * 365)]
DEADLINE = 5 * HOUR  # nothing is due later than this: an alert is repeated after four
BURST = rule(threshold(window="5m", above=5))


class Machine:
    """The bot on a machine whose clock somebody sets; true minutes pass whatever it shows."""

    def __init__(self, database: Database, drawn: str) -> None:
        self.scene = Scene(database, drawn, BURST)
        self.minute = 0
        self.offset = timedelta(0)
        self.outcomes: list[PollOutcome] = []
        self.start()

    def start(self) -> None:
        """A new process, which remembers nothing but what is stored."""
        self.clock = SteadyClock(self._shown, monotonic=lambda: 60.0 * self.minute)

    def _shown(self) -> datetime:
        return START + self.minute * MINUTE + self.offset

    def until(self, minute: int) -> None:
        while self.minute <= minute:
            self.check()
            scene, player = self.scene, self.scene.players["acme"]
            scene.now, player.turn = self.clock(), self.minute
            feed_poll = FeedPoll("acme", MINUTE, 2 * MINUTE, player)
            self.outcomes.append(collect(scene.database, feed_poll, owner=scene.owner, now=scene.now))
            scene.is_feed_poll = False
            scene.act()
            self.minute += 1

    def check(self) -> None:
        check_clock(self.scene.database, self.clock, owner=self.scene.owner, operators=BOTS)

    def read_at(self) -> list[float]:
        """The minutes at which the source was read, as they are stored."""
        with self.scene.database.reading() as tx:
            moments = tx.execute(sa.select(readings.c.taken_at).order_by(readings.c.number)).scalars()
            return [round((moment - START) / MINUTE, 3) for moment in moments]


@pytest.mark.parametrize("restarts", [False, True], ids=["while it runs", "while it is down"])
@pytest.mark.parametrize("lasts", [1, 3], ids=["for one reading", "for three readings"])
@pytest.mark.parametrize("leap", LEAPS, ids=["by 2 hours", "by 20 years"])
def test_a_clock_that_was_ahead_for_a_while_leaves_no_trace(
    database: Database, leap: timedelta, lasts: int, restarts: bool
) -> None:
    machine = Machine(database, "0 0 0 9 9 9 9 9 9 9 9 9 9 9 20 20 20")
    machine.until(2)
    machine.offset = leap
    machine.until(2 + lasts)  # nine violations are seen by the wrong clock
    machine.offset = timedelta(0)
    if restarts:
        machine.start()
    machine.until(16)
    # Who starts does not know when it was stopped: the newest reading counts as taken just now, the next is due after it.
    assert machine.outcomes.count(PollOutcome.READ) >= 17 - restarts, "each interval has its reading"
    moments = machine.read_at()
    assert [0 < later - earlier <= 2 for earlier, later in pairwise(moments)] == [True] * (len(moments) - 1)
    assert moments[-1] == 16
    assert [line.split()[1] for line in machine.scene.heard()] == ["first", "resolved", "first"], "once for each burst"
    started = [alert.started_at for alert in machine.scene.alerts()]
    assert [moment is not None and moment <= machine.clock() for moment in started] == [True, True]
    assert len(machine.scene.told_operators()) == 2, "set forward, and set back"
    with database.reading() as tx:
        for column in redating.dated_by_our_clock():
            newest = tx.execute(sa.select(sa.func.max(column))).scalar()
            assert newest is None or newest <= machine.clock() + DEADLINE, (
                f"{column} is of a future that did not happen"
            )


def test_a_clock_that_was_right_and_is_set_back_stops_nothing_and_redates_nothing(database: Database) -> None:
    machine = Machine(database, "0 " * 14 + "9 " * 13)
    machine.until(12)
    machine.offset = -10 * MINUTE
    machine.until(25)
    moments = machine.read_at()
    assert moments[:13] == list(range(13))
    assert moments == sorted(moments)
    assert machine.outcomes.count(PollOutcome.READ) >= 24, "an interval takes as long as ever, or a tenth longer"
    assert [line.split()[1] for line in machine.scene.heard()] == ["first", "resolved"]
    (line,) = machine.scene.told_operators()
    assert "set back by 10 min" in line


def test_a_bot_that_is_younger_than_the_step_follows_the_clock_back_at_once(database: Database) -> None:
    machine = Machine(database, "0 0 0 0 9 9 9 9 9 9 9")
    machine.until(2)
    machine.offset = -HOUR
    machine.until(10)
    assert machine.read_at() == [minute - 60 for minute in range(11)], "all of it by the same clock"
    assert [line.split()[1] for line in machine.scene.heard()] == ["first", "resolved"]


def test_a_step_is_told_once_by_two_replicas(database: Database) -> None:
    machine = Machine(database, "0 0 0 0 0 0")
    other = SteadyClock(machine._shown, monotonic=lambda: 60.0 * machine.minute)
    other.check()
    machine.until(2)
    machine.offset = 2 * HOUR
    machine.check()
    check_clock(database, other, owner="another", operators=BOTS)
    machine.scene.send()
    assert len(machine.scene.told_operators()) == 1


def test_of_two_replicas_one_dates_back_and_the_other_follows(database: Database) -> None:
    machine = Machine(database, "0 " * 20)
    other = SteadyClock(machine._shown, monotonic=lambda: 60.0 * machine.minute)

    def check_other() -> None:
        check_clock(database, other, owner="another", operators=BOTS)

    check_other()
    for offset, lasts in ((2 * HOUR, 3), (timedelta(0), 3), (HOUR, 3)):  # what was set forward earlier leaves gaps, too
        machine.offset = offset
        machine.until(machine.minute + lasts)
        check_other()
    machine.offset = timedelta(0)
    machine.check()
    moments = machine.read_at()
    check_other()
    assert machine.read_at() == moments, "what one has dated back the other leaves alone"
    assert other() == machine.clock() == machine._shown()


def test_a_poll_that_was_claimed_before_the_first_reading_is_dated_back_with_it(database: Database) -> None:
    machine = Machine(database, "0 0 0 0")
    machine.offset = HOUR
    machine.check()
    claimed = machine.clock()
    moments = iter([claimed, claimed + timedelta(seconds=5)])
    polling = FeedPoll("acme", MINUTE, 2 * MINUTE, machine.scene.players["acme"])
    assert collect(database, polling, owner="one", now=claimed, clock=lambda: next(moments)) is PollOutcome.READ
    machine.minute += 1
    machine.offset = timedelta(0)
    machine.check()
    assert machine.clock() == machine._shown(), "no claim of the future keeps our time ahead"


@pytest.mark.parametrize(
    ("has_fixed_end", "ends"),
    [pytest.param(False, 35, id="for half an hour"), pytest.param(True, 155, id="until a moment")],
)
def test_a_snooze_for_a_length_of_time_lasts_so_long_also_if_the_clock_was_wrong(
    database: Database, has_fixed_end: bool, ends: int
) -> None:
    machine = Machine(database, "0 9 18 27 36 45 54 63 72 81")
    machine.until(2)
    machine.offset = 2 * HOUR
    machine.until(5)
    machine.scene.person(ActionType.SNOOZE, lasts=30, has_fixed_end=has_fixed_end)
    machine.offset = timedelta(0)
    machine.until(8)
    (alert,) = machine.scene.alerts()
    assert alert.snoozed_until == START + ends * MINUTE
    with database.reading() as tx:
        assert tx.execute(sa.select(actions.c.until)).scalars().all() == [START + ends * MINUTE]


def test_a_snooze_by_the_right_clock_keeps_its_end_when_a_wrong_one_is_set_right(database: Database) -> None:
    machine = Machine(database, "0 9 18 27 36 45 54 63 72 81")
    machine.until(2)
    machine.scene.person(ActionType.SNOOZE, lasts=300)
    machine.offset = 2 * HOUR
    machine.until(5)
    machine.offset = timedelta(0)
    machine.until(8)
    (alert,) = machine.scene.alerts()
    assert alert.snoozed_until == START + 302 * MINUTE


def test_a_silence_by_a_wrong_clock_holds_at_once_and_for_its_length_when_that_is_set_right(database: Database) -> None:
    machine = Machine(database, "0 9 18 27 36 45 54 63 72 81")
    machine.until(2)
    begin = machine.clock()
    by_right_clock, ended = (silence_of(machine, 300) for _ in range(2))
    machine.offset = 2 * HOUR
    machine.until(5)
    for_an_hour, until_a_date, muted = (
        silence_of(machine, 60),
        silence_of(machine, 60, has_fixed_end=True),
        mute(machine),
    )
    wrong = machine.clock() - 2 * HOUR
    alert_actions.end_silence(database, ended, by="U2", now=machine.clock())
    machine.offset = timedelta(0)
    machine.until(8)
    with database.reading() as tx:
        intervals = {row.number: (row.starts_at, row.ends_at) for row in tx.execute(sa.select(silences))}
        held = [silence.number for silence in in_force(tx, machine.clock())]
    assert intervals[by_right_clock] == (begin, begin + 300 * MINUTE)
    assert intervals[ended] == (begin, wrong)
    assert intervals[for_an_hour] == (wrong, wrong + HOUR)
    assert intervals[until_a_date] == (wrong, wrong + 3 * HOUR), "a date that somebody chose"
    assert intervals[muted] == (wrong, ENDLESS)
    assert held == [by_right_clock, for_an_hour, until_a_date, muted]


def silence_of(machine: Machine, lasts: int, *, has_fixed_end: bool = False) -> int:
    matcher = parse_matcher("rule=another")
    request = SilenceRequest((matcher,), lasts * MINUTE, "", has_fixed_end=has_fixed_end)
    return alert_actions.add_silence(machine.scene.database, request, author="U1", now=machine.clock()).number


def mute(machine: Machine) -> int:
    matchers = (parse_matcher("rule=another"),)
    return alert_actions.mute_rule(machine.scene.database, matchers, by="U1", now=machine.clock()).number


def test_nothing_is_read_by_a_clock_that_another_process_knows_to_be_wrong(database: Database) -> None:
    machine = Machine(database, "0 0 0 9 9 9 9 9 9 9")
    other = SteadyClock(machine._shown, monotonic=lambda: 60.0 * machine.minute)
    feed_poll = FeedPoll("acme", MINUTE, 2 * MINUTE, machine.scene.players["acme"])

    def is_right(tx: Tx) -> bool:
        return redating.last_correction(tx) == other.correction

    def poll() -> PollOutcome:
        return collect(database, feed_poll, owner="another", now=other(), clock=other, is_clock_right=is_right)

    def check_other() -> None:
        check_clock(database, other, owner="another", operators=BOTS)

    machine.until(2)
    machine.offset = HOUR
    machine.until(4)
    check_other()
    assert other() == machine.clock() == machine._shown()
    machine.offset = timedelta(0)
    machine.check()  # dates back what is stored
    assert poll() is PollOutcome.NOT_DUE
    removed = replace(machine.scene.context, rules=())
    evaluate(database, removed, now=other(), clock=other, is_clock_right=is_right)
    assert machine.scene.standing() != [], "nothing ends in a future that does not happen"
    assert machine.read_at()[-1] <= machine.minute
    check_other()
    assert other() == machine.clock()
    machine.minute += 3
    assert poll() is PollOutcome.READ


def test_a_poll_that_began_by_a_clock_that_was_wrong_is_refused(database: Database) -> None:
    machine = Machine(database, "0 " * 10)
    machine.until(2)
    machine.offset = HOUR
    machine.until(4)

    class Slow:
        """Answers when the clock has been set back, and that was noticed."""

        def read(self, last_at: datetime | None) -> tuple[tuple[Snapshot, ...], None]:
            machine.offset = timedelta(0)
            machine.check()
            return (), None

    now = machine.clock()
    assert collect(database, FeedPoll("acme", MINUTE, 2 * MINUTE, Slow()), owner="one", now=now) is PollOutcome.REFUSED
    machine.until(8)
    assert machine.read_at() == sorted(machine.read_at())
    assert machine.read_at()[-1] == 8, "it goes on by the right time"


def test_each_moment_that_is_stored_is_our_clocks_or_is_known_to_be_somebody_elses() -> None:
    # A new column has to be one or the other: what our clock wrote is moved when the clock was wrong.
    every = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Moment)
    }
    assert every >= redating.NOT_OURS, "a column that is no more"
    ours = {f"{column.table.name}.{column.name}" for column in redating.dated_by_our_clock()}
    assert ours == every - redating.NOT_OURS
    endings = ("_at", "_until", "_since", ".at", ".since", ".until")
    assert [name for name in ours if not name.endswith(endings)] == [], "what is it a moment of?"
