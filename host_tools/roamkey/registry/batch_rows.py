"""Batches as SQLite takes them: one prepared statement, row after row."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

from roamkey.registry.batch_terms import BOUND, acceptable, upsert
from roamkey.registry.schema import bindings, keys

_take_row = (
    update(keys)
    .where(acceptable(bindparam("key"), bindparam("first")))
    .values(last_sequence=bindparam("last"))
)
_bind_row = upsert(sqlite.insert(bindings).values({name: bindparam(name) for name in BOUND}))
_unbind_row = delete(bindings).where(bindings.c.pair_id == bindparam("pair_id"))


class Rows:
    """A batch of SQLite's: see `batches.Batch`."""

    def __init__(self, c: Connection) -> None:
        self._c = c

    def take(self, spans: list[tuple[int, int, int]]) -> set[int]:
        """Move the last accepted numbers; the keys for which that was right."""
        with self._c.begin_nested() as attempt:
            if self._run(_take_row, ("key", "first", "last"), spans) == len(spans):
                return {key for key, _, _ in spans}
            attempt.rollback()  # rare, so slow is good enough
        one_by_one = (
            (span, self._run(_take_row, ("key", "first", "last"), [span])) for span in spans
        )
        return {span[0] for span, touched in one_by_one if touched}

    def bind(self, rows: list[tuple[Any, ...]]) -> None:
        """Make or replace bindings."""
        self._run(_bind_row, BOUND, rows)

    def unbind(self, pair_ids: list[int]) -> None:
        """Remove bindings."""
        self._run(_unbind_row, ("pair_id",), [(pair_id,) for pair_id in pair_ids])

    def _run(self, statement: ClauseElement, names: tuple[str, ...], rows: Sequence[Any]) -> int:
        """Run for each row, without SQLAlchemy's work for each; how many rows it touched."""
        if not rows:
            return 0
        text, places = _in_order(statement, names)
        if places != tuple(range(len(names))):
            rows = [tuple(row[place] for place in places) for row in rows]
        return self._c.exec_driver_sql(text, rows).rowcount


@cache
def _in_order(statement: ClauseElement, names: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """A statement as SQLite takes it, and which of the named values each of its marks is."""
    compiled = statement.compile(dialect=sqlite.dialect())
    assert isinstance(compiled, SQLCompiler)
    places = tuple(names.index(name) for name in compiled.positiontup or ())
    return compiled.string, places
