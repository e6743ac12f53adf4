"""Tables of follow-up and access; `schema` has those of what was seen.

`follow_ups`, `exception_changes` and `unmaskings` only ever grow. Users, sessions, keys and throttles are rewritten: what is done
with them is told by the chain.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, SmallInteger, Table, Text, UniqueConstraint

from sensor.store.schema import BIG_KEY, metadata

# What people did about an episode, whatever hashes judge it. The state in `heads` is a copy of the last row's.
follow_ups = Table(
    "follow_ups",
    metadata,
    Column("sequence", BIG_KEY, primary_key=True),
    Column("episode_id", Text, ForeignKey("episodes.id"), nullable=False),
    Column("version", Integer, nullable=False),  # from 1, within the episode
    Column("recorded_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("reason", Text, nullable=False),  # why it is closed; empty while it is open
    Column("assignee", Text, nullable=False),  # after this change; empty: nobody
    Column("note", Text, nullable=False),
    Column("related", Text, nullable=False),  # the episode that this one repeats; empty: none
    Column("act", Text, nullable=False),  # one act may change many episodes
    Column("undoes", BigInteger),  # the sequence of the change that this one takes back
    UniqueConstraint("episode_id", "version"),  # of two officers who saw the same version, one wins
    Index(None, "act"),
    sqlite_autoincrement=True,
)

# Exceptions that were made from violations, beside those of the configuration: one row when made, one when ended.
exception_changes = Table(
    "exception_changes",
    metadata,
    Column("sequence", BIG_KEY, primary_key=True),
    Column("exception_id", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),  # made, ended
    Column("note", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON object: the exception, in the row that made it
    UniqueConstraint("exception_id", "action"),
    sqlite_autoincrement=True,
)

# Who saw a device's identity, why, and until when.
unmaskings = Table(
    "unmaskings",
    metadata,
    Column("sequence", BIG_KEY, primary_key=True),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index(None, "actor", "expires_ns"),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),  # empty: signs in elsewhere
    Column("disabled", SmallInteger, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
)

# Of a session only the hash of what the cookie holds is kept: who reads the store cannot use it.
sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", Text, primary_key=True),
    Column("user_name", Text, ForeignKey("users.name"), nullable=False),
    Column("csrf", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index(None, "user_name"),
    Index(None, "expires_ns"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_name", Text, ForeignKey("users.name"), nullable=False),
    Column("title", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # divided by spaces
    Column("recorded_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("revoked_ns", BigInteger),
    Index(None, "user_name"),
)

# Links that work once, such as the one by which the first user is made.
invitations = Table(
    "invitations",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("used_ns", BigInteger),
)

# Failed sign-ins, by name and by address.
throttles = Table(
    "throttles",
    metadata,
    Column("key", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("blocked_until_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
)

# What was answered to a POST, so that the same one sent again does nothing twice.
answers = Table(
    "answers",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),  # 0 while it is being answered
    Column("headers", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "recorded_ns"),
)
