"""A transparent bridge in user space: it stands for a long way, with delay and loss.

`python -m roamkey.lab.bridge` runs it as a process (see `helper`). Each link joins two interfaces
of the process's namespace; every frame that arrives at one leaves by the other, unchanged and in
order. Direction "forward" is from a link's first interface to its second, "back" the other.

A frame is due at the kernel's time of its arrival plus the delay, so a late wake-up of this
process doesn't add to the delay as long as it is shorter than the delay itself.
"""

import json
import random
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO

import dpkt

from roamkey.lab import syscalls
from roamkey.lab.helper import Control
from roamkey.lab.ring import Ring

_BATCH = 256  # frames from one interface before the others have their turn
_NS_PER_MS = 1_000_000


class Direction:
    """One way of a link: a queue between two interfaces."""

    def __init__(self, source: Ring, sink: Ring, seed: str) -> None:
        self._source = source
        self._send = sink.send
        self._random = random.Random(seed)
        self._queue: deque[tuple[int, bytes]] = deque()
        self._last_due = 0
        self.delay_ns = 0
        self.loss = 0.0
        self.counts = {"frames": 0, "octets": 0, "lost": 0, "unsent": 0}

    def take(self, monotonic_minus_realtime: int, capture: Any | None) -> bool:
        """Queue what has arrived; True if there may be more."""
        taken = 0
        for arrival, frame in self._source.frames(_BATCH):
            taken += 1
            if self.loss and self._random.random() < self.loss:
                self.counts["lost"] += 1
                continue
            if capture is not None:
                capture.writepkt(frame, arrival / 1e9)
            # A link doesn't reorder: after a cut of the delay, frames under way stay ahead.
            due = max(self._last_due, arrival + monotonic_minus_realtime + self.delay_ns)
            self._last_due = due
            self._queue.append((due, frame))
        return taken == _BATCH

    def give(self) -> int | None:
        """Send what is due; the time (ns, monotonic) at which the next frame is, if any."""
        queue, counts = self._queue, self.counts
        while queue:
            due, frame = queue[0]
            if due > time.monotonic_ns():
                return due
            queue.popleft()
            try:
                self._send(frame)
            except OSError:  # the interface is down, or its queue full: as on a real cable
                counts["unsent"] += 1
            else:
                counts["frames"] += 1
                counts["octets"] += len(frame)
        return None

    def statistics(self) -> dict[str, int]:
        return {
            **self.counts,
            "waiting": len(self._queue),
            "overflowed": self._source.overflowed(),
            "damaged": self._source.damaged,
        }


class Link:
    """Two interfaces and both ways between them; one capture file at a time."""

    def __init__(self, name: str, interfaces: list[str], seed: int) -> None:
        one, other = (Ring(interface) for interface in interfaces)
        self.directions = {
            "forward": Direction(one, other, f"{seed} {name} forward"),
            "back": Direction(other, one, f"{seed} {name} back"),
        }
        self.by_source = {one: self.directions["forward"], other: self.directions["back"]}
        self.writer: Any | None = None
        self.file: BinaryIO | None = None

    def start_capture(self, path: str) -> None:
        self.stop_capture()
        self.file = Path(path).open("wb")  # noqa: SIM115 (stop_capture closes it)
        self.writer = dpkt.pcap.Writer(self.file)
        self.file.flush()

    def stop_capture(self) -> None:
        if self.file is not None:
            self.file.close()
        self.file = self.writer = None


class Bridge:
    """All links of one process."""

    def __init__(self, links: dict[str, list[str]], seed: int) -> None:
        self._links = {name: Link(name, pair, seed) for name, pair in links.items()}
        self._by_ring = {
            ring: (link, direction)
            for link in self._links.values()
            for ring, direction in link.by_source.items()
        }

    def set_delay(self, link: str, direction: str, milliseconds: float) -> None:
        self._links[link].directions[direction].delay_ns = round(milliseconds * _NS_PER_MS)

    def set_loss(self, link: str, direction: str, percent: float) -> None:
        self._links[link].directions[direction].loss = percent / 100

    def start_capture(self, link: str, path: str) -> None:
        self._links[link].start_capture(path)

    def stop_capture(self, link: str) -> None:
        self._links[link].stop_capture()

    def statistics(self, link: str) -> dict[str, dict[str, int]]:
        directions = self._links[link].directions
        return {name: direction.statistics() for name, direction in directions.items()}

    def run(self, control: Control) -> None:
        """Pass frames on until the other end of `control` closes."""
        sources: list[Control | Ring] = [control, *self._by_ring]
        timeout: float | None = None
        while True:
            # select rather than epoll: Python's epoll counts timeouts in whole milliseconds.
            readable, _, _ = select.select(sources, (), (), timeout)
            if control in readable and not control.serve():
                return
            more = self._take(readable)
            timeout = 0 if more else self._give()
            if more:
                self._give()

    def _take(self, readable: list[Control | Ring]) -> bool:
        monotonic_minus_realtime = time.monotonic_ns() - time.time_ns()
        more = False
        for ring in readable:
            if isinstance(ring, Ring):
                link, direction = self._by_ring[ring]
                more |= direction.take(monotonic_minus_realtime, link.writer)
                if link.file is not None:
                    link.file.flush()  # readers may follow the file while it grows
        return more

    def _give(self) -> float | None:
        """Send what is due; the seconds until the next frame is, None if there is none."""
        pending = [direction.give() for _, direction in self._by_ring.values()]
        due = [time_ns for time_ns in pending if time_ns is not None]
        return max(0, min(due) - time.monotonic_ns()) / 1e9 if due else None


def main() -> None:
    configuration = json.loads(sys.argv[2])
    bridge = Bridge(configuration["links"], configuration["seed"])
    methods = ("set_delay", "set_loss", "start_capture", "stop_capture", "statistics")
    control = Control(int(sys.argv[1]), {name: getattr(bridge, name) for name in methods})
    syscalls.set_timer_slack(1)
    control.ready()
    bridge.run(control)


if __name__ == "__main__":
    main()
