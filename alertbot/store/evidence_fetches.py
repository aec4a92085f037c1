"""How far the evidence of each source is fetched, and which process may fetch more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.domain.evidence import EvidenceKind
from alertbot.store.database import Tx
from alertbot.store.tables import evidence_fetches, sources
from alertbot.store.upserts import upsert

_UNTIL = {
    EvidenceKind.VIOLATION: evidence_fetches.c.violations_until,
    EvidenceKind.ALERT: evidence_fetches.c.alerts_until,
}


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """How far the evidence of a source is fetched.

    `until` is the time of the newest of each kind, by the server's clock; violations have no gap from `complete_since`
    on. `missing` are the kinds that the server does not list; `differs` says how the list and the counters disagree.
    """

    source: int
    read_at: datetime | None = None
    complete_since: datetime | None = None
    until: Mapping[EvidenceKind, datetime | None] | None = None
    paused_until: datetime | None = None
    missing: frozenset[EvidenceKind] = frozenset()
    error: str = ""
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to fetch evidence of a source once."""

    source: int
    generation: int


def state(tx: Tx, name: str) -> EvidenceState | None:
    """How far the evidence of a source is fetched; None if none was ever asked for."""
    return states(tx, [name]).get(name)


def states(tx: Tx, names: Iterable[str]) -> dict[str, EvidenceState]:
    """How far the evidence of these sources is fetched; without those where none was ever asked for."""
    rows = tx.execute(
        sa.select(sources.c.name, evidence_fetches)
        .join(sources, sources.c.number == evidence_fetches.c.source)
        .where(sources.c.name.in_(list(names)))
    )
    return {
        row.name: EvidenceState(
            source=row.source,
            read_at=row.read_at,
            complete_since=row.complete_since,
            until={EvidenceKind.VIOLATION: row.violations_until, EvidenceKind.ALERT: row.alerts_until},
            paused_until=row.paused_until,
            missing=frozenset(map(EvidenceKind, row.missing.split())),
            error=row.error,
            differs=row.differs,
        )
        for row in rows
    }


def claim(tx: Tx, name: str, *, owner: str, lease: timedelta, now: datetime) -> Claim | None:
    """Claim the evidence of a source; None while another process fetches it, or during a pause that the server asked for."""
    number = tx.execute(sa.select(sources.c.number).where(sources.c.name == name)).scalar_one()
    tx.execute(upsert(tx, evidence_fetches), {"source": number})
    free = sa.or_(
        evidence_fetches.c.lease_until.is_(None),
        evidence_fetches.c.lease_until <= now,
        evidence_fetches.c.owner == owner,
    )
    awake = sa.or_(evidence_fetches.c.paused_until.is_(None), evidence_fetches.c.paused_until <= now)
    # Quotas are per user: a pause of the totals is one of the evidence, too.
    source_paused = sa.exists().where(sources.c.number == number, sources.c.paused_until > now)
    generation = tx.execute(
        sa.update(evidence_fetches)
        .where(evidence_fetches.c.source == number, free, awake, ~source_paused)
        .values(owner=owner, lease_until=now + lease, generation=evidence_fetches.c.generation + 1)
        .returning(evidence_fetches.c.generation)
    ).scalar()
    return None if generation is None else Claim(number, generation)


def mark_read(
    tx: Tx,
    claimed: Claim,
    *,
    read_at: datetime,
    until: Mapping[EvidenceKind, datetime],
    complete_since: datetime | None,
    missing: Iterable[EvidenceKind] = (),
    error: str = "",
    paused_until: datetime | None = None,
) -> bool:
    """Note what was fetched and end the claim; False if the claim was lost. A kind that is not in `until` keeps its time."""
    values = {_UNTIL[kind].name: moment for kind, moment in until.items()}
    return _end(
        tx,
        claimed,
        read_at=read_at,
        complete_since=complete_since,
        missing=" ".join(sorted(missing)),
        error=error,
        paused_until=paused_until,
        **values,
    )


def mark_failed(tx: Tx, claimed: Claim, error: str, *, paused_until: datetime | None) -> bool:
    """Note that fetching failed, and end the claim; False if the claim was lost."""
    return _end(tx, claimed, error=error, paused_until=paused_until)


def _end(tx: Tx, claimed: Claim, **values: object) -> bool:
    is_held = sa.and_(evidence_fetches.c.source == claimed.source, evidence_fetches.c.generation == claimed.generation)
    return tx.execute(sa.update(evidence_fetches).where(is_held).values(lease_until=None, **values)).rowcount == 1


def note_difference(tx: Tx, source: int, text: str) -> None:
    """Note how the list and the counters of a source disagree; empty if they do not."""
    tx.execute(sa.update(evidence_fetches).where(evidence_fetches.c.source == source).values(differs=text))
