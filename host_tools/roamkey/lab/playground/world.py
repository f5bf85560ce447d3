"""What is in a playground: networks of several kinds, a board, and a correspondent with its page.

All of it is real, as in the demo, and what a person would type is run as typed: `told` hears the
lines. With `bare` there are networks, a site and a board with MicroPython alone; the rest is left
to whoever plays.
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from roamkey import children, firmware
from roamkey.correspondent import control, view
from roamkey.correspondent.dataplane import tun
from roamkey.correspondent.events.file import place
from roamkey.errors import BadInputError, BoardError, RoamkeyError
from roamkey.lab.board import VirtualBoard
from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.installed import installed_files
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, HOME
from roamkey.lab.namespaces import NFT_MISSING, nft_program
from roamkey.lab.network import HOME_PREFIX, Network
from roamkey.lab.resources import Resources
from roamkey.lab.scene import HOME_ADDRESS
from roamkey.registry import Registry
from roamkey.waiting import until

BOARD = "board"
NOWHERE = "nowhere"
FIRST = "visited1"
PAGE = ("::1", 8080)  # where `correspondent page` serves by itself

#: What a kind of network is like, in a few words.
KINDS: Mapping[str, str] = {
    "native": "IPv6 as it should be",
    "ipv4": "IPv4 alone, behind a NAT",
    "dual": "IPv6, and IPv4 behind a NAT",
    "no-destination-options": "IPv6 that drops destination options",
    "no-routing-headers": "IPv6 that drops routing headers",
    "no-extension-headers": "IPv6 that drops extension headers",
}

_UPLINK = "wlan0"
_CUSTOMS = {"cafe": Conditions("ipv4"), "office": Conditions("no-extension-headers")}
_ONE_WAY_MS = 10.0
_REGISTERED_S = 30.0
_LINE_S = 60.0

Tell = Callable[[str], None]


class World(Resources):
    """Networks, board and correspondent, from entering the context until leaving it.

    `folder`: for all it keeps. Raises RoamkeyError, TimeoutError.
    """

    def __init__(self, folder: Path, bare: bool, told: Tell) -> None:
        super().__init__()
        self.folder = folder
        self.bare = bare
        self.registry = folder / "registry.sqlite"
        self.where = NOWHERE
        self._told = told
        self._page: subprocess.Popen[Any] | None = None

    def _set_up(self, stack: ExitStack) -> None:
        customs = _CUSTOMS if nft_program() is not None else {}
        if not customs:
            self._told(f"{NFT_MISSING}: {', '.join(_CUSTOMS)} are left out")
        refused = tun.refusal()
        if refused is not None:
            self._told(f"{refused}: signalling alone, programs can't talk to the board")
        self.network = stack.enter_context(
            Network(delay_ms=_ONE_WAY_MS, networks=customs, home_agent=refused is None)
        )
        self._told("networks: " + ", ".join(self.network.lans))
        namespace = self.network.add_node(BOARD)
        self.board = stack.enter_context(
            VirtualBoard(self.folder / "board.img", spawn=namespace.popen)
        )
        if not self.bare:
            app = firmware.example("sensor.py")
            self.board.install({**installed_files(), "/app.py": app})
        self.board.start()
        ports = self.folder / "ports"
        ports.mkdir()
        (ports / BOARD).symlink_to(self.board.port)
        self._told(f"board: {'MicroPython alone' if self.bare else 'sensor.py'}, {self.port}")
        self._line("init", "--correspondent", CORRESPONDENT_ADDRESS, "--home-prefix", HOME_PREFIX)
        if not self.bare:
            # What autoconfiguration makes of the board's MAC at home: there it is at home.
            self._line("provision", "--port", self.port, "--home-address", HOME_ADDRESS)
            self._serve()
        self._attach(FIRST)
        if not self.bare:
            self._told(f"in {FIRST}, registered after {self._registered(-1):.2f} s")

    def _serve(self) -> None:
        self._told("roamkey correspondent run")
        Correspondent(self.network, self.registry, self.folder / "correspondent.log").start()
        self._told("roamkey correspondent page")
        until(place(str(self.registry)).exists, _LINE_S)
        with (self.folder / "page.log").open("wb") as errors:
            self._page = self.spawn(
                children.roamkey("correspondent", "page", "--no-token"),
                stdout=errors,
                stderr=errors,
            )

    @property
    def port(self) -> str:
        """The board's serial port."""
        return self.board.port

    @property
    def variables(self) -> dict[str, str]:
        """What says to a program that it runs in the playground."""
        return {"ROAMKEY_REGISTRY": str(self.registry)}

    def spawn(self, argv: list[str], **options: Any) -> "subprocess.Popen[Any]":
        """Start a program on the correspondent's host, as `Network.spawn`."""
        return self.network.spawn(
            "correspondent",
            argv,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            **options,
        )

    def _line(self, *words: str) -> None:
        """Run a line of roamkey there to its end; raises what it failed with."""
        self._told(f"roamkey {' '.join(words)}")
        process = self.spawn(
            children.roamkey(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        _, errors = process.communicate(timeout=_LINE_S)
        if process.returncode:
            raise BoardError(f"roamkey {words[0]}: {errors.strip()}")

    # What one does with it

    def move(self, network: str) -> dict[str, Any]:
        """Take the board to a network, or `nowhere`, and wait until its correspondent knows.

        Raises BadInputError where there is no such network.
        """
        if network not in (NOWHERE, *self.network.lans):
            names = ", ".join([*self.network.lans, NOWHERE])
            raise BadInputError(f"no network {network} here: {names}")
        before = self._sequence()
        if network == NOWHERE:
            self.network.detach(BOARD, _UPLINK)
            self.where = NOWHERE
            return self._outcome(None)
        self._attach(network)
        return self._outcome(self._waited(before))

    def cut(self, off_s: float) -> dict[str, Any]:
        """Take the board's power away for so many seconds; waits as `move`."""
        before = self._sequence()
        self.board.power_cut()
        time.sleep(off_s)
        self.board.power_on()
        return self._outcome(self._waited(before) if self.where != NOWHERE else None)

    def facts(self) -> dict[str, Any]:
        """How it is, as `roamkey lab status --json` prints it."""
        bindings = self._bindings()
        return {
            "port": self.port,
            "network": self.where,
            "powered": self.board.powered,
            "registry": str(self.registry),
            "bare": self.bare,
            "correspondent": CORRESPONDENT_ADDRESS if self._is_served() else None,
            "home_address": bindings[0]["home_address"] if bindings else None,
            "care_of_address": bindings[0]["care_of_address"] if bindings else None,
            "way": bindings[0]["way"] if bindings else None,
            "networks": [
                {"network": lan.name, "kind": lan.conditions.kind, "prefixes": lan.prefixes}
                for lan in self.network.lans.values()
            ],
            "hosts": self.hosts,
        }

    @property
    def hosts(self) -> list[str]:
        """Where programs can be run."""
        more = ("agent", "keyless", "host") if self.network.has_home_agent else ()
        return ["correspondent", *more]

    # Watching

    def _attach(self, network: str) -> None:
        self.network.move(BOARD, _UPLINK, network, dad=False)
        self.where = network

    def _bindings(self) -> list[dict[str, Any]]:
        try:
            with Registry.open(str(self.registry), create=False) as opened:
                return view.current(opened, time.time_ns() // 1_000_000)
        except RoamkeyError:  # made anew by whoever plays, or away
            return []

    def _sequence(self) -> int:
        """The number of the last update that the registry has; -1 where there is none."""
        return max((one["sequence"] for one in self._bindings()), default=-1)

    def _is_served(self) -> bool:
        with self.network.namespace("correspondent").entered():
            return bool(control.running())

    def _is_right(self, before: int) -> bool:
        """Whether the correspondent has the board where it is, by a later update than `before`."""
        bindings = self._bindings()
        if self.where == HOME and not bindings:
            return True
        lan = self.network.lans[self.where]
        return any(
            one["sequence"] != before and lan.holds(one["care_of_address"]) for one in bindings
        )

    def _registered(self, before: int) -> float:
        start = time.monotonic()
        if not until(lambda: self._is_right(before), _REGISTERED_S, 0.01):
            raise BoardError(
                f"the board isn't registered after {_REGISTERED_S:g} s (see {self.folder})"
            )
        return time.monotonic() - start

    def _waited(self, before: int) -> float | None:
        """Seconds until the correspondent had it right; None where there is nothing to wait for:
        nobody serves, the board was given no keys, or it was at home and stays there."""
        if not (self._is_served() and self._has_keys()) or (self.where == HOME and before < 0):
            return None
        return self._registered(before)

    def _has_keys(self) -> bool:
        with Registry.open(str(self.registry), create=False) as opened:
            return bool(opened.home_addresses())

    def _outcome(self, registered_s: float | None) -> dict[str, Any]:
        return {**self.facts(), "registered_after_s": registered_s}
