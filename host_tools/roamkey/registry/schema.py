"""The tables of the registry.

    registry   one row: the revision; the fingerprint key, or, sealed, both keys of the registry
    nodes      a home address, the board that holds it now, and what people call it
    pairs      a node and a correspondent address, or that of its home agent: `role`
    keys       a Kcn of a pair, with all that was provisioned with it
    keyless    the peers of a set that have no key: no pair, and nothing that a daemon reads
    bindings   where a pair's node is now; at most one row a pair
    seen       when a pair's node was last heard of, and how fast it uses its key: see `seen`
    seals      the key that opens a sealed board; at most one row a board
    sites      one row at most: the defaults of provisioning (see `sites`)

**A key's life** is `sent` (given to the board, which has not answered yet), `confirmed` (the board
holds it), `retired` (never accepted again). The correspondent accepts `sent` too: a Binding Update
that verifies proves that the board holds the key, and confirms it. A retired key has lost its Kcn;
its row remains, so that neither the Kcn nor the generation can come back.

**Exactly once.** `keys.last_sequence` is the last accepted sequence number, NULL before the first.
It moves by an update conditional on being smaller, and on the key not being retired: of several
daemons with the same number, one succeeds.

**Unique Kcn.** `keys.fingerprint` is an HMAC-SHA256 of the Kcn under a random key of this registry
(`registry.fingerprint_key`), and UNIQUE: draft, section 4.

**Encrypted.** Where `registry.sealed` isn't NULL, a passphrase opens it: it holds the fingerprint
key, which then stands nowhere else, and the key under which each row of `keys` has its secrets:
Kcn and both nonces, together in `kcn`; the nonces' own columns are empty. See `encryption`.

**Free nodes.** `nodes.board_id` is NULL while none of the node's keys is live, and no board knows
peers without a key for it: then any board may be given the home address.

**Revision.** Whatever provisioning changes raises `registry.revision`, and `pairs.revision` of the
pairs concerned; a running daemon reads the pairs above the revision it knows. A withdrawn key
leaves no trace: a daemon that still has it in memory is told by the conditional update.

Addresses are 16 octets. Lifetimes are in seconds, instants in milliseconds since 1970 (UTC).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from roamkey.registry.records import CONFIRMED, CORRESPONDENT, RETIRED, SENT

__all__ = [
    "CONFIRMED",
    "RETIRED",
    "REVISIONS",
    "SENT",
    "bindings",
    "keyless",
    "keys",
    "metadata",
    "nodes",
    "pairs",
    "registry",
    "seals",
    "seen",
    "sites",
    "version",
]

#: Revisions of these tables (`migrations`), the first one first. A database names its own in
#: `alembic_version`; one without that table is of the first.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")

metadata = MetaData()

# As alembic keeps it.
version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), primary_key=True),
)

registry = Table(
    "registry",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1"), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("fingerprint_key", LargeBinary(32)),
    Column("sealed", LargeBinary),
    CheckConstraint("(fingerprint_key IS NULL) <> (sealed IS NULL)", name="one_key_place"),
)

# Identifiers are never given twice (AUTOINCREMENT): a daemon may hold one whose row is gone.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("board_id", String(64), index=True),
    Column("home_address", LargeBinary(16), nullable=False, unique=True),
    # Refused by the administrator: its Binding Updates are answered with status 129.
    Column("refused", Boolean, nullable=False, default=False),
    Column("name", String(63)),
    Index("nodes_by_name", "name", unique=True),
    sqlite_autoincrement=True,
)

# `role`: what the address is to the node. The key of a pair with a home agent is that of RFC 4285
# (MN-HA); its nonces are there and unused.
pairs = Table(
    "pairs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False),
    Column("correspondent", LargeBinary(16), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("role", String(13), nullable=False, server_default=CORRESPONDENT),
    CheckConstraint("role IN ('correspondent', 'home agent')", name="pair_role"),
    UniqueConstraint("node_id", "correspondent"),
    Index("pairs_by_correspondent", "correspondent", "revision"),
    sqlite_autoincrement=True,
)

# Nonces and lifetime stand here, not in `pairs`: until the board confirms a new set, the one
# before must still verify with its own.
keys = Table(
    "keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pair_id", ForeignKey("pairs.id"), nullable=False),
    Column("set_id", LargeBinary(8), nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("kcn", LargeBinary),
    Column("fingerprint", LargeBinary(32), nullable=False, unique=True),
    Column("home_nonce", LargeBinary(32), nullable=False),
    Column("care_of_nonce", LargeBinary(32), nullable=False),
    Column("lifetime", Integer, nullable=False),
    Column("state", String(9), nullable=False),
    Column("last_sequence", Integer),
    UniqueConstraint("pair_id", "generation"),
    CheckConstraint("state IN ('sent', 'confirmed', 'retired')", name="key_state"),
    CheckConstraint("(kcn IS NULL) = (state = 'retired')", name="retired_has_no_kcn"),
    CheckConstraint("last_sequence BETWEEN 0 AND 65535", name="sequence_range"),
    sqlite_autoincrement=True,
)

# What a board was told beside its keys: see `registry.keyless`. `after_key`: the latest row of
# `keys` when it was added, which puts sets in order.
keyless = Table(
    "keyless",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, index=True),
    Column("set_id", LargeBinary(8), nullable=False),
    Column("peer", LargeBinary(16), nullable=False),
    Column("role", String(13), nullable=False),
    Column("lifetime", Integer, nullable=False),
    Column("state", String(9), nullable=False),
    Column("after_key", Integer, nullable=False),
    UniqueConstraint("set_id", "peer"),
    CheckConstraint("role IN ('correspondent', 'home agent')", name="keyless_role"),
    CheckConstraint("state IN ('sent', 'confirmed')", name="keyless_state"),
    sqlite_autoincrement=True,
)

# `endpoint`: NULL for a native binding, else outer address, port and local address (34 octets).
bindings = Table(
    "bindings",
    metadata,
    Column("pair_id", ForeignKey("pairs.id"), primary_key=True, autoincrement=False),
    Column("key_id", ForeignKey("keys.id"), nullable=False),
    Column("care_of_address", LargeBinary(16), nullable=False),
    Column("lifetime", Integer, nullable=False),
    Column("registered_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
    Column("endpoint", LargeBinary(34)),
)

# What is left of a binding when it is over. `from_sequence`, `mid_sequence`: the last number used
# under the key `key_id` at two earlier instants. Nothing here decides anything.
seen = Table(
    "seen",
    metadata,
    Column("pair_id", ForeignKey("pairs.id"), primary_key=True, autoincrement=False),
    Column("update_ms", BigInteger),
    Column("data_ms", BigInteger),
    Column("key_id", Integer),
    Column("from_ms", BigInteger),
    Column("from_sequence", Integer),
    Column("mid_ms", BigInteger),
    Column("mid_sequence", Integer),
)

# In an encrypted registry `key` is a box, as in `keys` (see `seals`).
seals = Table(
    "seals",
    metadata,
    Column("board_id", String(64), primary_key=True),
    Column("seal_id", LargeBinary(8), nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("state", String(9), nullable=False),
    CheckConstraint("state IN ('sent', 'confirmed')", name="seal_state"),
)

# `home_prefix`: with zeros behind its length. `reach`: JSON, a list of texts "address:port",
# `home_agent_reach` likewise. `home_agent`: NULL where the site has none.
sites = Table(
    "sites",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1"), primary_key=True),
    Column("correspondent", LargeBinary(16), nullable=False),
    Column("home_prefix", LargeBinary(16), nullable=False),
    Column("home_prefix_length", SmallInteger, nullable=False),
    Column("reach", String, nullable=False),
    Column("home_agent", LargeBinary(16)),
    Column("home_agent_reach", String, nullable=False, server_default="[]"),
)
