"""Text that a spreadsheet would take for a formula (OWASP, CSV injection)."""

from __future__ import annotations

from typing import Final

FORMULA: Final = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # also as East Asian spreadsheets write them


def harmless(value: object) -> object:
    """The same, with an apostrophe before what would be a formula."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return value
