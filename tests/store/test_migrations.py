"""The migrations give the schema that the code uses, on both engines, and the database itself keeps it append-only."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from sensor.model import Outcome
from sensor.store import Cursor, Filter, Sighting, Store, schema
from sensor.store.migrations import as_sql, config, upgrade
from sensor.store.reading import queries
from tests.store.make import episode

if TYPE_CHECKING:
    from tests.postgres import Cluster

APPEND_ONLY = ("evidence", "names", "revisions")
OLD_HEAD = (
    "INSERT INTO heads (episode_id, lineage_id, step, subject_id, device_id, app_key, network, outcome, activity,"
    " severity, start_ns, end_ns, capped, listed, state) VALUES ('{}', {}, 1, 1, '', '', '', '', 0, 0, 0, 0, 0, {}, '')"
)


def test_from_nothing_to_the_newest_schema_is_what_the_code_uses() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        upgrade(connection)
    engine.dispose()


def test_the_code_names_every_migration_in_order() -> None:
    script = ScriptDirectory.from_config(config())
    assert tuple(one.revision for one in script.walk_revisions())[::-1] == schema.VERSIONS
    assert script.get_heads() == [schema.VERSION]


def test_in_an_older_store_what_lists_show_counts_as_judged_last() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        chosen = config()
        chosen.attributes["connection"] = connection
        command.upgrade(chosen, "0001")
        connection.execute(text(OLD_HEAD.format("a", 1, 0)))
        connection.execute(text(OLD_HEAD.format("a", 2, 1)))
        upgrade(connection)
        assert connection.scalars(text("SELECT judged FROM heads ORDER BY lineage_id")).all() == [0, 1]
    engine.dispose()


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET step = step", "DELETE FROM {}"])
def test_what_was_recorded_cannot_be_changed(store: Store, table: str, statement: str) -> None:
    store.append([episode()])
    with store._engine.connect() as connection, pytest.raises(DBAPIError, match=f"{table} is append-only"):
        connection.execute(text(statement.format(table)))


@pytest.mark.parametrize("statement", ["UPDATE sightings SET flows = 0", "DELETE FROM sightings"])
def test_what_could_not_be_read_cannot_be_changed(store: Store, statement: str) -> None:
    store.observe([Sighting("hour", "", "Ward", "", 0, 1, 1, {"record": "hour"})])
    with store._engine.connect() as connection, pytest.raises(DBAPIError, match="sightings is append-only"):
        connection.execute(text(statement))


@pytest.fixture(scope="module")
def psql(cluster: Cluster) -> list[str]:
    """What runs SQL as it stands. No driver is needed."""
    return cluster.psql


def run(psql: list[str], sql: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*psql, "-f", "-"], input=sql, capture_output=True, text=True, check=False)


def test_the_schema_is_one_that_postgresql_takes(psql: list[str], sqlite_store: Store) -> None:
    done = run(psql, as_sql("postgresql"))
    assert done.returncode == 0, done.stderr
    assert run(psql, "SELECT value FROM meta WHERE key = 'application'").stdout == "wardwatch\n"
    for table in APPEND_ONLY:
        for statement in (f"UPDATE {table} SET step = step", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            refused = run(psql, statement)
            assert refused.returncode != 0
            assert "is append-only" in refused.stderr
    for statement in ("UPDATE chain SET hash = ''", "DELETE FROM chain", "TRUNCATE chain"):
        assert (
            run(psql, "INSERT INTO chain VALUES (1, 0, '', '', '', '', '', '') ON CONFLICT DO NOTHING").returncode == 0
        )
        refused = run(psql, statement)
        assert "chain is append-only" in refused.stderr
    assert run(psql, "UPDATE chain SET content = NULL, salt = NULL").returncode == 0
    refused = run(psql, "DELETE FROM sightings")
    assert "sightings is append-only" in refused.stderr
    sqlite_store.append([episode(), episode(app=None, candidates=("whatsapp", "zoom"))])
    for chosen in (Filter(), Filter(app="zoom", network="Staff", outcomes=tuple(Outcome), since_ns=1, state="new")):
        with sqlite_store._engine.connect() as connection:
            for query in queries(connection, chosen, 10, Cursor(5, "x")):
                compiled = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
                explained = run(psql, f"SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN {compiled}")
                assert explained.returncode == 0, explained.stderr
                assert "Index Scan Backward using ix_heads_listed" in explained.stdout
                assert "Sort" not in explained.stdout
