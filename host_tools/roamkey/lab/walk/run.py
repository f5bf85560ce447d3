"""Run the script of a walk: virtual boards, the laboratory network, a real correspondent.

What it leaves in its folder is what a real walk would: the boards' logs, pulled over their serial
lines, the correspondent's log, the data as they arrived; and besides a capture of the way to the
correspondent, to check a report against.
"""

import ipaddress
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from roamkey import privatefiles
from roamkey.board.serial_client import SerialClient
from roamkey.correspondent import view
from roamkey.enroll.deliver import provision
from roamkey.field import boardlog
from roamkey.firmware import example
from roamkey.lab.board import VirtualBoard
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.demo.readings import Readings
from roamkey.lab.installed import installed_files
from roamkey.lab.network import CORRESPONDENT_ADDRESS, PREFIXES, Network
from roamkey.lab.plans import plan
from roamkey.lab.walk.script import Script, Step
from roamkey.registry import Registry
from roamkey.waiting import until

STATION = "wlan0"
_SETTLING_S = 0.4
_PAUSE_S = 0.02
_BOUND_S = 40.0
_ARRIVED_S = 20.0
_HOME = int(ipaddress.IPv6Network(PREFIXES["home"]).network_address)
_NAMES = {"home": "home", "visited1": "visited 1", "visited2": "visited 2"}

Tell = Callable[[str], None]


def home_address(number: int) -> str:
    """What autoconfiguration gives board `number` (from 1) at home (RFC 4862, from its MAC)."""
    return str(ipaddress.IPv6Address(_HOME | 0x00000000_00FF_FE00 << 16 | number))


class Walker:
    """One virtual board on a walk."""

    def __init__(self, number: int, out: Path, network: Network) -> None:
        self.name = f"board{number}"
        self.home_address = home_address(number)
        self._network = network
        self.left_at: float | None = None
        self.board = VirtualBoard(
            out / f"{self.name}.img", spawn=network.namespace(self.name).popen
        )
        self._log = out / f"{self.name}.jsonl"

    def pull(self) -> None:
        """Write the board's log into the folder."""
        with SerialClient(self.board.port) as client:
            board = client.identify().board
            log = boardlog.pull(boardlog.over_console(client), board, self.home_address)
        boardlog.write(self._log, log)


class Walk:
    """A run of `script`; all it leaves is in the folder `out`. `tell` gets a line a step."""

    def __init__(self, script: Script, out: Path, tell: Tell) -> None:
        self._script = script
        self._out = out
        self._tell = tell
        self._done: list[dict[str, object]] = []

    def run(self) -> None:
        """Walk. Raises RoamkeyError, TimeoutError where a board never registered."""
        script, out = self._script, self._out
        with ExitStack() as stack:
            self._network = network = stack.enter_context(
                Network(
                    delay_ms=script.delay_ms, seed=script.seed, networks=script.networks or None
                )
            )
            names = [f"board{number}" for number in range(1, script.boards + 1)]
            for name in names:  # their interfaces in this order: MACs, so home addresses, follow
                network.attach(name, STATION, "home", dad=False)
                network.detach(name, STATION)
            network.start_capture(out / "way.pcap")
            stack.callback(network.stop_capture)
            readings = Readings(network.namespace("correspondent"), CORRESPONDENT_ADDRESS)
            recording = stack.enter_context(ExitStack())
            recording.enter_context(readings)
            self._registry = stack.enter_context(Registry.open(out / "registry.sqlite"))
            self._walkers = [
                self._prepare(stack, number) for number in range(1, script.boards + 1)
            ]
            Correspondent(network, out / "registry.sqlite", out / "correspondent.log").start()
            network.set_loss(script.loss_percent)
            for step in script.steps:
                self._take(step)
            network.set_loss(0)
            time.sleep(_SETTLING_S)
            for walker in self._walkers:
                walker.pull()
            self._fall_silent()
            recording.close()
            self._write(readings)

    def _fall_silent(self) -> None:
        """Have no more data leave, and let what is on its way arrive.

        Then capture and record hold the same datagrams, however busy the machine is.
        """
        for walker in self._walkers:
            self._network.detach(walker.name, STATION)
        time.sleep(_SETTLING_S)  # for what routers and bridge have not yet looked at
        deadline = time.monotonic() + _ARRIVED_S
        while self._network.statistics()["up"]["waiting"]:
            if time.monotonic() > deadline:
                raise TimeoutError("data did not arrive at the correspondent")
            time.sleep(_PAUSE_S)
        self._network.stop_capture()
        time.sleep(_PAUSE_S)

    def _prepare(self, stack: ExitStack, number: int) -> Walker:
        walker = Walker(number, self._out, self._network)
        stack.enter_context(walker.board)
        settings = {"every": self._script.every_s, "waiting": 64}
        walker.board.install(
            {
                **installed_files(),
                "/app.py": example("sensor.py"),
                "/sensor.json": json.dumps(settings).encode(),
            }
        )
        walker.board.start()
        wanted = plan(walker.home_address, self._script.reach)
        provision(self._registry, walker.board.port, wanted)
        return walker

    def _take(self, step: Step) -> None:
        chosen = [
            walker
            for number, walker in enumerate(self._walkers, 1)
            if not step.boards or number in step.boards
        ]
        started = time.time()
        if step.kind == "way":
            self._change_way(step)
        elif step.kind == "forget":
            self._network.forget_ports()
            self._note(started, "forget", [], "the NATs forget their ports")
        elif step.kind == "leave":
            for walker in chosen:
                self._network.detach(walker.name, STATION)
            self._note(started, "leave", chosen, "no network")
        elif step.kind == "cut":
            for walker in chosen:
                walker.board.power_cut()
            self._note(started, "cut", chosen, f"power cut for {step.cut_s:g} s")
            time.sleep(step.cut_s)
            back = time.time()
            for walker in chosen:
                walker.board.power_on()
            for walker in chosen:
                self._wait_until_heard(walker, back)
        elif step.kind == "reboot":
            self._note(started, "reboot", chosen, "starts anew")
            for walker in chosen:
                with SerialClient(walker.board.port) as client:
                    client.reboot()
            for walker in chosen:
                self._wait_until_heard(walker, started)
        else:
            self._note(started, "move", chosen, step.network)
            for walker in chosen:
                self._network.move(walker.name, STATION, step.network, dad=self._script.dad)
            for walker in chosen:
                self._wait_until_bound(walker, step.network)
        time.sleep(step.stay_s)

    def _change_way(self, step: Step) -> None:
        if step.loss_percent is not None:
            self._network.set_loss(step.loss_percent)
            self._note(time.time(), "way", [], f"loss {step.loss_percent:g} %")
        if step.delay_ms is not None:
            self._network.set_delay(step.delay_ms)
            self._note(time.time(), "way", [], f"delay {step.delay_ms:g} ms one way")

    def _note(self, at: float, kind: str, walkers: list[Walker], text: str) -> None:
        who = [walker.home_address for walker in walkers]
        self._done.append(
            {"at_ms": round(at * 1000), "kind": kind, "home_addresses": who, "text": text}
        )
        names = ", ".join(walker.name for walker in walkers)
        self._tell(f"{names + ': ' if names else ''}{text}")

    def _binding(self, walker: Walker) -> dict[str, object] | None:
        now = time.time_ns() // 1_000_000
        for binding in view.current(self._registry, now):
            if binding["home_address"] == walker.home_address:
                return binding
        return None

    def _wait_until_bound(self, walker: Walker, network: str) -> None:
        """At home there is no binding; elsewhere it is to one of the network's addresses."""
        lan = self._network.lans[network]

        def bound() -> bool:
            binding = self._binding(walker)
            if network == "home":
                return binding is None
            return binding is not None and lan.holds(str(binding["care_of_address"]))

        if not until(bound, _BOUND_S, _PAUSE_S):
            raise TimeoutError(f"{walker.name} did not register from {network}")

    def _wait_until_heard(self, walker: Walker, since: float) -> None:
        """A board that comes back registers from where it was; a farewell is no registration."""
        log = self._out / "correspondent.log"

        def heard() -> bool:
            for line in reversed(log.read_text().splitlines()):
                if f'"home_address": "{walker.home_address}"' in line and '"sequence"' in line:
                    away = f'"care_of_address": "{walker.home_address}"' not in line
                    farewell = '"event": "removed"' in line and away
                    return not farewell and _stamp(line) >= since
            return False

        if not until(heard, _BOUND_S, _PAUSE_S):
            raise TimeoutError(f"{walker.name} did not register after its power came back")

    def _write(self, readings: Readings) -> None:
        lines = [
            {"at_ms": one.time * 1000, "home_address": one.home_address, "number": one.number,
             "care_of_address": one.care_of_address}
            for one in readings.seen
        ]  # fmt: skip
        numbers = "".join(json.dumps(one) + "\n" for one in lines)
        networks = {
            prefix: _NAMES.get(lan.name, lan.name)
            for lan in self._network.lans.values()
            for prefix in lan.prefixes
        }
        told = {"name": self._script.name, "networks": networks, "steps": self._done}
        walk = json.dumps(told, indent=2) + "\n"
        privatefiles.write_each(self._out, {"data.jsonl": numbers, "walk.json": walk})


def _stamp(line: str) -> float:
    return datetime.fromisoformat(json.loads(line)["time"].replace("Z", "+00:00")).timestamp()
