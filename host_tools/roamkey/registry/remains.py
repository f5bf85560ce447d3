"""What is left in the clear in a database's files, and how it is made to go.

SQLite keeps what was replaced until nobody reads the state before: in its log (WAL), in free
pages, in companions of the file. So nothing is believed but a search of all of them.
"""

import mmap
import time
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine

from roamkey.errors import RefusedError, SystemRefusedError
from roamkey.registry import database

_PATIENCE_S = 10.0  # for readers to end
_AGAIN_S = 0.25
_FEW = 200  # that are looked for one by one
_HEAD_OCTETS = 8  # of each of many


def remove(engine: Engine, secrets: Collection[bytes]) -> None:
    """Overwrite what deleted and replaced rows left, until none of the secrets is found.

    Raises RefusedError, which names a file, where somebody keeps that from being done. On a server
    its own files can't be searched: there it is done, and believed.
    """
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            scrubbed = database.scrub(engine)
        except SystemRefusedError:  # somebody writes, or reads an older state
            if engine.dialect.name != "sqlite":
                raise
            scrubbed = False
        left = found(engine, secrets)
        if scrubbed and left is None:
            return
        if time.monotonic() >= end:
            where = left or f"{engine.url.database} or its log"
            raise RefusedError(
                f"encrypted, but keys are still in the clear in {where}: end whatever has the "
                "registry open, remove copies, then run this again"
            )
        time.sleep(_AGAIN_S)


def found(engine: Engine, secrets: Collection[bytes]) -> Path | None:
    """A file beside the database, or its own, that holds one of the secrets; None on a server."""
    if engine.dialect.name != "sqlite":
        return None
    path = Path(str(engine.url.database))
    for file in sorted(path.parent.glob(f"{path.name}*")):
        if file.is_file() and holds(file, secrets):
            return file
    return None


def holds(file: Path, secrets: Collection[bytes]) -> bool:
    """Whether one of the secrets stands in a file. Raises OSError."""
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        if not size or not secrets:
            return False
        with mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ) as content:
            if len(secrets) <= _FEW:
                return any(content.find(secret) >= 0 for secret in secrets)
            return _holds_of_many(content, secrets)


def _holds_of_many(content: mmap.mmap, secrets: Collection[bytes]) -> bool:
    heads: dict[bytes, list[bytes]] = {}
    for secret in secrets:
        heads.setdefault(secret[:_HEAD_OCTETS], []).append(secret)
    chunk = 1 << 20
    for start in range(0, len(content), chunk):
        octets = content[start : start + chunk + _HEAD_OCTETS - 1]
        for at in range(len(octets) - _HEAD_OCTETS + 1):
            whole = heads.get(octets[at : at + _HEAD_OCTETS])
            if whole and any(
                content[start + at : start + at + len(secret)] == secret for secret in whole
            ):
                return True
    return False
