"""Boards that start afresh are waited for, and nobody else's is asked meanwhile."""

import threading
from pathlib import Path

import pytest

from roamkey.board.agent import await_agent
from roamkey.board.discovery import PORTS_VARIABLE

from .conftest import FakeBoard


def test_a_board_that_comes_back_elsewhere_is_found_and_no_other_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = tmp_path / "ports"
    ports.mkdir()
    monkeypatch.setenv(PORTS_VARIABLE, str(ports))
    other, before, after = (
        FakeBoard(ports / name, board)
        for name, board in (("a", "0ther0"), ("b", "b0a4d0"), ("c", "b0a4d0"))
    )
    other.plug()
    before.plug()
    before.unplug()
    comes = threading.Timer(1.0, after.plug)
    comes.start()
    try:
        where, identity = await_agent(str(ports / "b"), "b0a4d0", 10)
        assert (where, identity.board) == (str(ports / "c"), "b0a4d0")
        assert not other.heard  # somebody may work on it
    finally:
        comes.join()
        for each in (other, before, after):
            each.unplug()
