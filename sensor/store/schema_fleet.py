"""Tables of a centre: its sensors, and which of them told of an episode. `schema` has those of what was seen."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from sensor.store.schema import metadata

sensors = Table(
    "sensors",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),  # of the sensor's store: the place is one in this
    Column("first_ns", BigInteger, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("sighting", Text, nullable=False),
    Column("status", Text, nullable=False),  # JSON object
)

# Rows only ever come in. A device that moves between clinics may be told of by several.
origins = Table(
    "origins",
    metadata,
    Column("episode_id", Text, ForeignKey("episodes.id"), primary_key=True),
    Column("sensor_id", Text, ForeignKey("sensors.id"), primary_key=True),
    Index(None, "sensor_id", "episode_id"),
)

# What sensors are to judge by, as the centre signed it. Rows only ever come in; the one with the largest serial holds.
orders = Table(
    "orders",
    metadata,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("sensor_id", Text, nullable=False),  # empty: all of them
    Column("body", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
)
