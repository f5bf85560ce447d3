"""What is told to a person: status of node, bindings and keys, how long keys last, a line a code.

A board has this file in memory only while somebody asks. No secrets here.
"""

from .addresses import text
from .bindings import actions, reasons, states, ways
from .compat import const
from .keystore.ledger import warning
from .keystore.records import DAMAGED, EMPTY, NO_COUNTER, READY, STORAGE_ERROR, UNFINISHED
from .limits import SEQUENCE_NUMBERS

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from .agent import Agent
    from .bindings.binding import Binding
    from .bindings.update_list import BindingUpdateList
    from .keystore.keystore import Keystore
    from .node import Node

_DAY = const(86400000)  # ms

#: What Keystore.load() found.
KEYSTORE = {
    READY: "keys and counters are in order",
    EMPTY: "no keys: provision the board",
    UNFINISHED: "power failed during the first provisioning: provision the board again",
    DAMAGED: "the stored keys are damaged: provision the board with new keys",
    NO_COUNTER: "the counter of the stored keys is lost: provision the board with new keys",
    STORAGE_ERROR: "flash can't be read",
}

#: Why a binding isn't as the user wants it (reasons.py).
_REASONS = {
    reasons.UNKEYED: "no key provisioned, and no home agent for return routability",
    reasons.SPENT: "every sequence number of every key is used: provision new keys",
    reasons.BINDING_ERROR: "the correspondent doesn't know Binding Updates (Binding Error 2)",
    reasons.NO_WAY: "no way from here: no IPv6, and no IPv4 address to reach it at",
    reasons.PARAMETER_PROBLEM: "the correspondent's host doesn't know Mobile IPv6 (ICMPv6 error)",
}

#: What the statuses of an acknowledgement mean to a person (RFC 6275 section 6.1.8).
STATUSES = {
    0: "no lifetime granted",
    128: "reason unspecified",
    129: "administratively prohibited",
    130: "insufficient resources",
    131: "home registration not supported",
    132: "not home subnet",
    133: "not home agent for this mobile node",
    134: "duplicate address detection failed",
    136: "expired home nonce index",
    137: "expired care-of nonce index",
    138: "expired nonces",
    139: "registration type change disallowed",
    174: "invalid care-of address",
}


_WHILE_SEALED = ("state", "uptime_s", "unsent", "faults", "drops")
_APPLICATION = ("none", "running", "ended", "held", "kept")


def reason(why: int | str | None) -> str:
    """The line that says `Binding.why`."""
    if why is None:
        return ""
    if isinstance(why, str):
        return "sequence counter: " + why
    if why in _REASONS:
        return _REASONS[why]
    return "refused: " + STATUSES.get(why, "status %d" % why)


def keystore_text(keystore: "Keystore") -> str:
    """One line for a person on what Keystore.load() found."""
    return KEYSTORE[keystore.status] + (" (%s)" % keystore.detail if keystore.detail else "")


def outlook(keystore: "Keystore", index: int, uses: int, elapsed: int) -> "dict[str, Any]":
    """How long the keys of peer `index` last, at `uses` numbers in `elapsed` ms: a dictionary.

    `uses_left` (numbers), `generations_left`, `days_left` (whole), `used_percent` (of the current
    generation), `warning` (90, 97 or 100, which is exhausted: per cent of the last generation
    used; None on earlier ones). A rate seen for less than a day says nothing: up to then the keys
    last as long as a node at rest takes to use them, which renews its binding and does no more.
    """
    following, later = keystore.left(index)
    left = SEQUENCE_NUMBERS - following + SEQUENCE_NUMBERS * later
    if elapsed < _DAY or not uses:
        assert keystore.credentials is not None
        uses = 1
        elapsed = actions.renewed_after(1000 * keystore.credentials.peers[index].lifetime)
    return {
        "uses_left": left,
        "generations_left": later,
        "days_left": left * elapsed // uses // _DAY,
        "used_percent": following * 100 // SEQUENCE_NUMBERS,
        "warning": None if later else warning(following),
    }


def of_bindings(bindings: "BindingUpdateList", now: int) -> "list[dict[str, Any]]":
    """A list with a dictionary of plain values for each correspondent of an update list."""
    return [_of_binding(entry, bindings.keystore, now) for entry in bindings.bindings]


def _of_binding(entry: "Binding", keystore: "Keystore", now: int) -> "dict[str, Any]":
    left = entry.expires_at
    keyed = bool(keystore.credentials.peers[entry.index].generations)  # type: ignore[union-attr]  # there are
    answer: dict[str, Any] = {
        "correspondent": text(entry.correspondent),
        "authorized_by": _authorized(entry, keyed),
        "state": states.STATES[entry.state],
        "reason": reason(entry.why),
        "care_of_address": text(entry.care_of) if entry.care_of else None,
        "generation": entry.generation if keyed else None,
        "sequence": entry.sequence,
        "updates_sent": entry.pace.sent,
        "unanswered": entry.pace.unanswered,
        "way": None if entry.way is None else ways.NAMES[entry.way[0]],
        "endpoint": _endpoint(entry),
        "nat": entry.nat,
        "round_trip_ms": entry.round_trip,
        "lifetime_left_s": None if left is None else max(0, left - now) // 1000,
    }
    if keyed:
        answer["key"] = outlook(keystore, entry.index, entry.pace.sent, now - entry.since)
    return answer


def _authorized(entry: "Binding", keyed: bool) -> str:
    """What authorizes updates there; "nothing": the home agent has no key."""
    if keyed:
        return "static key"
    return "return routability" if hasattr(entry, "procedure") else "nothing"


def _endpoint(entry: "Binding") -> str | None:
    """Where datagrams of a way inside UDP go: "192.0.2.1:4191", "[2001:db8::1]:4191"; or None."""
    if entry.way is None or entry.way[2] is None:
        return None
    return place_text(text(entry.way[2]), entry.way[3])


def of_node(node: "Node") -> "dict[str, Any]":
    """What Node.status() says, in plain values."""
    now = node.now()
    answer = {
        "uptime_s": now // 1000,
        "uplinks": [
            {"uplink": uplink, "priority": priority, "address": text(address)}
            for uplink, priority, address in node.uplinks.all()
        ],
        "unsent": node.unsent,
        "faults": dict(node.port.faults),
    }
    bindings = node.bindings
    if bindings is None:
        answer["state"] = "keyless"
        answer["text"] = keystore_text(node.keystore)
        return answer
    care_of = bindings.care_of
    home = care_of == bindings.home_address
    answer["state"] = "detached" if care_of is None else "home" if home else "away"
    answer["text"] = node.fault
    native = bindings.ways.native
    answer["native"] = native
    why = node.port.why if hasattr(node.port, "why") else "switched off"
    answer["native_text"] = "" if native else why
    if hasattr(node.port, "waits"):
        answer["waits"] = node.port.waits()
    answer["home_address"] = text(bindings.home_address)
    agent = bindings.home_agent
    answer["home_agent"] = None if agent is None else text(agent.correspondent)
    answer["care_of_address"] = text(care_of) if care_of else None
    answer["bindings"] = of_bindings(bindings, now)
    answer["drops"] = dict(bindings.drops)
    return answer


def of_agent(agent: "Agent") -> "dict[str, Any]":
    """What Agent.status() says: of the node, and how every part fares.

    `state` is "failed" while the node waits to be started again; `fault` and `traceback` are the
    node's last, `application_traceback` the application's; `parts` has what failed at all.
    """
    answer = dict(agent.node.status())
    node, application = agent.parts[:2]
    if node.failed:
        answer["state"] = "failed"
        answer["text"] = "it is started again after a pause"
    if node.faults:
        answer["fault"] = node.fault
        answer["traceback"] = node.traceback
    answer["application"] = agent.application.status
    if application.traceback:
        answer["application_traceback"] = application.traceback
    answer["parts"] = [
        {
            "part": part.name,
            "faults": part.faults,
            "restarts": part.restarts,
            "failed": part.failed,
            "fault": part.fault,
        }
        for part in agent.parts
        if part.faults
    ]
    return answer


def place_text(host: str, port: int) -> str:
    """Where UDP reaches a correspondent, as text: "name:port", "[2001:db8::1]:port"."""
    return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)


def of_keystore(keystore: "Keystore", node: "dict[str, Any]") -> "dict[str, Any]":
    """What `status` says of the keys: the state, and per correspondent what is left. No secret.

    `node`: the node's status, which knows the rate at which keys are used.
    """
    answer: dict[str, Any] = {
        "status": keystore.status,
        "text": keystore_text(keystore),
        "scrub_due": keystore.scrub_due,
        "peers": [],
    }
    credentials = keystore.credentials
    if credentials is None:
        return answer
    answer["set_id"] = credentials.set_id.hex()
    answer["home_address"] = text(credentials.home_address)
    answer["native"] = credentials.native
    bindings = node.get("bindings", ())
    for index, peer in enumerate(credentials.peers):
        generation, _ = keystore.current(index)
        rated = bindings[index].get("key") if index < len(bindings) else None
        if rated is None and peer.generations:
            rated = outlook(keystore, index, 0, 0)
        answer["peers"].append(
            {
                "correspondent": text(peer.correspondent),
                "role": "home agent" if index == credentials.home_agent else "correspondent",
                "reach": [place_text(host, port) for host, port in peer.reach],
                "lifetime": peer.lifetime,
                "generation": generation,
                "generations": [number for number, _ in peer.generations],
                "uses_left": SEQUENCE_NUMBERS - keystore.peek(index),
                "key": rated,
            }
        )
    return answer


def while_sealed(answer: "dict[str, Any]") -> "dict[str, Any]":
    """What a sealed board says of all that: states and counts, no network, no address but its
    home, no text of an error. docs/LIMITS.md, "Sealed boards"."""
    for peer in answer["keystore"]["peers"]:
        del peer["correspondent"]
        del peer["reach"]
    node = answer["node"]
    told = {name: node[name] for name in _WHILE_SEALED if name in node}
    told["sealed"] = True
    told["bindings"] = [{"state": entry["state"]} for entry in node.get("bindings", ())]
    word = node.get("application", "").split(" ")[0]
    told["application"] = word if word in _APPLICATION else "failed"
    told["parts"] = [
        {name: value for name, value in part.items() if name != "fault"}
        for part in node.get("parts", ())
    ]
    answer["node"] = told
    return answer
