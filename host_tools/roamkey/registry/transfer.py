"""The pairs of one correspondent, from one registry to another: out as a document, and in.

Nothing goes backwards. A key that is retired here stays so, a sequence number that was accepted
here stays accepted, a generation that has come doesn't make room for an earlier one. A document
that would have it otherwise is *older* than this registry and refused whole, or, with `new_only`,
taken without what is known here already. What it says is retired is retired here in either case.

Each function runs inside one transaction of its caller. Thousands of pairs take seconds, in which
no daemon could write to an SQLite file: so all of them are checked first, without writing, and
then taken over some at a time. Once all were checked only another host's provisioning, in just
these seconds, can stand in the way; what was taken by then stays, and the file can be taken again.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from mip6 import addresses
from roamkey.errors import RefusedError
from roamkey.registry import keysets, names
from roamkey.registry.encryption import Place, Secrets
from roamkey.registry.keysets import fingerprint
from roamkey.registry.records import CONFIRMED, RETIRED, Key, MovedPair
from roamkey.registry.schema import keys, nodes, pairs
from roamkey.registry.vault import Vault


@dataclass
class Taken:
    """What an import did: keys `added`, `advanced` (a higher number accepted), `retired`; pairs
    whose state here was newer and stayed (`kept`). `names_kept`: those that are another node's
    here, and stayed that."""

    added: int = 0
    advanced: int = 0
    retired: int = 0
    kept: int = 0
    names_kept: list[str] = field(default_factory=list)


def give(c: Connection, vault: Vault, correspondent: bytes) -> list[MovedPair]:
    """All pairs with this correspondent, those without a live key too."""
    statement = (
        select(keys, nodes.c.home_address, nodes.c.board_id, pairs.c.role, nodes.c.name)
        .select_from(keys.join(pairs).join(nodes))
        .where(pairs.c.correspondent == correspondent)
        .order_by(pairs.c.id, keys.c.generation)
    )
    reveal = vault.reveal(c)
    found: dict[bytes, MovedPair] = {}
    for row in c.execute(statement):
        before = found.get(row.home_address)
        live = before.keys if before else ()
        if row.state != RETIRED:
            place = Place(row.home_address, correspondent, row.set_id, row.generation)
            secrets = reveal(place, row.kcn, row.home_nonce, row.care_of_nonce)
            kept = (row.lifetime, row.state, row.last_sequence)
            live = (*live, Key(row.id, row.set_id, row.generation, *secrets, *kept))
        name = names.found(row.name)
        moved = MovedPair(row.home_address, row.board_id, row.generation, live, row.role, name)
        found[row.home_address] = moved
    return list(found.values())


AT_ONCE = 50  # pairs in a transaction: well under a tenth of a second


def check(
    c: Connection, vault: Vault, correspondent: bytes, given: list[MovedPair], new_only: bool
) -> None:
    """See that all of them can be taken; raises RefusedError. Nothing is written."""
    marks: set[bytes] = set()
    for pair in given:
        _Import(c, vault, correspondent, pair, new_only, Taken(), marks).run(0)


def take(
    c: Connection,
    vault: Vault,
    correspondent: bytes,
    given: list[MovedPair],
    new_only: bool,
    taken: Taken,
) -> None:
    """Take pairs over, and add up what was done; raises RefusedError (of one line)."""
    revision = keysets.raise_revision(c)
    for pair in given:
        _Import(c, vault, correspondent, pair, new_only, taken).run(revision)


class _Import:
    """One pair of a document and what the registry has of it."""

    def __init__(
        self,
        c: Connection,
        vault: Vault,
        correspondent: bytes,
        pair: MovedPair,
        new_only: bool,
        taken: Taken,
        marks: set[bytes] | None = None,
    ) -> None:
        """`marks`: of the Kcn seen so far, where nothing is to be written."""
        self._c = c
        self._marks = marks
        self._vault = vault
        self._correspondent = correspondent
        self._pair = pair
        self._new_only = new_only
        self._taken = taken
        self._name = f"{addresses.text(pair.home_address)} with {addresses.text(correspondent)}"
        joined = keys.join(pairs).join(nodes)
        mine = (nodes.c.home_address == pair.home_address) & (
            pairs.c.correspondent == correspondent
        )
        found = select(keys.c.id).select_from(joined).where(mine)
        ids = keysets.locked(c, found) if marks is None else c.scalars(found).all()
        rows = c.execute(select(keys).where(keys.c.id.in_(ids))).all() if ids else []
        self._here: dict[int, Row[Any]] = {row.generation: row for row in rows}

    def run(self, revision: int) -> None:
        latest = max(self._here, default=-1)
        if latest > self._pair.latest:
            self._older(f"generation {latest} is known here already")
            return
        if self._pair.keys and self._pair.board_id is not None:
            pair_id = self._row(self._pair.board_id, revision)
            for key in self._pair.keys:
                row = self._here.get(key.generation)
                if row is not None:
                    self._compare(row, key)
                elif key.generation < latest:
                    self._older(f"generation {key.generation} comes before the ones known here")
                else:
                    self._add(pair_id, key)
        self._retire()

    def _row(self, board_id: str, revision: int) -> int:
        home = self._pair.home_address
        if self._marks is not None:
            keysets.check_board(self._c, home, board_id)
            return 0
        node_id = keysets.node_for(self._c, home, board_id)
        return keysets.pair_for(self._c, node_id, self._correspondent, revision, self._pair.role)

    def _compare(self, row: Row[Any], key: Key) -> None:
        """A key that both know goes forward, or stays."""
        what = f"generation {key.generation}"
        if row.fingerprint != self._mark(key):
            raise RefusedError(f"{self._name}: {what} has another Kcn here")
        if row.state == RETIRED:
            self._older(f"{what} is retired here")
            return
        there = -1 if key.last_sequence is None else key.last_sequence
        here = -1 if row.last_sequence is None else row.last_sequence
        if there < here:
            self._older(f"{what} has accepted number {here} here")
            return
        news: dict[str, Any] = {}
        if there > here:
            news["last_sequence"] = there
            self._taken.advanced += 1
        if key.state == CONFIRMED and row.state != CONFIRMED:
            news["state"] = CONFIRMED
        if news and self._marks is None:
            self._c.execute(update(keys).where(keys.c.id == row.id).values(**news))

    def _add(self, pair_id: int, key: Key) -> None:
        mark = self._mark(key)
        known = select(func.count()).select_from(keys).where(keys.c.fingerprint == mark)
        if self._c.scalar(known) or mark in (self._marks or ()):
            raise RefusedError(
                f"{self._name}: the Kcn of generation {key.generation} is or was in use elsewhere"
            )
        if self._marks is not None:
            self._marks.add(mark)
            return
        place = Place(self._pair.home_address, self._correspondent, key.set_id, key.generation)
        secrets = Secrets(key.kcn, key.home_nonce, key.care_of_nonce)
        self._c.execute(
            insert(keys).values(
                pair_id=pair_id,
                set_id=key.set_id,
                generation=key.generation,
                fingerprint=mark,
                lifetime=key.lifetime,
                state=key.state,
                last_sequence=key.last_sequence,
                **self._vault.conceal(self._c, place, secrets),
            )
        )
        self._taken.added += 1

    def _retire(self) -> None:
        """What is live here and not there was left behind there."""
        if self._marks is not None:
            return
        there = {key.generation for key in self._pair.keys}
        gone = [
            row.id
            for generation, row in self._here.items()
            if row.state != RETIRED and generation not in there
        ]
        keysets.retire_keys(self._c, gone)
        self._taken.retired += len(gone)

    def _older(self, why: str) -> None:
        if not self._new_only:
            raise RefusedError(
                f"{self._name}: {why}: the file is older than this registry (--new-only takes "
                "only what isn't known here)"
            )
        self._taken.kept += 1

    def _mark(self, key: Key) -> bytes:
        return fingerprint(self._vault.fingerprint_key(self._c), key.kcn)
