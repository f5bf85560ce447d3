"""How much a registry holds: numbers that need no passphrase."""

from typing import Any

from sqlalchemy import func, select

from roamkey.registry import RETIRED, Registry, versions
from roamkey.registry.schema import bindings, keys, nodes, registry


def of(opened: Registry) -> dict[str, Any]:
    """Where and how it is kept, and its numbers of nodes, keys and bindings (expired included)."""
    live = select(func.count()).select_from(keys)
    with opened.reading() as c:
        return {
            "registry": opened.name,
            "tables": versions.revision_of(c),
            "encrypted": c.scalar(select(registry.c.sealed)) is not None,
            "nodes": c.scalar(select(func.count()).select_from(nodes)),
            "live_keys": c.scalar(live.where(keys.c.state != RETIRED)),
            "retired_keys": c.scalar(live.where(keys.c.state == RETIRED)),
            "bindings": c.scalar(select(func.count()).select_from(bindings)),
        }
