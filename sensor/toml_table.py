"""Reads a TOML file table by table and key by key; every mistake is one line, `FILE: KEY: reason`.

A parser here is a function from one TOML value to what it means; it raises WrongValueError with the reason, and the table adds
file and key. Keys are counted from 0, as in `network[1].cidrs[0]`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Hashable
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

from sensor.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 4 << 20  # a policy written by people is a thousandth of this
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_TOML_PLACE: Final = re.compile(r"(?P<reason>.*) \(at (?P<place>line \d+, column \d+|end of document)\)", re.DOTALL)
_TYPE_NAMES: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)


class WrongValueError(ValueError):
    """A value that cannot be used; the text is the reason."""


class _Missing(Enum):
    REQUIRED = "required"


REQUIRED: Final = _Missing.REQUIRED


def type_name(value: object) -> str:
    """What a TOML value is, in the words of the messages."""
    return _TYPE_NAMES.get(type(value), "a date or time")


def suggestion(word: str, known: Collection[str]) -> str:
    """' (did you mean ...?)', or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class Table:
    """One table of a TOML file and the key path that leads to it. Keys outside `keys` raise ConfigError at once."""

    __slots__ = ("_file", "_path", "_values")

    def __init__(self, file: str, path: str, values: dict[str, object], keys: Collection[str]) -> None:
        self._file = file
        self._path = path
        self._values = values
        for key in values:
            if key not in keys:
                raise self.wrong(quoted(key), f"unknown key{suggestion(key, keys)}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def path(self) -> str:
        """The key path that leads to it, as messages write it."""
        return self._path

    def wrong(self, key: str, reason: str) -> ConfigError:
        """The error to raise for `key` of this table; an empty key means the table itself."""
        path = ".".join(part for part in (self._path, key) if part)
        return ConfigError(": ".join(part for part in (self._file, path, reason) if part))

    def one(self, key: str, parse: Callable[[object], T], default: T | _Missing = REQUIRED) -> T:
        """The value of one key. Raises ConfigError where it is missing without a default, or wrong."""
        if key not in self._values:
            if isinstance(default, _Missing):
                raise self.wrong(key, "is missing")
            return default
        return self._parsed(key, parse, self._values[key])

    def each(self, key: str, parse: Callable[[object], H], default: tuple[H, ...] | _Missing = ()) -> tuple[H, ...]:
        """The values of a list in their order, no two alike; with REQUIRED it must hold something."""
        if key not in self._values and not isinstance(default, _Missing):
            return default
        values = self.one(key, _list)
        if not values and isinstance(default, _Missing):
            raise self.wrong(key, "must not be empty")
        found: dict[H, None] = {}
        for index, value in enumerate(values):
            parsed = self._parsed(f"{key}[{index}]", parse, value)
            if parsed in found:
                raise self.wrong(f"{key}[{index}]", f"{value!r} is listed twice")
            found[parsed] = None
        return tuple(found)

    def pairs(
        self, key: str, parse_key: Callable[[object], H], parse: Callable[[object], T]
    ) -> tuple[tuple[H, T], ...]:
        """The keys and values of a table whose keys the operator chooses; no two keys that mean the same."""
        found: dict[H, T] = {}
        for name, value in self._dict(key).items():
            place = f"{key}.{quoted(name)}"
            parsed = self._parsed(place, parse_key, name)
            if parsed in found:
                raise self.wrong(place, "is named twice")
            found[parsed] = self._parsed(place, parse, value)
        return tuple(found.items())

    def table(self, key: str, keys: Collection[str]) -> Table:
        """A sub-table; an empty one where it is missing."""
        return Table(self._file, self._join(key), self._dict(key), keys)

    def tables(self, key: str, keys: Collection[str]) -> list[Table]:
        """The tables of `[[key]]`, in the order of the file."""
        values = self.one(key, _list) if key in self._values else []
        places = [f"{key}[{index}]" for index in range(len(values))]
        found = [self._parsed(place, _dict, value) for place, value in zip(places, values, strict=True)]
        return [Table(self._file, self._join(place), each, keys) for place, each in zip(places, found, strict=True)]

    def _dict(self, key: str) -> dict[str, object]:
        return self.one(key, _dict) if key in self._values else {}

    def _parsed(self, key: str, parse: Callable[[object], T], value: object) -> T:
        try:
            return parse(value)
        except WrongValueError as error:
            raise self.wrong(key, str(error)) from error

    def _join(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise WrongValueError(f"must be a list, not {type_name(value)}")
    return value


def _dict(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise WrongValueError(f"must be a table, not {type_name(value)}")
    return value


def quoted(key: str) -> str:
    """A key as TOML would have it: bare where that is allowed, else quoted and printable."""
    return key if _BARE_KEY.fullmatch(key) else f'"{key.encode("unicode_escape").decode("ascii")}"'


def read(path: Path, keys: Collection[str]) -> Table:
    """The top table of a TOML file. Raises ConfigError: unreadable, too large, not UTF-8, not TOML."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"{file!r}: cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{file}: is larger than {MAX_FILE_BYTES} bytes")
    return parse(file, data, keys)


def parse(file: str, data: bytes, keys: Collection[str]) -> Table:
    """The top table of TOML text; `file` is what the messages call it. Raises ConfigError."""
    try:
        return Table(file, "", tomllib.loads(data.decode("utf-8")), keys)
    except UnicodeDecodeError as error:
        lines = data[: error.start].split(b"\n")
        raise ConfigError(f"{file}: line {len(lines)}, column {len(lines[-1]) + 1}: is not UTF-8 text") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, and numbers of thousands of digits
        raise ConfigError(f"{file}: {_toml_reason(str(error))}") from error


def _toml_reason(message: str) -> str:
    """`line 3, column 5: reason`, on one line; tomllib says the place at the end, in brackets."""
    match = _TOML_PLACE.fullmatch(message)
    if match is None:
        return f"is not TOML: {message}"
    return f"{match['place']}: {match['reason']}".replace("\n", "\\n")
