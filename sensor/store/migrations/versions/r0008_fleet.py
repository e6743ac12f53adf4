"""Tables of a centre: sensors, and which of them told of an episode."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    op.create_table(
        "sensors",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("store_id", sa.Text, nullable=False),
        sa.Column("first_ns", sa.BigInteger, nullable=False),
        sa.Column("seen_ns", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("recorded_ns", sa.BigInteger, nullable=False),
        sa.Column("sighting", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sensors"),
    )
    op.create_table(
        "origins",
        sa.Column("episode_id", sa.Text, nullable=False),
        sa.Column("sensor_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("episode_id", "sensor_id", name="pk_origins"),
        sa.ForeignKeyConstraint(["episode_id"], ["episodes.id"], name="fk_origins_episode_id_episodes"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensors.id"], name="fk_origins_sensor_id_sensors"),
    )
    op.create_index("ix_origins_sensor_id_episode_id", "origins", ["sensor_id", "episode_id"])


def downgrade() -> None:
    raise NotImplementedError("evidence is not thrown away: to go back, restore the backup made before")
