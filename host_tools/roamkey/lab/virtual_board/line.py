"""The serial line of a virtual board: the pty that clients open, and the interpreter's two pipes.

The pipes outlive the interpreter, as the pty outlives the client: what is under way when one of
them goes is still there for the next. All of it stays in raw octets.
"""

import contextlib
import os
import pty
import select
import time
import tty

from roamkey.errors import SystemRefusedError
from roamkey.lab.virtual_board.pipes import drain

_CHUNK = 4096
_TAIL = 64
_STALLED = 0.5  # s without a reader before output is dropped; MICROPY_HW_USB_CDC_TX_TIMEOUT on rp2


class Line:
    """Buffers in both directions over file descriptors that are never blocked on."""

    def __init__(self) -> None:
        """Open everything; raises SystemRefusedError where there is no pty left."""
        try:
            self._master, self._slave = pty.openpty()
        except OSError as error:
            raise SystemRefusedError(f"no pseudo-terminal: {error.strerror}") from error
        # The slave stays open here: the port then outlives its clients, with its raw mode.
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.stdin, self._to_stdin = os.pipe()
        self._from_stdout, self.stdout = os.pipe()
        for descriptor in (self._master, self._to_stdin, self._from_stdout):
            os.set_blocking(descriptor, False)
        self.inbound = bytearray()  # from the client
        self.outbound = bytearray()  # to the client
        self.tail = b""  # the last octets that the interpreter wrote
        self._hidden = bytearray()
        self._hide_until = b""
        self._stdin_full = False
        self._stalled_since: float | None = None

    def close(self) -> None:
        """Close everything; the port is gone."""
        for descriptor in (self._master, self._slave, self.stdin, self._to_stdin):
            os.close(descriptor)
        for descriptor in (self._from_stdout, self.stdout):
            os.close(descriptor)

    def interests(self) -> list[tuple[int, int]]:
        """The file descriptors to wait for, each with poll's events."""
        master = select.POLLIN if len(self.inbound) < _CHUNK else 0
        master |= select.POLLOUT if self.outbound else 0
        wanted = [(self._master, master)]
        if len(self.outbound) < _CHUNK:
            wanted.append((self._from_stdout, select.POLLIN))
        if self._stdin_full:
            wanted.append((self._to_stdin, select.POLLOUT))
        return wanted

    # From the client to the interpreter.

    def take_input(self) -> None:
        """Read what the client sent, as far as there is room for it."""
        if len(self.inbound) < _CHUNK:
            with contextlib.suppress(BlockingIOError):
                self.inbound += os.read(self._master, _CHUNK)

    def give_input(self, count: int) -> bool:
        """Pass on the first `count` octets of `inbound`; returns whether all of them went."""
        try:
            sent = os.write(self._to_stdin, self.inbound[:count])
        except BlockingIOError:
            sent = 0
        del self.inbound[:sent]
        self._stdin_full = sent < count
        return not self._stdin_full

    def recall_input(self) -> None:
        """Take back what the interpreter has not read."""
        self.inbound[:0] = drain(self.stdin)

    def forget_input(self) -> None:
        """Lose what the interpreter has not read, as a board does when it is reset."""
        self.inbound.clear()
        drain(self.stdin)
        self._stdin_full = False

    # From the interpreter to the client.

    @property
    def hiding(self) -> bool:
        """Whether output is being held back."""
        return bool(self._hide_until)

    def hide_until(self, text: bytes) -> None:
        """Keep output from the client up to and without `text`, or (empty) end that."""
        self._hide_until = text
        self._hidden.clear()

    def say(self, text: bytes) -> None:
        """Send the client something that a board says and the interpreter does not."""
        self.outbound += text

    def take_output(self, everything: bool = False) -> None:
        """Read what the interpreter wrote, as far as there is room for it, or `everything`."""
        while everything or len(self.outbound) < _CHUNK:
            try:
                data = os.read(self._from_stdout, _CHUNK)
            except BlockingIOError:
                return
            self.tail = (self.tail + data)[-_TAIL:]
            if not self._hide_until:
                self.outbound += data
                continue
            self._hidden += data
            if self._hidden.endswith(self._hide_until):
                self.outbound += self._hide_until
                self.hide_until(b"")

    def give_output(self) -> float | None:
        """Pass on what the client takes; returns in how many seconds to come again, or None."""
        if not self.outbound:
            return None
        try:
            sent = os.write(self._master, self.outbound)
        except BlockingIOError:
            sent = 0
        del self.outbound[:sent]
        if sent:
            self._stalled_since = None
            return None
        now = time.monotonic()
        if self._stalled_since is None:
            self._stalled_since = now
        elif now - self._stalled_since >= _STALLED:
            self.outbound.clear()
            return None
        return self._stalled_since + _STALLED - now
