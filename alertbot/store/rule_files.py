"""What the configuration file of each running process says about rules and sources."""

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.domain.rule_files import RuleFile
from alertbot.store.database import Tx
from alertbot.store.tables import rule_files
from alertbot.store.upserts import upsert

_REFRESH_EVERY = timedelta(seconds=10)  # evaluation runs each second; a row need not be written that often
LIVE_FOR = timedelta(seconds=60)  # a process that has not refreshed its row for so long does not run


def register(tx: Tx, file: RuleFile, *, now: datetime) -> None:
    """Say that a process runs with this file."""
    known = tx.execute(sa.select(rule_files).where(rule_files.c.process == file.process)).one_or_none()
    values = {"seen_at": now, "rules": dict(file.rules), "sources": sorted(file.sources)}
    if (
        known is not None
        and abs(now - known.seen_at) < _REFRESH_EVERY
        and (known.rules, known.sources) == (values["rules"], values["sources"])
    ):
        return
    tx.execute(upsert(tx, rule_files, update=values), {"process": file.process, **values})
    tx.execute(sa.delete(rule_files).where(rule_files.c.seen_at < now - LIVE_FOR))


def of_others(tx: Tx, process: str, *, now: datetime) -> list[RuleFile]:
    """The files of the other processes that run now."""
    alive = sa.and_(
        rule_files.c.process != process,
        rule_files.c.seen_at >= now - LIVE_FOR,
        rule_files.c.seen_at <= now + LIVE_FOR,  # the row of a process that ended before the clock was set back
    )
    rows = tx.execute(sa.select(rule_files).where(alive).order_by(rule_files.c.process))
    return [RuleFile(row.process, row.rules, frozenset(row.sources)) for row in rows]


def last_seen(tx: Tx) -> datetime | None:
    """When a process that is not known to have ended refreshed its row last."""
    return tx.execute(sa.select(sa.func.max(rule_files.c.seen_at))).scalar()


def remove(tx: Tx, processes: Collection[str]) -> None:
    """Forget the files of processes that have ended."""
    tx.execute(sa.delete(rule_files).where(rule_files.c.process.in_(processes)))
