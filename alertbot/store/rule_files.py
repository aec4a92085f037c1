"""The rules and sources in the configuration file of each running process."""

from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa

from alertbot.domain.rule_files import RuleFile
from alertbot.store.database import Tx
from alertbot.store.tables import rule_files
from alertbot.store.upserts import upsert

_REFRESH_EVERY = timedelta(seconds=10)  # less often than evaluation, which runs each second
LIVE_FOR = timedelta(seconds=60)  # a process that has not refreshed its row for so long has ended


def register(tx: Tx, file: RuleFile, *, now: datetime) -> None:
    """Note that a process runs with this file."""
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
    """The files of the other running processes."""
    alive = sa.and_(
        rule_files.c.process != process,
        rule_files.c.seen_at >= now - LIVE_FOR,
        rule_files.c.seen_at <= now + LIVE_FOR,  # the row of a process that ended before the clock was set back
    )
    rows = tx.execute(sa.select(rule_files).where(alive).order_by(rule_files.c.process))
    return [RuleFile(row.process, row.rules, frozenset(row.sources)) for row in rows]


def last_seen(tx: Tx) -> datetime | None:
    """When any process last refreshed its row."""
    return tx.execute(sa.select(sa.func.max(rule_files.c.seen_at))).scalar()


def remove(tx: Tx, processes: Collection[str]) -> None:
    """Delete the files of processes that have ended."""
    tx.execute(sa.delete(rule_files).where(rule_files.c.process.in_(processes)))
