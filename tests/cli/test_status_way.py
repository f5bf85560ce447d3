"""How `roamkey status` says by which way a correspondent is reached."""

import pytest

from roamkey.cli import status

BOUND = {
    "correspondent": "fd00:1:c::1", "state": "bound", "way": "udp4", "nat": True,
    "endpoint": "192.0.2.1:4191", "round_trip_ms": 43, "unanswered": 0,
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], **changes: object) -> str:
    status._show_node({"state": "away", "text": "", "bindings": [{**BOUND, **changes}]})
    return capsys.readouterr().out


def test_the_way_in_use_its_round_trip_and_what_went_unanswered(capsys) -> None:
    assert "udp4 to 192.0.2.1:4191, behind a NAT, 43 ms there and back\n" in shown(capsys)
    told = shown(capsys, way="native", endpoint=None, nat=False, unanswered=3)
    assert "native, 43 ms there and back, 3 updates unanswered\n" in told


def test_agents_of_before_and_sealed_boards_say_no_way(capsys) -> None:
    status._show_node({"state": "away", "bindings": [{"state": "bound"}]})
    assert "way" not in capsys.readouterr().out.replace("away", "")


def test_why_addresses_wait(capsys) -> None:
    node = {"state": "away", "waits": "eth0: this machine forwards packets, so its kernel doesn't"}
    status._show_node(node)
    assert f"after duplicate detection ({node['waits']})\n" in capsys.readouterr().out
    status._show_node({**node, "waits": ""})
    assert "detection" not in capsys.readouterr().out
