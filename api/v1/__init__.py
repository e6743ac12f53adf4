"""The API, version 1."""

from __future__ import annotations

from fastapi import APIRouter

from api.v1 import fleet, sessions, violations
from api.v1.shapes import PROBLEMS

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
for part in (sessions, violations, fleet):
    router.include_router(part.router)
