"""The Pico W's interface over made-up memory: its self-check, addresses used at once, routers.

`_Netif` keeps lwIP's table where MicroPython 1.28 has it and does what its sources say; what the
real one does is tested in the emulator (tests/pico_w/test_handover.py).
"""

from mip6 import addresses, packets
from mip6.homelink import wlan as wlan_home
from mip6.ports import cyw43

_WLAN = 0x10080B94
_DRIVER = 0x20002158
_NETIF = _DRIVER + 2276
_MAC = b"\x00\x10\x18\x00\x00\x02"
_LOCAL = addresses.parse("fe80::210:18ff:fe00:2")
_ONE = addresses.parse("2001:db8:1::210:18ff:fe00:2")
_TWO = addresses.parse("2001:db8:2::210:18ff:fe00:2")
_TENTATIVE, _PREFERRED, _DUPLICATED = 0x08, 0x30, 0x40


class _Words:
    """machine.mem32 over the same octets as mem8."""

    def __init__(self, octets):
        self._octets = octets

    def __getitem__(self, at):
        return sum(self._octets.get(at + i, 0) << 8 * i for i in range(4))

    def __setitem__(self, at, value):
        for i in range(4):
            self._octets[at + i] = value >> 8 * i & 255


class _Octets:
    """machine.mem8; keeps what was written."""

    def __init__(self):
        self.octets = {}
        self.written = []

    def __getitem__(self, at):
        return self.octets.get(at, 0)

    def __setitem__(self, at, value):
        self.written.append(at)
        self.octets[at] = value

    def get(self, at, other):
        return self.octets.get(at, other)


class _Netif:
    """network.WLAN with lwIP's netif beside it in memory."""

    PM_NONE = 0x10

    def __init__(self):
        self.mem8 = _Octets()
        self.mem32 = _Words(self.mem8)
        self.power = 0xA11142
        self.sent = []
        self.calls = []
        self.scan = self.status = self.disconnect = None
        self.mem32[_WLAN + 4] = _DRIVER
        self.active(True)
        self.calls.clear()

    def active(self, on):
        self.calls.append(("active", on, self.mem8[_NETIF - 132], self.mem32[_NETIF + 244]))
        if on:
            self.mem8[_NETIF - 132] |= 1
            self.put(0, _LOCAL, _TENTATIVE, 0, 0)
            for slot in (1, 2):
                self.put(slot, bytes(16), 0, 0, 0)
            self.mem32[_NETIF + 196] = _DRIVER
            self.mem32[_NETIF + 240] = 0x10054C85
            self.mem32[_NETIF + 244] = 0x10054CC5
            for i, octet in enumerate(b"\xdc\x05\xdc\x05" + _MAC + b"\x06\x7bw0"):
                self.mem8[_NETIF + 222 + i] = octet
            self.mem8[_NETIF + 238] = 3
        else:
            self.mem8[_NETIF - 132] &= ~1

    def put(self, slot, octets, state, valid, preferred):
        at = _NETIF + 76 + 24 * slot
        for i in range(16):
            self.mem8[at + i] = octets[i]
        self.mem8[at + 20] = 6
        self.mem8[_NETIF + 148 + slot] = state
        self.mem32[_NETIF + 152 + 4 * slot] = valid
        self.mem32[_NETIF + 164 + 4 * slot] = preferred

    def slot(self, slot):
        """(state, valid, preferred)."""
        lives = _NETIF + 4 * slot
        return self.mem8[_NETIF + 148 + slot], self.mem32[lives + 152], self.mem32[lives + 164]

    def ipconfig(self, addr6):
        """As MicroPython sets a static address; one that isn't there would corrupt memory."""
        self.calls.append(("ipconfig", addr6))
        octets = addresses.parse(addr6)
        for slot in range(3):
            at = _NETIF + 76 + 24 * slot
            if bytes([self.mem8[at + i] for i in range(16)]) == octets and self.slot(slot)[0]:
                self.put(slot, octets, _PREFERRED, 0, 0)
                return
        raise AssertionError("no such address")

    def config(self, key=None, pm=None):
        if key == "mac":
            return _MAC
        if key is None:
            self.power = pm
        return self.power

    def send_ethernet(self, frame):
        self.sent.append(bytes(frame))


def _interface(wlan):
    return cyw43.Cyw43(wlan, wlan.mem8, wlan.mem32, lambda _: _WLAN)


def _started():
    wlan = _Netif()
    interface = _interface(wlan)
    interface.active(True)
    wlan.calls.clear()
    return wlan, interface


def _check(wlan):
    return cyw43.find_netif(_WLAN, _MAC, wlan.mem8, wlan.mem32)


def test_the_netif_is_found_where_it_must_be():
    assert _check(_Netif()) == _NETIF


def test_any_field_amiss_and_nothing_is_touched():
    fields = [_WLAN + 5, _WLAN + 8, _NETIF - 132, _NETIF + 196, _NETIF + 76, _NETIF + 91]
    fields += [_NETIF + 96, _NETIF + 222, _NETIF + 226, _NETIF + 231, _NETIF + 232, _NETIF + 234]
    fields += [_NETIF + 235, _NETIF + 243, _NETIF + 247]
    for at in fields:
        wlan = _Netif()
        wlan.mem8.octets[at] = wlan.mem8[at] ^ 2
        assert _check(wlan) == 0
    wlan = _Netif()
    wlan.mem32[_WLAN + 4] = 0x10002158  # not RAM
    interface = _interface(wlan)
    interface.active(True)
    wlan.mem8.written.clear()
    wlan.put(1, _ONE, _TENTATIVE, 3600, 1800)
    wlan.mem8.written.clear()
    interface.renew(True)
    assert not (interface.hurry() or interface.heard() or interface.doubt())
    assert not [call for call in wlan.calls if call[0] == "ipconfig"]
    interface.solicit()  # by WLAN alone
    assert len(wlan.sent) == 1


def test_a_new_address_is_used_at_once_and_the_neighbours_are_asked():
    wlan, interface = _started()
    interface.renew(True)
    interface.prove()
    wlan.sent.clear()
    wlan.put(1, _ONE, _TENTATIVE, 3600, 1800)
    assert interface.hurry() and not interface.hurry()
    assert wlan.slot(1) == (_PREFERRED, 3600, 1800) and not interface.duplicated
    interface.prove()
    interface.prove()
    (frame,) = wlan.sent
    assert frame[:14] == b"\x33\x33\xff\x00\x00\x02" + _MAC + b"\x86\xdd"
    packet = packets.parse(frame[14:])
    assert packet.logical_source == bytes(16) and frame[14 + 7] == 255
    assert packet.logical_destination == addresses.parse("ff02::1:ff00:2")
    assert bytes(packet.payload[:1]) == b"\x87" and bytes(packet.payload[8:]) == _ONE
    assert packet.checksum_ok()


def test_an_address_that_comes_while_another_is_taken_is_taken_too():
    wlan, interface = _started()
    interface.renew(True)
    ipconfig = wlan.ipconfig

    def and_another_comes(addr6):
        ipconfig(addr6)
        if not wlan.slot(2)[0]:
            wlan.put(2, _TWO, _TENTATIVE, 3600, 1800)

    wlan.ipconfig = and_another_comes
    wlan.put(1, _ONE, _TENTATIVE, 3600, 1800)
    assert interface.hurry() and not interface.hurry()
    assert (wlan.slot(1)[0], wlan.slot(2)[0]) == (_PREFERRED, _PREFERRED)


def test_a_duplicate_shows():
    wlan, interface = _started()
    interface.hurry()
    wlan.put(1, _ONE, _TENTATIVE, 3600, 1800)
    interface.hurry()
    wlan.mem8[_NETIF + 149] = _DUPLICATED
    assert interface.hurry() and interface.duplicated
    assert [call for call in wlan.calls if call[0] == "ipconfig"][2:] == []


def test_made_anew_without_setting_the_chip_up():
    wlan, interface = _started()
    interface.renew(True)
    assert wlan.calls[:2] == [("active", False, 0x81, 0), ("active", True, 0x80, 0)]
    assert wlan.mem8[_NETIF - 132] == 1
    assert wlan.mem32[_NETIF + 240] == 0x10054C85  # the interface sets its functions itself
    assert wlan.slot(0)[0] == _PREFERRED
    wlan.calls.clear()
    interface.renew(False)
    assert wlan.calls[:2] == [("active", False, 1, 0x10054CC5), ("active", True, 0, 0x10054CC5)]


def test_routers_are_asked_from_an_address_that_they_can_answer():
    wlan, interface = _started()
    interface.solicit()
    interface.hurry()
    interface.solicit()
    first, second = [packets.parse(frame[14:]) for frame in wlan.sent]
    assert (first.logical_source, second.logical_source) == (bytes(16), _LOCAL)
    for packet in (first, second):
        assert packet.logical_destination == addresses.parse("ff02::2")
        assert bytes(packet.payload[:1]) == b"\x85" and len(packet.payload) == 8
        assert packet.checksum_ok()
    assert not interface.heard()
    wlan.mem8[_NETIF + 238] = 0
    assert interface.heard()


def test_the_home_address_is_announced_octet_by_octet():
    """RFC 4861 sections 4.4 and 7.2.6: unsolicited, overriding, with the target's address."""
    wlan, interface = _started()
    home = addresses.parse("2001:db8:a::1:7a")
    at_home = wlan_home.WlanHome(interface, home, None, None, None)
    at_home.announce("network")
    (frame,) = wlan.sent
    everybody = b"\xff\x02" + bytes(13) + b"\x01"
    message = b"\x88\x00" + frame[56:58] + b"\x20\0\0\0" + home + b"\x02\x01" + _MAC
    header = b"\x60\0\0\0\x00\x20\x3a\xff" + home + everybody
    assert frame == b"\x33\x33\0\0\0\x01" + _MAC + b"\x86\xdd" + header + message
    assert packets.checksum(home, everybody, packets.ICMPV6, message) == 0


def test_a_minute_is_taken_from_lifetimes_that_have_one():
    wlan, interface = _started()
    for valid, left in ((3600, 3540), (100, 100), (0xFFFFFFFF, 0x3FFFFFFF), (0, 0)):
        wlan.put(1, _ONE, _PREFERRED, valid, 50)
        assert interface.doubt()
        assert wlan.slot(1) == (_PREFERRED, left, 50)


def test_the_radio_listens_while_we_join_and_then_as_before():
    wlan, interface = _started()
    interface.eager(False)
    assert wlan.power == 0xA11142
    interface.eager(True)
    interface.eager(True)
    assert wlan.power == wlan.PM_NONE
    interface.eager(False)
    assert wlan.power == 0xA11142
