"""Which rows have expired, as conditions, and deleting them in batches.

How long rows are kept is up to the caller. No condition includes what is open, or what something open refers to.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from alertbot.domain.datasets import feed_name
from alertbot.domain.points import Dataset, Resolution
from alertbot.store.channels import EVERY_CHANNEL
from alertbot.store.configurations import note_change
from alertbot.store.database import Tx
from alertbot.store.tables import (
    actions,
    ai_points,
    alert_is_open,
    alerts,
    channels,
    configurations,
    counter_resets,
    counters,
    credentials,
    decisions,
    evidence,
    groups,
    homes,
    label_sets,
    memberships,
    outbox,
    readings,
    rests,
    rule_changes,
    rules,
    silences,
    snapshots,
    sources,
    storage_points,
    transitions,
)

BATCH = 5000  # rows deleted in one transaction: it blocks SQLite's writer for 0.01 s to 0.25 s, depending on the disk


@dataclass(frozen=True, slots=True)
class Expired:
    """Rows of a table that may be deleted."""

    table: sa.Table
    condition: sa.ColumnElement[bool]


def exist(tx: Tx, rows: Expired) -> bool:
    """Whether there are any."""
    return (
        tx.execute(sa.select(sa.literal(1)).select_from(rows.table).where(rows.condition).limit(1)).first() is not None
    )


def delete_some(tx: Tx, rows: Expired, *, most: int = BATCH) -> int:
    """Delete at most `most` rows. Returns how many; fewer than `most` if none are left."""
    key = list(rows.table.primary_key.columns)
    chosen = sa.select(*key).where(rows.condition).limit(most).correlate(None)
    identity = key[0] if len(key) == 1 else sa.tuple_(*key)
    deleted = tx.execute(sa.delete(rows.table).where(identity.in_(chosen))).rowcount
    if deleted and rows.table in (configurations, label_sets):
        note_change(tx)
    return deleted


def buckets(resolution: Resolution, *, before: datetime) -> list[Expired]:
    """Points of one resolution; their sums by coarser resolutions stay."""
    tables = (ai_points, storage_points)
    return [
        Expired(table, sa.and_(table.c.resolution == resolution.value, table.c.bucket < before)) for table in tables
    ]


def of_evidence(*, before: datetime) -> list[Expired]:
    """Violations and policy alerts."""
    return [Expired(evidence, evidence.c.at < before)]


def of_counting(*, before: datetime) -> list[Expired]:
    """Counter resets, rests, and the configurations and label sets that no stored reading or point uses."""
    named = sa.exists().where(
        label_sets.c.source == configurations.c.source, label_sets.c.ai_llm == configurations.c.ai_llm
    )
    counted = sa.exists().where(counters.c.configuration == configurations.c.number)
    unseen = sa.and_(configurations.c.seen_at < before, ~counted, ~named)
    return [
        Expired(counter_resets, counter_resets.c.at < before),
        Expired(rests, rests.c.until < before),
        Expired(label_sets, label_sets.c.last_at < before),
        Expired(configurations, sa.or_(configurations.c.absent_since < before, unseen)),
    ]


def of_the_trail(*, before: datetime) -> list[Expired]:
    """Sent notifications, closed groups, resolved alerts, actions, silences and rule changes.

    In an order in which rows are deleted before those that they refer to, so that no deletion cascades.
    """
    notification = sa.and_(outbox.c.state != "waiting", outbox.c.done_at < before)
    group = _over(before=before)
    gone = sa.select(groups.c.number).where(group)
    alert = sa.and_(
        ~alert_is_open,
        sa.func.coalesce(alerts.c.resolved_at, alerts.c.pending_since) < before,
        sa.or_(
            alerts.c.period.is_(None), alerts.c.period < before
        ),  # a budget's last alert of a period stays until that ends
        ~sa.exists().where(memberships.c.alert == alerts.c.number),
    )
    dead = sa.select(alerts.c.number).where(alert)
    return [
        Expired(outbox, notification),
        Expired(decisions, decisions.c.group.in_(gone)),
        Expired(memberships, memberships.c.group.in_(gone)),
        Expired(groups, group),
        Expired(transitions, transitions.c.alert.in_(dead)),
        Expired(actions, actions.c.alert.in_(dead)),
        Expired(alerts, alert),
        Expired(silences, silences.c.ends_at < before),
        # The newest stays, so that its number is not used again.
        Expired(
            rule_changes,
            sa.and_(
                rule_changes.c.at < before,
                rule_changes.c.number.not_in(sa.select(rules.c.version)),
                rule_changes.c.number < sa.select(sa.func.max(rule_changes.c.number)).correlate(None).scalar_subquery(),
            ),
        ),
        Expired(channels, _unused(before=before)),
        Expired(homes, homes.c.opened_at < before),
    ]


def _over(*, before: datetime) -> sa.ColumnElement[bool]:
    """Closed groups, without those that an open group links to or that have outbox entries."""
    later = groups.alias("later")
    return sa.and_(
        groups.c.closed_at < before,
        ~sa.exists().where(later.c.previous == groups.c.number, later.c.closed_at.is_(None)),
        ~sa.exists().where(outbox.c.group == groups.c.number),
    )


def _unused(*, before: datetime) -> sa.ColumnElement[bool]:
    """Channels that work and are not paused, and those that broke long ago and that nothing open needs."""
    opened = sa.exists().where(groups.c.channel == channels.c.name, groups.c.closed_at.is_(None))
    waiting = sa.exists().where(outbox.c.channel == channels.c.name, outbox.c.state == "waiting")
    calm = sa.or_(channels.c.wait_until.is_(None), channels.c.wait_until < before)
    works = sa.and_(channels.c.broken == "", calm)
    forgotten = sa.and_(channels.c.broken_at < before, channels.c.name != EVERY_CHANNEL, ~opened, ~waiting)
    return sa.or_(works, forgotten)


def of_gone_sources(names: Collection[str], *, tokens_before: datetime, before: datetime) -> list[Expired]:
    """The rows of sources that are no longer configured: tokens soon, the rest once they have no evidence and points."""
    feeds = [feed_name(name, dataset) for name in names for dataset in Dataset]
    unnamed = sources.c.name.not_in(feeds)
    left = sa.select(sources.c.number).where(unnamed, sources.c.tried_at < tokens_before)
    silent = sa.and_(
        unnamed,
        sources.c.tried_at < before,
        ~sa.exists().where(evidence.c.source == sources.c.number),
        ~sa.exists().where(label_sets.c.source == sources.c.number),
    )
    gone = sa.select(sources.c.number).where(silent)
    its_readings = sa.select(readings.c.number).where(readings.c.source.in_(gone))
    return [
        Expired(credentials, credentials.c.source.in_(left)),
        Expired(snapshots, snapshots.c.reading.in_(its_readings)),
        Expired(readings, readings.c.source.in_(gone)),
        Expired(configurations, configurations.c.source.in_(gone)),
        Expired(sources, silent),
    ]


def batches(sizes: Sequence[tuple[int, int]], *, most: int = BATCH) -> list[list[int]]:
    """Readings, given as number and rows, in batches of at most `most` rows.

    A reading is never split, as half of it would pass for the whole; it has at most a row for each LLM of its source.
    """
    split: list[list[int]] = []
    rows = most
    for number, size in sizes:
        if rows + size > most:
            split.append([])
            rows = 0
        split[-1].append(number)
        rows += size
    return split
