"""What the core's tests share. They run under CPython (pytest) and under MicroPython (run.py)."""

import json


def raises(kind, function, *arguments):
    """Call `function` and return the exception of `kind` that it must raise."""
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError("expected " + kind.__name__)


def here():
    """The folder of the tests, under either interpreter."""
    path = __file__.replace("\\", "/").rsplit("/", 2)
    return path[0] if len(path) == 3 else ".."


def load_vectors():
    """The 42 packets of a third-party implementation, as a list of dictionaries."""
    with open(here() + "/vectors/mobility-vectors.json") as file:
        return json.load(file)


def load_encapsulated():
    """Packets inside UDP, made by `vectors/make_encapsulated.py`, as a list of dictionaries."""
    with open(here() + "/vectors/encapsulated.json") as file:
        return json.load(file)


def load_routability():
    """Return routability and home registrations, made by `vectors/make_routability.py`."""
    with open(here() + "/vectors/routability.json") as file:
        return json.load(file)


def on_micropython():
    """Whether the interpreter is MicroPython."""
    import sys

    return sys.implementation.name == "micropython"
