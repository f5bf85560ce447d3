"""Correspondents and the home agent in the laboratory: the real commands on their hosts."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roamkey import children
from roamkey.correspondent.dataplane import tun
from roamkey.errors import RoamkeyError
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, HOME_AGENT_ADDRESS, KEYLESS_ADDRESS
from roamkey.lab.network import Network
from roamkey.lab.outside import CORRESPONDENT, HOME_AGENT, KEYLESS
from roamkey.waiting import until

_READY_S = 15.0


class DemoError(RoamkeyError):
    """A step of the demo did not happen."""

    exit_code = 1


class Correspondent:
    """`roamkey correspondent run` over one registry file; its log goes to a file beside it.

    `more`: further options of that command.
    """

    node, address = CORRESPONDENT.name, CORRESPONDENT_ADDRESS
    command = "correspondent"

    def __init__(
        self, network: Network, registry: Path, log: Path, more: Sequence[str] = ()
    ) -> None:
        self._network = network
        self._registry = registry
        self._log = log
        # Where no TUN device is to be had, as by ordinary users here and there: signalling alone.
        self._more = [*(["--no-data-plane"] if tun.refusal() else []), *more]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves; raises DemoError where it doesn't."""
        start = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = self._network.spawn(
                self.node,
                self._command("run", "--address", self.address, "--log", "json", *self._more),
                stdout=log,
                stderr=log,
            )
        process = self._process

        def serves() -> bool:  # its first line says so
            return b"\n" in self._log.read_bytes()[start:]

        until(lambda: serves() or process.poll() is not None, _READY_S)
        if process.poll() is not None or not serves():
            raise DemoError(f"the {self.command} did not start: {self._log.read_text()[-500:]}")

    def ask(self, verb: str) -> list[dict[str, Any]]:
        """What `status`, `drops` or the like print with --json; raises DemoError."""
        process = self._network.namespace(self.node).popen(
            self._command(verb, "--json"), stdout=subprocess.PIPE, text=True
        )
        out, _ = process.communicate()
        if process.returncode:
            raise DemoError(f"{self.command} {verb}: exit code {process.returncode}")
        found: list[dict[str, Any]] = json.loads(out)
        return found

    def kill(self) -> None:
        """End it without a chance to tidy up, as `kill -9` does."""
        children.end(self._process, signal.SIGKILL)

    def bindings(self) -> list[dict[str, Any]]:
        """What `roamkey correspondent bindings --json` prints, or the same of a home agent."""
        return self.ask("bindings")

    def bound_to(self, home_address: str) -> str | None:
        """The care-of address that a home address is bound to, or None."""
        for binding in self.bindings():
            if binding["home_address"] == home_address:
                return str(binding["care_of_address"])
        return None

    def _command(self, verb: str, *arguments: str) -> list[str]:
        return children.roamkey(self.command, verb, "--registry", self._registry, *arguments)


class Keyless(Correspondent):
    """A correspondent without keys: `roamkey correspondent run` over a registry of its own."""

    node, address = KEYLESS.name, KEYLESS_ADDRESS


class HomeAgent(Correspondent):
    """`roamkey home-agent run`, over the registry that boards are provisioned from. Raises
    DemoError where there is no TUN device."""

    node, address = HOME_AGENT, HOME_AGENT_ADDRESS
    command = "home-agent"

    def __init__(
        self, network: Network, registry: Path, log: Path, more: Sequence[str] = ()
    ) -> None:
        super().__init__(network, registry, log, more)
        self._more = list(more)  # it is nothing without a tunnel
