"""The keys that open sealed boards. Each function runs inside one transaction of its caller.

A seal is `sent` before the board is given its key, and `confirmed` when the board says that it is
closed. Its row goes when the board says that it is open: a key opens one seal, once.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from roamkey.errors import RefusedError
from roamkey.registry.encryption import Secrets, board_place
from roamkey.registry.records import CONFIRMED, SENT
from roamkey.registry.schema import seals
from roamkey.registry.vault import Vault


@dataclass(frozen=True)
class BoardSeal:
    """The seal of a board: its public id (8 octets), its key (32), and `sent` or `confirmed`."""

    board_id: str
    seal_id: bytes
    key: bytes = field(repr=False)
    state: str


def add_sent(c: Connection, vault: Vault, board_id: str, seal_id: bytes, key: bytes) -> None:
    """Note a seal that a board is about to be given, in place of one that it doesn't bear."""
    c.execute(delete(seals).where(seals.c.board_id == board_id))
    hidden = vault.conceal(c, board_place(board_id, seal_id), Secrets(key, b"", b""))["kcn"]
    row = {"board_id": board_id, "seal_id": seal_id, "key": hidden, "state": SENT}
    c.execute(insert(seals).values(row))


def confirm(c: Connection, board_id: str, seal_id: bytes) -> None:
    """The board bears this seal; raises RefusedError for an unknown one."""
    mine = (seals.c.board_id == board_id) & (seals.c.seal_id == seal_id)
    if not c.execute(update(seals).where(mine).values(state=CONFIRMED)).rowcount:
        raise RefusedError(f"the seal of board {board_id} is not in this registry")


def remove(c: Connection, board_id: str) -> bool:
    """The board bears no seal; whether one was noted."""
    return bool(c.execute(delete(seals).where(seals.c.board_id == board_id)).rowcount)


def find(c: Connection, vault: Vault, board_id: str) -> BoardSeal | None:
    """The seal noted for a board, or None."""
    row = c.execute(select(seals).where(seals.c.board_id == board_id)).one_or_none()
    if row is None:
        return None
    reveal = vault.reveal(c)
    key = reveal(board_place(board_id, row.seal_id), row.key, b"", b"").kcn
    return BoardSeal(board_id, row.seal_id, key, row.state)
