"""What a board does once in a while, and the memory for it.

Roaming needs some files every day; others are for the start, for changes of keys and networks, for
questions of a person. On a board their code would take a third of the agent's RAM for good. So
everyday code imports them where it calls them, and here they are forgotten again. Whoever still
uses one keeps it until done; who imports it next loads it anew.
"""

import gc
import sys

from .compat import MICROPYTHON

#: In the order of loading: each after those that it imports.
MODULES = (
    "keylife",
    "status",
    "keycheck",
    "keychange",
    "provisioning",
    "jsonrpc",
    "lines",
    "seal",
    "upkeep",
    "console",
    "ports.facts",
    "ports.networklist",
    "ports.scrubbing",
    "airlog",
)


def load(name):
    """Load one of `MODULES` that this platform has."""
    try:
        __import__("mip6." + name)
    except ImportError:  # no Wi-Fi here
        pass
    gc.collect()


def forget():
    """Forget all of them, on a board (CPython has memory, and keeps classes that have heirs)."""
    found = False
    for name in MODULES if MICROPYTHON else ():
        if sys.modules.pop("mip6." + name, None):
            package, _, last = ("mip6." + name).rpartition(".")
            delattr(sys.modules[package], last)
            found = True
    if found:
        gc.collect()
