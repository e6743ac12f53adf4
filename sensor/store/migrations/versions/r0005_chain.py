"""One chain of hashes over all that was judged, done and read; only its contents may go, never a link."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"

TABLE = "chain"
KEPT = ("sequence", "recorded_ns", "kind", "content_sha256", "previous", "hash")
# What a row's update may do: let its content go, and nothing else.
EMPTIED = " AND ".join(
    [
        "NEW.content IS NULL AND NEW.salt IS NULL AND OLD.content IS NOT NULL",
        *(f"NEW.{name} = OLD.{name}" for name in KEPT),
    ]
)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("salt", sa.Text(), nullable=True),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_chain")),
    )
    op.create_index(op.f("ix_chain_kind_sequence"), TABLE, ["kind", "sequence"], unique=False)
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION wardwatch_chain_kept() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN IF TG_OP = 'UPDATE' THEN IF {EMPTIED} THEN RETURN NEW; END IF; END IF;"
            " RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {TABLE}_kept BEFORE UPDATE OR DELETE ON {TABLE}"
            " FOR EACH ROW EXECUTE FUNCTION wardwatch_chain_kept()"
        )
        op.execute(
            f"CREATE TRIGGER {TABLE}_append_only BEFORE TRUNCATE ON {TABLE}"
            " FOR EACH STATEMENT EXECUTE FUNCTION wardwatch_append_only()"
        )
        return
    refuse = f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
    op.execute(f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} WHEN NOT ({EMPTIED}) {refuse}")
    op.execute(f"CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE} {refuse}")


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")
