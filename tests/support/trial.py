"""A board on real firmware, emulated, at work in the laboratory: made ready by a technician's
commands, then watched from the correspondent's side."""

import contextlib
import itertools
import json
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.resources import Resources
from roamkey.lab.wire import Signal, Wire

HOME_ADDRESS = "2001:db8:a::1:77"
WAIT_S = 400.0  # on the wall: bringing emulated Wi-Fi up takes a minute on a busy machine
_PORT = 7000
_READINGS = 12


class Trial(Resources):
    """Of a station, as a context manager: it has power meanwhile, `wire` what crosses the
    correspondent's link. `folder`: for files, the registry's among them; `wait_s`: how long is
    waited for what the board does."""

    wire: Wire

    def __init__(
        self,
        network: Network,
        station: Any,
        folder: Path,
        home_address: str = HOME_ADDRESS,
        wait_s: float = WAIT_S,
    ) -> None:
        super().__init__()
        self.station, self.home_address = station, home_address
        self.registry_file = folder / "registry.sqlite"
        self.registry = ("--registry", str(self.registry_file))
        log = folder / "correspondent.log"
        self.correspondent = Correspondent(network, self.registry_file, log)
        self._network, self._folder, self._wait_s = network, folder, wait_s

    def _set_up(self, stack: contextlib.ExitStack) -> None:
        capture = self._folder / "wire.pcap"
        self._network.start_capture(capture)
        stack.enter_context(self.station.board)
        self.wire = stack.enter_context(Wire(capture))
        self.station.power_on()

    def make_ready(
        self,
        every: float,
        networks: Mapping[str, int],
        prepare: Callable[[], dict[str, Any]],
        *provision: str,
    ) -> dict[str, Any]:
        """A board without power that will go to work: what `provision` told. `every`: seconds
        between two readings; `networks`: the laboratory's, with their priorities; `prepare`: has
        the agent on the board, which has the sensor by then, and gives what the command said;
        `provision`: further options of that command."""
        station = self.station
        # An application as one puts it on a board by hand; the agent by its own command.
        settings = {"every": every, "port": _PORT, "waiting": 4}
        station.put_sensor(self._folder, json.dumps(settings))
        prepared = prepare()
        held: dict[str, Any] = station.roamkey(
            *("provision", "--home-address", self.home_address),
            *("--correspondent", CORRESPONDENT_ADDRESS, *provision, *self.registry),
        )
        assert held["home_address"] == self.home_address and held["board"] == prepared["board"]
        self.correspondent.start()
        wanted = {station.ssids[name]: priority for name, priority in networks.items()}
        for name, priority in wanted.items():
            known = station.roamkey("networks", "set", name, "--open", "--priority", str(priority))
        assert {one["ssid"]: one["priority"] for one in known} == wanted
        station.power_cut()
        return held

    def registered(
        self, since: float, *, care_of: str | None = None, way: str | None = None
    ) -> Signal:
        """The first update since then, from this care-of address or by this way, whose
        acknowledgement accepts it, and that ends no binding. Raises TimeoutError."""
        answer = self.wire.wait_for(
            lambda s: (
                s.is_acceptance
                and s.lifetime > 0
                and care_of in (None, s.care_of_address)
                and way in (None, s.way)
            ),
            since,
            self._wait_s,
        )
        return next(s for s in self.wire.seen if s.is_update and s.sequence == answer.sequence)

    @property
    def bound_to(self) -> str | None:
        """The care-of address that the correspondent has for the node."""
        return self.correspondent.bound_to(self.home_address)

    def numbers(self) -> list[int]:
        """The sequence numbers of all updates until now, in their order; none came twice."""
        sent = [signal.sequence for signal in self.wire.seen if signal.is_update]
        assert len(sent) == len(set(sent)), f"a number came twice: {sent}"
        return sent

    def program(self) -> "Program":
        """What receives readings at the correspondent."""
        host = self._network.namespace("correspondent")
        program = Program(
            host.socket(socket.AF_INET6, socket.SOCK_DGRAM), self.home_address, self._wait_s
        )
        self._resources.callback(program.close)
        return program


class Program:
    """An unmodified program at the correspondent: it knows the home address and nothing else."""

    def __init__(self, found: socket.socket, home_address: str, wait_s: float) -> None:
        self._socket = found
        self._home = home_address
        found.bind((CORRESPONDENT_ADDRESS, _PORT))
        found.settimeout(wait_s)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def readings(self) -> Iterator[dict[str, Any]]:
        """What the sensor sends; from its home address alone."""
        while True:
            data, (address, port, *_) = self._socket.recvfrom(2048)
            assert (address, port) == (self._home, _PORT)
            yield json.loads(data)

    def drain(self) -> None:
        """Throw away what has come."""
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.recv(2048)

    def send(self, text: str) -> None:
        """Send the node a datagram, to its home address."""
        self._socket.sendto(text.encode(), (self._home, _PORT))

    def is_obeyed(self, seconds: int) -> bool:
        """Tell the sensor how often to send, and see whether it does by its own clock, soon."""
        self.send(json.dumps({"every": seconds}))
        taken = itertools.islice(self.readings(), _READINGS)
        return any(
            b["n"] == a["n"] + 1 and abs(b["t"] - a["t"] - seconds) <= 1
            for a, b in itertools.pairwise(taken)
        )
