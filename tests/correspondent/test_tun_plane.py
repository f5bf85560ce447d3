"""A node's programs by way of a TUN device: where there is none, the node goes on without."""

from ipaddress import IPv6Address
from types import SimpleNamespace
from typing import Any

import pytest

from mip6.bindings import states
from roamkey.correspondent.dataplane import tun
from roamkey.node.tun_plane import TunPlane

HOME, CORRESPONDENT = (IPv6Address(one).packed for one in ("2001:db8:a::77", "2001:db8:c::1"))


def test_a_device_that_there_cannot_be_is_told_and_tried_for(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not more often than each quarter of a minute; nothing is raised into the node."""
    tried = []
    real = tun.open_device

    def counted(*given: Any) -> tuple[int, str]:
        tried.append(given)
        return real(*given)

    monkeypatch.setattr(tun, "PATH", str(tmp_path / "tun"))
    monkeypatch.setattr(tun, "open_device", counted)
    bindings = SimpleNamespace(home_address=HOME, attachment=states.AWAY)
    node: Any = SimpleNamespace(bindings=bindings, correspondents=[CORRESPONDENT])
    plane = TunPlane("asked for")
    plane.start(node)
    assert (plane.plane, plane.why) == ("tun", "asked for")
    plane.follow()
    assert plane.plane == "none" and "No such file or directory" in plane.why
    assert len(tried) == 1
    for _ in range(100):
        plane.follow()
    for _ in range(30):
        plane.look()
    assert len(tried) == 3
    node.bindings = None  # the keys are gone
    plane.follow()
    assert (plane.plane, plane.why) == ("tun", "asked for")
    for _ in range(30):
        plane.look()
    assert len(tried) == 3
