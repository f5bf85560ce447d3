"""The secrets of an open registry: in the clear, or sealed under a passphrase.

The passphrase comes from a file of mode 0600, never from an argument, and the seal is opened when
a secret is first needed: looking at bindings needs none.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from roamkey import keyfile
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry.schema import RETIRED, keys, nodes, pairs, registry, seals
from roamkey.registry.sealing import KEY_OCTETS, Place, Seal, Secrets, board_place

PASSPHRASE_VARIABLE = "ROAMKEY_PASSPHRASE_FILE"

#: Secrets out of the columns of a row: `kcn`, `home_nonce`, `care_of_nonce`.
Reveal = Callable[[Place, bytes, bytes, bytes], Secrets]


class Vault:
    """What reads and writes the secret columns."""

    def __init__(self, passphrase_file: str | Path | None = None) -> None:
        """The file: as given, else as in ROAMKEY_PASSPHRASE_FILE, else none."""
        self._file = passphrase_file or os.environ.get(PASSPHRASE_VARIABLE) or None
        self._seal: Seal | None = None

    def create(self, c: Connection) -> None:
        """Make the one row of a new registry: encrypted, if there is a passphrase."""
        row: dict[str, Any] = {"id": 1, "revision": 0}
        fingerprint_key = os.urandom(KEY_OCTETS)
        if self._file is None:
            row["fingerprint_key"] = fingerprint_key
        else:
            self._seal = Seal.make(fingerprint_key)
            row["sealed"] = self._seal.close(self._passphrase())
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
        seal = self._opened(c)
        if seal is not None:
            return seal.fingerprint_key
        return c.scalar(select(registry.c.fingerprint_key)) or b""

    def conceal(self, c: Connection, place: Place, secrets: Secrets) -> dict[str, bytes]:
        """The secret columns of a row that is to be written."""
        if self._seal is None:  # nobody encrypts the registry until this row is there too
            c.execute(select(registry.c.id).with_for_update(read=True))
        seal = self._opened(c)
        if seal is None:
            return secrets._asdict()
        return {"kcn": seal.seal(place, secrets), "home_nonce": b"", "care_of_nonce": b""}

    def reveal(self, c: Connection) -> Reveal:
        """What reads the secret columns of rows; raises BadInputError for damaged ones."""
        seal = self._opened(c)

        def clear(_: Place, kcn: bytes, home_nonce: bytes, care_of_nonce: bytes) -> Secrets:
            return Secrets(kcn, home_nonce, care_of_nonce)

        def sealed(place: Place, kcn: bytes, home_nonce: bytes, _: bytes) -> Secrets:
            if home_nonce or seal is None:
                raise BadInputError("a key in the encrypted registry is in the clear")
            return seal.unseal(place, kcn)

        return clear if seal is None else sealed

    def encrypt(self, c: Connection) -> None:
        """Seal every row. The fingerprint key stays, so retired Kcn stay known."""
        passphrase = self._passphrase()
        own = select(registry.c.fingerprint_key, registry.c.sealed).with_for_update()
        fingerprint_key, sealed = c.execute(own).one()
        if sealed is not None:
            raise RefusedError("the registry is encrypted already")
        seal = Seal.make(fingerprint_key)
        live = _live_rows.with_for_update(of=keys)
        rows = [
            {"row": key_id, "box": seal.seal(Place(*place), Secrets(*secrets))}
            for key_id, secrets, place in (
                (row[0], row[1:4], row[4:]) for row in c.execute(live).all()
            )
        ]
        c.execute(update(keys).values(home_nonce=b"", care_of_nonce=b""))
        if rows:
            c.execute(_put_box, rows)
        for board in c.execute(select(seals).with_for_update()).all():
            box = seal.seal(
                board_place(board.board_id, board.seal_id), Secrets(board.key, b"", b"")
            )
            c.execute(update(seals).where(seals.c.board_id == board.board_id).values(key=box))
        new = {"fingerprint_key": None, "sealed": seal.close(passphrase)}
        c.execute(update(registry).values(new))
        self._seal = seal

    def change_passphrase(self, c: Connection, passphrase_file: str | Path) -> None:
        """Close the seal again, under another passphrase."""
        passphrase = keyfile.read_passphrase(passphrase_file)
        sealed = c.scalar(select(registry.c.sealed).with_for_update())
        if sealed is None:
            raise RefusedError("the registry is not encrypted")
        seal = Seal.open(sealed, self._passphrase())
        c.execute(update(registry).values(sealed=seal.close(passphrase)))
        self._file, self._seal = passphrase_file, seal

    def _opened(self, c: Connection) -> Seal | None:
        """The seal, opened; None where nothing is encrypted (another may encrypt it meanwhile)."""
        if self._seal is None:
            sealed = c.scalar(select(registry.c.sealed))
            if sealed is not None:
                self._seal = Seal.open(sealed, self._passphrase())
        return self._seal

    def _passphrase(self) -> bytes:
        if self._file is None:
            raise RefusedError(
                "the registry is encrypted: name the file of its passphrase "
                f"(--passphrase-file or {PASSPHRASE_VARIABLE})"
            )
        return keyfile.read_passphrase(self._file)


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
