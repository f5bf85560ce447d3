"""Many rows at a time: as each database is fastest at it.

SQLite runs one prepared statement for row after row; a writer has the database for itself.
PostgreSQL is told a batch in arrays, since each statement is a round trip. Several daemons and
hosts write there at once, so rows are locked in the order of their keys first: no two batches
wait for each other.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import (
    ARRAY,
    Connection,
    FromClause,
    Integer,
    and_,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import ClauseElement

from roamkey.registry.records import RETIRED, Binding
from roamkey.registry.schema import bindings, keys

_RETIRED: ColumnElement[str] = literal_column(
    f"'{RETIRED}'"
)  # no parameter: _Rows gives those by place
_BOUND = ("pair_id", *Binding._fields)  # columns, as `bind` is given them

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
    """The batches of this connection's database."""
    return _Arrays(c) if c.dialect.name == "postgresql" else _Rows(c)


def _acceptable(key: Any, first: Any) -> ColumnElement[bool]:
    """A number that was never accepted before, of a key that may still be used."""
    above = or_(keys.c.last_sequence.is_(None), keys.c.last_sequence < first)
    return and_(keys.c.id == key, keys.c.state != _RETIRED, above)


def _upsert(insert: Any) -> Any:
    new = {name: insert.excluded[name] for name in _BOUND}
    return insert.on_conflict_do_update(index_elements=["pair_id"], set_=new)


# --- SQLite

_take_row = (
    update(keys)
    .where(_acceptable(bindparam("key"), bindparam("first")))
    .values(last_sequence=bindparam("last"))
)
_bind_row = _upsert(sqlite.insert(bindings).values({name: bindparam(name) for name in _BOUND}))
_unbind_row = delete(bindings).where(bindings.c.pair_id == bindparam("pair_id"))


class _Rows:
    def __init__(self, c: Connection) -> None:
        self._c = c

    def take(self, spans: list[Span]) -> set[int]:
        with self._c.begin_nested() as attempt:
            if self._run(_take_row, ("key", "first", "last"), spans) == len(spans):
                return {key for key, _, _ in spans}
            attempt.rollback()  # rare, so slow is good enough
        one_by_one = (
            (span, self._run(_take_row, ("key", "first", "last"), [span])) for span in spans
        )
        return {span[0] for span, touched in one_by_one if touched}

    def bind(self, rows: list[tuple[Any, ...]]) -> None:
        self._run(_bind_row, _BOUND, rows)

    def unbind(self, pair_ids: list[int]) -> None:
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


# --- PostgreSQL


def _arrays(*columns: ColumnElement[Any]) -> FromClause:
    """A table made of one array for each column, which the parameter of its name gives."""
    given = [bindparam(c.key, type_=ARRAY(c.type)) for c in columns]
    names = [column(str(c.key), c.type) for c in columns]
    return func.unnest(*given).table_valued(*names, name="given").render_derived()


_spans = _arrays(*(column(name, Integer) for name in ("key", "first", "last")))
_lock = (
    select(keys.c.id)
    .where(keys.c.id == func.any(bindparam("key", type_=ARRAY(Integer))))
    .order_by(keys.c.id)
    .with_for_update(key_share=True)
)
_take_all = (
    update(keys)
    .where(_acceptable(_spans.c.key, _spans.c.first))
    .values(last_sequence=_spans.c.last)
    .returning(keys.c.id)
)
_bind_all = _upsert(
    postgresql.insert(bindings).from_select(
        _BOUND, select(_arrays(*(bindings.c[name] for name in _BOUND)))
    )
)
_unbind_all = delete(bindings).where(
    bindings.c.pair_id == func.any(bindparam("pair_id", type_=ARRAY(Integer)))
)


class _Arrays:
    def __init__(self, c: Connection) -> None:
        self._c = c

    def take(self, spans: list[Span]) -> set[int]:
        if not spans:
            return set()
        given = _columns(("key", "first", "last"), spans)
        self._c.execute(_lock, given)
        return set(self._c.scalars(_take_all, given))

    def bind(self, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._c.execute(_bind_all, _columns(_BOUND, rows))

    def unbind(self, pair_ids: list[int]) -> None:
        if pair_ids:
            self._c.execute(_unbind_all, {"pair_id": pair_ids})


def _columns(names: Sequence[str], rows: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
