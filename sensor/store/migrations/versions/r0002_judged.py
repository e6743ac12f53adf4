"""Which of two episodes that share packets was judged later: what lists show follows from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    op.add_column("heads", sa.Column("judged", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE heads SET judged = listed")  # all that is known of older stores: what is shown came last


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")
