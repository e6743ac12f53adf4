"""Users, and what they sign in with. Secrets are kept as hashes only; who did what is told by links of the chain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from sensor.store import chain
from sensor.store.failures import translated
from sensor.store.opening import READING
from sensor.store.schema_follow import api_keys, invitations, sessions, throttles, unmaskings, users
from sensor.store.texts import printable
from sensor.store.writing import insert_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
ADMIN = "admin"  # the kind of link


@dataclass(frozen=True, slots=True)
class User:
    """`password_hash` empty: signs in elsewhere."""

    name: str
    role: str
    password_hash: str
    disabled: bool
    recorded_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Session:
    id_hash: str
    user_name: str
    csrf: str
    recorded_ns: int
    seen_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    user_name: str
    title: str
    key_hash: str
    scopes: tuple[str, ...]
    recorded_ns: int
    expires_ns: int
    revoked_ns: int | None


@dataclass(frozen=True, slots=True)
class Unmasking:
    sequence: int
    recorded_ns: int
    actor: str
    device_id: str
    reason: str
    expires_ns: int


class Access:
    """Every method raises StoreError, one line, and nothing else."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place

    def users(self) -> list[User]:
        """By name."""
        return [_user(row) for row in self._read(select(users).order_by(users.c.name))]

    def user(self, name: str) -> User | None:
        rows = self._read(select(users).where(users.c.name == printable(name)))
        return _user(rows[0]) if rows else None

    def add_user(self, name: str, role: str, password_hash: str, actor: str, invitation: str = "") -> bool:
        """False where there is one of that name already, or the invitation was used meanwhile."""
        now_ns = time.time_ns()
        values = {"name": printable(name), "role": role, "password_hash": password_hash, "disabled": 0,
                  "recorded_ns": now_ns, "changed_ns": now_ns}  # fmt: skip

        def write(connection: Connection) -> bool:
            known = connection.scalar(select(func.count()).select_from(users).where(users.c.name == values["name"]))
            if known or (invitation and not _use(connection, invitation, now_ns)):
                return False
            connection.execute(insert(users), values)
            chain.append(connection, ADMIN, {"actor": actor, "what": "user added", "user": name, "role": role})
            return True

        return self._write(write)

    def change_user(self, name: str, what: str, actor: str, *, seen_ns: int | None = None, **values: Any) -> bool:
        """Change columns of a user, and end their sessions. False where there is none, or none as it was at `seen_ns`."""

        def write(connection: Connection) -> bool:
            statement = update(users).where(users.c.name == printable(name))
            if seen_ns is not None:
                statement = statement.where(users.c.changed_ns == seen_ns)
            done = connection.execute(statement.values(changed_ns=time.time_ns(), **values)).rowcount
            if not done:
                return False
            connection.execute(delete(sessions).where(sessions.c.user_name == printable(name)))
            told = {key: value for key, value in values.items() if key != "password_hash"}
            chain.append(connection, ADMIN, {"actor": actor, "what": what, "user": name, **told})
            return True

        return self._write(write)

    def invite(self, token_hash: str, role: str, expires_ns: int, actor: str) -> None:
        """A link that makes one user."""
        values = {"token_hash": token_hash, "role": role, "recorded_ns": time.time_ns(), "expires_ns": expires_ns}

        def write(connection: Connection) -> None:
            connection.execute(insert(invitations), values)
            chain.append(connection, ADMIN, {"actor": actor, "what": "invited", "role": role})

        self._write(write)

    def invitation(self, token_hash: str) -> str | None:
        """The role of a link that was not used and has not expired."""
        table = invitations.c
        rows = self._read(
            select(table.role).where(
                table.token_hash == token_hash, table.used_ns.is_(None), table.expires_ns > time.time_ns()
            )
        )
        return str(rows[0].role) if rows else None

    def begin_session(self, session: Session, address: str) -> None:
        """A new session; those that have expired are forgotten."""
        values = {name: getattr(session, name) for name in Session.__slots__}

        def write(connection: Connection) -> None:
            connection.execute(delete(sessions).where(sessions.c.expires_ns < session.recorded_ns))
            connection.execute(insert(sessions), values)
            content = {"actor": session.user_name, "what": "signed in", "address": address}
            chain.append(connection, "access", content)

        self._write(write)

    def session(self, id_hash: str) -> Session | None:
        rows = self._read(select(sessions).where(sessions.c.id_hash == id_hash))
        return Session(**{name: getattr(rows[0], name) for name in Session.__slots__}) if rows else None

    def touch_session(self, id_hash: str, seen_ns: int) -> None:
        """It was used."""
        statement = update(sessions).where(sessions.c.id_hash == id_hash, sessions.c.seen_ns < seen_ns)
        self._write(lambda connection: connection.execute(statement.values(seen_ns=seen_ns)))

    def end_session(self, id_hash: str) -> None:
        """Signed out."""
        self._write(lambda connection: connection.execute(delete(sessions).where(sessions.c.id_hash == id_hash)))

    def add_key(self, key: ApiKey, actor: str) -> None:
        values = {name: getattr(key, name) for name in ApiKey.__slots__} | {"scopes": " ".join(key.scopes)}

        def write(connection: Connection) -> None:
            connection.execute(insert(api_keys), values)
            chain.append(connection, ADMIN, {"actor": actor, "what": "API key made", "key": key.id,
                                             "user": key.user_name, "scopes": list(key.scopes)})  # fmt: skip

        self._write(write)

    def key(self, id_: str) -> ApiKey | None:
        rows = self._read(select(api_keys).where(api_keys.c.id == printable(id_)))
        return _key(rows[0]) if rows else None

    def keys(self, user_name: str | None = None) -> list[ApiKey]:
        """Newest first."""
        query = select(api_keys).order_by(api_keys.c.recorded_ns.desc(), api_keys.c.id)
        if user_name is not None:
            query = query.where(api_keys.c.user_name == printable(user_name))
        return [_key(row) for row in self._read(query)]

    def revoke_key(self, id_: str, actor: str) -> bool:
        """False where there is no such key, or it was revoked already."""

        def write(connection: Connection) -> bool:
            statement = update(api_keys).where(api_keys.c.id == printable(id_), api_keys.c.revoked_ns.is_(None))
            if not connection.execute(statement.values(revoked_ns=time.time_ns())).rowcount:
                return False
            chain.append(connection, ADMIN, {"actor": actor, "what": "API key revoked", "key": id_})
            return True

        return self._write(write)

    def unmask(self, actor: str, device_id: str, reason: str, expires_ns: int) -> None:
        """From now on they see whose device it is, until then."""
        now_ns = time.time_ns()
        values = {"recorded_ns": now_ns, "actor": printable(actor), "device_id": printable(device_id),
                  "reason": printable(reason), "expires_ns": expires_ns}  # fmt: skip

        def write(connection: Connection) -> None:
            connection.execute(insert(unmaskings), values)
            chain.append(connection, "unmask", {**values, "actor": actor})

        self._write(write)

    def unmaskings(self, actor: str | None = None, *, now_ns: int | None = None) -> list[Unmasking]:
        """Newest first; with a time, those that hold then."""
        query = select(unmaskings).order_by(unmaskings.c.sequence.desc())
        if actor is not None:
            query = query.where(unmaskings.c.actor == printable(actor))
        if now_ns is not None:
            query = query.where(unmaskings.c.expires_ns > now_ns)
        return [Unmasking(**{name: getattr(row, name) for name in Unmasking.__slots__}) for row in self._read(query)]

    def blocked_until_ns(self, keys: list[str]) -> int:
        """Until when none of these may try again; 0: they may."""
        table = throttles.c
        rows = self._read(select(func.max(table.blocked_until_ns).label("until")).where(table.key.in_(keys)))
        return int(rows[0].until or 0)

    def failed(self, keys: list[str], delay_ns: Callable[[int], int], now_ns: int, forget_ns: int) -> None:
        """One more failure of each; after a quiet time of `forget_ns` counting begins anew."""

        def write(connection: Connection) -> None:
            table = throttles.c
            for key in keys:
                row = connection.execute(select(throttles).where(table.key == key).with_for_update()).one_or_none()
                known = 0 if row is None or row.changed_ns < now_ns - forget_ns else row.failures
                values = {"failures": known + 1, "blocked_until_ns": now_ns + delay_ns(known + 1), "changed_ns": now_ns}
                if row is None:
                    insert_missing(connection, throttles, [{"key": key, **values}])
                else:
                    connection.execute(update(throttles).where(table.key == key).values(values))
            connection.execute(delete(throttles).where(table.changed_ns < now_ns - forget_ns))

        self._write(write)

    def succeeded(self, key: str) -> None:
        """The failures of this one are forgotten."""
        self._write(lambda connection: connection.execute(delete(throttles).where(throttles.c.key == key)))

    def _read(self, query: Any) -> list[Any]:
        with translated(self._place), self._engine.connect().execution_options(**READING) as connection:
            return list(connection.execute(query).all())

    def _write(self, write: Callable[[Connection], T]) -> T:
        with translated(self._place), self._engine.begin() as connection:
            return write(connection)


def _use(connection: Connection, token_hash: str, now_ns: int) -> bool:
    table = invitations.c
    statement = update(invitations).where(
        table.token_hash == token_hash, table.used_ns.is_(None), table.expires_ns > now_ns
    )
    return bool(connection.execute(statement.values(used_ns=now_ns)).rowcount)


def _user(row: Any) -> User:
    return User(row.name, row.role, row.password_hash, bool(row.disabled), row.recorded_ns, row.changed_ns)


def _key(row: Any) -> ApiKey:
    values: Mapping[str, Any] = {name: getattr(row, name) for name in ApiKey.__slots__}
    return ApiKey(**{**values, "scopes": tuple(row.scopes.split())})
