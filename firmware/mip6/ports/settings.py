"""The kernel's settings of the uplinks: an address is used while its uniqueness is still asked.

That is optimistic duplicate address detection (RFC 4429, RFC 6275 section 11.5.3): the detection
stays on, and where it fails the kernel takes the address away. It is switched on for uplinks
alone, before they have a carrier where that can be, since an address is optimistic from its birth
or never; at the end what was there is there again. Delays that the kernel has before a
solicitation or a detection don't concern such addresses, so nothing else is set.

The settings were 0, and any other number is "on" to the kernel. So we write 2: whoever finds a 2
knows that an agent put it there over a 0, even one that was killed and could tell nobody.
"""

import errno

_ROOM = "/proc/sys/net/ipv6/conf/"
_OPTIMISTIC = "optimistic_dad"
_SETTINGS = ("optimistic_dad", "use_optimistic")
_OFF = "0"
_OURS = "2"
#: Names of interfaces that are another room, or none.
_ROOMS_OF_OTHERS = ("", ".", "..", "all", "default")


def _read(name: str, setting: str) -> str:
    with open(_ROOM + name + "/" + setting) as file:
        return file.read().strip()


def _write(name: str, setting: str, value: str) -> None:
    with open(_ROOM + name + "/" + setting, "w") as file:
        file.write(value)


class Settings:
    """Of the interfaces that are uplinks."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}  # interface -> why it can't be
        self._taken: set[str] = set()

    def take(self, name: str) -> bool:
        """An interface is an uplink: have its addresses used at once, where we may. Whether that
        is all: after a new name the settings may take a moment to appear."""
        if name in _ROOMS_OF_OTHERS or "/" in name:
            return True
        why = self._switch_on(name)
        if why and name in self._taken:
            return False
        if why and not _detects(name):
            why = ""
        if why:
            self._refused[name] = why
        else:
            self._refused.pop(name, None)
        return True

    def _switch_on(self, name: str) -> str:
        """Why not, or nothing."""
        try:
            if _read("all", "forwarding") != _OFF:
                return "this machine forwards packets, so its kernel doesn't"
            for setting in _SETTINGS:
                if _read(name, setting) == _OFF:
                    _write(name, setting, _OURS)
        except OSError as error:
            number = error.args[0]
            if number == errno.ENOENT:
                return "this kernel can't"
            return "no right to have it otherwise (%s)" % errno.errorcode.get(number, number)
        self._taken.add(name)
        return ""

    def give_back(self, name: str) -> bool:
        """It is none, or no more: what we set is as it was, what others set meanwhile stays.
        Whether that is all, as above."""
        self._refused.pop(name, None)
        if name not in self._taken:
            return True
        try:
            for setting in _SETTINGS:
                if _read(name, setting) == _OURS:
                    _write(name, setting, _OFF)
        except OSError:
            return False
        self._taken.discard(name)
        return True

    def renamed(self, before: str, name: str) -> None:
        """An interface has another name: it is taken, or given back, by that one."""
        if before in self._taken:
            self._taken.add(name)
        self.forget(before)

    def forget(self, name: str) -> None:
        """An interface is gone, and its settings with it."""
        self._taken.discard(name)
        self._refused.pop(name, None)

    def give_all_back(self) -> None:
        """The end."""
        for name in list(self._taken):
            self.give_back(name)
        self._taken.clear()
        self._refused.clear()

    def text(self) -> str:
        """Why addresses wait for their detection, in a line; empty where they don't."""
        return "; ".join(["%s: %s" % one for one in self._refused.items()])


def _detects(name: str) -> bool:
    """Whether there is any detection to wait for."""
    try:
        return any(_read(one, "accept_dad") > _OFF for one in (name, "all"))
    except OSError:
        return False
