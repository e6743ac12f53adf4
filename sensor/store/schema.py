"""The tables. The migrations make them; a test holds the two equal.

Portable on purpose: times and totals are BIGINT, lists are JSON texts, flags are 0 and 1.
`revisions`, `evidence` and `names` only ever grow. `heads` is the one table that is rewritten: which revision is the
latest under which hashes, with the columns that lists filter by, all of it copied from the revisions.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

VERSIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
)  # the migrations in migrations/versions, oldest first; a test holds them equal
VERSION = VERSIONS[-1]
APPLICATION = "wardwatch"

BIG_KEY = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER PRIMARY KEY numbers rows by itself in SQLite


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("snapshot", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
)

signature_sets = Table(
    "signature_sets",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("snapshot", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("fingerprint", Text, primary_key=True),  # SHA-256 of the columns after it: the same capture adds nothing
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger),
    Column("format", Text, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("first_ns", BigInteger),
    Column("last_ns", BigInteger),
    Column("sha256", Text),
    Column("recorded_ns", BigInteger, nullable=False),
)

# One pair of hashes: verdicts under it are a line of their own.
lineages = Table(
    "lineages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("signatures_hash", Text, ForeignKey("signature_sets.hash"), nullable=False),
    Column("policy_hash", Text, ForeignKey("policies.hash"), nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    UniqueConstraint("signatures_hash", "policy_hash"),
)

devices = Table(
    "devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("recorded_ns", BigInteger, nullable=False),
)

# One app, or one set of candidates. Few rows, so a list by app first looks here which keys it needs.
labels = Table(
    "labels",
    metadata,
    Column("app_key", Text, primary_key=True),  # see views.app_key
)

# One device with one app: what an append locks, and within which a packet is evidence of one episode only.
subjects = Table(
    "subjects",
    metadata,
    Column("id", BIG_KEY, primary_key=True),
    Column("device_id", Text, ForeignKey("devices.id"), nullable=False),
    Column("app_key", Text, ForeignKey("labels.app_key"), nullable=False),
    UniqueConstraint("device_id", "app_key"),
)

episodes = Table(
    "episodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject_id", BigInteger, ForeignKey("subjects.id"), nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("sequence", BIG_KEY, primary_key=True),
    Column("episode_id", Text, ForeignKey("episodes.id"), nullable=False),
    Column("lineage_id", Integer, ForeignKey("lineages.id"), nullable=False),
    Column("step", Integer, nullable=False),  # from 1, within episode and lineage
    Column("recorded_ns", BigInteger, nullable=False),
    Column("merged_into", Text, ForeignKey("episodes.id")),
    Column("network", Text, nullable=False),
    Column("activity", SmallInteger, nullable=False),
    Column("strength", SmallInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("bytes_up", BigInteger, nullable=False),
    Column("bytes_down", BigInteger, nullable=False),
    Column("packets", BigInteger, nullable=False),
    Column("flows", BigInteger, nullable=False),
    Column("evidence_total", BigInteger, nullable=False),
    Column("capped", SmallInteger, nullable=False),
    Column("closed", SmallInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column(
        "details", Text, nullable=False
    ),  # JSON object: the lists, the device's addresses, what the verdict rests on
    UniqueConstraint("episode_id", "lineage_id", "step"),
    sqlite_autoincrement=True,  # a number is never given twice, also after retention
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", BIG_KEY, primary_key=True),
    Column("subject_id", BigInteger, ForeignKey("subjects.id"), nullable=False),
    Column("lineage_id", Integer, nullable=False),
    Column("episode_id", Text, nullable=False),
    Column("step", Integer, nullable=False),  # the revision that brought it
    Column("packet_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("frame", BigInteger, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("proto", Text, nullable=False),
    Column("src", Text, nullable=False),
    Column("sport", Integer, nullable=False),
    Column("dst", Text, nullable=False),
    Column("dport", Integer, nullable=False),
    Column("app", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("strength", SmallInteger, nullable=False),
    Column("service", Text, nullable=False),
    Column("activity", SmallInteger, nullable=False),
    Column("context", SmallInteger, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(
        ["episode_id", "lineage_id", "step"], ["revisions.episode_id", "revisions.lineage_id", "revisions.step"]
    ),
    # Two writers cannot make one packet evidence of two episodes of the same device, app and hashes.
    UniqueConstraint("packet_id", "subject_id", "lineage_id", "rule"),
    Index(None, "episode_id", "lineage_id"),
    sqlite_autoincrement=True,
)

names = Table(
    "names",
    metadata,
    Column("episode_id", Text, primary_key=True),
    Column("lineage_id", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("step", Integer, nullable=False),
    ForeignKeyConstraint(
        ["episode_id", "lineage_id", "step"], ["revisions.episode_id", "revisions.lineage_id", "revisions.step"]
    ),
    Index(None, "name"),
)

heads = Table(
    "heads",
    metadata,
    Column("episode_id", Text, primary_key=True),
    Column("lineage_id", Integer, primary_key=True),
    Column("step", Integer, nullable=False),
    Column("subject_id", BigInteger, ForeignKey("subjects.id"), nullable=False),
    Column("device_id", Text, nullable=False),
    Column("app_key", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("activity", SmallInteger, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("capped", SmallInteger, nullable=False),
    Column("merged_into", Text),
    Column("listed", SmallInteger, nullable=False),  # 1 where lists show it: judged last under this lineage
    # Larger than that of whatever it shares packets or its id with and that was judged before it.
    Column("judged", BigInteger, nullable=False, server_default="0"),
    Column("state", Text, nullable=False),  # of follow-up: a copy
    Column("changed_ns", BigInteger, nullable=False, server_default="0"),  # when this row was last written
    ForeignKeyConstraint(
        ["episode_id", "lineage_id", "step"], ["revisions.episode_id", "revisions.lineage_id", "revisions.step"]
    ),
    Index(None, "subject_id", "start_ns"),
    Index(None, "merged_into"),
    Index(None, "changed_ns"),
    Index(None, "listed", "start_ns", "episode_id"),
    Index(None, "listed", "outcome", "start_ns", "episode_id"),
    Index(None, "listed", "outcome", "app_key", "start_ns", "episode_id"),
    Index(None, "listed", "outcome", "device_id", "start_ns", "episode_id"),
    Index(None, "listed", "outcome", "network", "start_ns", "episode_id"),
    Index(None, "lineage_id", "outcome", "start_ns", "episode_id"),
)

# What could not be read: observations, and hours of networks. Rows only ever come in; an excluded network has no devices here.
sightings = Table(
    "sightings",
    metadata,
    Column("id", Text, primary_key=True),  # made of what it says: the same replay adds nothing
    Column("recorded_ns", BigInteger, nullable=False),
    Column("record", Text, nullable=False),  # observation or hour
    Column("kind", Text, nullable=False),  # empty for an hour
    Column("network", Text, nullable=False),
    Column("device_id", Text, nullable=False),  # empty for an hour, and in an excluded network
    Column("hour_ns", BigInteger, nullable=False),
    Column("flows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("details", Text, nullable=False),  # JSON object: the whole record
    Index(None, "hour_ns", "network"),
)

# The chain of hashes: each link holds the hash of the one before. Retention takes `content` and `salt`, and leaves the rest.
chain = Table(
    "chain",
    metadata,
    Column(
        "sequence", BigInteger, primary_key=True, autoincrement=False
    ),  # from 1, without gaps: chain.append gives it
    Column("recorded_ns", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", Text),  # canonical JSON
    Column("salt", Text),  # nobody finds out by trying what a content was whose hash alone is left
    Column("content_sha256", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index(None, "kind", "sequence"),
)
