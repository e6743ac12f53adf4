"""What a centre orders its sensors to judge by. Rows only ever come in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("serial", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("sensor_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_orders")),
    )


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")
