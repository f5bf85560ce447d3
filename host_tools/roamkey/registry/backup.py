"""A copy of a registry, and the way back from one: nothing that was used since is accepted again.

A backup knows the numbers that were used when it was made. What was used since is told by the
high-water marks beside the registry, and by the registry itself where it can still be read. Before
a backup takes its place, each key is raised above both; what was retired since is retired in it.

Raising costs each key `marks.MARGIN` numbers: what a power cut may have taken from the marks. A
board finds out by the first answer (status 135) and goes on above.
"""

import itertools
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from mip6 import addresses
from mip6.limits import SEQUENCE_NUMBERS
from roamkey import privatefiles
from roamkey.errors import BadInputError, RefusedError, SystemRefusedError
from roamkey.registry import database, keysets, marks
from roamkey.registry.marks import KeyName
from roamkey.registry.records import RETIRED
from roamkey.registry.registry import Registry
from roamkey.registry.schema import bindings, keys, nodes, pairs

#: By correspondent address: what was used of keys, as in `marks`
Known = Mapping[bytes, Mapping[KeyName, int]]


@dataclass
class Raised:
    """What became of the live keys: how many were `raised`, how many `retired`."""

    raised: int = 0
    retired: int = 0


@dataclass(frozen=True)
class Unknown:
    """What to do with the keys of a correspondent of which nothing newer is known than the backup:
    skip so many numbers, or retire them. With neither they are a reason to refuse."""

    advance: int | None = None
    retire: bool = False


def make(registry: str | None, file: Path) -> int:
    """Copy a registry into a new file of mode 0600, as it is at one moment; the file's octets.

    Raises BadInputError (a file is there already), RefusedError (it is on a server) and
    SystemRefusedError.
    """
    try:
        str(file).encode()
    except UnicodeEncodeError:
        raise BadInputError(f"{str(file)!a}: SQLite takes no such name") from None
    path = _path_of(registry, "pg_dump makes its backup")
    with Registry.open(path, create=False, to_encrypt=True):
        pass  # it is one, and as this roamkey knows it
    try:
        if os.path.lexists(file):
            raise BadInputError(f"{file} is there already")
        new = file.with_name(file.name + ".making")
        new.unlink(missing_ok=True)
        privatefiles.create(new)
        try:
            _copy(path, new)
            _name_too(new, file)  # whole, and where there is none
        finally:
            new.unlink(missing_ok=True)
        _sync(file.parent)
        return file.stat().st_size
    except FileExistsError:
        raise BadInputError(f"{file} is there already") from None
    except OSError as error:
        raise SystemRefusedError(f"{file}: {error.strerror}") from None


def restore(
    registry: str | None, file: Path, passphrase_file: Path | None, unknown: Unknown
) -> Raised:
    """Put a backup in the place of a registry. The one before is kept beside it, with the name's
    end ".before-restore", those of later restorations with ".before-restore-2" and so on.

    Raises RefusedError (a daemon or command has the registry open; it is on a server; too little
    is known and `unknown` doesn't say what to do), BadInputError and SystemRefusedError.
    """
    path = _path_of(registry, "pg_restore puts it back, then run this without a file")
    new = path.with_name(path.name + ".restoring")
    old = _unused(path.with_name(path.name + ".before-restore"))
    with Registry.open(file, create=False, passphrase_file=passphrase_file):
        pass
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        privatefiles.create(new)
        try:
            _copy(file, new)
            with Registry.open(new, create=False, passphrase_file=passphrase_file) as copy:
                known = _known_of(path) if path.exists() else {}
                raised = _raise(copy, registry, known, unknown)
            _close(new)
            if path.exists():
                _name_too(path, old)  # at no moment is there no registry
            for end in ("-wal", "-shm"):  # of one that could not be opened any more
                with suppress(FileNotFoundError):
                    path.with_name(path.name + end).replace(old.with_name(old.name + end))
            new.replace(path)
        finally:
            for left in ("", "-wal", "-shm"):
                new.with_name(new.name + left).unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise SystemRefusedError(f"{path}: {error.strerror}") from None
    return raised


def raise_in_place(registry: str | None, passphrase_file: Path | None, unknown: Unknown) -> Raised:
    """The same for a registry that was put back already, by whatever means."""
    with Registry.open(registry, create=False, passphrase_file=passphrase_file) as opened:
        return _raise(opened, registry, {}, unknown)


def _raise(opened: Registry, registry: str | None, known: Known, unknown: Unknown) -> Raised:
    found = marks.read(marks.place(registry), opened.identity())
    for correspondent, values in known.items():
        mine = found.setdefault(correspondent, {})
        for name, value in values.items():
            mine[name] = max(value, mine.get(name, 0))
    with opened.writing() as c:
        return raise_to(c, found, unknown)


def raise_to(c: Connection, known: Known, unknown: Unknown) -> Raised:
    """Raise what the registry knows to what is known elsewhere, and end all bindings: they are as
    old as the backup. Inside the caller's transaction; raises RefusedError."""
    statement = (
        select(
            pairs.c.correspondent,
            nodes.c.home_address,
            pairs.c.id.label("pair_id"),
            keys.c.id,
            keys.c.set_id,
            keys.c.generation,
            keys.c.last_sequence,
        )
        .select_from(keys.join(pairs).join(nodes))
        .where(keys.c.state != RETIRED)
        .order_by(pairs.c.correspondent, pairs.c.id, keys.c.id)
    )
    done = Raised()
    rows = c.execute(statement).all()
    over: list[int] = []
    for correspondent, of_correspondent in groupby(rows, lambda row: row.correspondent):
        here = known.get(correspondent)
        margin = marks.MARGIN
        if here is None:
            if unknown.retire:
                over += [row.id for row in of_correspondent]
                continue
            if unknown.advance is None:
                raise RefusedError(
                    "nothing tells what boards used with "
                    f"{addresses.text(correspondent)} since the backup: say how many numbers to "
                    "skip of each key (--advance), or retire the keys (--retire)"
                )
            here, margin = {}, unknown.advance
        used = _latest_used(here)
        for row in of_correspondent:
            value = here.get(KeyName(row.home_address, row.set_id, row.generation), 0)
            if value == marks.RETIRED or row.generation < used.get(row.home_address, -1):
                over.append(row.id)
                continue
            last = -1 if row.last_sequence is None else row.last_sequence
            last = min(max(last, value - 1) + margin, SEQUENCE_NUMBERS - 1)
            if last >= 0:
                c.execute(update(keys).where(keys.c.id == row.id).values(last_sequence=last))
                done.raised += 1
    c.execute(delete(bindings))
    keysets.retire_keys(c, over)
    done.retired = len(over)
    keysets.raise_revision(c, {row.pair_id for row in rows})
    return done


def _latest_used(known: Mapping[KeyName, int]) -> dict[bytes, int]:
    """By home address: the latest generation that was used; the earlier ones are over."""
    used: dict[bytes, int] = {}
    for name, value in known.items():
        if 0 < value < marks.RETIRED:
            used[name.home_address] = max(name.generation, used.get(name.home_address, -1))
    return used


def _known_of(path: Path) -> Known:
    """What the registry to be replaced knows; nothing, where it can't be read. Another registry's
    keys are in nobody's way: sets of keys have random names.

    Nobody else may have it open: what they did in it would be lost. Raises RefusedError.
    """
    try:
        opened = Registry.open(path, create=False, to_encrypt=True)
        with opened, opened.reading() as c:
            found: dict[bytes, dict[KeyName, int]] = {}
            rows = select(pairs.c.correspondent, nodes.c.home_address, keys)
            for row in c.execute(rows.select_from(keys.join(pairs).join(nodes))):
                last = -1 if row.last_sequence is None else row.last_sequence
                name = KeyName(row.home_address, row.set_id, row.generation)
                value = marks.RETIRED if row.state == RETIRED else last + 1
                found.setdefault(row.correspondent, {})[name] = value
    except (BadInputError, SystemRefusedError):  # damaged: that is why it is restored
        found = {}
    try:
        _close(path)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise RefusedError(
                f"{path} is in use: end the daemons and commands that have it open"
            ) from None
    except sqlite3.Error:
        pass
    return found


def _path_of(registry: str | None, instead: str) -> Path:
    registry = registry or os.environ.get(database.REGISTRY_VARIABLE) or None
    path = database.default_path() if registry is None else database.file_of(registry)
    if path is None:
        raise RefusedError(f"the registry is on a server: {instead}")
    return path


def _copy(path: Path, into: Path) -> None:
    """One moment of a database into an empty file; on the disk when this returns."""
    try:
        with closing(sqlite3.connect(path)) as c:
            c.execute("PRAGMA busy_timeout = 10000")
            c.execute("VACUUM INTO ?", (str(into),))
    except sqlite3.Error as error:
        raise SystemRefusedError(f"{path}: {error}") from None
    _sync(into)


def _close(path: Path) -> None:
    """Have all of a database in its one file. Raises sqlite3.Error where others have it open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as c:
        c.execute("PRAGMA busy_timeout = 500")
        c.execute("PRAGMA journal_mode = DELETE")


def _unused(path: Path) -> Path:
    """The name itself, or the first of those with a number that nothing bears."""
    numbers = itertools.count(2)
    found = path
    while os.path.lexists(found):
        found = path.with_name(f"{path.name}-{next(numbers)}")
    return found


def _name_too(path: Path, other: Path) -> None:
    """Give a file another name beside its own, which goes where the file system knows but one.
    Raises FileExistsError."""
    try:
        os.link(path, other)
    except FileExistsError:
        raise
    except OSError:
        path.rename(other)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
