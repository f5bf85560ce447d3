"""`roamkey status`: how a board is."""

import json
from dataclasses import asdict
from typing import Any

import typer

from roamkey.board.serial_client import SerialClient
from roamkey.cli import known
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption
from roamkey.cli.output import row
from roamkey.registry import HOME_AGENT

_HELD = ("bound", "refreshing")  # states of a binding that the peer has accepted


def status(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Ask a board who it is, what it holds and what it does."""
    with SerialClient(port_of(port, board)) as client:
        identity = client.identify()
        answer = client.status()
    name = known.names().get(identity.board)
    if as_json:
        typer.echo(json.dumps({"identity": asdict(identity), "name": name, **answer}))
        return
    row("board", f"{identity.board} ({identity.platform})")
    if name is not None:
        row("name", name)
    row("MicroPython", identity.micropython)
    row("agent", identity.agent)
    if identity.sealed is not None:
        row("seal", identity.sealed)
    _show_keys(_dictionary(answer.get("keystore")))
    _show_node(_dictionary(answer.get("node")))


def _show_keys(keystore: dict[str, Any]) -> None:
    row("keys", keystore.get("text"))
    if "set_id" in keystore:
        row("key set", keystore["set_id"])
        row("home address", keystore.get("home_address"))
    for peer in _dictionaries(keystore.get("peers")):
        role = str(peer.get("role", "correspondent"))
        row(role, f"{peer.get('correspondent', '(sealed)')}, {_authorized(peer, role)}")
        if isinstance(peer.get("reach"), list) and peer["reach"]:
            row("reach", ", ".join(map(str, peer["reach"])))
        _warn(peer)


def _authorized(peer: dict[str, Any], role: str) -> str:
    """What bindings are authorized by at a peer of the board."""
    if peer.get("generations"):
        return f"key generation {peer.get('generation')}, {_outlook(peer)}"
    return "no key" if role == HOME_AGENT else "by return routability"


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
    if peer.get("role") == HOME_AGENT and not peer.get("generations"):
        row(
            "warning", "registered without authentication: whoever reaches it can divert this node"
        )
    used = _dictionary(peer.get("key")).get("warning")
    if used == 100:
        row("warning", "every key for it is used up: roamkey rekey")
    elif used:
        row("warning", f"{used} % of the last key for it is used: roamkey rekey")


def _show_node(node: dict[str, Any]) -> None:
    row("node", " - ".join(str(node[name]) for name in ("state", "text") if node.get(name)))
    if node.get("care_of_address"):
        row("care-of", node["care_of_address"])
    if node.get("native") is False:
        row("native IPv6", f"none, so all goes inside UDP ({node.get('native_text')})")
    if node.get("waits"):
        row("addresses", f"used a second late, after duplicate detection ({node['waits']})")
    if node.get("plane"):
        row("all programs", f"by {node['plane']} ({node.get('plane_text')})")
    for uplink in _dictionaries(node.get("uplinks")):
        row("uplink", f"{uplink.get('uplink')} {uplink.get('address')}")
    for binding in _dictionaries(node.get("bindings")):
        said = f"{binding.get('correspondent', '(sealed)')} {binding.get('state')}"
        if binding.get("state") in _HELD:
            by = binding.get("authorized_by")
            said += " without authentication" if by == "nothing" else f" by {by}" if by else ""
        if binding.get("lifetime_left_s") is not None:
            said += f", {binding['lifetime_left_s']} s left"
        if binding.get("reason"):
            said += f", {binding['reason']}"
        row("binding", said)
        _show_way(binding)
    if node.get("application") is not None:
        row("application", node["application"])
    for part in _dictionaries(node.get("parts")):
        said = f"{part.get('faults')} faults, {part.get('restarts')} restarts"
        row(f"part {part.get('part')}", said + (", not running" if part.get("failed") else ""))
    for name in ("fault", "faults", "drops"):
        if node.get(name):
            row(name, node[name] if isinstance(node[name], str) else json.dumps(node[name]))
    for name, what in (("traceback", "node"), ("application_traceback", "application")):
        if isinstance(node.get(name), str):
            from roamkey.build.lines import resolve

            row(f"fault of {what}", "")
            typer.echo(resolve(node[name]).rstrip())


def _show_way(binding: dict[str, Any]) -> None:
    """How a correspondent is reached, and how well."""
    if not binding.get("way"):
        return
    said = str(binding["way"])
    if binding.get("endpoint"):
        said += f" to {binding['endpoint']}"
    if binding.get("nat"):
        said += ", behind a NAT"
    if binding.get("round_trip_ms") is not None:
        said += f", {binding['round_trip_ms']} ms there and back"
    if binding.get("unanswered"):
        said += f", {binding['unanswered']} updates unanswered"
    row("way", said)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
