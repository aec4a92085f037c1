"""Who has opened the app's Home, and what was last published there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from alertbot.store.database import Tx
from alertbot.store.tables import alert_is_open, alerts, homes, rule_changes, silences, sources
from alertbot.store.upserts import upsert


@dataclass(frozen=True, slots=True)
class Home:
    """A user's Home, its current page, and the fingerprint of what was last published there."""

    user: str
    page: int
    shown: str


def fingerprint(tx: Tx, now: datetime) -> str:
    """A text that changes with what every Home shows: alerts, silences, rules, failing sources."""
    counts = [
        sa.select(sa.func.max(alerts.c.number)),
        sa.select(sa.func.count()).select_from(alerts).where(alert_is_open),
        sa.select(sa.func.sum(alerts.c.version)).where(alert_is_open),
        sa.select(sa.func.max(silences.c.number)),
        sa.select(sa.func.count()).select_from(silences).where(silences.c.ends_at >= now),
        sa.select(sa.func.count()).select_from(sources).where(sources.c.failing),
        sa.select(sa.func.count()).select_from(rule_changes),
    ]
    row = tx.execute(sa.select(*(count.scalar_subquery() for count in counts))).one()
    return ".".join(str(count or 0) for count in row)


def opened(tx: Tx, user: str, *, page: int, shown: str, now: datetime) -> None:
    """Note that a user opens a page of their Home, which is published with this fingerprint."""
    values = {"opened_at": now, "page": page, "published_at": now, "shown": shown}
    tx.execute(upsert(tx, homes, update=values), {"user": user, **values})


def page_of(tx: Tx, user: str, *, opened_since: datetime) -> int | None:
    """The page that a user looks at; None if they have not opened their Home since then."""
    recent = sa.and_(homes.c.user == user, homes.c.opened_at >= opened_since)
    page: int | None = tx.execute(sa.select(homes.c.page).where(recent)).scalar()
    return page


def recently_opened(tx: Tx, *, since: datetime) -> bool:
    """Whether any user has opened their Home since then."""
    return tx.execute(sa.select(homes.c.user).where(homes.c.opened_at >= since).limit(1)).first() is not None


def stale(tx: Tx, *, shown: str, opened_since: datetime, published_until: datetime, most: int) -> Sequence[Home]:
    """The Homes that show something else than this fingerprint, longest unpublished first."""
    outdated = sa.and_(
        homes.c.opened_at >= opened_since, homes.c.published_at <= published_until, homes.c.shown != shown
    )
    rows = tx.execute(sa.select(homes).where(outdated).order_by(homes.c.published_at).limit(most))
    return [Home(row.user, row.page, row.shown) for row in rows]


def claim(tx: Tx, home: Home, *, shown: str, now: datetime) -> bool:
    """Claim a Home to publish it with this fingerprint; False if another process has since it was loaded."""
    unchanged = sa.and_(homes.c.user == home.user, homes.c.shown == home.shown)
    return tx.execute(sa.update(homes).where(unchanged).values(published_at=now, shown=shown)).rowcount == 1


def mark_unpublished(tx: Tx, user: str) -> None:
    """Note that a Home could not be published, so that it is tried again."""
    tx.execute(sa.update(homes).where(homes.c.user == user).values(shown=""))


def forget(tx: Tx, user: str) -> None:
    """Publish nothing for a user until they open their Home again."""
    tx.execute(sa.delete(homes).where(homes.c.user == user))
