"""The tables of the file of events, as `file` says what is in them, and statements that fill them.

Each version adds columns to the one before.
"""

from collections.abc import Sequence

VERSION = 3
NAMED = 3  # the version since which nodes have names
_WAYS = ("way TEXT", "endpoint TEXT")
_HEARD = ("name TEXT", "data_ms INTEGER")
#: version -> (table, columns that it added)
_ADDED = {2: (("events", _WAYS), ("nodes", _WAYS)), NAMED: (("nodes", _HEARD),)}
READABLE = range(1, VERSION + 1)

#: of an event, in the order in which the recorder gives them
FIELDS = (
    "at_ms", "kind", "home_address", "care_of_address", "previous", "sequence", "generation",
    "lifetime_s", "count", "reason", "gap_ms", "way", "endpoint",
)  # fmt: skip
#: of a node after a batch, likewise; `updates` and `moves` are added up
NODE_FIELDS = (
    "home_address", "state", "care_of_address", "sequence", "generation", "seen_ms", "expires_ms",
    "updates", "moves", "way", "endpoint",
)  # fmt: skip
#: of a node as the registry has it, likewise
KNOWN_FIELDS = (
    "home_address", "board", "later_keys", "state", "care_of_address", "sequence", "generation",
    "seen_ms", "expires_ms", "way", "endpoint", "name",
)  # fmt: skip

TABLES = f"""
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, correspondent BLOB NOT NULL, at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL, home_address BLOB, care_of_address BLOB, previous BLOB, sequence INTEGER,
  generation INTEGER, lifetime_s INTEGER, count INTEGER, reason TEXT, gap_ms INTEGER,
  {", ".join(_WAYS)}
);
CREATE INDEX events_by_node ON events (home_address) WHERE home_address IS NOT NULL;
CREATE TABLE nodes (
  home_address BLOB NOT NULL, correspondent BLOB NOT NULL, board TEXT,
  later_keys INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, care_of_address BLOB,
  sequence INTEGER, generation INTEGER, seen_ms INTEGER, expires_ms INTEGER,
  updates INTEGER NOT NULL DEFAULT 0, moves INTEGER NOT NULL DEFAULT 0,
  {", ".join(_WAYS + _HEARD)},
  PRIMARY KEY (home_address, correspondent)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


def upgrade(found: int) -> str:
    """Statements that lead from a version to the present one."""
    return "".join(
        f"ALTER TABLE {table} ADD COLUMN {column};"
        for version, added in _ADDED.items()
        for table, columns in added
        for column in columns
        if version > found
    )


CHUNKS = (256, 32, 4, 1)  # rows in a statement


def _insert(table: str, fields: Sequence[str], then: str = "") -> dict[int, str]:
    """Statements that insert so many rows each; the correspondent is the first parameter."""
    row = f"(?1{', ?' * len(fields)})"
    into = f"INSERT INTO {table} (correspondent, {', '.join(fields)}) VALUES "
    return {rows: f"{into}{', '.join([row] * rows)} {then}" for rows in CHUNKS}


def _replaced(fields: Sequence[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in fields)


def _kept(fields: Sequence[str]) -> str:
    return ", ".join(f"{name} = ifnull(excluded.{name}, {name})" for name in fields)


add_events = _insert("events", FIELDS)
move_nodes = _insert(
    "nodes",
    NODE_FIELDS,
    f"ON CONFLICT DO UPDATE SET {_replaced(('state', 'care_of_address', 'way', 'endpoint'))}, "
    f"{_kept(('sequence', 'generation', 'seen_ms', 'expires_ms'))}, "
    "updates = updates + excluded.updates, moves = moves + excluded.moves, "
    # a key that is used retires those before
    "later_keys = max(0, later_keys - max(0, ifnull(excluded.generation - generation, 0)))",
)
# What is no longer bound keeps how it ended, if that was seen.
know_nodes = _insert(
    "nodes",
    KNOWN_FIELDS,
    f"ON CONFLICT DO UPDATE SET "
    f"{_replaced(('board', 'later_keys', 'sequence', 'generation', 'name'))}, "
    "state = CASE WHEN excluded.state = 'bound' OR state = 'bound' THEN excluded.state "
    f"ELSE state END, {_kept(('care_of_address', 'seen_ms', 'expires_ms', 'way'))}, "
    "endpoint = CASE WHEN excluded.way IS NULL THEN endpoint ELSE excluded.endpoint END",
)
