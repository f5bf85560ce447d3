"""Encryption at rest: what a thief of the database doesn't learn without the passphrase.

Two keys of 32 random octets belong to a registry: one encrypts the secrets of each row of `keys`,
the other makes fingerprints of Kcn. They stand in `registry.sealed`, themselves encrypted under a
key that scrypt (RFC 7914) derives from the passphrase; that they open proves that it is the right
one. So another passphrase needs no row rewritten.

    sealed    salt (16) | log2 N (1) | r (1) | p (1) | box of: row key, fingerprint key (64)
    a row     box of: length of Kcn (2) | Kcn | length of home nonce (1) | both nonces
    a box     nonce (12) | ChaCha20-Poly1305 ciphertext with tag (RFC 8439)

A row's box is bound to its place: home address, correspondent, set and generation are its
associated data, so that no box can be put into another row. Its random nonces may repeat after
some 2^32 rows under one key (2^-32 chance), far beyond any fleet.

`cryptography` is imported only where a registry is encrypted.
"""

import hashlib
import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

from roamkey import privatefiles
from roamkey.errors import BadInputError, RefusedError

KEY_OCTETS = 32
PASSPHRASE_OCTETS_MIN, PASSPHRASE_OCTETS_MAX = 8, 1024

_SALT_OCTETS = 16
_NONCE_OCTETS = 12
_COST = struct.Struct("BBB")
# 32 MiB and a tenth of a second. What a database asks for is bounded: it isn't trusted.
_LOG_N, _R, _P = 15, 8, 1
_LOG_N_MAX, _R_MAX, _P_MAX = 20, 16, 16
_HEAD_OCTETS = _SALT_OCTETS + _COST.size
_REGISTRY = b"roamkey registry 1"
_ROW = struct.Struct(">16s16s8sI")


class Place(NamedTuple):
    """What an encrypted row is bound to. Addresses are 16 octets, a set's name 8."""

    home_address: bytes
    correspondent: bytes
    set_id: bytes
    generation: int


def board_place(board_id: str, seal_id: bytes) -> Place:
    """What the key of a board's seal is bound to: no pair has these addresses."""
    return Place(hashlib.sha256(board_id.encode()).digest()[:16], bytes(16), seal_id, 0)


class Secrets(NamedTuple):
    """What of a key is secret."""

    kcn: bytes
    home_nonce: bytes
    care_of_nonce: bytes

    def __repr__(self) -> str:
        return "Secrets(hidden)"


class RegistryKeys:
    """The open keys of a registry; `repr` shows nothing of them."""

    def __init__(self, row_key: bytes, fingerprint_key: bytes) -> None:
        """Both of 32 octets."""
        self.fingerprint_key = fingerprint_key
        self._row_key = row_key
        self._rows = _aead(row_key)

    @classmethod
    def make(cls, fingerprint_key: bytes) -> "RegistryKeys":
        """For a registry that has none yet: its fingerprints stay valid."""
        return cls(os.urandom(KEY_OCTETS), fingerprint_key)

    @classmethod
    def open(cls, sealed: bytes, passphrase: bytes) -> "RegistryKeys":
        """Open `registry.sealed`; raises RefusedError for a wrong passphrase."""
        opened = unlock(sealed, passphrase, _REGISTRY)
        if opened is None:
            raise RefusedError("wrong passphrase: the registry doesn't open")
        return cls(opened[:KEY_OCTETS], opened[KEY_OCTETS:])

    def close(self, passphrase: bytes) -> bytes:
        """`registry.sealed` for this passphrase."""
        return lock(self._row_key + self.fingerprint_key, passphrase, _REGISTRY)

    def hide(self, place: Place, secrets: Secrets) -> bytes:
        """The secrets of a row as one box."""
        kcn, home_nonce, care_of_nonce = secrets
        lengths = len(kcn).to_bytes(2, "big"), len(home_nonce).to_bytes(1, "big")
        text = lengths[0] + kcn + lengths[1] + home_nonce + care_of_nonce
        return _close(self._rows, text, _ROW.pack(*place))

    def reveal(self, place: Place, box: bytes) -> Secrets:
        """The secrets of a row; raises BadInputError where it isn't what was hidden here."""
        from cryptography.exceptions import InvalidTag

        try:
            text = _open(self._rows, box, _ROW.pack(*place))
        except InvalidTag:
            raise BadInputError("a key in the registry is damaged, or not in its place") from None
        kcn_end = 2 + int.from_bytes(text[:2], "big")
        nonce_end = kcn_end + 1 + text[kcn_end]
        return Secrets(text[2:kcn_end], text[kcn_end + 1 : nonce_end], text[nonce_end:])


def read_passphrase(path: str | Path) -> bytes:
    """The passphrase in the file at `path`: its octets, but for the end of its one line.

    Raises BadInputError (one line, without the secret).
    """
    # systemd gives credentials to a service's user by an access list, which shows as group's bits.
    of_systemd = str(Path(path).parent) == os.environ.get("CREDENTIALS_DIRECTORY")
    forbidden = 0o007 if of_systemd else privatefiles.OTHERS
    try:
        content = privatefiles.read(path, PASSPHRASE_OCTETS_MAX + 1, forbidden)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or 'not readable'}") from None
    except ValueError:  # a NUL in the path
        raise BadInputError("the passphrase file's name is no path") from None
    passphrase = content.rstrip(b"\r\n")
    if not PASSPHRASE_OCTETS_MIN <= len(passphrase) <= PASSPHRASE_OCTETS_MAX:
        raise BadInputError(f"{path}: a passphrase has {PASSPHRASE_OCTETS_MIN} octets at least")
    return passphrase


def lock(text: bytes, passphrase: bytes, purpose: bytes) -> bytes:
    """`text` under a passphrase: salt, cost, box. `purpose`: one kind can't serve for another."""
    head = os.urandom(_SALT_OCTETS) + _COST.pack(_LOG_N, _R, _P)
    return head + _close(_aead(_stretch(head, passphrase)), text, purpose + head)


def unlock(locked: bytes, passphrase: bytes, purpose: bytes) -> bytes | None:
    """What `lock` was given; None for a wrong passphrase, or where a bit is another.

    Raises BadInputError where it can't be of `lock`.
    """
    from cryptography.exceptions import InvalidTag

    head, box = locked[:_HEAD_OCTETS], locked[_HEAD_OCTETS:]
    key = _stretch(head, passphrase)
    try:
        return _open(_aead(key), box, purpose + head)
    except InvalidTag:
        return None


def _stretch(head: bytes, passphrase: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    if len(head) != _HEAD_OCTETS:
        raise BadInputError("what the passphrase seals is damaged")
    log_n, r, p = _COST.unpack_from(head, _SALT_OCTETS)
    if not (1 <= log_n <= _LOG_N_MAX and 1 <= r <= _R_MAX and 1 <= p <= _P_MAX):
        raise BadInputError("what the passphrase seals is damaged")
    scrypt = Scrypt(salt=head[:_SALT_OCTETS], length=KEY_OCTETS, n=1 << log_n, r=r, p=p)
    return scrypt.derive(passphrase)


def _aead(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _close(aead: Any, text: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_OCTETS)
    box: bytes = aead.encrypt(nonce, text, place)
    return nonce + box


def _open(aead: Any, box: bytes, place: bytes) -> bytes:
    """Raises InvalidTag, for anything too short as well."""
    from cryptography.exceptions import InvalidTag

    if len(box) <= _NONCE_OCTETS:
        raise InvalidTag
    text: bytes = aead.decrypt(box[:_NONCE_OCTETS], box[_NONCE_OCTETS:], place)
    return text
