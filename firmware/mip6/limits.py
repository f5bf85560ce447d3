"""Every limit that board and host share, once. Sources in the comments; units in the names."""

from .compat import const

ADDRESS_OCTETS = const(16)

# Keys: draft-ietf-mip6-precfgkbm section 4 (RFC 4449)
KCN_OCTETS_MIN = const(20)
KCN_OCTETS_MAX = const(255)  # its length is an octet of the record
NONCE_OCTETS_MIN = const(8)
NONCE_OCTETS_MAX = const(32)
SET_ID_OCTETS = const(8)
PEERS_MAX = const(16)  # correspondents of a key set
GENERATIONS_MAX = const(16)  # keys of one correspondent, provisioned at a time
GENERATION_MAX = const(32767)  # the counter record has 15 bits for it

# Sequence numbers: 0 to 65535 under one key, compared linearly, never wrapping
SEQUENCE_NUMBERS = const(65536)

# Lifetimes: RFC 6275 section 6.1.7, units of four seconds in 16 bits
LIFETIME_UNIT_S = const(4)
LIFETIME_S_MIN = const(4)
LIFETIME_S_MAX = const(262140)

# Wi-Fi: IEEE 802.11 for names, WPA for passwords
NETWORKS_MAX = const(16)
SSID_OCTETS_MAX = const(32)
PASSWORD_OCTETS_MIN = const(8)
PASSWORD_OCTETS_MAX = const(64)
PRIORITY_MAX = const(255)

# Where UDP reaches a correspondent: names as in RFC 1035 section 2.3.4
REACH_MAX = const(4)  # places of one correspondent
REACH_HOST_OCTETS_MAX = const(253)
REACH_LABEL_OCTETS_MAX = const(63)
PORT_MAX = const(65535)

# Datagrams: what a link of 1280 octets carries, inside UDP over IPv6 too
DATAGRAM_OCTETS_MAX = const(1184)
