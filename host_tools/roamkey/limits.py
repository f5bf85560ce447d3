"""What keys, nonces, sets and lifetimes may measure: the board's own limits.

A host that took more than a board does would promise what no board can hold.
"""

from mip6.keycheck import MAX_GENERATIONS, MAX_PEERS
from mip6.keys import ADDRESS_OCTETS, KCN_OCTETS_MIN, NONCE_OCTETS_MAX, NONCE_OCTETS_MIN
from mip6.messages import LIFETIME_MAX_S, LIFETIME_UNIT_S
from mip6.sequence import MAX_GENERATION, SET_ID_OCTETS

KCN_OCTETS_MAX = 255  # mip6.keycheck keeps its own to itself

__all__ = [
    "ADDRESS_OCTETS",
    "KCN_OCTETS_MAX",
    "KCN_OCTETS_MIN",
    "LIFETIME_MAX_S",
    "LIFETIME_UNIT_S",
    "MAX_GENERATION",
    "MAX_GENERATIONS",
    "MAX_PEERS",
    "NONCE_OCTETS_MAX",
    "NONCE_OCTETS_MIN",
    "SET_ID_OCTETS",
]
