"""Reading → odometers: how far each counter has come, what fell, who is new, gone or back.

One transaction of `collect`. A reading that lists the same LLMs as the last is counted as columns, any other LLM by LLM.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from alertbot.domain import operator_texts
from alertbot.domain.series import first_sight, read_on, start_again
from alertbot.domain.snapshots import (
    MOST_LLMS,
    RESTS_AFTER,
    Configuration,
    Reading,
    Snapshot,
    SnapshotColumns,
    renamed,
    with_workspace_names,
    within_limit,
)
from alertbot.domain.standing import Standing
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import configurations, operator_alerts, snapshots, sources
from alertbot.store.database import Tx
from alertbot.store.operator_alerts import OperatorAlert
from alertbot.store.recent import LastReading, Recent
from alertbot.store.snapshots import Counted, Known
from alertbot.store.sources import Claim

log = structlog.get_logger()


def apply(
    tx: Tx,
    claim: Claim,
    reading: Reading,
    *,
    operators: str = "",
    most: int = MOST_LLMS,
    recent: Recent | None = None,
) -> LastReading | None:
    """Count a reading; None, and nothing is written, if it is not newer than the last one or the claim was lost.

    No more than `most` LLMs of a source are counted. What is returned may be kept in `recent` once it is committed.
    """
    last, at = snapshots.last_reading(tx, claim.source), reading.taken_at
    if not sources.mark_read(tx, claim, at):
        return None
    membership = configurations.membership(tx, [claim.name])
    kept = None if recent is None or last is None else recent.last_reading(claim.source, last[0], membership)
    number = snapshots.begin_reading(tx, claim.source, at)
    advanced = (
        None
        if kept is None or _has_news(kept, reading)
        else kept.standing.advance(SnapshotColumns.of(reading.snapshots))
    )
    if kept is not None and advanced is not None:
        standing, moved = advanced
        snapshots.write_standing(tx, number, standing)
        snapshots.write_totals(tx, [Counted(*one, absent=False) for one in moved], at)
        return replace(kept, number=number, standing=standing)
    last_at = None if last is None else last[1]
    return _count_all(tx, claim, reading, number, last_at, operators=operators, most=most)


def _has_news(kept: LastReading, reading: Reading) -> bool:
    """Whether an LLM is described otherwise than before, or one has been absent for so long that it rests."""
    if kept.rests_at is not None and reading.taken_at >= kept.rests_at:
        return True
    if reading.configurations is None:
        return False
    described = with_workspace_names(kept.configurations.values(), reading.configurations)
    return any(described[ai_llm] != known for ai_llm, known in kept.configurations.items())


def _count_all(
    tx: Tx, claim: Claim, reading: Reading, number: int, last_at: datetime | None, *, operators: str, most: int
) -> LastReading:
    """Count a reading in which LLMs came, went, or were named otherwise; also the first one of a process."""
    at = reading.taken_at
    known: Mapping[str, Known] = snapshots.known(tx, claim.source, before=number)
    was_crowded = _is_crowded(tx, claim.name)
    listed, left_out = within_limit(reading.snapshots, known, most=most)
    _tell_crowded(
        tx, claim.name, len(listed), left_out, was_crowded=was_crowded, operators=operators, most=most, now=at
    )
    known = _make_room(tx, known, listed, at, most=most)
    before = {ai_llm: (one.number, one.configuration) for ai_llm, one in known.items()}
    described: dict[str, Configuration] = {}
    if reading.configurations is not None:
        described = with_workspace_names((one for _, one in before.values()), reading.configurations)
        configurations.update(tx, renamed(before, described))
    new = [snapshot for snapshot in listed if snapshot.ai_llm not in known]
    made = [described.get(one.ai_llm) or Configuration(one.ai_llm, one.ai_llm) for one in new]
    numbers = configurations.add(tx, claim.source, made, at)
    seen = {snapshot.ai_llm: snapshot for snapshot in listed}
    counted = [_count(before, seen.get(ai_llm), described.get(ai_llm), last_at) for ai_llm, before in known.items()]
    counted += [
        Counted(
            numbers[one.ai_llm],
            first_sight(one.totals, from_zero=_begins_at_zero(configuration, last_at, was_crowded=was_crowded)),
            absent=False,
        )
        for one, configuration in zip(new, made, strict=True)
    ]
    resting = _note_absence(tx, known, seen, at)
    standing = Standing.of(
        {one.number: one.odometers for one in counted if one.number not in resting},
        {ai_llm: known[ai_llm].number if ai_llm in known else numbers[ai_llm] for ai_llm in seen},
    )
    snapshots.write_standing(tx, number, standing)
    snapshots.write_totals(tx, [one for one in counted if not one.absent], at)
    absences = [known[ai_llm].absent_since or at for ai_llm in known.keys() - seen.keys() if not known[ai_llm].rests]
    now_known = {ai_llm: described.get(ai_llm, one.configuration) for ai_llm, one in known.items()}
    now_known |= {configuration.ai_llm: configuration for configuration in made}
    rests_at = min(absences) + RESTS_AFTER if absences else None
    return LastReading(number, configurations.membership(tx, [claim.name]), standing, now_known, rests_at)


def _begins_at_zero(configuration: Configuration, last_at: datetime | None, *, was_crowded: bool) -> bool:
    """Whether the totals of an LLM that is counted for the first time have grown since the last reading.

    Where that reading left LLMs out, this may be one of them: only one that was made since is surely new.
    """
    if last_at is None or not was_crowded:
        return last_at is not None
    return configuration.created_at is not None and configuration.created_at > last_at


def _note_absence(tx: Tx, known: Mapping[str, Known], seen: Collection[str], at: datetime) -> frozenset[int]:
    """Note who has gone and who is back; those who are absent for so long that they have no row in this reading."""
    gone = [one.number for ai_llm, one in known.items() if ai_llm not in seen and one.absent_since is None]
    back = [one.number for ai_llm, one in known.items() if ai_llm in seen and one.absent_since is not None]
    long_absent = [
        one
        for ai_llm, one in known.items()
        if ai_llm not in seen and one.absent_since is not None and at - one.absent_since >= RESTS_AFTER
    ]
    configurations.mark_absent(tx, gone, at)
    configurations.mark_present(tx, back, at)
    snapshots.let_rest(tx, {one.number: one.odometers for one in long_absent if not one.rests}, at)
    return frozenset(one.number for one in long_absent)


def _make_room(
    tx: Tx, known: Mapping[str, Known], listed: Iterable[Snapshot], now: datetime, *, most: int
) -> Mapping[str, Known]:
    """Forget those who are absent for longest where there would be too many with those who are new; who is left."""
    present = {snapshot.ai_llm for snapshot in listed}
    too_many = len(present | known.keys()) - most
    if too_many <= 0:
        return known
    # Who is absent for the first time now comes last.
    absent = [ai_llm for ai_llm in known if ai_llm not in present]
    absent.sort(key=lambda ai_llm: known[ai_llm].absent_since or now)
    forgotten = frozenset(absent[:too_many])
    configurations.delete(tx, [known[ai_llm].number for ai_llm in forgotten])
    return {ai_llm: one for ai_llm, one in known.items() if ai_llm not in forgotten}


def _is_crowded(tx: Tx, name: str) -> bool:
    return _crowd(name) in operator_alerts.standing(tx)


def _crowd(name: str) -> str:
    return f"llms {name}"


def _tell_crowded(
    tx: Tx, name: str, counted: int, left_out: int, *, was_crowded: bool, operators: str, most: int, now: datetime
) -> None:
    """Once when LLMs are left out, and once when there is room again for all and some more."""
    if left_out and not was_crowded:
        log.warning("too_many_llms", source=name, most=most, left_out=left_out)
        operator_alerts.begin(tx, OperatorAlert(_crowd(name), "too many", now, "", now))
        text = operator_texts.llms_left_out(name, listed=counted + left_out, counted=most)
    elif was_crowded and counted <= most * 9 // 10:  # not with each one that comes and goes
        operator_alerts.forget(tx, _crowd(name))
        text = operator_texts.llms_counted_again(name, listed=counted)
    else:
        return
    if operators:
        notify_operators(tx, text, operators=operators, now=now)


def _count(
    before: Known, snapshot: Snapshot | None, described: Configuration | None, last_at: datetime | None
) -> Counted:
    """Where a known configuration's odometers stand after a reading. One that is absent carries its values."""
    if snapshot is None:
        return Counted(before.number, before.odometers, absent=True)
    if _made_again(before, described, last_at):
        odometers, resets = start_again(before.odometers, snapshot.totals)
    else:
        odometers, resets = read_on(before.odometers, snapshot.totals)
    return Counted(before.number, odometers, resets, absent=False)


def _made_again(before: Known, now: Configuration | None, last_at: datetime | None) -> bool:
    """Whether the configuration was deleted and made again under its id since the last reading.

    Names may come long after the totals: one that was made again before the last reading has been counted from then on.
    """
    made_at, made_before = now.created_at if now else None, before.configuration.created_at
    if made_at is None or made_before is None or made_at <= made_before:
        return False
    return before.absent or last_at is None or made_at > last_at
