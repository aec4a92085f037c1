"""The refreshed tokens of each source, encrypted, and which process may refresh them.

A lease that ends later than one taken now could was written before the clock was set back, and does not count.
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
    """One source's tokens, encrypted, and how their refresh goes. Each write of a token gives another ciphertext.

    `generation` is the fence: it grows with each write.
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
    """New tokens, encrypted, and when the access token expires by our clock."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime | None
    refreshed_at: datetime


def find(tx: Tx, name: str) -> StoredCredentials | None:
    """The credentials of a source; None if none are stored."""
    columns = [credentials.c[part] for part in StoredCredentials.__slots__]
    row = tx.execute(sa.select(*columns).join(sources).where(sources.c.name == name)).mappings().first()
    return None if row is None else StoredCredentials(**row)


def fingerprints(tx: Tx) -> Mapping[str, str]:
    """The fingerprint of the configured credentials of each source with stored tokens, by name."""
    has_tokens = sa.or_(credentials.c.access_token != "", credentials.c.refresh_token != "")
    rows = tx.execute(sa.select(sources.c.name, credentials.c.fingerprint).join(credentials).where(has_tokens))
    return {row.name: row.fingerprint for row in rows}


def begin(tx: Tx, name: str, fingerprint: str) -> StoredCredentials:
    """Add a row for a source, unless another process has. Returns what is stored."""
    number = sa.select(sources.c.number).where(sources.c.name == name).scalar_subquery()
    tx.execute(upsert(tx, credentials).values(source=number, fingerprint=fingerprint))
    stored = find(tx, name)
    assert stored is not None, "it was there, or is now"
    return stored


def begin_again(tx: Tx, stored: StoredCredentials, fingerprint: str, *, keeps_refresh_token: bool) -> bool:
    """Drop the tokens of a configuration that has changed; False if another process has written meanwhile."""
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
    """Claim the right to refresh the tokens once; None if another process has it, or has written meanwhile."""
    if stored.lease_until is not None and now < stored.lease_until <= now + 2 * lease:
        return None
    if not _write(tx, stored, owner=owner, lease_until=now + lease):
        return None
    return replace(stored, lease_until=now + lease, generation=stored.generation + 1)


def release(tx: Tx, claimed: StoredCredentials) -> None:
    """End a claim without a result."""
    _write(tx, claimed, lease_until=None)


def release_everyone(tx: Tx) -> None:
    """End every claim. For a database that no other process uses: a process that died has left its claims."""
    held = credentials.c.lease_until.is_not(None)
    tx.execute(sa.update(credentials).where(held).values(lease_until=None, generation=credentials.c.generation + 1))


def keep(tx: Tx, claimed: StoredCredentials, new: NewTokens) -> bool:
    """Store refreshed tokens; False if the tokens that were refreshed are no longer the stored ones.

    The lease is not asked: a process that was frozen during the refresh still has the only tokens that work.
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
    """Whether the next refresh waits because the server refused the newest access token at once."""
    return stored.retry_at is not None and not stored.refused


def refuse(tx: Tx, claimed: StoredCredentials, reason: str, *, retry_at: datetime) -> bool:
    """Note that the refresh was refused, and end the claim; False if another process has written meanwhile."""
    return _write(
        tx, claimed, refused=reason, retry_at=retry_at, attempts=claimed.attempts + 1, owner="", lease_until=None
    )


def put_off(tx: Tx, stored: StoredCredentials, *, retry_at: datetime) -> None:
    """Put the next refresh off: the server refused the newest access token at once."""
    _write(tx, stored, retry_at=retry_at, attempts=stored.attempts + 1)


def _write(tx: Tx, stored: StoredCredentials, **values: object) -> bool:
    unchanged = sa.and_(credentials.c.source == stored.source, credentials.c.generation == stored.generation)
    values["generation"] = stored.generation + 1
    return tx.execute(sa.update(credentials).where(unchanged).values(values)).rowcount == 1
