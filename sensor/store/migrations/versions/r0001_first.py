"""The first schema: episodes, their revisions and evidence, and what verdicts cite."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

APPEND_ONLY = ("evidence", "names", "revisions")


def upgrade() -> None:
    create_tables()
    keep_append_only()
    meta = sa.table("meta", sa.column("key", sa.Text), sa.column("value", sa.Text))
    rows = [{"key": "application", "value": "wardwatch"}, {"key": "created_ns", "value": str(time.time_ns())}]
    op.bulk_insert(meta, rows)


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")


def keep_append_only() -> None:
    """Let the database itself refuse to change what was recorded."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION wardwatch_append_only() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION wardwatch_append_only()"
            )
        return
    for table in APPEND_ONLY:
        for action in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def create_tables() -> None:

    op.create_table(
        "devices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
    )
    op.create_table(
        "labels",
        sa.Column("app_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("app_key", name=op.f("pk_labels")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "policies",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_policies")),
    )
    op.create_table(
        "signature_sets",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_signature_sets")),
    )
    op.create_table(
        "sources",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("first_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_ns", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_sources")),
    )
    op.create_table(
        "lineages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("signatures_hash", sa.Text(), nullable=False),
        sa.Column("policy_hash", sa.Text(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["policy_hash"], ["policies.hash"], name=op.f("fk_lineages_policy_hash_policies")),
        sa.ForeignKeyConstraint(
            ["signatures_hash"], ["signature_sets.hash"], name=op.f("fk_lineages_signatures_hash_signature_sets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineages")),
        sa.UniqueConstraint("signatures_hash", "policy_hash", name=op.f("uq_lineages_signatures_hash_policy_hash")),
    )
    op.create_table(
        "subjects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("app_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["app_key"], ["labels.app_key"], name=op.f("fk_subjects_app_key_labels")),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_subjects_device_id_devices")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("device_id", "app_key", name=op.f("uq_subjects_device_id_app_key")),
    )
    op.create_table(
        "episodes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"], name=op.f("fk_episodes_subject_id_subjects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_episodes")),
    )
    op.create_table(
        "revisions",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("lineage_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("activity", sa.SmallInteger(), nullable=False),
        sa.Column("strength", sa.SmallInteger(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("bytes_up", sa.BigInteger(), nullable=False),
        sa.Column("bytes_down", sa.BigInteger(), nullable=False),
        sa.Column("packets", sa.BigInteger(), nullable=False),
        sa.Column("flows", sa.BigInteger(), nullable=False),
        sa.Column("evidence_total", sa.BigInteger(), nullable=False),
        sa.Column("capped", sa.SmallInteger(), nullable=False),
        sa.Column("closed", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["episode_id"], ["episodes.id"], name=op.f("fk_revisions_episode_id_episodes")),
        sa.ForeignKeyConstraint(["lineage_id"], ["lineages.id"], name=op.f("fk_revisions_lineage_id_lineages")),
        sa.ForeignKeyConstraint(["merged_into"], ["episodes.id"], name=op.f("fk_revisions_merged_into_episodes")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_revisions")),
        sa.UniqueConstraint("episode_id", "lineage_id", "step", name=op.f("uq_revisions_episode_id_lineage_id_step")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("lineage_id", sa.Integer(), nullable=False),
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("packet_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("frame", sa.BigInteger(), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("proto", sa.Text(), nullable=False),
        sa.Column("src", sa.Text(), nullable=False),
        sa.Column("sport", sa.Integer(), nullable=False),
        sa.Column("dst", sa.Text(), nullable=False),
        sa.Column("dport", sa.Integer(), nullable=False),
        sa.Column("app", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("strength", sa.SmallInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("activity", sa.SmallInteger(), nullable=False),
        sa.Column("context", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id", "lineage_id", "step"],
            ["revisions.episode_id", "revisions.lineage_id", "revisions.step"],
            name=op.f("fk_evidence_episode_id_lineage_id_step_revisions"),
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"], name=op.f("fk_evidence_subject_id_subjects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint(
            "packet_id",
            "subject_id",
            "lineage_id",
            "rule",
            name=op.f("uq_evidence_packet_id_subject_id_lineage_id_rule"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_evidence_episode_id_lineage_id"), "evidence", ["episode_id", "lineage_id"], unique=False)
    op.create_table(
        "heads",
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("lineage_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("app_key", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("activity", sa.SmallInteger(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("capped", sa.SmallInteger(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("listed", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id", "lineage_id", "step"],
            ["revisions.episode_id", "revisions.lineage_id", "revisions.step"],
            name=op.f("fk_heads_episode_id_lineage_id_step_revisions"),
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subjects.id"], name=op.f("fk_heads_subject_id_subjects")),
        sa.PrimaryKeyConstraint("episode_id", "lineage_id", name=op.f("pk_heads")),
    )
    op.create_index(
        op.f("ix_heads_lineage_id_outcome_start_ns_episode_id"),
        "heads",
        ["lineage_id", "outcome", "start_ns", "episode_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_heads_listed_outcome_app_key_start_ns_episode_id"),
        "heads",
        ["listed", "outcome", "app_key", "start_ns", "episode_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_heads_listed_outcome_device_id_start_ns_episode_id"),
        "heads",
        ["listed", "outcome", "device_id", "start_ns", "episode_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_heads_listed_outcome_network_start_ns_episode_id"),
        "heads",
        ["listed", "outcome", "network", "start_ns", "episode_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_heads_listed_outcome_start_ns_episode_id"),
        "heads",
        ["listed", "outcome", "start_ns", "episode_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_heads_listed_start_ns_episode_id"), "heads", ["listed", "start_ns", "episode_id"], unique=False
    )
    op.create_index(op.f("ix_heads_merged_into"), "heads", ["merged_into"], unique=False)
    op.create_index(op.f("ix_heads_subject_id_start_ns"), "heads", ["subject_id", "start_ns"], unique=False)
    op.create_table(
        "names",
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("lineage_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["episode_id", "lineage_id", "step"],
            ["revisions.episode_id", "revisions.lineage_id", "revisions.step"],
            name=op.f("fk_names_episode_id_lineage_id_step_revisions"),
        ),
        sa.PrimaryKeyConstraint("episode_id", "lineage_id", "name", name=op.f("pk_names")),
    )
    op.create_index(op.f("ix_names_name"), "names", ["name"], unique=False)
