"""YAML as signature files use it: mappings, lists and plain text, every value with its file, line and key.

Scalars stay text until the format says what they are, so `no`, `1e3` and dates never change their meaning. Anchors,
aliases and tags are refused, as are duplicate keys; size and depth are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from sensor.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# The C parser reads all files in a tenth of the time; the pure one says the same where the C one is not built.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_FILE_BYTES: Final = 1 << 20  # the largest file of ours is 20 kB
MAX_DEPTH: Final = 8  # the format needs five
MAX_TEXT: Final = 1 << 16  # one scalar; a list of ranges written as a block of text is the longest


@dataclass(slots=True)
class Field:
    """One value: text, a list of fields, or a mapping of keys to fields. `line` is that of its key, if it has one."""

    file: str
    line: int
    key: str
    value: str | list[Field] | dict[str, Field]

    def fail(self, reason: str) -> NoReturn:
        """Raise SignatureError("file:line: key: reason"), on one line whatever the file holds."""
        where = f"{self.key}: " if self.key else ""
        raise SignatureError(_one_line(f"{self.file}:{self.line}: {where}{reason}"))

    def text(self, *, longest: int = 400) -> str:
        """The text, not empty. Raises SignatureError."""
        if not isinstance(self.value, str):
            self.fail("expected text")
        if not self.value:
            self.fail("is empty")
        if len(self.value) > longest:
            self.fail(f"is longer than {longest} characters")
        return self.value

    def flag(self) -> bool:
        """True or false. Raises SignatureError."""
        if self.value not in {"true", "false"}:
            self.fail("expected true or false")
        return self.value == "true"

    def integer(self, low: int, high: int) -> int:
        """A whole number, decimal or 0x hexadecimal, from `low` to `high`. Raises SignatureError."""
        text = self.text(longest=20)
        try:
            number = int(text, 16 if text.startswith("0x") else 10) if text.isascii() and "_" not in text else low - 1
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            self.fail(f"expected a whole number from {low} to {high}, not {text!r}")
        return number

    def one_of(self, words: Collection[str]) -> str:
        """One of `words`. Raises SignatureError."""
        text = self.text()
        if text not in words:
            self.fail(f"expected one of {', '.join(words)}, not {text!r}")
        return text

    def items(self, *, most: int = 20_000) -> list[Field]:
        """The items of a list, which is not empty. Raises SignatureError."""
        if not isinstance(self.value, list):
            self.fail("expected a list")
        if not self.value:
            self.fail("is empty")
        if len(self.value) > most:
            self.fail(f"has more than {most} items")
        return self.value

    def words(self) -> list[Field]:
        """The items of a list, or the words of a block of text, each with its line. Raises SignatureError."""
        if isinstance(self.value, str):
            found = [Field(self.file, self.line, self.key, word) for word in self.value.split()]
            return Field(self.file, self.line, self.key, found).items()
        return self.items()

    def mapping(self, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, Field]:
        """The keys and values, of which none is unknown and none missing. Raises SignatureError."""
        if not isinstance(self.value, dict):
            self.fail("expected keys and values")
        for key, field in self.value.items():
            if key not in allowed:
                field.fail(f"unknown key, expected one of {', '.join(allowed)}")
        for key in required:
            if key not in self.value:
                self.fail(f"missing key {key!r}")
        return self.value


def read(path: Path) -> Field:
    """Read one file into its top mapping. Raises SignatureError naming file, line and key."""
    file = str(path)
    top = Field(file, 1, "", {})
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        top.fail(f"cannot be read: {error.strerror or error}")
    if len(raw) > MAX_FILE_BYTES:
        top.fail(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        Field(file, raw.count(b"\n", 0, error.start) + 1, "", "").fail("is not UTF-8")
    found = _build(file, text)
    if not isinstance(found.value, dict):
        found.fail("expected keys and values at the top")
    return found


def _build(file: str, text: str) -> Field:
    """The one document in `text`; iterative, so depth costs no stack."""
    stack: list[_Open] = []
    root: Field | None = None
    for event in _events(file, text):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            Field(file, line, "", "").fail("has more than one document")
        if isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            if not stack:
                root = done.field
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        here = stack[-1].place(file, line) if stack else Field(file, line, "", "")
        _refuse(event, here, len(stack))
        if isinstance(event, yaml.ScalarEvent):
            if stack:
                stack[-1].add(here, event.value)
            else:
                here.value = event.value
                root = here
            continue
        if stack:
            stack[-1].open(here)
        here.value = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        stack.append(_Open(here))
    return root or Field(file, 1, "", "")


def _events(file: str, text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        Field(file, line, "", "").fail(f"is not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:  # a character that YAML does not allow
        Field(file, 1, "", "").fail(f"is not YAML: {error}")


def _refuse(event: Any, here: Field, depth: int) -> None:
    """Nothing that makes a small file large, or says one thing and means another."""
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        here.fail("anchors and aliases are not used here")
    if event.tag is not None:
        here.fail("tags are not used here")
    if isinstance(event, yaml.ScalarEvent):
        if len(event.value) > MAX_TEXT:
            here.fail(f"is longer than {MAX_TEXT} characters")
    elif depth >= MAX_DEPTH:
        here.fail(f"is nested more than {MAX_DEPTH} deep")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; `waiting` is a mapping's key that still lacks its value."""

    field: Field
    waiting: Field | None = None
    name: str = ""

    def place(self, file: str, line: int) -> Field:
        """Where the next value stands."""
        if self.waiting is not None:
            return self.waiting
        key = self.field.key
        if isinstance(self.field.value, list):
            key = f"{key}[{len(self.field.value)}]"
        return Field(file, line, key, "")

    def add(self, here: Field, text: str) -> None:
        """Take one scalar: an item, a key, or the value of the key before it."""
        if isinstance(self.field.value, dict) and self.waiting is None:
            key = f"{self.field.key}.{text}" if self.field.key else text
            self.waiting, self.name = Field(here.file, here.line, key, text), text
            if text in self.field.value:
                self.waiting.fail("is given twice")
            return
        here.value = text
        self._keep(here)

    def open(self, here: Field) -> None:
        """Take one list or mapping."""
        if isinstance(self.field.value, dict) and self.waiting is None:
            here.fail("a key is plain text")
        self._keep(here)

    def _keep(self, here: Field) -> None:
        if isinstance(self.field.value, list):
            self.field.value.append(here)
        elif isinstance(self.field.value, dict):
            self.field.value[self.name] = here
            self.waiting = None


def _one_line(text: str) -> str:
    """Control characters shown as escapes: a hostile file cannot forge a second line of output."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)[:600]
