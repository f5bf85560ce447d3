"""The command `roamkey`: one file per subcommand, each thin over the library.

Exit codes: 0 done; 1 bad input; 2 wrong usage; 3 the board can't be reached or doesn't answer;
4 refused by the board or the registry; 5 refused by the operating system; 130 interrupted.
"""

import os
import sys
from functools import cache
from typing import Any

from roamkey import __version__
from roamkey.cli import helptext
from roamkey.cli.ending import run

#: Each subcommand, in the order of the help: where it is, and what it does (as its docstring).
COMMANDS = {
    "init": (
        "roamkey.cli.init:init",
        "Make a site, by which `provision`, `setup`, `batch` and `correspondent run` need no "
        "address.",
    ),
    "setup": (
        "roamkey.cli.setup:setup",
        "Make a bare board a node: flash (--firmware), install, Wi-Fi, provision, verify.",
    ),
    "batch": (
        "roamkey.cli.batch:batch",
        "Flash, install, provision and verify every board of a fleet that appears.",
    ),
    "completion": (
        "roamkey.cli.completion:completion",
        "Print what has a shell complete roamkey's words: for bash, zsh or fish.",
    ),
    "boards": (
        "roamkey.cli.boards:boards",
        "List the boards that are plugged in: port, id, chip, firmware, agent, keys.",
    ),
    "doctor": (
        "roamkey.cli.doctor:doctor",
        "Ask a board what it lacks for the agent, and say what to do.",
    ),
    "flash": (
        "roamkey.cli.flash:flash",
        "Flash MicroPython: check that the file fits the board, write, ask the board what it "
        "runs.",
    ),
    "install": (
        "roamkey.cli.install:install",
        "Put the agent on a board, or update it, and start it.",
    ),
    "status": (
        "roamkey.cli.status:status",
        "Ask a board who it is, what it holds and what it does.",
    ),
    "networks": ("roamkey.cli.networks:app", "The Wi-Fi networks of a board."),
    "app": ("roamkey.cli.application:app", "The program beside a board's agent, /app.py."),
    "seal": (
        "roamkey.cli.seal:seal",
        "Seal a board: no REPL; its console answers identify and status only.",
    ),
    "unseal": ("roamkey.cli.seal:unseal", "Open a sealed board with the key in the registry."),
    "provision": (
        "roamkey.cli.provision:provision",
        "Put keys on a board and into the registry, whole or not at all.",
    ),
    "rekey": (
        "roamkey.cli.keys:rekey",
        "Give a board the next generations of its keys, whole or not at all.",
    ),
    "reach": (
        "roamkey.cli.reach:reach",
        "Tell a board where its correspondents are reached now; keys and numbers stay.",
    ),
    "erase": (
        "roamkey.cli.keys:erase",
        "Erase keys, Wi-Fi passwords and event log on a board, and retire its keys.",
    ),
    "retire": ("roamkey.cli.keys:retire", "Retire a lost board's keys in the registry, for good."),
    "registry": ("roamkey.cli.registry:app", "The registry of boards and their keys."),
    "export": (
        "roamkey.cli.transfer:export",
        "Write what a correspondent or home agent on another machine needs to an encrypted file.",
    ),
    "import": (
        "roamkey.cli.transfer:import_",
        "Take an exported file into this machine's registry, all of it or nothing.",
    ),
    "correspondent": (
        "roamkey.cli.correspondent:app",
        "The Linux end: follow boards to where they are.",
    ),
    "home-agent": (
        "roamkey.cli.home_agent:app",
        "The home agent: have nodes reached at their home addresses, wherever they are.",
    ),
    "node": ("roamkey.cli.node:app", "A Linux machine as a mobile node: this one."),
    "nodes": (
        "roamkey.cli.nodes:nodes",
        "Show all nodes, the quiet ones first: when each was last seen, and when its keys end.",
    ),
    "rename": ("roamkey.cli.rename:rename", "Give a node another name, or none."),
    "decode": (
        "roamkey.cli.decode:decode",
        "Decode Mobile IPv6 packets, from hexadecimal or a capture.",
    ),
    "log": ("roamkey.cli.log:app", "The event log of a board."),
    "field": (
        "roamkey.cli.field:app",
        "Field tests: what a walk was like, from the logs it left.",
    ),
    "lab": ("roamkey.cli.lab:app", "Virtual boards and networks on this machine."),
}

#: What stands in the help above which of them.
HEADINGS = {
    "init": "Begin",
    "boards": "Boards",
    "provision": "Keys",
    "correspondent": "Correspondent and home agent",
    "log": "Field and laboratory",
}

SUMMARY = "Mobile IPv6 with a preconfigured key: boards, their keys, and their correspondents."
OPTIONS = {
    "--version": "Print the version and exit.",
    "-h, --help": "Show this message and exit.",
}
#: In the environment where a shell asks what may stand in the last word's place.
COMPLETING = "_ROAMKEY_COMPLETE"
EPILOG = """\
Each command has a help with examples: roamkey setup -h
Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 board not reachable, 4 refused, \
5 operating system, 130 interrupted."""


def overview() -> str:
    """What `roamkey --help` prints."""
    return helptext.group("roamkey", SUMMARY, COMMANDS, HEADINGS, OPTIONS, EPILOG)


def main() -> None:
    """Run the command line and exit: see `ending`."""
    sys.exit(run(_command))


def _command() -> Any:
    words = sys.argv[1:]
    if COMPLETING in os.environ:
        return _complete(words)
    if words in (["--help"], ["-h"]):
        helptext.show(overview(), sys.stdout)
    elif not words:
        helptext.show(overview(), sys.stderr)
        return 2
    elif words == ["--version"]:
        print(f"roamkey {__version__}")
    else:
        from roamkey.cli import root

        return root.parsed(_whole())
    return 0


def _complete(words: list[str]) -> int:
    """Print what may stand in the last word's place, a line each: the word, a tab, what it is."""
    last = words[-1] if words else ""
    if len(words) <= 1 and not last.startswith("-"):
        found = [(name, what) for name, (_, what) in COMMANDS.items() if name.startswith(last)]
    else:
        from roamkey.cli.completing import candidates

        found = candidates(_whole(), words)
    for word, what in found:
        print(f"{word}\t{what}")
    return 0


@cache
def _whole() -> Any:
    """The whole command line, as the parser has it; `app` is its name for who imports it."""
    from roamkey.cli import root

    return root.application(COMMANDS, SUMMARY, overview)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    return _whole()
