"""Tables of what is told to others; `schema` has those of what was seen.

They hold no device, no app and no evidence: a message is made from the episode when it is sent.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text, UniqueConstraint

from sensor.store.schema import BIG_KEY, metadata

# One message to one channel, or one line of a digest.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BIG_KEY, primary_key=True),
    Column("key", Text, nullable=False),  # the same in every try: the receiver knows by it what it has already
    Column("channel", Text, nullable=False),
    Column("episode_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the revision that was reason to tell it
    Column("occasion", Text, nullable=False),
    Column("activity", SmallInteger, nullable=False),  # as it was then
    Column("severity", SmallInteger, nullable=False),
    Column("digest", SmallInteger, nullable=False),  # 1: goes with others in one message
    Column("batch", Text, nullable=False),  # the key of that message, once it is on its way; else empty
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_ns", BigInteger, nullable=False),  # of one being sent: when it may be taken for lost
    Column("recorded_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("error", Text, nullable=False),  # of the last try
    UniqueConstraint("key"),
    UniqueConstraint("channel", "episode_id", "sequence"),
    Index(None, "channel", "state", "next_ns"),
    Index(None, "batch"),
    sqlite_autoincrement=True,
)

# How far a channel has come through the heads, in the order in which they were written.
outbox_marks = Table(
    "outbox_marks",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("changed_ns", BigInteger, nullable=False),
    Column("episode_id", Text, nullable=False),
    Column("lineage_id", Integer, nullable=False),
)
