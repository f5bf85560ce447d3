"""What boards of the laboratory are to hold."""

import socket
from collections.abc import Sequence

from mip6.packets import ENCAPSULATION_PORT
from roamkey.enroll.plan import Plan
from roamkey.lab.lans import CORRESPONDENT_ADDRESS


def plan(home_address: str, reach: Sequence[str] = ()) -> Plan:
    """Keys with the laboratory's correspondent. `reach`: outer addresses or names of it; none:
    boards take the correspondent address itself."""
    owner = socket.inet_pton(socket.AF_INET6, CORRESPONDENT_ADDRESS)
    places = tuple((host, ENCAPSULATION_PORT) for host in reach)
    home = socket.inet_pton(socket.AF_INET6, home_address)
    return Plan(home, (owner,), reach={owner: places} if places else {})
