"""What comes into the agent's files as an argument: shapes, for type checkers alone.

No board has this file, and nothing executes it. A module of mip6 imports from it behind
`if TYPE_CHECKING`, and names what it has in quotes: see CONTRIBUTING.md.
"""

import socket
from collections.abc import Callable
from typing import Any, Protocol

from .application import Application
from .maintenance.networklist import WifiNetwork
from .packets import Packet
from .programs.plane import RoutedNode

#: Octets to read, wherever they lie.
Octets = bytes | bytearray | memoryview

#: What `keys.hmac_key` makes: a pair of pads under MicroPython, octets under CPython.
HmacKey = bytes | tuple[bytes, bytes]

#: Where events go: a short fixed word, an address or None, a detail or None.
Emit = Callable[[str, bytes | None, object], None]

#: A packet to send: source, destination, next header, payload from that header on. Or, where the
#: next header is packets.ENCAPSULATED plus a UDP port, a whole IPv6 packet as a datagram's data.
Outgoing = tuple[bytes, bytes, int, Octets]

#: A way to a correspondent (bindings/ways.py): kind, care-of address, outer address, port.
Way = tuple[int, bytes, bytes | None, int]

#: A packet received: source, destination, next header, payload from that header on.
Incoming = tuple[bytes, bytes, int, Octets]

#: Of each correspondent's counter two numbers, which two the function says.
Rows = list[tuple[int, int]]

#: A correspondent's keys: (generation, Kcn), ascending.
Generations = list[tuple[int, bytes]]

#: Where UDP reaches a correspondent: (name or address in text, port).
Reach = list[tuple[str, int]]

class Readable(Protocol):
    """Records that can be read. OSError."""

    def read(self, name: str, /) -> bytes | None: ...

class Writable(Readable, Protocol):
    """Records that can be read and written. OSError."""

    def write(self, name: str, data: bytes, /) -> None: ...

class Store(Writable, Protocol):
    """Records by name, each written whole or not at all (ports/files.py). OSError."""

    def remove(self, name: str, /) -> None: ...

class BlockStore(Store, Protocol):
    """Where the log of events keeps its blocks."""

    def names(self) -> list[str]: ...

class Filled(Protocol):
    """The store whose old records are overwritten (maintenance/scrubbing.py)."""

    filler: Any

    def path(self, name: str, /) -> str: ...
    def remove(self, name: str, /) -> None: ...

class Retained(Protocol):
    """Memory that outlives a reset (ports/retained.py). OSError."""

    def read(self) -> bytes: ...
    def write(self, note: bytes, /) -> None: ...

class Rtc(Protocol):
    """machine.RTC, as far as ports/retained.py uses it."""

    def memory(self, octets: bytes = ..., /) -> Any: ...

class Memory(Protocol):
    """machine.mem8 and machine.mem32."""

    def __getitem__(self, address: int, /) -> int: ...
    def __setitem__(self, address: int, value: int, /) -> None: ...

class Sink(Protocol):
    """Whom a port tells what happens: node.Node."""

    watchdog: Callable[[], object] | None

    def address_usable(
        self,
        uplink: str,
        priority: int,
        address: bytes,
        preferred: bool = ...,
        valid_s: int | None = ...,
        /,
    ) -> None: ...
    def address_gone(self, uplink: str, address: bytes, /) -> None: ...
    def received(
        self, source: bytes, destination: bytes, next_header: int, payload: Octets, /
    ) -> None: ...
    def way_open(self) -> None: ...
    def failed(self, error: Exception, /) -> None: ...
    def faulted(self, error: Exception, /) -> None: ...

class Port(Protocol):
    """A platform's uplinks, raw IPv6 and UDP (ports/). Some have `listen`, `announce`, `reload`
    besides.

    `udp`: whether it carries packets inside UDP; without, `use` and `resolve` aren't called, and
    the rest isn't looked at. `native`: whether there is raw IPv6; `why`: if not, why not; `named`:
    whether uplinks are named as their networks are. A `waits()` says why addresses are used late.
    """

    faults: dict[str, int]
    udp: bool
    native: bool
    why: str
    named: bool

    def start(self, sink: Sink, /) -> None: ...
    def stop(self) -> None: ...
    def send(
        self, source: bytes, destination: bytes, next_header: int, payload: Octets, /
    ) -> bool: ...
    def note(self, kind: str, text: object, /) -> None: ...
    def use(self, native: bool, ipv4: bool, home: bytes | None, /) -> None: ...
    def resolve(
        self, name: str, ipv6: bool, ipv4: bool, feed: Callable[[], object] | None, /
    ) -> list[bytes]: ...

class Budget(Protocol):
    """How often updates may leave for what nobody signed: keystore/budget.py."""

    def wait(self, index: int, now: int, /) -> int: ...
    def spend(self, index: int, tokens: int = ..., /) -> None: ...

class Numbers(Protocol):
    """Where a Binding has keys and numbers from: keystore.Keystore, homeagent/numbers.py."""

    @property
    def budget(self) -> Budget: ...
    def current(self, index: int, /) -> tuple[int, bytes | None]: ...
    def take(self, index: int, /) -> tuple[int, int]: ...
    def peek(self, index: int, /) -> int: ...
    def advance(self, index: int, last_accepted: int, /) -> object: ...
    def warning(self, index: int, /) -> int | None: ...

class Receiver(Protocol):
    """A platform's raw socket that receives."""

    socket: socket.socket

    def receive(self) -> Incoming | None: ...
    def close(self) -> None: ...

class Sender(Protocol):
    """A platform's way out for packets."""

    def send(
        self, source: bytes, destination: bytes, next_header: int, payload: Octets, /
    ) -> None: ...
    def close(self) -> None: ...

class Nic(Protocol):
    """A Wi-Fi station as ports/station.py uses it: ports/cyw43.py says what its calls do."""

    duplicated: bool

    def active(self, on: bool, /) -> object: ...
    def renew(self, quick: bool, /) -> None: ...
    def scan(self) -> list[tuple[Any, ...]]: ...
    def connect(
        self, ssid: str, password: str | None, at: tuple[bytes, int] | None, /
    ) -> None: ...
    def disconnect(self) -> object: ...
    def eager(self, on: bool, /) -> None: ...
    def status(self, what: str = ..., /) -> int: ...
    def ipconfig(
        self, key: str = ..., /, *, addr6: str | None = ..., autoconf6: bool = ...
    ) -> Any: ...
    def solicit(self) -> None: ...
    def hurry(self) -> bool: ...
    def prove(self) -> None: ...
    def heard(self) -> bool: ...
    def doubt(self) -> bool: ...

class Ip6Sta(Protocol):
    """The module `ip6sta` of boards/modules."""

    def start(self) -> None: ...
    def link(self) -> tuple[bool, int, int]: ...
    def addresses(self) -> list[tuple[bytes, int, int, int]]: ...
    def take(self, address: bytes, /) -> None: ...
    def remove(self, address: bytes, /) -> None: ...
    def solicit(self) -> None: ...

class Plane(Protocol):
    """What gives all programs of a machine the home address: programs.plane.Programs, and the
    host's own (roamkey.node)."""

    @property
    def plane(self) -> str: ...
    @property
    def why(self) -> str: ...
    def start(self, node: RoutedNode, /) -> None: ...
    def stop(self) -> None: ...
    def look(self) -> None: ...
    def follow(self) -> None: ...
    def listen(self, port: int, /) -> None: ...
    def take(self, packet: Packet, /) -> bool: ...

class PortSocket(Protocol):
    """Who takes the datagrams of a UDP port: datagrams.Socket, eventlog.AirLog."""

    @property
    def port(self) -> int: ...
    def flush(self) -> None: ...
    def deliver(self, source: bytes, header: Octets, /) -> None: ...

class Told(Protocol):
    """The node, as the console sees it."""

    feed: Callable[[], object] | None
    def status(self) -> dict[str, Any]: ...
    def farewell(self) -> None: ...
    def reload(self) -> bool: ...

class Joining(Protocol):
    """The agent, as whoever changes Wi-Fi networks, seal and application sees it."""

    application: Application
    node: Any  # node.Node, or maintenance/absent.NoNode

    def networks_changed(self) -> None: ...
    def seal_changed(self) -> None: ...

class Log(Protocol):
    """The log of events, as the console sees it."""

    def add(self, kind: str, text: object = ..., /) -> None: ...
    def tell(self, number: Any, /) -> dict[str, Any]: ...
    def clear(self) -> None: ...

class Platform(Protocol):
    """The module maintenance/facts.py."""

    def clock(self) -> int: ...
    def set_clock(self, seconds: int, /) -> None: ...
    def opening(self) -> str: ...

class Networks(Protocol):
    """The module maintenance/networklist.py."""

    RECORD: str

    def read(self, store: Store, /) -> list[WifiNetwork]: ...
    def change(self, store: Store, entry: object, ssid: object, /) -> None: ...

class Console(Protocol):
    """console/methods.py's, as the reader of lines sees it."""

    counts: dict[str, int]

    @property
    def idle(self) -> bool: ...
    @property
    def rebooting(self) -> bool: ...
    def handle(self, line: bytes, /) -> bytes | None: ...
    def refuse(self, error: Exception, /) -> bytes: ...

class Stream(Protocol):
    """Where a console's octets come from, and what select.poll knows."""

    def fileno(self) -> int: ...
    def read(self, octets: int, /) -> bytes | None: ...

class Drain(Protocol):
    """Where a console's answers go."""

    def write(self, octets: bytes, /) -> object: ...

#: Takes the parameters of a request, returns its result.
Method = Callable[[Any], object]
