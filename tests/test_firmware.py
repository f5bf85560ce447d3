"""Which files go on a board, from a checkout and from an installed package."""

import shutil
from pathlib import Path

import pytest

from roamkey import firmware
from roamkey.errors import SystemRefusedError


def test_checkout_files_are_where_a_board_looks_for_them():
    files = firmware.board_files()
    assert {"/main.py", "/lib/mip6/__init__.py", "/lib/mip6/keys.py"} <= set(files)
    assert all(path.is_file() and path.suffix == ".py" for path in files.values())
    assert not any("__pycache__" in name for name in files)


def test_installed_package_gives_the_same_files(tmp_path, monkeypatch):
    here = firmware.board_files()
    installed = tmp_path / "roamkey" / "_firmware"
    checkout = Path(firmware.__file__).parents[2] / "firmware"
    shutil.copytree(checkout / "lib", installed / "lib")
    shutil.copy(checkout / "main.py", installed)
    monkeypatch.setattr(firmware, "_CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(firmware, "_PACKAGE", tmp_path / "roamkey")
    there = firmware.board_files()
    assert list(there) == list(here)
    assert there["/main.py"] == installed / "main.py"


def test_an_installation_without_firmware_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(firmware, "_CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(firmware, "_PACKAGE", tmp_path)
    with pytest.raises(SystemRefusedError, match="install roamkey again"):
        firmware.board_files()
