"""New keys for what a board holds: the next generations, whole or not at all."""

import os
from collections.abc import Callable

from mip6.console.params import new_keys_of
from mip6.keychange.check import check_credentials
from mip6.keystore.keyset import Credentials, Peer
from roamkey.board.serial_client import Identity, SerialClient
from roamkey.delivery import (
    ASK_AGAIN_S,
    Connect,
    Held,
    as_held,
    contents,
    pairs_of,
    send,
    settle,
    settle_earlier,
)
from roamkey.errors import RefusedError
from roamkey.provisioning import KCN_OCTETS, SET_ID_OCTETS
from roamkey.registry import Registry
from roamkey.registry.schema import keys


def rekey(
    registry: Registry,
    port: str,
    generations: int = 1,
    *,
    connect: Connect = SerialClient,
    ask_again_s: float = ASK_AGAIN_S,
) -> Held:
    """Give the board at `port` the next `generations` of keys for each of its correspondents.

    Home address, correspondents, nonces and lifetime stay, and the keys before are retired. An
    earlier run that was interrupted is finished instead. Raises as `provision`.
    """
    with connect(port) as client:
        identity = client.identify()
        finished = settle_earlier(registry, identity)
        if finished is not None:
            held = as_held(registry, identity.board, finished, finished=True)
            if all(len(numbers) == generations for _, numbers in held.correspondents):
                return held
        credentials, lifetime = _next_keys(registry, identity, generations)
        registry.add_sent(credentials.set_id, identity.board, pairs_of(credentials), lifetime)
        failure = send(registry, client, credentials.set_id, _rekeying(credentials))
    if failure is not None:
        settle(registry, identity.board, credentials.set_id, failure, port, connect, ask_again_s)
    registry.confirm(credentials.set_id)
    return as_held(registry, identity.board, credentials.set_id, finished=False)


def _next_keys(
    registry: Registry, identity: Identity, generations: int
) -> tuple[Credentials, int]:
    """A set like the board's own, with new keys and further generations; and its lifetime."""
    if identity.set_id is None:
        raise RefusedError(f"board {identity.board} holds no usable keys: provision it")
    set_id = bytes.fromhex(identity.set_id)
    with registry.reading() as c:
        rows = c.execute(contents.where(keys.c.set_id == set_id)).all()
    peers: dict[bytes, Peer] = {}
    for row in rows:
        if row.correspondent in peers:
            continue
        pairs_found = registry.pairs_for_correspondent(
            row.correspondent, home_addresses=[row.home_address]
        )
        key = next((k for pair in pairs_found for k in pair.keys if k.set_id == set_id), None)
        if key is None:
            raise RefusedError(f"the keys of board {identity.board} are retired: provision it")
        first = registry.next_generation(row.home_address, row.correspondent)
        new = [(first + number, os.urandom(KCN_OCTETS)) for number in range(generations)]
        peers[row.correspondent] = Peer(
            row.correspondent, key.home_nonce, key.care_of_nonce, row.lifetime, new
        )
    if not peers:
        raise RefusedError(
            f"board {identity.board} holds keys that this registry doesn't know: "
            "provision it with --replace"
        )
    made = Credentials(os.urandom(SET_ID_OCTETS), rows[0].home_address, list(peers.values()))
    check_credentials(made)
    return made, int(rows[0].lifetime)


def _rekeying(credentials: Credentials) -> Callable[[SerialClient], str]:
    return lambda client: client.rekey(new_keys_of(credentials))
