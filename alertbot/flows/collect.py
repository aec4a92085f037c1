"""Flow 1: Flashback → snapshots. One poll of one source becomes one reading, or changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from alertbot.domain.series import first_sight, read_on, start_again
from alertbot.domain.snapshots import Configuration, Reading, Snapshot
from alertbot.errors import FlashbackBusy, FlashbackError
from alertbot.store import snapshots, sources
from alertbot.store.database import Database, Tx
from alertbot.store.snapshots import Counted, Known
from alertbot.store.sources import Claim

log = structlog.get_logger()
_BUSY_PAUSE = timedelta(minutes=1)  # after a 429 that names no pause: quotas are mostly counted by the minute


class Reader(Protocol):
    """Reads a source: FlashbackReader in real life. Raises FlashbackError where the answer cannot be used."""

    def read(self) -> tuple[tuple[Snapshot, ...], tuple[Configuration, ...] | None]: ...


class Polled(StrEnum):
    """What came of a poll."""

    READ = "read"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_DUE = "not due"


@dataclass(frozen=True, slots=True)
class Polling:
    """How a source is polled."""

    name: str
    interval: timedelta
    lease: timedelta
    reader: Reader


def collect(
    database: Database,
    polling: Polling,
    *,
    owner: str,
    now: datetime,
    at_once: bool = False,
    clock: Callable[[], datetime] | None = None,
) -> Polled:
    """Poll the source once if it is due and nobody else does. A poll that fails is noted and changes nothing else.

    `clock` tells when the source is asked at last, where that may be long after `now`: the claim may have to wait for
    another process, and what is counted then must not count as seen before.
    """
    with database.transaction() as tx:
        claim = sources.claim(
            tx,
            polling.name,
            owner=owner,
            interval=polling.interval,
            lease=polling.lease,
            now=now,
            at_once=at_once,
        )
    if claim is None:
        return Polled.NOT_DUE
    if clock is not None:
        now = clock()
    try:
        found, configurations = polling.reader.read()
    except FlashbackError as error:
        pause_until = None
        if isinstance(error, FlashbackBusy):
            pause = timedelta(seconds=error.retry_after) if error.retry_after is not None else _BUSY_PAUSE
            pause_until = now + pause
        with database.transaction() as tx:
            sources.mark_failed(tx, claim, error.lines[0], pause_until=pause_until)
        log.warning("poll_failed", source=polling.name, kind=error.kind, error=error.lines[0])
        return Polled.FAILED
    reading = Reading(polling.name, now, found, configurations)
    with database.transaction() as tx:
        applied = apply(tx, claim, reading)
        if not applied:
            sources.mark_refused(tx, claim)
    if not applied:
        log.warning(
            "reading_refused", source=polling.name, taken_at=now.isoformat(), why="not newer, or the claim was lost"
        )
        return Polled.REFUSED
    log.info("source_read", source=polling.name, configurations=len(found))
    return Polled.READ


def apply(tx: Tx, claim: Claim, reading: Reading) -> bool:
    """Count a reading; False, and nothing is written, if it is not newer than the last one or the claim was lost."""
    last_at = snapshots.last_reading(tx, claim.source)
    known = snapshots.known(tx, claim.source)
    if not sources.mark_read(tx, claim, reading.taken_at):
        return False
    number = snapshots.begin_reading(tx, claim.source, reading.taken_at)
    described = {configuration.ai_llm: configuration for configuration in reading.configurations or ()}
    new = [snapshot for snapshot in reading.snapshots if snapshot.ai_llm not in known]
    numbers = snapshots.add_configurations(
        tx,
        claim.source,
        [described.get(one.ai_llm) or Configuration(one.ai_llm, one.ai_llm) for one in new],
        reading.taken_at,
    )
    renamed = {
        before.number: described[ai_llm]
        for ai_llm, before in known.items()
        if ai_llm in described and described[ai_llm] != before.configuration
    }
    snapshots.update_configurations(tx, renamed)
    seen = {snapshot.ai_llm: snapshot for snapshot in reading.snapshots}
    counted = [_count(before, seen.get(ai_llm), described.get(ai_llm), last_at) for ai_llm, before in known.items()]
    counted += [
        Counted(numbers[one.ai_llm], first_sight(one.totals, from_zero=last_at is not None), absent=False, changed=True)
        for one in new
    ]
    snapshots.write_slice(tx, number, counted, reading.taken_at)
    return True


def _count(
    before: Known, snapshot: Snapshot | None, described: Configuration | None, last_at: datetime | None
) -> Counted:
    """Where a known configuration's odometers stand after a reading. One that is absent carries its values."""
    if snapshot is None:
        return Counted(before.number, before.odometers, absent=True, changed=False)
    if _made_again(before, described, last_at):
        odometers, steps = start_again(before.odometers, snapshot.totals)
    else:
        odometers, steps = read_on(before.odometers, snapshot.totals)
    return Counted(before.number, odometers, absent=False, changed=odometers != before.odometers, steps=steps)


def _made_again(before: Known, now: Configuration | None, last_at: datetime | None) -> bool:
    """Whether the configuration was deleted and made again under its id since the last reading.

    Names may come long after the totals: one that was made again before the last reading has been counted from then on.
    """
    made_at, made_before = now.created_at if now else None, before.configuration.created_at
    if made_at is None or made_before is None or made_at <= made_before:
        return False
    return before.absent or last_at is None or made_at > last_at
