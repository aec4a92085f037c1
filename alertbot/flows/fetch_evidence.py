"""Evidence: fetches the violations and policy alerts behind the counts, and holds the one against the other.

Beside the other flows: counting, alerts and delivery never wait for it, and its failure blinds nothing but itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from alertbot.domain.alerts import Alert, State
from alertbot.domain.evidence import (
    CLOCKS_APART,
    Evidence,
    EvidenceKind,
    difference,
    growth,
    has_evidence,
    scopes_of,
)
from alertbot.domain.history import Slice
from alertbot.domain.notifications import Notification, NotificationKind
from alertbot.domain.rules import Rule
from alertbot.domain.snapshots import Counter
from alertbot.errors import FlashbackBusy, FlashbackError, FlashbackForbidden, FlashbackMissing
from alertbot.flashback.evidence_pages import EvidenceFound
from alertbot.store import alerts, evidence, evidence_fetches, groups, outbox, slices, snapshots, sources
from alertbot.store.database import Database, Tx
from alertbot.store.evidence_fetches import Claim, EvidenceState

log = structlog.get_logger()
_LOOK_BACK = timedelta(hours=48)  # the first time: enough for what people ask on the first day, of yesterday too
_OVERLAP = timedelta(minutes=10)  # evidence may be written down later than it is dated
_HOUR = timedelta(hours=1)
_PATIENCE = timedelta(minutes=15)  # what was counted so long ago is listed by now, or never will be
_UNPROMPTED = timedelta(minutes=5)  # how often the list is asked for where the counts say nothing
_WHILE_FIRING = timedelta(minutes=1)  # the same while an alert fires that it could be about
_ASK_AGAIN = timedelta(hours=1)  # for what the server does not have
_AFTER_A_FAILURE = timedelta(minutes=1)
_BUSY_PAUSE = timedelta(minutes=1)  # after a 429 that names no pause
LEASE = timedelta(minutes=2)
_COUNTERS: Mapping[EvidenceKind, tuple[Counter, ...]] = {
    EvidenceKind.VIOLATION: (Counter.POLICY_VIOLATIONS, Counter.POLICY_BLOCKS),
    EvidenceKind.ALERT: (Counter.POLICY_ALERTS,),
}
_ALL = frozenset(counter for counters in _COUNTERS.values() for counter in counters)


class Lister(Protocol):
    """Lists evidence: FlashbackClient in real life. Raises FlashbackError where the answer cannot be used."""

    def violations(self, *, since: datetime, within: timedelta) -> EvidenceFound: ...

    def policy_alerts(self, *, since: datetime, within: timedelta) -> EvidenceFound: ...

    def policies(self) -> Mapping[str, str]: ...


class FetchOutcome(StrEnum):
    """What came of it."""

    FETCHED = "fetched"
    FAILED = "failed"
    MISSING = "missing"
    NOT_WANTED = "not wanted"
    TAKEN = "taken"


@dataclass(slots=True)
class _Policies:
    """What policies are called that the lists name by their ids only."""

    names: Mapping[str, str] = field(default_factory=dict)
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EvidenceFetch:
    """How the evidence of a source is fetched. `rules` tell which of it belongs to which message."""

    name: str
    lister: Lister
    rules: Sequence[Rule] = ()
    told: set[str] = field(default_factory=set)  # what this process has logged, and need not again
    asked: dict[EvidenceKind, datetime] = field(default_factory=dict)  # when it was last asked for each kind
    policies: _Policies = field(default_factory=_Policies)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What the server lists, by kind, and the kinds that it does not have."""

    lists: dict[EvidenceKind, EvidenceFound] = field(default_factory=dict)
    missing: dict[EvidenceKind, FlashbackError] = field(default_factory=dict)


def fetch_evidence(
    database: Database, evidence_fetch: EvidenceFetch, *, owner: str, clock: Callable[[], datetime]
) -> FetchOutcome:
    """Fetch what is new of a source's evidence, if the counts or an open alert call for it and nobody else does."""
    now = clock()
    with database.reading() as tx:
        state = evidence_fetches.state(tx, evidence_fetch.name)
        counts = _Counts(tx, evidence_fetch.name, state, now)
        wanted = _wanted(evidence_fetch, state, counts, now)
        verdict = counts.difference()
    if state is not None and verdict is not None and verdict != state.differs:
        _tell_difference(database, evidence_fetch, state, verdict)
    if not wanted:
        return FetchOutcome.NOT_WANTED
    with database.transaction() as tx:
        claim = evidence_fetches.claim(tx, evidence_fetch.name, owner=owner, lease=LEASE, now=now)
    if claim is None:
        return FetchOutcome.TAKEN
    since = {kind: _since(kind, state, now) for kind in wanted}
    try:
        fetched = _fetch(evidence_fetch, since, now)
    except FlashbackError as error:
        return _fail(database, evidence_fetch, claim, error, clock())
    listed = _with_policies(evidence_fetch, [one for each in fetched.lists.values() for one in each.found], now)
    with database.transaction() as tx:
        if not _mark_read(tx, claim, state, fetched, now):
            return FetchOutcome.TAKEN
        found = [replace(one, source=evidence_fetch.name) for one in listed]
        new = evidence.keep(tx, claim.source, found)
        _refresh_messages(tx, evidence_fetch, new, now)
    _tell_what_came(evidence_fetch, fetched, len(new))
    return FetchOutcome.FETCHED if fetched.lists else FetchOutcome.MISSING


def _wanted(
    evidence_fetch: EvidenceFetch, state: EvidenceState | None, counts: "_Counts", now: datetime
) -> list[EvidenceKind]:
    """What has to be asked for."""
    if state is None or state.read_at is None:
        return list(EvidenceKind)
    found = []
    rested = now - state.read_at >= _UNPROMPTED
    for kind in EvidenceKind:
        if kind in state.missing:
            asked_at = evidence_fetch.asked.get(kind)
            reason = asked_at is None or now - asked_at >= _ASK_AGAIN
        elif kind is EvidenceKind.VIOLATION and counts.lacks and (rested or not state.differs):
            reason = True
        else:
            grown = counts.grown_since_read(kind)
            pause = _WHILE_FIRING if counts.is_firing else _UNPROMPTED
            reason = now - state.read_at >= pause if grown is None else grown > 0
        if reason:
            found.append(kind)
    return found


def _fetch(evidence_fetch: EvidenceFetch, since: Mapping[EvidenceKind, datetime], now: datetime) -> _Fetched:
    """What the server lists. Raises FlashbackError for anything that is wrong but that it has no such list."""
    ask = {
        EvidenceKind.VIOLATION: evidence_fetch.lister.violations,
        EvidenceKind.ALERT: evidence_fetch.lister.policy_alerts,
    }
    fetched = _Fetched()
    for kind, start in since.items():
        evidence_fetch.asked[kind] = now
        try:
            fetched.lists[kind] = ask[kind](since=start, within=LEASE / 3)
        except (FlashbackMissing, FlashbackForbidden) as error:
            fetched.missing[kind] = error
    return fetched


def _with_policies(evidence_fetch: EvidenceFetch, found: Sequence[Evidence], now: datetime) -> list[Evidence]:
    """The same with the names of policies that the lists do not name; asked for seldom, and done without if they do not come."""
    known = evidence_fetch.policies
    unnamed = {one.policy for one in found if one.policy and not one.policy_name}
    if unnamed - set(known.names) and (known.asked_at is None or now - known.asked_at >= _ASK_AGAIN):
        known.asked_at = now
        try:
            known.names = evidence_fetch.lister.policies()
        except FlashbackError as error:
            log.warning("names_not_read", endpoint=error.endpoint, kind=error.kind, error=error.lines[0])
    return [replace(one, policy_name=one.policy_name or known.names.get(one.policy, "")) for one in found]


def _since(kind: EvidenceKind, state: EvidenceState | None, now: datetime) -> datetime:
    """From when on a list is asked for: what was known last, by the server's clock, and some more."""
    until = state.until.get(kind) if state is not None and state.until is not None else None
    if state is None or until is None:
        return now - _LOOK_BACK
    # Where something is not there that was counted, it may have been dated back further.
    return min(until - _OVERLAP, now - _HOUR - _PATIENCE - CLOCKS_APART) if state.differs else until - _OVERLAP


def _mark_read(tx: Tx, claim: Claim, state: EvidenceState | None, fetched: _Fetched, now: datetime) -> bool:
    """Note how far the evidence is known now; False if the claim was lost meanwhile."""
    known = state.until if state is not None and state.until is not None else {}
    newest = {kind: max(one.at for one in each.found) for kind, each in fetched.lists.items() if each.found}
    missing = {*(state.missing if state is not None else ()), *fetched.missing} - set(fetched.lists)
    return evidence_fetches.mark_read(
        tx,
        claim,
        read_at=now,
        until={kind: max(at, known.get(kind) or at) for kind, at in newest.items()},
        complete_since=_complete_since(state, fetched.lists, now),
        missing=missing,
        error="; ".join(error.public for error in fetched.missing.values()),
    )


def _complete_since(
    state: EvidenceState | None, lists: Mapping[EvidenceKind, EvidenceFound], now: datetime
) -> datetime | None:
    """From when on all violations are there: where the list was too long to be read to its end, from what was read last."""
    since, fetched = state.complete_since if state is not None else None, lists.get(EvidenceKind.VIOLATION)
    if fetched is None:
        return since
    since = since or now - _LOOK_BACK
    return since if fetched.is_whole or not fetched.found else max(since, min(one.at for one in fetched.found))


def _fail(
    database: Database, evidence_fetch: EvidenceFetch, claim: Claim, error: FlashbackError, now: datetime
) -> FetchOutcome:
    pause = _AFTER_A_FAILURE
    if isinstance(error, FlashbackBusy):
        pause = timedelta(seconds=error.retry_after) if error.retry_after is not None else _BUSY_PAUSE
    with database.transaction() as tx:
        evidence_fetches.mark_failed(tx, claim, error.public, paused_until=now + pause)
        if isinstance(error, FlashbackBusy):
            sources.pause(tx, evidence_fetch.name, now + pause)
    log.warning("evidence_not_read", source=evidence_fetch.name, kind=error.kind, error=error.lines[0])
    return FetchOutcome.FAILED


def _tell_what_came(evidence_fetch: EvidenceFetch, fetched: _Fetched, new: int) -> None:
    """Log what is new. That a server has no such list is logged once, and once more if it is so again after there was one."""
    if new:
        log.info("evidence_read", source=evidence_fetch.name, new=new)
    for kind, error in fetched.missing.items():
        if kind.value not in evidence_fetch.told:
            evidence_fetch.told.add(kind.value)
            log.warning("evidence_missing", source=evidence_fetch.name, error=error.lines[0])
    evidence_fetch.told.difference_update(kind.value for kind in fetched.lists)
    unreadable = sum(each.unreadable for each in fetched.lists.values())
    if unreadable and "unreadable" not in evidence_fetch.told:
        evidence_fetch.told.add("unreadable")
        log.warning("evidence_unreadable", source=evidence_fetch.name, entries=unreadable)


def _tell_difference(database: Database, evidence_fetch: EvidenceFetch, state: EvidenceState, verdict: str) -> None:
    """Note what is wrong between the list and the counts; logged when it begins and when it is over."""
    with database.transaction() as tx:
        evidence_fetches.note_difference(tx, state.source, verdict)
    if verdict and not state.differs:
        log.warning("evidence_differs", source=evidence_fetch.name, why=verdict)
    elif not verdict:
        log.info("evidence_agrees", source=evidence_fetch.name)


def _refresh_messages(tx: Tx, evidence_fetch: EvidenceFetch, new: Sequence[Evidence], now: datetime) -> None:
    """Have the messages edited, without a ping, that new evidence belongs to."""
    if not new:
        return
    mine = {alert.number: alert for alert in _firing(tx, evidence_fetch.name)}
    if not mine:
        return
    known = evidence.owners(tx, [evidence_fetch.name])
    touched = {
        number
        for number, alert in mine.items()
        if any(scope.covers(one) for scope in scopes_of([alert], evidence_fetch.rules, known) for one in new)
    }
    for number in groups.of_alerts(tx, touched):
        group = groups.load(tx, number)
        if group is not None and group.notified.first_at is not None:  # else its first message is yet to be made
            outbox.add(
                tx, Notification(NotificationKind.EDIT, ping=False), group=number, channel=group.route.channel, now=now
            )


def _firing(tx: Tx, name: str) -> list[Alert]:
    """What fires that evidence of a source could be about."""
    firing = alerts.listed(tx, states=[State.FIRING])
    return [alert for alert in firing if alert.labels.get("source") in {None, name} and has_evidence(alert)]


class _Counts:
    """What the totals of a source say about its evidence."""

    def __init__(self, tx: Tx, name: str, state: EvidenceState | None, now: datetime) -> None:
        self._tx, self._name, self._state, self._now = tx, name, state, now
        read_at = state.read_at if state is not None else None
        moments = {now, now - _HOUR, now - _HOUR - _PATIENCE, now - _PATIENCE, *([read_at] if read_at else [])}
        self._slices: Mapping[tuple[str, datetime], Slice] = slices.slices(
            tx, dict.fromkeys(((name, moment) for moment in moments), _ALL)
        )
        # Known while there is a transaction: what is asked later costs nothing.
        self.is_firing = bool(_firing(tx, name))
        self.lacks = self._lacks()
        self._difference = self._compare()

    def grown_since_read(self, kind: EvidenceKind) -> int | None:
        """How far what a kind is counted by has grown since it was last listed; None where that is not known."""
        if self._state is None or self._state.read_at is None:
            return None
        grown = [self._growth(self._state.read_at, self._now, counter) for counter in _COUNTERS[kind]]
        known = [amount for amount in grown if amount is not None]
        return sum(known) if known else None

    def difference(self) -> str | None:
        """What is wrong between the list and the counts of the hour before the last minutes; None where nobody can say."""
        return self._difference

    def _growth(self, start: datetime, end: datetime, counter: Counter) -> int | None:
        older, newer = self._slices.get((self._name, start)), self._slices.get((self._name, end))
        return None if older is None or newer is None else growth(older, newer, counter)

    def _lacks(self) -> bool:
        """Whether more was counted in the last hour than is listed by now."""
        start = self._now - _HOUR
        older = self._slices.get((self._name, start))
        grown = self._growth(start, self._now, Counter.POLICY_VIOLATIONS)
        if self._state is None or older is None or not grown or not self._is_complete(older.taken_at):
            return False
        return self._listed(older.taken_at - CLOCKS_APART, None) < grown

    def _compare(self) -> str | None:
        start, end = self._now - _HOUR - _PATIENCE, self._now - _PATIENCE
        older, newer = self._slices.get((self._name, start)), self._slices.get((self._name, end))
        grown = self._growth(start, end, Counter.POLICY_VIOLATIONS)
        if self._state is None or older is None or newer is None or grown is None:
            return None
        if older.taken_at >= newer.taken_at or not self._is_complete(older.taken_at):
            return None
        if EvidenceKind.VIOLATION in self._state.missing or self._has_fallen(older.taken_at):
            return None
        return difference(
            grown,
            at_least=self._listed(older.taken_at + CLOCKS_APART, newer.taken_at - CLOCKS_APART),
            at_most=self._listed(older.taken_at - CLOCKS_APART, newer.taken_at + CLOCKS_APART),
        )

    def _is_complete(self, start: datetime) -> bool:
        since = self._state.complete_since if self._state is not None else None
        return since is not None and since <= start - CLOCKS_APART

    def _has_fallen(self, start: datetime) -> bool:
        """Whether the counts themselves were corrected: then they say little about the list."""
        counters = {counter_reset.counter for counter_reset in snapshots.resets_since(self._tx, [self._name], start)}
        return Counter.POLICY_VIOLATIONS in counters

    def _listed(self, start: datetime, end: datetime | None) -> int:
        assert self._state is not None, "asked for only then"
        return evidence.count(self._tx, self._state.source, EvidenceKind.VIOLATION, start, end)
