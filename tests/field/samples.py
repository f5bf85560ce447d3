"""Logs as a board and a correspondent write them, for a walk known to the millisecond."""

import json
from datetime import datetime, timezone

HOME = "2001:db8:a::ff:fe00:1"
PEER = "2001:db8:c::2"
ONE, TWO = "2001:db8:1::ff:fe00:1", "2001:db8:2::ff:fe00:1"
START = 1_800_000_000_000  # when the board's boot 1 began, by the correspondent's clock

#: A start, a move whose first update is lost, a move home; then the power goes.
BOOT_1 = f"""0 boot 1 1 0
900 link wlan0 up
1000 attached {ONE}
1001 update {PEER} 0
1001 state {PEER} registering
1051 acknowledged {PEER} 0
1052 data {PEER}
5000 link wlan0 down
5000 detached
5200 link wlan0 up
5300 attached {TWO}
5300 update {PEER} 1
6300 update {PEER} 2
6352 acknowledged {PEER} 0
6360 data {PEER}
9000 detached
9100 attached {HOME}
9101 update {PEER} 3
9103 data {PEER}
9151 acknowledged {PEER} 0"""
#: (sequence, care-of address, when it was accepted, in ms since boot 1 began)
ACCEPTED = ((0, ONE, 1025), (2, TWO, 6325), (3, HOME, 9125), (20, ONE, 15_050))


def stamp(ms):
    time = datetime.fromtimestamp((START + ms) / 1000, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def correspondent_log():
    lines = []
    for sequence, care_of, ms in ACCEPTED:
        lines.append(
            json.dumps(
                {
                    "time": stamp(ms), "event": "removed" if care_of == HOME else "accepted",
                    "home_address": HOME, "care_of_address": care_of, "sequence": sequence,
                    "generation": 0, "status": 0, "lifetime_s": 3600, "answered": True,
                }
            )
        )  # fmt: skip
    return "\n".join(["not JSON at all", *lines]) + "\n"


def events():
    """The same as the correspondent's recorded events."""
    kinds = ("bound", "moved", "removed", "bound")
    found = [
        {"id": 7 + i, "at_ms": START + ms, "correspondent": PEER, "kind": kind,
         "home_address": HOME, "care_of_address": care_of, "sequence": sequence, "generation": 0,
         "lifetime_s": 3600}
        for i, (kind, (sequence, care_of, ms)) in enumerate(zip(kinds, ACCEPTED, strict=True))
    ]  # fmt: skip
    gap = {"id": 20, "at_ms": START + 6400, "kind": "gap", "home_address": HOME, "gap_ms": 1400}
    return [*found, gap]


NATTED = "192.168.4.23"

#: As `BOOT_1`, the second network being IPv4 behind a NAT: the node's own address and its way.
BOOT_NATTED = (
    BOOT_1.replace(TWO, NATTED)
    .replace(f"6352 acknowledged {PEER} 0", f"6351 way {PEER} udp4\n6352 acknowledged {PEER} 0")
    .replace("9151 ack", f"9150 way {PEER} native\n9151 ack")
)


def natted(lines, told=True):
    """JSON lines of a correspondent in which the second network is IPv4 behind a NAT."""
    found = []
    for line in lines.splitlines():
        if TWO in line:
            one = json.loads(line)
            one["care_of_address"] = NATTED
            if told:
                one |= {"way": "udp4", "endpoint": "198.51.100.7:61234"}
            line = json.dumps(one)
        found.append(line)
    return "\n".join(found) + "\n"


def answers(*blocks, ms=12_000):
    """What asks such a board: the last block is the newest."""

    def ask(number):
        newest = len(blocks)
        text = blocks[(newest if number is None else number) - 1]
        return {"block": newest, "oldest": 1, "ms": ms, "text": text}

    return ask
