"""The command `roamkey`: one file per subcommand, each thin over the library.

Exit codes: 0 done; 1 bad input; 2 wrong usage; 3 the board can't be reached or doesn't answer;
4 refused by the board or the registry; 5 refused by the operating system; 130 interrupted.
"""

import sys

import typer

from roamkey import __version__
from roamkey.cli.ending import run
from roamkey.cli.lazy import lazy_app

#: Each subcommand, in the order of the help: where it is, and what it does (as its docstring).
COMMANDS = {
    "init": (
        "roamkey.cli.init:init",
        "Make a site, by which `provision`, `setup`, `batch` and `correspondent run` need no "
        "address.",
    ),
    "boards": (
        "roamkey.cli.boards:boards",
        "List the boards that are plugged in: port, id, chip, firmware, agent, keys.",
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
    "setup": (
        "roamkey.cli.setup:setup",
        "Make a bare board a node: flash (--firmware), install, Wi-Fi, provision, verify.",
    ),
    "batch": (
        "roamkey.cli.batch:batch",
        "Flash, install, provision and verify every board of a fleet that appears.",
    ),
    "provision": (
        "roamkey.cli.provision:provision",
        "Put keys on a board and into the registry, whole or not at all.",
    ),
    "status": (
        "roamkey.cli.status:status",
        "Ask a board who it is, what it holds and what it does.",
    ),
    "rekey": (
        "roamkey.cli.keys:rekey",
        "Give a board the next generations of its keys, whole or not at all.",
    ),
    "reach": (
        "roamkey.cli.reach:reach",
        "Tell a board where its correspondents are reached now; keys and numbers stay.",
    ),
    "networks": ("roamkey.cli.networks:app", "The Wi-Fi networks of a board."),
    "app": ("roamkey.cli.application:app", "The program beside a board's agent, /app.py."),
    "seal": (
        "roamkey.cli.seal:seal",
        "Seal a board: no REPL; its console answers identify and status only.",
    ),
    "unseal": ("roamkey.cli.seal:unseal", "Open a sealed board with the key in the registry."),
    "erase": (
        "roamkey.cli.keys:erase",
        "Erase keys, Wi-Fi passwords and event log on a board, and retire its keys.",
    ),
    "nodes": (
        "roamkey.cli.nodes:nodes",
        "Show all nodes, the quiet ones first: when each was last seen, and when its keys end.",
    ),
    "rename": ("roamkey.cli.rename:rename", "Give a node another name, or none."),
    "retire": ("roamkey.cli.keys:retire", "Retire a lost board's keys in the registry, for good."),
    "export": (
        "roamkey.cli.transfer:export",
        "Write what a correspondent or home agent on another machine needs to an encrypted file.",
    ),
    "import": (
        "roamkey.cli.transfer:import_",
        "Take an exported file into this machine's registry, all of it or nothing.",
    ),
    "doctor": (
        "roamkey.cli.doctor:doctor",
        "Ask a board what it lacks for the agent, and say what to do.",
    ),
    "correspondent": (
        "roamkey.cli.correspondent:app",
        "The Linux end: follow boards to where they are.",
    ),
    "home-agent": (
        "roamkey.cli.home_agent:app",
        "The home agent: have nodes reached at their home addresses, wherever they are.",
    ),
    "registry": ("roamkey.cli.registry:app", "The registry of boards and their keys."),
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

app = lazy_app(
    COMMANDS,
    name="roamkey",
    help="Mobile IPv6 with a preconfigured key: boards, their keys, and their correspondents.",
    epilog="Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 board not reachable, "
    "4 refused, 5 operating system, 130 interrupted.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roamkey {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False,
        "--version",
        help="Print the version and exit.",
        callback=_show_version,
        is_eager=True,
    ),
) -> None:
    """The options that stand before a subcommand."""


def main() -> None:
    """Run the command line and exit: see `ending`."""
    sys.exit(run(app))
