"""The schema of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.DateTime(), "sqlite")
# On SQLite a column without affinity, where integers stay integers and digits past 2**63 stay text.
WHOLE = sa.Numeric().with_variant(sa.LargeBinary(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("series", sa.String(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("comparison", sa.String(), nullable=False),
        sa.Column("over", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("peak", sa.String(), nullable=True),
        sa.Column("peak_severity", sa.String(), nullable=True),
        sa.Column("threshold", sa.String(), nullable=True),
        sa.Column("amount", sa.String(), nullable=True),
        sa.Column("pending_since", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("keeping_since", MOMENT, nullable=True),
        sa.Column("resolved_at", MOMENT, nullable=True),
        sa.Column("baseline_at", MOMENT, nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("period", MOMENT, nullable=True),
        sa.Column("notified_severity", sa.String(), nullable=True),
        sa.Column("notified_amount", sa.String(), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=False),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("taken_by", sa.String(), nullable=False),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.Column("snoozed_until", MOMENT, nullable=True),
        sa.Column("assigned_to", sa.String(), nullable=False),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alerts_period", "alerts", ["period"], unique=False)
    op.create_index("ix_alerts_resolved_at", "alerts", ["resolved_at"], unique=False)
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["rule", "identity", "series"],
        unique=True,
        sqlite_where=sa.text("state IN ('pending', 'firing')"),
        postgresql_where=sa.text("state IN ('pending', 'firing')"),
    )

    op.create_table(
        "channels",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("wait_until", MOMENT, nullable=True),
        sa.Column("broken", sa.String(), server_default="", nullable=False),
        sa.Column("broken_at", MOMENT, nullable=True),
        sa.Column("probe_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_channels")),
    )
    op.create_table(
        "clock_corrections",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("corrected_at", MOMENT, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_clock_corrections")),
    )
    op.create_table(
        "rule_errors",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("rule", "source", name=op.f("pk_rule_errors")),
    )
    op.create_table(
        "groups",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("route", sa.JSON(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("notified", sa.JSON(), nullable=False),
        sa.Column("next_check_at", MOMENT, nullable=True),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("previous", sa.BigInteger(), nullable=True),
        sa.Column("message_channel", sa.String(), server_default="", nullable=False),
        sa.Column("message_ts", sa.String(), server_default="", nullable=False),
        sa.Column("edited_at", MOMENT, nullable=True),
        sa.Column("diverted_to", sa.String(), server_default="", nullable=False),
        sa.Column("reposts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_groups")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_groups_closed", "groups", ["channel", "key", "closed_at"], unique=False)
    op.create_index("ix_groups_closed_at", "groups", ["closed_at"], unique=False)
    op.create_index("ix_groups_next_check_at", "groups", ["next_check_at"], unique=False)
    op.create_index("ix_groups_previous", "groups", ["previous"], unique=False)
    op.create_index(
        "uq_groups_open",
        "groups",
        ["channel", "key"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )

    op.create_table(
        "homes",
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("page", sa.Integer(), server_default="0", nullable=False),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.Column("shown", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("user", name=op.f("pk_homes")),
    )
    op.create_table(
        "rule_changes",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("change_type", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_rule_changes")),
        sa.UniqueConstraint("key", name=op.f("uq_rule_changes_key")),
    )
    op.create_table(
        "rules",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("reported", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rules")),
    )
    op.create_table(
        "silences",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("has_fixed_end", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ended_by", sa.String(), server_default="", nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("reported", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_silences")),
        sa.UniqueConstraint("key", name=op.f("uq_silences_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_silences_ends_at", "silences", ["ends_at"], unique=False)

    op.create_table(
        "sources",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=True),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.Column("tried_at", MOMENT, nullable=True),
        sa.Column("watched_since", MOMENT, nullable=True),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("paused_until", MOMENT, nullable=True),
        sa.Column("failing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("error", sa.String(), server_default="", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missing", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("complete_since", MOMENT, nullable=True),
        sa.Column("evaluated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("membership", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
    )
    op.create_table(
        "operator_alerts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_operator_alerts")),
    )
    op.create_table(
        "rule_files",
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_rule_files")),
    )
    op.create_table(
        "actions",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("alert", NUMBER, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("has_fixed_end", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.number"], name=op.f("fk_actions_alert"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_actions")),
        sa.UniqueConstraint("key", "alert", name=op.f("uq_actions_key_alert")),
    )
    op.create_index("ix_actions_alert", "actions", ["alert"], unique=False)

    op.create_table(
        "backfills",
        sa.Column("source", NUMBER, autoincrement=False, nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("done_since", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["source"], ["sources.number"], name=op.f("fk_backfills_source"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source", "endpoint", name=op.f("pk_backfills")),
    )
    op.create_table(
        "label_sets",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("source", NUMBER, nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("ai_llm", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("api_key", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["source"], ["sources.number"], name=op.f("fk_label_sets_source"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_label_sets")),
        sa.UniqueConstraint(
            "source",
            "dataset",
            "ai_llm",
            "provider",
            "model",
            "repo",
            "api_key",
            "user",
            "host",
            name=op.f("uq_label_sets_source_dataset_ai_llm_provider_model_repo_api_key_user_host"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_label_sets_last_at", "label_sets", ["last_at"], unique=False)

    op.create_table(
        "configurations",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("source", NUMBER, nullable=False),
        sa.Column("ai_llm", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), server_default="", nullable=False),
        sa.Column("workspace", sa.String(), server_default="", nullable=False),
        sa.Column("workspace_name", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", MOMENT, nullable=True),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("absent_since", MOMENT, nullable=True),
        sa.Column("repos", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source"], ["sources.number"], name=op.f("fk_configurations_source"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_configurations")),
        sa.UniqueConstraint("source", "ai_llm", name=op.f("uq_configurations_source_ai_llm")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "credentials",
        sa.Column("source", NUMBER, autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("access_token", sa.String(), server_default="", nullable=False),
        sa.Column("refresh_token", sa.String(), server_default="", nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("refreshed_at", MOMENT, nullable=True),
        sa.Column("refused", sa.String(), server_default="", nullable=False),
        sa.Column("retry_at", MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["source"], ["sources.number"], name=op.f("fk_credentials_source"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_credentials")),
    )
    op.create_table(
        "decisions",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("group", NUMBER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("kinds", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["group"], ["groups.number"], name=op.f("fk_decisions_group"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_group", "decisions", ["group"], unique=False)

    op.create_table(
        "evidence",
        sa.Column("source", NUMBER, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("policy_name", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=True),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("repo_name", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("api_key", sa.String(), nullable=False),
        sa.Column("api_key_name", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("explanation", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["sources.number"], name=op.f("fk_evidence_source"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source", "kind", "id", name=op.f("pk_evidence")),
    )
    op.create_index("ix_evidence_at", "evidence", ["source", "at"], unique=False)

    op.create_table(
        "evidence_fetches",
        sa.Column("source", NUMBER, autoincrement=False, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.Column("complete_since", MOMENT, nullable=True),
        sa.Column("violations_until", MOMENT, nullable=True),
        sa.Column("alerts_until", MOMENT, nullable=True),
        sa.Column("paused_until", MOMENT, nullable=True),
        sa.Column("missing", sa.String(), server_default="", nullable=False),
        sa.Column("error", sa.String(), server_default="", nullable=False),
        sa.Column("differs", sa.String(), server_default="", nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["source"], ["sources.number"], name=op.f("fk_evidence_fetches_source"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_evidence_fetches")),
    )
    op.create_table(
        "memberships",
        sa.Column("group", NUMBER, autoincrement=False, nullable=False),
        sa.Column("alert", NUMBER, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.number"], name=op.f("fk_memberships_alert"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["group"], ["groups.number"], name=op.f("fk_memberships_group"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group", "alert", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_alert", "memberships", ["alert"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("ordering_key", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("group", NUMBER, nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ping", sa.Boolean(), nullable=False),
        sa.Column("notification", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("uncertain", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.Column("error", sa.String(), server_default="", nullable=False),
        sa.Column("ts", sa.String(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["group"], ["groups.number"], name=op.f("fk_outbox_group"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_done_at", "outbox", ["done_at"], unique=False)
    op.create_index("ix_outbox_group", "outbox", ["group"], unique=False)
    op.create_index(
        "ix_outbox_next",
        "outbox",
        ["number"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["ordering_key", "number"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )

    op.create_table(
        "readings",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("source", NUMBER, nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["source"], ["sources.number"], name=op.f("fk_readings_source"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_readings")),
        sa.UniqueConstraint("source", "taken_at", name=op.f("uq_readings_source_taken_at")),
    )
    op.create_table(
        "transitions",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("alert", NUMBER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("before", sa.String(), nullable=False),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("threshold", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["alert"], ["alerts.number"], name=op.f("fk_transitions_alert"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_transitions")),
    )
    op.create_index("ix_transitions_alert", "transitions", ["alert"], unique=False)

    op.create_table(
        "ai_points",
        sa.Column("resolution", sa.String(), nullable=False),
        sa.Column("bucket", MOMENT, nullable=False),
        sa.Column("label_set", NUMBER, autoincrement=False, nullable=False),
        sa.Column("api_calls", WHOLE, server_default="0", nullable=False),
        sa.Column("tokens_in", WHOLE, server_default="0", nullable=False),
        sa.Column("tokens_out", WHOLE, server_default="0", nullable=False),
        sa.Column("llm_tokens_in", WHOLE, server_default="0", nullable=False),
        sa.Column("llm_tokens_out", WHOLE, server_default="0", nullable=False),
        sa.Column("policy_violations", WHOLE, server_default="0", nullable=False),
        sa.Column("policy_alerts", WHOLE, server_default="0", nullable=False),
        sa.Column("policy_blocks", WHOLE, server_default="0", nullable=False),
        sa.Column("severity_low", WHOLE, server_default="0", nullable=False),
        sa.Column("severity_medium", WHOLE, server_default="0", nullable=False),
        sa.Column("severity_high", WHOLE, server_default="0", nullable=False),
        sa.Column("active_conversations", WHOLE, server_default="0", nullable=False),
        sa.Column("latency_us", WHOLE, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("resolution", "bucket", "label_set", name=op.f("pk_ai_points")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counters",
        sa.Column("configuration", NUMBER, autoincrement=False, nullable=False),
        sa.Column("api_calls", WHOLE, nullable=True),
        sa.Column("tokens_in", WHOLE, nullable=True),
        sa.Column("tokens_out", WHOLE, nullable=True),
        sa.Column("llm_tokens_in", WHOLE, nullable=True),
        sa.Column("llm_tokens_out", WHOLE, nullable=True),
        sa.Column("policy_violations", WHOLE, nullable=True),
        sa.Column("policy_alerts", WHOLE, nullable=True),
        sa.Column("policy_blocks", WHOLE, nullable=True),
        sa.Column("held", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["configuration"], ["configurations.number"], name=op.f("fk_counters_configuration"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("configuration", name=op.f("pk_counters")),
    )
    op.create_table(
        "counter_resets",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("configuration", NUMBER, nullable=False),
        sa.Column("counter", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("last", WHOLE, nullable=False),
        sa.Column("seen", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["configuration"],
            ["configurations.number"],
            name=op.f("fk_counter_resets_configuration"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_counter_resets")),
    )
    op.create_index("ix_counter_resets_at", "counter_resets", ["at"], unique=False)
    op.create_index("ix_counter_resets_configuration", "counter_resets", ["configuration"], unique=False)

    op.create_table(
        "rests",
        sa.Column("configuration", NUMBER, autoincrement=False, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("api_calls", WHOLE, nullable=True),
        sa.Column("tokens_in", WHOLE, nullable=True),
        sa.Column("tokens_out", WHOLE, nullable=True),
        sa.Column("llm_tokens_in", WHOLE, nullable=True),
        sa.Column("llm_tokens_out", WHOLE, nullable=True),
        sa.Column("policy_violations", WHOLE, nullable=True),
        sa.Column("policy_alerts", WHOLE, nullable=True),
        sa.Column("policy_blocks", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["configuration"], ["configurations.number"], name=op.f("fk_rests_configuration"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("configuration", "since", name=op.f("pk_rests")),
    )

    op.create_table(
        "snapshots",
        sa.Column("reading", NUMBER, autoincrement=False, nullable=False),
        sa.Column("configuration", NUMBER, autoincrement=False, nullable=False),
        sa.Column("api_calls", WHOLE, nullable=True),
        sa.Column("tokens_in", WHOLE, nullable=True),
        sa.Column("tokens_out", WHOLE, nullable=True),
        sa.Column("llm_tokens_in", WHOLE, nullable=True),
        sa.Column("llm_tokens_out", WHOLE, nullable=True),
        sa.Column("policy_violations", WHOLE, nullable=True),
        sa.Column("policy_alerts", WHOLE, nullable=True),
        sa.Column("policy_blocks", WHOLE, nullable=True),
        sa.Column("absent", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reading"], ["readings.number"], name=op.f("fk_snapshots_reading"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reading", "configuration", name=op.f("pk_snapshots")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "storage_points",
        sa.Column("resolution", sa.String(), nullable=False),
        sa.Column("bucket", MOMENT, nullable=False),
        sa.Column("label_set", NUMBER, autoincrement=False, nullable=False),
        sa.Column("upload_bytes", WHOLE, server_default="0", nullable=False),
        sa.Column("download_bytes", WHOLE, server_default="0", nullable=False),
        sa.Column("size_change_bytes", WHOLE, server_default="0", nullable=False),
        sa.Column("storage_latency_us", WHOLE, server_default="0", nullable=False),
        sa.Column("storage_points", WHOLE, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("resolution", "bucket", "label_set", name=op.f("pk_storage_points")),
        sqlite_with_rowid=False,
    )
