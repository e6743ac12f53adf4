"""Users, signing in, sessions, API keys. Secrets leave this module once, when they are made; the store has only their hashes."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sensor.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, ServiceError
from sensor.services.people import RIGHTS, Right, Role, Who, somebody
from sensor.store.access import ApiKey, Session

if TYPE_CHECKING:
    from sensor.services.material import Material
    from sensor.settings_api import ApiSettings
    from sensor.store.access import User

NS: Final = 1_000_000_000
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
LEAST_PASSWORD, MOST_PASSWORD = 12, 200  # characters
INVITATION_NS: Final = 24 * 3600 * NS
TOUCH_NS: Final = 30 * NS  # a session's last use is written no more often
FORGET_NS: Final = 24 * 3600 * NS
BY_NAME, BY_ADDRESS = 5, 20  # failures before one has to wait
MOST_WAIT_S: Final = 900
KEY_PREFIX: Final = "ww"
MAX_KEY_DAYS: Final = 366
HASHING: Final = threading.BoundedSemaphore(4)  # each hash takes 64 MiB


class SignInError(ServiceError):
    """Wrong name or password, which of the two is not said."""


class BlockedError(ServiceError):
    """Too many failures; `wait_s` is how long to wait."""

    def __init__(self, wait_s: int) -> None:
        super().__init__("too many failed attempts to sign in")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`token` goes into the cookie; `csrf` into forms."""

    token: str
    csrf: str
    who: Who
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Account:
    """A user as others see them."""

    name: str
    role: str
    disabled: bool
    recorded_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret."""

    id: str
    user: str
    title: str
    scopes: tuple[str, ...]
    recorded_ns: int
    expires_ns: int
    revoked: bool


def digest(secret: str) -> str:
    """Of secrets with enough chance in them; passwords take argon2."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Accounts:
    """Who may come in, and as whom."""

    def __init__(self, material: Material, settings: ApiSettings, hasher: PasswordHasher | None = None) -> None:
        self._material = material
        self._access = material.store.access
        self._settings = settings
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_hex(16))  # what an unknown user's password is compared with

    def add(self, actor: str, name: str, role: Role, password: str) -> None:
        """A new user. Raises InvalidError, ConflictError."""
        self._check_name(name)
        self._check_password(name, password)
        if not self._access.add_user(name, role.value, self._hash(password), actor):
            raise ConflictError(f"there is a user {name!r} already")

    def add_sensor(self, actor: str, name: str, days: int) -> str:
        """A new sensor, or a new key for one; what it sends to come in. Raises InvalidError, ConflictError."""
        self._check_name(name)
        known = self._access.user(name)
        if known is None:
            self._access.add_user(name, Role.SENSOR.value, "", actor)
        elif known.role != Role.SENSOR.value:
            raise ConflictError(f"there is a user {name!r} already")
        return self.make_key(somebody(name, Role.SENSOR), "sensor", (Right.TELL,), days)[1]

    def listed(self, who: Who) -> tuple[Account, ...]:
        """All users. Raises ForbiddenError."""
        who.require(Right.ADMIN)
        return self.all()

    def one(self, who: Who, name: str) -> Account:
        """Raises NotFoundError, ForbiddenError."""
        found = next((one for one in self.listed(who) if one.name == name), None)
        if found is None:
            raise NotFoundError(f"there is no user {name!r}")
        return found

    def change(
        self,
        who: Who,
        name: str,
        *,
        seen_ns: int,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> bool:
        """What is None stays; `seen_ns` is `Account.changed_ns` as it was seen. False: it was changed meanwhile.

        Nobody shuts themselves out. Raises ForbiddenError, ConflictError, NotFoundError, InvalidError.
        """
        self.one(who, name)
        if name == who.name and (disabled or (role is not None and role is not who.role)):
            raise ConflictError("another admin has to do this to you")
        values: dict[str, Any] = {}
        if password is not None:
            self._check_password(name, password)
            values["password_hash"] = self._hash(password)
        if role is not None:
            values["role"] = role.value
        if disabled is not None:
            values["disabled"] = int(disabled)
        told = {"password_hash": "password", "role": "role", "disabled": "disabled"}
        what = f"user changed: {', '.join(told[key] for key in values)}" if values else "user changed: nothing"
        return self._access.change_user(name, what, who.name, seen_ns=seen_ns, **values)

    def all(self) -> tuple[Account, ...]:
        """All users, for the command line."""
        return tuple(
            Account(one.name, one.role, one.disabled, one.recorded_ns, one.changed_ns) for one in self._access.users()
        )

    def disable(self, actor: str, name: str, *, disabled: bool = True) -> None:
        """They cannot come in any more, and are out at once. Raises NotFoundError."""
        what = "user disabled" if disabled else "user enabled"
        self._change(name, what, actor, disabled=int(disabled))

    def set_role(self, actor: str, name: str, role: Role) -> None:
        """They are signed out. Raises NotFoundError."""
        self._change(name, "role changed", actor, role=role.value)

    def set_password(self, actor: str, name: str, password: str) -> None:
        """They are signed out. Raises NotFoundError, InvalidError."""
        self._check_password(name, password)
        self._change(name, "password changed", actor, password_hash=self._hash(password))

    def change_own_password(self, who: Who, old: str, new: str) -> None:
        """Raises SignInError where the old one is wrong."""
        user = self._access.user(who.name)
        if user is None or not self._is_right(user.password_hash, old):
            raise SignInError("the password is wrong")
        self.set_password(who.name, who.name, new)

    def invite(self, actor: str, role: Role = Role.ADMIN) -> str:
        """The secret of a link that makes one user, within a day."""
        token = secrets.token_urlsafe(32)
        self._access.invite(digest(token), role.value, self._material.now_ns() + INVITATION_NS, actor)
        return token

    def first_invitation(self) -> str | None:
        """A link for the first user; None where there are users already."""
        return None if self._access.users() else self.invite("first run")

    def invited_as(self, token: str) -> Role | None:
        """The role that a link makes a user of; None where it is wrong, used or too old."""
        role = self._access.invitation(digest(token))
        return None if role is None else Role(role)

    def welcome(self, token: str, name: str, password: str) -> None:
        """Make the user of a link. Raises ForbiddenError, InvalidError, ConflictError."""
        role = self.invited_as(token)
        if role is None:
            raise ForbiddenError("the link is wrong, was used already, or is older than a day")
        self._check_name(name)
        self._check_password(name, password)
        if not self._access.add_user(name, role.value, self._hash(password), f"invitation to {name}", digest(token)):
            raise ConflictError("there is a user of that name already, or the link was used meanwhile")

    def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """A new session. Raises SignInError, BlockedError."""
        return self.begin(self._proven(name, password, [(f"address {address}", BY_ADDRESS)]), address)

    def confirm(self, name: str, password: str) -> Who:
        """Somebody beside who is signed in says yes. Raises SignInError, BlockedError."""
        user = self._proven(name, password, [])
        return self._who(user, RIGHTS[Role(user.role)])

    def _proven(self, name: str, password: str, more: list[tuple[str, int]]) -> User:
        """The user of that name and password. An unknown name takes as long as a known one, and is blocked like it."""
        now_ns = self._material.now_ns()
        name = name.strip().lower()
        counted = [(f"name {digest(name)}", BY_NAME), *more]
        blocked_ns = self._access.blocked_until_ns([key for key, _ in counted]) - now_ns
        if blocked_ns > 0:
            raise BlockedError(-(-blocked_ns // NS))
        user = self._access.user(name)
        is_right = self._is_right(user.password_hash if user and user.password_hash else self._nobody, password)
        if user is None or not user.password_hash or not is_right or user.disabled:
            for key, free in counted:
                self._access.failed([key], partial(_wait_ns, free=free), now_ns, FORGET_NS)
            raise SignInError("the name or the password is wrong")
        self._access.succeeded(counted[0][0])
        if self._hasher.check_needs_rehash(user.password_hash):
            self._access.change_user(name, "password hash renewed", name, password_hash=self._hash(password))
        return user

    def begin(self, user: User, address: str) -> SignedIn:
        """A new session of somebody whose identity is proven."""
        now_ns = self._material.now_ns()
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        expires_ns = now_ns + self._settings.session_hours * 3600 * NS
        self._access.begin_session(Session(digest(token), user.name, csrf, now_ns, now_ns, expires_ns), address)
        return SignedIn(token, csrf, self._who(user, RIGHTS[Role(user.role)]), expires_ns)

    def of_session(self, token: str) -> SignedIn | None:
        """Whose session a cookie is; None where it has ended."""
        now_ns = self._material.now_ns()
        session = self._access.session(digest(token))
        idle_ns = self._settings.idle_minutes * 60 * NS
        if session is None or session.expires_ns <= now_ns or session.seen_ns + idle_ns <= now_ns:
            return None
        user = self._access.user(session.user_name)
        if user is None or user.disabled:
            return None
        if now_ns - session.seen_ns > TOUCH_NS:
            self._access.touch_session(session.id_hash, now_ns)
        return SignedIn(token, session.csrf, self._who(user, RIGHTS[Role(user.role)]), session.expires_ns)

    def sign_out(self, token: str) -> None:
        self._access.end_session(digest(token))

    def make_key(
        self, who: Who, title: str, scopes: tuple[Right, ...], days: int, *, by_key: bool = False
    ) -> tuple[KeyInfo, str]:
        """A key with some of the maker's own rights, and its secret, which is not told again. Raises InvalidError, ForbiddenError."""
        if by_key:
            raise ForbiddenError("an API key makes no further ones")
        if not title.strip() or len(title) > 100 or not title.isprintable():
            raise InvalidError("must be one line of 1 to 100 characters", "title")
        if not 1 <= days <= MAX_KEY_DAYS:
            raise InvalidError(f"is not between 1 and {MAX_KEY_DAYS}", "days")
        if not scopes:
            raise InvalidError("must not be empty", "scopes")
        for scope in scopes:
            who.require(scope)
        now_ns = self._material.now_ns()
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        made = ApiKey(
            id_,
            who.name,
            title.strip(),
            digest(secret),
            tuple(sorted(scope.value for scope in set(scopes))),
            now_ns,
            now_ns + days * 86_400 * NS,
            None,
        )
        self._access.add_key(made, who.name)
        return _key_info(made), f"{KEY_PREFIX}_{id_}_{secret}"

    def of_key(self, text: str) -> tuple[str, Who] | None:
        """The id of a key and whom it stands for; None where it is wrong, revoked or too old."""
        parts = text.split("_", 2)
        key = self._access.key(parts[1]) if len(parts) == 3 and parts[0] == KEY_PREFIX else None
        known = key.key_hash if key is not None else digest("")
        if not hmac.compare_digest(known, digest(parts[-1])) or key is None:
            return None
        if key.revoked_ns is not None or key.expires_ns <= self._material.now_ns():
            return None
        user = self._access.user(key.user_name)
        if user is None or user.disabled:
            return None
        rights = RIGHTS[Role(user.role)] & {Right(scope) for scope in key.scopes}
        return key.id, self._who(user, frozenset(rights))

    def keys(self, who: Who) -> tuple[KeyInfo, ...]:
        """One's own; an admin sees all."""
        return tuple(map(_key_info, self._access.keys(None if who.may(Right.ADMIN) else who.name)))

    def revoke_key(self, who: Who, id_: str) -> None:
        """Raises NotFoundError, also for another's key."""
        key = self._access.key(id_)
        mine = key is not None and (key.user_name == who.name or who.may(Right.ADMIN))
        if not mine or not self._access.revoke_key(id_, who.name):
            raise NotFoundError("there is no such key")

    def _who(self, user: User, rights: frozenset[Right]) -> Who:
        held = self._access.unmaskings(user.name, now_ns=self._material.now_ns()) if Right.UNMASK in rights else ()
        sees_all = user.role in self._settings.identities and Right.READ in rights
        return Who(user.name, Role(user.role), rights, frozenset(one.device_id for one in held), sees_all)

    def _change(self, name: str, what: str, actor: str, **values: Any) -> None:
        if not self._access.change_user(name, what, actor, **values):
            raise NotFoundError(f"there is no user {name!r}")

    def _hash(self, password: str) -> str:
        with HASHING:
            return self._hasher.hash(password)

    def _is_right(self, password_hash: str, password: str) -> bool:
        if len(password) > MOST_PASSWORD:
            password = ""
        try:
            with HASHING:
                return bool(self._hasher.verify(password_hash, password))
        except (VerificationError, InvalidHashError):
            return False

    @staticmethod
    def _check_name(name: str) -> None:
        if not NAME.fullmatch(name):
            raise InvalidError(
                "must be 1 to 64 lower-case letters, digits and . _ @ -, and begin with one of the first two", "name"
            )

    @staticmethod
    def _check_password(name: str, password: str) -> None:
        if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
            raise InvalidError(f"must have {LEAST_PASSWORD} to {MOST_PASSWORD} characters", "password")
        if len(set(password)) < 5 or name in password.lower():
            raise InvalidError("is too easy to guess", "password")


def _wait_ns(failures: int, free: int) -> int:
    """How long to wait after so many failures: twice as long each time."""
    return 0 if failures < free else min(MOST_WAIT_S, 1 << min(failures - free + 1, 20)) * NS


def _key_info(key: ApiKey) -> KeyInfo:
    return KeyInfo(
        key.id, key.user_name, key.title, key.scopes, key.recorded_ns, key.expires_ns, key.revoked_ns is not None
    )
