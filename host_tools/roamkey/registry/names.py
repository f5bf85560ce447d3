"""Names of nodes: what people call them, beside the home address and never instead of it.

A name is the registry's; boards don't hold it. One node at most has it. A node of which no board
holds keys any more gives its name up to whoever is given it.

Each function runs inside one transaction of its caller.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, and_, select, update

from mip6 import addresses
from roamkey.errors import RefusedError
from roamkey.registry import checks, keysets
from roamkey.registry.schema import nodes, pairs

_AT_ONCE = 500  # parameters of a statement


def found(text: object) -> str | None:
    """What stands in a row: the name, or None where it is none or can't be one."""
    return text if isinstance(text, str) and checks.is_name(text) else None


def by_home_address(c: Connection) -> dict[bytes, str]:
    """All names."""
    rows = c.execute(select(nodes.c.home_address, nodes.c.name).where(nodes.c.name.is_not(None)))
    return {home: name for home, name in rows if checks.is_name(name)}


def by_board(c: Connection) -> dict[str, str]:
    """The names of nodes that boards hold, by board id."""
    named = nodes.c.name.is_not(None), nodes.c.board_id.is_not(None)
    rows = c.execute(select(nodes.c.board_id, nodes.c.name).where(*named).order_by(nodes.c.id))
    return {board: name for board, name in rows if checks.is_name(name)}


def home_address(c: Connection, name: str) -> bytes | None:
    """Whose name it is, or None."""
    return c.scalar(select(nodes.c.home_address).where(nodes.c.name == name))


def rename(c: Connection, home: bytes, name: str | None) -> None:
    """Give a node a name, or none. Raises RefusedError where there is no such node, or where
    another one has the name."""
    mine = nodes.c.home_address == home
    row = c.execute(select(nodes.c.id, nodes.c.name).where(mine)).one_or_none()
    if row is None:
        raise RefusedError(f"no node in the registry with the home address {addresses.text(home)}")
    if row.name != name:
        keysets.raise_revision(c)  # first: whoever did so is alone until the transaction ends
        give(c, row.id, name)


def give(c: Connection, node_id: int, name: str | None) -> None:
    """The same for a row, in a transaction that raised the revision."""
    touched = {node_id}
    if name is not None:
        checks.name(name)
        other = and_(nodes.c.name == name, nodes.c.id != node_id)
        row = c.execute(select(nodes.c.id, nodes.c.home_address, nodes.c.board_id).where(other))
        holder = row.one_or_none()
        if holder is not None:
            if holder.board_id is not None:
                raise RefusedError(
                    f"the name {name} is that of {addresses.text(holder.home_address)}, board "
                    f"{holder.board_id}"
                )
            touched.add(holder.id)
            c.execute(update(nodes).where(nodes.c.id == holder.id).values(name=None))
    c.execute(update(nodes).where(nodes.c.id == node_id).values(name=name))
    keysets.touch(c, c.scalars(select(pairs.c.id).where(pairs.c.node_id.in_(touched))).all())


def take(c: Connection, given: Mapping[bytes, str | None]) -> list[str]:
    """Take names over from another registry, of nodes that are here; those that stay another
    node's here, in the order of the alphabet."""
    here = _rows(c, given)
    news = {home: name for home, name in given.items() if home in here and here[home][1] != name}
    if not news:
        return []
    keysets.raise_revision(c)
    ids = [here[home][0] for home in news]
    for at in range(0, len(ids), _AT_ONCE):  # two that change names are in nobody's way
        some = ids[at : at + _AT_ONCE]
        c.execute(update(nodes).where(nodes.c.id.in_(some)).values(name=None))
    kept = []
    for home, name in news.items():
        try:
            give(c, here[home][0], name)
        except RefusedError:
            kept.append(str(name))
    return sorted(kept)


def _rows(c: Connection, homes: Collection[bytes]) -> dict[bytes, tuple[int, str | None]]:
    rows = c.execute(select(nodes.c.home_address, nodes.c.id, nodes.c.name))
    return {home: (node_id, name) for home, node_id, name in rows if home in homes}
