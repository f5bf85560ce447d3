"""The kernel's word on packets with a Home Address option from where nobody is bound."""

import socket
from contextlib import suppress

from roamkey.correspondent.dataplane import xfrm

_AT_A_TIME = 64
_RECEIVE_BUFFER = 4 << 20


class Reports:
    """Those of one correspondent address. `close` it. `overflows`: how often there were more than
    are kept."""

    def __init__(self, ours: bytes) -> None:
        """Raises OSError."""
        self._ours = ours
        self._socket = xfrm.open_socket(xfrm.REPORTS)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.fileno, self.close = self._socket.fileno, self._socket.close
        self.overflows = 0

    def hear(self) -> list[tuple[bytes, bytes, int]]:
        """Home address, care-of address and protocol of each packet that waits."""
        found = []
        for _ in range(_AT_A_TIME):
            try:
                told = self._socket.recv(xfrm.OCTETS)
            except BlockingIOError:
                break
            except OSError:  # more than the buffer holds
                self.overflows += 1
                continue
            found += [
                (home, care_of, protocol)
                for home, ours, care_of, protocol in xfrm.reports(told)
                if ours == self._ours
            ]
        return found
