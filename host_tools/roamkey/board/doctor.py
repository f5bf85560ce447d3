"""What a board lacks for the agent, and what to do about it.

The board is asked through its REPL, so a running agent stops for some seconds and starts again.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mip6 import __version__
from roamkey.board import built
from roamkey.board.agent import refuse_sealed
from roamkey.board.repl import Facts, Repl
from roamkey.board.serial_client import SerialClient
from roamkey.board.slots import FORGET
from roamkey.build import fits
from roamkey.errors import BoardError, RefusedError
from roamkey.registry import HOME_AGENT

#: What becomes of a check: fine; essential and lacking; worth doing.
OK, LACKS, ADVICE = "ok", "lacks", "advice"

_OLDEST = (1, 22)  # of MicroPython: the oldest whose source form the agent's syntax was made for
_RP2_KNOWN = (1, 28)  # see firmware/mip6/native/lwip.py
_RAM_OCTETS = 80 << 10  # the agent's bound, on a Pico W
_SPARE_OCTETS = 64 << 10  # flash for keys, counters, and littlefs's own needs

_REGISTERED = ("bound", "refreshing")  # states of a binding that the peer has accepted
_UNANSWERED = "does it run (roamkey home-agent status)? which ways lead there: doctor --path"
_UNREGISTERED = {
    "detached": "no address yet: see the networks (roamkey networks)",
    "exhausted": "roamkey rekey",
    "refused": "roamkey home-agent drops, on its host, says what to do",
}

_PROGRAM = """
import sys, json, gc, os
gc.collect()
r = {"ram": gc.mem_free()}
missing = []
for n in ("asyncio", "binascii", "hashlib", "json", "select", "socket", "struct", "time"):
    try:
        __import__(n)
    except ImportError:
        missing.append(n)
r["missing"] = missing
try:
    import hashlib
    r["sha1"] = hasattr(hashlib, "sha1")
    r["sha256"] = hasattr(hashlib, "sha256")
except ImportError:
    r["sha1"] = r["sha256"] = False
try:
    import socket
    if not hasattr(socket, "AF_INET6"):
        raise OSError("no AF_INET6")
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    r["ipv6"] = ""
except Exception as e:
    r["ipv6"] = "%s: %s" % (type(e).__name__, e)
r["network"] = ""
try:
    if sys.platform != "linux":
        import network
        network.WLAN(network.STA_IF)
except Exception as e:
    r["network"] = "%s: %s" % (type(e).__name__, e)
r["wifi"] = None
try:
    if sys.platform == "rp2":
        import network
        network.WLAN(network.STA_IF).ipconfig("addr6")
        r["wifi"] = ""
    elif sys.platform == "esp32":
        import ip6sta
        r["wifi"] = ""
except Exception as e:
    r["wifi"] = "%s: %s" % (type(e).__name__, e)
try:
    s = socket.socket(socket.AF_INET6, 3, 135)
    try:
        if sys.platform == "rp2":
            import machine
            m, p = machine.mem8, machine.mem32[id(s) + 4]
            if (m[p + 56], m[p + 51], machine.mem32[p + 64]) != (135, 255, id(s)):
                raise OSError("sockets are laid out otherwise")
    finally:
        s.close()
    r["raw"] = ""
except Exception as e:
    r["raw"] = "%s: %s" % (type(e).__name__, e)
try:
    import vfs
    kinds = [str(type(m[0])) for m in vfs.mount() if m[1] == "/"]
    r["files"] = kinds[0] if kinds else "none"
except Exception:
    r["files"] = None
try:
    s = os.statvfs("/")
    r["block"] = s[0]
    r["free"] = s[0] * s[3]
except Exception:
    r["block"] = r["free"] = 0
r["agent"] = None
path = sys.path[:]
try:
    with open("/agent/slot") as f:
        sys.path.insert(0, "/agent/" + f.read())
except OSError:
    pass
try:
    import mip6
    r["agent"] = mip6.__version__
except Exception:
    pass
sys.path[:] = path
r["boot"] = "boot.py" in os.listdir("/")
def size(p):
    try:
        return os.stat(p)[6]
    except OSError:
        return 0
r["keys"] = size("/roamkey/keys")
print(json.dumps(r))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `verdict`: "ok", "lacks" or "advice"; `found`: what there is;
    `todo`: what to do, "" where nothing is."""

    name: str
    verdict: str
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Examination:
    """What a board has and lacks."""

    port: str
    board: str | None
    platform: str
    machine: str | None
    micropython: str
    checks: tuple[Check, ...]

    @property
    def fit(self) -> bool:
        """Whether nothing essential is lacking."""
        return all(check.verdict != LACKS for check in self.checks)


def examine(port: str) -> Examination:
    """Ask the board at `port`; a running agent is started again. Raises BoardError, and
    RefusedError for a sealed board."""
    said = _said(port) if refuse_sealed(port) else {}
    with Repl(port) as repl:
        try:
            facts = repl.facts()
            repl.run(FORGET)  # the room that it stands in is there for it
            answer = repl.ask(_PROGRAM)
        finally:
            repl.restart()
    try:
        checks = (*_checks(facts, answer, said), *_home_agent(said))
    except (KeyError, TypeError, ValueError):
        raise BoardError(f"{port}: the board's answer makes no sense") from None
    return Examination(port, facts.board, facts.platform, facts.machine, facts.micropython, checks)


def _checks(facts: Facts, answer: dict[str, Any], said: dict[str, Any]) -> Iterator[Check]:
    yield _version(facts)
    yield _bytecode(facts)
    missing = answer["missing"]
    yield _lacking(
        "modules",
        not missing,
        "all that the agent imports"
        if not missing
        else "missing: " + ", ".join(map(str, missing)),
        "flash MicroPython's standard firmware for this board (roamkey flash)",
    )
    yield _network(facts, answer)
    yield _native("IPv6", answer["ipv6"] or answer["wifi"])
    yield _native("raw sockets", answer["raw"])
    yield _sha1(facts, answer)
    yield _lacking(
        "SHA-256", bool(answer["sha256"]), _there(answer["sha256"]), "installing needs it: flash"
    )
    yield _files(answer)
    yield _space(facts, answer)
    yield _lacking(
        "RAM",
        answer["ram"] >= _RAM_OCTETS,
        f"{answer['ram'] // 1024} KB free",
        f"the agent needs {_RAM_OCTETS // 1024} KB: see what boot.py loads, or freeze the agent",
    )
    yield _agent(answer)
    yield _keys(answer, said.get("keystore") or {})
    if answer["boot"]:
        wrong = "no board with one is sealed; roamkey install removes MicroPython's"
        yield Check("boot.py", ADVICE, "there", wrong)


def _version(facts: Facts) -> Check:
    version = tuple(int(part) for part in facts.micropython.split(".")[:2])
    known = facts.platform in ("rp2", "esp32", "linux")
    found = f"{facts.micropython} on {facts.platform}"
    if not known:
        return Check("MicroPython", LACKS, found, "no agent for this platform: see boards/")
    if version < _OLDEST:
        return Check("MicroPython", LACKS, found, "flash 1.23 or later (roamkey flash)")
    if facts.platform == "rp2" and version != _RP2_KNOWN:
        todo = "raw IPv6 was tried with 1.28 only; others may have UDP alone"
        return Check("MicroPython", ADVICE, found, todo)
    return Check("MicroPython", OK, found)


def _bytecode(facts: Facts) -> Check:
    if fits(facts.mpy):
        return Check("bytecode", OK, f"version {facts.mpy & 0xFF}.{facts.mpy >> 8 & 3}")
    todo = "the agent is installed as source, which needs more RAM: flash 1.23 or later"
    return Check("bytecode", ADVICE, "of another version than mpy-cross makes here", todo)


def _network(facts: Facts, answer: dict[str, Any]) -> Check:
    todo = "flash MicroPython 1.24 or later for a board with Wi-Fi"
    if facts.platform == "rp2":
        todo += " (RPI_PICO_W)"
    return _lacking("network", not answer["network"], answer["network"] or "there", todo)


def _native(name: str, trouble: str | None) -> Check:
    """Without them there are bindings all the same: it is said, and lacks nothing."""
    if not trouble:
        return Check(name, OK, "there")
    return Check(name, OK, f"none, so bindings and data go inside UDP alone ({trouble})")


def _sha1(facts: Facts, answer: dict[str, Any]) -> Check:
    if answer["sha1"]:
        return Check("SHA-1", OK, "there")
    if facts.platform == "linux" or not fits(facts.mpy):
        return Check("SHA-1", ADVICE, "missing", "the agent brings its own, which is slower")
    return Check("SHA-1", LACKS, "missing", "flash MicroPython's standard firmware")


def _files(answer: dict[str, Any]) -> Check:
    kind = answer["files"]
    if kind is None:
        return Check("file system", OK, "not told by this version: taken for littlefs")
    name = next((name for name in ("Lfs2", "Lfs1", "Fat", "Posix") if name in kind), str(kind))
    if name == "Fat":
        todo = "format it as littlefs: import os, vfs; vfs.VfsLfs2.mkfs(...); all files are lost"
        return Check("file system", LACKS, "FAT, which a power cut can damage", todo)
    return Check("file system", OK, {"Lfs2": "littlefs", "Lfs1": "littlefs 1"}.get(name, name))


def _space(facts: Facts, answer: dict[str, Any]) -> Check:
    image = built.image_for(facts.platform, facts.mpy)
    block = max(1, int(answer["block"]))
    needed = sum(-(-len(octets) // block) * block for octets in image.files.values())
    enough = int(answer["free"]) >= needed + _SPARE_OCTETS
    found = f"{int(answer['free']) // 1024} KB free in flash"
    todo = f"an update needs {(needed + _SPARE_OCTETS) // 1024} KB: remove files from the board"
    return _lacking("space", enough, found, todo)


def _agent(answer: dict[str, Any]) -> Check:
    agent = answer["agent"]
    if agent is None:
        return Check("agent", ADVICE, "none", "roamkey install")
    if agent != __version__:
        return Check("agent", ADVICE, f"{agent}, here is {__version__}", "roamkey install")
    return Check("agent", OK, str(agent))


def _keys(answer: dict[str, Any], keystore: dict[str, Any]) -> Check:
    """Whether there are keys that can be used, as far as the agent that ran has said."""
    if not answer["keys"]:
        return Check("keys", ADVICE, "none", "roamkey provision")
    state = keystore.get("status", "ready")
    if state != "ready":
        found = str(keystore.get("text") or state)
        return Check("keys", LACKS, found, "roamkey provision --replace")
    used: dict[int, list[str]] = {}
    for peer in keystore.get("peers") or ():
        percent = (peer.get("key") or {}).get("warning")
        if percent:
            used.setdefault(int(percent), []).append(str(peer["correspondent"]))
    if 100 in used:
        found = f"no uses left for {', '.join(used[100])}: it is told of no move"
        return Check("keys", LACKS, found, "roamkey rekey")
    if used:
        worst = max(used)
        found = f"{worst} % of the last key for {', '.join(used[worst])} is used"
        return Check("keys", ADVICE, found, "roamkey rekey")
    return Check("keys", OK, "there")


def _said(port: str) -> dict[str, Any]:
    """What the running agent says of itself, before it stops; empty where it doesn't."""
    with suppress(BoardError, RefusedError), SerialClient(port) as client:
        return client.status()
    return {}


def _home_agent(said: dict[str, Any]) -> Iterator[Check]:
    """Whether the home agent has registered the board, where one was provisioned. Raises KeyError,
    TypeError."""
    keystore, node = said.get("keystore") or {}, said.get("node") or {}
    peers = keystore.get("peers") or []
    agent = next((peer for peer in peers if peer.get("role") == HOME_AGENT), None)
    if agent is None:
        return
    address = str(agent["correspondent"])
    bindings = node.get("bindings") or []
    binding: dict[str, Any] = next(
        (one for one in bindings if one["correspondent"] == address), {}
    )
    state, reason = binding.get("state"), binding.get("reason")
    if state in _REGISTERED:
        found = f"{address} has registered the board"
        if not agent["generations"]:
            yield Check(
                "home agent", ADVICE, f"{found}, without authentication", "provision a key"
            )
        else:
            yield Check("home agent", OK, found)
    elif node.get("state") == "home":
        yield Check("home agent", OK, f"{address}: not needed, the board is at home")
    else:
        found = f"{address} has not registered the board: " + (reason or state or "no network yet")
        yield Check("home agent", ADVICE, found, _UNREGISTERED.get(str(state), _UNANSWERED))


def _lacking(name: str, there: bool, found: str, todo: str) -> Check:
    return Check(name, OK, found) if there else Check(name, LACKS, found, todo)


def _there(value: object) -> str:
    return "there" if value else "missing"
