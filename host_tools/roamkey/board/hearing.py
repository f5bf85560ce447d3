"""What speaks at a port, by what it says: a board that waits for firmware, a GPS, another Python.

It does no I/O, and what it takes is anybody's: nothing here is worse than a wrong word.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

HEARD_OCTETS_MAX = 4096  # what is kept of what a port says: the latest
_SHOWN_MAX = 80  # characters of a line that is shown
_ENOUGH = 16  # octets that can't be judged by fewer
_STRANGE = 0.3  # of them aren't text: a wrong speed
_RESETS = 3  # in a few seconds: one is a start, two may be a start and a button


@dataclass(frozen=True)
class Voice:
    """`what` speaks, `todo` about it. `certain`: waiting longer makes no agent of ours of it.
    `deaf`: nor does interrupting it, no MicroPython being there. `mark`: what its own lines hold.
    """

    what: str
    todo: str = ""
    certain: bool = False
    deaf: bool = False
    mark: str = ""

    def __str__(self) -> str:
        return self.what + (f": {self.todo}" if self.todo else "")


#: An ESP32's ROM: it says so once, and then nothing until it is asked.
DOWNLOAD = Voice(
    "an ESP32 that waits for firmware",
    "write it with `roamkey flash`, or let go of BOOT and press reset",
    certain=True,
    deaf=True,
    mark="waiting for download",
)


def recognize(heard: bytes) -> Voice | None:
    """Whose words these are; None where they are nobody's that is known, or none at all."""
    text = heard.decode(errors="replace")
    for judge in _JUDGES:
        voice = judge(text)
        if voice is not None:
            return voice
    return None


def describe(heard: bytes) -> str:
    """The same for a person, with the last line that was heard; "" where nothing was."""
    if not heard.strip(b"\0\r\n "):
        return ""
    if _is_noise(heard):
        return "what comes isn't text at 115200 baud: another device, or another speed"
    voice = recognize(heard) or Voice("something speaks there that isn't roamkey's agent")
    shown = last_line(heard, voice.mark)
    return f'{voice}; it said "{shown}"' if shown else str(voice)


def last_line(heard: bytes, mark: str = "") -> str:
    """The last line with anything in it, or the last with `mark`, as text that a terminal shows
    and doesn't obey."""
    text = re.sub(
        r"\x1b(\][^\x07\x1b]*(\x07|\x1b\\)|\[[0-9;?]*[@-~])", "", heard.decode(errors="replace")
    )
    lines = [
        "".join(c if c.isprintable() else "?" for c in line).strip()
        for line in re.split(r"[\r\n]+", text)
    ]
    said = [line for line in lines if line and line != ">>>"]
    marked = [line for line in said if mark and mark in line]
    return (marked or said or [""])[-1][:_SHOWN_MAX]


def _is_noise(heard: bytes) -> bool:
    strange = sum(octet < 9 or 13 < octet < 27 or octet == 0xFF for octet in heard)
    strange += heard.decode(errors="replace").count("\ufffd")
    return len(heard) >= _ENOUGH and strange > _STRANGE * len(heard)


def _download(text: str) -> Voice | None:
    at = text.rfind("waiting for download")
    return None if at < 0 or "rst:0x" in text[at:] else DOWNLOAD


def _empty(text: str) -> Voice | None:
    if text.count("invalid header: 0xffffffff") + text.count("flash read err") < 2:
        return None
    return Voice(
        "an ESP32 with nothing in its flash", "give it MicroPython: `roamkey flash`", True, True
    )


def _brownout(text: str) -> Voice | None:
    times = text.count("Brownout detector was triggered")
    if not times:
        return None
    todo = "another cable or USB socket, or a supply of its own"
    return Voice("an ESP32 that resets for want of power", todo, times > 1, times > 1, "Brownout")


def _loop(text: str) -> Voice | None:
    reasons = re.findall(r"rst:0x[0-9a-f]+ \(([A-Z0-9_]+)\)", text)
    if len(reasons) < _RESETS:
        return None
    todo = f"{reasons[-1]}; flash it anew: `roamkey flash`"
    return Voice("an ESP32 that starts over and over", todo, True, True, "rst:0x")


def _panic(text: str) -> Voice | None:
    found = re.search(r"Guru Meditation Error: Core +\d panic'ed \(([^)\r\n]{1,60})\)", text)
    if found is None:
        return None
    todo = "flash it anew: `roamkey flash`"
    return Voice(f"an ESP32 whose firmware crashed ({found[1]})", todo, mark="Guru Meditation")


def _circuitpython(text: str) -> Voice | None:
    marks = ("CircuitPython", "Use CTRL-D to reload.", "Code done running.", "Auto-reload is o")
    if not any(mark in text for mark in marks):
        return None
    return Voice("a board with CircuitPython", "give it MicroPython: `roamkey flash`", True)


def _gps(text: str) -> Voice | None:
    found = re.findall(r"\$(G[A-Z]{4},[^*$\r\n]{0,100})\*([0-9A-F]{2})\r?\n", text)
    right = [
        words
        for words, total in found
        if reduce(lambda a, b: a ^ b, words.encode(errors="replace")) == int(total, 16)
    ]
    return (
        Voice("a GPS receiver (NMEA), not a board", "", True, mark="$G")
        if len(right) > 1
        else None
    )


def _login(text: str) -> Voice | None:
    found = re.search(r"([\w.-]{1,40}) login: *$", text)
    return Voice(f"a computer ({found[1]}) that wants a login", "", True, True) if found else None


def _modem(text: str) -> Voice | None:
    found = re.search(
        r"(?:^|[\r\n])(ERROR|\+CME ERROR: [^\r\n]{0,40}|COMMAND NOT SUPPORT)[\r\n]", text
    )
    return Voice("a modem, not a board", "", False) if found else None


def _printer(text: str) -> Voice | None:
    marks = ("echo:Unknown command", "echo:Marlin", "Error:No Checksum with line number")
    return Voice("a 3D printer", "", True, True) if any(mark in text for mark in marks) else None


def _traceback(text: str) -> Voice | None:
    if "Traceback (most recent call last):" not in text:
        return None
    return Voice("MicroPython, whose program ended in an error")


_JUDGES: tuple[Callable[[str], Voice | None], ...] = (
    _download, _empty, _brownout, _panic, _loop, _circuitpython, _gps, _printer, _modem, _login,
    _traceback,
)  # fmt: skip
