"""The rules of the house, held to by who imports whom: see docs/DESIGN.md, "The house"."""

import re
from pathlib import Path

from support.imports import Import, below, circles, inside_functions, modules, reached, read

from mip6.terminal import TRANSIENT

ROOT = Path(__file__).parents[1]
HOST = ROOT / "host_tools" / "roamkey"
IMPORTS = read(HOST, "roamkey")
AT_START = [each for each in IMPORTS if not each.function]

#: The only imports inside functions: who, what, and why not at the top.
LOAD_POINTS = {
    "roamkey.__main__": ({"roamkey.cli"}, "Ctrl-C is looked after before"),
    "roamkey.board.esp32": (
        {"esptool", "esptool.cmds", "esptool.logger", "esptool.util"},
        "an extra",
    ),
    "roamkey.board.flasher": ({"roamkey.board.esp32"}, "needs the extra `flash`"),
    "roamkey.cli": (
        {"roamkey.cli.completing", "roamkey.cli.root"},
        "the parser: `roamkey --help` does without",
    ),
    "roamkey.cli.board_options": ({"roamkey.board.discovery"}, "20 ms, where no port is named"),
    "roamkey.cli.correspondent_page": (
        {"roamkey.correspondent.page.access", "roamkey.correspondent.page.serve"},
        "needs the extra `page`; the options must show without it",
    ),
    "roamkey.cli.decode": ({"roamkey.registry"}, "a database library, for --registry alone"),
    "roamkey.cli.field": (
        {"roamkey.field.compare", "roamkey.field.output"},
        "they draw, with the extra `lab`; --json needs none of it",
    ),
    "roamkey.cli.lazy": ({"roamkey.cli.examples"}, "for a help alone"),
    "roamkey.cli.output": ({"roamkey.cli.bars"}, "20 ms, for bars alone"),
    "roamkey.cli.status": ({"roamkey.build.lines"}, "the compiler's, for tracebacks alone"),
    "roamkey.correspondent.telling": (
        {"roamkey.correspondent.metrics", "roamkey.correspondent.nodemetrics"},
        "prometheus_client: not in the memory of daemons that serve no metrics",
    ),
    "roamkey.extras": ({"importlib"}, "9 ms, and seldom needed"),
    "roamkey.lab.browser": ({"selenium", "selenium.webdriver.chrome.service"}, "of `dev` alone"),
    "roamkey.registry": (
        {"roamkey.registry.registry"},
        "the database library: whoever has keys in a file needs none",
    ),
    "roamkey.registry.batches": (
        {"roamkey.registry.batch_arrays", "roamkey.registry.batch_rows"},
        "of the database in use alone: each has its dialect of SQL",
    ),
    "roamkey.registry.encryption": (
        {
            "cryptography.exceptions",
            "cryptography.hazmat.primitives.ciphers.aead",
            "cryptography.hazmat.primitives.kdf.scrypt",
        },
        "only where a registry is encrypted",
    ),
    "roamkey.registry.versions": (
        {"roamkey.registry.migrations"},
        "alembic: only where an older registry is upgraded",
    ),
}

LINES_MAX = 350
#: What may be longer, and by how much at most.
LONGER = {
    "roamkey.board.installer": 405,  # all ways of an agent to a board, and back
    "roamkey.registry.registry": 520,  # all that one asks of it
    "roamkey.correspondent.daemon": 420,  # the loop, until parts of it have rooms of their own
}

AGENT = ROOT / "firmware" / "mip6"
AGENT_IMPORTS = read(AGENT, "mip6")

#: The agent's load points: what is in memory only for a while, or on one platform alone.
AGENT_LOAD_POINTS = {
    "mip6.agent": (
        {
            "mip6.console.lock", "mip6.console.methods", "mip6.console.upkeep",
            "mip6.homeagent.update_list", "mip6.homelink.wlan", "mip6.routability.binding",
            "mip6.inplace.begin", "mip6.keychange.check", "mip6.maintenance.absent",
            "mip6.maintenance.facts", "mip6.maintenance.networklist",
            "mip6.maintenance.watchdog", "mip6.status",
        },
        "the console, while somebody talks; the others at the start",
    ),
    "mip6.application": ({"app", "app_try", "mip6.applog"}, "the user's own program"),
    "mip6.console.upkeep": (
        {"mip6.applog", "mip6.maintenance.sums", "mip6.pathcheck"}, "while somebody asks",
    ),
    "mip6.errors": ({"traceback"}, "CPython's"),
    "mip6.inplace.begin": ({"machine", "uctypes"}, "MicroPython's"),
    "mip6.homeagent.update_list": (
        {"mip6.routability.binding"}, "where a correspondent without a key was provisioned",
    ),
    "mip6.keystore.keystore": (
        {"mip6.keychange.change", "mip6.keychange.check"}, "at the start, and while keys change",
    ),
    "mip6.maintenance.facts": (
        {"machine", "mip6.ports.portsboot"}, "no unix port has all of it; ESP32's",
    ),
    "mip6.maintenance.watchdog": ({"machine"}, "as above"),
    "mip6.node": (
        {"mip6.homeagent.update_list", "mip6.status"},
        "where a home agent was provisioned; while somebody asks",
    ),
    "mip6.ports.board": (
        {"machine", "mip6.ports.esp32", "mip6.ports.posix", "mip6.ports.retained",
         "mip6.ports.rp2"},
        "a platform's own",
    ),
    "mip6.native.esp": ({"socket"}, "of that firmware"),
    "mip6.native.lwip": ({"machine", "socket"}, "of that firmware"),
    "mip6.ports.esp32": (
        {"ip6sta", "machine", "mip6.native.esp", "network"}, "of that firmware, and if native",
    ),
    "mip6.ports.files": ({"mip6.maintenance.scrubbing", "vfs"}, "seldom; MicroPython's"),
    "mip6.ports.rp2": (
        {"machine", "mip6.native.lwip", "network"}, "of that firmware, and if native",
    ),
    "mip6.ports.wifi": (
        {"mip6.homelink.wlan", "mip6.maintenance.networklist"},
        "where a home agent was provisioned; when networks change",
    ),
}  # fmt: skip

#: What does I/O, keeps time, draws lots or holds a database.
OUTSIDE = (
    "alembic", "asyncio", "os", "pathlib", "random", "secrets", "select", "selectors", "signal",
    "socket", "sqlalchemy", "sqlite3", "subprocess", "threading", "time",
)  # fmt: skip


def told(found: list[Import]) -> str:
    """The way, an import a line."""
    return "\n".join(map(str, found))


def refused(start: str, *rooms: str, imports: list[Import] = IMPORTS) -> list[str]:
    """The ways from a room to others where none may lead."""
    return [
        told(way)
        for name, way in reached(imports, start).items()
        if any(below(name, room) for room in rooms)
    ]


def test_no_circle() -> None:
    assert circles(IMPORTS) == []


def test_sql_only_in_the_registry() -> None:
    """The events are kept in a file of their own, beside the registry and without its tables."""
    ours = [each for each in IMPORTS if not below(each.importer, "roamkey.registry")]
    assert not [each for each in ours if each.imported.split(".")[0] in ("sqlalchemy", "alembic")]
    assert {each.importer for each in ours if each.imported == "sqlite3"} == {
        "roamkey.correspondent.events.file",
        "roamkey.correspondent.events.recorder",
        "roamkey.correspondent.page.feed",
    }
    tables = ("batches", "bindings", "keysets", "questions", "schema", "seals", "vault")
    assert not [
        str(each)
        for each in ours
        if each.imported in {f"roamkey.registry.{name}" for name in tables}
    ]


def test_the_registry_knows_nobody_above_it() -> None:
    rooms = ("board", "cli", "correspondent", "decode", "enroll", "field", "fleet", "lab")
    assert refused("roamkey.registry", *(f"roamkey.{room}" for room in rooms)) == []


def test_enrolling_knows_no_correspondent() -> None:
    rooms = ("cli", "correspondent", "field", "fleet", "lab")
    assert refused("roamkey.enroll", *(f"roamkey.{room}" for room in rooms)) == []


def test_the_cores_do_no_io() -> None:
    cores = ("roamkey.correspondent.core", "roamkey.home_agent.core")
    for core in cores:
        assert refused(core, *OUTSIDE, imports=AT_START) == []
        within = reached(IMPORTS, core)
        rooms = ("roamkey.correspondent", "roamkey.home_agent")
        others = {name for name in within if any(below(name, room) for room in rooms)}
        assert {name for name in others if not any(below(name, one) for one in cores)} <= {*rooms}
        assert not [each for each in IMPORTS if below(each.importer, core) and each.function]
    assert refused("roamkey.correspondent", "roamkey.home_agent") == []


def test_the_laboratory_and_the_command_are_nobodys_need() -> None:
    for room, users in (("roamkey.lab", "roamkey.cli"), ("roamkey.cli", "roamkey.__main__")):
        strangers = [
            str(each)
            for each in IMPORTS
            if below(each.imported, room)
            and not below(each.importer, room)
            and not below(each.importer, users)
        ]
        assert strangers == []


def test_imports_inside_functions_only_at_the_load_points() -> None:
    assert inside_functions(IMPORTS) == {name: what for name, (what, _) in LOAD_POINTS.items()}


def test_files_hold_one_idea() -> None:
    """100 to 300 lines is a good size."""
    lines = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for name, path in modules(HOST, "roamkey").items()
    }
    most = dict.fromkeys(lines, LINES_MAX) | LONGER
    assert {name: count for name, count in lines.items() if count > most[name]} == {}


def test_the_map_has_every_room() -> None:
    """docs/DESIGN.md, "The house": each folder and each file beside them, and nothing else."""
    design = (ROOT / "docs" / "DESIGN.md").read_text(encoding="utf-8")
    drawn = re.search(r"^host_tools/roamkey .*?^```", design, re.MULTILINE | re.DOTALL)
    assert drawn is not None
    mapped = set()
    for line in drawn[0].splitlines()[1:-1]:
        if line.startswith("  ") and line[2] != " ":
            mapped |= set(re.split(r",? +", re.split(r"  +", line.strip())[0]))
    rooms = {
        path.name + "/" for path in HOST.iterdir() if path.is_dir() and any(path.glob("*.py"))
    }
    files = {path.stem for path in HOST.glob("*.py") if not path.stem.startswith("__")}
    assert mapped == rooms | files


# --- the agent


def test_no_circle_in_the_agent() -> None:
    assert circles(AGENT_IMPORTS) == []


def test_the_agents_imports_inside_functions_are_the_load_points() -> None:
    found = inside_functions(AGENT_IMPORTS)
    assert found == {name: what for name, (what, _) in AGENT_LOAD_POINTS.items()}


def test_keys_and_bindings_know_no_console() -> None:
    above = ("agent", "application", "console", "node", "ports", "terminal")
    at_top = [each for each in AGENT_IMPORTS if not each.function]
    for room in ("mip6.keystore", "mip6.bindings", "mip6.keychange"):
        names = tuple(f"mip6.{name}" for name in above)
        assert refused(room, *names, imports=AGENT_IMPORTS) == []
        assert refused(room, "mip6.status", imports=at_top) == [] or room == "mip6.keychange"


def test_the_agents_core_does_no_io() -> None:
    outside = (*OUTSIDE, "machine", "network", "vfs", "mip6.clock", "mip6.ports")
    at_top = [each for each in AGENT_IMPORTS if not each.function]
    core = ("keys", "packets", "messages", "bindings", "keystore", "keychange", "status",
            "homeagent", "routability")  # fmt: skip
    for room in core:
        assert refused(f"mip6.{room}", *outside, imports=at_top) == [], room


def test_what_comes_and_goes_is_imported_at_load_points_only() -> None:
    rooms = tuple(f"mip6.{name}" for name in TRANSIENT)
    strays = [
        str(each)
        for each in AGENT_IMPORTS
        if not each.function
        and any(below(each.imported, room) for room in rooms)
        and not any(below(each.importer, room) for room in rooms)
    ]
    assert strays == []


def test_no_import_error_is_swallowed() -> None:
    """An ImportError is caught where a platform's own module is asked for, and nowhere else."""
    caught = {
        path.relative_to(AGENT).as_posix()
        for path in AGENT.rglob("*.py")
        if re.search(r"except[^\n]*ImportError", path.read_text(encoding="utf-8"))
    }
    assert caught == {"compat.py", "maintenance/facts.py", "ports/esp32.py", "ports/files.py"}


def test_the_map_has_every_file_of_the_agent() -> None:
    """docs/DESIGN.md, "The house": each folder, and each file beside or named in it."""
    design = (ROOT / "docs" / "DESIGN.md").read_text(encoding="utf-8")
    drawn = re.search(r"^firmware/mip6 .*?(?=^host_tools)", design, re.MULTILINE | re.DOTALL)
    assert drawn is not None
    words = set(re.findall(r"[\w/]+", drawn[0]))
    for path in AGENT.rglob("*.py"):
        folder = path.parent.name
        if path.stem == "__init__" and path.parent != AGENT:
            assert f"{folder}/" in words
        elif folder != "ports":
            assert path.stem in words, path


# --- that the tests would notice


def written(folder: Path, **sources: str) -> list[Import]:
    for name, text in sources.items():
        path = folder / ((name if "/" in name else name.replace("__", "/")) + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read(folder, "house")


def test_a_circle_is_seen(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        a="from . import b\nimport os",
        b="def late():\n    from house.room import c",
        room__c="from ..a import something",
        d="from .a import x",
    )
    assert circles(found) == [["house.a", "house.b", "house.room.c"]]
    assert inside_functions(found) == {"house.b": {"house.room.c"}}
    (way,) = refused("house.d", "os", imports=found)
    assert way == "house.d:1 imports house.a\nhouse.a:2 imports os"


def test_what_only_type_checkers_read_is_no_import(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house import b\n"
    found = written(tmp_path, a=text, b="import house.a")
    assert circles(found) == []


def test_a_room_that_is_imported_brings_its_door(tmp_path: Path) -> None:
    found = written(
        tmp_path, a="import house.room.c", **{"room/__init__": "import os"}, room__c=""
    )
    assert "os" in reached(found, "house.a")
