"""One board from bare to verified: flash, install, provision, its own answer after a reboot."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mip6 import addresses
from roamkey.board import flasher, installer
from roamkey.board.agent import await_agent
from roamkey.board.images import Firmware
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.home import Pool
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError
from roamkey.registry import Registry
from roamkey.waiting import until

_REBOOT_S = 30.0
_LOOK_EACH_S = 0.2

Report = Callable[[str, int, int], None]  # step, done, in all


@dataclass(frozen=True)
class Wish:
    """What a board is to become. `pool`: gives the home address where the plan has none.

    `registered_s`: how long to wait for its correspondents to bind it, 0 for not at all.
    """

    plan: Plan
    pool: Pool | None = None
    firmware: Firmware | None = None
    replace: bool = False
    registered_s: float = 0.0


@dataclass
class Progress:
    """How far a board has come; what is known of it even where a step fails."""

    port: str
    board: str = ""
    home_address: str = ""
    step: str = "waiting"
    micropython: str = ""
    agent: str = ""
    set_id: str = ""
    report: Report = field(default=lambda step, done, total: None, repr=False)

    def at(self, step: str, done: int = 0, total: int = 1) -> None:
        """Say where the work is."""
        self.step = step
        self.report(step, done, total)


def prepare(registry: Registry, wish: Wish, progress: Progress) -> None:
    """Carry out `wish` on the board at `progress.port`; `progress` tells how it went.

    Each step can be done again: what is there already stays. Raises RoamkeyError; `progress.step`
    is then the step that failed.
    """
    if wish.firmware is not None:
        progress.at("flash")
        flashed = flasher.flash(
            wish.firmware,
            progress.port,
            progress=lambda _, done, total: progress.at("flash", done, total),
        )
        progress.port = flashed.port or progress.port
    progress.at("install")
    installed = installer.install(
        progress.port, progress=lambda done, total: progress.at("install", done, total)
    )
    progress.port = installed.port
    progress.micropython, progress.agent = installed.micropython, installed.agent
    progress.at("provision")
    _provision(registry, wish, progress)
    progress.at("verify")
    _verify(progress)
    if wish.registered_s:
        progress.at("register")
        _await_bindings(progress, wish.registered_s)
    progress.at("done", 1, 1)


def _provision(registry: Registry, wish: Wish, progress: Progress) -> None:
    with SerialClient(progress.port) as client:
        identity = client.identify()
        progress.board = identity.board
        here = deliver.for_board(wish.plan, wish.pool, identity.board)
        progress.home_address = addresses.text(here.home_address or b"")
        if not wish.replace and deliver.holds(registry, identity, here):
            deliver.tell_reach(client, identity, here)
            progress.set_id = str(identity.set_id)
            return
    held = deliver.provision(
        registry, progress.port, wish.plan, pool=wish.pool, replace=wish.replace
    )
    progress.home_address, progress.set_id = held.home_address, held.set_id


def _verify(progress: Progress) -> None:
    """Start the board afresh and have it say what it holds."""
    with SerialClient(progress.port) as client:
        client.reboot()
    progress.port, identity = await_agent(progress.port, progress.board, _REBOOT_S)
    if identity.set_id != progress.set_id or identity.keystore != "ready":
        raise BoardError(f"after a reboot the board's keys are {identity.keystore}")


def is_registered(node: dict[str, Any], binding: dict[str, Any]) -> bool:
    """Whether a correspondent, or the home agent, has the board. One without a key needs not,
    where no IPv6 leads there: the home agent stands for the board, and is bound itself."""
    away = node.get("state") == "away"
    keyless = binding.get("authorized_by") == "return routability"
    state = binding.get("state")
    return state == "bound" or (state == "home" and keyless and away)


def _unregistered(node: dict[str, Any]) -> str:
    """Who hasn't, and how it stands there; empty where the board says nothing of anybody."""
    agent = node.get("home_agent")
    return ", ".join(
        f"{'home agent ' if each.get('correspondent') == agent else ''}"
        f"{each.get('correspondent')} {each.get('state')}"
        for each in node.get("bindings") or []
        if not is_registered(node, each)
    )


def _await_bindings(progress: Progress, wait_s: float) -> None:
    node: dict[str, Any] = {}

    def bound() -> bool:
        nonlocal node
        with SerialClient(progress.port) as client:
            node = client.status().get("node") or {}
        bindings = node.get("bindings") or []
        return bool(bindings) and all(is_registered(node, each) for each in bindings)

    if not until(bound, wait_s, _LOOK_EACH_S):
        said = node.get("text") or _unregistered(node) or node.get("state") or "nothing"
        raise BoardError(f"not registered after {wait_s:.0f} s: {said}")
