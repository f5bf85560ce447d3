"""The site: one correspondent, and what boards are given for it where nobody says otherwise.

A site needs no IPv6 of its own: inside are unique local addresses of a prefix drawn at random
(RFC 4193), outside the boards reach the correspondent by whatever name or address this host has.
"""

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mip6 import addresses
from mip6.packets import ENCAPSULATION_PORT
from roamkey.enroll.home import Pool, network_of
from roamkey.enroll.reach import Place, Reach, by_correspondent, places_of, texts_of
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import AbsentError, Registry, Site

#: What became of a site: `made`, `changed`, or it was `there` as it is.
MADE, CHANGED, THERE = "made", "changed", "there"

_GLOBAL_ID_OCTETS = 5
_LENGTHS = range(8, 61)  # of a site's prefix: it has room for the two subnets
_HOME, _INSIDE = 0xA, 0xC  # subnets: of boards, of the correspondent
_HOME_LENGTH = 64
# Addresses that nobody has (RFC 1112 section 4, RFC 9637), and no laboratory beside this host.
_OUTSIDE = ((socket.AF_INET, "240.0.0.1"), (socket.AF_INET6, "3fff::1"))
_ANY_PORT = 9
_IPV6_ADDR_PREFERENCES, _PREFER_PUBLIC = 72, 2  # linux/in6.h: no temporary address (RFC 5014)


@dataclass(frozen=True)
class Wanted:
    """What a site is to be; None where the caller doesn't care. `correspondent`, `home_agent`: 16
    octets; `prefix`: of the whole site, in text; `reach`: texts, () for none, ADDRESS=HOST[:PORT]
    for the home agent's."""

    prefix: str | None = None
    correspondent: bytes | None = None
    home_prefix: str | None = None
    reach: tuple[str, ...] | None = None
    home_agent: bytes | None = None


def init(registry: Registry, wanted: Wanted, force: bool = False) -> tuple[Site, str]:
    """Make the site of a registry, or change where it is reached, or give it a home agent; the
    site, and what became of it.

    One that is there has its addresses changed with `force` alone: boards that were provisioned
    for them keep them. Raises BadInputError, RefusedError (another is there).
    """
    before = registry.site()
    made = _made(wanted, before, force)
    if before is not None and not force and _is_another(made, before):
        agent = "" if before.home_agent is None else addresses.text(before.home_agent)
        raise RefusedError(
            f"the site is there, with correspondent {addresses.text(before.correspondent)}"
            + (f", home agent {agent}" if agent else "")
            + f" and home prefix {before.home_prefix}: --force makes another one (boards keep "
            "what they were given until they are provisioned anew)"
        )
    if made == before:
        return made, THERE
    registry.set_site(made, before)
    return made, MADE if before is None or force else CHANGED


def site_of(registry: str | None) -> Site | None:
    """The site of a registry, as `Registry.open` takes it; None also where there is none. Needs no
    passphrase."""
    try:
        with Registry.open(registry, create=False, to_encrypt=True) as opened:
            return opened.site()
    except AbsentError:
        return None


def reach_of(
    site: Site | None, correspondents: tuple[bytes, ...], given: Sequence[str] | None, what: str
) -> Reach:
    """Where correspondents are reached: as it is said in `given` (nowhere else: no texts), else as
    the site says of its own. Raises BadInputError, of a line that begins with `what`."""
    if given is not None:
        return by_correspondent(given, correspondents, what)
    if site is None:
        return {}
    own = ((site.correspondent, site.reach), (site.home_agent, site.home_agent_reach))
    return {
        owner: places_of(places, "the site's reach")
        for owner, places in own
        if owner is not None and owner in correspondents and places
    }


def pool_of(
    registry: Registry, site: Site | None, prefix: str | None, taken: Sequence[bytes]
) -> Pool | None:
    """Home addresses of the prefix that is named, else of the site's; None where there is none."""
    if prefix is None and site is not None:
        prefix = site.home_prefix
    if site is not None:
        taken = (*taken, site.correspondent, site.home_agent or site.correspondent)
    return None if prefix is None else Pool(registry, prefix, taken)


def own_places() -> tuple[Place, ...]:
    """Where this host is reached, as far as it knows: the addresses by which it reaches the world
    outside, IPv4 and IPv6. Nothing is sent."""
    found = []
    for family, outside in _OUTSIDE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, _IPV6_ADDR_PREFERENCES, _PREFER_PUBLIC)
                probe.connect((outside, _ANY_PORT))
                address = ipaddress.ip_address(probe.getsockname()[0])
        except (OSError, ValueError):  # no such family, no route
            continue
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            found.append((str(address), ENCAPSULATION_PORT))
    return tuple(found)


def _is_another(made: Site, before: Site) -> bool:
    """Whether boards that were provisioned for the site before had other addresses in mind."""
    like = replace(made, reach=before.reach, home_agent_reach=before.home_agent_reach)
    if before.home_agent is None:
        like = replace(like, home_agent=None)
    return like != before


def _made(wanted: Wanted, before: Site | None, force: bool) -> Site:
    """The site that is wanted, where `before` is there."""
    kept = None if force else before
    halves = (wanted.correspondent is None) != (wanted.home_prefix is None)
    if halves and wanted.prefix is None and kept is None:
        raise BadInputError("--correspondent and --home-prefix go together, or with --prefix")
    network = _network(wanted.prefix)
    correspondent = wanted.correspondent
    if correspondent is None:
        correspondent = _address(network, _INSIDE, 1)
    home = network_of(wanted.home_prefix) if wanted.home_prefix is not None else None
    if home is None:
        first = ipaddress.IPv6Address(_address(network, _HOME, 0))
        home = ipaddress.IPv6Network((first, _HOME_LENGTH))
    if kept is not None and wanted.prefix is None:  # what isn't said stays
        correspondent = wanted.correspondent or kept.correspondent
        if wanted.home_prefix is None:
            home = network_of(kept.home_prefix)
    agent = wanted.home_agent or (kept.home_agent if kept is not None else None)
    reach, agent_reach = _shared(wanted.reach, correspondent, agent)
    if reach is not None:
        places = places_of(reach, "--reach")
    elif kept is not None:
        places = places_of(kept.reach, "the site's reach")
    else:
        places = own_places()
        if not places and wanted.correspondent is None:
            raise BadInputError(
                "this host has no route to anywhere, so it can't tell where boards reach it: "
                "--reach says so"
            )
    if agent_reach is not None:
        agent_places = texts_of(places_of(agent_reach, "--reach"))
    else:
        agent_places = kept.home_agent_reach if kept is not None else ()
    return Site(
        correspondent,
        home.network_address.packed,
        home.prefixlen,
        texts_of(places),
        agent,
        agent_places,
    )


def _shared(
    texts: tuple[str, ...] | None, correspondent: bytes, agent: bytes | None
) -> tuple[list[str] | None, list[str] | None]:
    """What `--reach` says of the correspondent and of the home agent; None for nothing."""
    if not texts:
        return (None, None) if texts is None else ([], [])
    found: dict[bytes, list[str]] = {}
    for text in texts:
        whose, given, place = text.rpartition("=")
        try:
            owner = addresses.parse(whose) if given else correspondent
        except ValueError as error:
            raise BadInputError(f"--reach: {error}") from None
        if owner not in (correspondent, agent):
            raise BadInputError(
                f"--reach: {addresses.text(owner)} is neither the correspondent nor the home agent"
            )
        found.setdefault(owner, []).append(place)
    return found.get(correspondent), None if agent is None else found.get(agent)


def _network(prefix: str | None) -> ipaddress.IPv6Network:
    """The site's own prefix: the one that is named, else one of RFC 4193 section 3.2."""
    if prefix is None:
        octets = b"\xfd" + os.urandom(_GLOBAL_ID_OCTETS) + bytes(10)
        return ipaddress.IPv6Network((octets, 48))
    network = network_of(prefix)
    if network.prefixlen not in _LENGTHS:
        raise BadInputError(
            f"--prefix: a site's prefix has {_LENGTHS[0]} to {_LENGTHS[-1]} bits, "
            f"{prefix} has {network.prefixlen}"
        )
    return network


def _address(network: ipaddress.IPv6Network, subnet: int, host: int) -> bytes:
    return (network.network_address + (subnet << 64) + host).packed
