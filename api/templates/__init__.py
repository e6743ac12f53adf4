"""The templates, and how a page is made of one: escaped, strict about what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

HERE: Final = Path(__file__).parent
environment: Final = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(
    request: Request, name: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> HTMLResponse:
    """A page. Every template knows `request`."""
    text = environment.get_template(name).render(request=request, **context)
    return HTMLResponse(text, status, headers=dict(headers or {}))
