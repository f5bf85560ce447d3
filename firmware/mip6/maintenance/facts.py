"""What a board says of itself, its clock, its randomness: what start and console ask for."""

import errno
import os
import sys
import time

from .. import __version__
from ..compat import const
from ..keystore.records import Damaged, pack, unpack

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Writable

_ID = "board-id"
_SURE = "board-id.crc"  # the same in an envelope: of the two, it counts
_ID_OCTETS = const(8)
_KIND = const(0x49)  # "I"
_VERSION = const(1)


def identity(store: "Writable") -> dict[str, str]:
    """What `identify` says of the board: `board` (its id; empty where it can't be read or kept),
    `platform`, versions."""
    return {
        "board": _unique_id(store).hex(),
        "platform": sys.platform,
        "machine": getattr(sys.implementation, "_machine", sys.platform),
        "micropython": ".".join(str(part) for part in sys.implementation.version[:3]),
        "agent": __version__,
    }


def _unique_id(store: "Writable") -> bytes:
    """The id of the chip; where there is none (unix), 8 random octets kept in the store."""
    try:
        import machine

        return machine.unique_id()
    except (ImportError, AttributeError):
        pass
    try:
        return _kept_id(store)
    except OSError:  # another one at each start would make another board of it
        return b""


def _kept_id(store: "Writable") -> bytes:
    """The id in the store, in two records: one that is torn or altered is mended by the other."""
    sure, plain = store.read(_SURE), store.read(_ID)
    kept = None
    try:
        kept = unpack(_KIND, _VERSION, sure or b"")
    except Damaged:
        if plain is not None and len(plain) == _ID_OCTETS:
            kept = plain
    found = kept or os.urandom(_ID_OCTETS)
    for name, record, stored in ((_SURE, pack(_KIND, _VERSION, found), sure), (_ID, found, plain)):
        if stored != record:
            try:
                store.write(name, record)
                kept = found
            except OSError:
                if not kept:
                    raise
    return found


def random(octets: int) -> bytes:
    """So many random octets, of the chip's or the system's own source."""
    return os.urandom(octets)


_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # ESP32 counts from 2000


def clock() -> int:
    """Seconds since 1970; since the start or the year 2000 or so where nobody set the clock."""
    return int(time.time()) + _EPOCH


def set_clock(seconds: int) -> None:
    """Set the clock to `seconds` since 1970; raises OSError where the system keeps it."""
    try:
        from machine import RTC
    except ImportError:
        raise OSError(errno.EPERM) from None
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(  # type: ignore[misc]
        seconds - _EPOCH  # MicroPython's gives eight
    )
    RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


def start() -> str:
    """Why the board started (machine.reset_cause(), 0 where nobody knows), and the clock."""
    try:
        from machine import reset_cause
    except ImportError:
        return "0 %d" % clock()
    return "%d %d" % (reset_cause(), clock())


def opening() -> str:
    """Why a seal would not hold here (a line), or no text. Of ESP32's port the /boot.py goes.

    0x03 in the moment in which boot.py runs ends it, and MicroPython then skips main.py.
    """
    for name in ("/boot.py", "/boot.mpy"):
        try:
            os.stat(name)
        except OSError:
            continue
        if sys.platform == "esp32":
            from ..ports.portsboot import drop

            if drop(name):
                continue
        return name + " can be interrupted: remove it before sealing"
    return ""
