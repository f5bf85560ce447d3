"""Questions about nodes, sets and keys. Each function runs inside one transaction of its caller.

What each answers stands at the method of `Registry` of the same name.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, func, select

from roamkey.errors import BadInputError
from roamkey.registry import checks, keyless, names, sites, versions
from roamkey.registry.encryption import Place
from roamkey.registry.marks import KeyName
from roamkey.registry.records import (
    CORRESPONDENT,
    RETIRED,
    Key,
    KeySet,
    Node,
    Pair,
    PairKeys,
    SetEntry,
)
from roamkey.registry.schema import bindings, keys, nodes, pairs, registry
from roamkey.registry.vault import Reveal, Vault


def next_generation(c: Connection, home_address: bytes, correspondent: bytes) -> int:
    """The number that a new key of this pair must have at least: 0 for a new pair."""
    joined = keys.join(pairs).join(nodes)
    latest = c.scalar(
        select(func.max(keys.c.generation))
        .select_from(joined)
        .where(nodes.c.home_address == home_address, pairs.c.correspondent == correspondent)
    )
    return 0 if latest is None else latest + 1


def node_by_home_address(c: Connection, home_address: bytes) -> Node | None:
    """The node with this home address, or None."""
    row = c.execute(_node.where(nodes.c.home_address == home_address)).one_or_none()
    return None if row is None else _as_node(row)


def home_addresses(c: Connection) -> set[bytes]:
    """Every home address that is or was in the registry."""
    return set(c.scalars(select(nodes.c.home_address)).all())


def node_by_board(c: Connection, board_id: str) -> Node | None:
    """The node that this board holds, the latest provisioned if it changed; or None."""
    latest = select(pairs.c.node_id).select_from(keys.join(pairs).join(nodes))
    latest = latest.where(nodes.c.board_id == board_id).order_by(keys.c.id.desc()).limit(1)
    later = keyless.latest_node(c, board_id)
    chosen = nodes.c.id == (latest.scalar_subquery() if later is None else later)
    row = c.execute(_node.where(chosen)).one_or_none()
    return None if row is None else _as_node(row)


def sets_of_board(c: Connection, board_id: str) -> list[KeySet]:
    """The live sets of a board, the earliest first: what to ask the board about."""
    statement = (
        select(keys.c.set_id, func.min(keys.c.state), nodes.c.home_address)
        .select_from(keys.join(pairs).join(nodes))
        .where(nodes.c.board_id == board_id, keys.c.state != RETIRED)
        .group_by(keys.c.set_id, nodes.c.home_address)
        .order_by(func.min(keys.c.id))
    )
    found = [KeySet(*row) for row in c.execute(statement)]
    known = {one.set_id for one in found}
    return found + [one for one in keyless.sets_of(c, board_id) if one.set_id not in known]


def revision(c: Connection) -> int:
    """A number that rises with every change that provisioning makes."""
    found = c.scalar(select(registry.c.revision)) or 0
    if not isinstance(found, int):
        raise BadInputError("the registry is damaged: its revision is no number")
    return found


def pairs_for_correspondent(
    c: Connection,
    vault: Vault,
    address: bytes,
    since: int = -1,
    home_addresses: Collection[bytes] | None = None,
) -> list[Pair]:
    """See `Registry.pairs_for_correspondent`."""
    live = and_(keys.c.pair_id == pairs.c.id, keys.c.state != RETIRED)
    statement = (
        select(*_pair_columns, *_key_columns)
        .select_from(pairs.join(nodes).outerjoin(keys, live))
        .where(pairs.c.correspondent == address, pairs.c.revision > since)
        .order_by(pairs.c.id, keys.c.generation)
    )
    if home_addresses is not None:
        statement = statement.where(nodes.c.home_address.in_(home_addresses))
    return list(_pairs(c.execute(statement).all(), vault.reveal(c)))


def knows_correspondent(c: Connection, address: bytes) -> bool:
    """See `Registry.knows_correspondent`."""
    site = sites.find(c)
    if site is not None and site.correspondent == address:
        return True
    mine = (pairs.c.correspondent == address) & (pairs.c.role == CORRESPONDENT)
    return c.scalar(select(pairs.c.id).where(mine).limit(1)) is not None


def retired_keys(c: Connection, address: bytes, since: int = -1) -> list[KeyName]:
    """See `Registry.retired_keys`."""
    statement = (
        select(nodes.c.home_address, keys.c.set_id, keys.c.generation)
        .select_from(keys.join(pairs).join(nodes))
        .where(pairs.c.correspondent == address, pairs.c.revision > since, keys.c.state == RETIRED)
    )
    return [KeyName(*row) for row in c.execute(statement)]


def live_keys(c: Connection, vault: Vault) -> list[PairKeys]:
    """Every live key as a key file would hold it, one entry a key: nonces may differ."""
    statement = (
        select(nodes.c.home_address, pairs.c.correspondent, pairs.c.role, *_key_columns)
        .select_from(keys.join(pairs).join(nodes))
        .where(keys.c.state != RETIRED)
        .order_by(pairs.c.id, keys.c.generation)
    )
    reveal = vault.reveal(c)
    return [
        _key(home_address, peer, row, reveal).given(home_address, peer, role)
        for home_address, peer, role, *row in c.execute(statement)
    ]


def entries_of_set(c: Connection, set_id: bytes) -> list[SetEntry]:
    """See `Registry.entries_of_set`."""
    statement = (
        select(
            nodes.c.home_address,
            pairs.c.correspondent,
            keys.c.generation,
            keys.c.lifetime,
            pairs.c.role,
        )
        .select_from(keys.join(pairs).join(nodes))
        .where(keys.c.set_id == set_id)
        .order_by(keys.c.id)
    )
    return [SetEntry(*row) for row in c.execute(statement)] + keyless.entries_of(c, set_id)


def kcns_of_set(c: Connection, vault: Vault, set_id: bytes) -> tuple[bytes, ...]:
    """The Kcn of a live set, in the order in which they were added."""
    statement = (
        select(nodes.c.home_address, pairs.c.correspondent, *_key_columns)
        .select_from(keys.join(pairs).join(nodes))
        .where(keys.c.set_id == set_id, keys.c.state != RETIRED)
        .order_by(keys.c.id)
    )
    reveal = vault.reveal(c)
    return tuple(
        _key(home_address, correspondent, row, reveal).kcn
        for home_address, correspondent, *row in c.execute(statement)
    )


def summary(c: Connection, name: str) -> dict[str, Any]:
    """See `Registry.summary`."""
    live = select(func.count()).select_from(keys)
    return {
        "registry": name,
        "tables": versions.revision_of(c),
        "encrypted": c.scalar(select(registry.c.sealed)) is not None,
        "nodes": c.scalar(select(func.count()).select_from(nodes)),
        "live_keys": c.scalar(live.where(keys.c.state != RETIRED)),
        "retired_keys": c.scalar(live.where(keys.c.state == RETIRED)),
        "bindings": c.scalar(select(func.count()).select_from(bindings)),
    }


def _as_node(row: Sequence[Any]) -> Node:
    board_id, home_address, refused, name = row
    return Node(board_id, home_address, refused, names.found(name))


_node = select(nodes.c.board_id, nodes.c.home_address, nodes.c.refused, nodes.c.name)
_pair_columns = (
    pairs.c.id,
    nodes.c.board_id,
    nodes.c.home_address,
    pairs.c.correspondent,
    nodes.c.refused,
    pairs.c.role,
    nodes.c.name,
)
_key_columns = (
    keys.c.id,
    keys.c.set_id,
    keys.c.generation,
    keys.c.kcn,
    keys.c.home_nonce,
    keys.c.care_of_nonce,
    keys.c.lifetime,
    keys.c.state,
    keys.c.last_sequence,
)


def _pairs(rows: Iterable[Sequence[Any]], reveal: Reveal) -> Iterable[Pair]:
    width = len(_pair_columns)
    for head, group in groupby(rows, key=lambda row: tuple(row[:width])):
        pair_id, board_id, home_address, correspondent, refused, role, name = head
        live: list[Key] = []
        damaged = None
        try:  # one damaged row is one node's misfortune
            checks.address(home_address)
            for row in group:
                if row[width] is not None:
                    live.append(_checked(_key(home_address, correspondent, row[width:], reveal)))
        except (BadInputError, TypeError, ValueError) as error:
            damaged, live = str(error), []
        yield Pair(
            pair_id,
            board_id,
            home_address,
            correspondent,
            refused,
            tuple(live),
            damaged,
            role=role,
            name=names.found(name),
        )


def _checked(key: Key) -> Key:
    checks.key(key.generation, key.kcn, key.home_nonce, key.care_of_nonce)
    checks.use(key.lifetime, key.state, key.last_sequence)
    return key


def _key(home_address: bytes, correspondent: bytes, row: Sequence[Any], reveal: Reveal) -> Key:
    """The key in a row of `_key_columns`, its secrets opened."""
    key_id, set_id, generation, kcn, home_nonce, care_of_nonce, *rest = row
    place = Place(home_address, correspondent, set_id, generation)
    return Key(key_id, set_id, generation, *reveal(place, kcn, home_nonce, care_of_nonce), *rest)
