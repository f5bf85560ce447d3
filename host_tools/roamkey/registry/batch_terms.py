"""What both kinds of batches say: which number is acceptable, what a binding's row is."""

from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column, or_

from roamkey.registry.records import RETIRED, Binding
from roamkey.registry.schema import keys

_RETIRED: ColumnElement[str] = literal_column(
    f"'{RETIRED}'"
)  # no parameter: _Rows gives those by place
#: Columns, as `bind` is given them.
BOUND = ("pair_id", *Binding._fields)


def acceptable(key: Any, first: Any) -> ColumnElement[bool]:
    """A number that was never accepted before, of a key that may still be used."""
    above = or_(keys.c.last_sequence.is_(None), keys.c.last_sequence < first)
    return and_(keys.c.id == key, keys.c.state != _RETIRED, above)


def upsert(insert: Any) -> Any:
    """An insert that replaces the binding there is."""
    new = {name: insert.excluded[name] for name in BOUND}
    return insert.on_conflict_do_update(index_elements=["pair_id"], set_=new)
