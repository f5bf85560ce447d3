"""One board from bare to verified: flash, install, provision, its own answer after a reboot."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mip6 import addresses
from roamkey.board import agent, flasher, installer
from roamkey.board.images import Firmware
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver, wifi
from roamkey.enroll.home import Pool
from roamkey.enroll.plan import Plan
from roamkey.enroll.reach import texts_of
from roamkey.enroll.wifi import Network
from roamkey.errors import BoardError
from roamkey.registry import Registry
from roamkey.waiting import until

#: The step after keys were given.
KEYED = "verify"

_REBOOT_S = 30.0
_LOOK_EACH_S = 0.2

Report = Callable[[str, int, int], None]  # step, done, in all


@dataclass(frozen=True)
class Wish:
    """What a board is to become. `pool`: gives the home address where the plan has none.

    `networks`: Wi-Fi that it is to know, others stay. `registered_s`: how long to wait for its
    correspondents to bind it, 0 for not at all. `board`: the id of the board that it must be, or
    its beginning. Where an earlier run began: whether it `flashed` the board, and the set that was
    `held` before, which alone is to be replaced ("" for none).
    """

    plan: Plan
    pool: Pool | None = None
    firmware: Firmware | None = None
    replace: bool = False
    registered_s: float = 0.0
    networks: tuple[Network, ...] = ()
    board: str = ""
    flashed: bool = False
    held: str | None = None

    @property
    def digest(self) -> str:
        """16 digits that are others where a board would become something else. Of networks the
        names go in, never the passwords: those could be guessed from it."""
        plan = self.plan
        home = plan.home_address or (b"" if self.pool is None else self.pool.prefix.encode())
        firmware = b"" if self.firmware is None else self.firmware.content
        told = [
            [home.hex(), plan.name],
            [peer.hex() for peer in (*plan.correspondents, b"", *plan.routability)],
            [(plan.home_agent or b"").hex(), plan.insecure, plan.native],
            [plan.lifetime, plan.generations],
            sorted((peer.hex(), texts_of(places)) for peer, places in plan.reach.items()),
            [(one.ssid, one.password is None, one.priority) for one in self.networks],
            hashlib.sha256(firmware).hexdigest(),
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass
class Progress:
    """How far a board has come; what is known of it even where a step fails. `note` is
    called before anything is done to a board whose id is known, and when it is flashed. `port`:
    "" for a new RP2 board, whose bootloader has a drive instead."""

    port: str
    board: str = ""
    home_address: str = ""
    step: str = "waiting"
    micropython: str = ""
    agent: str = ""
    set_id: str = ""
    report: Report = field(default=lambda step, done, total: None, repr=False)
    note: Callable[[], None] = field(default=lambda: None, repr=False)

    def at(self, step: str, done: int = 0, total: int = 1) -> None:
        """Say where the work is."""
        self.step = step
        self.report(step, done, total)


def prepare(registry: Registry, wish: Wish, progress: Progress) -> None:
    """Carry out `wish` on the board at `progress.port`; `progress` tells how it went.

    Each step can be done again: what is there already stays. Raises RoamkeyError; `progress.step`
    is then the step that failed.
    """
    if wish.firmware is not None and not wish.flashed:
        progress.at("flash")
        _note(progress)
        flashed = flasher.flash(
            wish.firmware,
            progress.port or None,
            progress=lambda _, done, total: progress.at("flash", done, total),
        )
        progress.port = flashed.port or progress.port
    progress.at("install")
    _note(progress)
    installed = installer.install(
        progress.port, progress=lambda done, total: progress.at("install", done, total)
    )
    progress.port = installed.port
    progress.micropython, progress.agent = installed.micropython, installed.agent
    if installed.board is not None:
        _check_board(installed.board, wish, progress)
    progress.at("provision")
    _provision(registry, wish, progress)
    progress.at(KEYED)
    _verify(progress)
    if wish.registered_s:
        progress.at("register")
        _await_bindings(progress, wish.registered_s)
    progress.at("done", 1, 1)


def _provision(registry: Registry, wish: Wish, progress: Progress) -> None:
    with SerialClient(progress.port) as client:
        identity = client.identify()
        _check_board(identity.board, wish, progress)
        wifi.enter(client, wish.networks)
        here = deliver.for_board(wish.plan, wish.pool, identity.board)
        progress.home_address = addresses.text(here.home_address or b"")
        anew = wish.replace and wish.held in (None, identity.set_id or "")
        if not anew and deliver.holds(registry, identity, here):
            deliver.name_as_planned(registry, here)
            deliver.tell_reach(client, identity, here)
            progress.set_id = str(identity.set_id)
            return
    held = deliver.provision(registry, progress.port, wish.plan, pool=wish.pool, replace=anew)
    progress.home_address, progress.set_id = held.home_address, held.set_id


def _check_board(board: str, wish: Wish, progress: Progress) -> None:
    """See that the right one answers. Raises BoardError."""
    wanted = progress.board or wish.board
    if not board.startswith(wanted):
        raise BoardError(f"{progress.port}: another board is there, {board} and not {wanted}")
    if progress.board != board:
        progress.board = board
        _note(progress)


def _note(progress: Progress) -> None:
    if progress.board:
        progress.note()


def _verify(progress: Progress) -> None:
    """Start the board afresh and have it say what it holds."""
    with SerialClient(progress.port) as client:
        client.reboot()
    progress.port, identity = agent.await_agent(progress.port, progress.board, _REBOOT_S)
    if identity.set_id != progress.set_id or identity.keystore != "ready":
        raise BoardError(f"after a reboot the board's keys are {identity.keystore}")


def _await_bindings(progress: Progress, wait_s: float) -> None:
    node: dict[str, Any] = {}

    def bound() -> bool:
        nonlocal node
        with SerialClient(progress.port) as client:
            node = client.status().get("node") or {}
        bindings = node.get("bindings") or []
        return bool(bindings) and all(each.get("state") == "bound" for each in bindings)

    if not until(bound, wait_s, _LOOK_EACH_S):
        said = node.get("text") or node.get("state") or "nothing"
        raise BoardError(f"not registered after {wait_s:.0f} s: {said}")
