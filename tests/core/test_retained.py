"""ESP32's RTC memory shared between the counter and an application."""

from harness import raises

from mip6.ports.retained import RtcMemory


class Rtc:
    """What machine.RTC().memory does on ESP32: get or set at most 2048 octets."""

    def __init__(self):
        self.octets = b""

    def memory(self, *octets):
        if not octets:
            return self.octets
        if len(octets[0]) > 2048:
            raise ValueError("buffer too long")
        self.octets = bytes(octets[0])
        return None


def test_the_note_and_the_applications_octets_live_side_by_side():
    rtc = Rtc()
    memory = RtcMemory(rtc)
    assert memory.read() == b"" and memory.application() == b""
    memory.set_application(b"app")
    memory.write(b"note")
    assert (memory.read(), memory.application()) == (b"note", b"app")
    memory.write(b"longer note")
    memory.set_application(b"")
    assert (RtcMemory(rtc).read(), memory.application()) == (b"longer note", b"")


def test_an_application_of_its_own_mind_costs_the_note_only():
    rtc = Rtc()
    memory = RtcMemory(rtc)
    memory.write(b"note")
    rtc.memory(b"mine")
    assert (memory.read(), memory.application()) == (b"", b"mine")
    memory.write(b"note")
    assert (memory.read(), memory.application()) == (b"note", b"mine")


def test_removing_the_note_leaves_the_rest():
    rtc = Rtc()
    memory = RtcMemory(rtc)
    memory.set_application(b"app")
    memory.write(b"note")
    memory.write(b"")
    assert rtc.octets == b"app"


def test_octets_cut_short_are_no_note():
    rtc = Rtc()
    memory = RtcMemory(rtc)
    memory.write(b"note")
    rtc.octets = rtc.octets[:-1]
    assert memory.read() == b""
    for size in range(4):
        rtc.octets = b"rk\x09"[:size]
        assert memory.read() == b""


def test_memory_that_is_full_is_an_error():
    memory = RtcMemory(Rtc())
    memory.set_application(bytes(2040))
    raises(OSError, memory.write, bytes(40))
    assert memory.application() == bytes(2040)
