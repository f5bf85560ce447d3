"""A board with a home agent on its way through networks of all kinds, and everybody it talks to.

With a key, without one, and a host that knows nothing of mobility: all real (see anynetwork.py).
"""

import time
from pathlib import Path

from roamkey.lab.lans import CORRESPONDENT_ADDRESS, HOME, HOST_ADDRESS, KEYLESS_ADDRESS
from roamkey.lab.scene import HOME_ADDRESS
from roamkey.waiting import until
from support.anynetwork import Host, Travel

#: node -> address of the program there
EVERYBODY = {
    "correspondent": CORRESPONDENT_ADDRESS,
    "keyless": KEYLESS_ADDRESS,
    "host": HOST_ADDRESS,
}


class Journey(Travel):
    """A `Travel` with a home agent; `hosts`: a program on each host (`Host`), by node."""

    app = Path(__file__).parents[1] / "lab" / "reaching_app.py"

    def __init__(self, folder, **more):
        super().__init__(folder, home_agent=True, **more)

    def _set_up(self, stack):
        super()._set_up(stack)
        self.hosts = {"correspondent": self.host} | {
            node: stack.enter_context(Host(self.network, node, EVERYBODY[node]))
            for node in ("keyless", "host")
        }

    def peer(self, address):
        """What the board says of the one at an address (text)."""
        node = self.scene.status()["node"]
        return next(one for one in node["bindings"] if one["correspondent"] == address)

    def at(self, lan):
        """Whose bindings are where they should be, in a network: all, or who isn't (text)."""
        here = self.network.lans[lan]
        scene = self.scene
        there = {
            "home agent": scene.home_agent.bound_to(HOME_ADDRESS),
            "correspondent": scene.correspondent.bound_to(HOME_ADDRESS),
            "keyless": scene.keyless.bound_to(HOME_ADDRESS),
        }
        if lan == HOME:
            wrong = {one: where for one, where in there.items() if where is not None}
        else:
            if here.conditions.kind != "native" and there["keyless"] is None:
                there.pop("keyless")  # return routability is native; data take the tunnel
            wrong = {
                one: where
                for one, where in there.items()
                if where is None or not here.holds(where)
            }
        return wrong

    def settle(self, lan, within_s):
        """Wait until all bindings are as they should be in a network; the seconds it took."""
        began = time.monotonic()
        assert until(lambda: not self.at(lan), within_s, 0.05), (
            lan, self.at(lan), self.scene.status()["node"],
        )  # fmt: skip
        return time.monotonic() - began

    def reached(self, lan, within_s):
        """Everybody is reached from the board, and reaches it, by UDP."""
        for node, host in self.hosts.items():
            assert host.answered(within_s), (lan, node, self.scene.status()["node"])
            assert host.hears(within_s), (lan, node)
