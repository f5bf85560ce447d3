"""The secrets of an open registry: in the clear, or encrypted under a passphrase.

The passphrase comes from a file of mode 0600, never from an argument, and the registry's own keys
are opened when a secret is first needed: looking at bindings needs none.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from roamkey.errors import BadInputError, RefusedError
from roamkey.registry.encryption import (
    KEY_OCTETS,
    Place,
    RegistryKeys,
    Secrets,
    board_place,
    read_passphrase,
)
from roamkey.registry.schema import RETIRED, keys, nodes, pairs, registry, seals

PASSPHRASE_VARIABLE = "ROAMKEY_PASSPHRASE_FILE"

#: Secrets out of the columns of a row: `kcn`, `home_nonce`, `care_of_nonce`.
Reveal = Callable[[Place, bytes, bytes, bytes], Secrets]


class Vault:
    """What reads and writes the secret columns."""

    def __init__(self, passphrase_file: str | Path | None = None) -> None:
        """The file: as given, else as in ROAMKEY_PASSPHRASE_FILE, else none."""
        self._file = passphrase_file or os.environ.get(PASSPHRASE_VARIABLE) or None
        self._own: RegistryKeys | None = None

    def create(self, c: Connection) -> None:
        """Make the one row of a new registry: encrypted, if there is a passphrase."""
        row: dict[str, Any] = {"id": 1, "revision": 0}
        fingerprint_key = os.urandom(KEY_OCTETS)
        if self._file is None:
            row["fingerprint_key"] = fingerprint_key
        else:
            self._own = RegistryKeys.make(fingerprint_key)
            row["sealed"] = self._own.close(self._passphrase())
        c.execute(insert(registry).values(row))

    def check(self, c: Connection) -> None:
        """Raise RefusedError where there is a passphrase, but nothing is encrypted."""
        if self._file is not None and c.scalar(select(registry.c.sealed)) is None:
            raise RefusedError(
                "there is a passphrase, but the registry is not encrypted: "
                "'roamkey registry encrypt' does that"
            )

    def fingerprint_key(self, c: Connection) -> bytes:
        """The key that fingerprints of Kcn are made with."""
        own = self._opened(c)
        if own is not None:
            return own.fingerprint_key
        return c.scalar(select(registry.c.fingerprint_key)) or b""

    def conceal(self, c: Connection, place: Place, secrets: Secrets) -> dict[str, bytes]:
        """The secret columns of a row that is to be written."""
        if self._own is None:  # nobody encrypts the registry until this row is there too
            c.execute(select(registry.c.id).with_for_update(read=True))
        own = self._opened(c)
        if own is None:
            return secrets._asdict()
        return {"kcn": own.hide(place, secrets), "home_nonce": b"", "care_of_nonce": b""}

    def reveal(self, c: Connection) -> Reveal:
        """What reads the secret columns of rows; raises BadInputError for damaged ones."""
        own = self._opened(c)

        def clear(_: Place, kcn: bytes, home_nonce: bytes, care_of_nonce: bytes) -> Secrets:
            return Secrets(kcn, home_nonce, care_of_nonce)

        def sealed(place: Place, kcn: bytes, home_nonce: bytes, _: bytes) -> Secrets:
            if home_nonce or own is None:
                raise BadInputError("a key in the encrypted registry is in the clear")
            return own.reveal(place, kcn)

        return clear if own is None else sealed

    def is_sealed(self, c: Connection) -> bool:
        """Whether the registry is encrypted; nobody changes that before the transaction ends."""
        return c.scalar(select(registry.c.sealed).with_for_update()) is not None

    def secrets(self, c: Connection) -> set[bytes]:
        """What must not stand in the clear in an encrypted registry's files: Kcn and seals."""
        reveal, found = self.reveal(c), set()
        for row in c.execute(_live_rows):
            found.add(reveal(Place(*row[4:]), *row[1:4]).kcn)
        for board in c.execute(select(seals)):
            place = board_place(board.board_id, board.seal_id)
            found.add(reveal(place, board.key, b"", b"").kcn)
        return found

    def encrypt(self, c: Connection) -> None:
        """Encrypt every row. The fingerprint key stays, so retired Kcn stay known."""
        passphrase = self._passphrase()
        row = select(registry.c.fingerprint_key, registry.c.sealed).with_for_update()
        fingerprint_key, sealed = c.execute(row).one()
        if sealed is not None:
            raise RefusedError("the registry is encrypted already")
        own = RegistryKeys.make(fingerprint_key)
        live = _live_rows.with_for_update(of=keys)
        rows = [
            {"row": key_id, "box": own.hide(Place(*place), Secrets(*secrets))}
            for key_id, secrets, place in (
                (row[0], row[1:4], row[4:]) for row in c.execute(live).all()
            )
        ]
        c.execute(update(keys).values(home_nonce=b"", care_of_nonce=b""))
        if rows:
            c.execute(_put_box, rows)
        for board in c.execute(select(seals).with_for_update()).all():
            box = own.hide(
                board_place(board.board_id, board.seal_id), Secrets(board.key, b"", b"")
            )
            c.execute(update(seals).where(seals.c.board_id == board.board_id).values(key=box))
        new = {"fingerprint_key": None, "sealed": own.close(passphrase)}
        c.execute(update(registry).values(new))
        self._own = own

    def change_passphrase(self, c: Connection, passphrase_file: str | Path) -> None:
        """Lock the registry's keys again, under another passphrase."""
        passphrase = read_passphrase(passphrase_file)
        sealed = c.scalar(select(registry.c.sealed).with_for_update())
        if sealed is None:
            raise RefusedError("the registry is not encrypted")
        own = RegistryKeys.open(sealed, self._passphrase())
        c.execute(update(registry).values(sealed=own.close(passphrase)))
        self._file, self._own = passphrase_file, own

    def _opened(self, c: Connection) -> RegistryKeys | None:
        """The registry's own keys; None where nothing is encrypted (yet: another may do it)."""
        if self._own is None:
            sealed = c.scalar(select(registry.c.sealed))
            if sealed is not None:
                self._own = RegistryKeys.open(sealed, self._passphrase())
        return self._own

    def _passphrase(self) -> bytes:
        if self._file is None:
            raise RefusedError(
                "the registry is encrypted: name the file of its passphrase "
                f"(--passphrase-file or {PASSPHRASE_VARIABLE})"
            )
        return read_passphrase(self._file)


_live_rows = (
    select(
        keys.c.id,
        keys.c.kcn,
        keys.c.home_nonce,
        keys.c.care_of_nonce,
        nodes.c.home_address,
        pairs.c.correspondent,
        keys.c.set_id,
        keys.c.generation,
    )
    .select_from(keys.join(pairs).join(nodes))
    .where(keys.c.state != RETIRED)
    .order_by(keys.c.id)
)
_put_box = update(keys).where(keys.c.id == bindparam("row")).values(kcn=bindparam("box"))
