"""The kernel that tests marked `kernel` run in: see `support/uml.py`."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import uml

from roamkey.correspondent.dataplane import inkernel
from roamkey.lab import sandbox

ROOT = Path(__file__).parents[2]


@pytest.mark.kernel
def test_it_has_mobile_ipv6_and_cannot_write_to_this_host(tmp_path):
    assert uml.inside()
    assert inkernel.refusal() is None
    with pytest.raises(OSError):
        (ROOT / "written").write_text("")
    (tmp_path / "written").write_text("")


@pytest.mark.kernel
@pytest.mark.lab
def test_it_has_namespaces(lab_network):
    assert uml.inside() and sandbox.inside()
    assert "lo" in lab_network.namespace("correspondent").interfaces()


@pytest.mark.skipif(uml.refusal() is not None, reason=str(uml.refusal()))
@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("exec sleep 100", 124)])
def test_a_command_gives_its_exit_code_and_has_its_time(command, code):
    assert uml.run(["sh", "-c", command], 8) == code


@pytest.mark.kernel
def test_what_fails_there_is_reported_here():
    """(The failing test is this one's own child: a pytest in there.)"""
    path = Path("/tmp/test_fails.py")
    path.write_text("def test_it():\n    assert False\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path)])
    assert done.returncode == 1
