"""Compares our time with the clock: a step is told, and what a wrong clock has dated is set right."""

from datetime import timedelta

import structlog

from alertbot.clock import SteadyClock
from alertbot.domain import operator_texts
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import operator_alerts, redating, sources
from alertbot.store.database import Database, Tx
from alertbot.store.operator_alerts import OperatorAlert

log = structlog.get_logger()
_CAUGHT_UP_SOON = timedelta(minutes=5)  # our time runs slower until the clock has caught up, at a tenth of the speed
_OTHER_REPLICA = timedelta(minutes=1)  # within which every process has noticed the same step
_STEP = "clock"


def check_clock(database: Database, clock: SteadyClock, *, owner: str, operators: str) -> None:
    """Follow the reference clock, and tell the operators once if somebody has set it. Raises StoreError.

    A clock that was ahead for a while, and was set back, has dated readings in a future that did not happen. Nothing newer
    would count until then: they are dated back, and our time follows the clock. A clock that was right when it was set
    back has not: then our time runs a little slower until the clock has caught up.
    """
    with database.reading() as tx:  # before the clock is asked: what was dated back since, the next check follows
        newest, correction = sources.newest(tx), redating.last_correction(tx)
    step = clock.check()
    moved = False
    if step or (newest is not None and newest > clock() + _CAUGHT_UP_SOON):
        with database.transaction() as tx:
            database.one_at_a_time(tx)
            moved = step <= timedelta(0) and _set_right(tx, clock)
            newest, correction = sources.newest(tx), redating.last_correction(tx)
    # After the commit: until then the other threads' time must not be earlier than what is stored.
    if correction != clock.correction:
        clock.follow(correction)  # by us, or by another process
    if newest is not None:
        clock.not_before(newest)
    if step or moved:
        log.warning("clock_was_set", seconds=round(step.total_seconds()), dated_back=moved)
        with database.transaction() as tx:
            database.one_at_a_time(tx)
            _tell(tx, clock, step, owner=owner, operators=operators, moved=moved)


def _set_right(tx: Tx, clock: SteadyClock) -> bool:
    """Date back what is dated in a future that did not happen; whether there was any."""
    now = clock() - clock.ahead
    newest = sources.newest(tx)
    if newest is None or newest <= now + _CAUGHT_UP_SOON:
        return False  # nothing is, or another process has done it
    ahead = max(clock.ahead, newest - now)
    since = redating.begin_of_future(tx, now=now, ahead=ahead)
    if since is None:
        return False
    redating.move_back(tx, since=since, by=ahead, now=now)
    return True


def _tell(tx: Tx, clock: SteadyClock, step: timedelta, *, owner: str, operators: str, moved: bool) -> None:
    now = clock()
    direction = "forward" if step > timedelta(0) else "back"
    known = operator_alerts.standing(tx).get(_STEP)
    if known is not None:
        if known.reason == direction and abs(now - known.since) <= _OTHER_REPLICA:
            return  # another process has told
        operator_alerts.end(tx, known)
    operator_alerts.begin(tx, OperatorAlert(_STEP, direction, now, owner, now))
    notify_operators(tx, _text(clock, step, moved=moved), operators=operators, now=now)


def _text(clock: SteadyClock, step: timedelta, *, moved: bool) -> str:
    if step > timedelta(0):
        return operator_texts.clock_set_forward(step)
    if moved:
        return operator_texts.clock_set_right(-step)
    return operator_texts.clock_set_back(-step, ahead=clock.ahead)
