"""Programs of a Linux node: all have the home address, by the kernel or by a TUN device."""

import socket
import time
from ipaddress import IPv6Address

import pytest
from support.daemons import ADDRESS
from support.roaming import HOME, Roaming, need_tun, result

from mip6.ports.sockets import ask, open_family
from mip6.programs import xfrm
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

HOME_OCTETS = IPv6Address(HOME).packed
OURS = IPv6Address(ADDRESS).packed
OTHER = IPv6Address("2001:db8:a::78").packed
LEASE_S = 30


@pytest.fixture(params=["tun", pytest.param("kernel", marks=pytest.mark.kernel)])
def plane(request):
    """Either plane: the kernel's runs where a kernel has it."""
    need_tun()
    return request.param


@pytest.fixture
def roaming(lab_network, scene, tmp_path, plane):
    with Roaming(lab_network, scene, tmp_path, plane, plane) as made:
        yield made


def of_ours(roaming):
    """What of ours is in the node's kernel: states, policies, whether address and route."""
    namespace = roaming.network.namespace(roaming.node.name)

    def look():
        with open_family(xfrm.PROTOCOL) as one:
            states = [
                kind
                for kind in xfrm.KINDS
                if xfrm.is_ours(ask(one, xfrm.ask_state(kind, HOME_OCTETS, OURS)))
            ]
            policies = [
                which
                for which in xfrm.POLICIES
                if xfrm.is_ours(ask(one, xfrm.ask_policy(which, HOME_OCTETS, OURS)))
            ]
        return states, policies

    states, policies = namespace._there(look)
    routes = namespace._ask("get_routes", family=socket.AF_INET6)
    addresses = namespace._ask("get_addr", family=socket.AF_INET6)
    return (
        states,
        policies,
        HOME in [one.get_attr("IFA_ADDRESS") for one in addresses],
        114 in [one["proto"] for one in routes],
    )


def put_foreign():
    """A state and a policy of somebody else, for other addresses of the same kind."""
    with open_family(xfrm.PROTOCOL) as one:
        state = bytearray(xfrm.state(xfrm.OUT, OTHER, OURS, OTHER, 3600, True))
        policy = xfrm.policy(xfrm.OUTWARD, OTHER, OURS, 3600, True)
        assert [xfrm.refused(ask(one, request)) for request in (state, policy)] == [0, 0]


def foreign():
    """How much of that there is."""
    with open_family(xfrm.PROTOCOL) as one:
        asked = (xfrm.ask_state(xfrm.OUT, OTHER, OURS), xfrm.ask_policy(xfrm.OUTWARD, OTHER, OURS))
        return sum(xfrm.is_ours(ask(one, request)) is not None for request in asked)


ALL = (list(xfrm.KINDS), list(xfrm.POLICIES), True, True)
NOTHING = ([], [], False, False)


def test_connections_of_the_nodes_programs_outlive_moves(roaming, plane):
    """They are the node's: a download and datagrams of its own, and pings to and from it."""
    assert roaming.node.status()["plane"] == plane
    assert roaming.start("correspondent", "udp_echo", ADDRESS, 7).stdout.readline()
    url, digest = roaming.serve_file(30_000_000)
    downloading = roaming.start("correspondent", "download", url, 8_000_000)
    echoing = roaming.start("node", "udp", ADDRESS, 7, 150, 0.03)
    pinging = roaming.start("node", "ping", ADDRESS, 150, 0.03)
    answering = roaming.start("correspondent", "ping", HOME, 150, 0.03)
    for _ in range(4):
        roaming.move()
    downloaded = result(downloading)
    assert (downloaded["octets"], downloaded["sha256"]) == (30_000_000, digest)
    assert [result(one)["received"] >= 60 for one in (echoing, pinging, answering)] == [True] * 3
    told = roaming.node.status()
    assert (told["state"], told["unsent"], told["plane"]) == ("away", 0, plane)


@pytest.mark.kernel
@pytest.mark.parametrize("plane", ["kernel"])
def test_what_ends_takes_it_away_and_a_killed_agent_leaves_leases(roaming, plane):
    """Foreign states and policies stay; nothing leaves from the home address without a binding."""
    namespace = roaming.network.namespace(roaming.node.name)
    namespace._there(put_foreign)
    assert of_ours(roaming) == ALL
    assert roaming.node.status()["plane_text"] == "asked for"
    # The correspondent goes: it says so, and the binding ends.
    assert roaming.daemon.end()[0] == 0
    one = namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.bind((HOME, 0))
    ended = roaming.node.status()
    assert ended["bindings"][0]["state"] == "bound"  # nobody told it: data go on
    one.sendto(b"", (ADDRESS, 9))
    roaming.node.kill()
    at = time.monotonic()
    assert until(lambda: of_ours(roaming) == NOTHING, 2 * LEASE_S + 10, 0.5)
    assert time.monotonic() - at > LEASE_S / 2
    assert namespace._there(foreign) == 2
