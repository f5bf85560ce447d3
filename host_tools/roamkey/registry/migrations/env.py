"""What alembic runs: the migrations, on the connection that `upgrade` was given."""

from alembic import context

from roamkey.registry.schema import metadata

_attributes = context.config.attributes
context.configure(
    connection=_attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by making it anew
)
if _attributes["found"]:
    # The first revision did without alembic's table.
    _migration = context.get_context()
    if not _migration.get_current_heads():
        _migration.stamp(context.script, _attributes["found"])
context.run_migrations()
