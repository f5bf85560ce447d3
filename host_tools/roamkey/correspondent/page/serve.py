"""The server (uvicorn) round the page, until SIGTERM or Ctrl-C."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from roamkey.correspondent.page.access import Token
from roamkey.correspondent.page.app import make_app
from roamkey.correspondent.page.reading import PageReader
from roamkey.errors import SystemRefusedError

_BACKLOG = 64
_STUCK_MS = 20_000  # a peer that takes nothing for so long is gone
_CONNECTIONS_MAX = 256
_SILENT_S = 10.0  # before the first request


def is_loopback(host: str) -> bool:
    """Whether an address is this host's alone."""
    return ip_address(host).is_loopback


def serve(
    host: str, port: int, events: Path, token: Token | None, ready: Callable[[], None]
) -> None:
    """Serve the page until SIGTERM; Ctrl-C raises KeyboardInterrupt. `ready` is called when
    browsers may come.

    Raises SystemRefusedError where the address can't be had, BadInputError where no events are.
    """
    with closing(PageReader(events)) as reader, closing(_listen(host, port)) as listening:
        config = uvicorn.Config(
            make_app(reader, token),
            http=_Connection,
            ws="none",
            lifespan="on",
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        ready()
        # uvicorn raises the signal that ended it once more: for SIGTERM there is nothing to add
        signal.signal(signal.SIGTERM, lambda *_: None)
        _Server(config).run(sockets=[listening])


class _Connection(H11Protocol):
    """One that doesn't ask in time ends; where there are too many, the oldest idle one does."""

    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it, and don't wait for its request for ever."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self.loop.call_later(_SILENT_S, self._end_silent)
        if len(self.connections) > _CONNECTIONS_MAX:
            idle = [one for one in self.connections if isinstance(one, _Connection) and one.idle()]
            min(idle, key=lambda one: one._since, default=self).transport.abort()

    def idle(self) -> bool:
        """Whether it has nothing asked for that isn't answered."""
        return self.cycle is None or self.cycle.response_complete

    def _end_silent(self) -> None:
        if self.cycle is None:
            self.transport.close()


class _Server(uvicorn.Server):
    """Ends streams first: they would be waited for."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.feed.end()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    version = ip_address(host).version
    one = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
        if version == 6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((host, port))
        one.listen(_BACKLOG)
    except OSError as error:
        one.close()
        text = error.strerror if error.errno else str(error)
        if error.errno == errno.EADDRNOTAVAIL:
            text = "not an address of this host"
        where = f"[{host}]:{port}" if version == 6 else f"{host}:{port}"
        raise SystemRefusedError(f"page at {where}: {text}") from None
    return one
