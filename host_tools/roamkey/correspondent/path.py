"""Where the paths of nodes end, as seen at the correspondent: what arrives by each way, and from
where.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from mip6 import addresses
from roamkey.correspondent.core.endpoints import NATIVE, WAYS

_LET_IN_NATIVE = "Destination Options (60) and protocol 135 into this host's firewall"
_LET_IN_UDP = (
    "UDP port {port} into this host's firewall, and forward it here where a NAT stands before it"
)


def of_daemon(facts: dict[str, Any], bindings: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What one daemon sees, with the fields that `--json` prints. `facts`: its status;
    `bindings`: those of the registry, as `view.current` has them."""
    own = [one for one in bindings if one["correspondent"] == facts["address"]]
    place = facts["ways"]["encapsulation"]
    return {
        "correspondent": facts["address"],
        "uptime_s": facts["uptime_s"],
        "encapsulation": place,
        "ways": [_way(way, facts["ways"], place) for way in WAYS],
        "nodes": [_node(one) for one in own],
    }


def _way(way: str, counted: dict[str, Any], place: str | None) -> dict[str, Any]:
    came = counted["received"][way]
    found, todo = "packets arrive", ""
    if way != NATIVE and place is None:
        found, todo = "not served", "correspondent run --encapsulation on"
    elif not came:
        port = "" if place is None else place.rpartition(":")[2]
        let_in = _LET_IN_NATIVE if way == NATIVE else _LET_IN_UDP.format(port=port)
        found, todo = "nothing arrived so far", f"where nodes are to use it: let {let_in}"
    return {"way": way, "received": came, "bound": counted["bound"][way], "found": found,
            "ask": todo}  # fmt: skip


def _node(binding: dict[str, Any]) -> dict[str, Any]:
    kept = ("home_address", "board", "care_of_address", "way", "endpoint", "lifetime_left_s")
    told = {name: binding[name] for name in kept}
    return {**told, "nat": _nat(binding), "last_seen": binding["last_seen"]}


def _nat(binding: dict[str, Any]) -> bool | None:
    """Whether a NAT is between: the node is seen elsewhere than it says. None natively, where the
    address is under the key."""
    if binding["endpoint"] is None:
        return None
    host = binding["endpoint"].rpartition(":")[0].strip("[]")
    return bool(addresses.parse(host) != addresses.parse(binding["care_of_address"]))


def show(seen: dict[str, Any], print_table: Callable[[Table], None]) -> Iterator[str]:
    """The same for people: lines; tables go to `print_table`."""
    place = seen["encapsulation"]
    by = f"inside UDP at {place}" if place else "natively alone"
    yield f"{seen['correspondent']}, {by}"
    ways = _table()
    for one in seen["ways"]:
        counted = f"{one['received']} came, {one['bound']} bound"
        _add(ways, one["way"], counted, one["found"], f"-> {one['ask']}" if one["ask"] else "")
    print_table(ways)
    if not seen["nodes"]:
        yield "no node is bound"
        return
    nodes = _table()
    for one in seen["nodes"]:
        where = one["care_of_address"]
        if one["endpoint"]:
            behind = "behind a NAT, seen at" if one["nat"] else "no NAT, seen at"
            where += f", {behind} {one['endpoint']}"
        _add(nodes, one["home_address"], one["way"], where, f"heard {one['last_seen']}")
    print_table(nodes)


def _table() -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        made.add_column(overflow="fold")
    return made


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))
