"""The console: what a host asks a board over the serial line (JSON-RPC 2.0, one object a line).

`Console.handle` takes a line and returns the line that answers it; it does no I/O beyond the
keystore it is given. `serve` is the thin reader round it. `lines.py` frames; `docs/SPEC.md`, "The
console", lists methods and errors. Keys enter by `provision` and never leave: no answer, error or
count repeats what a line held.
"""

import asyncio
import json
import select

from . import addresses, lines
from .compat import const
from .errors import Misuse, StorageError
from .provisioning import credentials_from

# JSON-RPC 2.0 section 5.1
PARSE_ERROR = const(-32700)
INVALID_REQUEST = const(-32600)
METHOD_NOT_FOUND = const(-32601)
INVALID_PARAMS = const(-32602)
INTERNAL_ERROR = const(-32603)
# Ours, from the range that JSON-RPC leaves to servers
STORAGE_FAILED = const(-32001)
REFUSED = const(-32002)

_BURST = const(64)  # octets taken before others have their turn
_REST_S = 0.3  # between an answer and the reboot it announces


class Refusal(Exception):
    """A request that gets an error object: `code`, and `str()` as its message."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Console:
    """Answers lines for one board.

    `keystore`: see credentials.py. `node`: has `status()` (a dictionary) and `reload()`, called
    after the credentials changed. `identity`: a dictionary, the fixed part of `identify`'s answer.
    `counts`: lines refused so far, by reason. `rebooting`: whether a reboot was asked for.
    """

    def __init__(self, keystore, node, identity):
        self.counts = {"damaged": 0, "oversized": 0}
        self.rebooting = False
        self._keystore = keystore
        self._node = node
        self._identity = identity
        self._joiner = lines.Joiner()
        self._methods = {
            "identify": self._identify,
            "status": self._status,
            "provision": self._provision,
            "reboot": self._reboot,
        }

    def handle(self, line):
        """The line (bytes, without its end) that answers `line`; None where none is due."""
        sealed = b"\t" in line
        try:
            text, covered = lines.unseal(line)
            if text[:1] == b"+" or text[:1] == b".":
                if not covered:
                    raise lines.Damaged("a piece without a CRC")
                number, text = self._joiner.add(text)
                if text is None:
                    return lines.seal(lines.acknowledgement(number))
            answer = self._answer(text)
        except (lines.Damaged, lines.Oversized) as error:
            return self.refuse(error, sealed)
        return lines.seal(answer) if answer and sealed else answer

    def refuse(self, error, sealed=True):
        """The line that says that a line was `Damaged` or `Oversized`; counts it."""
        damaged = isinstance(error, lines.Damaged)
        self.counts["damaged" if damaged else "oversized"] += 1
        answer = _error(None, PARSE_ERROR if damaged else INVALID_REQUEST, str(error))
        return lines.seal(answer) if sealed else answer

    def _answer(self, text):
        """Carry out one request in JSON (bytes); the answer in JSON, or None."""
        try:
            request = json.loads(text)
        except (ValueError, RuntimeError):  # RuntimeError: nested too deeply
            request = _NOT_JSON
        if request is _NOT_JSON:  # raised out here, lest a traceback carry the line along
            raise lines.Damaged("not a line of JSON")
        identifier = None
        try:
            identifier = _identifier(request)
            result = self._method(request)(request.get("params"))
        except Refusal as error:
            return _error(identifier, error.code, str(error))
        except Exception as error:  # a fault must not end the console; its text may hold anything
            return _error(identifier, INTERNAL_ERROR, "internal error: " + type(error).__name__)
        if "id" not in request:
            return None  # a notification (JSON-RPC 2.0 section 4.1)
        return _dump({"jsonrpc": "2.0", "id": identifier, "result": result})

    def _method(self, request):
        if request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
            raise Refusal(INVALID_REQUEST, "not a JSON-RPC 2.0 request")
        method = self._methods.get(request["method"])
        if method is None:
            raise Refusal(METHOD_NOT_FOUND, "no such method")
        return method

    def _identify(self, params):
        _no_params(params)
        credentials = self._keystore.credentials
        answer = {
            "keystore": self._keystore.status,
            "provisioned": credentials is not None,
            "set_id": None if credentials is None else credentials.set_id.hex(),
        }
        answer.update(self._identity)
        return answer

    def _status(self, params):
        _no_params(params)
        return {
            "keystore": _keystore_status(self._keystore),
            "node": self._node.status(),
            "console": dict(self.counts),
        }

    def _provision(self, params):
        problem = None
        try:
            credentials = credentials_from(params)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise Refusal(INVALID_PARAMS, problem)
        try:
            changed = self._keystore.provision(credentials)
        except Misuse as error:
            raise Refusal(REFUSED, str(error)) from None
        except StorageError as error:
            self._node.reload()  # the old set or the new one is in place
            raise Refusal(STORAGE_FAILED, str(error)) from None
        if changed:
            self._node.reload()
        return {"set_id": credentials.set_id.hex()}

    def _reboot(self, params):
        _no_params(params)
        self.rebooting = True
        return {}


_NOT_JSON = object()


def _keystore_status(keystore):
    """What `status` says of the keys: the state, and per correspondent what is left. No secret."""
    answer = {
        "status": keystore.status,
        "text": keystore.text,
        "scrub_due": keystore.scrub_due,
        "peers": [],
    }
    credentials = keystore.credentials
    if credentials is None:
        return answer
    answer["set_id"] = credentials.set_id.hex()
    answer["home_address"] = addresses.text(credentials.home_address)
    for index, peer in enumerate(credentials.peers):
        counter = keystore.counter(index)
        answer["peers"].append(
            {
                "correspondent": addresses.text(peer.correspondent),
                "lifetime": peer.lifetime,
                "generation": counter.generation,
                "generations": [number for number, _ in peer.generations],
                "uses_left": counter.uses_left,
            }
        )
    return answer


def _identifier(request):
    """The id of a request, None without one; raises Refusal where the request can have none."""
    if isinstance(request, list):
        raise Refusal(INVALID_REQUEST, "one request a line: batches are not taken")
    if not isinstance(request, dict):
        raise Refusal(INVALID_REQUEST, "a request is a JSON object")
    identifier = request.get("id")
    if identifier is not None and type(identifier) not in (int, str):
        raise Refusal(INVALID_REQUEST, "an id is a whole number or a text")
    return identifier


def _no_params(params):
    if params:
        raise Refusal(INVALID_PARAMS, "this method takes no parameters")


def _error(identifier, code, message):
    error = {"code": code, "message": message}
    return _dump({"jsonrpc": "2.0", "id": identifier, "error": error})


def _dump(answer):
    return json.dumps(answer).encode()


async def serve(console, source, sink):
    """Answer the lines of `source` on `sink` until 0x03 or a reboot is asked for.

    `source`: a stream that select.poll knows and whose read(1) gives octets (`sys.stdin.buffer`:
    its read(n) blocks for exactly n, hence one at a time); `sink`: has write(octets).
    Returns True for a reboot, False for 0x03, None when the line is closed (a service without a
    terminal). For MicroPython's asyncio alone.
    """
    reader = lines.LineReader()
    stream = asyncio.StreamReader(source)
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    octet = None
    while True:
        if octet:
            await asyncio.sleep(0)  # a long burst: the node's turn
        else:
            octet = await stream.read(1)
        for _ in range(_BURST):
            if not octet:
                break
            answer = _take(console, reader, octet[0])
            if answer:
                sink.write(answer + b"\n")
            if reader.interrupted:
                return False
            if console.rebooting:
                await asyncio.sleep(_REST_S)  # the answer leaves a UART or USB first
                return True
            octet = source.read(1) if waiting.poll(0) else None
        if octet == b"":
            return None


def _take(console, reader, octet):
    """Feed one octet; the answer that it brings about, or None."""
    try:
        line = reader.feed(octet)
    except lines.Oversized as error:
        return console.refuse(error)
    return console.handle(line) if line else None
