"""What is read off the wire: messages as they are, and inside UDP."""

import pytest
from encapsulated_samples import ENCAPSULATED
from mobility_samples import vector

from roamkey.lab.wire import read_signal

ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}


def framed(octets: bytes) -> bytes:
    return bytes(12) + ETHERTYPES[octets[0] >> 4] + octets


@pytest.mark.parametrize("v", ENCAPSULATED, ids=lambda v: v["name"])
def test_a_message_inside_udp(v):
    signal = read_signal(1.0, framed(bytes.fromhex(v["datagram"])))
    if "authenticator" not in v:
        assert signal is None
        return
    assert signal is not None and signal.way == v["way"] and signal.home_address == v["hoa"]
    assert (signal.sequence, signal.lifetime) == (v["sequence"], 4 * v["lifetime"])
    assert signal.is_update == (v["kind"] == "bu") and signal.status == v.get("status")
    outer = v["outer"]["source" if signal.is_update else "destination"]
    assert signal.near == outer
    assert signal.care_of_address == (v["coa"] if signal.is_update else outer)


def test_a_native_message():
    signal = read_signal(1.0, framed(vector("kcn32-static-bu")))
    assert signal is not None and signal.way == "native" and signal.is_update
    assert signal.care_of_address == signal.near == "2001:db8:b::101"
    answer = read_signal(1.0, framed(vector("kcn32-static-ba")))
    assert answer is not None and answer.care_of_address == "2001:db8:b::101"
    assert read_signal(1.0, framed(b"\x45" + bytes(30))) is None
