"""Texts as every database takes them, and JSON in its one canonical form."""

from __future__ import annotations

import json


def printable(text: str) -> str:
    r"""Lone surrogates (odd file names, hostile names) and NUL (PostgreSQL takes none) become \udcxx and \x00."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def to_json(value: object) -> str:
    """Sorted keys, no spaces, ASCII only: equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
