"""What an application prints: the latest of it is kept, all of it is printed."""

import builtins
import io

from mip6.applog import Printed, answer, program


def unpacked(said):
    import binascii

    return binascii.a2b_base64(said["printed"])


def whole(printed, since=0):
    """What a host gets that asks until the end: where it begins, and the octets."""
    found = b""
    first = None
    while True:
        said = answer(printed, since)
        first = said["at"] if first is None else first
        octets = unpacked(said)
        if not octets:
            return first, found
        found += octets
        since = said["at"] + len(octets)


def quiet(printed):
    """What would go to the line, collected."""
    out = []
    real = builtins.print

    def to_list(*values, **how):
        text = io.StringIO()
        real(*values, **dict(how, file=how.get("file") or text))
        if "file" not in how:
            out.append(text.getvalue())

    printed._print = to_list
    return out


def test_what_is_printed_is_kept_and_goes_to_the_line():
    printed = Printed()
    out = quiet(printed)
    before = builtins.print
    printed.begin(True)
    try:
        print("one", 2, sep="-")
        print("three", end="")
        other = io.StringIO()
        print("elsewhere", file=other)
    finally:
        printed._print, kept = before, printed._print
        printed.stop("running", False)
        printed._print = kept
    assert builtins.print is before
    assert "".join(out) == "one-2\nthree"
    assert other.getvalue() == "elsewhere\n"
    assert whole(printed) == (0, b"one-2\nthree")
    assert printed.end == 11


def test_nothing_is_kept_before_something_is_printed():
    printed = Printed()
    assert printed._ring is None
    assert answer(printed, 0) == {"printed": "", "at": 0, "end": 0}
    assert answer(None, 7) == {"printed": "", "at": 0, "end": 0}


def test_the_latest_two_kilobytes():
    printed = Printed()
    expected = b""
    for number in range(400):
        line = "line %d\n" % number
        printed.tell(line, False)
        expected += line.encode()
        at, octets = whole(printed)
        assert (at, octets) == (max(0, len(expected) - 2048), expected[-2048:])
    assert whole(printed, len(expected) - 5) == (len(expected) - 5, expected[-5:])
    assert whole(printed, len(expected) + 999) == (len(expected), b"")  # it started anew since
    printed.tell("x" * 5000, False)
    assert whole(printed) == (len(expected) + 5000 - 2048, b"x" * 2048)


def test_characters_are_octets():
    printed = Printed()
    printed.tell("21 \u00b0C\n", False)
    assert whole(printed) == (0, b"21 \xc2\xb0C\n")


def test_a_board_without_a_program():
    assert program(0) == {"octets": None}
