"""What is over and older than it is kept, as conditions, and the one way in which rows of any table are deleted: some at a time.

Nothing here knows the age at which something goes; it is given a moment. What is open, and what something open refers to,
is never meant by a condition.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from alertbot.domain.datasets import feed_name
from alertbot.domain.points import Dataset, Resolution
from alertbot.store.channels import EVERY_CHANNEL
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

BATCH = 5000  # rows one transaction deletes: hundredths of a second of SQLite's only writer, a quarter on a slow disk


@dataclass(frozen=True, slots=True)
class Expired:
    """The rows of a table that may go."""

    table: sa.Table
    condition: sa.ColumnElement[bool]


def exist(tx: Tx, rows: Expired) -> bool:
    """Whether there are any."""
    return (
        tx.execute(sa.select(sa.literal(1)).select_from(rows.table).where(rows.condition).limit(1)).first() is not None
    )


def delete_some(tx: Tx, rows: Expired, *, most: int = BATCH) -> int:
    """Delete as many as one transaction may; how many they were. Fewer than `most`: there are no more."""
    key = list(rows.table.primary_key.columns)
    chosen = sa.select(*key).where(rows.condition).limit(most).correlate(None)
    place = key[0] if len(key) == 1 else sa.tuple_(*key)
    return tx.execute(sa.delete(rows.table).where(place.in_(chosen))).rowcount


def buckets(resolution: Resolution, *, before: datetime) -> list[Expired]:
    """Points of a span, of every source; their sums by longer spans stay."""
    tables = (ai_points, storage_points)
    return [
        Expired(table, sa.and_(table.c.resolution == resolution.value, table.c.bucket < before)) for table in tables
    ]


def of_evidence(*, before: datetime) -> list[Expired]:
    """Violations and policy alerts."""
    return [Expired(evidence, evidence.c.at < before)]


def of_counting(*, before: datetime) -> list[Expired]:
    """What nobody can count any more: falls, and what no reading or point that is kept has seen."""
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
    """What people were told and did: notifications that are done, messages and alerts that are over, silences, changes of rules.

    Whatever refers to a row goes before it, so that no row takes others with it.
    """
    notification = sa.and_(outbox.c.state != "waiting", outbox.c.done_at < before)
    group = _over(before=before)
    gone = sa.select(groups.c.number).where(group)
    alert = sa.and_(
        ~alert_is_open,
        sa.func.coalesce(alerts.c.resolved_at, alerts.c.pending_since) < before,
        sa.or_(alerts.c.period.is_(None), alerts.c.period < before),  # the memory of a budget's period
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
        # The newest stays: its number is not given out again.
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
    """Messages that are closed, unless an open one links to them, or something about them is still to be sent."""
    later = groups.alias("later")
    return sa.and_(
        groups.c.closed_at < before,
        ~sa.exists().where(later.c.previous == groups.c.number, later.c.closed_at.is_(None)),
        ~sa.exists().where(outbox.c.group == groups.c.number),
    )


def _unused(*, before: datetime) -> sa.ColumnElement[bool]:
    """Channels of which nothing has to be known: they need not wait, or broke long ago and nothing open belongs there."""
    opened = sa.exists().where(groups.c.channel == channels.c.name, groups.c.closed_at.is_(None))
    waiting = sa.exists().where(outbox.c.channel == channels.c.name, outbox.c.state == "waiting")
    calm = sa.or_(channels.c.wait_until.is_(None), channels.c.wait_until < before)
    works = sa.and_(channels.c.broken == "", calm)
    forgotten = sa.and_(channels.c.broken_at < before, channels.c.name != EVERY_CHANNEL, ~opened, ~waiting)
    return sa.or_(works, forgotten)


def of_gone_sources(names: Collection[str], *, tokens_before: datetime, before: datetime) -> list[Expired]:
    """What is left of sources that the configuration no longer has: their tokens soon, the rest once nothing can be counted."""
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
    """Readings, each with the number of its rows, in batches of no more rows than one transaction deletes.

    One reading is never cut: half of it would be taken for the whole. It has no more rows than a source may have LLMs.
    """
    cut: list[list[int]] = []
    rows = most
    for number, size in sizes:
        if rows + size > most:
            cut.append([])
            rows = 0
        cut[-1].append(number)
        rows += size
    return cut
