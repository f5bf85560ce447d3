"""Numbered datagrams as they arrive at the correspondent's host, into a file for the report.

An ordinary user's program may receive them at their port itself. Where another program has the
port they are seen beside it, on their way to it (packet(7), CAP_NET_RAW). Times are the kernel's,
of the arrival. Whoever can send to the port can fill the file up to its bound, no further.
"""

import errno
import fcntl
import json
import os
import socket
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from roamkey.errors import RefusedError, SystemRefusedError

NODES_MAX = 10_000  # counted each; those beyond are recorded all the same
_AT_ONCE = 256  # datagrams of a batch
_OCTETS = 1 << 16
_TIMESTAMP_NS = getattr(socket, "SO_TIMESTAMPNS", 35)
_TIME = struct.Struct("@qq")
_BUFFER = 1 << 21
_ETHERTYPE_IPV6 = 0x86DD
_UDP = 17
_HEADERS = 48  # IPv6's and UDP's
_NUMBER_MAX = 1 << 53


class Arrived(NamedTuple):
    """A datagram: when (ms since 1970), from whom, its number if it has one, its octets."""

    at_ms: float
    home_address: str
    number: int | None
    octets: int


class Listener:
    """Where datagrams to a UDP port of this host come out. `beside`: another program has it."""

    def __init__(self, port: int) -> None:
        """Raises SystemRefusedError."""
        self.port = port
        self.beside = False
        try:
            self._socket = _bound(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SystemRefusedError(f"UDP port {port}: {error.strerror}") from None
            self.beside = True
            self._socket = _watching(port)
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP_NS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def take(self, wait_s: float) -> Iterator[Arrived]:
        """What has come, at most a batch; waits so long for the first."""
        self._socket.settimeout(wait_s)
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, sender = self._socket.recvmsg(_OCTETS, 64)
            except (TimeoutError, BlockingIOError):
                return
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # an interface went; the others go on
                    continue
                raise SystemRefusedError(f"UDP port {self.port}: {error.strerror}") from None
            self._socket.settimeout(0)
            one = self._read(data, sender)
            if one is not None:
                home, payload = one
                yield Arrived(_time(ancillary), home, number_of(payload), len(payload))

    def _read(self, data: bytes, sender: tuple[str, ...]) -> tuple[str, bytes] | None:
        if not self.beside:
            return sender[0].partition("%")[0], data
        if len(data) < _HEADERS or data[6] != _UDP or int(sender[2]) == socket.PACKET_OUTGOING:
            return None
        if int.from_bytes(data[42:44], "big") != self.port:
            return None
        length = int.from_bytes(data[44:46], "big")
        return str(IPv6Address(data[8:24])), data[_HEADERS : 40 + length]


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(("::", port))
    except OSError:
        made.close()
        raise
    return made


def _watching(port: int) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE_IPV6))
    except PermissionError:
        raise SystemRefusedError(
            f"UDP port {port} is another program's: stop it, or listen beside it as root (sudo)"
        ) from None


def _time(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMP_NS):
            seconds, nanoseconds = _TIME.unpack_from(data)
            return float(seconds * 1000 + nanoseconds / 1e6)
    raise AssertionError("the kernel gave no time")


def number_of(payload: bytes) -> int | None:
    """The number of a datagram: "n" of an object of JSON, or what is a number alone, in digits."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        found = found.get("n")
    fits = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _NUMBER_MAX
    return found if fits else None


class Recording:
    """A file of JSON Lines that grows by whole lines: `with Recording(path, most) as file`.

    Each batch is written when it came, so what kills us takes nothing that was taken. An earlier
    recording there is gone on with.
    """

    def __init__(self, path: Path, octets_most: int, only: Collection[str] | None = None) -> None:
        """`only`: of these home addresses. Raises RefusedError, SystemRefusedError."""
        self.path = path
        self.most = octets_most
        self.only = only
        self.datagrams: Counter[str] = Counter()
        self.without_number = 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = _whole(self._file)
        except BlockingIOError:
            raise RefusedError(f"{path}: another recording writes there") from None
        except OSError as error:
            raise SystemRefusedError(f"{path}: {error.strerror}") from None

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def add(self, arrived: Iterator[Arrived]) -> bool:
        """Write a batch; False where the file has as much as it may. Raises SystemRefusedError
        where it can't be written: what is in it is whole."""
        lines = []
        for one in arrived:
            if self.only is not None and one.home_address not in self.only:
                continue
            if one.number is None:
                self.without_number += 1
                continue
            if one.home_address in self.datagrams or len(self.datagrams) < NODES_MAX:
                self.datagrams[one.home_address] += 1
            lines.append(json.dumps({
                "at_ms": round(one.at_ms, 3), "home_address": one.home_address,
                "number": one.number, "octets": one.octets,
            }) + "\n")  # fmt: skip
        octets = "".join(lines).encode()
        if self._size + len(octets) > self.most:
            return False
        try:
            self._write(octets)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise SystemRefusedError(f"{self.path}: {error.strerror}") from None
        self._size += len(octets)
        return True

    def _write(self, octets: bytes) -> None:
        at = self._size
        while octets:
            written = os.pwrite(self._file, octets, at)
            at += written
            octets = octets[written:]


def _whole(file: int) -> int:
    """The octets of a file up to the end of its last line; what is behind is taken off."""
    size = os.fstat(file).st_size
    tail = os.pread(file, 4096, max(0, size - 4096))
    end = tail.rfind(b"\n")
    whole = size - len(tail) + end + 1 if end >= 0 else 0 if size <= 4096 else size
    if whole != size:
        os.ftruncate(file, whole)
    return whole
