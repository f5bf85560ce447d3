"""Nodes on real interfaces and raw sockets, and the scripted correspondent they talk to."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from roamkey.lab.installed import write_beside

TESTS = Path(__file__).parents[1]
FIRMWARE = TESTS.parent / "firmware"
HOME = "2001:db8:a::100"
TIMEOUT_S = 40.0  # a machine may be busy; nothing here measures time

#: Runs a command that may set nothing in the kernel, as in most containers.
READ_ONLY = (
    "unshare", "--mount", "sh", "-c",
    'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"', "sh",
)  # fmt: skip

_PROGRAMS = TESTS / "lab"
_PATHS = f"{TESTS / 'core'}:{TESTS / 'support'}:{FIRMWARE}:{FIRMWARE / 'examples'}"


class Talker:
    """A process whose standard output is lines of JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line that is wanted; the ones before it are kept in `seen`."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not said in time; last: {self.seen[-12:]}") from None
            self.seen.append(line)
            if wanted(line):
                return line

    def event(self, kind: str, detail: object = None) -> dict[str, Any]:
        """The next event of a kind."""
        return self.wait(
            lambda line: (
                "event" in line and line["event"][0] == kind and detail in (None, line["event"][2])
            )
        )

    def status(self) -> dict[str, Any]:
        self.say("status")
        found: dict[str, Any] = self.wait(lambda line: "status" in line)["status"]
        return found


class Lab:
    """A network with a scripted correspondent and nodes. `folder` is for what nodes run."""

    def __init__(self, network: Any, folder: Path) -> None:
        self.network = network
        self._folder = folder
        self.cn: Talker

    def correspondent(self, home: str = HOME) -> Talker:
        self.cn = self._spawn("correspondent", [sys.executable, "agent_correspondent.py", home])
        self.cn.wait(lambda line: "ready" in line)
        return self.cn

    def node(
        self,
        interpreter: str,
        uplinks: list[str] | None = None,
        home: str = HOME,
        sensor: bool = False,
        prefix: Sequence[str] = (),
    ) -> Talker:
        """A node that runs; `prefix`: a command that runs its own, as READ_ONLY."""
        configuration = json.dumps({"uplinks": uplinks, "home": home, "sensor": sensor})
        command = [*prefix, interpreter, "agent_node.py", configuration]
        if interpreter == sys.executable:
            return self._spawn("board", command)
        compiled(self._folder)
        return self._spawn("board", command, MICROPYPATH=f"{self._folder}:.frozen")

    def _spawn(self, node: str, argv: list[str], **more: str) -> Talker:
        environment = {**os.environ, "PYTHONPATH": _PATHS, **more}
        return Talker(
            self.network.spawn(
                node,
                argv,
                env=environment,
                cwd=self._folder if more else _PROGRAMS,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )

    def replug(self, interface: str, network: str) -> None:
        """Another network at the same plug: the carrier fails for a moment, no more."""
        switch = self.network.namespace("switch")
        port = self.network._ports["board", interface]
        switch.set_down(port)
        switch.set_bridge(port, f"br-{network}")
        switch.set_up(port)


def compiled(folder: Path) -> None:
    """Fill a folder with the agent as installed, the node's program and the example."""
    write_beside(
        folder, {"agent_node": _PROGRAMS / "agent_node.py", "peer": TESTS / "core" / "peer.py"}
    )
    example = FIRMWARE / "examples" / "sensor.py"
    (folder / example.name).write_bytes(example.read_bytes())


def bound_at(cn: Talker, prefix: str) -> dict[str, Any]:
    """The correspondent's next line about an update from an address of a prefix."""
    return cn.wait(lambda line: line.get("care_of", "").startswith(prefix))
