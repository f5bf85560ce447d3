"""Sets of keys in the tables: what provisioning does there.

Each function runs inside one transaction of its caller.

A set goes to a board in three steps: its keys are added as `sent`, the board takes it, it is
confirmed; or the board refuses, and it is withdrawn without a trace. See `schema` for the rules.
"""

import hmac
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Select,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from mip6 import addresses
from mip6.keys import canonical
from mip6.limits import (
    GENERATIONS_MAX,
    LIFETIME_S_MAX,
    LIFETIME_UNIT_S,
    PEERS_MAX,
    SET_ID_OCTETS,
)
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import checks, keyless, watch
from roamkey.registry.encryption import Place, Secrets
from roamkey.registry.records import (
    CONFIRMED,
    CORRESPONDENT,
    HOME_AGENT,
    RETIRED,
    SENT,
    GenerationKey,
    PairKeys,
    TakenError,
)
from roamkey.registry.schema import (
    bindings,
    keys,
    nodes,
    pairs,
    registry,
    seen,
)
from roamkey.registry.vault import Vault

_SHA1_BLOCK = 64


def add_sent(
    c: Connection,
    vault: Vault,
    set_id: bytes,
    board_id: str,
    given: Sequence[PairKeys],
    lifetime: int,
    fresh: bool = False,
) -> int:
    """Add the keys of a set as `sent`, with node and pairs where they are new; with `fresh` the
    node must be. Who raised the revision is alone until the transaction ends. The node's row."""
    _check(set_id, board_id, given, lifetime)
    if c.scalar(select(exists().where(keys.c.set_id == set_id))):
        raise RefusedError(f"set {set_id.hex()} is in the registry already")
    revision = raise_revision(c)
    fingerprint_key = vault.fingerprint_key(c)
    home_address = given[0].home_address
    if fresh and c.scalar(select(exists().where(nodes.c.home_address == home_address))):
        raise TakenError(f"{addresses.text(home_address)} was given to another board just now")
    node_id = node_for(c, home_address, board_id)
    keyless.add(c, node_id, set_id, [pair for pair in given if not pair.keys], lifetime)
    for pair in given:
        if not pair.keys:
            continue
        pair_id = pair_for(c, node_id, pair.correspondent, revision, pair.role)
        for key in pair.keys:
            _refuse_used_generation(c, pair_id, pair, key)
            mark = fingerprint(fingerprint_key, key.kcn)
            _refuse_used_kcn(c, mark, pair, key)
            place = Place(pair.home_address, pair.correspondent, set_id, key.generation)
            secrets = Secrets(key.kcn, pair.home_nonce, pair.care_of_nonce)
            c.execute(
                insert(keys).values(
                    pair_id=pair_id,
                    set_id=set_id,
                    generation=key.generation,
                    fingerprint=mark,
                    lifetime=lifetime,
                    state=SENT,
                    **vault.conceal(c, place, secrets),
                )
            )
    return node_id


def confirm(c: Connection, set_id: bytes) -> None:
    """The board holds this set, and therefore none of its earlier ones: those are retired."""
    board = _board_of(c, set_id)
    if board is None:
        raise RefusedError(f"set {set_id.hex()} is not in the registry")
    c.execute(
        update(keys).where(keys.c.set_id == set_id, keys.c.state == SENT).values(state=CONFIRMED)
    )
    first = c.scalar(select(func.min(keys.c.id)).where(keys.c.set_id == set_id))
    if first is None:
        first = keyless.place_of(c, set_id)
    of_board = select(pairs.c.id).join(nodes).where(nodes.c.board_id == board)
    earlier = select(keys.c.id).where(
        keys.c.pair_id.in_(of_board), keys.c.id < first, keys.c.state != RETIRED
    )
    left = keyless.confirm(c, set_id, board, first)
    retire_keys(c, locked(c, earlier))
    _free_nodes(c, left)


def withdraw(c: Connection, set_id: bytes) -> None:
    """Undo `add_sent`, as if it never was; nothing to undo is no error."""
    mine = locked(c, select(keys.c.id).where(keys.c.set_id == set_id))
    used = select(exists().where(keys.c.id.in_(mine), keys.c.state != SENT))
    if c.scalar(used) or keyless.is_confirmed(c, set_id):
        raise RefusedError(f"set {set_id.hex()} is confirmed: the board holds it")
    touched = c.scalars(select(keys.c.pair_id).where(keys.c.set_id == set_id).distinct()).all()
    of_pairs = select(pairs.c.node_id).where(pairs.c.id.in_(touched)).distinct()
    node_ids = {*c.scalars(of_pairs).all(), *keyless.withdraw(c, set_id)}
    if not node_ids:
        return
    raise_revision(c, touched)
    c.execute(delete(keys).where(keys.c.set_id == set_id))
    without_keys = ~exists().where(keys.c.pair_id == pairs.c.id)
    gone = c.scalars(select(pairs.c.id).where(pairs.c.id.in_(touched), without_keys)).all()
    c.execute(delete(seen).where(seen.c.pair_id.in_(gone)))
    c.execute(delete(pairs).where(pairs.c.id.in_(gone)))
    left = exists().where(pairs.c.node_id == nodes.c.id) | keyless.has_node
    c.execute(delete(nodes).where(nodes.c.id.in_(node_ids), ~left))
    _free_nodes(c, node_ids)


def retire_node(c: Connection, home_address: bytes) -> None:
    """Retire every key of a home address: its board is lost, or gets another address."""
    live = select(keys.c.id).select_from(keys.join(pairs).join(nodes))
    live = live.where(nodes.c.home_address == home_address, keys.c.state != RETIRED)
    left = keyless.remove(c, home_address)
    retire_keys(c, locked(c, live))
    if left:
        raise_revision(c)
        _free_nodes(c, left)


def refuse_node(c: Connection, home_address: bytes, refused: bool) -> None:
    """Answer the node's Binding Updates with status 129 from now on, or no longer."""
    found = c.execute(
        update(nodes).where(nodes.c.home_address == home_address).values(refused=refused)
    )
    if not found.rowcount:
        raise RefusedError(f"no node has the home address {addresses.text(home_address)}")
    touched = c.scalars(_pairs_of(home_address)).all()
    raise_revision(c, touched)
    if refused:
        c.execute(delete(bindings).where(bindings.c.pair_id.in_(touched)))


def fingerprint(key: bytes, kcn: bytes) -> bytes:
    """32 octets that stand for a Kcn: equal exactly where HMAC-SHA1 would take it for the same."""
    return hmac.digest(key, canonical(kcn).ljust(_SHA1_BLOCK, b"\0"), "sha256")


def _check(set_id: bytes, board_id: str, given: Sequence[PairKeys], lifetime: int) -> None:
    if len(set_id) != SET_ID_OCTETS:
        raise BadInputError(f"a set's name has {SET_ID_OCTETS} octets")
    if not 1 <= len(board_id) <= 64 or not board_id.isprintable():
        raise BadInputError("a board's name has 1 to 64 printable characters")
    if not LIFETIME_UNIT_S <= lifetime <= LIFETIME_S_MAX:
        raise BadInputError(f"a lifetime is {LIFETIME_UNIT_S} to {LIFETIME_S_MAX} s")
    if not given:
        raise BadInputError("a set holds at least one pair")
    has_agent = any(pair.role == HOME_AGENT for pair in given)
    if not has_agent and not all(pair.keys for pair in given):
        raise BadInputError("a correspondent without a key needs a home agent beside it")
    if len(given) > PEERS_MAX or any(len(pair.keys) > GENERATIONS_MAX for pair in given):
        raise BadInputError(
            f"a set has {PEERS_MAX} pairs at most, and a pair {GENERATIONS_MAX} keys"
        )
    if len({pair.home_address for pair in given}) != 1:
        raise BadInputError("a set has one home address")
    if len({pair.correspondent for pair in given}) != len(given):
        raise BadInputError("a correspondent stands in the set twice")
    for pair in given:
        checks.role(pair.role)
        checks.address(pair.home_address)
        checks.address(pair.correspondent)
        for key in pair.keys:
            checks.key(key.generation, key.kcn, pair.home_nonce, pair.care_of_nonce)


def raise_revision(c: Connection, pair_ids: Collection[int] = ()) -> int:
    """A new revision, put on these pairs. The row's lock makes provisioning one at a time, so
    that revisions become visible in order."""
    c.execute(update(registry).values(revision=registry.c.revision + 1))
    watch.tell(c, "")
    revision = c.scalar(select(registry.c.revision)) or 0
    if pair_ids:
        c.execute(update(pairs).where(pairs.c.id.in_(pair_ids)).values(revision=revision))
    return revision


def touch(c: Connection, pair_ids: Collection[int]) -> None:
    """Put the revision that this transaction raised on further pairs."""
    newest = select(registry.c.revision).scalar_subquery()
    c.execute(update(pairs).where(pairs.c.id.in_(pair_ids)).values(revision=newest))


def check_board(c: Connection, home_address: bytes, board_id: str) -> Any:
    """The node's row, if there is one; raises RefusedError for another board's."""
    row = c.execute(
        select(nodes.c.id, nodes.c.board_id).where(nodes.c.home_address == home_address)
    ).one_or_none()
    if row is not None and row.board_id not in (None, board_id):
        raise RefusedError(
            f"home address {addresses.text(home_address)} belongs to board {row.board_id}"
        )
    return row


def node_for(c: Connection, home_address: bytes, board_id: str) -> int:
    """The row of a node, made where there was none; raises RefusedError for another board's."""
    row = check_board(c, home_address, board_id)
    if row is None:
        values = {"home_address": home_address, "board_id": board_id}
        return _new_id(c.execute(insert(nodes).values(values)))
    if row.board_id is None:
        c.execute(update(nodes).where(nodes.c.id == row.id).values(board_id=board_id))
    return int(row.id)


def pair_for(
    c: Connection, node_id: int, correspondent: bytes, revision: int, role: str = CORRESPONDENT
) -> int:
    """The row of a pair, made where there was none, marked as changed in `revision`. Raises
    RefusedError where the peer is something else to the node."""
    mine = (pairs.c.node_id == node_id) & (pairs.c.correspondent == correspondent)
    found = c.execute(select(pairs.c.id, pairs.c.role).where(mine)).one_or_none()
    if found is not None:
        live = exists().where(keys.c.pair_id == found.id, keys.c.state != RETIRED)
        if found.role != role and c.scalar(select(live)):
            raise RefusedError(
                f"{addresses.text(correspondent)} is the node's {found.role} already, and a key "
                "has one use: roamkey retire gives the node's keys up"
            )
        news = {"revision": revision, "role": role}
        c.execute(update(pairs).where(pairs.c.id == found.id).values(**news))
        return int(found.id)
    given = {"node_id": node_id, "correspondent": correspondent}
    return _new_id(c.execute(insert(pairs).values(**given, revision=revision, role=role)))


def _new_id(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    return 0 if key is None else int(key[0])


def _refuse_used_generation(
    c: Connection, pair_id: int, pair: PairKeys, key: GenerationKey
) -> None:
    latest = c.scalar(select(func.max(keys.c.generation)).where(keys.c.pair_id == pair_id))
    if latest is not None and key.generation <= latest:
        raise RefusedError(
            f"generation {key.generation} for {addresses.text(pair.home_address)} with "
            f"{addresses.text(pair.correspondent)} is not new: the next is {latest + 1}"
        )


def _refuse_used_kcn(c: Connection, mark: bytes, pair: PairKeys, key: GenerationKey) -> None:
    if c.scalar(select(exists().where(keys.c.fingerprint == mark))):
        raise RefusedError(
            f"the Kcn of generation {key.generation} for {addresses.text(pair.home_address)} with "
            f"{addresses.text(pair.correspondent)} is or was in use: every key must be of its own"
        )


def _board_of(c: Connection, set_id: bytes) -> str | None:
    joined = keys.join(pairs).join(nodes)
    found = c.scalar(
        select(nodes.c.board_id).select_from(joined).where(keys.c.set_id == set_id).limit(1)
    )
    return found or keyless.board_of(c, set_id)


def _pairs_of(home_address: bytes) -> Select[int]:
    return select(pairs.c.id).join(nodes).where(nodes.c.home_address == home_address)


def locked(c: Connection, statement: Select[int]) -> Sequence[int]:
    """Keys, and nobody changes them meanwhile; daemons lock in the same order."""
    return c.scalars(statement.order_by(keys.c.id).with_for_update(of=keys)).all()


def retire_keys(c: Connection, key_ids: Sequence[int]) -> None:
    """Retire keys for good; end the bindings and free the nodes that have none left."""
    if not key_ids:
        return
    touched = c.scalars(select(keys.c.pair_id).where(keys.c.id.in_(key_ids)).distinct()).all()
    c.execute(update(keys).where(keys.c.id.in_(key_ids)).values(state=RETIRED, kcn=None))
    raise_revision(c, touched)
    live = select(keys.c.pair_id).where(keys.c.state != RETIRED)
    ended = bindings.c.pair_id.in_(touched) & bindings.c.pair_id.not_in(live)
    c.execute(delete(bindings).where(ended))
    of_pairs = select(pairs.c.node_id).where(pairs.c.id.in_(touched)).distinct()
    _free_nodes(c, c.scalars(of_pairs).all())


def _free_nodes(c: Connection, node_ids: Collection[int]) -> None:
    live = select(pairs.c.node_id).join(keys).where(keys.c.state != RETIRED)
    c.execute(
        update(nodes)
        .where(nodes.c.id.in_(node_ids), nodes.c.id.not_in(live), ~keyless.has_node)
        .values(board_id=None)
    )
