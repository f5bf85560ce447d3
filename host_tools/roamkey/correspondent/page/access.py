"""Who may see the page, and what a browser may do with it.

A token opens the page once, by a form or as `Authorization: Bearer`; from then on a cookie does,
which is made from the token, and isn't it. Whoever does without one shows the page to every user
of this host; then only names of this host itself are answered, so that no web site can have its
own name resolve to the loopback address and read along.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roamkey import privatefiles
from roamkey.errors import BadInputError, SystemRefusedError

ENTER = "/enter"
_COOKIE = "roamkey_page"
_COOKIE_S = 30 * 86400
_PUBLIC = ("/page.css", "/icon.svg")  # what the form needs
_FORM_MAX = 1024
_FORM_S = 5.0
_WRONG_S = 0.5  # before a wrong token is answered
_TOKEN_MIN = 16  # octets
_PURPOSE = b"roamkey page: cookie"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Token:
    """What opens the page; it is never shown."""

    def __init__(self, octets: bytes) -> None:
        self._digest = hashlib.sha256(octets).digest()  # so that lengths don't tell either
        self._cookie = hmac.new(octets, _PURPOSE, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return "Token(hidden)"

    @property
    def cookie(self) -> str:
        """The value of the cookie."""
        return self._cookie

    def opens(self, given: str) -> bool:
        """Whether this is the token; in constant time."""
        return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._digest)

    def knows(self, cookie: str) -> bool:
        """Whether this is the cookie; in constant time."""
        return hmac.compare_digest(cookie.encode(), self._cookie.encode())


def read_token(path: Path) -> Token:
    """The token in a file of mode 0600; it is made, at random, where there is none.

    Raises BadInputError, SystemRefusedError.
    """
    try:
        privatefiles.create(path, secrets.token_urlsafe(24).encode() + b"\n")
        mode = privatefiles.open_to_others(path)
        octets = path.read_bytes().strip()
    except OSError as error:
        raise SystemRefusedError(f"token {path}: {error.strerror}") from None
    if mode is not None:
        raise BadInputError(f"token {path} has mode {mode:04o}: others may read it, chmod 600 it")
    if len(octets) < _TOKEN_MIN:
        raise BadInputError(f"token {path} is shorter than {_TOKEN_MIN} octets")
    return Token(octets)


class Access:
    """ASGI middleware: the checks above, and the headers on every answer."""

    def __init__(self, app: ASGIApp, token: Token | None, form: Response) -> None:
        """`form`: what is shown to those who have yet to give the token."""
        self._app = app
        self._token = token
        self._form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it; what leaves carries the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = await self._check(scope, receive)
        await (answer or self._app)(scope, receive, guarded)

    async def _check(self, scope: Scope, receive: Receive) -> Response | None:
        """What to answer in place of the page, or None."""
        headers = Headers(scope=scope)
        if self._token is None:
            if not is_local(headers.get("host", "")):
                return PlainTextResponse("not a name of this host", 421)
            return None
        if scope["path"] == ENTER and scope["method"] == "POST":
            return await self._enter(Request(scope, receive), self._token)
        if self._known(headers, self._token) or scope["path"] in _PUBLIC:
            return None
        if scope["path"] == "/":
            return self._form
        return PlainTextResponse("the token is missing", 401, {"WWW-Authenticate": "Bearer"})

    def _known(self, headers: Headers, token: Token) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.opens(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return cookie is not None and token.knows(cookie.value)

    async def _enter(self, request: Request, token: Token) -> Response:
        try:
            body = await asyncio.wait_for(_read(request), _FORM_S)
        except (asyncio.TimeoutError, ClientDisconnect):
            return PlainTextResponse("too slow", 408)
        if len(body) > _FORM_MAX:
            return PlainTextResponse("too long", 413)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not token.opens(given.strip()):
            await asyncio.sleep(_WRONG_S)
            return RedirectResponse("/#wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _COOKIE,
            token.cookie,
            max_age=_COOKIE_S,
            secure="https" in (request.url.scheme, _proxied_scheme(request.headers)),
            httponly=True,
            samesite="strict",
        )
        return answer


async def _read(request: Request) -> bytes:
    """A body, as far as it may go."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _FORM_MAX:
            break
    return bytes(body)


def _proxied_scheme(headers: Headers) -> str:
    """How the browser speaks to the proxy before us, if one says so. Whoever says so without
    being one gets a cookie that its own browser keeps to itself."""
    if headers.get("x-forwarded-proto"):
        return headers["x-forwarded-proto"].partition(",")[0].strip().lower()
    fields = headers.get("forwarded", "").partition(",")[0].lower().replace('"', "").split(";")
    return next((f.strip()[6:] for f in fields if f.strip().startswith("proto=")), "")


def is_local(host: str) -> bool:
    """Whether a Host header names this host by a loopback address, or as localhost."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        name = host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
