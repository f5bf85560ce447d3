"""The story that `make demo` tells, on real parts.

A board (the real MicroPython, booting from a littlefs image) is provisioned over its serial line,
joins a network, registers with its correspondent over real raw IPv6, moves, loses power, comes
back and goes home; an attacker who recorded its Binding Updates sends them again. Each step waits
until the wire shows that it happened; `facts.check` judges the whole afterwards.
"""

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from mip6 import messages
from roamkey.enroll.deliver import provision
from roamkey.firmware import example
from roamkey.lab.board import Spawn, VirtualBoard
from roamkey.lab.demo.company import KEYLESS_TEXT, Company
from roamkey.lab.demo.correspondent import Correspondent, DemoError
from roamkey.lab.demo.facts import CAFE, Facts, Handover, Replay
from roamkey.lab.demo.readings import Readings
from roamkey.lab.demo.timeline import Timeline
from roamkey.lab.installed import installed_files
from roamkey.lab.lans import CORRESPONDENT_IPV4, HOME
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.plans import plan
from roamkey.lab.watch import AddressWatch, Usable
from roamkey.lab.wire import Signal, Wire
from roamkey.registry import Registry

ONE_WAY_MS = 20.0
BOARD = "board"
STATION = "wlan0"
# The address that the board's own autoconfiguration gives it at home (RFC 4862, from its MAC).
HOME_ADDRESS = "2001:db8:a::ff:fe00:1"
_WAIT_S = 20.0
_EVERY_S = 0.25  # between the sensor's readings
_LOST_S = 0.6  # how long after an update its acknowledgement is lost
_STAY_S = 1.2  # in each network, so that the chart shows it


class Story:
    """One run; `out` is the folder for `capture`, `registry`, the flash and the logs."""

    def __init__(self, out: Path, network: Network, timeline: Timeline) -> None:
        self.facts = Facts(
            timeline.start, ipv4=CAFE in network.lans, accompanied=network.has_home_agent
        )
        self.capture = out / "demo.pcap"
        self._out = out
        self._network = network
        self._timeline = timeline
        self.registry = out / "registry.sqlite"
        self._correspondent = Correspondent(network, self.registry, out / "correspondent.log")
        self._company = Company(out, network, ONE_WAY_MS) if network.has_home_agent else None
        self._at = ""
        self._told = 0

    def run(self) -> list[Signal]:
        """Tell the whole story; returns what the wire carried. Raises where a step fails."""
        network = self._network
        network.add_node(BOARD)
        network.set_delay(ONE_WAY_MS)
        network.start_capture(self.capture)
        with ExitStack() as stack:
            self._wire = stack.enter_context(Wire(self.capture))
            self._readings = stack.enter_context(
                Readings(network.namespace("correspondent"), CORRESPONDENT_ADDRESS)
            )
            self._watch = stack.enter_context(AddressWatch(network.namespace(BOARD)))
            self._board = stack.enter_context(
                VirtualBoard(self._out / "board.img", spawn=self._spawn)
            )
            if self._company is not None:
                stack.enter_context(self._company)
            self._prepare()
            self._roam()
            self._attack("a recorded Binding Update is sent again", self._handover(2).update)
            if self.facts.ipv4:
                self._visit_ipv4()
            self._lose_power()
            self._restart_correspondent()
            self._go_home()
            self.facts.ended = time.time()
            self.facts.readings = list(self._readings.seen)
        network.stop_capture()
        return self._wire.seen

    # The acts

    def _prepare(self) -> None:
        tell = self._timeline
        tell.act("A board, its keys and its correspondent")
        self._board.install(
            {
                **installed_files(),
                "/app.py": example("sensor.py"),
                "/sensor.json": json.dumps({"every": _EVERY_S}).encode(),
            }
        )
        self._board.start()
        tell.event("ok", f"MicroPython boots from its flash; serial port {self._board.port}")
        with Registry.open(self.registry) as registry:
            reach = (CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4) if self.facts.ipv4 else ()
            with_agent = self._company is not None
            wanted = plan(HOME_ADDRESS, reach, home_agent=with_agent)
            held = provision(registry, self._board.port, wanted)
        tell.event("ok", f"board {held.board} holds its keys: home address {held.home_address}")
        self._correspondent.start()
        tell.event("ok", f"the correspondent serves {CORRESPONDENT_ADDRESS}")
        if self._company is not None:
            self._company.start(tell)

    def _roam(self) -> None:
        self._timeline.act("The board roams")
        self._move("visited1", "joined")
        self._move("visited2", "moved")
        self._move("visited1", "moved")
        self._network.set_loss(100, direction="down")
        self._timeline.event("act", "the next acknowledgement will be lost on its way")
        self._move("visited2", "moved", restore=True)

    def _attack(self, title: str, recorded: Signal) -> None:
        tell = self._timeline
        tell.act(f"Replay: {title}")
        tell.event("attack", f"on the way: sequence {recorded.sequence} again, as it was recorded")
        since = time.time()
        self._inject(recorded.frame)
        answer = self._wire.wait_for(
            lambda s: s.status == messages.SEQUENCE_OUT_OF_WINDOW, since, _WAIT_S
        )
        self._tell_signals()
        bound_to = self._correspondent.bound_to(HOME_ADDRESS)
        self.facts.replays.append(Replay(recorded, answer, bound_to))
        tell.event(
            "ok",
            f"refused: status 135, last accepted {answer.sequence}; still bound to {bound_to}",
        )

    def _visit_ipv4(self) -> None:
        self._timeline.act("A network with IPv4 alone, behind a NAT")
        self._move(CAFE, "moved")
        update = self._handover(-1).update
        inside, outside = update.care_of_address, update.near
        self._timeline.event("ok", f"inside UDP ({update.way}): {inside} is {outside} outside")

    def _lose_power(self) -> None:
        tell = self._timeline
        tell.act("Power fails, and comes back")
        self.facts.before_cut = max(s.sequence for s in self._wire.seen if s.is_update)
        self._board.power_cut()
        left = time.time()
        self.facts.marks.append((left, "power cut"))
        tell.event("power", f"power cut; last number used: {self.facts.before_cut}")
        time.sleep(0.5)
        back = time.time()
        self._board.power_on()
        tell.event("power", "power back: the board boots and reads its keys and its counter")
        self._registered(left, back, "power")
        self.facts.after_cut = self._handover(-1).update.sequence
        tell.event("ok", f"it goes on at {self.facts.after_cut}: no number is used twice")

    def _restart_correspondent(self) -> None:
        self._correspondent.kill()
        self.facts.marks.append((time.time(), "correspondent killed"))
        self._correspondent.start()
        self._attack("the correspondent was killed, and started anew", self._handover(2).update)

    def _go_home(self) -> None:
        self._timeline.act("Home again")
        self._move(HOME, "home")
        self.facts.home_binding = self._correspondent.bound_to(HOME_ADDRESS)
        self._timeline.event("ok", "the correspondent holds no binding any more")

    # What they are made of

    def _move(self, network: str, reason: str, *, restore: bool = False) -> None:
        """Change the network. `restore`: the way carries acknowledgements again after one BU."""
        tell = self._timeline
        left = time.time()
        self._at = network
        if reason == "joined":
            self._network.attach(BOARD, STATION, network)
            tell.event("act", f"{STATION} joins {network}")
        else:
            self._network.move(BOARD, STATION, network)
            tell.event("act", f"{STATION} leaves, and joins {network}")
        usable = self._usable(network, left)
        if restore:
            first = self._wire.wait_for(lambda s: s.is_update, left, _WAIT_S)
            # However slow the correspondent: two updates come 350 ms after the first, and their
            # answers are lost, too; the next comes a second after it.
            time.sleep(max(0.0, first.time + _LOST_S - time.time()))
            self._network.set_loss(0)
        self._registered(left, usable.time, reason)

    def _usable(self, network: str, left: float) -> Usable:
        """Wait for an address of a network, and tell of it."""
        lan = self._network.lans[network]
        found = self._watch.wait_for(lan.start, left, _WAIT_S)
        how = "private, as from a DHCP server; no IPv6"
        if lan.conditions.ipv6:
            how = "Router Advertisement, SLAAC"
        self._timeline.event("ok", f"{found.address} is usable ({how})", found.time)
        return found

    def _registered(self, left: float, usable: float, reason: str) -> None:
        """Wait for the acceptance that ends a handover, and keep it."""
        home = reason == "home"

        def accepts(signal: Signal) -> bool:
            return signal.is_acceptance and (signal.care_of_address == HOME_ADDRESS) == home

        acknowledgement = self._wire.wait_for(accepts, left, _WAIT_S)
        self._delivered(acknowledgement)
        update = self._wire.wait_for(
            lambda s: s.is_update and s.sequence == acknowledgement.sequence, left, _WAIT_S
        )
        first = self._wire.wait_for(lambda s: s.is_update, left, _WAIT_S)
        usable = min(usable, first.time)  # the board may hear of its address before we do
        handover = Handover(
            self._at, reason, left, usable, first, update, acknowledgement, ONE_WAY_MS / 1000
        )
        self.facts.handovers.append(handover)
        self._tell_signals()
        outcome = "de-registered" if home else f"bound to {update.care_of_address}, {update.way}"
        self._timeline.event("ok", f"{outcome}: signalling {handover.signalling * 1000:.1f} ms")
        bound = time.time()
        if self._company is not None:
            self._accompanied(self._company, left, usable)
        time.sleep(max(0.0, bound + _STAY_S - time.time()))
        arrived = self._readings.between(bound, time.time())
        self._timeline.event("ok", f"{arrived} readings arrived, those that waited included")

    def _accompanied(self, company: Company, left: float, usable: float) -> None:
        """Wait until home agent and keyless correspondent follow, and tell of it."""
        for joined in company.joined(self._at, HOME_ADDRESS, left, usable, _WAIT_S):
            self.facts.joined.append(joined)
            where = f"bound to {joined.care_of_address} after {joined.milliseconds:.1f} ms"
            if joined.care_of_address is None:
                through = joined.peer == KEYLESS_TEXT and self._at != HOME
                where = "data go through the home agent" if through else "holds no binding"
            self._timeline.event("ok", f"{joined.peer}: {where}")

    def _delivered(self, signal: Signal) -> None:
        """Give a message the time to cross the link, and its answer to enter it."""
        due = signal.time + 2 * ONE_WAY_MS / 1000
        time.sleep(max(0.0, due - time.time()))

    def _inject(self, frame: bytes) -> None:
        """Send a recorded frame from the router's side, as an attacker on the way would."""
        router = self._network.namespace("router")
        with router.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as attacker:
            attacker.bind(("wan", 0))
            attacker.send(frame)

    def _tell_signals(self) -> None:
        for signal in self._wire.seen[self._told :]:
            self._timeline.signal(signal)
        self._told = len(self._wire.seen)

    def _handover(self, number: int) -> Handover:
        try:
            return self.facts.handovers[number]
        except IndexError:
            raise DemoError("the board never registered") from None

    @property
    def _spawn(self) -> Spawn:
        return self._network.namespace(BOARD).popen
