"""The registry: which board holds which keys, what was accepted under them, who is bound where.

`Registry.open()` gives the default one. Tables and rules: `roamkey.registry.schema`; encryption at
rest: `roamkey.registry.vault`. Every method is one transaction, whole or not at all, and durable
when it returns. Addresses are 16 octets.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, select
from sqlalchemy.exc import IntegrityError

from roamkey.errors import RefusedError
from roamkey.keyfile import GenerationKey, PairKeys
from roamkey.registry import database, provisioning, seals, transfer, versions
from roamkey.registry.records import Key, KeySet, Node, Pair
from roamkey.registry.schema import CONFIRMED, RETIRED, SENT, keys, nodes, pairs, registry
from roamkey.registry.sealing import Place
from roamkey.registry.seals import BoardSeal
from roamkey.registry.transfer import MovedPair, Taken
from roamkey.registry.vault import Reveal, Vault

__all__ = [
    "CONFIRMED",
    "RETIRED",
    "SENT",
    "GenerationKey",
    "Key",
    "KeySet",
    "Node",
    "Pair",
    "PairKeys",
    "Registry",
]


class Registry:
    """An open registry. Use as a context manager, or `close()` it."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        """Wrap an engine whose tables exist; `open` is the usual way in."""
        self._engine = engine
        self.vault = vault

    @classmethod
    def open(
        cls,
        url_or_path: str | Path | None = None,
        create: bool = True,
        passphrase_file: str | Path | None = None,
        to_encrypt: bool = False,
    ) -> "Registry":
        """Open the registry at a path or SQLAlchemy URL, else that in ROAMKEY_REGISTRY, else the
        user's own SQLite file; the passphrase's file, else that in ROAMKEY_PASSPHRASE_FILE.

        With `create` it is made where there was none, encrypted if there is a passphrase. Raises
        BadInputError (none there, damaged, readable by others, newer than this roamkey),
        RefusedError (a passphrase, but nothing is encrypted, unless `to_encrypt`) or
        SystemRefusedError.
        """
        vault = Vault(passphrase_file)
        engine = database.reach(url_or_path, create)
        try:
            versions.ensure(engine, create, vault)
            if not to_encrypt:
                with database.reading(engine) as c:
                    vault.check(c)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, vault)

    @property
    def name(self) -> str:
        """What to call it in a message: its file, or its URL without secrets."""
        return database.name(self._engine)

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction for one's own statements that only reads."""
        return database.reading(self._engine)

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction for one's own statements, durable when the block is left normally."""
        return database.writing(self._engine)

    # --- provisioning

    def add_sent(
        self, set_id: bytes, board_id: str, given: Sequence[PairKeys], lifetime: int
    ) -> None:
        """Add a set that is about to go to a board, in state `sent`.

        `set_id`: 8 octets; `given`: all of the same home address; `lifetime`: the longest binding
        to grant, in seconds. Raises BadInputError for what is out of range, and RefusedError where
        the home address belongs to another board, a Kcn is or was in use, or a generation isn't
        above the pair's latest.
        """
        try:
            with self.writing() as c:
                provisioning.add_sent(c, self.vault, set_id, board_id, given, lifetime)
        except IntegrityError:  # another station was faster, on a database that lets both write
            raise RefusedError("the same home address or Kcn was provisioned just now") from None

    def confirm(self, set_id: bytes) -> None:
        """The board holds this set: confirm its keys and retire the board's earlier ones.

        Confirming again changes nothing. Raises RefusedError for an unknown set.
        """
        with self.writing() as c:
            provisioning.confirm(c, set_id)

    def withdraw(self, set_id: bytes) -> None:
        """Undo `add_sent`: nothing of the set is left. An unknown set is no error.

        Raises RefusedError where the set was confirmed, be it by a Binding Update meanwhile.
        """
        with self.writing() as c:
            provisioning.withdraw(c, set_id)

    def retire(self, home_address: bytes) -> None:
        """Retire all keys of a home address for good, and free it for any board."""
        with self.writing() as c:
            provisioning.retire_node(c, home_address)

    def refuse(self, home_address: bytes, refused: bool = True) -> None:
        """Refuse the node administratively (status 129), or no longer."""
        with self.writing() as c:
            provisioning.refuse_node(c, home_address, refused)

    # --- the seals of boards

    def add_seal(self, board_id: str, seal_id: bytes, key: bytes) -> None:
        """Note a seal (id of 8 octets, key of 32) that a board is about to be given, as `sent`."""
        with self.writing() as c:
            seals.add_sent(c, self.vault, board_id, seal_id, key)

    def confirm_seal(self, board_id: str, seal_id: bytes) -> None:
        """The board bears this seal. Raises RefusedError for an unknown one."""
        with self.writing() as c:
            seals.confirm(c, board_id, seal_id)

    def remove_seal(self, board_id: str) -> bool:
        """The board bears no seal; whether one was noted."""
        with self.writing() as c:
            return seals.remove(c, board_id)

    def seal_of(self, board_id: str) -> BoardSeal | None:
        """The seal noted for a board, or None."""
        with self.reading() as c:
            return seals.find(c, self.vault, board_id)

    # --- to and from another machine

    def give_pairs(self, correspondent: bytes) -> list[MovedPair]:
        """The pairs with this correspondent, to be taken to another machine."""
        with self.reading() as c:
            return transfer.give(c, self.vault, correspondent)

    def take_pairs(
        self, correspondent: bytes, given: list[MovedPair], new_only: bool = False
    ) -> Taken:
        """Take over pairs from another machine, all or none; see `transfer`.

        Raises RefusedError for a conflict, and for an older state unless `new_only`.
        """
        with self.writing() as c:
            return transfer.take(c, self.vault, correspondent, given, new_only)

    # --- encryption at rest

    def encrypt(self) -> None:
        """Encrypt a registry that isn't yet, under the passphrase that it was opened with.

        Whole or not at all; then what the clear rows left in the database's files is overwritten.
        """
        with self.writing() as c:
            self.vault.encrypt(c)
        database.scrub(self._engine)

    def change_passphrase(self, passphrase_file: str | Path) -> None:
        """Have the registry open with another passphrase from now on. No key is touched."""
        with self.writing() as c:
            self.vault.change_passphrase(c, passphrase_file)

    # --- questions

    def next_generation(self, home_address: bytes, correspondent: bytes) -> int:
        """The number that a new key of this pair must have at least: 0 for a new pair."""
        joined = keys.join(pairs).join(nodes)
        with self.reading() as c:
            latest = c.scalar(
                select(func.max(keys.c.generation))
                .select_from(joined)
                .where(
                    nodes.c.home_address == home_address, pairs.c.correspondent == correspondent
                )
            )
        return 0 if latest is None else latest + 1

    def node_by_home_address(self, home_address: bytes) -> Node | None:
        """The node with this home address, or None."""
        with self.reading() as c:
            row = c.execute(_node.where(nodes.c.home_address == home_address)).one_or_none()
        return None if row is None else Node(*row)

    def node_by_board(self, board_id: str) -> Node | None:
        """The node that this board holds, the latest provisioned if it changed; or None."""
        latest = select(pairs.c.node_id).select_from(keys.join(pairs).join(nodes))
        latest = latest.where(nodes.c.board_id == board_id).order_by(keys.c.id.desc()).limit(1)
        with self.reading() as c:
            row = c.execute(_node.where(nodes.c.id == latest.scalar_subquery())).one_or_none()
        return None if row is None else Node(*row)

    def sets_of_board(self, board_id: str) -> list[KeySet]:
        """The live sets of a board, the earliest first: what to ask the board about."""
        statement = (
            select(keys.c.set_id, func.min(keys.c.state), nodes.c.home_address)
            .select_from(keys.join(pairs).join(nodes))
            .where(nodes.c.board_id == board_id, keys.c.state != RETIRED)
            .group_by(keys.c.set_id, nodes.c.home_address)
            .order_by(func.min(keys.c.id))
        )
        with self.reading() as c:
            return [KeySet(*row) for row in c.execute(statement)]

    def revision(self) -> int:
        """A number that rises with every change that provisioning makes."""
        with self.reading() as c:
            return c.scalar(select(registry.c.revision)) or 0

    def pairs_for_correspondent(
        self,
        address: bytes,
        since: int = -1,
        home_addresses: Collection[bytes] | None = None,
    ) -> list[Pair]:
        """The pairs with this correspondent, with their live keys, changed after revision `since`;
        with `home_addresses`, only those of them. A pair whose keys are all retired has none here.
        """
        live = and_(keys.c.pair_id == pairs.c.id, keys.c.state != RETIRED)
        statement = (
            select(*_pair_columns, *_key_columns)
            .select_from(pairs.join(nodes).outerjoin(keys, live))
            .where(pairs.c.correspondent == address, pairs.c.revision > since)
            .order_by(pairs.c.id, keys.c.generation)
        )
        if home_addresses is not None:
            statement = statement.where(nodes.c.home_address.in_(home_addresses))
        with self.reading() as c:
            return list(_pairs(c.execute(statement).all(), self.vault.reveal(c)))

    def live_keys(self) -> list[PairKeys]:
        """Every live key as a key file would hold it, one entry a key: nonces may differ."""
        statement = (
            select(nodes.c.home_address, pairs.c.correspondent, *_key_columns)
            .select_from(keys.join(pairs).join(nodes))
            .where(keys.c.state != RETIRED)
            .order_by(pairs.c.id, keys.c.generation)
        )
        with self.reading() as c:
            reveal = self.vault.reveal(c)
            return [
                PairKeys(
                    home_address,
                    correspondent,
                    key.home_nonce,
                    key.care_of_nonce,
                    (GenerationKey(key.generation, key.kcn),),
                )
                for home_address, correspondent, *row in c.execute(statement)
                for key in [_key(home_address, correspondent, row, reveal)]
            ]

    def kcns_of_set(self, set_id: bytes) -> tuple[bytes, ...]:
        """The Kcn of a live set, in the order in which they were added."""
        statement = (
            select(nodes.c.home_address, pairs.c.correspondent, *_key_columns)
            .select_from(keys.join(pairs).join(nodes))
            .where(keys.c.set_id == set_id, keys.c.state != RETIRED)
            .order_by(keys.c.id)
        )
        with self.reading() as c:
            reveal = self.vault.reveal(c)
            return tuple(
                _key(home_address, correspondent, row, reveal).kcn
                for home_address, correspondent, *row in c.execute(statement)
            )


_node = select(nodes.c.board_id, nodes.c.home_address, nodes.c.refused)
_pair_columns = (
    pairs.c.id,
    nodes.c.board_id,
    nodes.c.home_address,
    pairs.c.correspondent,
    nodes.c.refused,
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
        pair_id, board_id, home_address, correspondent, refused = head
        live = tuple(
            _key(home_address, correspondent, row[width:], reveal)
            for row in group
            if row[width] is not None
        )
        yield Pair(pair_id, board_id, home_address, correspondent, refused, live)


def _key(home_address: bytes, correspondent: bytes, row: Sequence[Any], reveal: Reveal) -> Key:
    """The key in a row of `_key_columns`, its secrets opened."""
    key_id, set_id, generation, kcn, home_nonce, care_of_nonce, *rest = row
    place = Place(home_address, correspondent, set_id, generation)
    return Key(key_id, set_id, generation, *reveal(place, kcn, home_nonce, care_of_nonce), *rest)
