"""What Alembic runs: the migrations, on a connection handed over or as SQL text for a named dialect."""

from __future__ import annotations

from alembic import context

from sensor.store.schema import metadata

given = context.config.attributes.get("connection")
if given is not None:
    context.configure(connection=given, target_metadata=metadata)
else:
    context.configure(
        dialect_name=context.config.attributes["dialect"],
        target_metadata=metadata,
        literal_binds=True,
        output_buffer=context.config.attributes["output"],
    )
with context.begin_transaction():
    context.run_migrations()
