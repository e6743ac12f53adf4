"""The API, version 1."""

from __future__ import annotations

from fastapi import APIRouter

from api.v1 import admin, exceptions, files, fleet, overview, proofs, sessions, violations
from api.v1.shapes import PROBLEMS

router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
for part in (sessions, violations, exceptions, overview, files, proofs, admin, fleet):
    router.include_router(part.router)
