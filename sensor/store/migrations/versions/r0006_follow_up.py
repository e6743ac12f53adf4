"""Follow-up, exceptions made from violations, users and what they sign in with; when a head was last written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"

APPEND_ONLY = ("follow_ups", "exception_changes", "unmaskings")
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("heads", sa.Column("changed_ns", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_heads_changed_ns"), "heads", ["changed_ns"], unique=False)
    create_follow_up()
    create_access()
    keep_append_only()
    count_removed_heads()


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def create_follow_up() -> None:
    op.create_table(
        "follow_ups",
        sa.Column("sequence", BIG_KEY, nullable=False),
        text("episode_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        big("recorded_ns"),
        *map(text, ("actor", "action", "from_state", "to_state", "reason", "assignee", "note", "related", "act")),
        big("undoes", nullable=True),
        sa.ForeignKeyConstraint(["episode_id"], ["episodes.id"], name=op.f("fk_follow_ups_episode_id_episodes")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_follow_ups")),
        sa.UniqueConstraint("episode_id", "version", name=op.f("uq_follow_ups_episode_id_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_follow_ups_act"), "follow_ups", ["act"], unique=False)
    op.create_table(
        "exception_changes",
        sa.Column("sequence", BIG_KEY, nullable=False),
        text("exception_id"),
        big("recorded_ns"),
        *map(text, ("actor", "action", "note", "details")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_exception_changes")),
        sa.UniqueConstraint("exception_id", "action", name=op.f("uq_exception_changes_exception_id_action")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "unmaskings",
        sa.Column("sequence", BIG_KEY, nullable=False),
        big("recorded_ns"),
        *map(text, ("actor", "device_id", "reason")),
        big("expires_ns"),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_unmaskings")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_unmaskings_actor_expires_ns"), "unmaskings", ["actor", "expires_ns"], unique=False)


def create_access() -> None:
    op.create_table(
        "users",
        *map(text, ("name", "role", "password_hash")),
        sa.Column("disabled", sa.SmallInteger(), nullable=False),
        big("recorded_ns"),
        big("changed_ns"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "sessions",
        *map(text, ("id_hash", "user_name", "csrf")),
        *map(big, ("recorded_ns", "seen_ns", "expires_ns")),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name=op.f("fk_sessions_user_name_users")),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_name"), "sessions", ["user_name"], unique=False)
    op.create_index(op.f("ix_sessions_expires_ns"), "sessions", ["expires_ns"], unique=False)
    op.create_table(
        "api_keys",
        *map(text, ("id", "user_name", "title", "key_hash", "scopes")),
        *map(big, ("recorded_ns", "expires_ns")),
        big("revoked_ns", nullable=True),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name=op.f("fk_api_keys_user_name_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_user_name"), "api_keys", ["user_name"], unique=False)
    op.create_table(
        "invitations",
        *map(text, ("token_hash", "role")),
        *map(big, ("recorded_ns", "expires_ns")),
        big("used_ns", nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_invitations")),
    )
    op.create_table(
        "throttles",
        text("key"),
        sa.Column("failures", sa.Integer(), nullable=False),
        *map(big, ("blocked_until_ns", "changed_ns")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    op.create_table(
        "answers",
        *map(text, ("actor", "key", "request_sha256")),
        big("recorded_ns"),
        sa.Column("status", sa.Integer(), nullable=False),
        *map(text, ("headers", "body")),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_answers")),
    )
    op.create_index(op.f("ix_answers_recorded_ns"), "answers", ["recorded_ns"], unique=False)


def keep_append_only() -> None:
    """Let the database itself refuse to change what was recorded."""
    for table in APPEND_ONLY:
        if op.get_context().dialect.name == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION wardwatch_append_only()"
            )
            continue
        for action in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def count_removed_heads() -> None:
    """Whoever keeps a copy of `heads` in memory sees by this number that rows went, and reads all of them anew."""
    op.execute("INSERT INTO meta (key, value) VALUES ('heads_removed', '0')")
    count = "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = 'heads_removed'"
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION wardwatch_heads_removed() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN {count}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER heads_removed AFTER DELETE ON heads FOR EACH STATEMENT"
            " EXECUTE FUNCTION wardwatch_heads_removed()"
        )
        return
    op.execute(f"CREATE TRIGGER heads_removed AFTER DELETE ON heads BEGIN {count}; END")
