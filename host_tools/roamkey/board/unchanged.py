"""Whether a board holds already what would be installed, asked of the agent that runs.

It goes on meanwhile: nothing is interrupted or started again. Where the agent is older, or
anything differs, nobody knows, and the installation finds out for itself.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from roamkey.board.identity import Identity
from roamkey.board.serial_client import SerialClient
from roamkey.board.slots import POINTER, PORTS_BOOT, ROOT, SLOTS
from roamkey.errors import BoardError, RefusedError

_FILES_MAX = 1000
_VERSION = re.compile(r'^\{"agent": "([^"\\]{1,40})"')
_SUMS_OF_SLOTS = {sha256(slot.encode()).hexdigest(): slot for slot in SLOTS}


@dataclass(frozen=True)
class Held:
    """What a board holds, by its running agent's word. `slot`: the copy that runs, "" for the one
    in the firmware (`frozen`) or in /lib; `sums`: of that copy, path below it to SHA-256;
    `agents`: the version in each slot that is whole; `main`, `boot`, `app`: SHA-256, None without.
    """

    identity: Identity
    slot: str
    frozen: bool
    sums: Mapping[str, str]
    agents: Mapping[str, str]
    main: str | None
    boot: str | None
    app: str | None

    @property
    def has_ports_boot(self) -> bool:
        """Whether its /boot.py is the one of MicroPython's port, to the octet."""
        return self.boot == sha256(PORTS_BOOT.encode()).hexdigest()


def held(client: SerialClient, identity: Identity) -> Held | None:
    """What the board holds; None where its agent can't say."""
    files: dict[str, tuple[str, str | None]] = {}
    frozen = False
    skip: Any = 0
    try:
        while isinstance(skip, int) and len(files) < _FILES_MAX:
            answer = client.ask("files", {"skip": skip} if skip else None, again=True)
            files.update({str(path): (str(total), head) for path, total, head in answer["files"]})
            frozen, skip = bool(answer["frozen"]), answer["next"]
    except (BoardError, RefusedError, KeyError, TypeError, ValueError):
        return None
    if skip is not None:
        return None
    slot = _SUMS_OF_SLOTS.get(_sum(files, POINTER) or "", "")
    below = f"{ROOT}/{slot}/"
    agents = {}
    for name in SLOTS:
        found = _VERSION.match(str((files.get(f"{ROOT}/{name}.json") or ("", ""))[1]))
        if found:
            agents[name] = json.loads(f'"{found[1]}"')
    return Held(
        identity,
        slot,
        frozen,
        {
            path.removeprefix(below): total
            for path, (total, _) in files.items()
            if slot and path.startswith(below)
        },
        agents,
        _sum(files, "/main.py"),
        _sum(files, "/boot.py"),
        _sum(files, "/app.py"),
    )


def _sum(files: Mapping[str, tuple[str, str | None]], path: str) -> str | None:
    return files[path][0] if path in files else None
