"""JSON-RPC 2.0 as the console speaks it: what a request may be, and how it is answered."""

import json

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

# JSON-RPC 2.0 section 5.1
PARSE_ERROR = const(-32700)
INVALID_REQUEST = const(-32600)
METHOD_NOT_FOUND = const(-32601)
INVALID_PARAMS = const(-32602)
INTERNAL_ERROR = const(-32603)
# Ours, from the range that JSON-RPC leaves to servers
STORAGE_FAILED = const(-32001)
REFUSED = const(-32002)
SEALED = const(-32003)
WAIT = const(-32004)


class Refusal(Exception):
    """A request that gets an error object: `code`, and `str()` as its message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def identifier_of(request: "Any") -> int | str | None:
    """The id of a request, None without one; raises Refusal where the request can have none."""
    if isinstance(request, list):
        raise Refusal(INVALID_REQUEST, "one request a line: batches are not taken")
    if not isinstance(request, dict):
        raise Refusal(INVALID_REQUEST, "a request is a JSON object")
    found = request.get("id")
    if found is not None and type(found) not in (int, str):
        raise Refusal(INVALID_REQUEST, "an id is a whole number or a text")
    return found


def method_of(request: "dict[str, Any]") -> str:
    """The name of the method asked for; raises Refusal."""
    if request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
        raise Refusal(INVALID_REQUEST, "not a JSON-RPC 2.0 request")
    return request["method"]  # type: ignore[no-any-return]  # a text


def no_params(params: object) -> None:
    """Raise Refusal unless there are none."""
    if params:
        raise Refusal(INVALID_PARAMS, "this method takes no parameters")


def some_params(params: "Any", *names: str) -> "list[Any]":
    """The values of an object under `names`, None for those left out; no others may be there."""
    params = {} if params is None else params
    if not isinstance(params, dict) or not set(params) <= set(names):
        raise Refusal(INVALID_PARAMS, "the parameters are %s, no others" % ", ".join(names))
    return [params.get(name) for name in names]


def result_line(identifier: int | str | None, value: object) -> bytes:
    """The answer (bytes) that carries a result."""
    return _dump({"jsonrpc": "2.0", "id": identifier, "result": value})


def error_line(identifier: int | str | None, code: int, message: str) -> bytes:
    """The answer (bytes) that carries an error; `message` is one line."""
    return _dump({"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": message}})


def _dump(answer: object) -> bytes:
    return json.dumps(answer).encode()
