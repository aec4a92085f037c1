"""The tables as they are now. `migrations/` is how they came to be; a test keeps the two equal on SQLite and Postgres."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from alertbot.domain.points import AI_AMOUNTS, STORAGE_AMOUNTS
from alertbot.domain.snapshots import Counter

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)
_LARGEST = 2**63 - 1  # what SQLite keeps in an INTEGER; it refuses more, and as NUMERIC it would round to a float


class _Blob(UserDefinedType[Any]):
    """A SQLite column without affinity: an integer stays an integer, a text stays a text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "BLOB"


class Whole(TypeDecorator[int]):
    """An integer of any size, exact: on Postgres NUMERIC, on SQLite an INTEGER, or the digits as TEXT past 2**63."""

    impl = sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_Blob() if dialect.name == "sqlite" else sa.Numeric())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        if dialect.name != "sqlite":
            return None
        return lambda value: str(value) if value is not None and abs(value) > _LARGEST else value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None] | None:
        return lambda value: value if value is None or type(value) is int else int(value)


class Exact(TypeDecorator[Fraction]):
    """A fraction as text, e.g. `9` or `1/50`: nothing is rounded."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Fraction | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Fraction | None:
        return None if value is None else Fraction(value)


class Moment(TypeDecorator[datetime]):
    """An aware moment in UTC. SQLite keeps it without its zone, in a form that sorts."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _number(name: str = "number") -> sa.Column[int]:
    """A key that the database gives out; on SQLite only INTEGER can be one."""
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def _refers(name: str, target: str, **options: Any) -> sa.Column[int]:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column(name, number, sa.ForeignKey(target, ondelete="CASCADE"), **options)


# One row a feed: what is read for itself, and may fail for itself. The totals of a source have its name, its points are
# `acme/ai` and `acme/storage`. `generation` is the fence: it grows with each claim, and whoever writes a reading has to
# name the one it was given. `complete_since` is from when on there are points; `missing` that the server has no such
# feed.
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
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("lease_until", Moment),
    sa.Column("generation", sa.BigInteger, nullable=False, server_default="0"),
)

# Each time that a clock had been ahead for a while and what it had dated was dated back, by so many seconds.
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
    sa.Column("absent_since", Moment),  # the first of the readings in a row, up to the newest, that did not list it
    sa.Column("repos", sa.JSON, nullable=False),
    sa.UniqueConstraint("source", "ai_llm"),
    sqlite_autoincrement=True,  # slices of one that is forgotten must not pass for those of a new one
)

# The exact last totals of each configuration, and those lower ones that wait to be believed (`held`, by counter).
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

# The slices of odometers. Every known configuration has a row in each reading, so that the increase of all of them over
# any window is the difference of two slices; clustered by reading, which writes each slice in one place. What is long
# absent has a row in `rests` instead.
snapshots = sa.Table(
    "snapshots",
    metadata,
    _refers("reading", "readings.number", primary_key=True, autoincrement=False),
    sa.Column(
        "configuration", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    *(sa.Column(counter.value, Whole) for counter in Counter),
    sa.Column("absent", sa.Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# Where the odometers of an absent configuration stand in all readings from `since` to before `until` (NULL: it is
# absent still): one row in place of one in each of these readings.
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
    _refers("configuration", "configurations.number", nullable=False, index=True),  # those of one that is forgotten
    sa.Column("counter", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),  # the falls inside a rule's window
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
    sqlite_autoincrement=True,  # a number that people saw is never given out again
)
# Written out, and not as parameters, so that SQLite sees that the index below finds them.
alert_is_open = alerts.c.state.in_(
    sa.bindparam("open_states", ["pending", "firing"], expanding=True, literal_execute=True, unique=True)
)
# One open alert a series and rule, whoever evaluates; also finds the open alerts among years of those that are over.
sa.Index(
    "uq_alerts_open",
    alerts.c.rule,
    alerts.c.identity,
    alerts.c.series,
    unique=True,
    sqlite_where=alerts.c.state.in_(["pending", "firing"]),
    postgresql_where=alerts.c.state.in_(["pending", "firing"]),
)
sa.Index("ix_alerts_resolved_at", alerts.c.resolved_at)  # the newest alerts for look-ups, those that are over for long
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
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.UniqueConstraint("key", "alert"),  # the same click delivered twice is one act
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
    sa.Column("ended_by", sa.String, nullable=False, server_default=""),
    sa.Column("key", sa.String, unique=True),  # the same submission delivered twice makes one silence
    # Whether the operators were notified that it is not valid and so mutes nothing.
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
    sa.Column("next_check_at", Moment, index=True),  # groups where something has to be said though nothing happened
    sa.Column("reason", sa.String, nullable=False, server_default=""),
    sa.Column("previous", sa.BigInteger),
    # Where the message is: the channel's id as Slack names it, and the message's ts, which is text.
    sa.Column("message_channel", sa.String, nullable=False, server_default=""),
    sa.Column("message_ts", sa.String, nullable=False, server_default=""),
    sa.Column("edited_at", Moment),
    # Where the message stands as long as its own channel is broken, and how often it was posted anew after somebody
    # deleted it.
    sa.Column("diverted_to", sa.String, nullable=False, server_default=""),
    sa.Column("reposts", sa.Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
sa.Index(
    "uq_groups_open",
    groups.c.channel,
    groups.c.key,
    unique=True,
    sqlite_where=groups.c.closed_at.is_(None),
    postgresql_where=groups.c.closed_at.is_(None),
)
# The message before the one that is opened (groups.open_for), and what has changed in an hour in those before
# (groups.changes).
sa.Index("ix_groups_closed", groups.c.channel, groups.c.key, groups.c.closed_at)
sa.Index("ix_groups_closed_at", groups.c.closed_at)  # those that are over for long
sa.Index("ix_groups_previous", groups.c.previous)  # whether a group is still linked to

memberships = sa.Table(
    "memberships",
    metadata,
    _refers("group", "groups.number", primary_key=True, autoincrement=False),
    _refers("alert", "alerts.number", primary_key=True, autoincrement=False, index=True),  # the messages of an alert
)

# Every decision about a group that was another one than the last, also those not to speak.
decisions = sa.Table(
    "decisions",
    metadata,
    _number(),
    _refers("group", "groups.number", nullable=False, index=True),  # the history of a message
    sa.Column("at", Moment, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("kinds", sa.String, nullable=False),
)

# Rules that people made in Slack: `keys` as in the configuration. `version` is the number of the change that made it
# what it is; `told` says that people know that it cannot be used.
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

# Everything that anybody did to one of them.
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

# Rules that cannot be evaluated for a source.
rule_errors = sa.Table(
    "rule_errors",
    metadata,
    sa.Column("rule", sa.String, primary_key=True),
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("since", Moment, nullable=False),
)

# Notifications not yet delivered, and those that were. `ordering_key` keeps the order: of two rows of one ordering key
# the older goes first.
outbox = sa.Table(
    "outbox",
    metadata,
    _number(),
    sa.Column("ordering_key", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    _refers("group", "groups.number", nullable=True, index=True),  # the notifications of one that is over for long
    sa.Column("action", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("ping", sa.Boolean, nullable=False),
    sa.Column("notification", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),  # when the newest of what it will show was written down
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
sa.Index("ix_outbox_done_at", outbox.c.done_at)  # those that were sent long ago
# What waits: the next to be sent, and in the order of each ordering key.
sa.Index(
    "ix_outbox_next",
    outbox.c.number,
    sqlite_where=outbox.c.state == "waiting",
    postgresql_where=outbox.c.state == "waiting",
)
sa.Index(
    "ix_outbox_waiting",
    outbox.c.ordering_key,
    outbox.c.number,
    sqlite_where=outbox.c.state == "waiting",
    postgresql_where=outbox.c.state == "waiting",
)

# What we know of the channels we write to: until when Slack asked us to wait, and why one is broken.
channels = sa.Table(
    "channels",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("wait_until", Moment),
    sa.Column("broken", sa.String, nullable=False, server_default=""),
    sa.Column("broken_at", Moment),
    sa.Column("probe_at", Moment),
)

# What keeps the bot from its work and was told; `owner` is the process that sees it, `seen_at` when it last did.
operator_alerts = sa.Table(
    "operator_alerts",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
)

# The rules (name → fingerprint) and sources in the configuration file of each process that runs, refreshed while it
# does.
rule_files = sa.Table(
    "rule_files",
    metadata,
    sa.Column("process", sa.String, primary_key=True),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("rules", sa.JSON, nullable=False),
    sa.Column("sources", sa.JSON, nullable=False),
)

# Who has looked at the app's Home, at which page, and what stood there when it was last published (`shown`).
homes = sa.Table(
    "homes",
    metadata,
    sa.Column("user", sa.String, primary_key=True),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("page", sa.Integer, nullable=False, server_default="0"),
    sa.Column("published_at", Moment, nullable=False),
    sa.Column("shown", sa.String, nullable=False, server_default=""),
)

# What a point is told apart by. `dataset` is what it counts: the use of AI, or storage.
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
    sa.Column(
        "last_at", Moment, nullable=False, index=True
    ),  # the day of its newest point; those that are over for long
    sa.UniqueConstraint("source", "dataset", "ai_llm", "provider", "model", "repo", "api_key", "user", "host"),
    sqlite_autoincrement=True,  # points of one that is forgotten must not pass for those of a new one
)


def _label_set() -> sa.Column[int]:
    """No foreign key: deleting one label set would look through all points for it. They go by their age, and first."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("label_set", number, primary_key=True, autoincrement=False)


# Amounts within a bucket. Those of hours, and of days with minutes, are the sums of the minutes in them, so that a
# month is thirty rows and not 43,200. Clustered by resolution and time, as they are read.
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

# How far a look into the past has come, so that it can go on where it was stopped: everything since `done_since` is
# there.
backfills = sa.Table(
    "backfills",
    metadata,
    _refers("source", "sources.number", primary_key=True, autoincrement=False),
    sa.Column("endpoint", sa.String, primary_key=True),
    sa.Column("done_since", Moment, nullable=False),
)

# Violations and policy alerts as Flashback lists them; `id` is its own. What a number alone does not tell.
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

# How the evidence of each source is fetched. `complete_since` is from when on all violations are there,
# `violations_until` and `alerts_until` up to when, by the server's clock; `missing` names the kinds that the server
# does not list, `differs` says that the list and the counts do not agree. `generation` is the fence, as that of a
# source.
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

# The tokens that a source was given in exchange for others, encrypted. `seed` is a digest of what the configuration
# gave, so that a new one there counts; `lease_until` keeps it to one exchange at a time.
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
