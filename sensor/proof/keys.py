"""The sensor's Ed25519 key (RFC 8032): made on first need, for its owner only; its public part lies beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from sensor.errors import OperatorError, WardwatchError

if TYPE_CHECKING:
    from sensor.settings import Settings

NAME: Final = "signing-key.pem"
PUBLIC_SUFFIX: Final = ".pub"
MAX_KEY_BYTES: Final = 10_000


class KeyFileError(OperatorError):
    """A key file that cannot be read, made or trusted; the message names it."""


class Signer:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()  # 64 hex digits

    def sign(self, message: bytes) -> str:
        """The signature, 128 hex digits."""
        return self._key.sign(message).hex()


def key_path(settings: Settings, store: str | None = None) -> Path:
    """Where the key is: as configured, else beside the SQLite store, else beside the one that would be by default."""
    if settings.proof.key is not None:
        return settings.proof.key
    from sensor.settings import default_store_url  # noqa: PLC0415 - of use here only

    place = store or settings.store.url
    if ("://" in place and not place.startswith("sqlite:")) or place.endswith(" database"):
        place = default_store_url()
    return Path(place.removeprefix("sqlite:///")).parent / NAME


def signer(path: Path) -> Signer:
    """The key of a file, made where there is none. Raises KeyFileError, WardwatchError."""
    try:
        if not path.exists():
            _make(path)
        status = path.stat()
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(f"{path}: others may read or change this key: chmod 600 it")
        return Signer(_private(path, _read(path)))
    except OSError as error:
        raise WardwatchError(f"{path}: the signing key cannot be read or made: {error.strerror}") from error


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(part, pem, 0o600)
        os.link(part, path)  # whoever else makes one at this moment, one of the two is first and stays
        path.with_name(path.name + PUBLIC_SUFFIX).unlink(missing_ok=True)
        _write(path.with_name(path.name + PUBLIC_SUFFIX), public, 0o644)
    except FileExistsError:
        return
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_KEY_BYTES)


def _private(path: Path, pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path}: is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: is no Ed25519 key")
    return key


def public_key(path: Path) -> str:
    """A public key file, PEM or 64 hex digits, as 64 hex digits. Raises KeyFileError."""
    try:
        data = _read(path)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
    text = data.decode("ascii", "replace").strip().lower()
    if len(text) == 64 and all(digit in "0123456789abcdef" for digit in text):
        return text
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise KeyFileError(f"{path}: is no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: is no Ed25519 key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def is_signed(message: bytes, signature: str, public: str) -> bool:
    """Whether a signature, in hex, is this key's of this message. Total."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
