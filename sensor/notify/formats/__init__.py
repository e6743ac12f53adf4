"""One violation as the formats of SIEMs have it. Pure functions: a value in, text out, no files, no network, no clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sensor.notify.formats import cef, ecs, eve, ocsf, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.notify.model import Violation

__all__ = ["FORMATS", "JSON_TYPE", "TEXT_TYPE", "content_type", "text"]

JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain; charset=utf-8"

_RECORDS: Final[dict[str, Callable[[Violation], dict[str, Any]]]] = {
    "wardwatch": own.record,
    "ecs": ecs.record,
    "ocsf": ocsf.record,
    "eve": eve.record,
}
FORMATS: Final = (*_RECORDS, "cef")


def text(violation: Violation, form: str) -> str:
    """One line without its end: JSON in ASCII, or CEF. `form` is one of FORMATS."""
    if form == "cef":
        return cef.line(violation)
    return json.dumps(_RECORDS[form](violation), ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def content_type(form: str) -> str:
    """The media type of such a text."""
    return TEXT_TYPE if form == "cef" else JSON_TYPE
