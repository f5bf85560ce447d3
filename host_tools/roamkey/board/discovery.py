"""What is plugged in: the board behind each of this machine's serial ports (ports.py).

A port's name says nothing that lasts: it changes with the socket and the order of plugging in. So
a board is named by its unique id, which its agent tells, and MicroPython's REPL too.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from roamkey.board.identity import Identity
from roamkey.board.opening import PortError
from roamkey.board.ports import PORTS_VARIABLE, Port, Usb, listed, ports
from roamkey.board.repl import Repl
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError

__all__ = ["Found", "Port", "Usb", "find", "look", "look_at_all", "only", "ports"]

ASK_S = 2.0  # for an agent's answer; one that is booting may miss it
_ID_DIGITS_MIN = 4  # of a unique id's beginning that stands for it
_PARALLEL = 32

#: What a port turned out to be.
AGENT, REPL, SILENT, UNREACHABLE = "agent", "repl", "silent", "unreachable"


@dataclass(frozen=True)
class Found:
    """A port and what is behind it. What isn't known is None.

    `state`: "agent" (it answers), "repl" (MicroPython at its prompt), "silent" (something else
    runs, or nothing), "unreachable" (the port can't be opened; `text` says why). `board`: the
    unique id, hexadecimal. `machine`: board and chip by MicroPython's own name.
    """

    port: Port
    state: str
    text: str = ""
    board: str | None = None
    platform: str | None = None
    machine: str | None = None
    micropython: str | None = None
    agent: str | None = None
    keystore: str | None = None
    set_id: str | None = None

    @property
    def provisioned(self) -> bool | None:
        """Whether it holds usable keys; None where nobody could be asked."""
        return None if self.keystore is None else self.set_id is not None


def look(port: Port, ask_s: float = ASK_S) -> Found:
    """Ask what is behind a port. Nothing that runs there is disturbed; a prompt is used."""
    try:
        with SerialClient(port.path, answer_s=ask_s) as client:
            try:
                return _of_agent(port, client.identify())
            except BoardError as error:
                if not client.at_repl:
                    return Found(port, SILENT, _reason(port, error))
    except PortError as error:
        return Found(port, UNREACHABLE, error.brief)
    except BoardError as error:
        return Found(port, UNREACHABLE, _reason(port, error))
    return _ask_repl(port)


def interrupt_all(candidates: Sequence[Port]) -> list[Found]:
    """Ask these ports at the REPL, which ends whatever runs there: for boards that were left amid
    an installation, where nothing but Ctrl-C is heard any more."""
    if not candidates:
        return []
    with ThreadPoolExecutor(min(_PARALLEL, len(candidates))) as pool:
        return list(pool.map(_ask_repl, candidates))


def _ask_repl(port: Port) -> Found:
    try:
        with Repl(port.path) as repl:
            facts = repl.facts()
    except BoardError as error:
        return Found(port, SILENT, _reason(port, error))
    return Found(
        port,
        REPL,
        "no agent runs",
        board=facts.board,
        platform=facts.platform,
        machine=facts.machine,
        micropython=facts.micropython,
    )


def look_at_all(candidates: Iterable[Port] | None = None, ask_s: float = ASK_S) -> list[Found]:
    """`look` at all these ports (None: all there are) at the same time, in their order."""
    chosen = ports() if candidates is None else list(candidates)
    if not chosen:
        return []
    with ThreadPoolExecutor(min(_PARALLEL, len(chosen))) as pool:
        return list(pool.map(lambda port: look(port, ask_s), chosen))


def find(board: str, candidates: Sequence[Port] | None = None) -> Found:
    """The port with this board on it: its unique id, or a beginning that fits one board only.

    Raises BadInputError for what can't be an id, BoardError where no such board is plugged in,
    RefusedError where more than one fits.
    """
    wanted = board.lower()
    if len(wanted) < _ID_DIGITS_MIN or set(wanted) - set("0123456789abcdef"):
        raise BadInputError(
            f"{board}: a board's id is hexadecimal, its beginning at least {_ID_DIGITS_MIN} digits"
        )
    chosen = ports() if candidates is None else candidates
    # Most chips give their id as USB's serial number: then the others needn't be asked.
    likely = [p for p in chosen if p.usb and (p.usb.serial_number or "").lower() == wanted]
    seen: list[Found] = []
    for some in (likely, chosen):
        seen = look_at_all(some)
        fits = [found for found in seen if (found.board or "").startswith(wanted)]
        fits = [found for found in fits if found.board == wanted] or fits
        if len({found.board for found in fits}) > 1:
            raise RefusedError(f"{board}: {len(fits)} boards have ids that begin so")
        if fits:
            return fits[0]
    there = f"; there is {_named(found)}" if (found := _boards(seen)) else ""
    raise BoardError(f"no board {board} is plugged in ({len(chosen)} port(s) asked){there}")


class SeveralError(BadInputError):
    """More than one board is plugged in, and none was named."""


def only() -> str:
    """The port of the only board that is plugged in. Raises BoardError for none, SeveralError."""
    there = ports()
    if not there:
        raise BoardError(
            "no board is plugged in: no serial port on USB (a cable for charging alone makes "
            f"none), and {PORTS_VARIABLE} names none"
        )
    if len(there) == 1:
        return there[0].path
    found = _boards(look_at_all(there))
    if len(found) > 1:
        raise SeveralError(
            f"{len(found)} boards are plugged in: name one by --board or --port: {_named(found)}"
        )
    if not found:
        raise BoardError(f"no board answers on any port: name it by --port: {listed(there)}")
    return found[0].port.path


def _boards(found: Iterable[Found]) -> list[Found]:
    return [each for each in found if each.board]


def _named(found: Sequence[Found]) -> str:
    return ", ".join(f"{each.board} on {each.port.path}" for each in found)


def _of_agent(port: Port, identity: Identity) -> Found:
    return Found(
        port,
        AGENT,
        board=identity.board,
        platform=identity.platform,
        machine=identity.machine,
        micropython=identity.micropython,
        agent=identity.agent,
        keystore=identity.keystore,
        set_id=identity.set_id,
    )


def _reason(port: Port, error: BoardError) -> str:
    return str(error).removeprefix(f"{port.path}: ")
