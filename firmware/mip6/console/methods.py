"""The console: what a host asks a board over the serial line (JSON-RPC 2.0, one object a line).

`Console.handle` takes a line and returns the line that answers it; it does no I/O beyond the
keystore it is given. `terminal.py` is the thin reader round it. `framing.py` frames;
`docs/SPEC.md`, "The console", lists methods and errors. Keys enter by `provision` and never leave:
no answer, error or count repeats what a line held.
"""

import json

from .. import status
from ..compat import const
from ..errors import Misuse, StorageError
from ..keychange import change
from . import framing, jsonrpc
from .jsonrpc import INVALID_PARAMS, REFUSED, STORAGE_FAILED, Refusal
from .params import credentials_from, new_keys_from, reach_from

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ..keystore.keystore import Keystore
    from ..protocols import Method, Told
    from .upkeep import Upkeep

    _T = TypeVar("_T")

_NOT_JSON = object()
_WHILE_SEALED = ("identify", "status", "unseal")


class Console:
    """Answers lines for one board.

    `keystore`: keystore.Keystore. `node`: has `status()` (a dictionary), `reload()`, called after
    the credentials changed (True: the board is to start afresh for them), `farewell()`, called
    before they go, and `feed`, called during what takes seconds (None: needless). `identity`: a
    dictionary, the fixed part of `identify`'s answer.
    `upkeep`: an upkeep.Upkeep, where the board has one: further methods, and the seal.
    `counts`: lines refused so far, by reason. `rebooting`: whether a reboot was asked for.
    """

    def __init__(
        self,
        keystore: "Keystore",
        node: "Told",
        identity: dict[str, str],
        upkeep: "Upkeep | None" = None,
    ) -> None:
        self.counts = {"damaged": 0, "oversized": 0}
        self.rebooting = False
        self._keystore = keystore
        self._node = node
        self._identity = identity
        self._upkeep = upkeep
        self._joiner = framing.Joiner()
        self._methods = {
            "identify": self._identify,
            "status": self._status,
            "provision": self._provision,
            "rekey": self._rekey,
            "reach": self._reach,
            "erase": self._erase,
            "reboot": self._reboot,
        }
        if upkeep is not None:
            self._methods.update(upkeep.methods)

    @property
    def sealed(self) -> bool:
        """Whether the board is sealed: then 0x03 means nothing."""
        return self._upkeep is not None and self._upkeep.sealed

    @property
    def idle(self) -> bool:
        """Whether nothing is lost with this object: no message half come, no seal being opened."""
        return not self._joiner.begun and (self._upkeep is None or self._upkeep.idle)

    def handle(self, line: bytes) -> bytes | None:
        """The line (bytes, without its end) that answers `line`; None where none is due."""
        wants_cover = b"\t" in line
        try:
            text, covered = framing.uncover(line)
            if text[:1] == b"+" or text[:1] == b".":
                if not covered:
                    raise framing.BadLine("a piece without a CRC")
                number, message = self._joiner.add(text)
                if message is None:
                    return framing.cover(framing.acknowledgement(number))
                text = message
            answer = self._answer(text)
        except (framing.BadLine, framing.Oversized) as error:
            return self.refuse(error, wants_cover)
        return framing.cover(answer) if answer and wants_cover else answer

    def refuse(self, error: "Exception", covered: bool = True) -> bytes:
        """The line that says that a line was `Damaged` or `Oversized`; counts it."""
        damaged = isinstance(error, framing.BadLine)
        self.counts["damaged" if damaged else "oversized"] += 1
        answer = jsonrpc.error_line(
            None, jsonrpc.PARSE_ERROR if damaged else jsonrpc.INVALID_REQUEST, str(error)
        )
        return framing.cover(answer) if covered else answer

    def _answer(self, text: bytes) -> bytes | None:
        """Carry out one request in JSON (bytes); the answer in JSON, or None."""
        try:
            request = json.loads(text)
        except (ValueError, RuntimeError):  # RuntimeError: nested too deeply
            request = _NOT_JSON
        if request is _NOT_JSON:  # raised out here, lest a traceback carry the line along
            raise framing.BadLine("not a line of JSON")
        identifier = None
        try:
            identifier = jsonrpc.identifier_of(request)
            result = self._method(request)(request.get("params"))
        except Refusal as error:
            return jsonrpc.error_line(identifier, error.code, str(error))
        except Exception as error:  # a fault must not end the console; its text may hold anything
            problem = "internal error: " + type(error).__name__
            return jsonrpc.error_line(identifier, jsonrpc.INTERNAL_ERROR, problem)
        if "id" not in request:
            return None  # a notification (JSON-RPC 2.0 section 4.1)
        return jsonrpc.result_line(identifier, result)

    def _method(self, request: "dict[str, Any]") -> "Method":
        name = jsonrpc.method_of(request)
        method = self._methods.get(name)
        if method is None:
            raise Refusal(jsonrpc.METHOD_NOT_FOUND, "no such method")
        if self.sealed and name not in _WHILE_SEALED:
            raise Refusal(jsonrpc.SEALED, "the board is sealed")
        return method

    def _identify(self, params: object) -> "dict[str, Any]":
        jsonrpc.no_params(params)
        credentials = self._keystore.credentials
        answer = {
            "keystore": self._keystore.status,
            "provisioned": credentials is not None,
            "set_id": None if credentials is None else credentials.set_id.hex(),
            "sealed": self._upkeep.seal_id if self._upkeep is not None else None,
            "features": ["reach", "path", "home-agent"],  # what older agents refuse: docs/SPEC.md
        }
        answer.update(self._identity)
        return answer

    def _status(self, params: object) -> "dict[str, Any]":
        jsonrpc.no_params(params)
        node = self._node.status()
        answer = {
            "keystore": status.of_keystore(self._keystore, node),
            "node": node,
            "console": dict(self.counts),
        }
        return status.while_sealed(answer) if self.sealed else answer

    def _provision(self, params: object) -> "dict[str, Any]":
        credentials = _read(credentials_from, params)
        self._change(self._keystore.provision, credentials)
        answer: "dict[str, Any]" = {"set_id": credentials.set_id.hex()}
        if self.rebooting:
            answer["restarts"] = True
        return answer

    def _rekey(self, params: object) -> "dict[str, Any]":
        set_id, keys = _read(new_keys_from, params)
        credentials = self._keystore.credentials
        if credentials is None:
            raise Refusal(REFUSED, status.keystore_text(self._keystore))
        if credentials.set_id == set_id:  # a repeated request must say the same
            current = [peer.generations for peer in credentials.peers]
            known = [keys.get(peer.correspondent) for peer in credentials.peers]
            if current != known:
                raise Refusal(REFUSED, "another key set under the id of the one in place")
            return {"set_id": set_id.hex()}
        generations = {}
        for index, peer in enumerate(credentials.peers):
            generations[index] = keys.pop(peer.correspondent, None)
        if keys or None in generations.values():
            raise Refusal(REFUSED, "not the correspondents that the board has")
        self._change(self._keystore.rekey, set_id, generations)
        return {"set_id": set_id.hex()}

    def _reach(self, params: object) -> "dict[str, Any]":
        reach, native = _read(reach_from, params)
        credentials = self._keystore.credentials
        if credentials is None:
            raise Refusal(REFUSED, status.keystore_text(self._keystore))
        places = {}
        for index, peer in enumerate(credentials.peers):
            if peer.correspondent in reach:
                places[index] = reach.pop(peer.correspondent)
        if reach:
            raise Refusal(REFUSED, "not the correspondents that the board has")
        self._change(change.reach, self._keystore, places, native)
        return {"set_id": credentials.set_id.hex()}

    def _change(self, step: "Callable[..., bool]", *arguments: "Any") -> None:
        """Have the key store change its keys, and the node know."""
        try:
            changed = step(*arguments)
        except Misuse as error:
            raise Refusal(REFUSED, str(error)) from None
        except StorageError as error:
            self._reload()  # the old set or the new one is in place
            raise Refusal(STORAGE_FAILED, str(error)) from None
        if changed:
            self._reload()

    def _reload(self) -> None:
        if self._node.reload():
            self.rebooting = True

    def _erase(self, params: object) -> "dict[str, Any]":
        jsonrpc.no_params(params)
        problem = None
        try:
            self._node.farewell()
        except Exception:  # whatever it is, what is to go has to go
            pass
        if self._upkeep is not None:
            problem = self._upkeep.forget()
        try:
            self._keystore.erase(self._node.feed)  # seconds: a scrub
        except (OSError, StorageError) as error:
            problem = str(error)
        finally:
            self._reload()
        if problem:
            raise Refusal(STORAGE_FAILED, problem)
        return {}

    def _reboot(self, params: object) -> "dict[str, Any]":
        jsonrpc.no_params(params)
        self.rebooting = True
        return {}


def _read(reader: "Callable[[Any], _T]", params: object) -> "_T":
    """What `reader` makes of the parameters; a Refusal whose traceback holds none of them."""
    problem = None
    try:
        return reader(params)
    except ValueError as error:
        problem = str(error)
    raise Refusal(INVALID_PARAMS, problem)
