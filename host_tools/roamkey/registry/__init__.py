"""The registry: which board holds which keys, what was accepted under them, who is bound where.

registry    `Registry`: all that one asks of it, a transaction each
records     what it answers with, keys among them; no database in it
schema      the tables and their rules
checks      what the rows of a key may hold
keysets     what provisioning does to the tables
names       what people call nodes
bindings    what a correspondent does to them: sequence numbers and bindings, many at a time
seen        when nodes were last heard of, and how fast they use their keys up
batches     the same many rows, as each database is fastest at it
seals       the keys that open sealed boards
sites       what boards are given where nobody says otherwise
marks       what was used of each key, beside the registry: so that an older one is noticed
backup      a copy, and the way back from one
transfer    pairs on their way to another registry
remains     what is left in the clear in its files, and how it is made to go
watch       what others change, as it happens
vault       the secrets, in the clear or under a passphrase; encryption: how that is done
database    how to reach one; versions, migrations: from older tables to these
"""

from typing import TYPE_CHECKING, Any

from roamkey.registry.records import (
    CONFIRMED,
    CORRESPONDENT,
    HOME_AGENT,
    RETIRED,
    SENT,
    AbsentError,
    GenerationKey,
    Key,
    KeySet,
    Node,
    Pair,
    PairKeys,
    Site,
    TakenError,
)

if TYPE_CHECKING:
    from roamkey.registry.registry import Registry

__all__ = [
    "CONFIRMED",
    "CORRESPONDENT",
    "HOME_AGENT",
    "RETIRED",
    "SENT",
    "AbsentError",
    "GenerationKey",
    "Key",
    "KeySet",
    "Node",
    "Pair",
    "PairKeys",
    "Registry",
    "Site",
    "TakenError",
]


def __getattr__(name: str) -> Any:
    """`Registry` when it is asked for: whoever only reads a key file needs no database library."""
    if name == "Registry":
        from roamkey.registry.registry import Registry

        return Registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
