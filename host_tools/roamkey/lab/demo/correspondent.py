"""The correspondent as the demo runs it: the real command in the correspondent's namespace."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roamkey import children
from roamkey.correspondent.dataplane import tun
from roamkey.errors import RoamkeyError
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.waiting import until

_READY_S = 15.0


class DemoError(RoamkeyError):
    """A step of the demo did not happen."""

    exit_code = 1


class Correspondent:
    """`roamkey correspondent run` over one registry file; its log goes to a file beside it.

    `more`: further options of that command.
    """

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
                "correspondent",
                self._command(
                    "run", "--address", CORRESPONDENT_ADDRESS, "--log", "json", *self._more
                ),
                stdout=log,
                stderr=log,
            )
        process = self._process

        def serves() -> bool:  # its first line says so
            return b"\n" in self._log.read_bytes()[start:]

        until(lambda: serves() or process.poll() is not None, _READY_S)
        if process.poll() is not None or not serves():
            raise DemoError(f"the correspondent did not start: {self._log.read_text()[-500:]}")

    def kill(self) -> None:
        """End it without a chance to tidy up, as `kill -9` does."""
        children.end(self._process, signal.SIGKILL)

    def bindings(self) -> list[dict[str, Any]]:
        """What `roamkey correspondent bindings --json` prints."""
        done = subprocess.run(
            self._command("bindings", "--json"), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"the bindings can't be read: {done.stderr.strip()}")
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def bound_to(self, home_address: str) -> str | None:
        """The care-of address that a home address is bound to, or None."""
        for binding in self.bindings():
            if binding["home_address"] == home_address:
                return str(binding["care_of_address"])
        return None

    def _command(self, verb: str, *arguments: str) -> list[str]:
        return children.roamkey("correspondent", verb, "--registry", self._registry, *arguments)
