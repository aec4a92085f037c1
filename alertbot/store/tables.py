"""The present schema. `migrations/` leads to it; a test compares the two on SQLite and Postgres."""

from typing import Any

import sqlalchemy as sa

from alertbot.domain.points import AI_AMOUNTS, STORAGE_AMOUNTS
from alertbot.domain.snapshots import Counter
from alertbot.store.column_types import Exact, Moment, Whole

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite generates keys only for INTEGER


def _number() -> sa.Column[int]:
    """A key that the database generates."""
    return sa.Column("number", _BIG, primary_key=True, autoincrement=True)


def _refers(name: str, target: str, **options: Any) -> sa.Column[int]:
    """A reference to another table. Deleting the row there deletes this one."""
    return sa.Column(name, _BIG, sa.ForeignKey(target, ondelete="CASCADE"), **options)


def _partial_index(
    name: str, *columns: sa.Column[Any], where: sa.ColumnElement[bool], unique: bool = False
) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# One row a feed. A source's totals have its name, its points are `acme/ai` and `acme/storage`. `generation` is the fence:
# it grows with each claim, and a reading is only written under the present one. Points are stored from `complete_since`
# on; `missing` says that the server does not have this feed. `membership` grows with each change of who is counted there.
sources = sa.Table(
    "sources",
    metadata,
    _number(),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("first_at", Moment),
    sa.Column("read_at", Moment),
    sa.Column("tried_at", Moment),
    sa.Column("watched_since", Moment),
    sa.Column("due_at", Moment),
    sa.Column("paused_until", Moment),
    sa.Column("failing", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("error", sa.String, nullable=False, server_default=""),
    sa.Column("refused", sa.Integer, nullable=False, server_default="0"),
    sa.Column("missing", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("complete_since", Moment),
    sa.Column("evaluated", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("membership", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("lease_until", Moment),
    sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
)

# A row for each time that the clock had been ahead and what it had dated was moved back, by so many seconds.
clock_corrections = sa.Table(
    "clock_corrections",
    metadata,
    _number(),
    sa.Column("corrected_at", Moment, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)

configurations = sa.Table(
    "configurations",
    metadata,
    _number(),
    _refers("source", "sources.number", nullable=False),
    sa.Column("ai_llm", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False, server_default=""),
    sa.Column("workspace", sa.String, nullable=False, server_default=""),
    sa.Column("workspace_name", sa.String, nullable=False, server_default=""),
    sa.Column("created_at", Moment),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("absent_since", Moment),  # the first of the latest readings that do not list it
    sa.Column("repos", sa.JSON, nullable=False),
    sa.UniqueConstraint("source", "ai_llm"),
    sqlite_autoincrement=True,  # old snapshots must not pass for those of a new configuration
)

# How far the last total of each counter is ahead of its odometer in the newest slice: that changes when a configuration is
# seen first, reset or corrected, but not when it grows. `held` has lower totals that the next reading has to confirm.
counters = sa.Table(
    "counters",
    metadata,
    _refers("configuration", "configurations.number", primary_key=True, autoincrement=False),
    *(sa.Column(counter.value, Whole) for counter in Counter),
    sa.Column("held", sa.JSON),
)

readings = sa.Table(
    "readings",
    metadata,
    _number(),
    _refers("source", "sources.number", nullable=False),
    sa.Column("taken_at", Moment, nullable=False),
    sa.UniqueConstraint("source", "taken_at"),  # finds the reading as of a moment
)

# The slices of odometers. Each reading has a row for every known configuration, so that the increase over any window is
# the difference of two slices. Clustered by reading, as slices are written and read. Configurations that have been
# absent for long have a row in `rests` instead.
snapshots = sa.Table(
    "snapshots",
    metadata,
    _refers("reading", "readings.number", primary_key=True, autoincrement=False),
    sa.Column("configuration", _BIG, primary_key=True, autoincrement=False),
    *(sa.Column(counter.value, Whole) for counter in Counter),
    sa.Column("absent", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# The odometers of an absent configuration in all readings from `since` to before `until` (NULL: still absent): one row
# instead of one in each of these readings.
rests = sa.Table(
    "rests",
    metadata,
    _refers("configuration", "configurations.number", primary_key=True, autoincrement=False),
    sa.Column("since", Moment, primary_key=True),
    sa.Column("until", Moment),
    *(sa.Column(counter.value, Whole) for counter in Counter),
)

counter_resets = sa.Table(
    "counter_resets",
    metadata,
    _number(),
    _refers("configuration", "configurations.number", nullable=False, index=True),  # to delete a configuration
    sa.Column("counter", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),  # the resets inside a rule's window
    sa.Column("last", Whole, nullable=False),
    sa.Column("seen", Whole, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    _number(),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("identity", sa.String, nullable=False),
    sa.Column("series", sa.String, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("comparison", sa.String, nullable=False),
    sa.Column("over", sa.String, nullable=False),
    sa.Column("value", Exact),
    sa.Column("peak", Exact),
    sa.Column("peak_severity", sa.String),
    sa.Column("threshold", Exact),
    sa.Column("amount", Exact),
    sa.Column("pending_since", Moment, nullable=False),
    sa.Column("started_at", Moment),
    sa.Column("keeping_since", Moment),
    sa.Column("resolved_at", Moment),
    sa.Column("baseline_at", Moment),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("period", Moment),
    sa.Column("notified_severity", sa.String),
    sa.Column("notified_amount", Exact),
    sa.Column("acknowledged_by", sa.String, nullable=False),
    sa.Column("acknowledged_at", Moment),
    sa.Column("taken_by", sa.String, nullable=False),
    sa.Column("taken_at", Moment),
    sa.Column("snoozed_until", Moment),
    sa.Column("assigned_to", sa.String, nullable=False),
    sa.Column("is_gone", sa.Boolean, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sqlite_autoincrement=True,  # people know alerts by their numbers, so none is used again
)
# Literals, as SQLite uses a partial index only if it sees that the condition is the same.
alert_is_open = alerts.c.state.in_(
    sa.bindparam("open_states", ["pending", "firing"], expanding=True, literal_execute=True, unique=True)
)
# One open alert for each series of a rule, even if two processes evaluate; and the open alerts among years of old ones.
_partial_index(
    "uq_alerts_open",
    alerts.c.rule,
    alerts.c.identity,
    alerts.c.series,
    where=alerts.c.state.in_(["pending", "firing"]),
    unique=True,
)
sa.Index("ix_alerts_resolved_at", alerts.c.resolved_at)  # the newest alerts, and the expired ones
sa.Index("ix_alerts_period", alerts.c.period)  # each budget's last alert of a period that is not over

transitions = sa.Table(
    "transitions",
    metadata,
    _number(),
    _refers("alert", "alerts.number", nullable=False, index=True),  # the history of an alert
    sa.Column("at", Moment, nullable=False),
    sa.Column("before", sa.String, nullable=False),
    sa.Column("after", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("value", Exact),
    sa.Column("threshold", Exact),
)

actions = sa.Table(
    "actions",
    metadata,
    _number(),
    _refers("alert", "alerts.number", nullable=False, index=True),  # the history of an alert
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("until", Moment),
    sa.Column("has_fixed_end", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.UniqueConstraint("key", "alert"),  # the same click delivered twice is one action
)

silences = sa.Table(
    "silences",
    metadata,
    _number(),
    sa.Column("matchers", sa.JSON, nullable=False),
    sa.Column("starts_at", Moment, nullable=False),
    sa.Column("ends_at", Moment, nullable=False, index=True),  # those that are in force
    sa.Column("author", sa.String, nullable=False),
    sa.Column("comment", sa.String, nullable=False),
    sa.Column("has_fixed_end", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("ended_by", sa.String, nullable=False, server_default=""),
    sa.Column("key", sa.String, unique=True),  # the same submission delivered twice makes one silence
    # The operators were notified that it is invalid and mutes nothing.
    sa.Column("reported", sa.Boolean, nullable=False, server_default=sa.false()),
    sqlite_autoincrement=True,
)

groups = sa.Table(
    "groups",
    metadata,
    _number(),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("route", sa.JSON, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("closed_at", Moment),
    sa.Column("notified", sa.JSON, nullable=False),
    sa.Column("next_check_at", Moment, index=True),  # groups to notify though no alert changed
    sa.Column("reason", sa.String, nullable=False, server_default=""),
    sa.Column("previous", sa.BigInteger),
    # Where the message is: Slack's id of the channel, and the message's ts, which is text.
    sa.Column("message_channel", sa.String, nullable=False, server_default=""),
    sa.Column("message_ts", sa.String, nullable=False, server_default=""),
    sa.Column("edited_at", Moment),
    # Where the message is while its own channel is broken, and how often it was posted again after somebody deleted it.
    sa.Column("diverted_to", sa.String, nullable=False, server_default=""),
    sa.Column("reposts", sa.Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
_partial_index("uq_groups_open", groups.c.channel, groups.c.key, where=groups.c.closed_at.is_(None), unique=True)
# The previous group of the same channel and key (groups.open_for), and the changes within the last hour (groups.changes).
sa.Index("ix_groups_closed", groups.c.channel, groups.c.key, groups.c.closed_at)
sa.Index("ix_groups_closed_at", groups.c.closed_at)  # the expired ones
sa.Index("ix_groups_previous", groups.c.previous)  # whether another group links to this one

memberships = sa.Table(
    "memberships",
    metadata,
    _refers("group", "groups.number", primary_key=True, autoincrement=False),
    _refers("alert", "alerts.number", primary_key=True, autoincrement=False, index=True),  # the messages of an alert
)

# The decisions about a group, also those not to notify; a row where the decision differs from the one before.
decisions = sa.Table(
    "decisions",
    metadata,
    _number(),
    _refers("group", "groups.number", nullable=False, index=True),  # the history of a message
    sa.Column("at", Moment, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("kinds", sa.String, nullable=False),
)

# Rules made in Slack: `keys` as in the configuration. `version` is the number of the last change; `reported` says that
# people were notified that the rule is invalid.
rules = sa.Table(
    "rules",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("keys", sa.JSON, nullable=False),
    sa.Column("made_by", sa.String, nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("changed_by", sa.String, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("reported", sa.Boolean, nullable=False, server_default=sa.false()),
)

# Each change of a rule made in Slack.
rule_changes = sa.Table(
    "rule_changes",
    metadata,
    _number(),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("change_type", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("keys", sa.JSON, nullable=False),
    sa.Column("key", sa.String, nullable=False, unique=True),  # the same submission delivered twice is one change
)

# Rules whose last evaluation for a source raised an error.
rule_errors = sa.Table(
    "rule_errors",
    metadata,
    sa.Column("rule", sa.String, primary_key=True),
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("since", Moment, nullable=False),
)

# Notifications that wait to be delivered, and those that were. Of two with the same `ordering_key` the older goes first.
outbox = sa.Table(
    "outbox",
    metadata,
    _number(),
    sa.Column("ordering_key", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    _refers("group", "groups.number", nullable=True, index=True),  # whether an expired group has entries
    sa.Column("action", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("ping", sa.Boolean, nullable=False),
    sa.Column("notification", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),  # when the newest state that it will show was stored
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("state", sa.String, nullable=False, server_default="waiting"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("uncertain", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("lease_until", Moment),
    sa.Column("done_at", Moment),
    sa.Column("error", sa.String, nullable=False, server_default=""),
    sa.Column("ts", sa.String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
sa.Index("ix_outbox_done_at", outbox.c.done_at)  # the expired ones
# The next to be sent, and whether an older one with the same ordering key waits.
_partial_index("ix_outbox_next", outbox.c.number, where=outbox.c.state == "waiting")
_partial_index("ix_outbox_waiting", outbox.c.ordering_key, outbox.c.number, where=outbox.c.state == "waiting")

# Slack channels that have to wait, and those that cannot be written to, with the reason.
channels = sa.Table(
    "channels",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("wait_until", Moment),
    sa.Column("broken", sa.String, nullable=False, server_default=""),
    sa.Column("broken_at", Moment),
    sa.Column("probe_at", Moment),
)

# Operator alerts that are firing; `owner` is the process that sees the cause, and last did at `seen_at`.
operator_alerts = sa.Table(
    "operator_alerts",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
)

# The rules (name → fingerprint) and sources in the configuration of each running process, which refreshes its row.
rule_files = sa.Table(
    "rule_files",
    metadata,
    sa.Column("process", sa.String, primary_key=True),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("rules", sa.JSON, nullable=False),
    sa.Column("sources", sa.JSON, nullable=False),
)

# Who has opened the app's Home, at which page, and the fingerprint of what was last published there (`shown`).
homes = sa.Table(
    "homes",
    metadata,
    sa.Column("user", sa.String, primary_key=True),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("page", sa.Integer, nullable=False, server_default="0"),
    sa.Column("published_at", Moment, nullable=False),
    sa.Column("shown", sa.String, nullable=False, server_default=""),
)

# The dimensions that identify a point. `dataset` is `ai` or `storage`.
label_sets = sa.Table(
    "label_sets",
    metadata,
    _number(),
    _refers("source", "sources.number", nullable=False),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("ai_llm", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("repo", sa.String, nullable=False),
    sa.Column("api_key", sa.String, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("last_at", Moment, nullable=False, index=True),  # the day of its newest point; finds the expired ones
    sa.UniqueConstraint("source", "dataset", "ai_llm", "provider", "model", "repo", "api_key", "user", "host"),
    sqlite_autoincrement=True,  # old points must not pass for those of a new label set
)


def _label_set() -> sa.Column[int]:
    """No foreign key, with which deleting a label set would scan all points. Points expire before their label set."""
    return sa.Column("label_set", _BIG, primary_key=True, autoincrement=False)


# The amounts in each bucket. Hours, and days with minutes, are the sums of their minutes: a month is thirty rows instead
# of 43,200. Clustered by resolution and time, as they are read.
ai_points = sa.Table(
    "ai_points",
    metadata,
    sa.Column("resolution", sa.String, primary_key=True),
    sa.Column("bucket", Moment, primary_key=True),
    _label_set(),
    *(sa.Column(name, Whole, nullable=False, server_default="0") for name in AI_AMOUNTS),
    sqlite_with_rowid=False,
)
storage_points = sa.Table(
    "storage_points",
    metadata,
    sa.Column("resolution", sa.String, primary_key=True),
    sa.Column("bucket", Moment, primary_key=True),
    _label_set(),
    *(sa.Column(name, Whole, nullable=False, server_default="0") for name in STORAGE_AMOUNTS),
    sqlite_with_rowid=False,
)

# How far each backfill has come, so that it can resume: everything since `done_since` is stored.
backfills = sa.Table(
    "backfills",
    metadata,
    _refers("source", "sources.number", primary_key=True, autoincrement=False),
    sa.Column("endpoint", sa.String, primary_key=True),
    sa.Column("done_since", Moment, nullable=False),
)

# Violations and policy alerts as Flashback lists them, with its own `id`.
evidence = sa.Table(
    "evidence",
    metadata,
    _refers("source", "sources.number", primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("policy", sa.String, nullable=False),
    sa.Column("policy_name", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("blocked", sa.Boolean),
    sa.Column("repo", sa.String, nullable=False),
    sa.Column("repo_name", sa.String, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("user_name", sa.String, nullable=False),
    sa.Column("api_key", sa.String, nullable=False),
    sa.Column("api_key_name", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("explanation", sa.String, nullable=False),
)
sa.Index("ix_evidence_at", evidence.c.source, evidence.c.at)  # the evidence of a window

# How far the evidence of each source is fetched: all violations from `complete_since` to `violations_until`, policy alerts
# to `alerts_until`, by the server's clock. `missing` names the kinds that the server does not list; `differs` says how the
# list and the counters disagree. `generation` is the fence, as in `sources`.
evidence_fetches = sa.Table(
    "evidence_fetches",
    metadata,
    _refers("source", "sources.number", primary_key=True, autoincrement=False),
    sa.Column("read_at", Moment),
    sa.Column("complete_since", Moment),
    sa.Column("violations_until", Moment),
    sa.Column("alerts_until", Moment),
    sa.Column("paused_until", Moment),
    sa.Column("missing", sa.String, nullable=False, server_default=""),
    sa.Column("error", sa.String, nullable=False, server_default=""),
    sa.Column("differs", sa.String, nullable=False, server_default=""),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("lease_until", Moment),
    sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
)

# The refreshed tokens of each source, encrypted. `fingerprint` is that of the configured credentials, to detect a change
# there; `lease_until` allows one refresh at a time.
credentials = sa.Table(
    "credentials",
    metadata,
    _refers("source", "sources.number", primary_key=True, autoincrement=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("access_token", sa.String, nullable=False, server_default=""),
    sa.Column("refresh_token", sa.String, nullable=False, server_default=""),
    sa.Column("expires_at", Moment),
    sa.Column("refreshed_at", Moment),
    sa.Column("refused", sa.String, nullable=False, server_default=""),
    sa.Column("retry_at", Moment),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("lease_until", Moment),
    sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
)
