"""Where there is IPv4 alone, behind a NAT: what a board registers, sends and hears there."""

from roamkey.lab.lans import CORRESPONDENT_NAME, ROUTER_OUTSIDE_IPV4
from roamkey.lab.wire import Signal
from support.trial import Program, Trial

#: For `roamkey provision`: the correspondent's name, from which its IPv4 address comes.
REACHED_BY_NAME = ("--reach", CORRESPONDENT_NAME)


def registered_behind_nat(trial: Trial, since: float, lease: str) -> Signal:
    """The first update since then that is accepted: inside UDP, from the address `lease`, seen as
    the NAT's."""
    found = trial.registered(since)
    assert (found.way, found.care_of_address, found.near) == ("udp4", lease, ROUTER_OUTSIDE_IPV4)
    assert found.home_address == trial.home_address
    assert trial.bound_to == lease
    return found


def passes_both_ways(program: Program, every: int) -> None:
    """Readings come from the home address; what is sent there sets their interval (seconds)."""
    program.drain()
    assert "n" in next(program.readings())
    assert program.is_obeyed(every), "it heard us"
