"""What a run of the demo leaves behind, and the check that each step of it really happened."""

from dataclasses import dataclass, field

from roamkey.lab.demo.company import HOME_AGENT_TEXT, KEYLESS_TEXT, Joined
from roamkey.lab.demo.readings import Reading
from roamkey.lab.wire import Signal

_LOST = 3  # the handover whose first acknowledgement is lost
#: The network with IPv4 alone; there is one where the laboratory can have a NAT.
CAFE = "cafe"


@dataclass(frozen=True)
class Handover:
    """One registration after a change of network; times in seconds since the epoch.

    `first`: the first update of this handover, the accepted one unless messages were lost.
    `left`: the old network was gone (or the power was back); `usable`: the kernel had a usable
    care-of address; `update` and `acknowledgement`: the accepted pair, as the link carried it.
    `one_way`: seconds that the link adds each way.
    """

    network: str
    reason: str
    left: float
    usable: float
    first: Signal
    update: Signal
    acknowledgement: Signal
    one_way: float

    @property
    def sent_again(self) -> int:
        """How many updates the board sent after the first one; each has a number of its own."""
        return self.update.sequence - self.first.sequence

    @property
    def signalling(self) -> float:
        """Seconds from a usable care-of address until the acknowledgement is back at the board."""
        return self.acknowledgement.time + self.one_way - self.usable


@dataclass(frozen=True)
class Replay:
    """A recorded Binding Update sent again: what it was, and the answer that refused it."""

    update: Signal
    answer: Signal
    bound_to: str | None


@dataclass
class Facts:
    """All of a run. `marks`: (time, text) of power cuts and restarts; `ended`: its last moment;
    `ipv4`: whether the story goes through `CAFE`; `accompanied`: whether there are a home agent
    and a correspondent without a key, and `joined` what they accepted."""

    started: float
    ended: float = 0.0
    handovers: list[Handover] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    before_cut: int = -1
    after_cut: int = -1
    home_binding: str | None = "never asked"
    readings: list[Reading] = field(default_factory=list)
    ipv4: bool = False
    accompanied: bool = False
    joined: list[Joined] = field(default_factory=list)


def check(facts: Facts, signals: list[Signal]) -> list[str]:
    """What of the story did not happen as told; empty if all did.

    Judged from the wire (`signals`, in order) and the correspondent's own table of bindings.
    """
    faults = []
    visits = ["moved"] if facts.ipv4 else []
    wanted = ["joined", "moved", "moved", "moved", *visits, "power", "home"]
    if [handover.reason for handover in facts.handovers] != wanted:
        faults.append("a handover is missing")
    elif not facts.handovers[_LOST].sent_again:
        faults.append("the lost acknowledgement was not answered by one more Binding Update")
    faults += _check_ways(facts)
    used: dict[int, bytes] = {}
    replayed = {replay.update.sequence for replay in facts.replays}
    for signal in signals:
        if not signal.is_update:
            continue
        if signal.sequence in used and (
            used[signal.sequence] != signal.frame or signal.sequence not in replayed
        ):
            faults.append(f"the board used sequence number {signal.sequence} twice")
        used.setdefault(signal.sequence, signal.frame)
    accepted = [signal.sequence for signal in signals if signal.is_acceptance]
    if sorted(set(accepted)) != accepted:
        faults.append(f"accepted sequence numbers don't rise: {accepted}")
    if len(facts.replays) != 2 or any(replay.answer.status != 135 for replay in facts.replays):
        faults.append("a recorded Binding Update was not refused with status 135")
    for replay in facts.replays:
        if replay.bound_to == replay.update.care_of_address:
            faults.append("a recorded Binding Update moved the binding")
    if not 0 <= facts.before_cut < facts.after_cut:
        faults.append("the sequence number did not move forward over the power cut")
    if facts.home_binding is not None:
        faults.append("the binding was not removed at home")
    faults += _check_readings(facts)
    faults += _check_company(facts)
    return faults


def _check_company(facts: Facts) -> list[str]:
    """Home agent and keyless correspondent followed each time; the latter not behind a NAT."""
    wanted = []
    for handover in facts.handovers if facts.accompanied else []:
        away = handover.reason != "home"
        wanted.append((handover.network, HOME_AGENT_TEXT, away))
        wanted.append((handover.network, KEYLESS_TEXT, away and handover.network != CAFE))
    found = [(one.network, one.peer, one.care_of_address is not None) for one in facts.joined]
    return [] if found == wanted else ["home agent or return routability didn't follow the board"]


def _check_ways(facts: Facts) -> list[str]:
    """In the network with IPv4 alone it is inside UDP, and a NAT is between."""
    faults = []
    seen = [one.update for one in facts.handovers if one.network == CAFE]
    if bool(seen) != facts.ipv4:
        faults.append("the network with IPv4 alone was not visited")
    if any(one.way != "udp4" or one.near == one.care_of_address for one in seen):
        faults.append("where there is IPv4 alone the board was not bound through its NAT")
    return faults


def _check_readings(facts: Facts) -> list[str]:
    """Readings must have come from each address at which the board was bound, and no other."""
    faults = []
    homes = {reading.home_address for reading in facts.readings}
    if homes - {handover.update.home_address for handover in facts.handovers}:
        faults.append(f"readings came from other home addresses: {', '.join(sorted(homes))}")
    found = {reading.care_of_address for reading in facts.readings}
    wanted = {handover.update.near for handover in facts.handovers}
    if found != wanted:
        faults.append(f"readings came from {sorted(found)}, not from {sorted(wanted)}")
    return faults
