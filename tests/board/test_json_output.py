"""What commands about a board print, for programs and for people."""

import pytest
from json_output import checked

from roamkey.lab.board import VirtualBoard


@pytest.mark.lab
def test_boards_doctor_install(
    virtual: VirtualBoard, roamkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROAMKEY_PORTS", f"{virtual.port}:/dev/no-such-port")
    code, out, _ = roamkey("boards", "--json")
    missing, board = checked("boards", out)
    assert (code, board["state"], missing["state"]) == (0, "agent", "unreachable")
    assert board["board"] == virtual.unique_id.hex() and board["provisioned"] is False

    code, out, _ = roamkey("doctor", "--board", board["board"], "--json")
    assert (code, checked("doctor", out)["fit"]) == (0, True)

    # Without keys the agent sends nothing, on whichever network.
    code, out, _ = roamkey("install", "--port", virtual.port, "--json")
    assert (code, checked("install", out)["slot"]) == (0, "a")


@pytest.mark.lab
def test_for_people_at_80_columns(
    virtual: VirtualBoard, roamkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("ROAMKEY_PORTS", virtual.port)
    said = {
        command: roamkey(command, *options)[1]
        for command, options in (("boards", ()), ("doctor", ("--port", virtual.port)))
    }
    for text in said.values():
        assert max(map(len, text.splitlines())) <= 80
    assert virtual.unique_id.hex() in said["boards"] and "1.2" in said["boards"]
    assert "-> roamkey provision" in said["doctor"] and "fit for the agent" in said["doctor"]
    monkeypatch.setenv("ROAMKEY_PORTS", "")
    assert "No board is plugged in" in roamkey("boards")[1]
