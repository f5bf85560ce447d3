"""ESP32's RTC memory: it outlives deep sleep and watchdog resets, not a loss of power.

`Keystore(store, RtcMemory(machine.RTC()))` then loses no number on a watchdog reset, and a deep
sleeper need not write to flash at each wake (`Keystore.suspend`).
"""

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Octets, Rtc

_MARK = b"rk"
_HEADER = const(3)  # the mark, then the note's length


class RtcMemory:
    """Our note at the front of the RTC memory; what an application keeps there follows it.

    `rtc` is a machine.RTC. An application that writes to RTC memory itself wipes our note: the
    counter then continues at the end of its reservation. One that puts an *older* copy of the
    whole memory back would bring old numbers back: use `application` and `set_application`.
    """

    def __init__(self, rtc: "Rtc") -> None:
        self._rtc = rtc

    def _split(self) -> tuple[bytes, bytes]:
        """(our note, the application's octets)."""
        octets = bytes(self._rtc.memory())
        if len(octets) < _HEADER or octets[:2] != _MARK or len(octets) < _HEADER + octets[2]:
            return b"", octets
        end = _HEADER + octets[2]
        return octets[_HEADER:end], octets[end:]

    def _join(self, note: bytes, application: bytes) -> None:
        head = _MARK + bytes([len(note)]) if note else b""
        try:
            self._rtc.memory(head + note + application)
        except ValueError:  # more than the 2,048 octets there are
            raise OSError(28) from None

    def read(self) -> bytes:
        """Our note, or no octets."""
        return self._split()[0]

    def write(self, note: bytes) -> None:
        """Replace our note (at most 255 octets; none removes it); raises OSError if it is full."""
        self._join(note, self._split()[1])

    def application(self) -> bytes:
        """What the application keeps behind our note."""
        return self._split()[1]

    def set_application(self, octets: "Octets") -> None:
        """Replace what the application keeps; raises OSError if it is too much."""
        self._join(self._split()[0], bytes(octets))
