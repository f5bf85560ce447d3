"""Which data plane of a home agent: the kernel's own tunnels where it has them, and a way to check
what comes out of them; else the TUN device alone."""

import socket
from contextlib import ExitStack
from ipaddress import IPv6Address

from roamkey.correspondent.dataplane import process
from roamkey.correspondent.dataplane.control import AUTO, KERNEL, TUN
from roamkey.correspondent.encapsulation import Place
from roamkey.errors import SystemRefusedError
from roamkey.home_agent.tunnel.control import unpack_told
from roamkey.home_agent.tunnel.kernel import KernelTunnelProcess
from roamkey.home_agent.tunnel.offload import Offload
from roamkey.home_agent.tunnel.process import TunnelProcess

_ASKED_FOR = "asked for"
_HAS_THEM = "the kernel has tunnels, and checks them"


def make(
    channel: socket.socket, address: IPv6Address, place: Place | None, stack: ExitStack, told: str
) -> process.Process:
    """The process of one kind; `told`: see `control.pack_told`. Raises SystemRefusedError."""
    which, most, interface = unpack_told(told)
    why = _ASKED_FOR
    if which != TUN:
        with ExitStack() as opened:
            try:
                offload = Offload(address, most, opened)
            except SystemRefusedError as error:
                if which == KERNEL:
                    raise
                why = str(error)
            else:
                stack.enter_context(opened.pop_all())
                why = _HAS_THEM if which == AUTO else _ASKED_FOR
                return KernelTunnelProcess(channel, address, place, stack, interface, why, offload)
    return TunnelProcess(channel, address, place, stack, interface, why)


def main() -> None:
    """As `process.main`; beside, it is told which, how many bindings, and the home link."""
    process.main(make)


if __name__ == "__main__":
    main()
