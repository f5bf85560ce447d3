"""Batches as PostgreSQL takes them: a statement each, told the rows in arrays."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    bindparam,
    column,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from roamkey.registry.batch_terms import BOUND, acceptable, upsert
from roamkey.registry.schema import bindings, keys


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
    .where(acceptable(_spans.c.key, _spans.c.first))
    .values(last_sequence=_spans.c.last)
    .returning(keys.c.id)
)
_bind_all = upsert(
    postgresql.insert(bindings).from_select(
        BOUND, select(_arrays(*(bindings.c[name] for name in BOUND)))
    )
)
_unbind_all = delete(bindings).where(
    bindings.c.pair_id == func.any(bindparam("pair_id", type_=ARRAY(Integer)))
)


class Arrays:
    """A batch of PostgreSQL's: see `batches.Batch`."""

    def __init__(self, c: Connection) -> None:
        self._c = c

    def take(self, spans: list[tuple[int, int, int]]) -> set[int]:
        """Move the last accepted numbers; the keys for which that was right."""
        if not spans:
            return set()
        given = _columns(("key", "first", "last"), spans)
        self._c.execute(_lock, given)
        return set(self._c.scalars(_take_all, given))

    def bind(self, rows: list[tuple[Any, ...]]) -> None:
        """Make or replace bindings."""
        if rows:
            self._c.execute(_bind_all, _columns(BOUND, rows))

    def unbind(self, pair_ids: list[int]) -> None:
        """Remove bindings."""
        if pair_ids:
            self._c.execute(_unbind_all, {"pair_id": pair_ids})


def _columns(names: Sequence[str], rows: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
