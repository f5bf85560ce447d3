"""Programs of a Linux node: all have the home address, by the kernel or by a TUN device."""

import socket
import sys
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


def of_another(request):
    """The same, as somebody else would ask: with a request identifier and a priority of his."""
    for mark in (xfrm.REQUEST_ID, 0x726D0001):
        request = request.replace(mark.to_bytes(4, sys.byteorder), b"\x07\0\0\0")
    return request


def put_foreign(home):
    """A state and a policy of somebody else."""
    with open_family(xfrm.PROTOCOL) as one:
        for request in (
            xfrm.state(xfrm.OUT, home, OURS, OTHER, 3600, True),
            xfrm.policy(xfrm.OUTWARD, home, OURS, 3600, True),
        ):
            assert xfrm.refused(ask(one, of_another(request))) == 0


def foreign(home):
    """How much of that there is."""
    with open_family(xfrm.PROTOCOL) as one:
        asked = (xfrm.ask_state(xfrm.OUT, home, OURS), xfrm.ask_policy(xfrm.OUTWARD, home, OURS))
        return sum(xfrm.is_ours(ask(one, request)) is False for request in asked)


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
def test_without_a_binding_nothing_leaves_and_a_killed_agent_leaves_leases(roaming, plane):
    """States and policies of others stay."""
    namespace = roaming.network.namespace(roaming.node.name)
    namespace._there(put_foreign, OTHER)
    assert of_ours(roaming) == ALL
    assert roaming.node.status()["plane_text"] == "asked for"
    one = namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.bind((HOME, 0))
    one.sendto(b"", (ADDRESS, 9))
    roaming.network.detach(roaming.node.name, roaming.node.uplink)
    assert until(lambda: of_ours(roaming)[0] == [], 30)
    with pytest.raises(OSError):
        one.sendto(b"", (ADDRESS, 9))
    roaming.move()
    assert until(lambda: of_ours(roaming) == ALL, 30)
    one.sendto(b"", (ADDRESS, 9))
    roaming.node.kill()
    at = time.monotonic()
    assert until(lambda: of_ours(roaming) == NOTHING, 2 * LEASE_S + 10, 0.5)
    assert time.monotonic() - at > LEASE_S / 2
    assert namespace._there(foreign, OTHER) == 2


@pytest.mark.kernel
def test_what_somebody_else_has_for_the_same_addresses_is_left(lab_network, scene, tmp_path):
    """The plane ends itself and says so; the binding goes on."""
    need_tun()
    roaming = Roaming(lab_network, scene, tmp_path, "kernel", "kernel")
    with roaming.node:
        namespace = lab_network.namespace(roaming.node.name)
        namespace._there(put_foreign, HOME_OCTETS)
        roaming.move()
        assert until(lambda: roaming.node.status()["plane"] == "none", 30)
        assert "somebody else" in roaming.node.status()["plane_text"]
        assert until(lambda: roaming.node.status()["bindings"][0]["state"] == "bound", 30)
        assert namespace._there(foreign, HOME_OCTETS) == 2
        assert of_ours(roaming)[2:] == (False, False)
