"""The daemon's end of a data plane's process: starts it, tells it bindings, hears from it."""

import json
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

import mip6
import roamkey
from mip6 import packets
from roamkey import children
from roamkey.correspondent.clock import AHEAD_MS
from roamkey.correspondent.core.entries import Inbound, encapsulated
from roamkey.correspondent.dataplane import control
from roamkey.correspondent.encapsulation import Place
from roamkey.correspondent.localaddress import State
from roamkey.errors import SystemRefusedError
from roamkey.registry.records import Binding

_START_S = 30.0
_SO_SNDBUFFORCE = 32
_SEND_BUFFER = 16 << 20  # octets: the bindings of a daemon that starts with many
_GONE = bytes(control.ADDRESS_OCTETS)
_SILENT_S = 5.0  # it reports each second
_GOES_S = 0.05  # for a process that has closed its end to have ended
_AGAIN = ", again"
_MESSAGES = 64  # taken at a time
_HINT = "--no-data-plane serves signalling alone"


def _command(program: str) -> list[str]:
    """A Python that imports from nowhere but where it is told: not from the current folder, which
    may be anybody's (`-P` is of Python 3.11), nor from what the environment names."""
    text = f"import sys; sys.path += sys.argv[5:]; from {program} import main; main()"
    return [sys.executable, "-I", "-c", text]


def _paths() -> list[str]:
    """Where we found our own packages, and where Python looks: but for the folder that it put
    first by itself, a script's or the current one."""
    own = [str(Path(str(module.__file__)).parents[1]) for module in (roamkey, mip6)]
    first = 0 if getattr(sys.flags, "safe_path", False) else 1
    given = [path for path in sys.path[first:] if Path(path).is_absolute()]
    return list(dict.fromkeys([*own, *given]))


class Kind(NamedTuple):
    """`program`: the module whose `main` is the process; `told`: what more it has to know."""

    program: str = "roamkey.correspondent.dataplane.process"
    told: str = ""


class DataPlane:
    """The data plane of one correspondent address, from a process's start to its end. Select on
    it, then call `receive`.

    `ready`: it serves; then `plane`: which one, `why` that one; `interface`, `mtu`: of its device;
    `warning`: a line for the user, or None. `counters`: as it reported last, at most a second ago.
    `used`: home addresses that had data, `heard`: those of them that data came from; take them
    out.
    """

    def __init__(
        self,
        address: IPv6Address,
        wait: bool = True,
        place: Place | None = None,
        kind: Kind | None = None,
    ) -> None:
        """Start it, and `wait` until it serves; raises SystemRefusedError where the system doesn't
        allow it. `place`: where our own socket for packets inside UDP is; `kind`: another one's
        than a correspondent's."""
        kind = kind or Kind()
        #: what it said that isn't every data plane's; take it out
        self.said: deque[tuple[bytes, bytes]] = deque()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *_command(kind.program),
                    str(theirs.fileno()),
                    str(address),
                    str(place or ""),
                    kind.told,
                    *_paths(),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._address = address
        self._heard = time.monotonic()
        self._silent = False
        self._state = State.HERE
        self._mended: dict[str, int] = {}
        self._channel = ours
        self._backlog: deque[bytes] = deque()
        self.used: set[bytes] = set()
        self.heard: set[bytes] = set()
        self.counters: dict[str, Any] = {}
        self.ready = False
        self.plane, self.why = "", None
        self.interface, self.mtu, self.own_address = "", 0, False
        self.warning: str | None = None
        self._ends_at = 0.0
        try:
            if wait:
                self._hear_start()
        except BaseException:
            self.close()
            raise
        ours.setblocking(False)
        with suppress(PermissionError):
            ours.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)

    def facts(self) -> dict[str, Any]:
        """What there is to tell about it: the device, and the counters."""
        known: dict[str, Any] = {"plane": self.plane, "why": self.why}
        known |= {"interface": self.interface, "mtu": self.mtu, "own_address": self.own_address}
        known["warning"] = self.warning
        return {**known, **self.counters, "silent_s": int(self.silent_s())}

    def silent_s(self) -> float:
        """For how long nothing was heard of it."""
        return time.monotonic() - self._heard

    def news(self) -> list[str]:
        """What the user has to know and wasn't told: a line for each. Ask now and then."""
        silent = self.ready and self.silent_s() > _SILENT_S
        told = []
        if silent and not self._silent:
            told.append("the data plane's process doesn't answer")
        self._silent = silent
        state = State[self.counters.get("address", "here").upper()]
        if state is not self._state:
            told.append(f"{self._address} {state.value}" + _AGAIN * (state is State.HERE))
        self._state = state
        mended = self.counters.get("mended", {})
        again = [what for what, count in mended.items() if count > self._mended.get(what, 0)]
        if again:
            names = ", ".join(again)
            told.append(f"what the data plane needs was changed, and put back: {names}")
        self._mended = mended
        return told

    def fileno(self) -> int:
        """For select."""
        return self._channel.fileno()

    def bind(self, changed: Iterable[tuple[bytes, Binding | None]]) -> None:
        """Tell where home addresses are now; None: nowhere, or at home."""
        records = [
            control.BINDING.pack(
                home,
                binding.care_of_address,
                binding.endpoint or control.NATIVE,
                binding.expires_ms - AHEAD_MS,
                binding.key_id,
            )
            if binding
            else control.BINDING.pack(home, _GONE, control.NATIVE, 0, 0)
            for home, binding in changed
        ]
        for at in range(0, len(records), control.RECORDS):
            self._backlog.append(control.BINDINGS + b"".join(records[at : at + control.RECORDS]))
        self.flush()

    def deliver(self, inbound: Inbound) -> None:
        """Pass on a packet for the upper layers that came in an uncommon layout.

        Of one with two Destination Options headers the kernel gives out a copy at each. One that
        came inside UDP is lost: it came to the daemon while there was no data plane.
        """
        if inbound.payload[0] == packets.DESTINATION_OPTIONS or inbound.endpoint:
            return
        head = inbound.source + bytes((inbound.next_header,))
        with suppress(OSError):  # full, or too long for a message: lost, as on any way
            self._channel.send(control.PACKET + head + inbound.payload)

    def tell(self, kind: bytes, body: bytes) -> None:
        """Say something that isn't every data plane's; as bindings, it is never lost."""
        self._backlog.append(kind + body)
        self.flush()

    def flush(self) -> None:
        """Send what could not be sent before. Bindings are never lost, and never waited for."""
        try:
            while self._backlog:
                self._channel.send(self._backlog[0])
                self._backlog.popleft()
        except BlockingIOError:
            return
        except OSError:
            raise self._ended() from None

    def receive(self) -> list[Inbound]:
        """Hear what it says; the packets whose home address isn't bound to their source.

        Of these there is the extension header alone, or the beginning: enough to judge them.
        Raises SystemRefusedError, which says why, where its process has come to an end.
        """
        unbound: list[Inbound] = []
        for _ in range(_MESSAGES):
            try:
                message = self._channel.recv(control.MESSAGE_OCTETS)
            except BlockingIOError:
                break
            except OSError:
                message = b""
            if not message:
                raise self._ended()
            self._heard = time.monotonic()
            kind, body = message[:1], message[1:]
            if kind == control.UNBOUND:
                unbound += [
                    Inbound(packets.DESTINATION_OPTIONS, header, source)
                    for source, header in control.OFFENDER.iter_unpack(body)
                ]
            elif kind == control.UNBOUND_INSIDE:
                unbound += [
                    encapsulated(endpoint, head[:octets])
                    for endpoint, octets, head in control.OFFENDER_INSIDE.iter_unpack(body)
                ]
            elif kind in (control.USED, control.HEARD):
                size = control.ADDRESS_OCTETS
                homes = [body[at : at + size] for at in range(0, len(body), size)]
                self.used.update(homes)
                if kind == control.HEARD:
                    self.heard.update(homes)
            elif kind == control.REFUSED:
                raise SystemRefusedError(body.decode())
            elif kind == control.READY:
                self._is_ready(body)
            elif kind == control.COUNTERS:
                self.counters = json.loads(body)
            else:
                self.said.append((kind, body))
        return unbound

    def close(self) -> bool:
        """End it, and wait for that; device, routes and firewall table are gone then. False where
        it didn't end by itself: then the table may be there."""
        self._channel.close()
        return children.end(self._process, None) == 0

    def hang_up(self) -> None:
        """Have it end; nobody waits: ask whether it `is_gone`."""
        self._channel.close()
        self._ends_at = time.monotonic() + children.PATIENCE_S

    def is_gone(self) -> bool:
        """Whether its process has ended after `hang_up`; one that doesn't is killed."""
        if self._process.poll() is None and time.monotonic() >= self._ends_at:
            self._process.kill()
        return self._process.poll() is not None

    def _hear_start(self) -> None:
        self._channel.settimeout(_START_S)
        try:
            message = self._channel.recv(control.MESSAGE_OCTETS)
        except TimeoutError:
            message = control.REFUSED + b"it doesn't start"
        if message[:1] == control.READY:
            self._is_ready(message[1:])
            return
        why = message[1:].decode() or str(self._ended())
        raise SystemRefusedError(f"no data plane: {why}; {_HINT}")

    def _is_ready(self, told: bytes) -> None:
        started = json.loads(told)
        self.plane, self.why = started["plane"], started["why"]
        self.interface, self.mtu = started["interface"], started["mtu"]
        self.own_address = started["own_address"]
        self.warning, self.ready = started["warning"], True

    def _ended(self) -> SystemRefusedError:
        """It has closed its end, and is about to be gone."""
        try:
            code = self._process.wait(_GOES_S)
        except subprocess.TimeoutExpired:
            return SystemRefusedError("it hung up")
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return SystemRefusedError(f"it ended {how}")
