"""Peers that a board knows without a key: correspondents by return routability, a home agent that
takes registrations which nothing authenticates.

They are no pairs: daemons see nothing of them, since a pair is what keeps a home address from
return routability. They are here so that the same command again, and `rekey`, know the whole set.
Such a set may hold no key at all; so each row has the set's state, and its place in the order of
sets. A row lives as long as the board may hold its set.

Each function runs inside one transaction of its caller, which raised the revision and is alone.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select, update

from roamkey.registry.records import CONFIRMED, SENT, KeySet, PairKeys, SetEntry
from roamkey.registry.schema import keyless, keys, nodes, pairs

#: Whether a row of `nodes` has such peers: a condition for statements about that table.
has_node = exists().where(keyless.c.node_id == nodes.c.id)


def add(
    c: Connection, node_id: int, set_id: bytes, given: Sequence[PairKeys], lifetime: int
) -> None:
    """Add a set's peers without a key as `sent`, before its keys."""
    after = c.scalar(select(func.max(keys.c.id))) or 0
    for pair in given:
        c.execute(
            insert(keyless).values(
                node_id=node_id,
                set_id=set_id,
                peer=pair.correspondent,
                role=pair.role,
                lifetime=lifetime,
                state=SENT,
                after_key=after,
            )
        )


def board_of(c: Connection, set_id: bytes) -> str | None:
    """The board that such a set went to, or None."""
    joined = keyless.join(nodes)
    mine = select(nodes.c.board_id).select_from(joined).where(keyless.c.set_id == set_id)
    return c.scalar(mine.limit(1))


def place_of(c: Connection, set_id: bytes) -> int:
    """A number above the keys of all sets before this one, which has none itself."""
    return 1 + (c.scalar(select(func.max(keyless.c.after_key)).where(_of(set_id))) or 0)


def confirm(c: Connection, set_id: bytes, board_id: str, first: int) -> Sequence[int]:
    """Confirm a set's rows, and remove those of the board's earlier sets; their nodes. `first`:
    the set's first key, or its place where it has none."""
    c.execute(update(keyless).where(_of(set_id)).values(state=CONFIRMED))
    of_board = select(nodes.c.id).where(nodes.c.board_id == board_id)
    earlier = keyless.c.node_id.in_(of_board) & (keyless.c.after_key < first) & ~_of(set_id)
    own = c.scalar(select(func.min(keyless.c.id)).where(_of(set_id)))
    if own is not None:  # sets without a key, one after another, have the same place
        earlier &= keyless.c.id < own
    touched = c.scalars(select(keyless.c.node_id).where(earlier).distinct()).all()
    c.execute(delete(keyless).where(earlier))
    return touched


def is_confirmed(c: Connection, set_id: bytes) -> bool:
    """Whether the board holds the set, as far as its rows here know."""
    return bool(c.scalar(select(exists().where(_of(set_id), keyless.c.state == CONFIRMED))))


def withdraw(c: Connection, set_id: bytes) -> Sequence[int]:
    """Remove a set's rows; their nodes."""
    touched = c.scalars(select(keyless.c.node_id).where(_of(set_id)).distinct()).all()
    c.execute(delete(keyless).where(_of(set_id)))
    return touched


def remove(c: Connection, home_address: bytes) -> Sequence[int]:
    """Remove all rows of a home address; its node."""
    mine = keyless.c.node_id.in_(select(nodes.c.id).where(nodes.c.home_address == home_address))
    touched = c.scalars(select(keyless.c.node_id).where(mine).distinct()).all()
    c.execute(delete(keyless).where(mine))
    return touched


def latest_node(c: Connection, board_id: str) -> int | None:
    """The row of the node that the board holds by its latest set, if no key of a node that it has
    came later."""
    mine = select(keyless.c.node_id, keyless.c.after_key).join(nodes)
    mine = mine.where(nodes.c.board_id == board_id).order_by(keyless.c.id.desc()).limit(1)
    row = c.execute(mine).one_or_none()
    if row is None:
        return None
    joined = keys.join(pairs).join(nodes)
    later = select(keys.c.id).select_from(joined)
    later = later.where(nodes.c.board_id == board_id, keys.c.id > row.after_key).limit(1)
    return int(row.node_id) if c.scalar(later) is None else None


def sets_of(c: Connection, board_id: str) -> list[KeySet]:
    """The sets of a board that have such peers, the earliest first."""
    statement = (
        select(keyless.c.set_id, func.min(keyless.c.state), nodes.c.home_address)
        .select_from(keyless.join(nodes))
        .where(nodes.c.board_id == board_id)
        .group_by(keyless.c.set_id, nodes.c.home_address)
        .order_by(func.min(keyless.c.id))
    )
    return [KeySet(*row) for row in c.execute(statement)]


def entries_of(c: Connection, set_id: bytes) -> list[SetEntry]:
    """A set's peers without a key, in the order in which they were added."""
    statement = (
        select(nodes.c.home_address, keyless.c.peer, keyless.c.lifetime, keyless.c.role)
        .select_from(keyless.join(nodes))
        .where(_of(set_id))
        .order_by(keyless.c.id)
    )
    return [
        SetEntry(home_address, peer, None, lifetime, role)
        for home_address, peer, lifetime, role in c.execute(statement)
    ]


def _of(set_id: bytes) -> ColumnElement[bool]:
    return keyless.c.set_id == set_id
