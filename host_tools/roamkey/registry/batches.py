"""Many rows at a time: as each database is fastest at it.

SQLite runs one prepared statement for row after row; a writer has the database for itself.
PostgreSQL is told a batch in arrays, since each statement is a round trip. Several daemons and
hosts write there at once, so rows are locked in the order of their keys first: no two batches
wait for each other.
"""

from typing import Any, Protocol

from sqlalchemy import Connection

Span = tuple[int, int, int]  # a key, its first and its last number in the batch


class Batch(Protocol):
    """Statements over many rows, inside one transaction."""

    def take(self, spans: list[Span]) -> set[int]:
        """Move the keys' last accepted numbers; the keys for which that was right."""

    def bind(self, rows: list[tuple[Any, ...]]) -> None:
        """Make or replace bindings: a pair, and the fields of its binding."""

    def unbind(self, pair_ids: list[int]) -> None:
        """Remove bindings."""


def on(c: Connection) -> Batch:
    """The batches of this connection's database; only what is asked of it is imported."""
    if c.dialect.name == "postgresql":
        from roamkey.registry.batch_arrays import Arrays

        return Arrays(c)
    from roamkey.registry.batch_rows import Rows

    return Rows(c)
