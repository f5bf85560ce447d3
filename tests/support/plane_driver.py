"""The daemon's part for a data plane, without any check: `plane_driver.py ADDRESS [PROGRAM]`.

Whoever sends a keepalive inside UDP is bound to where it came from. Told: {"ready": facts};
{"bound": endpoint in hex}; {"unbound": [[endpoint, packet], ...]} in hex. A line on standard input
{"native": [home, care_of]}, {"inside": [home, endpoint in hex]} or {"unbind": home} binds
otherwise; {"counters": 0} is answered by the counters of a second later.
"""

import io
import json
import select
import sys
import time
from collections import Counter
from ipaddress import IPv6Address
from pathlib import Path

from mip6 import packets
from roamkey.correspondent import clock, encapsulation
from roamkey.correspondent.dataplane.client import DataPlane, Kind
from roamkey.registry.records import Binding


def main(address, *program):
    """Serve until standard input ends. `program`: the data plane's, where not the usual one."""
    sys.path.append(str(Path(__file__).parents[1]))
    signalling = encapsulation.open_socket(encapsulation.EVERYWHERE)
    place = encapsulation.EVERYWHERE
    plane = DataPlane(IPv6Address(address), place=place, kind=Kind(*program))
    tell(ready=plane.facts())
    asked = 0.0
    told = io.FileIO(0, closefd=False)  # a buffer would keep lines from select
    while True:
        ready, _, _ = select.select([signalling, plane, told], [], [], 0.2)
        for endpoint, packet in encapsulation.receive(signalling, 64, Counter()):
            if packet[6] == packets.NO_NEXT_HEADER:
                bind(plane, packet[8:24], bytes(16), endpoint)
                tell(bound=endpoint.hex())
        if plane in ready:
            unbound = [[one.endpoint.hex(), one.payload.hex()] for one in plane.receive()]
            if unbound:
                tell(unbound=unbound)
        if told in ready:
            line = told.readline()
            if not line:
                break
            what = json.loads(line)
            if "native" in what:
                home, care_of = (IPv6Address(text).packed for text in what["native"])
                bind(plane, home, care_of, b"")
            elif "inside" in what:
                home, endpoint = what["inside"]
                bind(plane, IPv6Address(home).packed, bytes(16), bytes.fromhex(endpoint))
            elif "unbind" in what:
                plane.bind([(IPv6Address(what["unbind"]).packed, None)])
            else:
                asked = time.monotonic()
        if asked and time.monotonic() - asked > 1.5:
            asked = 0.0
            tell(counters=plane.facts())
    plane.close()


def bind(plane, home, care_of, endpoint):
    ends = clock.now_ms() + 600_000
    plane.bind([(home, Binding(care_of, 600, 0, ends, 1, endpoint))])


def tell(**what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
