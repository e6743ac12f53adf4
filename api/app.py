"""The app: the API under /api/v1, pages for people beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from api import pages, problems
from api.shield import Buckets, Shield
from api.state import State
from api.v1 import router as v1

if TYPE_CHECKING:
    from sensor.services.desk import Desk
    from sensor.settings_api import ApiSettings

STATIC: Final = Path(__file__).parent / "static"
DESCRIPTION: Final = """What a clinic's devices do with messaging and video apps, why the policy calls it a violation, and what was done about it.

Sign in by `POST /api/v1/session` or send an API key. Times are RFC 3339 in UTC. Errors are problem documents (RFC 9457)."""


def create_app(desk: Desk, settings: ApiSettings | None = None) -> FastAPI:
    """The app over one desk; `settings` None: those of the desk's configuration."""
    chosen = settings or desk.setup.settings.api
    app = FastAPI(
        title="wardwatch",
        version="1",
        summary="Follow-up of policy violations",
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page fetches scripts from elsewhere
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    origins = frozenset({chosen.public_url} if chosen.public_url else set())
    app.state.wardwatch = State(desk, chosen, Buckets(chosen.requests_per_minute), origins)
    app.include_router(v1)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    problems.install(app, pages.problem_page)
    app.add_middleware(Shield, settings=chosen)
    return app
