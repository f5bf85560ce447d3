"""`Registry`: an open registry, and all that one asks of it.

`Registry.open()` gives the default one. Tables and rules: `roamkey.registry.schema`; encryption at
rest: `roamkey.registry.vault`. Every method is one transaction, whole or not at all, and durable
when it returns. Addresses are 16 octets.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from roamkey.errors import RefusedError
from roamkey.registry import bindings as binding_rows
from roamkey.registry import (
    checks,
    database,
    keysets,
    names,
    questions,
    remains,
    seals,
    seen,
    sites,
    transfer,
    versions,
    watch,
)
from roamkey.registry.connections import Connections
from roamkey.registry.marks import KeyName, identity
from roamkey.registry.records import (
    Binding,
    Bound,
    Change,
    Figures,
    KeySet,
    MovedPair,
    Node,
    NodeState,
    NodeUse,
    Pair,
    PairKeys,
    SetEntry,
    Site,
    TakenError,
    Use,
)
from roamkey.registry.seals import BoardSeal
from roamkey.registry.transfer import Taken
from roamkey.registry.vault import Vault

_ATTEMPTS = 3  # of a transaction that another one stood in the way of


class Registry:
    """An open registry. Use as a context manager, or `close()` it."""

    def __init__(self, engine: Engine, vault: Vault) -> None:
        """Wrap an engine whose tables exist; `open` is the usual way in."""
        self._engine = engine
        self._name = watch.new_name()
        self._version: int | None = None
        self.vault = vault

    @classmethod
    def open(
        cls,
        url_or_path: str | Path | None = None,
        create: bool = True,
        passphrase_file: str | Path | None = None,
        to_encrypt: bool = False,
        patience_s: float | None = None,
    ) -> "Registry":
        """Open the registry at a path or SQLAlchemy URL, else that in ROAMKEY_REGISTRY, else the
        user's own SQLite file; the passphrase's file, else that in ROAMKEY_PASSPHRASE_FILE.

        `patience_s`: how long to wait for another writer, or for a server to be reached: ten
        seconds where nothing is said; then a server's answer is waited for half a minute at most.

        With `create` it is made where there was none, encrypted if there is a passphrase. Raises
        BadInputError (none there, damaged, readable by others, newer than this roamkey),
        RefusedError (a passphrase, but nothing is encrypted, unless `to_encrypt`) or
        SystemRefusedError.
        """
        vault = Vault(passphrase_file)
        engine = database.reach(url_or_path, create, patience_s)
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

    @property
    def user(self) -> str | None:
        """Who owns its file, or is logged in on its server."""
        return database.user(self._engine)

    def log_octets(self) -> int:
        """How large an SQLite file's log is, which can't be reused while somebody reads an older
        state. Asks the file system alone."""
        return Connections.of(self._engine).log_octets()

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()

    @staticmethod
    def cut_all() -> None:
        """Have whatever waits for a database in this process fail; the next is tried anew."""
        Connections.cut_all()

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
        """A transaction that only reads, for the registry's own parts and for tests."""
        return database.reading(self._engine)

    def writing(self) -> AbstractContextManager[Connection]:
        """The same for what writes: durable when the block is left normally."""
        return database.writing(self._engine)

    # --- keys of boards

    def add_sent(
        self,
        set_id: bytes,
        board_id: str,
        given: Sequence[PairKeys],
        lifetime: int,
        fresh: bool = False,
        name: str | None = None,
    ) -> None:
        """Add a set that is about to go to a board, in state `sent`.

        `set_id`: 8 octets; `given`: all of the same home address, peers without a key too;
        `lifetime`: the longest binding to grant, in seconds; `fresh`: the home address is to be
        one that nobody has or had; `name`: the node's, where it is to have another than it has.
        Raises BadInputError for what is out of range, and RefusedError where the home address
        belongs to another board (TakenError: it isn't fresh), another node has the name, a Kcn is
        or was in use, or a generation isn't above the pair's latest.
        """
        try:
            with self.writing() as c:
                node = keysets.add_sent(c, self.vault, set_id, board_id, given, lifetime, fresh)
                if name is not None:
                    names.give(c, node, name)
        except IntegrityError:  # another host was faster, on a database that lets both write
            raise TakenError("the same home address, Kcn or name was given just now") from None

    def confirm(self, set_id: bytes) -> None:
        """The board holds this set: confirm its keys and retire the board's earlier ones.

        Confirming again changes nothing. Raises RefusedError for an unknown set.
        """
        with self.writing() as c:
            keysets.confirm(c, set_id)

    def withdraw(self, set_id: bytes) -> None:
        """Undo `add_sent`: nothing of the set is left. An unknown set is no error.

        Raises RefusedError where the set was confirmed, be it by a Binding Update meanwhile.
        """
        with self.writing() as c:
            keysets.withdraw(c, set_id)

    def retire(self, home_address: bytes) -> None:
        """Retire all keys of a home address for good, and free it for any board."""
        with self.writing() as c:
            keysets.retire_node(c, home_address)

    def refuse(self, home_address: bytes, refused: bool = True) -> None:
        """Refuse the node administratively (status 129), or no longer."""
        with self.writing() as c:
            keysets.refuse_node(c, home_address, refused)

    # --- their names

    def names(self) -> dict[bytes, str]:
        """The names that nodes have, by home address."""
        with self.reading() as c:
            return names.by_home_address(c)

    def names_of_boards(self) -> dict[str, str]:
        """The names of the nodes that boards hold, by board id."""
        with self.reading() as c:
            return names.by_board(c)

    def rename(self, home_address: bytes, name: str | None) -> None:
        """Give a node a name, or none. Raises BadInputError for what is no name, RefusedError
        where there is no such node, and where another one has the name: it says which. A node
        that no board holds any more loses its name to it."""
        if name is not None:
            checks.name(name)
        with self.writing() as c:
            names.rename(c, home_address, name)

    def home_address_of(self, name: str) -> bytes | None:
        """The home address of the node with this name, or None."""
        with self.reading() as c:
            return names.home_address(c, name)

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

    # --- the site

    def site(self) -> Site | None:
        """What boards are given where nobody says otherwise, or None."""
        with self.reading() as c:
            return sites.find(c)

    def set_site(self, site: Site, before: Site | None) -> None:
        """Put a site in place of the one `before`; raises RefusedError if that isn't there."""
        try:
            with self.writing() as c:
                sites.put(c, site, before)
        except IntegrityError:  # another host was faster, as above
            raise TakenError("somebody else made a site just now") from None

    # --- to and from another machine

    def give_pairs(self, correspondent: bytes) -> list[MovedPair]:
        """The pairs with this correspondent, to be taken to another machine."""
        with self.reading() as c:
            return transfer.give(c, self.vault, correspondent)

    def take_pairs(
        self, correspondent: bytes, given: list[MovedPair], new_only: bool = False
    ) -> Taken:
        """Take over pairs from another machine, all or none; see `transfer`. No transaction is
        long, and daemons have their turn between them.

        Raises RefusedError for a conflict, and for an older state unless `new_only`.
        """
        with self.reading() as c:
            transfer.check(c, self.vault, correspondent, given, new_only)
        taken = transfer.Taken()
        for at in range(0, len(given), transfer.AT_ONCE):
            began = time.monotonic()
            some = given[at : at + transfer.AT_ONCE]
            with self.writing() as c:
                transfer.take(c, self.vault, correspondent, some, new_only, taken)
            if at + len(some) < len(given):
                time.sleep(time.monotonic() - began)
        with self.writing() as c:
            taken.names_kept = names.take(c, {pair.home_address: pair.name for pair in given})
        return taken

    # --- encryption at rest

    def encrypt(self) -> None:
        """Encrypt a registry that isn't yet, under the passphrase that it was opened with.

        Whole or not at all; then what the clear rows left in the database's files is overwritten,
        and looked for. Raises RefusedError where keys in the clear remain, since somebody reads
        the registry: it is encrypted then, and the next call goes on; and where nothing is left
        to do.
        """
        with self.writing() as c:
            sealed = self.vault.is_sealed(c)
            if not sealed:
                self.vault.encrypt(c)
        with self.reading() as c:
            secrets = self.vault.secrets(c)
        if sealed and remains.found(self._engine, secrets) is None:
            raise RefusedError("the registry is encrypted already")
        remains.remove(self._engine, secrets)

    def change_passphrase(self, passphrase_file: str | Path) -> None:
        """Have the registry open with another passphrase from now on. No key is touched."""
        with self.writing() as c:
            self.vault.change_passphrase(c, passphrase_file)

    # --- questions

    def next_generation(self, home_address: bytes, correspondent: bytes) -> int:
        """The number that a new key of this pair must have at least: 0 for a new pair."""
        with self.reading() as c:
            return questions.next_generation(c, home_address, correspondent)

    def node_by_home_address(self, home_address: bytes) -> Node | None:
        """The node with this home address, or None."""
        with self.reading() as c:
            return questions.node_by_home_address(c, home_address)

    def home_addresses(self) -> set[bytes]:
        """Every home address that is or was in the registry."""
        with self.reading() as c:
            return questions.home_addresses(c)

    def node_by_board(self, board_id: str) -> Node | None:
        """The node that this board holds, the latest provisioned if it changed; or None."""
        with self.reading() as c:
            return questions.node_by_board(c, board_id)

    def sets_of_board(self, board_id: str) -> list[KeySet]:
        """The live sets of a board, the earliest first: what to ask the board about."""
        with self.reading() as c:
            return questions.sets_of_board(c, board_id)

    def revision(self) -> int:
        """A number that rises with every change that provisioning makes."""
        with self.reading() as c:
            return questions.revision(c)

    def pairs_for_correspondent(
        self,
        address: bytes,
        since: int = -1,
        home_addresses: Collection[bytes] | None = None,
    ) -> list[Pair]:
        """The pairs with this correspondent, with their live keys, changed after revision `since`;
        with `home_addresses`, only those of them. A pair whose keys are all retired has none here.
        """
        with self.reading() as c:
            return questions.pairs_for_correspondent(c, self.vault, address, since, home_addresses)

    def knows_correspondent(self, address: bytes) -> bool:
        """Whether it is the site's correspondent, or any board was ever given keys for it as for
        one."""
        with self.reading() as c:
            return questions.knows_correspondent(c, address)

    def retired_keys(self, address: bytes, since: int = -1) -> list[KeyName]:
        """The retired keys of the pairs with this correspondent that changed after `since`."""
        with self.reading() as c:
            return questions.retired_keys(c, address, since)

    def identity(self) -> str:
        """What this registry and its backups have in common, and no other has."""
        with self.reading() as c:
            return identity(self.vault.fingerprint_key(c))

    def live_keys(self) -> list[PairKeys]:
        """Every live key as a key file would hold it, one entry a key: nonces may differ."""
        with self.reading() as c:
            return questions.live_keys(c, self.vault)

    def entries_of_set(self, set_id: bytes) -> list[SetEntry]:
        """What is public of a set's keys, in the order in which they were added; then of its peers
        without a key."""
        with self.reading() as c:
            return questions.entries_of_set(c, set_id)

    def kcns_of_set(self, set_id: bytes) -> tuple[bytes, ...]:
        """The Kcn of a live set, in the order in which they were added."""
        with self.reading() as c:
            return questions.kcns_of_set(c, self.vault, set_id)

    def summary(self) -> dict[str, Any]:
        """Where and how it is kept, and its numbers of nodes, keys and bindings (expired
        included). Needs no passphrase."""
        with self.reading() as c:
            return questions.summary(c, self.name)

    # --- the bindings of a correspondent

    def bindings_for_correspondent(
        self,
        address: bytes,
        now: int,
        since: int = -1,
        home_addresses: Collection[bytes] | None = None,
    ) -> dict[int, Binding]:
        """The bindings that hold at `now`, by `pair_id`; of which pairs: see
        `pairs_for_correspondent`."""
        with self.reading() as c:
            return binding_rows.load(c, address, now, since, home_addresses)

    def current_bindings(self, now: int) -> list[Bound]:
        """All bindings that hold at `now`."""
        with self.reading() as c:
            return binding_rows.current(c, now)

    def nodes_of_correspondent(self, address: bytes, since: int = -1) -> list[NodeState]:
        """The nodes of this correspondent, those changed after revision `since`; no secret."""
        with self.reading() as c:
            return binding_rows.nodes_of(c, address, since)

    # --- what was heard of nodes

    def note_uses(self, uses: Sequence[Use], now: int) -> None:
        """Note when nodes were heard of, and how far their keys are used; `now`: milliseconds
        since 1970. Some hundreds at a time: others wait meanwhile."""
        with self.writing() as c:
            seen.note(c, uses, now)

    def nodes_in_use(self) -> list[NodeUse]:
        """The nodes that boards hold keys of, or know peers for: one entry for each peer with live
        keys, one without a peer where there is none. In the order of home addresses."""
        with self.reading() as c:
            return seen.of_nodes(c)

    def figures(self, correspondent: bytes, now: int) -> Figures:
        """The nodes of a correspondent in numbers; `now`: milliseconds since 1970."""
        with self.reading() as c:
            return seen.figures(c, correspondent, now)

    # --- what is accepted

    def commit(self, changes: Sequence[Change]) -> set[int]:
        """Make changes durable, in order; the places of those that are refused.

        Refused: the number isn't above the last accepted, or the key is retired or withdrawn.
        Raises RoamkeyError where the database fails; then nothing, or all, has changed.
        """
        for _ in range(_ATTEMPTS - 1):
            with suppress(database.ContendedError):
                return self._commit(changes)
        return self._commit(changes)

    def _commit(self, changes: Sequence[Change]) -> set[int]:
        with self.writing() as c:
            refused = binding_rows.commit(c, changes)
            moved = {
                change.pair_id
                for i, change in enumerate(changes)
                if change.sequence is not None and not change.refused and i not in refused
            }
            if moved:
                watch.tell(c, self._name, moved)
        return refused

    def followed(
        self, address: bytes, pair_ids: Collection[int] | None
    ) -> list[tuple[bytes, int | None, Binding | None]]:
        """Of pairs with this correspondent: home address, the last number used under the key of
        its binding, and the binding; None: of all that have one."""
        with self.reading() as c:
            found = binding_rows.followed(c, address, pair_ids)
            if pair_ids is None:
                self._version = watch.version(c)
        return found

    def watch(self, before: watch.Watch | None = None) -> watch.Watch:
        """What tells of others' changes from now on: the one `before`, where there is one, of an
        earlier opening."""
        if before is None:
            return watch.Watch(self._engine, self._name)
        before.again(self._name)
        return before

    def others_wrote(self) -> bool:
        """Whether others may have changed something since all bindings were followed. Cheap."""
        with self.reading() as c:
            version = watch.version(c)
        return version is None or version != self._version

    def shorten(self, address: bytes, now: int) -> None:
        """See that no binding with this correspondent lasts for more than its lifetime from `now`
        on: it was made when the clock was ahead."""
        with self.reading() as c:
            if not binding_rows.made_ahead(c, address, now):
                return
        with self.writing() as c:
            binding_rows.shorten(c, address, now)

    def expire(self, address: bytes, now: int) -> None:
        """Remove the bindings with this correspondent whose time is over."""
        with self.writing() as c:
            binding_rows.expire(c, address, now)
