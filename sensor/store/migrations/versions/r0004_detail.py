"""What else a piece of evidence says, beside its value: fingerprint, protocols and version of a ClientHello."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    op.add_column("evidence", sa.Column("detail", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")
