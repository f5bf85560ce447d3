"""A provisioned board on the move and the correspondent that follows it: for benches and tests.

The same real parts as in the demo (MicroPython booting from its flash, keys put on it over its
serial line, `roamkey correspondent run`), without the story. Joining a network skips duplicate
address detection, which takes a second and isn't what a handover is measured for.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from roamkey.board.serial_client import SerialClient
from roamkey.correspondent import view
from roamkey.enroll.deliver import provision
from roamkey.lab.board import Spawn, VirtualBoard
from roamkey.lab.demo.correspondent import Correspondent, HomeAgent, Keyless
from roamkey.lab.installed import installed_files
from roamkey.lab.namespaces import Namespace
from roamkey.lab.network import Network
from roamkey.lab.plans import plan
from roamkey.lab.resources import Resources
from roamkey.lab.watch import AddressWatch, Usable
from roamkey.lab.wire import Wire
from roamkey.registry import Registry
from roamkey.waiting import until

BOARD = "board"
UPLINK = "wlan0"
# The address that the board's own autoconfiguration gives it at home (RFC 4862, from its MAC).
HOME_ADDRESS = "2001:db8:a::ff:fe00:1"


class Scene(Resources):
    """Board and correspondent in a network, from entering the context until leaving it.

    `out`: a folder for the registry, the flash, the capture of the way between and the
    correspondent's log. `files` go onto the board beside the agent's; `agent` is there in place of
    what `roamkey install` puts on it; `reach`: see `plans`; `options`: further ones of the
    correspondent's command; `spawn`: of the board's namespace, how an interpreter starts in it.
    Where the network has a home agent, it serves the board, and `keyless` is a correspondent
    without a key. The board is attached to no network at first. `registry`, `board`, `wire` and
    `watch` are there inside the context.
    """

    def __init__(
        self,
        out: Path,
        network: Network,
        files: dict[str, bytes | Path] | None = None,
        agent: dict[str, bytes] | None = None,
        reach: Sequence[str] = (),
        options: Sequence[str] = (),
        spawn: Callable[[Namespace], Spawn] = lambda namespace: namespace.popen,
    ) -> None:
        super().__init__()
        self.network = network
        self.log = out / "correspondent.log"
        self.capture = out / "way.pcap"
        self.correspondent = Correspondent(network, out / "registry.sqlite", self.log, options)
        self.keyless = Keyless(network, out / "keyless.sqlite", out / "keyless.log")
        self.home_agent = HomeAgent(network, out / "registry.sqlite", out / "home-agent.log")
        self._out = out
        self._files = files or {}
        self._agent = agent
        self._reach = reach
        self._spawn = spawn

    def _set_up(self, stack: ExitStack) -> None:
        namespace = self.network.add_node(BOARD)
        self.network.start_capture(self.capture)
        stack.callback(self.network.stop_capture)
        self.wire = stack.enter_context(Wire(self.capture))
        self.watch = stack.enter_context(AddressWatch(namespace))
        self.registry = stack.enter_context(Registry.open(self._out / "registry.sqlite"))
        self.board = stack.enter_context(
            VirtualBoard(self._out / "board.img", spawn=self._spawn(namespace))
        )
        self.board.install({**(self._agent or installed_files()), **self._files})
        self.board.start()
        has_home_agent = self.network.has_home_agent
        wanted = plan(HOME_ADDRESS, self._reach, home_agent=has_home_agent)
        provision(self.registry, self.board.port, wanted)
        self.correspondent.start()
        if has_home_agent:
            self.keyless.start()
            self.home_agent.start()

    def move(self, network: str, timeout: float = 15.0, *, dad: bool = False) -> Usable:
        """Take the board to a network; its new address and when that became usable. `dad`: with
        duplicate address detection, as the kernel does it.

        Raises TimeoutError where no address came within `timeout` seconds.
        """
        left = time.time()
        self.network.move(BOARD, UPLINK, network, dad=dad)
        return self.watch.wait_for(self.network.lans[network].start, left, timeout)

    def binding(self) -> dict[str, Any] | None:
        """What the correspondent has made durable for the board, as `bindings --json` has it."""
        for binding in view.current(self.registry, time.time_ns() // 1_000_000):
            if binding["home_address"] == HOME_ADDRESS:
                return binding
        return None

    def bound_to(self) -> str | None:
        """The care-of address in it, or None."""
        binding = self.binding()
        return None if binding is None else str(binding["care_of_address"])

    def wait_until_bound_to(self, care_of_address: str, timeout: float) -> float:
        """Wait (seconds) for the binding to be right; the seconds it took, or TimeoutError."""
        start = time.monotonic()
        if not until(lambda: self.bound_to() == care_of_address, timeout):
            raise TimeoutError(
                f"bound to {self.bound_to()}, not {care_of_address}, after {timeout:g} s"
            )
        return time.monotonic() - start

    def status(self) -> dict[str, Any]:
        """What the board's console says of its node (see docs/SPEC.md, "The console")."""
        with SerialClient(self.board.port) as client:
            return client.status()
