"""What is plugged in: the serial ports of this machine, and the board behind each.

Ports are the USB ones that the operating system knows, and those that `ROAMKEY_PORTS` names: paths
separated by colons, each a port or a folder of ports (or of links to them), such as a virtual
board's or one of a UART that isn't on USB.

A port's name says nothing that lasts: it changes with the socket and the order of plugging in. So
a board is named by its unique id, which its agent tells, and MicroPython's REPL too.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from roamkey.board.identity import Identity
from roamkey.board.repl import Repl
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError

PORTS_VARIABLE = "ROAMKEY_PORTS"
ASK_S = 2.0  # for an agent's answer; one that is booting may miss it
_ID_DIGITS_MIN = 4  # of a unique id's beginning that stands for it
_PARALLEL = 32

#: What a port turned out to be.
AGENT, REPL, SILENT, UNREACHABLE = "agent", "repl", "silent", "unreachable"


@dataclass(frozen=True)
class Usb:
    """How a device presents itself on USB: vendor and product (16 bits each), texts or None."""

    vendor: int
    product: int
    serial_number: str | None
    name: str | None


@dataclass(frozen=True)
class Port:
    """A serial port by its path; `usb` is None where it isn't one of USB."""

    path: str
    usb: Usb | None = None


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


def ports() -> list[Port]:
    """The ports of this machine, in the order of their paths; those named twice once."""
    found = {}
    for info in list_ports.comports():
        if info.vid is not None:
            usb = Usb(info.vid, info.pid or 0, info.serial_number, info.product)
            found[os.path.realpath(info.device)] = Port(info.device, usb)
    for path in _named():
        found.setdefault(os.path.realpath(path), Port(str(path)))
    return sorted(found.values(), key=lambda port: port.path)


def look(port: Port, ask_s: float = ASK_S) -> Found:
    """Ask what is behind a port. Nothing that runs there is disturbed; a prompt is used."""
    try:
        with SerialClient(port.path, answer_s=ask_s) as client:
            try:
                return _of_agent(port, client.identify())
            except BoardError as error:
                if not client.at_repl:
                    return Found(port, SILENT, _reason(port, error))
    except BoardError as error:
        return Found(port, UNREACHABLE, _reason(port, error))
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
    for some in (likely, chosen):
        fits = [found for found in look_at_all(some) if (found.board or "").startswith(wanted)]
        fits = [found for found in fits if found.board == wanted] or fits
        if len({found.board for found in fits}) > 1:
            raise RefusedError(f"{board}: {len(fits)} boards have ids that begin so")
        if fits:
            return fits[0]
    raise BoardError(f"no board {board} is plugged in ({len(chosen)} port(s) asked)")


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


def _named() -> list[Path]:
    """The ports that the environment names."""
    named = []
    for word in os.environ.get(PORTS_VARIABLE, "").split(os.pathsep):
        path = Path(word)
        if word and path.is_dir():
            named += sorted(path.iterdir())
        elif word:
            named.append(path)
    return named


def _reason(port: Port, error: BoardError) -> str:
    return str(error).removeprefix(f"{port.path}: ")
