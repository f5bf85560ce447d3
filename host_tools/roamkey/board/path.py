"""A board's path check, asked for over its console: docs/SPEC.md, "The path check"."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from roamkey.board.patience import patient
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError, RefusedError

SILENCE_MAX_S = 256  # mip6.pathcheck.LIFETIMES_S: the longest that is tried
_LOOK_S = 0.2  # between questions: the console is forgotten after ten seconds without
_WAYS_S = patient(40.0)  # eight ways, two seconds each, and the best again
_SILENCES_S = patient(30.0)  # beside the silences themselves


@dataclass(frozen=True)
class Told:
    """What a board found. `board`: its id; `home_address`: text; `native_why`: why it speaks no
    native IPv6, else empty; `reach`: of each correspondent, the home agent among them; `checks`:
    its answers to `path`, one for each; `began_ms`: when that was, in milliseconds since 1970;
    `home_agent`: its address, or None; `authorized`: by what updates are, of each correspondent.
    """

    board: str
    home_address: str
    native_why: str
    reach: dict[str, list[str]]
    checks: list[dict[str, Any]]
    began_ms: int
    home_agent: str | None = None
    authorized: dict[str, str] = field(default_factory=dict)


def ask(port: str, silence_s: int | None, report: Callable[[str], None]) -> Told:
    """Have the board at `port` try each way to each correspondent; and, with `silence_s`, how
    long a port is kept, by the first correspondent that is bound inside UDP.

    `silence_s`: the longest silence, in seconds. `report`: told what is under way. Raises
    BoardError; RefusedError for a board that is sealed, has no keys, or an agent that can't.
    """
    with SerialClient(port) as client:
        identity = client.identify()
        if identity.sealed is not None:
            raise RefusedError("the board is sealed: roamkey unseal first")
        if "path" not in identity.features:
            raise RefusedError(
                f"the agent on the board ({identity.agent}) can't check paths: roamkey install"
            )
        if identity.set_id is None:
            raise RefusedError("the board has no usable keys: roamkey provision")
        status = client.status()
        try:
            peers = status["keystore"]["peers"]
            reach = {peer["correspondent"]: list(peer["reach"]) for peer in peers}
            home, why = status["keystore"]["home_address"], status["node"].get("native_text", "")
            agent = status["node"].get("home_agent")
            bindings = status["node"].get("bindings", [])
            authorized = {one["correspondent"]: one.get("authorized_by", "") for one in bindings}
        except (KeyError, TypeError, AttributeError):
            raise BoardError(f"{port}: the board's status makes no sense") from None
        began_ms = time.time_ns() // 1_000_000
        checks = []
        for correspondent in reach:
            whom = "the home agent " if correspondent == agent else ""
            report(f"the ways to {whom}{correspondent}")
            checks.append(
                _run(client, {"check": "ways", "correspondent": correspondent}, _WAYS_S, report)
            )
        inside = [one for one in checks if one.get("way") in ("udp6", "udp4")]
        inside.sort(key=lambda one: one["correspondent"] == agent)  # it comes last
        if silence_s is not None and inside:
            request = {
                "check": "nat",
                "correspondent": inside[0]["correspondent"],
                "seconds": silence_s,
            }
            longest = 2 * SILENCE_MAX_S + _SILENCES_S  # of all silences together
            inside[0].update(_run(client, request, longest, report))
            inside[0]["measured"] = True
        return Told(identity.board, home, why, reach, checks, began_ms, agent, authorized)


def _run(
    client: SerialClient, request: dict[str, Any], longest_s: float, report: Callable[[str], None]
) -> dict[str, Any]:
    """One check, to its end; whatever happens here, the board is told that it is over."""
    end = time.monotonic() + longest_s
    told = client.ask("path", request)
    said = None
    try:
        while told.get("running"):
            if time.monotonic() >= end:
                raise BoardError(f"{client.port}: the board's path check doesn't end")
            time.sleep(_LOOK_S)
            told = client.ask("path", again=True)
            silences = told.get("silences") or []
            if silences and silences[-1].get("heard") is None and len(silences) != said:
                said = len(silences)
                report(f"a silence of {silences[-1].get('lifetime_s')} s")
    except BaseException:
        if told.get("running"):
            client.ask("path", {"check": "none"})
        raise
    return told
