"""Secrets come from files that the configuration names; they are read once, when the notifier starts."""

from __future__ import annotations

import base64
import binascii
import stat
from typing import TYPE_CHECKING, Final

from sensor.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 4096
LEAST_KEY_BYTES: Final = 16
STANDARD: Final = "whsec_"  # how Standard Webhooks marks a key in base64


def read(path: Path, place: str) -> str:
    """The one line in a file. `place`: file and key that name it. Raises ConfigError, which never repeats the secret."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{place}: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"{place}: {str(path)!r} cannot be read") from error
    if mode & stat.S_IROTH:
        raise ConfigError(f"{place}: {path} can be read by everybody; `chmod o-rwx` it")
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{place}: {path} is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: {path} is not UTF-8 text") from error
    if not text.strip() or not text.isprintable():
        raise ConfigError(f"{place}: {path} does not hold one line of printable characters")
    return text


def read_key(path: Path, place: str) -> bytes:
    """A key for signatures: the bytes of the line, or what is in base64 after "whsec_". Raises ConfigError."""
    text = read(path, place)
    key = text.encode()
    if text.startswith(STANDARD):
        try:
            key = base64.b64decode(text.removeprefix(STANDARD), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"{place}: {path} is not base64 after {STANDARD!r}") from error
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigError(f"{place}: {path} holds fewer than {LEAST_KEY_BYTES} bytes, too few for a key")
    return key


def read_header(path: Path, place: str) -> str:
    """The value of an HTTP header. Raises ConfigError."""
    text = read(path, place)
    if not text.isascii():
        raise ConfigError(f"{place}: {path} has characters that a header cannot carry")
    return text
