"""What boards of the laboratory are to hold."""

import socket
from collections.abc import Sequence

from mip6.packets import ENCAPSULATION_PORT
from roamkey.enroll.plan import Plan
from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    HOME_AGENT_ADDRESS,
    HOME_AGENT_IPV4,
    KEYLESS_ADDRESS,
)


def plan(home_address: str, reach: Sequence[str] = (), *, home_agent: bool = False) -> Plan:
    """Keys with the laboratory's correspondent. `reach`: outer addresses or names of it; none:
    boards take the correspondent address itself. `home_agent`: with the laboratory's too, and
    return routability with `keyless`."""
    owner, home = _octets(CORRESPONDENT_ADDRESS), _octets(home_address)
    told = {owner: _places(reach)} if reach else {}
    if not home_agent:
        return Plan(home, (owner,), reach=told)
    agent = _octets(HOME_AGENT_ADDRESS)
    if reach:
        told[agent] = _places((HOME_AGENT_ADDRESS, HOME_AGENT_IPV4))
    keyless = (_octets(KEYLESS_ADDRESS),)
    return Plan(home, (owner,), reach=told, routability=keyless, home_agent=agent)


def _octets(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def _places(reach: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple((host, ENCAPSULATION_PORT) for host in reach)
