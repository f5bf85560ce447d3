"""The key store on MicroPython's own littlefs: the short form of `make fuzz` and `make bench`."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.storage import prepare, start

from roamkey.board.built import image_for

PROJECT = Path(__file__).parents[2]
_PATIENCE_S = 600.0  # half a minute of work, beside whatever else

pytestmark = pytest.mark.timeout(_PATIENCE_S)


def bench(script: str, out: Path) -> dict:
    """Run a script of bench/ in its quick form; return the JSON that it wrote."""
    done = subprocess.run(
        [sys.executable, str(PROJECT / "bench" / script), "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S - 10,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs, and the agent that they run on."""
    return prepare(tmp_path_factory.mktemp("programs"))


def test_what_is_cut_is_what_a_board_gets(programs: Path) -> None:
    """The programs find the agent's files as installed, and no other form of them."""
    told = "from mip6 import keystore, ports\nprint(keystore.__file__, ports.__file__)"
    assert start(programs, "-c", told).stdout.split() == [
        "mip6/keystore.mpy",
        "mip6/ports.mpy",
    ]
    found = {
        str(path.relative_to(programs)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in programs.rglob("*.*")
        if path.parent != programs
    }
    assert found == image_for("linux", 0x306).sums


def test_a_program_that_fails_says_so(programs: Path) -> None:
    """Its assertions are still there: mpy-cross takes those of what it compiles away."""
    told = "import story\nstory.Story('rp2', 1).truth.took(b'', -1)"
    assert "AssertionError" in start(programs, "-c", told).stdout


def test_no_cut_repeats_a_number_or_loses_a_key_set(tmp_path: Path) -> None:
    cuts = bench("cuts.py", tmp_path / "cuts.json")
    assert cuts["tried"] > 3000
    assert cuts["reused"] == cuts["lost_sets"] == cuts["crashed"] == 0
    assert cuts["most_lost"] <= 16
    for geometry in ("rp2", "esp32"):
        assert set(cuts[geometry]["statuses"]) == {"ready", "empty", "unfinished", "damaged"}
        assert all(cuts[geometry]["steps"].values())
        assert cuts["faults"][geometry]["one_error"]["refused"] > 0
        for kind in cuts["remains"][geometry].values():
            assert kind["left"] == 0


@pytest.mark.parametrize("geometry", ["rp2", "esp32"])
def test_the_cuts_would_show_a_counter_that_reserves_too_late(
    programs: Path, geometry: str
) -> None:
    done = start(programs, "cuts.py", geometry, "0.02", "1", "0", "broken")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.strip().splitlines()[-1])["reused"] > 0


@pytest.mark.slow
def test_wear_and_losses_keep_their_bounds(tmp_path: Path) -> None:
    wear = bench("wear.py", tmp_path / "wear.json")
    share = 1 / 16  # of a key's life, in the quick form
    for geometry, most in (("rp2", 300), ("esp32", 80)):
        measured = wear[geometry]
        for pattern in ("long_session", "nearly_full"):
            assert measured[pattern]["erases"] <= most * share
        assert measured["long_session"]["naive_erases"] > 10 * measured["long_session"]["erases"]
        assert measured["deep_sleep"]["lost"] == 0
        assert measured["deep_sleep"]["writes_per_use"] <= 1.1
        assert measured["rtc_sleep"]["lost"] == 0
        assert measured["rtc_sleep"]["writes_per_use"] < 0.1
        assert measured["unclean"]["max_lost"] <= 16
        assert measured["short"]["max_lost"] <= 4
    assert wear["sha1_shim"]["ratio"] > 1
