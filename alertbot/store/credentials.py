"""The tokens that each source was given in exchange for others, locked, and who may exchange them now.

Times of leases are lengths at most: one that lies further ahead than it can was written by a clock that was set back since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import credentials, sources
from alertbot.store.upserts import upsert


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """What is stored of one source's access. The tokens are locked; a locked text is never written twice.

    `generation` is the fence: it grows with whatever is written here.
    """

    source: int
    fingerprint: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime | None
    refreshed_at: datetime | None
    refused: str
    retry_at: datetime | None
    attempts: int
    lease_until: datetime | None
    generation: int


@dataclass(frozen=True, slots=True)
class NewTokens:
    """New tokens, locked, and when the access token expires by our clock."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime | None
    refreshed_at: datetime


def find(tx: Tx, name: str) -> StoredCredentials | None:
    """What is stored of the source of this name."""
    columns = [credentials.c[part] for part in StoredCredentials.__slots__]
    row = tx.execute(sa.select(*columns).join(sources).where(sources.c.name == name)).mappings().first()
    return None if row is None else StoredCredentials(**row)


def fingerprints(tx: Tx) -> Mapping[str, str]:
    """The seed of each source of which tokens are stored, by its name."""
    locked = sa.or_(credentials.c.access_token != "", credentials.c.refresh_token != "")
    rows = tx.execute(sa.select(sources.c.name, credentials.c.fingerprint).join(credentials).where(locked))
    return {row.name: row.fingerprint for row in rows}


def begin(tx: Tx, name: str, fingerprint: str) -> StoredCredentials:
    """Give a source its row; the one that is there if another process was first."""
    number = sa.select(sources.c.number).where(sources.c.name == name).scalar_subquery()
    tx.execute(upsert(tx, credentials).values(source=number, fingerprint=fingerprint))
    found = find(tx, name)
    assert found is not None, "it was there, or is now"
    return found


def begin_again(tx: Tx, stored: StoredCredentials, fingerprint: str, *, keeps_refresh_token: bool) -> bool:
    """Forget what came of a configuration that has changed; False if somebody has written meanwhile."""
    fresh = {
        "fingerprint": fingerprint,
        "access_token": "",
        "refresh_token": stored.refresh_token if keeps_refresh_token else "",
        "expires_at": None,
        "refreshed_at": None,
        "refused": "",
        "retry_at": None,
        "attempts": 0,
        "lease_until": None,
    }
    return _write(tx, stored, **fresh)


def claim(
    tx: Tx, stored: StoredCredentials, *, owner: str, lease: timedelta, now: datetime
) -> StoredCredentials | None:
    """Take the right to exchange the tokens once; None if somebody else has it, or has written meanwhile."""
    if stored.lease_until is not None and now < stored.lease_until <= now + 2 * lease:
        return None
    if not _write(tx, stored, owner=owner, lease_until=now + lease):
        return None
    return replace(stored, lease_until=now + lease, generation=stored.generation + 1)


def release(tx: Tx, claimed: StoredCredentials) -> None:
    """Give the right back: nothing came of it."""
    _write(tx, claimed, lease_until=None)


def release_everyone(tx: Tx) -> None:
    """Forget every claim: for a start on a database that no other process uses, after one that could not end its own."""
    held = credentials.c.lease_until.is_not(None)
    tx.execute(sa.update(credentials).where(held).values(lease_until=None, generation=credentials.c.generation + 1))


def keep(tx: Tx, claimed: StoredCredentials, new: NewTokens) -> bool:
    """Store what came of an exchange; False if the tokens that were exchanged are not the stored ones any more.

    That decides, not the lease: whoever was frozen in the middle still has the only token that works.
    """
    values = {
        "access_token": new.access_token,
        "refresh_token": new.refresh_token,
        "expires_at": new.expires_at,
        "refreshed_at": new.refreshed_at,
        "refused": "",
        "retry_at": None,
        "attempts": claimed.attempts if is_put_off(claimed) else 0,
        "lease_until": None,
        "generation": credentials.c.generation + 1,
    }
    same = sa.and_(
        credentials.c.source == claimed.source,
        credentials.c.fingerprint == claimed.fingerprint,
        credentials.c.access_token == claimed.access_token,
        credentials.c.refresh_token == claimed.refresh_token,
    )
    return tx.execute(sa.update(credentials).where(same).values(values)).rowcount == 1


def is_put_off(stored: StoredCredentials) -> bool:
    """Whether the newest token was refused as soon as it was there, so that another one is not wanted at once."""
    return stored.retry_at is not None and not stored.refused


def refuse(tx: Tx, claimed: StoredCredentials, reason: str, *, retry_at: datetime) -> bool:
    """Note that the exchange was refused, and end the claim; False if somebody has written meanwhile."""
    return _write(
        tx, claimed, refused=reason, retry_at=retry_at, attempts=claimed.attempts + 1, owner="", lease_until=None
    )


def put_off(tx: Tx, stored: StoredCredentials, *, retry_at: datetime) -> None:
    """Note that the newest access token was refused as soon as it was there."""
    _write(tx, stored, retry_at=retry_at, attempts=stored.attempts + 1)


def _write(tx: Tx, stored: StoredCredentials, **values: object) -> bool:
    unchanged = sa.and_(credentials.c.source == stored.source, credentials.c.generation == stored.generation)
    values["generation"] = stored.generation + 1
    return tx.execute(sa.update(credentials).where(unchanged).values(values)).rowcount == 1
