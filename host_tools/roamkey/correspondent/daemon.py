"""The loop: wait, read a burst, let the responder settle it, answer; until a signal says stop.

While one burst is being committed the next gathers in the sockets' buffers: the more there is to
do, the larger the groups, and the less each message costs.
"""

import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address
from types import FrameType

from roamkey.correspondent import entries
from roamkey.correspondent.cache import BindingCache
from roamkey.correspondent.log import Log
from roamkey.correspondent.responder import Responder
from roamkey.correspondent.sockets import RawSockets
from roamkey.correspondent.store import Store
from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry

_BURST = 512
_TICK_S = 1.0
_DRAIN_BURSTS = 64  # after a stop signal: what waits is served, a flood is not
_TROUBLE_EVERY_MS = 10_000


def serve(registry: Registry, address: IPv6Address, log: Log, bindings_max: int) -> signal.Signals:
    """Serve a correspondent address until SIGTERM or SIGINT; the signal that ended it.

    Raises SystemRefusedError where the address isn't this host's, is served already, or raw
    sockets are not allowed.
    """
    with ExitStack() as stack:
        sockets = RawSockets(address)
        stack.callback(sockets.close)
        stack.enter_context(_alone(address))
        stop = stack.enter_context(_StopSignals())
        cache = BindingCache(address.packed, bindings_max)
        daemon = _Daemon(sockets, cache, Store(registry, address.packed), log)
        return daemon.run(address, stop)


def wall_ms() -> int:
    """Milliseconds since 1970: bindings must keep their meaning across restarts."""
    return time.time_ns() // 1_000_000


class _Daemon:
    def __init__(self, sockets: RawSockets, cache: BindingCache, store: Store, log: Log) -> None:
        self._sockets = sockets
        self._log = log
        self._responder = Responder(cache, store, self._trouble)
        self._trouble_at: int | None = None

    def run(self, address: IPv6Address, stop: "_StopSignals") -> signal.Signals:
        cache = self._responder.cache
        now = wall_ms()
        self._responder.start(now)
        self._log.event(
            now,
            "ready",
            f"correspondent {address}, {cache.nodes()} nodes, {cache.bound()} bindings",
            address=str(address),
            nodes=cache.nodes(),
            bindings=cache.bound(),
        )
        self._log.flush()
        with selectors.DefaultSelector() as selector:
            for readable in (self._sockets.away, self._sockets.home, stop.wakeup):
                selector.register(readable, selectors.EVENT_READ)
            tick = time.monotonic() + _TICK_S
            while stop.received is None:
                selector.select(max(0, tick - time.monotonic()))
                self._serve_burst()
                if time.monotonic() >= tick:
                    tick = time.monotonic() + _TICK_S
                    self._housekeep()
            for _ in range(_DRAIN_BURSTS):
                if not self._serve_burst():
                    break
        now = wall_ms()
        self._log.drops(now, always=True)
        served = self._responder.counters
        self._log.event(
            now,
            "stopped",
            f"{stop.received.name}, {served[entries.ACCEPTED, '']} accepted, "
            f"{served[entries.REMOVED, '']} removed",
            signal=stop.received.name,
            send_errors=self._sockets.send_errors,
            withheld=self._responder.cache.limiter.withheld,
            counters=[[*what, count] for what, count in sorted(served.items())],
        )
        self._log.flush()
        return stop.received

    def _serve_burst(self) -> bool:
        """Settle what waits; whether there was anything."""
        burst = self._sockets.receive(_BURST)
        if not burst:
            return False
        now = wall_ms()
        verdicts = self._responder.process(burst, now)
        for verdict in verdicts:
            if verdict.reply is not None:
                self._sockets.send(verdict.reply)
        for verdict in verdicts:
            self._log.verdict(now, verdict)
        self._log.flush()
        return True

    def _housekeep(self) -> None:
        now = wall_ms()
        for home_address, binding in self._responder.expire(now):
            self._log.expired(now, home_address, binding)
        self._log.drops(now)
        self._log.flush()

    def _trouble(self, text: str) -> None:
        now = wall_ms()
        if self._trouble_at is None or now - self._trouble_at >= _TROUBLE_EVERY_MS:
            self._trouble_at = now
            self._log.event(now, "trouble", text, detail=text)


class _StopSignals:
    """SIGTERM and SIGINT as something to select on: `wakeup` becomes readable."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> "_StopSignals":
        self.wakeup, self._write_end = socket.socketpair()
        self.wakeup.setblocking(False)
        self._write_end.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._write_end.fileno())
        self._old = {
            one: signal.signal(one, self._note) for one in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._old.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(self._old_fd)
        self.wakeup.close()
        self._write_end.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number)


@contextmanager
def _alone(address: IPv6Address) -> Iterator[None]:
    """See that no other daemon serves this address.

    The lock is the name of an abstract socket: it belongs to the network namespace, as the address
    does, and goes with the process however that ends.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        try:
            lock.bind(f"\0roamkey/correspondent/{address}")
        except OSError:
            raise SystemRefusedError(f"another daemon serves {address} on this host") from None
        yield
