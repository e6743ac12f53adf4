"""The pack as a file: a ZIP whose every byte follows from what is in it, a manifest of SHA-256 hashes, and its signature.

Members are stored, not compressed, in the order of their names with one fixed date, so that the file can be made again from
its members and compared: a byte that no hash covers would show there.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sensor.errors import WardwatchError
from sensor.proof.keys import is_signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.proof.keys import Signer

FORMAT: Final = "wardwatch pack 1"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
DATE: Final = (1980, 1, 1, 0, 0, 0)
MAX_PACK_BYTES: Final = 1 << 30
MAX_MEMBERS: Final = 10_000


class PackError(WardwatchError):
    """A file that is no pack, or one that was changed; one line."""

    exit_status = 4


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose hashes and signature hold. `key`: the public key that it is signed with, 64 hex digits."""

    manifest: dict[str, Any]
    files: dict[str, bytes]
    key: str


def made(files: Mapping[str, bytes], about: Mapping[str, object], signer: Signer) -> bytes:
    """A signed pack of these files; `about` goes into its manifest."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = canonical({**about, "format": FORMAT, "key": signer.public, "files": hashes})
    signature = signer.sign(manifest).encode("ascii")
    return _zip({**files, MANIFEST: manifest, SIGNATURE: signature})


def canonical(value: object) -> bytes:
    """JSON in one form: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as pack:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, DATE)
            info.create_system = 3
            info.external_attr = 0o100600 << 16
            pack.writestr(info, files[name])
    return out.getvalue()


def opened(data: bytes) -> Pack:
    """Everything that needs no key of anybody else is checked here. Raises PackError."""
    files = _members(data)
    if _zip(files) != data:
        raise PackError("the pack was changed: bytes that belong to none of its files are not as they were written")
    try:
        raw, signature = files.pop(MANIFEST), files.pop(SIGNATURE).decode("ascii")
        manifest = json.loads(raw)
        hashes, key = dict(manifest["files"]), str(manifest["key"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise PackError(f"is no pack: it has no manifest that can be read ({error})") from error
    if not is_signed(raw, signature, key):
        raise PackError("the pack was changed: the signature does not hold for the manifest")
    if manifest.get("format") != FORMAT:
        raise PackError(f"is a pack of another format: {manifest.get('format')!r}")
    for name in sorted(hashes.keys() | files.keys()):
        if name not in files:
            raise PackError(f"the pack was changed: {name} is missing")
        if hashes.get(name) != hashlib.sha256(files[name]).hexdigest():
            raise PackError(f"the pack was changed: {name} is not what the manifest says")
    return Pack(manifest, files, key)


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as pack:
            infos = pack.infolist()
            if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > len(data):
                raise PackError("is no pack: it says it holds more than it can")
            if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
                raise PackError(
                    "is no pack, or was changed: its files are stored as they are, neither compressed nor encrypted"
                )
            return {info.filename: pack.read(info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise PackError(f"is no pack, or was changed: {error}") from error
    except (LookupError, OverflowError, MemoryError, TypeError) as error:  # what odd headers make of the module
        raise PackError(f"is no pack, or was changed: {type(error).__name__}") from error
