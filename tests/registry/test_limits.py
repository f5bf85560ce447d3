"""The host takes what a board takes, and nothing else: a set at each limit and one beyond."""

from ipaddress import IPv6Address

import pytest

from mip6.errors import Misuse
from mip6.keychange.check import check_credentials
from mip6.keystore.keyset import Credentials, Peer
from roamkey.errors import BadInputError
from roamkey.registry import Registry
from roamkey.registry.records import pairs_of

SET_ID = b"set-1234"
HOME = IPv6Address("2001:db8:a::1").packed
CN = int(IPv6Address("2001:db8:c::1"))

SIZES = {
    "generation": (0, 32767),
    "generations": (1, 16),
    "peers": (1, 16),
    "kcn": (20, 255),
    "nonce": (8, 32),
    "lifetime": (4, 262140),
}


class Unchecked:
    """As a key set of the board, without its own checks."""

    def __init__(self, **values):
        self.__dict__.update(values)


def credentials(kinds=(Credentials, Peer), **wanted):
    """A set of the least size but for what is wanted."""
    size = {name: least for name, (least, _) in SIZES.items()} | wanted
    whole, peer = kinds
    peers = [
        peer(
            correspondent=(CN + which).to_bytes(16, "big"),
            home_nonce=bytes(size["nonce"]),
            care_of_nonce=bytes(size["nonce"]),
            lifetime=size["lifetime"],
            generations=[
                (size["generation"] + each, bytes((which, each)).ljust(size["kcn"], b"k"))
                for each in range(size["generations"])
            ],
        )
        for which in range(size["peers"])
    ]
    return whole(set_id=SET_ID, home_address=HOME, peers=peers, home_agent=None)


@pytest.mark.parametrize(
    ("name", "size", "fits"),
    [
        case
        for name, (least, most) in SIZES.items()
        for case in (
            (name, least, True),
            (name, most, True),
            (name, least - 1, False),
            (name, most + 1, False),
        )
        # A lone peer without a key is what a board may hold; nobody provisions it with that.
        if case[:2] != ("generations", 0)
    ],
)
def test_host_and_board_agree(tmp_path, name, size, fits) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        given = pairs_of(credentials((Unchecked, Unchecked), **{name: size}))
        lifetime = size if name == "lifetime" else 600
        if fits:
            check_credentials(credentials(**{name: size}))
            registry.add_sent(SET_ID, "board", given, lifetime)
            return
        with pytest.raises(Misuse):
            check_credentials(credentials(**{name: size}))
        with pytest.raises(BadInputError):
            registry.add_sent(SET_ID, "board", given, lifetime)
