"""Pages for people, rendered here: `router` has their routes, `problem_page` shows what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from api.templates import render

if TYPE_CHECKING:
    from fastapi import Request, Response

    from api.problems import Problem

router = APIRouter(include_in_schema=False)


def problem_page(request: Request, problem: Problem) -> Response:
    """What went wrong, for people."""
    return render(request, "problem.html", status=problem.status, headers=problem.headers, problem=problem)
