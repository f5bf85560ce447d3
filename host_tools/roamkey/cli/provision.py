"""`roamkey provision` and `roamkey status`: keys onto a board, and how a board is."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mip6 import addresses
from roamkey.board.serial_client import SerialClient
from roamkey.cli.board_options import BoardOption, JsonOption, PortOption, port_of
from roamkey.cli.options import PassphraseOption, RegistryOption
from roamkey.enroll import deliver
from roamkey.enroll.keyfile import read_kcn
from roamkey.enroll.plan import LIFETIME_S, Plan
from roamkey.errors import BadInputError
from roamkey.registry import Registry


def provision(
    home_address: Annotated[
        str, typer.Option(help="The board's home address.", metavar="ADDRESS")
    ],
    correspondent: Annotated[
        list[str],
        typer.Option(help="A correspondent's address; may be repeated.", metavar="ADDRESS"),
    ],
    port: PortOption = None,
    board: BoardOption = None,
    lifetime: Annotated[
        int, typer.Option(help="Seconds that a binding is asked for, 4 to 262140.", metavar="S")
    ] = LIFETIME_S,
    generations: Annotated[
        int, typer.Option(help="Keys for each correspondent, 1 to 16.", min=1, max=16, metavar="N")
    ] = 1,
    kcn_file: Annotated[
        list[Path] | None,
        typer.Option(
            help="Read a key (hex, file of mode 0600, - for stdin) instead of making one; one "
            "file for each correspondent and generation, in order.",
            metavar="FILE",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the board holds keys already.")
    ] = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put keys on a board and into the registry, whole or not at all.

    After an interruption, the same command again finishes the job.
    """
    plan = Plan(
        _address(home_address, "--home-address"),
        tuple(_address(text, "--correspondent") for text in correspondent),
        lifetime,
        generations,
        tuple(read_kcn(str(path)) for path in kcn_file or ()),
    )
    plan.check()
    where = port_of(port, board)
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        held = deliver.provision(opened, where, plan, replace=replace)
    if as_json:
        typer.echo(json.dumps(held.plain()))
        return
    _row("board", f"{held.board}")
    _row("home address", f"{held.home_address}")
    for name, numbers in held.correspondents:
        span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        _row("correspondent", f"{name}, key generation {span}")
    _row("lifetime", f"{held.lifetime} s")
    _row("key set", f"{held.set_id}")
    if held.finished:
        typer.echo(
            "An earlier run had sent this set; the board holds it, and it is confirmed now."
        )


def status(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Ask a board who it is, what it holds and what it does."""
    with SerialClient(port_of(port, board)) as client:
        identity = client.identify()
        answer = client.status()
    if as_json:
        typer.echo(json.dumps({"identity": asdict(identity), **answer}))
        return
    _row("board", f"{identity.board} ({identity.platform})")
    _row("MicroPython", identity.micropython)
    _row("agent", identity.agent)
    if identity.sealed is not None:
        _row("seal", identity.sealed)
    _show_keys(_dictionary(answer.get("keystore")))
    _show_node(_dictionary(answer.get("node")))


def _show_keys(keystore: dict[str, Any]) -> None:
    _row("keys", keystore.get("text"))
    if "set_id" in keystore:
        _row("key set", keystore["set_id"])
        _row("home address", keystore.get("home_address"))
    for peer in _dictionaries(keystore.get("peers")):
        _row(
            "correspondent",
            f"{peer.get('correspondent')}, key generation {peer.get('generation')}, "
            + _outlook(peer),
        )
        _warn(peer)


def _outlook(peer: dict[str, Any]) -> str:
    """What is left of the keys for a correspondent, in all, and how long that lasts."""
    key = _dictionary(peer.get("key"))
    said = f"{key.get('uses_left', peer.get('uses_left'))} uses left"
    if key.get("generations_left"):
        said += f" with {key['generations_left']} further"
    if key.get("days_left") is not None:
        said += f", {key['days_left']} days at this rate"
    return said


def _warn(peer: dict[str, Any]) -> None:
    used = _dictionary(peer.get("key")).get("warning")
    if used == 100:
        _row("warning", "every key for it is used up: roamkey rekey")
    elif used:
        _row("warning", f"{used} % of the last key for it is used: roamkey rekey")


def _show_node(node: dict[str, Any]) -> None:
    _row("node", " - ".join(str(node[name]) for name in ("state", "text") if node.get(name)))
    if node.get("care_of_address"):
        _row("care-of", node["care_of_address"])
    for uplink in _dictionaries(node.get("uplinks")):
        _row("uplink", f"{uplink.get('uplink')} {uplink.get('address')}")
    for binding in _dictionaries(node.get("bindings")):
        said = f"{binding.get('correspondent')} {binding.get('state')}"
        if binding.get("lifetime_left_s") is not None:
            said += f", {binding['lifetime_left_s']} s left"
        if binding.get("reason"):
            said += f", {binding['reason']}"
        _row("binding", said)
    for name in ("fault", "faults", "drops"):
        if node.get(name):
            _row(name, node[name] if isinstance(node[name], str) else json.dumps(node[name]))


def _address(text: str, option: str) -> bytes:
    try:
        address: bytes = addresses.parse(text)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}") from None
    if not addresses.is_unicast_global(address):
        raise BadInputError(f"{option}: {addresses.text(address)} is not unicast and global")
    return address


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _row(name: str, value: Any) -> None:
    """A line of the summary; a board's words are shown by the terminal, never obeyed."""
    typer.echo(f"{name:<15}" + "".join(c if c.isprintable() else "?" for c in str(value)))
