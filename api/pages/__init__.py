"""Pages for people, rendered here: `router` has their routes, `problem_page` shows what went wrong."""

from __future__ import annotations

from fastapi import APIRouter

from api.pages import changing, devices, exceptions, force, signing, summary, violations, visibility, week
from api.pages.problems import problem_page

router = APIRouter(include_in_schema=False)
for part in (signing, summary, violations, changing, devices, visibility, week, exceptions, force):
    router.include_router(part.router)

__all__ = ["problem_page", "router"]
