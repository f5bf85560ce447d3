"""A board on its way through networks of all kinds, and the programs that talk to it.

Everything is real: MicroPython on its flash, kernels with their NAT and filters, the daemon with
its data plane, `ping` and plain sockets on the correspondent's host.
"""

import ctypes
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from roamkey.lab.background import Background
from roamkey.lab.conditions import Conditions
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4
from roamkey.lab.network import Network
from roamkey.lab.resources import Resources
from roamkey.lab.scene import BOARD, HOME_ADDRESS, Scene
from roamkey.waiting import until
from support.roaming import need_tun

NETWORKS = {
    "cafe": Conditions("ipv4"),
    "nodst": Conditions("no-destination-options"),
    "noroute": Conditions("no-routing-headers"),
}
#: By which way a board is served there, where nothing is lost.
WAYS = {"visited1": "native", "visited2": "native", "cafe": "udp4", "nodst": "udp6",
        "noroute": "udp6"}  # fmt: skip
REACH = (CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4)
PORT = 7000  # as in talking_app.py
APP = Path(__file__).parents[1] / "lab" / "talking_app.py"
_STARTS = "/roamkey/app"
_PR_CAPBSET_DROP = 24
_CAP_NET_RAW = 13


class Travel(Resources):
    """Network, board and correspondent, and `host`, a program at the correspondent.

    `loss_percent`, `seed`: of the way, once the board is provisioned; `options`, `spawn`: as of
    `Scene`.
    """

    app = APP

    def __init__(self, folder, *, delay_ms=2, loss_percent=0, seed=0, home_agent=False, **more):
        super().__init__()
        need_tun()
        self.network = Network(
            delay_ms=delay_ms, seed=seed, networks=NETWORKS, home_agent=home_agent
        )
        self._scene = folder, {"/app.py": self.app}, more
        self._loss = loss_percent

    def _set_up(self, stack: ExitStack):
        stack.enter_context(self.network)
        folder, files, more = self._scene
        self.scene = stack.enter_context(Scene(folder, self.network, files, reach=REACH, **more))
        self.host = stack.enter_context(Host(self.network))
        self.network.set_loss(self._loss)

    def go(self, lan, within_s):
        """Take the board to a network, and wait until its correspondent has it there."""
        usable = self.scene.move(lan)
        self.scene.wait_until_bound_to(usable.address, within_s)
        return usable

    def lose_power(self, within_s):
        """Cut the board's power, give it back, and wait until it has registered anew."""
        board, sequence = self.scene.board, self.scene.binding()["sequence"]
        board.power_cut()
        if _STARTS in board.list_files():  # so soon in a row they look like a program that hangs
            board.remove_file(_STARTS)
        board.power_on()
        assert until(lambda: self.scene.binding()["sequence"] > sequence, within_s, 0.05)

    def node(self):
        """What the board says of its binding."""
        return self.scene.status()["node"]["bindings"][0]

    def agree(self, within_s):
        """Wait until board and correspondent say the same: which address, by which way."""

        def same():
            ours, theirs = self.node(), self.scene.binding()
            fields = ("care_of_address", "way")
            return (
                theirs is not None
                and ours["state"] == "bound"
                and [ours[one] for one in fields] == [theirs[one] for one in fields]
            )

        assert until(same, within_s, 0.05), (self.node(), self.scene.binding())

    def ping(self, tries=1, node="correspondent"):
        """Whether `ping` on a host has an answer from the home address."""
        for _ in range(tries):
            process = self.network.spawn(
                node,
                ["ping", "-6", "-n", "-c1", "-W1", HOME_ADDRESS],
                stdout=subprocess.DEVNULL,
            )
            if process.wait(10) == 0:
                return True
        return False


class Host(Background):
    """A program on a host, at its `address`: it talks with the board's over UDP.

    `numbers`: those that came, with the time.
    """

    def __init__(self, network, node="correspondent", address=CORRESPONDENT_ADDRESS):
        super().__init__(self._listen, every_s=0)
        self._socket = network.namespace(node).socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._owned.callback(self._socket.close)
        self._socket.bind((address, PORT))
        self._socket.settimeout(0.05)
        self.numbers = []
        self._echoes = set()
        self._asked = 0

    def _listen(self):
        try:
            data, source = self._socket.recvfrom(2048)
        except TimeoutError:
            return
        assert source[:2] == (HOME_ADDRESS, PORT)
        if data.startswith(b"number "):
            self.numbers.append((int(data.split(b",")[0][7:]), time.time()))
        else:
            self._echoes.add(data)

    def answered(self, within_s, said=None):
        """Whether what is said to the board comes back; said again each quarter of a second."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            self._asked += 1
            data = said or b"%d" % self._asked
            self._socket.sendto(data, (HOME_ADDRESS, PORT))
            if until(lambda data=data: data in self._echoes, 0.25, 0.005):
                return True
        return False

    def hears(self, within_s):
        """Whether another number comes from the board."""
        before = len(self.numbers)
        return until(lambda: len(self.numbers) > before, within_s, 0.005)


def without_raw_sockets(namespace):
    """Starts programs that may have none: CAP_NET_RAW is out of reach for them."""

    def drop():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_CAPBSET_DROP, _CAP_NET_RAW, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")

    def spawn(argv, **options):
        before = options.pop("preexec_fn", None)

        def both():
            drop()
            if before is not None:
                before()

        return namespace.popen(argv, preexec_fn=both, **options)

    return spawn


__all__ = ["BOARD", "HOME_ADDRESS", "NETWORKS", "WAYS", "Travel", "without_raw_sockets"]
