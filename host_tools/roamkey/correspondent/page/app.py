"""The page's addresses (Starlette), and the stream of events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from roamkey.correspondent import control, view
from roamkey.correspondent.page.access import Access, Token
from roamkey.correspondent.page.feed import Feed
from roamkey.correspondent.page.reading import PageReader
from roamkey.errors import RoamkeyError

_STATIC = Path(__file__).with_name("static")
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_TOLD = ("address", "role", "version", "started", "nodes", "bindings")
_QUIET_S = 15.0  # without a message for longer, a comment shows that the connection lives
_SLOW_S = 10.0  # a browser that takes longer for a message is too slow
_FIND_MAX = 100


def make_app(
    reader: PageReader,
    token: Token | None = None,
    watch: Callable[[], dict[str, Any]] | None = None,
) -> Starlette:
    """The page over a file of events. `watch`: what the daemons say; see `ask_daemons`."""
    feed = Feed(reader, watch or ask_daemons)

    async def state(request: Request) -> Response:
        await feed.watch_soon()
        return JSONResponse(feed.state(request.query_params.get("find", "")[:_FIND_MAX]))

    async def timeline(request: Request) -> Response:
        try:
            node = str(IPv6Address(request.query_params.get("node", "").partition("%")[0]))
        except AddressValueError:
            return PlainTextResponse("not an address", 400)
        return JSONResponse(feed.timeline(node))

    async def events(request: Request) -> Response:
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            return PlainTextResponse("after which event?", 400)
        return EventStream(feed, int(after))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.feed = feed
        looking = asyncio.create_task(feed.run())
        try:
            yield
        finally:
            feed.end()
            await looking

    app = Starlette(
        routes=[
            Route("/", _file("page.html")),
            *(Route(f"/{name}", _file(name)) for name in ("page.css", "icon.svg", *_scripts())),
            Route("/state", state),
            Route("/timeline", timeline),
            Route("/events", events),
        ],
        middleware=[Middleware(Access, token=token, form=_response("enter.html"))],
        lifespan=lifespan,
    )
    app.state.feed = feed
    return app


def ask_daemons() -> dict[str, Any]:
    """What the daemons of this host say of themselves, and what they dropped."""
    daemons, drops = [], []
    for address in control.running():
        try:
            facts = control.ask(address)
        except RoamkeyError as error:
            daemons.append({"address": address, "error": str(error)})
            continue
        try:
            told = {name: facts[name] for name in _TOLD}
            lost = facts.get("events", {}).get("lost", 0)
            found = view.drops(facts)
        except (AttributeError, KeyError, TypeError):
            daemons.append({"address": address, "error": "of another version"})
            continue
        daemons.append({**told, "lost": lost})
        drops += found
    return {"daemons": daemons, "drops": drops}


class EventStream(Response):
    """Server-sent events, until the browser or the server goes, or the browser is too slow."""

    def __init__(self, feed: Feed, after: int) -> None:
        """From the event after this one on."""
        super().__init__(media_type="text/event-stream")
        self._feed = feed
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events as they come, until the reader goes."""
        async with self._feed.follow(self._after) as queue:
            if queue is None:
                await PlainTextResponse("too many look already", 503)(scope, receive, send)
                return
            headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            sending = asyncio.create_task(self._send(queue, send))
            gone = asyncio.create_task(_gone(receive))
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, queue: "asyncio.Queue[bytes | None]", send: Send) -> None:
        message: bytes | None = b""
        while message is not None:
            try:
                message = await asyncio.wait_for(queue.get(), _QUIET_S)
            except asyncio.TimeoutError:
                message = b": still here\n\n"
            body = {"type": "http.response.body", "body": message or b""}
            try:
                sent = send({**body, "more_body": message is not None})
                await asyncio.wait_for(sent, _SLOW_S)
            except asyncio.TimeoutError:
                self._feed.too_slow += 1
                return


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _scripts() -> list[str]:
    return sorted(path.name for path in _STATIC.glob("*.js"))


def _response(name: str) -> Response:
    path = _STATIC / name
    return Response(path.read_bytes(), media_type=_KINDS[path.suffix])


def _file(name: str) -> Callable[[Request], Response]:
    response = _response(name)
    return lambda request: response
