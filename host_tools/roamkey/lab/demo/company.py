"""Whom the demo's board is reached by beside its correspondent: a home agent, and who has no key.

Each on a host of its own, the real commands; what they accept is read from the wire.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from roamkey.lab.demo.correspondent import Correspondent, DemoError, HomeAgent, Keyless
from roamkey.lab.demo.timeline import Timeline
from roamkey.lab.lans import HOME
from roamkey.lab.network import Network
from roamkey.lab.outside import KEYLESS
from roamkey.lab.resources import Resources
from roamkey.lab.wire import Wire
from roamkey.waiting import until

HOME_AGENT_TEXT = "home agent"
KEYLESS_TEXT = "return routability"


@dataclass(frozen=True)
class Joined:
    """Who accepted what after a change of network: `peer` (a text of above), `care_of_address`
    (None: the binding was removed), `milliseconds` since the address was usable."""

    network: str
    peer: str
    care_of_address: str | None
    milliseconds: float


class Company(Resources):
    """Both of them, from entering the context on; `out`: as of `Story`. Raises DemoError."""

    def __init__(self, out: Path, network: Network, one_way_ms: float) -> None:
        super().__init__()
        self._network = network
        self._out = out
        self._one_way_ms = one_way_ms
        self._keyless = Keyless(network, out / "keyless.sqlite", out / "keyless.log")
        self._agent = HomeAgent(network, out / "registry.sqlite", out / "home-agent.log")

    def _set_up(self, stack: ExitStack) -> None:
        self._network.set_delay(self._one_way_ms, link=KEYLESS.name)
        self._wires = {}
        for peer, link in ((HOME_AGENT_TEXT, HOME), (KEYLESS_TEXT, KEYLESS.name)):
            capture = self._out / f"{link}.pcap"
            self._network.start_capture(capture, link=link)
            stack.callback(self._network.stop_capture, link=link)
            self._wires[peer] = stack.enter_context(Wire(capture))

    def start(self, tell: Timeline) -> None:
        """Have both serve; the home agent over the registry that the board is provisioned from."""
        for daemon, what in (
            (self._agent, "the home agent"), (self._keyless, "a correspondent without a key"),
        ):  # fmt: skip
            daemon.start()
            tell.event("ok", f"{what} serves {daemon.address}")

    def joined(
        self, network: str, home_address: str, since: float, usable: float, within_s: float
    ) -> list[Joined]:
        """Wait until both follow the board to a network, whose address was `usable` (s since the
        epoch); what each accepted. Raises DemoError, TimeoutError."""
        lan = self._network.lans[network]
        found = []
        for peer, wire in self._wires.items():
            daemon = self._agent if peer == HOME_AGENT_TEXT else self._keyless
            if network == HOME or (peer == KEYLESS_TEXT and not lan.conditions.ipv6):
                _wait_until_removed(peer, daemon, home_address, within_s)
                found.append(Joined(network, peer, None, 0.0))
                continue
            at = wire.wait_for(
                lambda signal: signal.is_acceptance and signal.lifetime > 0, since, within_s
            ).time
            care_of = daemon.bound_to(home_address)
            if care_of is None or not lan.holds(care_of):
                raise DemoError(f"{peer}: bound to {care_of}, which isn't of {network}")
            found.append(Joined(network, peer, care_of, 1000 * (at - usable)))
        return found


def _wait_until_removed(
    peer: str, daemon: Correspondent, home_address: str, within_s: float
) -> None:
    if not until(lambda: daemon.bound_to(home_address) is None, within_s, 0.05):
        raise DemoError(f"{peer}: the binding was not removed")
