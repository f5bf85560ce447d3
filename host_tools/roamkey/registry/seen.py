"""When nodes were last heard of, and how fast they use their keys up. It decides nothing.

A daemon notes it now and then (`note`), for some pairs at a time; a binding's own row is fresher
while there is one. What was heard is an accepted update, or data that came from the node's care-of
address, which nobody signed.

How fast: between two instants, half a day to a whole one apart, so many numbers of the key were
used. `from_*` is the earlier one, `mid_*` becomes it. A key's first ten minutes say nothing.

Each function runs inside one transaction of its caller.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from mip6.limits import SEQUENCE_NUMBERS
from roamkey.registry import bindings as binding_rows
from roamkey.registry import names
from roamkey.registry.records import RETIRED, Figures, NodeUse, Use
from roamkey.registry.schema import bindings, keyless, keys, nodes, pairs, seen

_WINDOW_MS = 12 * 3_600_000
_LEAST_MS = 600_000
_LEAST_USES = 3

#: What is counted of a correspondent's nodes: heard of for so long no more, so many uses left at
#: most, keys that end within such a time at the present rate.
QUIET_S = (300, 3600, 86_400, 7 * 86_400)
USES_LEFT = (1000, 10_000, 30_000)
ENDS_S = (7 * 86_400, 30 * 86_400, 90 * 86_400)


def note(c: Connection, uses: Sequence[Use], now: int) -> None:
    """Note what was heard of pairs; those that are gone meanwhile are left out. `now`: in
    milliseconds since 1970."""
    wanted = [use.pair_id for use in uses]
    there = set(c.scalars(select(pairs.c.id).where(pairs.c.id.in_(wanted))))
    rows = [
        {
            "pair_id": use.pair_id,
            "update_ms": use.update_ms,
            "data_ms": use.data_ms,
            "key_id": use.key_id,
            "from_ms": now,
            "from_sequence": use.sequence,
            "mid_ms": now,
            "mid_sequence": use.sequence,
        }
        for use in sorted(uses)  # in one order: no two daemons wait for each other
        if use.pair_id in there
    ]
    if rows:
        c.execute(_note[c.dialect.name == "postgresql"], rows)


def _noting(insert: Any) -> Any:
    new = insert.excluded

    def latest(name: str) -> ColumnElement[Any]:
        before = seen.c[name]
        return case((or_(before.is_(None), new[name] > before), new[name]), else_=before)

    other_key = or_(seen.c.key_id.is_(None), seen.c.key_id != new.key_id)
    over = or_(new.mid_ms - seen.c.mid_ms >= _WINDOW_MS, new.mid_ms < seen.c.mid_ms)
    moved = {
        f"from_{what}": case(
            (other_key, new[f"mid_{what}"]),
            (over, seen.c[f"mid_{what}"]),
            else_=seen.c[f"from_{what}"],
        )
        for what in ("ms", "sequence")
    }
    moved |= {
        f"mid_{what}": case(
            (or_(other_key, over), new[f"mid_{what}"]), else_=seen.c[f"mid_{what}"]
        )
        for what in ("ms", "sequence")
    }
    return insert.on_conflict_do_update(
        index_elements=["pair_id"],
        set_={
            "update_ms": latest("update_ms"),
            "data_ms": latest("data_ms"),
            "key_id": new.key_id,
            **moved,
        },
    )


_note = (_noting(sqlite.insert(seen)), _noting(postgresql.insert(seen)))

# --- what is read


def _later(a: ColumnElement[Any], b: ColumnElement[Any]) -> ColumnElement[Any]:
    """The greater of two numbers, or of one, or NULL."""
    return case((b.is_(None), a), (a > b, a), else_=b)


_of_pair = binding_rows.of_pair
_update_ms = _later(seen.c.update_ms, bindings.c.registered_ms)
_last_ms = _later(seen.c.data_ms, _update_ms)
_used = func.coalesce(keys.c.last_sequence, -1)  # the last number that was
_left = cast(SEQUENCE_NUMBERS * _of_pair.c.live - 1 - _used, BigInteger)
_spent = _used - seen.c.from_sequence
_span_ms = _update_ms - seen.c.from_ms
_is_known = and_(seen.c.key_id == keys.c.id, _spent >= _LEAST_USES, _span_ms >= _LEAST_MS)
_ends_s = cast(case((_is_known, _left * _span_ms / (1000 * _spent))), BigInteger)

# Keys are read once, in the order of their pairs; all else is found by its primary key.
_joined = (
    _of_pair.join(pairs, pairs.c.id == _of_pair.c.pair_id)
    .join(nodes)
    .outerjoin(keys, (keys.c.pair_id == pairs.c.id) & (keys.c.generation == _of_pair.c.generation))
    .outerjoin(bindings, bindings.c.pair_id == pairs.c.id)
    .outerjoin(seen, seen.c.pair_id == pairs.c.id)
)
_node = (nodes.c.home_address, nodes.c.name, nodes.c.board_id, nodes.c.refused)
_with_keys = (
    select(
        *_node,
        pairs.c.correspondent,
        pairs.c.role,
        _of_pair.c.live,
        _of_pair.c.generation,
        _left,
        _ends_s,
        _update_ms,
        seen.c.data_ms,
        _last_ms,
        bindings.c.care_of_address,
        bindings.c.expires_ms,
    )
    .select_from(_joined)
    .where(_of_pair.c.live > 0)
)
_without = select(*_node).where(
    nodes.c.id.in_(select(keyless.c.node_id)),
    nodes.c.id.not_in(select(pairs.c.node_id).join(keys).where(keys.c.state != RETIRED)),
)


def of_nodes(c: Connection) -> list[NodeUse]:
    """See `Registry.nodes_in_use`; what is damaged isn't among them."""
    rows: list[Sequence[Any]] = [*c.execute(_with_keys)]
    rows += [(*row, *(None,) * 11) for row in c.execute(_without)]
    found = [
        NodeUse._make((row[0], names.found(row[1]), *row[2:]))
        for row in rows
        if binding_rows.are_addresses(row[0], row[4] or row[0], row[-2] or row[0])
    ]
    return sorted(found, key=lambda one: (one.home_address, one.peer or b""))


def figures(c: Connection, correspondent: bytes, now: int) -> Figures:
    """See `Registry.figures`."""

    def count(*conditions: ColumnElement[bool]) -> Any:
        return func.count(case((and_(*conditions), 1)))

    quiet_ms = literal(now, BigInteger) - _last_ms
    never = _last_ms.is_(None)
    row = c.execute(
        select(
            count(never),
            func.max(quiet_ms),
            func.min(_left),
            func.min(_ends_s),
            *(count(or_(never, quiet_ms > 1000 * quiet_s)) for quiet_s in QUIET_S),
            *(count(_left < uses) for uses in USES_LEFT),
            *(count(_ends_s < ends_s) for ends_s in ENDS_S),
        )
        .select_from(_joined)
        .where(_of_pair.c.live > 0, pairs.c.correspondent == correspondent)
    ).one()
    counts = [int(one) for one in row[4:]]
    quiet, left = len(QUIET_S), len(QUIET_S) + len(USES_LEFT)
    return Figures(
        int(row[0]),
        None if row[1] is None else max(0, int(row[1]) // 1000),
        None if row[2] is None else int(row[2]),
        None if row[3] is None else int(row[3]),
        dict(zip(QUIET_S, counts[:quiet], strict=True)),
        dict(zip(USES_LEFT, counts[quiet:left], strict=True)),
        dict(zip(ENDS_S, counts[left:], strict=True)),
    )
