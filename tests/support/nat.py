"""Where there is IPv4 alone, behind a NAT: a board starts, registers, sends, and hears."""

import itertools
import time

from roamkey.lab.lans import CORRESPONDENT_NAME, ROUTER_OUTSIDE_IPV4
from roamkey.lab.wire import Signal
from support.trial import Trial

#: For `roamkey provision`: the correspondent's name, from which its IPv4 address comes.
REACHED_BY_NAME = ("--reach", CORRESPONDENT_NAME)

_SLOW_S = 5
_READINGS = 12


def behind_nat(trial: Trial, lease: str) -> Signal:
    """Switch on a board that was made ready with an interval of a second; its first registration,
    from the address `lease`, seen as the NAT's. Readings come from the home address, and what is
    sent there is obeyed."""
    since = time.time()
    trial.station.power_on()
    first = trial.registered(since, way="udp4")
    assert (first.care_of_address, first.near) == (lease, ROUTER_OUTSIDE_IPV4)
    assert first.home_address == trial.home_address
    assert trial.bound_to == lease
    program = trial.program()
    readings = program.readings()
    assert "n" in next(readings)
    program.set_interval(_SLOW_S)
    taken = (reading["t"] for reading in itertools.islice(readings, _READINGS))
    assert any(b - a >= _SLOW_S - 1 for a, b in itertools.pairwise(taken)), "it heard us"
    program.close()
    return first
