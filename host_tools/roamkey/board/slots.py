"""The two places of the agent in a board's flash, and the programs that work on them there.

    /main.py        the boot entry, source
    /agent/slot     "a" or "b": the copy that runs. Written last; littlefs rewrites it atomically
    /agent/a/...    a copy: what else would be below /lib
    /agent/b/...    the other one
    /agent/a.json   {"agent": version, "files": {path: sha256}}: there only while `a` is whole
    /agent/b.json

Without `slot` the agent in the firmware runs, or in /lib where it has none. `firmware/main.py`
reads these names; where it is frozen, too, MicroPython never runs /main.py.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from roamkey.board.patience import patient
from roamkey.board.repl import Repl
from roamkey.errors import BoardError

ROOT = "/agent"
POINTER = f"{ROOT}/slot"
SLOTS = ("a", "b")

#: The /boot.py of MicroPython's ESP32 port (ports/esp32/modules/inisetup.py), 1.9 to 1.28.
PORTS_BOOT = """\
# This file is executed on every boot (including wake-boot from deepsleep)
#import esp
#esp.osdebug(None)
#import webrepl
#webrepl.start()
"""

_PROGRAM_OCTETS_MAX = 3072  # of source in one go: a small board has to compile it
_CHUNK = 1536  # octets of a file in one write, before base64
_HASH_S = patient(60.0)

#: Forgets what the agent and its application leave in memory, which a board has little of: what
#: asyncio would tell of exceptions, modules, and the name that main.py gave the agent's.
FORGET = """
import gc, sys
try:
    sys.modules["asyncio"].new_event_loop().set_exception_handler(None)
except Exception:
    pass
for _name in list(sys.modules):
    if _name.split(".")[0] in ("mip6", "app", "app_try"):
        del sys.modules[_name]
globals().pop("agent", None)
gc.collect()
"""

# What runs on the board. Any MicroPython has these modules; what is in flash may be broken.
_HELPERS = """
import sys
_path = sys.path[:]
sys.path[:] = []
import os, json, hashlib, binascii
sys.path[:] = _path
def _sum(p):
    d = hashlib.sha256()
    b = bytearray(1024)
    m = memoryview(b)
    with open(p, "rb") as f:
        while True:
            n = f.readinto(b)
            if not n:
                return binascii.hexlify(d.digest()).decode()
            d.update(m[:n])
def _tree(p, found, cut):
    try:
        names = list(os.ilistdir(p))
    except OSError:
        return found
    for e in names:
        q = p + "/" + e[0]
        if e[1] & 0x4000:
            _tree(q, found, cut)
        else:
            found[q[cut:]] = _sum(q)
    return found
def _text(p):
    try:
        with open(p) as f:
            return f.read()
    except (OSError, ValueError):
        return None
def _is(p):
    try:
        os.stat(p)
    except OSError:
        return False
    return True
def _rm(p):
    try:
        os.remove(p)
    except OSError:
        pass
def _dirs(p):
    k = p.find("/", 1)
    while k > 0:
        try:
            os.mkdir(p[:k])
        except OSError:
            pass
        k = p.find("/", k + 1)
def _put(p, text):
    with open(p, "wb") as f:
        f.write(binascii.a2b_base64(text))
def _begin(p):
    global _f
    _f = open(p, "wb")
def _more(text):
    _f.write(binascii.a2b_base64(text))
def _end():
    _f.close()
def _copy(p, q):
    b = bytearray(1024)
    m = memoryview(b)
    with open(p, "rb") as f:
        with open(q, "wb") as g:
            while True:
                n = f.readinto(b)
                if not n:
                    return
                g.write(m[:n])
def _main():
    try:
        with open("/main.py", "rb") as f:
            if not f.read(64).strip() and not f.read(1):
                return None
    except OSError:
        return None
    return _sum("/main.py")
def _prune(p):
    empty = True
    try:
        names = list(os.ilistdir(p))
    except OSError:
        return False
    for e in names:
        if not (e[1] & 0x4000 and _prune(p + "/" + e[0])):
            empty = False
    if empty:
        os.rmdir(p)
    return empty
"""

_SURVEY = """
s = os.statvfs("/")
t = _text("/boot.py")
print(json.dumps({
    "pointer": _text("/agent/slot"),
    "slots": {n: {"files": _tree("/agent/" + n, {}, 9), "manifest": _text("/agent/" + n + ".json")}
              for n in ("a", "b")},
    "main": _main(),
    "boot": "?" if t is None and "boot.py" in os.listdir("/") else t,
    "block": s[0], "free": s[0] * s[3],
}))
"""


@dataclass(frozen=True)
class Slot:
    """A copy in flash: path below the slot to sha256 (hexadecimal).

    `manifest`: the same as they were when it was whole, None while it isn't; `agent`: its version;
    `main`: the SHA-256 of the /main.py that came with it, None where nobody wrote that down.
    """

    files: Mapping[str, str]
    manifest: Mapping[str, str] | None
    agent: str | None
    main: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every file is there as it was written, and no other."""
        return self.manifest is not None and dict(self.files) == dict(self.manifest)


@dataclass(frozen=True)
class Survey:
    """What is in flash. `pointer`: the slot that runs; without one the firmware's agent does,
    or that in /lib, or none.

    `main`: the SHA-256 of /main.py, None without one, or an empty one; `boot`: the text of
    /boot.py, "?" where it can't be read; `block`, `free` in octets.
    """

    pointer: str | None
    slots: Mapping[str, Slot]
    main: str | None
    boot: str | None
    block: int
    free: int


class Flash:
    """The slots of the board whose REPL this is. Every method raises BoardError.

    What ran on the board is forgotten first, so there is room: the board restarts afterwards.
    """

    def __init__(self, repl: Repl) -> None:
        self._repl = repl
        repl.run(FORGET)
        repl.run(_HELPERS)

    def survey(self) -> Survey:
        """Read everything and compute the sums, on the board."""
        answer = self._repl.ask(_SURVEY, _HASH_S)
        try:
            slots = {name: _slot(answer["slots"][name]) for name in SLOTS}
            pointer = answer["pointer"] if answer["pointer"] in SLOTS else None
            rest = (answer[name] for name in ("main", "boot", "block", "free"))
            return Survey(pointer, slots, *rest)
        except (KeyError, TypeError, AttributeError):
            raise BoardError(f"{self._repl.port}: the board's answer makes no sense") from None

    def forget(self, slot: str) -> None:
        """Say that a slot isn't whole, before the first of its files is touched."""
        self._repl.run(f"_dirs('{ROOT}/')\n_rm('{ROOT}/{slot}.json')")

    def remove(self, slot: str, paths: list[str]) -> None:
        """Remove files of a slot, and empty folders: one would hide a module of its name."""
        for some in _some(paths):
            self._repl.run(f"for p in {some!r}: _rm('{ROOT}/{slot}/' + p)")
        self._repl.run(f"_prune('{ROOT}/{slot}')")

    def make_folders(self, slot: str, paths: list[str]) -> None:
        """Make the folders that these files of a slot need."""
        folders = sorted({path.rpartition("/")[0] for path in paths})
        for some in _some(folders):
            self._repl.run(f"for p in {some!r}: _dirs('{ROOT}/{slot}/' + p + '/')")

    def copy(self, paths: list[str], source: str, target: str) -> None:
        """Copy files from slot to slot, on the board."""
        for some in _some(paths):
            self._repl.run(
                f"for p in {some!r}: _copy('{ROOT}/{source}/' + p, '{ROOT}/{target}/' + p)"
            )

    def write(self, files: Mapping[str, bytes]) -> Iterator[int]:
        """Write files (absolute paths, in existing folders), several in one go where they are
        small; gives the octets done after each go."""
        program: list[str] = []
        length = octets = 0
        for line, count in _lines(files):
            if length + len(line) > _PROGRAM_OCTETS_MAX:
                self._repl.run("\n".join(program))
                yield octets
                program, length, octets = [], 0, 0
            program.append(line)
            length += len(line) + 1
            octets += count
        self._repl.run("\n".join(program))
        yield octets

    def seal(self, slot: str, agent: str, sums: Mapping[str, str], main: bytes) -> None:
        """Say that a slot is whole. `main`: the /main.py that goes with it."""
        for _ in self.write({f"{ROOT}/{slot}.json": manifest(agent, sums, main)}):
            pass

    def switch(self, slot: str | None) -> None:
        """Have the next boot take this slot, None for what runs without; checked by reading."""
        if slot is None:
            self._repl.run(f"_rm('{POINTER}')")
        else:
            self._repl.run(f"_put('{POINTER}', {_base64(slot.encode())})")
        if self._repl.ask(f"print(json.dumps(_text('{POINTER}')))") != slot:
            raise BoardError(f"{self._repl.port}: the board's flash doesn't keep what is written")

    def write_main(self, content: bytes) -> None:
        """Put /main.py in place, in one rewrite."""
        self._repl.run(f"_put('/main.py', {_base64(content)})")
        if self._repl.ask("print(json.dumps(_main()))") != sha256(content).hexdigest():
            raise BoardError(f"{self._repl.port}: the board's flash doesn't keep what is written")

    def remove_boot(self) -> None:
        """Remove /boot.py; checked by looking."""
        self._repl.run("_rm('/boot.py')")
        if self._repl.ask("print(json.dumps('boot.py' in os.listdir('/')))"):
            raise BoardError(f"{self._repl.port}: the board's flash keeps its /boot.py")


def is_ports_boot(text: str | None) -> bool:
    """Whether a /boot.py holds nothing but lines of the port's own, which are comments."""
    own = {line.strip() for line in PORTS_BOOT.splitlines()}
    return text is not None and {line.strip() for line in text.splitlines()} <= own | {""}


def manifest(agent: str, sums: Mapping[str, str], main: bytes) -> bytes:
    """What says that a slot is whole: the agent's version, and the SHA-256 of each file and of the
    /main.py that goes with it."""
    told = {"agent": agent, "files": dict(sums), "main": sha256(main).hexdigest()}
    return json.dumps(told).encode()


def _slot(answer: dict[str, object]) -> Slot:
    files, text = answer["files"], answer["manifest"]
    if not isinstance(files, dict):
        raise TypeError
    try:
        manifest = json.loads(text) if isinstance(text, str) else None
        if manifest is not None:
            main = manifest.get("main")  # releases before 0.4 wrote none
            return Slot(files, dict(manifest["files"]), str(manifest["agent"]), main)
    except (ValueError, KeyError, TypeError):  # cut off while it was written
        pass
    return Slot(files, None, None)


def _lines(files: Mapping[str, bytes]) -> Iterator[tuple[str, int]]:
    """The statements that write these files, and how many octets each writes.

    A file is opened once: littlefs erases a block for nearly every append to a closed one.
    """
    for path, content in files.items():
        yield f"_begin({path!r})", 0
        for at in range(0, len(content), _CHUNK):
            chunk = content[at : at + _CHUNK]
            yield f"_more({_base64(chunk)})", len(chunk)
        yield "_end()", 0


def _base64(octets: bytes) -> str:
    """Octets as a literal for `binascii.a2b_base64`."""
    return repr(base64.b64encode(octets).decode())


def _some(paths: list[str]) -> Iterator[list[str]]:
    """Paths in portions whose program isn't too long."""
    portion = 40
    return (paths[at : at + portion] for at in range(0, len(paths), portion))
