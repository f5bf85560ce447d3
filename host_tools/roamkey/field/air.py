"""A board's event log over the air, asked for on the correspondent that the board is bound to.

The data plane carries an ordinary datagram to the board's home address to wherever it is.
"""

import json
import socket
import time
from types import TracebackType
from typing import Any

from roamkey.errors import BadInputError, BoardError

PORT = 4449  # firmware/mip6/eventlog.py
_PACE_S = 0.11  # the board answers one in 100 ms
_ANSWER_S = 0.5  # a later answer serves as well, to the next try
_TRIES = 8


class Air:
    """The board at a home address, to be used as a context manager."""

    def __init__(self, home_address: str) -> None:
        """Raises BadInputError for what is no IPv6 address."""
        try:
            socket.inet_pton(socket.AF_INET6, home_address)
        except (OSError, ValueError):
            raise BadInputError(f"{home_address}: not an IPv6 address") from None
        self.home_address = home_address
        self.board = home_address  # it doesn't say who else it is
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._asked_at = 0.0

    def __enter__(self) -> "Air":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(self, number: int | None) -> dict[str, Any]:
        """A block (None: the newest). Raises BoardError where no answer comes."""
        request = b"" if number is None else b"%d" % number
        for _ in range(_TRIES):
            time.sleep(max(0.0, self._asked_at + _PACE_S - time.monotonic()))
            self._asked_at = time.monotonic()
            try:
                self._socket.sendto(request, (self.home_address, PORT))
            except OSError as error:
                raise BoardError(f"{self.home_address}: {error.strerror}") from None
            answer = self._answer(number)
            if answer is not None:
                return answer
        raise BoardError(
            f"{self.home_address}: no answer; is the board bound here, and the data plane on?"
        )

    def _answer(self, number: int | None) -> dict[str, Any] | None:
        deadline = time.monotonic() + _ANSWER_S
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data, _ = self._socket.recvfrom(2048)
                found = json.loads(data)
            except (OSError, ValueError):  # nobody listens, nothing came, or not for us
                continue
            if isinstance(found, dict) and found.get("asked", -1) == number:
                return found
        return None
