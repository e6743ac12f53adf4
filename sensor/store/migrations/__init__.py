"""The schema's history, run by the program itself: nobody needs an alembic.ini."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection


def config() -> Config:
    made = Config()
    # Config reads % as the start of a placeholder.
    made.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest schema inside the transaction that `connection` has begun."""
    chosen = config()
    chosen.attributes["connection"] = connection
    command.upgrade(chosen, "head")


def as_sql(dialect: str) -> str:
    """All migrations as SQL for a dialect, for those who let nobody but themselves change their database."""
    chosen = config()
    output = io.StringIO()
    chosen.attributes.update(dialect=dialect, output=output)
    command.upgrade(chosen, "head", sql=True)
    return output.getvalue()
