"""Which data plane: the kernel's own Mobile IPv6 where it has it, else the device alone."""

import socket
from contextlib import ExitStack
from ipaddress import IPv6Address

from roamkey.correspondent.dataplane import control, inkernel, process
from roamkey.correspondent.dataplane.kernel import KernelProcess
from roamkey.correspondent.dataplane.process import Process
from roamkey.correspondent.encapsulation import Place
from roamkey.errors import SystemRefusedError

_ASKED_FOR = "asked for"
_HAS_IT = "the kernel has Mobile IPv6"


def make(
    channel: socket.socket, address: IPv6Address, place: Place | None, stack: ExitStack, which: str
) -> Process:
    """The process of one kind; `which`: `control.AUTO` or the one that is asked for. Raises
    SystemRefusedError."""
    refusal = None if which == control.TUN else inkernel.refusal()
    if which == control.TUN or (which == control.AUTO and refusal is not None):
        return Process(channel, address, place, stack, refusal or _ASKED_FOR)
    if refusal is not None:
        raise SystemRefusedError(refusal)
    why = _HAS_IT if which == control.AUTO else _ASKED_FOR
    return KernelProcess(channel, address, place, stack, why)


def main() -> None:
    """As `process.main`; beside, it is told which."""
    process.main(make)


if __name__ == "__main__":
    main()
